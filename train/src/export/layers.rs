// SPDX-License-Identifier: MIT OR Apache-2.0

//! The layers of a network as ONNX operators.

use super::graph::{GraphBuilder, float, int, ints, string};
use crate::{
    net::{
        layer::{AffineNorm, Conv, ConvTranspose, Layer, NORM_EPS},
        params::{ParamId, Weights},
    },
    pixels,
};

/// The name of the network's input.
pub const PICTURE: &str = "input";

/// Adds layers one after another, from the value named `x`; returns the name of the last.
pub fn add(graph: &mut GraphBuilder, layers: &[Layer], weights: &Weights, x: &str) -> String {
    let mut value = x.to_owned();
    let mut stored = None;
    for layer in layers {
        value = match (layer, &stored) {
            (Layer::Store, _) => {
                stored = Some(value.clone());
                value
            }
            (Layer::EnlargeToStored, Some(kept)) => enlarged(graph, &value, kept),
            (Layer::AddStored(conv), Some(kept)) => {
                let scaled = convolution(graph, conv, weights, kept);
                graph.node("Add", &[&value, &scaled], vec![])
            }
            _ => add_one(graph, layer, weights, &value),
        };
    }
    value
}

fn add_one(graph: &mut GraphBuilder, layer: &Layer, w: &Weights, x: &str) -> String {
    match layer {
        Layer::ReflectPad(n) => {
            let pads = graph.integers(&format!("{x}.pads{n}"), &[0, 0, *n, *n, 0, 0, *n, *n]);
            graph.node("Pad", &[x, &pads], vec![string("mode", "reflect")])
        }
        Layer::Conv(conv) => convolution(graph, conv, w, x),
        Layer::ConvTranspose(conv) => transposed(graph, conv, w, x),
        Layer::InstanceNorm(channels) => {
            let dims = [*channels];
            let scale = graph.weight(&format!("{x}.scale"), &dims, &vec![1.0; dims[0] as usize]);
            let bias = graph.weight(&format!("{x}.shift"), &dims, &vec![0.0; dims[0] as usize]);
            let epsilon = vec![float("epsilon", NORM_EPS as f32)];
            graph.node("InstanceNormalization", &[x, &scale, &bias], epsilon)
        }
        Layer::BatchNorm(_) => unreachable!("folded into the convolution before it"),
        Layer::AddToMask(_) => unreachable!("the last layer, which the composition adds"),
        Layer::AffineInstanceNorm(norm) => affine_norm(graph, norm, w, x),
        Layer::Relu => graph.node("Relu", &[x], vec![]),
        Layer::Relu6 => {
            let bounds = [0.0, 6.0].map(|bound| graph.number(bound));
            graph.node("Clip", &[x, &bounds[0], &bounds[1]], vec![])
        }
        Layer::AveragePool(n) => {
            let attributes = vec![ints("kernel_shape", &[*n; 2]), ints("strides", &[*n; 2])];
            graph.node("AveragePool", &[x], attributes)
        }
        Layer::LeakyRelu(slope) => {
            graph.node("LeakyRelu", &[x], vec![float("alpha", *slope as f32)])
        }
        Layer::GlobalMean => graph.node("GlobalAveragePool", &[x], vec![]),
        Layer::PixelShuffle(r) => pixel_shuffle(graph, *r, x),
        Layer::Dropout(_) | Layer::Store | Layer::AddStored(_) | Layer::EnlargeToStored => {
            x.to_owned()
        }
        Layer::Residual(body) => {
            let branch = add(graph, body, w, x);
            graph.node("Add", &[x, &branch], vec![])
        }
        Layer::Skip(body) => {
            let branch = add(graph, body, w, x);
            graph.node("Concat", &[x, &branch], vec![int("axis", 1)])
        }
        Layer::Sum(branches) => {
            let ends: Vec<String> = branches.iter().map(|b| add(graph, b, w, x)).collect();
            // Sums of two tensors: the runtime fuses each with the convolution before it.
            let sum = ends.into_iter().reduce(|a, b| graph.node("Add", &[&a, &b], vec![]));
            sum.unwrap_or_else(|| graph.node("Sub", &[x, x], vec![]))
        }
    }
}

