// SPDX-License-Identifier: MIT OR Apache-2.0

//! Histograms of activations over calibration frames.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, Result, ensure};
use cyclegan_contract::onnx::{
    DataType, Message, ModelProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use ort::value::TensorRef;

use super::range::Histogram;
use crate::export::frames::Frame;

/// Runs a float32 model of ours on frames, and counts the values of the named tensors.
pub fn histograms(
    model: &ModelProto,
    tensors: &BTreeSet<&str>,
    frames: &[Frame],
    done: impl Fn(),
) -> Result<HashMap<String, Histogram>> {
    let mut exposed = model.clone();
    let graph = exposed.graph.as_mut().context("a model without a graph")?;
    let input = graph.input.first().context("a model without an input")?.name.clone();
    let names = tensors.iter().filter(|name| **name != input);
    graph.output = names.map(|name| float32(name)).collect();
    let mut session = crate::onnx_generator::session_of(&exposed.encode_to_vec(), 0)?;
    let mut histograms: HashMap<String, Histogram> = HashMap::new();
    for Frame { shape, values } in frames {
        let picture = TensorRef::from_array_view((shape.as_slice(), values.as_slice()))?;
        let outputs = session.run(ort::inputs![input.as_str() => picture])?;
        let mut count = |name: &str, values: &[f32]| {
            let finite = histograms.entry(name.to_owned()).or_default().add(values);
            ensure!(finite, "the generator gives values that are NaN or infinite");
            Ok(())
        };
        if tensors.contains(input.as_str()) {
            count(&input, values)?;
        }
        for (name, value) in &outputs {
            count(name, value.try_extract_tensor::<f32>()?.1)?;
        }
        done();
    }
    Ok(histograms)
}

/// Declares a float32 tensor of any shape.
fn float32(name: &str) -> ValueInfoProto {
    let tensor_type = TensorTypeProto { elem_type: DataType::Float as i32, shape: None };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto { tensor_type: Some(tensor_type) }),
    }
}
