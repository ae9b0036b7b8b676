// SPDX-License-Identifier: MIT OR Apache-2.0

//! The features of a pretrained ONNX network at several depths, in libtorch, so that gradients flow through it
//! to the image. Its weights are not trained.

use std::{collections::HashMap, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use cyclegan_contract::{
    decode,
    onnx::{DataType, ModelProto, NodeProto, TensorProto},
};
use tch::{Device, Kind, Tensor, no_grad};

use super::layer::NORM_EPS;

/// The maximum number of depths, each with the last features of one size.
const DEPTHS: usize = 4;
/// Side of the first test image, pixels.
const TRIAL_SIDE: i64 = 64;

/// A truncated network.
#[derive(Debug)]
pub struct Frozen {
    input: String,
    nodes: Vec<Node>,
    weights: HashMap<String, Tensor>,
    /// The tensors that are used, in order.
    taps: Vec<String>,
    /// Channels of each.
    pub channels: Vec<i64>,
}

#[derive(Debug)]
struct Node {
    op: Op,
    inputs: Vec<String>,
    output: String,
}

#[derive(Debug)]
enum Op {
    /// Padding: top, left, bottom, right.
    Conv {
        stride: [i64; 2],
        dilation: [i64; 2],
        pads: [i64; 4],
        groups: i64,
    },
    BatchNorm(f64),
    Relu,
    LeakyRelu(f64),
    /// The bounds, if they are attributes.
    Clip(Option<f64>, Option<f64>),
    Sigmoid,
    Add,
    Mul,
    GlobalMean,
    MaxPool {
        kernel: [i64; 2],
        stride: [i64; 2],
        pads: [i64; 4],
    },
    Same,
}

impl Frozen {
    /// Reads a network with input N×3×H×W in [−1, 1], up to the first unknown operator. Known are convolutions, batch
    /// normalisation, ReLU and its variants, sigmoid, sums and products, and pooling.
    ///
    /// # Errors
    /// If this gives features at fewer than two sizes.
    pub fn read(path: &Path, device: Device) -> Result<Self> {
        let read = || Self::of(decode(&fs::read(path)?)?, device);
        read().with_context(|| path.display().to_string())
    }

    fn of(model: ModelProto, device: Device) -> Result<Self> {
        let graph = model.graph.context("it has no graph, expected an ONNX network")?;
        let mut weights = HashMap::new();
        for tensor in &graph.initializer {
            if let Some(value) = values(tensor)? {
                weights.insert(tensor.name.clone(), value.to_device(device));
            }
        }
        let input = graph.input.iter().find(|i| !weights.contains_key(&i.name));
        let input = input.context("no input")?.name.clone();
        let (mut nodes, mut unknown) = (Vec::new(), None);
        for node in &graph.node {
            if node.op_type == "Constant" {
                let value = node.attribute.iter().find_map(|a| a.t.as_ref());
                if let Some(value) = value.map(values).transpose()?.flatten() {
                    weights.insert(node.output[0].clone(), value.to_device(device));
                }
                continue;
            }
            match op(node)? {
                Some(op) => nodes.push(Node {
                    op,
                    inputs: node.input.clone(),
                    output: node.output[0].clone(),
                }),
                None => {
                    unknown = Some(node.op_type.clone());
                    break;
                }
            }
        }
        let mut network = Self { input, nodes, weights, taps: Vec::new(), channels: Vec::new() };
        network.find_depths(device)?;
        ensure!(
            network.taps.len() > 1,
            "features at {} scales, expected at least 2, and an input N×3×H×W{}",
            network.taps.len(),
            unknown.map_or(String::new(), |op| format!(
                "; the first operator that it cannot read is {op}"
            ))
        );
        Ok(network)
    }

    /// Takes the last features of each of the smallest sizes.
    fn find_depths(&mut self, device: Device) -> Result<()> {
        let x = Tensor::zeros([1, 3, TRIAL_SIDE, TRIAL_SIDE], (Kind::Float, device));
        let mut sizes: Vec<(i64, String, i64)> = Vec::new();
        no_grad(|| {
            self.run(&x, &mut |name, value| {
                let size = value.size();
                if size.len() != 4 || size[2] < 2 || size[2] > TRIAL_SIDE / 2 {
                    return;
                }
                let found = (size[2], name.to_owned(), size[1]);
                match sizes.iter_mut().find(|known| known.0 == size[2]) {
                    Some(known) => *known = found,
                    None => sizes.push(found),
                }
            })
        })?;
        let taken = sizes.split_off(sizes.len().saturating_sub(DEPTHS));
        (self.taps, self.channels) = taken.into_iter().map(|(_, name, c)| (name, c)).unzip();
        let last = self.nodes.iter().rposition(|node| self.taps.contains(&node.output));
        self.nodes.truncate(last.map_or(0, |last| last + 1));
        Ok(())
    }

    /// Features N×C×h×w of N×3×H×W in [−1, 1], the shallowest first. Gradients flow to `x`.
    pub fn features(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        let mut found: Vec<Option<Tensor>> = self.taps.iter().map(|_| None).collect();
        self.run(x, &mut |name, value| {
            if let Some(k) = self.taps.iter().position(|tap| tap == name) {
                found[k] = Some(value.shallow_clone());
            }
        })?;
        found.into_iter().map(|value| value.context("features that `read` has found")).collect()
    }

    /// The value of the tensor `of` for N×3×H×W.
    #[cfg(test)]
    pub fn value(&self, of: &str, x: &Tensor) -> Option<Tensor> {
        let mut found = None;
        let mut see = |name: &str, value: &Tensor| {
            if name == of {
                found = Some(value.shallow_clone());
            }
        };
        self.run(x, &mut see).ok()?;
        found
    }

    fn run(&self, x: &Tensor, see: &mut dyn FnMut(&str, &Tensor)) -> Result<()> {
        let mut values: HashMap<&str, Tensor> = HashMap::new();
        values.insert(&self.input, x.shallow_clone());
        for node in &self.nodes {
            let output = {
                let input = |k: usize| -> Result<&Tensor> {
                    let name = node.inputs.get(k).map(String::as_str).unwrap_or_default();
                    let value = values.get(name).or_else(|| self.weights.get(name));
                    value.with_context(|| format!("no value `{name}` for `{}`", node.output))
                };
                node.op.run(&input).with_context(|| format!("node `{}`", node.output))?
            };
            see(&node.output, &output);
            values.insert(&node.output, output);
        }
        Ok(())
    }
}

impl Op {
    fn run<'a>(&self, input: &impl Fn(usize) -> Result<&'a Tensor>) -> Result<Tensor> {
        let x = input(0)?;
        let bound = |known: Option<f64>, k: usize| {
            known.or_else(|| input(k).ok().map(|t| t.reshape([-1]).double_value(&[0])))
        };
        Ok(match self {
            Self::Conv { stride, dilation, pads, groups } => {
                let (x, pads) = padded(x, *pads, 0.0)?;
                x.f_conv2d(input(1)?, input(2).ok(), stride, pads, dilation, *groups)?
            }
            Self::BatchNorm(epsilon) => x.f_batch_norm(
                Some(input(1)?),
                Some(input(2)?),
                Some(input(3)?),
                Some(input(4)?),
                false,
                0.0,
                *epsilon,
                false,
            )?,
            Self::Relu => x.relu(),
            Self::LeakyRelu(slope) => x.relu() - (-x).relu() * *slope,
            Self::Clip(least, most) => {
                let x = bound(*least, 1).map_or_else(|| x.shallow_clone(), |b| x.clamp_min(b));
                bound(*most, 2).map_or_else(|| x.shallow_clone(), |b| x.clamp_max(b))
            }
            Self::Sigmoid => x.sigmoid(),
            Self::Add => x.f_add(input(1)?)?,
            Self::Mul => x.f_mul(input(1)?)?,
            Self::GlobalMean => x.f_mean_dim([2i64, 3].as_slice(), true, x.kind())?,
            Self::MaxPool { kernel, stride, pads } => {
                let (x, pads) = padded(x, *pads, f64::NEG_INFINITY)?;
                x.f_max_pool2d(kernel, stride, pads, [1, 1], false)?
            }
            Self::Same => x.shallow_clone(),
        })
    }
}

