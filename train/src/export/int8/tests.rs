// SPDX-License-Identifier: MIT OR Apache-2.0

use std::collections::HashMap;

use cyclegan_contract::{
    ElementType,
    onnx::{Message, ModelProto},
};
use ort::value::TensorRef;
use tch::Tensor;

use super::{
    Candidate, is_convolution, most_harmed,
    plan::{MOVES, Plan, heads},
    qdq, quantise,
    range::Grid,
    with,
};
use crate::{
    export::{
        frames::{Frame, References},
        graph::{GraphBuilder, ints},
        model,
    },
    net::{
        build::Norm,
        generator::{Generator, GeneratorShape, NetG},
        init::InitType,
        params::Params,
    },
    onnx_generator::{OnnxGenerator, session_of},
};

/// A float32 model with random weights, and its parameters.
fn model(net: NetG, norm: Norm, mask_head: bool) -> ModelProto {
    tch::manual_seed(5);
    let shape = GeneratorShape {
        net,
        ngf: 4,
        width: 8,
        blocks: 2,
        norm,
        dropout: false,
        mask_head,
        context: false,
        backbone: false,
        skip: false,
        blur: false,
        pruned: None,
    };
    let generator = Generator::new(shape);
    let params = Params::new(&generator.layout, InitType::Kaiming, 0.02, tch::Device::Cpu);
    let weights = params.weights(tch::Kind::Float);
    model::build(&generator, &weights, &Default::default(), ElementType::F32)
}

fn references(model: &ModelProto) -> References {
    let picture = || Tensor::rand([1, 3, 32, 48], tch::kind::FLOAT_CPU) * 2.0 - 1.0;
    let frames = (0..6).map(|_| Frame::of(&picture())).collect();
    let mut float32 = OnnxGenerator::from_bytes(&model.encode_to_vec(), 0).unwrap();
    References::by(&mut float32, frames).unwrap()
}

#[test]
fn a_larger_float_share_reduces_the_difference() {
    let model = model(NetG::Fast, Norm::Instance, true);
    let references = references(&model);
    let difference = |share: f64| {
        let quantised = quantise(&model, &references, share).unwrap();
        let mut onnx = OnnxGenerator::from_bytes(&quantised.model.encode_to_vec(), 0).unwrap();
        references.difference(&mut onnx, 6).unwrap().mean
    };
    let means = [0.0, 0.3, 1.0].map(difference);
    assert!(means[0] < 6.0 && means[1] < means[0] && means[2] == 0.0, "{means:?}");
}

