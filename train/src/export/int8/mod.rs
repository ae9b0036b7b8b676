// SPDX-License-Identifier: MIT OR Apache-2.0

//! Quantises the convolutions of a float32 generator to 8-bit integers; input and output stay float32.
//!
//! q = round(x / scale) + zero point: activations unsigned with 8 bits, one scale for a tensor,
//! chosen on frames; weights signed with 7 bits around zero, one scale for an output channel
//! (Krishnamoorthi 2018, arXiv 1806.08342, sections 2.1 and 3.1).

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

/// Frames on which the damage of a single layer is measured.
const DAMAGE_FRAMES: usize = 4;

/// A generator on integers.
#[derive(Debug)]
pub struct Quantised {
    /// The model.
    pub model: ModelProto,
    /// Names of the layers that stayed in float32.
    pub kept: Vec<String>,
}

/// A convolution that may run on integers.
struct Candidate {
    name: String,
    /// Multiply-accumulates, in a unit that is the same for all.
    macs: f64,
    /// Mean difference of the picture when nothing else is rounded, grey levels.
    damage: f64,
}

/// Quantises a float32 model of ours. The convolutions that make picture and mask stay in float32,
/// and of the others those that int8 harms most for the arithmetic in them, as many as have no more
/// than `float_share` of all arithmetic.
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

/// Names of the candidates with the most damage for their arithmetic, whose share of that of all
/// candidates is no more than `share`.
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

/// The name of a convolution's layer, as its weight has it.
fn layer(convolution: &NodeProto) -> &str {
    convolution.input[1].trim_end_matches(".weight")
}

/// Multiply-accumulates for each value that a convolution puts out.
fn macs_per_value(graph: &GraphProto, node: &NodeProto) -> f64 {
    let weight = graph.initializer.iter().find(|tensor| tensor.name == node.input[1]);
    weight.map_or(0, |weight| weight.dims[1..].iter().product()) as f64
}

fn with(model: &ModelProto, graph: GraphProto) -> ModelProto {
    ModelProto { graph: Some(graph), ..model.clone() }
}
