// SPDX-License-Identifier: MIT OR Apache-2.0

//! Chooses the operators that run on integers, and the tensors that are quantised for them.
//!
//! A grid is the set of values that a quantised tensor can have, given by its scale and zero point.

use std::collections::{HashMap, HashSet};

use cyclegan_contract::onnx::{GraphProto, NodeProto};

/// The operators that only move the values of their first input.
pub const MOVES: [&str; 4] = ["Pad", "Reshape", "Transpose", "Unsqueeze"];

/// The operators that ONNX Runtime fuses into integer operators, for a choice of convolutions. These include the
/// activations that follow, sums of quantised tensors, and operators that only move values.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Indices of the nodes that run on integers.
    integer: HashSet<usize>,
    /// The quantised tensors, each with the tensor whose grid it has: operators that only move values keep the
    /// grid of their input.
    grid_of: HashMap<&'a str, &'a str>,
    /// The output of each quantised convolution, by the name of its node.
    output_of: HashMap<&'a str, &'a str>,
    /// The index of the node that outputs each tensor.
    maker: HashMap<&'a str, usize>,
}

/// Indices of the convolutions whose output is the image or the mask: a tanh or a sigmoid reads their output,
/// possibly after sums and operators that move values.
///
/// Their values are logits. Image and mask share one scale, and the logits of the mask have a range several times
/// as large, so 8 bits leave few levels for the image, which shows bands.
pub fn heads(graph: &GraphProto) -> HashSet<usize> {
    let makers = graph.node.iter().enumerate();
    let maker: HashMap<&str, usize> =
        makers.flat_map(|(i, node)| node.output.iter().map(move |o| (o.as_str(), i))).collect();
    let saturates = |node: &&NodeProto| ["Tanh", "Sigmoid"].contains(&node.op_type.as_str());
    let mut inputs: Vec<&String> =
        graph.node.iter().filter(saturates).flat_map(|node| &node.input).collect();
    let mut heads = HashSet::new();
    while let Some(tensor) = inputs.pop() {
        let Some(&i) = maker.get(tensor.as_str()) else {
            continue;
        };
        match graph.node[i].op_type.as_str() {
            "Conv" => {
                heads.insert(i);
            }
            "Split" | "Add" | "Resize" => inputs.extend(&graph.node[i].input),
            op if MOVES.contains(&op) => inputs.push(&graph.node[i].input[0]),
            _ => {}
        }
    }
    heads
}

impl<'a> Plan<'a> {
    /// A plan that quantises the convolutions for which `wanted` is true.
    pub fn new(graph: &'a GraphProto, wanted: impl Fn(&NodeProto) -> bool) -> Self {
        let mut maker = HashMap::new();
        let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (i, node) in graph.node.iter().enumerate() {
            maker.extend(node.output.iter().map(|o| (o.as_str(), i)));
            node.input.iter().for_each(|x| readers.entry(x).or_default().push(i));
        }
        let mut plan = Self {
            integer: HashSet::new(),
            grid_of: HashMap::new(),
            output_of: HashMap::new(),
            maker,
        };
        for (i, node) in graph.node.iter().enumerate() {
            let [x, y] = [&node.input, &node.output].map(|names| names[0].as_str());
            let on_grid = |tensor: &String| plan.grid_of.contains_key(tensor.as_str());
            match node.op_type.as_str() {
                "Conv" if wanted(node) => {
                    let only_reader = readers.get(y).filter(|r| r.len() == 1).map(|r| r[0]);
                    let is_relu =
                        |&r: &usize| ["Relu", "Clip"].contains(&graph.node[r].op_type.as_str());
                    let relu = only_reader.filter(is_relu);
                    let last = relu.unwrap_or(i);
                    let y = graph.node[last].output[0].as_str();
                    plan.integer.extend([i, last]);
                    plan.grid_of.entry(x).or_insert(x);
                    plan.grid_of.insert(y, y);
                    plan.output_of.insert(&node.name, y);
                }
                "Add" if node.input.iter().all(on_grid) => {
                    plan.integer.insert(i);
                    plan.grid_of.insert(y, y);
                }
                op if MOVES.contains(&op) && on_grid(&node.input[0]) => {
                    plan.integer.insert(i);
                    plan.grid_of.insert(y, plan.grid_of[x]);
                }
                _ => {}
            }
        }
        plan
    }

    /// Whether the node at an index runs on integers.
    pub fn is_integer(&self, node: usize) -> bool {
        self.integer.contains(&node)
    }

    /// The tensor whose grid a tensor has, or `None` if it is not quantised.
    pub fn grid_of(&self, tensor: &str) -> Option<&'a str> {
        self.grid_of.get(tensor).copied()
    }

    /// All quantised tensors.
    pub fn tensors(&self) -> impl Iterator<Item = &'a str> {
        self.grid_of.keys().copied()
    }

    /// The output of a quantised convolution, after the activation that is fused with it.
    pub fn output_of(&self, convolution: &NodeProto) -> Option<&'a str> {
        self.output_of.get(convolution.name.as_str()).copied()
    }

    /// Whether a tensor exists only in quantised form: it is the output of an integer operator.
    pub fn is_made_of_integers(&self, tensor: &str) -> bool {
        self.maker.get(tensor).is_some_and(|maker| self.is_integer(*maker))
    }
}
