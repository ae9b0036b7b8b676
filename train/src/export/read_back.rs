// SPDX-License-Identifier: MIT OR Apache-2.0

//! The weights of exported files: another run begins with them, or is averaged with them.

use std::{collections::HashMap, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use cyclegan_contract::{
    Direction, Generator as Contract, Precision, file_name,
    onnx::{DataType, GraphProto, Message, ModelProto, NodeProto, TensorProto},
};
use tch::{Kind, Tensor};

use super::{graph::Element, model};
use crate::net::{build::Norm, generator::Generator, params::Params};

/// Puts the weights of G.onnx and F.onnx in `folder` into the parameters of such networks.
///
/// Fails for files of another architecture, and for files that another program exported.
pub fn pair(folder: &Path, networks: &[Generator; 2], params: [&Params; 2]) -> Result<()> {
    ensure!(
        !matches!(networks[0].shape.norm, Norm::Batch | Norm::Frozen),
        "exported files have such a normalisation folded into their convolutions: this needs a run \
         with --norm none or instance"
    );
    for (direction, (network, params)) in
        Direction::BOTH.into_iter().zip(networks.iter().zip(params))
    {
        let path = folder.join(file_name(direction, Precision::Fp32));
        one(&path, network, params).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn one(path: &Path, network: &Generator, params: &Params) -> Result<()> {
    let found = graph(path)?;
    let weights = params.weights(Kind::Float);
    same_architecture(&found, &model::graph(network, &weights, Element::F32))?;
    let found: HashMap<_, _> = found.initializer.iter().map(|t| (t.name.as_str(), t)).collect();
    params.fill(|name| values(found.get(name).context("a weight is missing")?))
}

/// The graph of a file under the contract.
pub(super) fn graph(path: &Path) -> Result<GraphProto> {
    let bytes =
        fs::read(path).context("expected a folder that `export` wrote, with G.onnx and F.onnx")?;
    Contract::check(&bytes, path.parent().unwrap_or(path))?;
    Ok(ModelProto::decode(bytes.as_slice())?.graph.unwrap_or_default())
}

/// Two graphs are of one architecture when they are equal in all but the weights' values.
fn same_architecture(found: &GraphProto, expected: &GraphProto) -> Result<()> {
    let weight = |t: &TensorProto| format!("{} {:?}", t.name, t.dims);
    let weights = |g: &GraphProto| g.initializer.iter().map(weight).collect::<Vec<_>>();
    differing("weight", &weights(found), &weights(expected))?;
    let node = |n: &NodeProto| format!("{} {} of {}", n.op_type, n.name, n.input.join(", "));
    let nodes = |g: &GraphProto| g.node.iter().map(node).collect::<Vec<_>>();
    differing("node", &nodes(found), &nodes(expected))?;
    ensure!(found.node == expected.node, "another architecture: its nodes have other attributes");
    Ok(())
}

fn differing(what: &str, found: &[String], expected: &[String]) -> Result<()> {
    let longest = found.len().max(expected.len());
    let Some(i) = (0..longest).find(|&i| found.get(i) != expected.get(i)) else {
        return Ok(());
    };
    let said = |list: &[String]| list.get(i).map_or("none".to_owned(), |l| format!("`{l}`"));
    bail!(
        "another architecture: {what} {} is {}, the run's options ask for {}; it needs \
         those that the file was trained with",
        i + 1,
        said(found),
        said(expected)
    )
}

fn values(tensor: &TensorProto) -> Result<Tensor> {
    let name = &tensor.name;
    let bytes = 4 * tensor.dims.iter().product::<i64>() as usize;
    ensure!(
        tensor.data_type == DataType::Float as i32 && tensor.raw_data.len() == bytes,
        "weight `{name}` is not raw float32, expected a file that `export` wrote"
    );
    Ok(Tensor::f_from_data_size(&tensor.raw_data, &tensor.dims, Kind::Float)?)
}