/// `x` with the padding that libtorch's operators do not support, and the padding that remains for them.
fn padded(x: &Tensor, pads: [i64; 4], value: f64) -> Result<(Tensor, [i64; 2])> {
    let [top, left, bottom, right] = pads;
    if top == bottom && left == right {
        return Ok((x.shallow_clone(), [top, left]));
    }
    Ok((x.f_pad([left, right, top, bottom], "constant", value)?, [0, 0]))
}

/// The operator of a node; `None` for an unknown one.
fn op(node: &NodeProto) -> Result<Option<Op>> {
    let attribute = |name: &str| node.attribute.iter().find(|a| a.name == name);
    let int = |name: &str, usual: i64| attribute(name).map_or(usual, |a| a.i);
    let float = |name: &str| attribute(name).map(|a| f64::from(a.f));
    let pair = |name: &str| -> Result<[i64; 2]> {
        let found = attribute(name).map_or(&[1, 1][..], |a| &a.ints);
        found.try_into().with_context(|| format!("{name} of `{}`, expected two", node.name))
    };
    let pads = || -> Result<[i64; 4]> {
        let auto = attribute("auto_pad").map(|a| a.s.as_slice()).unwrap_or_default();
        if !matches!(auto, b"" | b"NOTSET" | b"VALID") {
            bail!("`{}` has auto_pad, expected pads", node.name);
        }
        let found = attribute("pads").map_or(&[0; 4][..], |a| &a.ints);
        found.try_into().with_context(|| format!("pads of `{}`, expected four", node.name))
    };
    Ok(Some(match node.op_type.as_str() {
        "Conv" => Op::Conv {
            stride: pair("strides")?,
            dilation: pair("dilations")?,
            pads: pads()?,
            groups: int("group", 1),
        },
        "BatchNormalization" => Op::BatchNorm(float("epsilon").unwrap_or(NORM_EPS)),
        "Relu" => Op::Relu,
        "LeakyRelu" => Op::LeakyRelu(float("alpha").unwrap_or(0.01)),
        "Clip" => Op::Clip(float("min"), float("max")),
        "Sigmoid" => Op::Sigmoid,
        "Add" => Op::Add,
        "Mul" => Op::Mul,
        "GlobalAveragePool" => Op::GlobalMean,
        "MaxPool" if int("ceil_mode", 0) == 0 => {
            Op::MaxPool { kernel: pair("kernel_shape")?, stride: pair("strides")?, pads: pads()? }
        }
        "Identity" | "Dropout" => Op::Same,
        _ => return Ok(None),
    }))
}