/// The inputs of a layer's node: its input, its weight and its bias if it has one.
fn inputs(
    graph: &mut GraphBuilder,
    weight: ParamId,
    bias: Option<ParamId>,
    w: &Weights,
    x: &str,
) -> Vec<String> {
    let mut inputs = vec![x.to_owned(), tensor(graph, weight, w)];
    inputs.extend(bias.map(|bias| tensor(graph, bias, w)));
    inputs
}

fn affine_norm(graph: &mut GraphBuilder, norm: &AffineNorm, w: &Weights, x: &str) -> String {
    let inputs = inputs(graph, norm.scale, Some(norm.shift), w, x);
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    graph.node("InstanceNormalization", &inputs, vec![float("epsilon", NORM_EPS as f32)])
}

fn convolution(graph: &mut GraphBuilder, conv: &Conv, w: &Weights, x: &str) -> String {
    let inputs = inputs(graph, conv.weight, conv.bias, w, x);
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let [before, after] = conv.padding;
    let attributes = vec![
        ints("kernel_shape", &[conv.kernel; 2]),
        ints("strides", &[conv.stride; 2]),
        ints("pads", &[before, before, after, after]),
        int("group", conv.groups),
    ];
    graph.node("Conv", &inputs, attributes)
}

/// C·r²×H×W to C×H·r×W·r. ONNX Runtime's CPU provider takes less than half as long for these two transpositions as
/// for one `DepthToSpace`: the first moves whole rows, and the second is that of one matrix of r rows.
fn pixel_shuffle(graph: &mut GraphBuilder, r: i64, x: &str) -> String {
    let integers = |graph: &mut GraphBuilder, name: &str, values: &[i64]| {
        graph.integers(&format!("{x}.{name}"), values)
    };
    // In the sizes of `Reshape`, 0 keeps a dimension and −1 takes what is left.
    let split = integers(graph, "split", &[0, -1, r, r, 0, 0]);
    let matrix = integers(graph, "matrix", &[0, r, -1]);
    let axes = integers(graph, "axes", &[1, 2]);
    let [times, over] = [("times", [1, 1, r, r]), ("over", [1, r * r, 1, 1])]
        .map(|(name, values)| integers(graph, name, &values));
    let parts = graph.node("Unsqueeze", &[x, &axes], vec![]);
    let parts = graph.node("Reshape", &[&parts, &split], vec![]);
    let rows = graph.node("Transpose", &[&parts], vec![ints("perm", &[0, 3, 1, 4, 2, 5])]);
    let matrix = graph.node("Reshape", &[&rows, &matrix], vec![]);
    let pixels = graph.node("Transpose", &[&matrix], vec![ints("perm", &[0, 2, 1])]);
    let size = graph.node("Shape", &[x], vec![]);
    let size = graph.node("Mul", &[&size, &times], vec![]);
    let size = graph.node("Div", &[&size, &over], vec![]);
    graph.node("Reshape", &[&pixels, &size], vec![])
}

/// The value `x` at the size of `like`.
pub fn enlarged(graph: &mut GraphBuilder, x: &str, like: &str) -> String {
    let [channels, sides] = [(x, 0, 2), (like, 2, 4)].map(|(value, start, end)| {
        graph.node("Shape", &[value], vec![int("start", start), int("end", end)])
    });
    let size = graph.node("Concat", &[&channels, &sides], vec![int("axis", 0)]);
    let attributes =
        vec![string("mode", "linear"), string("coordinate_transformation_mode", "half_pixel")];
    graph.node("Resize", &[x, "", "", &size], attributes)
}

fn transposed(graph: &mut GraphBuilder, conv: &ConvTranspose, w: &Weights, x: &str) -> String {
    let inputs = inputs(graph, conv.weight, conv.bias, w, x);
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let attributes = vec![
        ints("kernel_shape", &[conv.kernel; 2]),
        ints("strides", &[conv.stride; 2]),
        ints("pads", &[conv.padding; 4]),
        ints("output_padding", &[conv.output_padding; 2]),
    ];
    graph.node("ConvTranspose", &inputs, attributes)
}

/// A parameter under its own name, by which `--init-from` finds it.
fn tensor(graph: &mut GraphBuilder, id: ParamId, w: &Weights) -> String {
    let tensor = &w[id];
    graph.weight(w.name(id), &tensor.size(), &pixels::floats(tensor))
}