/// A 2×2 convolution of a 2×2 image with ReLU, computed by hand from the integers in the graph.
#[test]
fn a_quantised_convolution_matches_the_formula() {
    let mut graph = GraphBuilder::new("one", ElementType::F32);
    let weight: Vec<f32> = (0..24).map(|i| (i as f32 * 0.7).sin()).collect();
    let bias = [0.3, -0.2];
    graph.weight("w", &[2, 3, 2, 2], &weight);
    graph.weight("b", &[2], &bias);
    let y = graph.node("Conv", &["x", "w", "b"], vec![ints("kernel_shape", &[2, 2])]);
    graph.node_into("Relu", &[&y], &["y"], vec![]);
    graph.input("x", 3);
    graph.output("y", 2);
    let graph = graph.finish();
    let (x_grid, y_grid) =
        (Grid { scale: 0.01, zero_point: 128 }, Grid { scale: 0.02, zero_point: 0 });
    let grids = HashMap::from([("x".to_owned(), x_grid), ("y".to_owned(), y_grid)]);
    let rounded = qdq::rounded(&graph, &Plan::new(&graph, is_convolution), &grids);

    let picture: Vec<f32> = (0..12).map(|i| (i as f32 * 1.3).cos()).collect();
    let other = model(NetG::Fast, Norm::None, false);
    let mut session = session_of(&with(&other, rounded.clone()).encode_to_vec(), 0).unwrap();
    let input = TensorRef::from_array_view(([1i64, 3, 2, 2], picture.as_slice())).unwrap();
    let outputs = session.run(ort::inputs!["x" => input]).unwrap();
    let found = outputs["y"].try_extract_tensor::<f32>().unwrap().1;

    // Σ(q−z)·w + b in integers, then one rounding; a tie may fall either way.
    let x: Vec<i32> = picture.iter().map(|v| (v / 0.01).round_ties_even() as i32).collect();
    let x: Vec<i32> = x.into_iter().map(|q| q.clamp(-128, 127)).collect();
    let bytes = |name: &str| &rounded.initializer.iter().find(|t| t.name == name).unwrap().raw_data;
    let words = |name: &str| bytes(name).chunks_exact(4).map(|b| b.try_into().unwrap());
    let biases: Vec<i32> = words("b.quantised").map(i32::from_le_bytes).collect();
    let scales: Vec<f32> = words("w.scale").map(f32::from_le_bytes).collect();
    for out in 0..2 {
        let w = bytes("w.quantised")[out * 12..].iter().map(|&b| i32::from(b as i8));
        let sum = x.iter().zip(w).map(|(x, w)| x * w).sum::<i32>() + biases[out];
        let near = sum as f32 * 0.01 * scales[out];
        let rounded = (near / 0.02).round_ties_even().clamp(0.0, 255.0) * 0.02;
        assert!((found[out] - rounded).abs() < 0.0201, "{} {rounded}", found[out]);
        let exact: f32 = picture.iter().zip(&weight[out * 12..]).map(|(x, w)| x * w).sum();
        assert!((near - exact - bias[out]).abs() < 0.08, "{near} {exact}");
    }
}

#[test]
fn shuffles_pads_and_sums_stay_on_integers() {
    let model = model(NetG::Fast, Norm::None, true);
    let graph = model.graph.as_ref().unwrap();
    let plan = Plan::new(graph, is_convolution);
    for (i, node) in graph.node.iter().enumerate() {
        let residual = node.op_type == "Add" && node.output[0] != "output";
        let expected =
            residual || ["Conv", "Relu"].iter().chain(&MOVES).any(|op| *op == node.op_type);
        assert_eq!(plan.is_integer(i), expected, "{}", node.name);
    }
}

#[test]
fn the_heads_stay_in_float32_for_any_share() {
    for (net, mask_head) in [(NetG::Fast, true), (NetG::Fast, false), (NetG::Resnet6Blocks, true)] {
        let model = model(net, Norm::None, mask_head);
        let graph = model.graph.as_ref().unwrap();
        let names = heads(graph).into_iter().map(|i| &graph.node[i].input[1]);
        let expected = graph.node.iter().rfind(|n| is_convolution(n)).unwrap();
        assert_eq!(names.collect::<Vec<_>>(), [&expected.input[1]], "{net:?}");
    }
    let model = model(NetG::Fast, Norm::None, true);
    let quantised = quantise(&model, &references(&model), 0.0).unwrap();
    assert_eq!(quantised.kept, ["head"]);
    let graph = quantised.model.graph.unwrap();
    let read = |name: &str| graph.node.iter().any(|n| n.input.iter().any(|x| x == name));
    assert!(read("head.weight") && !read("head.weight.on_grid") && read("up.weight.on_grid"));
}

#[test]
fn the_layers_with_the_most_error_per_mac_stay_in_float32() {
    let candidates = || {
        let of = |(i, (macs, damage)): (usize, (f64, f64))| Candidate {
            name: format!("c{i}"),
            macs,
            damage,
        };
        let costs = [(2.0, 0.2), (4.0, 0.1), (90.0, 0.3), (4.0, 0.3)];
        costs.into_iter().enumerate().map(of).collect::<Vec<_>>()
    };
    assert_eq!(most_harmed(candidates(), 0.06), ["c0", "c3"]);
    assert_eq!(most_harmed(candidates(), 0.04), ["c0"]);
    assert!(most_harmed(candidates(), 0.0).is_empty());
    assert_eq!(most_harmed(candidates(), 1.0).len(), 4);
}