/// A float32 constant; `None` for other types.
pub fn values(tensor: &TensorProto) -> Result<Option<Tensor>> {
    if tensor.data_type != DataType::Float as i32 {
        return Ok(None);
    }
    ensure!(
        tensor.external_data.is_empty(),
        "weight `{}` is in another file, expected one file",
        tensor.name
    );
    let flat = match tensor.raw_data.is_empty() {
        true => Tensor::from_slice(&tensor.float_data),
        false => {
            let count = tensor.raw_data.len() as i64 / 4;
            Tensor::f_from_data_size(&tensor.raw_data, &[count], Kind::Float)?
        }
    };
    Ok(Some(flat.f_reshape(&tensor.dims[..]).with_context(|| tensor.name.clone())?))
}

#[cfg(test)]
mod tests {
    use cyclegan_contract::{ElementType, Metadata, onnx::Message};

    use super::*;
    use crate::{
        eval::{
            self,
            features::{FeatureNetwork, Scaling},
        },
        export::model,
        net::{
            build::Norm,
            generator::{Generator, GeneratorShape, NetG},
            init::InitType,
            params::Params,
        },
        noise::noise,
    };

    /// An exported generator, whose features before the end are known.
    fn file(folder: &Path) -> (Generator, Params, std::path::PathBuf) {
        let shape = GeneratorShape {
            net: NetG::Fast,
            ngf: 4,
            width: 8,
            blocks: 2,
            norm: Norm::None,
            dropout: false,
            mask_head: false,
            context: true,
            backbone: false,
            skip: false,
            blur: false,
            pruned: None,
        };
        let generator = Generator::new(shape);
        tch::manual_seed(5);
        let params = Params::new(&generator.layout, InitType::Kaiming, 1.0, Device::Cpu);
        let metadata = Metadata::default();
        let weights = params.weights(Kind::Float);
        let bytes = model::build(&generator, &weights, &metadata, ElementType::F32).encode_to_vec();
        let path = folder.join("features.onnx");
        fs::write(&path, bytes).unwrap();
        (generator, params, path)
    }

