// SPDX-License-Identifier: MIT OR Apache-2.0

//! Measures the cost of a generator.

use std::path::Path;

use anyhow::{Context, Result};
use cyclegan_contract::{
    ElementType, Metadata, decode,
    onnx::{DataType, Message},
};
use tch::{Device, Kind};

use crate::{
    costs::Cost,
    export::model::build,
    net::{
        cost::{macs, macs_at_output_size},
        generator::Generator,
        init::InitType,
        params::Params,
    },
    onnx_generator::OnnxGenerator,
};

/// The cost of a network at `side`×`side` pixels.
pub fn cost(generator: &Generator, side: u32) -> Result<Cost> {
    let at = u64::from(side);
    Ok(Cost {
        parameters: Some(generator.layout.weights() as u64),
        macs: Some(macs(&generator.layers, at, at)),
        macs_at_output_size: Some(macs_at_output_size(&generator.layers, at, at)),
        ms: milliseconds(generator, side)?,
    })
}

/// The cost of an ONNX file, as far as it can be measured.
pub fn cost_of_file(path: &Path, onnx: &mut OnnxGenerator, side: u32) -> Result<Cost> {
    let metadata = &onnx.about.metadata;
    let macs = metadata.macs.filter(|_| metadata.size == Some(side));
    let parameters = match metadata.parameters {
        Some(known) => Some(known),
        None => parameters(path)?,
    };
    Ok(Cost { parameters, macs, macs_at_output_size: None, ms: onnx.milliseconds(side)? })
}

/// Median time of a network at `side`×`side` pixels, exported and run by ONNX Runtime. The weights are
/// random; the time does not depend on them.
pub fn milliseconds(generator: &Generator, side: u32) -> Result<f64> {
    let params = Params::new(&generator.layout, InitType::Kaiming, 1.0, Device::Cpu);
    let (folded, weights) = generator.folded(params.weights(Kind::Float));
    let model = build(&folded, &weights, &Metadata::default(), ElementType::F32);
    OnnxGenerator::from_bytes(&model.encode_to_vec(), 0)?.milliseconds(side)
}

/// The number of floats in a file's initialisers.
fn parameters(path: &Path) -> Result<Option<u64>> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let graph = decode(&bytes)?.graph.unwrap_or_default();
    let float = [DataType::Float as i32, DataType::Float16 as i32];
    let floats = graph.initializer.iter().filter(|t| float.contains(&t.data_type));
    let count: i64 = floats.map(|t| t.dims.iter().product::<i64>()).sum();
    Ok(u64::try_from(count).ok().filter(|count| *count > 0))
}
