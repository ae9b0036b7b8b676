// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reads the weights of exported files, to start or average a run with them.

use std::{collections::HashMap, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use cyclegan_contract::{
    Direction, ElementType, Generator as Contract, Precision, file_name,
    onnx::{DataType, GraphProto, Message, ModelProto, NodeProto, TensorProto},
};
use tch::{Device, Kind};

use super::model;
use crate::net::{
    build::Norm,
    frozen::values,
    generator::{Generator, GeneratorShape},
    init::InitType,
    params::Params,
};

/// Reads the weights of the files of `directions` in `folder` into the parameters of `networks`.
///
/// # Errors
/// For files of another architecture or from another program.
pub fn pair(
    folder: &Path,
    directions: &[Direction],
    networks: &[Generator; 2],
    params: [&Params; 2],
) -> Result<()> {
    ensure!(
        !matches!(networks[0].shape.norm, Norm::Batch | Norm::Frozen),
        "exported files have such a normalisation folded into their convolutions: this needs a run \
         with --norm none or instance"
    );
    for &direction in directions {
        let path = folder.join(file_name(direction, Precision::Fp32));
        let i = direction as usize;
        one(&path, &networks[i], params[i]).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn one(path: &Path, network: &Generator, params: &Params) -> Result<()> {
    let found = graph(path)?;
    let names: HashMap<_, _> = found.initializer.iter().map(|t| (t.name.as_str(), t)).collect();
    // The files may lack what an option adds to a pair.
    let has = |path: &str| names.keys().any(|name| name.starts_with(path));
    let context = network.shape.context && has("context.");
    let skip = network.shape.skip && has("skip.");
    let blur = network.shape.blur && has("blur.");
    let backbone = network.shape.backbone && has("backbone.");
    let shape = GeneratorShape { context, skip, blur, backbone, ..network.shape.clone() };
    let without = Generator::new(shape);
    let expected = Params::new(&without.layout, InitType::Normal, 1.0, Device::Cpu);
    let expected = model::graph(&without, &expected.weights(Kind::Float), ElementType::F32);
    same_architecture(&found, &expected)?;
    params.fill(|name| match (names.get(name), params.get(name)) {
        (Some(tensor), _) => values(tensor)?.with_context(|| {
            format!("weight {name} is not float32, expected a file that `export` wrote")
        }),
        (None, Some(own)) => Ok(own.detach().copy()),
        (None, None) => bail!("no weight {name}"),
    })
}

/// The graph of a file under the contract.
fn graph(path: &Path) -> Result<GraphProto> {
    let bytes =
        fs::read(path).context("expected a folder that `export` wrote, with G.onnx and F.onnx")?;
    Contract::check(&bytes, path.parent().unwrap_or(path))?;
    Ok(ModelProto::decode(bytes.as_slice())?.graph.unwrap_or_default())
}

/// The operators that compute. The others move and combine values: the shipped pairs have them in another order, and
/// other names for their constants.
const COMPUTES: [&str; 8] = [
    "Clip",
    "Conv",
    "ConvTranspose",
    "InstanceNormalization",
    "LeakyRelu",
    "Relu",
    "Sigmoid",
    "Tanh",
];

/// Two graphs have the same architecture if they differ only in the weights' values and in how values are moved.
fn same_architecture(found: &GraphProto, expected: &GraphProto) -> Result<()> {
    let is_weight = |t: &&TensorProto| t.data_type != DataType::Int64 as i32;
    let weight = |t: &TensorProto| format!("{} {:?}", t.name, t.dims);
    let weights =
        |g: &GraphProto| g.initializer.iter().filter(is_weight).map(weight).collect::<Vec<_>>();
    differing("weight", &weights(found), &weights(expected))?;
    let [found, expected] = [found, expected].map(|graph| {
        let computes = |node: &&NodeProto| COMPUTES.contains(&node.op_type.as_str());
        graph.node.iter().filter(computes).collect::<Vec<_>>()
    });
    let node = |n: &&NodeProto| format!("{} of {}", n.op_type, n.input[1..].join(", "));
    let nodes = |nodes: &[&NodeProto]| nodes.iter().map(node).collect::<Vec<_>>();
    differing("node", &nodes(&found), &nodes(&expected))?;
    ensure!(
        found.iter().zip(&expected).all(|(a, b)| a.attribute == b.attribute),
        "another architecture: its nodes have other attributes"
    );
    Ok(())
}

fn differing(what: &str, found: &[String], expected: &[String]) -> Result<()> {
    let longest = found.len().max(expected.len());
    let Some(i) = (0..longest).find(|&i| found.get(i) != expected.get(i)) else {
        return Ok(());
    };
    let said = |list: &[String]| list.get(i).map_or("none".to_owned(), |l| format!("`{l}`"));
    bail!(
        "another architecture: {what} {} is {}, but the run's options need {}; it needs \
         those that the file was trained with",
        i + 1,
        said(found),
        said(expected)
    )
}

#[cfg(test)]
mod tests {
    use cyclegan_contract::Metadata;
    use tch::{Tensor, no_grad};

    use super::*;
    use crate::{
        cyclegan::{CycleGan, network_state::NetworkState},
        noise::noise,
        options::{GeneratorName, TrainOptions},
    };

    fn read(folder: &Path, model: &CycleGan) -> Result<()> {
        let params = model.generators.each_ref().map(|g| &g.params);
        pair(folder, &Direction::BOTH, &model.networks, params)
    }

    #[test]
    fn added_paths_start_with_no_effect() {
        let backbone = Some("lite1.onnx".into());
        for (with, last) in [
            (TrainOptions { context: true, ..TrainOptions::default() }, "context.2.weight"),
            (TrainOptions { skip: true, ..TrainOptions::default() }, "skip.weight"),
            (TrainOptions { backbone, ..TrainOptions::default() }, "seen.mask.bias"),
        ] {
            added_as_nothing(&with, last);
        }
    }

    #[test]
    fn the_shipped_pairs_are_read() {
        for name in ["apple2orange", "horse2zebra", "summer2autumn"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name);
            let networks = Direction::BOTH.map(|direction| {
                let file = Contract::read(&folder.join(file_name(direction, Precision::Fp32)));
                let shape = file.unwrap().metadata.shape.unwrap();
                Generator::new(GeneratorShape::from_json(&shape).unwrap())
            });
            let random = |n: &Generator| Params::new(&n.layout, InitType::Normal, 1.0, Device::Cpu);
            let params = networks.each_ref().map(random);
            pair(&folder, &Direction::BOTH, &networks, params.each_ref()).expect(name);
        }
    }

    /// A low-pass filter has no weights to train, and the others are as before.
    #[test]
    fn a_low_pass_filter_is_added_with_its_own_weights() {
        let old = CycleGan::new(&small(TrainOptions::default()), Device::Cpu).unwrap();
        let folder = exported(&old);
        let with =
            TrainOptions { seed: 4, blur: vec![GeneratorName::G], ..TrainOptions::default() };
        let new = CycleGan::new(&small(with), Device::Cpu).unwrap();
        read(folder.path(), &new).unwrap();
        let [old, new] = [&old, &new].map(|model| &model.generators[0].params);
        let filter = new.get("blur.weight").unwrap();
        assert!(!filter.requires_grad());
        assert_eq!(
            filter.sum_dim_intlist([1i64, 2, 3].as_slice(), false, Kind::Float),
            Tensor::ones([4], tch::kind::FLOAT_CPU)
        );
        for name in ["stem.weight", "down.weight", "head.bias"] {
            assert_eq!(old.get(name), new.get(name), "{name}");
        }
    }

    fn small(options: TrainOptions) -> TrainOptions {
        TrainOptions { ngf: Some(4), width: 8, blocks: 3, ndf: 4, mask_head: true, ..options }
    }

    fn exported(model: &CycleGan) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (i, direction) in Direction::BOTH.into_iter().enumerate() {
            let weights = model.generators[i].averaged().weights(Kind::Float);
            let metadata = Metadata { direction: Some(direction), ..Metadata::default() };
            let model = model::build(&model.networks[i], &weights, &metadata, ElementType::F32);
            let name = file_name(direction, Precision::Fp32);
            fs::write(folder.path().join(name), model.encode_to_vec()).unwrap();
        }
        folder
    }

    fn added_as_nothing(with: &TrainOptions, last: &str) {
        let options =
            |added: bool| small(if added { with.clone() } else { TrainOptions::default() });
        let old = CycleGan::new(&options(false), Device::Cpu).unwrap();
        let folder = exported(&old);
        let seeded = TrainOptions { seed: 4, ..options(true) };
        let mut new = CycleGan::new(&seeded, Device::Cpu).unwrap();
        read(folder.path(), &new).unwrap();
        new.generators.iter_mut().for_each(NetworkState::restart_average);
        let x = noise(1, &[2, 3, 32, 48]);
        for i in 0..2 {
            let run = |model: &CycleGan| {
                let weights = model.generators[i].averaged().weights(Kind::Float);
                no_grad(|| model.networks[i].forward(&weights, &x, Kind::Float, false).image)
            };
            assert_eq!(run(&old), run(&new));
            // The added path is trainable: its last weight has a gradient.
            let weights = new.generators[i].params.weights(Kind::Float);
            let loss = new.networks[i].forward(&weights, &x, Kind::Float, true).image;
            let last = new.generators[i].params.get(last).unwrap();
            let loss = loss.sum(Kind::Float);
            let gradient = Tensor::run_backward(&[loss], &[last], false, false).remove(0);
            assert!(gradient.abs().max().double_value(&[]) > 0.0);
        }
        // The reverse is refused, because it would lose weights.
        let without = CycleGan::new(&options(false), Device::Cpu).unwrap();
        let weights = new.generators[0].averaged().weights(Kind::Float);
        let model =
            model::build(&new.networks[0], &weights, &Metadata::default(), ElementType::F32);
        fs::write(folder.path().join("G.onnx"), model.encode_to_vec()).unwrap();
        let error = format!("{:#}", read(folder.path(), &without).unwrap_err());
        let path =
            if with.backbone.is_some() { "backbone." } else { last.split_once('.').unwrap().0 };
        assert!(error.contains(path), "{error}");
    }
}