    #[test]
    fn features_match_the_network_and_gradients_reach_the_image() {
        let folder = tempfile::tempdir().unwrap();
        let (generator, params, path) = file(folder.path());
        let frozen = Frozen::read(&path, Device::Cpu).unwrap();
        // A half and a quarter of the size; then a pixel shuffle follows, which is unknown.
        assert_eq!(frozen.channels, [4, 16]);
        let x = noise(1, &[2, 3, 48, 32]).set_requires_grad(true);
        let found = frozen.features(&x).unwrap();
        assert_eq!(found[0].size(), [2, 4, 24, 16]);
        let weights = params.weights(Kind::Float);
        let up = super::super::layer::forward(&generator.layers[..9], &weights, &x, false);
        let known = super::super::layer::forward(&generator.layers[..2], &weights, &x, false);
        assert!((&found[0] - known).abs().max().double_value(&[]) < 1e-5);
        assert_eq!(found[1].size()[1..], up.size()[1..]);
        assert!((&found[1] - up).abs().max().double_value(&[]) < 1e-5);
        let loss = found[1].sum(Kind::Float);
        let gradient = Tensor::run_backward(&[loss], &[&x], false, false).remove(0);
        assert!(gradient.abs().max().double_value(&[]) > 0.0);
    }

    /// A published network with depthwise convolutions, ReLU6 and sums gives the same features as in ONNX Runtime.
    #[test]
    fn a_published_network_has_features_at_four_depths() {
        let Ok(path) = eval::default_network() else {
            eprintln!("SKIP: no feature network, fetch it with `./dev setup eval`");
            return;
        };
        let frozen = Frozen::read(&path, Device::Cpu).unwrap();
        let x = noise(2, &[1, 3, 224, 224]);
        let features = no_grad(|| frozen.features(&x)).unwrap();
        let sides: Vec<i64> = features.iter().map(|f| f.size()[3]).collect();
        assert_eq!(sides, [56, 28, 14, 7]);
        let mut network = FeatureNetwork::open(&path, Scaling { mean: 127.5, std: 127.5 }).unwrap();
        let expected = network.run(&x).unwrap().features;
        let found = features[3].mean_dim([2i64, 3].as_slice(), false, Kind::Float).view([-1]);
        let scale = expected.abs().max().double_value(&[]);
        assert!(scale > 0.0 && (found - expected).abs().max().double_value(&[]) < 1e-3 * scale);
    }

    #[test]
    fn a_network_without_known_features_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (.., path) = file(folder.path());
        let mut model = ModelProto::decode(fs::read(&path).unwrap().as_slice()).unwrap();
        model.graph.as_mut().unwrap().node[1].op_type = "Erf".to_owned();
        let error = format!("{:#}", Frozen::of(model, Device::Cpu).unwrap_err());
        assert!(error.contains("Erf") && error.contains("at least 2"), "{error}");
    }
}
