// SPDX-License-Identifier: MIT OR Apache-2.0

//! A graph in QDQ form: a `QuantizeLinear` and a `DequantizeLinear` after every quantised tensor, which
//! runtimes fuse with the operators between them into integer operators.

use std::collections::{HashMap, HashSet};

use cyclegan_contract::{
    ElementType,
    onnx::{DataType, GraphProto, NodeProto, TensorProto},
};

use super::{plan::Plan, range::Grid, weights::IntegerWeights};
use crate::export::graph::{GraphBuilder, int, little_endian};

/// The graph with quantised inputs and outputs of the operators of `plan`.
pub fn rounded(graph: &GraphProto, plan: &Plan<'_>, grids: &HashMap<String, Grid>) -> GraphProto {
    let floats = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let out = GraphBuilder::new(&graph.name, ElementType::F32);
    let mut writer = Writer { plan, grids, floats, out };
    graph.input.iter().for_each(|input| writer.round(&input.name));
    for (i, node) in graph.node.iter().enumerate() {
        writer.node(i, node);
        node.output.iter().for_each(|output| writer.round(output));
    }
    let mut out = writer.out.finish();
    let read: HashSet<&String> = out.node.iter().flat_map(|node| &node.input).collect();
    let still_read = graph.initializer.iter().filter(|tensor| read.contains(&tensor.name));
    out.initializer.extend(still_read.cloned());
    out.input.clone_from(&graph.input);
    out.output.clone_from(&graph.output);
    out
}

struct Writer<'a> {
    plan: &'a Plan<'a>,
    grids: &'a HashMap<String, Grid>,
    floats: HashMap<&'a str, &'a TensorProto>,
    out: GraphBuilder,
}

impl<'a> Writer<'a> {
    fn grid(&self, tensor: &str) -> Option<(&'a str, Grid)> {
        let source = self.plan.grid_of(tensor)?;
        Some((source, *self.grids.get(source)?))
    }

    /// Quantises and dequantises a tensor, if it has a grid.
    fn round(&mut self, tensor: &str) {
        let Some((source, grid)) = self.grid(tensor) else {
            return;
        };
        let [scale, zero] = ["scale", "zero_point"].map(|part| format!("{source}.grid_{part}"));
        if source == tensor {
            self.out.weight(&scale, &[], &[grid.scale]);
            self.out.initializer(&zero, &[], DataType::Uint8, vec![grid.zero_point]);
        }
        let [quantised, on_grid] = [format!("{tensor}.quantised"), on_grid(tensor)];
        self.out.node_into("QuantizeLinear", &[tensor, &scale, &zero], &[&quantised], vec![]);
        let inputs = [quantised.as_str(), &scale, &zero];
        self.out.node_into("DequantizeLinear", &inputs, &[&on_grid], vec![]);
    }

    /// Copies a node; an integer operator reads the dequantised tensors.
    fn node(&mut self, i: usize, node: &NodeProto) {
        let mut node = node.clone();
        let convolution = node.op_type == "Conv" && self.plan.is_integer(i);
        if let (true, Some((_, grid))) = (convolution, self.grid(&node.input[0])) {
            self.weights(&mut node, grid.scale);
        }
        for input in &mut node.input {
            let must_round = self.plan.is_integer(i) || self.plan.is_made_of_integers(input);
            if must_round && self.plan.grid_of(input).is_some() {
                *input = on_grid(input);
            }
        }
        self.out.copy(node);
    }

    /// Replaces weight and bias of a convolution by integers.
    fn weights(&mut self, node: &mut NodeProto, input_scale: f32) {
        let weight = self.floats[node.input[1].as_str()];
        let bias = node.input.get(2).map(|name| values(self.floats[name.as_str()]));
        let outs = weight.dims[0] as usize;
        let bias = bias.unwrap_or_default();
        let rounded = IntegerWeights::of(&values(weight), outs, &bias, input_scale);

        let (name, dims) = (&node.input[1], &weight.dims);
        let scale = self.out.weight(&format!("{name}.scale"), &dims[..1], &rounded.scale);
        let [quantised, zero] = ["quantised", "zero_point"].map(|part| format!("{name}.{part}"));
        self.out.initializer(&zero, &dims[..1], DataType::Int8, vec![0; outs]);
        let bytes = little_endian(&rounded.weight, |v| v.to_le_bytes());
        self.out.initializer(&quantised, dims, DataType::Int8, bytes);
        node.input[1] = on_grid(name);
        let inputs = [quantised.as_str(), &scale, &zero];
        self.per_channel(&inputs, &node.input[1]);

        if let Some(name) = node.input.get_mut(2) {
            let scale = format!("{name}.scale");
            self.out.weight(&scale, &dims[..1], &rounded.bias_scale);
            let quantised = format!("{name}.quantised");
            let bytes = little_endian(&rounded.bias, |v| v.to_le_bytes());
            self.out.initializer(&quantised, &dims[..1], DataType::Int32, bytes);
            *name = on_grid(name);
            self.per_channel(&[&quantised, &scale], name);
        }
    }

    /// Dequantises integers, each output channel with its own scale.
    fn per_channel(&mut self, inputs: &[&str], output: &str) {
        self.out.node_into("DequantizeLinear", inputs, &[output], vec![int("axis", 0)]);
    }
}

/// The name of a tensor after quantising and dequantising.
fn on_grid(tensor: &str) -> String {
    format!("{tensor}.on_grid")
}

fn values(tensor: &TensorProto) -> Vec<f32> {
    let floats = tensor.raw_data.chunks_exact(4);
    floats.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}
