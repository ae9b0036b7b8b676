// SPDX-License-Identifier: MIT OR Apache-2.0

//! Quantises the convolutions of a float32 generator to 8-bit integers; input and output stay float32.
//!
//! q = round(x / scale) + zero point. Activations have 8 bits, unsigned, with one scale per tensor, calibrated on
//! frames. Weights have 7 bits, signed, with one scale per output channel (Krishnamoorthi 2018, arXiv 1806.08342,
//! sections 2.1 and 3.1).

mod calibrate;
mod plan;
mod qdq;
mod range;
#[cfg(test)]
mod tests;
mod weights;

use std::collections::{BTreeSet, HashSet};

use anyhow::{Context, Result};
use cyclegan_contract::onnx::{GraphProto, Message, ModelProto, NodeProto};

use super::frames::References;
use crate::{onnx_generator::OnnxGenerator, progress};
use plan::Plan;

/// Number of frames on which the error of a single quantised layer is measured.
const DAMAGE_FRAMES: usize = 4;

/// A quantised generator.
#[derive(Debug)]
pub struct Quantised {
    /// The model.
    pub model: ModelProto,
    /// Names of the layers that stayed in float32.
    pub kept: Vec<String>,
}

/// A convolution that may be quantised.
struct Candidate {
    name: String,
    /// Multiply-accumulates, in the same unit for all candidates.
    macs: f64,
    /// Mean difference of the generator's output if only this convolution is quantised, grey levels.
    damage: f64,
}

/// Quantises a float32 model that `export` built. The convolutions that output image and mask stay in float32. Of
/// the others, those with the most error per multiply-accumulate stay in float32, up to `float_share` of the
/// multiply-accumulates.
pub fn quantise(
    model: &ModelProto,
    references: &References,
    float_share: f64,
) -> Result<Quantised> {
    let graph = model.graph.as_ref().context("a model without a graph")?;
    let heads: HashSet<&str> =
        plan::heads(graph).into_iter().map(|i| layer(&graph.node[i])).collect();
    let may_round = |node: &NodeProto| is_convolution(node) && !heads.contains(layer(node));
    let whole = Plan::new(graph, may_round);
    let tensors: BTreeSet<&str> = whole.tensors().collect();
    let rounded: Vec<&NodeProto> = graph.node.iter().filter(|n| may_round(n)).collect();
    let steps = references.frames.len() + rounded.len();
    let bar = progress::bar(steps, "calibrating int8 {bar:30} {pos}/{len}");
    let step = || bar.inc(1);

    let histograms = calibrate::histograms(model, &tensors, &references.frames, step)?;
    let grids = histograms.iter().map(|(name, values)| (name.clone(), values.grid())).collect();
    let mut candidates = Vec::new();
    for node in rounded {
        let alone = Plan::new(graph, |other| other.name == node.name);
        let model = with(model, qdq::rounded(graph, &alone, &grids));
        let mut generator = OnnxGenerator::from_bytes(&model.encode_to_vec(), 0)?;
        let damage = references.difference(&mut generator, DAMAGE_FRAMES)?.mean;
        let outputs = whole.output_of(node).and_then(|y| histograms.get(y)).map_or(0, |y| y.seen);
        let macs = outputs as f64 * macs_per_value(graph, node);
        candidates.push(Candidate { name: layer(node).to_owned(), macs, damage });
        step();
    }
    bar.finish_and_clear();

    let harmed = most_harmed(candidates, float_share);
    let is_kept = |n: &NodeProto| {
        is_convolution(n)
            && (heads.contains(layer(n)) || harmed.iter().any(|name| name == layer(n)))
    };
    let plan = Plan::new(graph, |n| is_convolution(n) && !is_kept(n));
    let model = with(model, qdq::rounded(graph, &plan, &grids));
    let kept = graph.node.iter().filter(|n| is_kept(n)).map(|n| layer(n).to_owned()).collect();
    Ok(Quantised { model, kept })
}

/// Names of the candidates with the most error per multiply-accumulate, up to `share` of the
/// multiply-accumulates of all candidates.
fn most_harmed(candidates: Vec<Candidate>, share: f64) -> Vec<String> {
    let mut left = share * candidates.iter().map(|c| c.macs).sum::<f64>();
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    let density = |i: &usize| candidates[*i].damage / candidates[*i].macs;
    order.sort_by(|a, b| density(b).total_cmp(&density(a)));
    let mut kept: Vec<usize> = Vec::new();
    for i in order {
        if candidates[i].macs <= left {
            left -= candidates[i].macs;
            kept.push(i);
        }
    }
    kept.into_iter().map(|i| candidates[i].name.clone()).collect()
}

fn is_convolution(node: &NodeProto) -> bool {
    node.op_type == "Conv"
}

/// The name of a convolution's layer: that of its weight without `.weight`.
fn layer(convolution: &NodeProto) -> &str {
    convolution.input[1].trim_end_matches(".weight")
}

/// Multiply-accumulates per output value of a convolution.
fn macs_per_value(graph: &GraphProto, node: &NodeProto) -> f64 {
    let weight = graph.initializer.iter().find(|tensor| tensor.name == node.input[1]);
    weight.map_or(0, |weight| weight.dims[1..].iter().product()) as f64
}

fn with(model: &ModelProto, graph: GraphProto) -> ModelProto {
    ModelProto { graph: Some(graph), ..model.clone() }
}
