// SPDX-License-Identifier: MIT OR Apache-2.0

//! A generator as an ONNX model under the contract.

use cyclegan_contract::{
    ElementType, Metadata,
    onnx::{GraphProto, ModelProto, OperatorSetIdProto},
};

use super::{
    graph::{GraphBuilder, int},
    layers,
};
use crate::net::{generator::Generator, layer::Layer, params::Weights};

/// IR version 8 belongs to opset 17, the oldest that has all we write.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;

/// An ONNX model.
pub fn build(
    generator: &Generator,
    weights: &Weights,
    metadata: &Metadata,
    element: ElementType,
) -> ModelProto {
    ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        producer_name: env!("CARGO_PKG_NAME").to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(graph(generator, weights, element)),
        metadata_props: metadata.to_props(),
    }
}

/// `input` N×3×H×W to `output` N×3×H×W and, with a mask head, `mask` N×1×H×W.
pub fn graph(generator: &Generator, weights: &Weights, element: ElementType) -> GraphProto {
    let mut graph = GraphBuilder::new("generator", element);
    graph.input(layers::PICTURE, 3);
    graph.output("output", 3);
    let (own, of_mask) = match generator.layers.split_last() {
        Some((Layer::AddToMask(body), own)) => (own, Some(body)),
        _ => (generator.layers.as_slice(), None),
    };
    let last = layers::add(&mut graph, own, weights, layers::PICTURE);
    if generator.shape.mask_head {
        graph.output("mask", 1);
        let added = of_mask.map(|body| {
            let logits = layers::add(&mut graph, body, weights, layers::PICTURE);
            layers::enlarged(&mut graph, &logits, &last)
        });
        composite(&mut graph, &last, added.as_deref());
    } else {
        graph.node_into("Tanh", &[&last], &["output"], vec![]);
    }
    graph.finish()
}

/// output = input + mask·(generated − input), where `added` is added to the logits of the mask.
fn composite(graph: &mut GraphBuilder, last: &str, added: Option<&str>) {
    let sizes = graph.integers("head.split", &[3, 1]);
    let [image, mask] = ["image_logits", "mask_logits"];
    graph.node_into("Split", &[last, &sizes], &[image, mask], vec![int("axis", 1)]);
    let generated = graph.node("Tanh", &[image], vec![]);
    let mask = added.map_or_else(|| mask.to_owned(), |a| graph.node("Add", &[mask, a], vec![]));
    graph.node_into("Sigmoid", &[&mask], &["mask"], vec![]);
    let change = graph.node("Sub", &[&generated, "input"], vec![]);
    let change = graph.node("Mul", &[&change, "mask"], vec![]);
    graph.node_into("Add", &["input", &change], &["output"], vec![]);
}
