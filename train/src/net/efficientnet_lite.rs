// SPDX-License-Identifier: MIT OR Apache-2.0

//! The backbone of `fast`: EfficientNet-Lite1 (arXiv 1905.11946 without squeeze and excitation), pretrained
//! on ImageNet, up to the third block of 192 channels. It can tell a horse from a dog, which takes more images than
//! one pair of domains has.

use std::{collections::HashMap, fs, path::Path};

use anyhow::{Context, Result, ensure};
use cyclegan_contract::{decode, onnx::NodeProto};
use tch::Tensor;

use super::{
    build::{Builder, Window},
    frozen::values,
    layer::Layer,
    params::Params,
};

/// Kernel, stride of the first block, expansion, channels and blocks.
type Stage = (i64, i64, i64, i64, usize);

/// Stages down to 1/16 of the backbone's input size.
const FINE: [Stage; 5] =
    [(3, 1, 1, 16, 1), (3, 2, 6, 24, 3), (5, 2, 6, 40, 3), (3, 2, 6, 80, 4), (5, 1, 6, 112, 4)];
/// The stage at 1/32 of it. Its other two blocks, and the last stage, are left out: they add much to the file size and
/// little to the mask.
const COARSE: [Stage; 1] = [(5, 2, 6, 192, 3)];
const STEM: i64 = 32;
/// Prefix of the backbone's parameters.
const PREFIX: &str = "backbone.";

/// A layer that adds to the mask's logits, the last channel. Its input is the image at half its size; it
/// mixes features of two depths in `width` channels, and starts at 0.
///
/// The backbone recognises the animal; the generator's own layers find its exact outline.
pub fn backbone(b: &mut Builder, width: i64) -> Layer {
    let mut body = vec![Layer::AveragePool(2)];
    body.push(b.pretrained(&format!("{PREFIX}stem"), (3, STEM), Window::halved(3), 1));
    body.push(Layer::Relu6);
    let fine = stages(b, &mut body, STEM, 0, &FINE);
    body.push(Layer::Store);
    let coarse = stages(b, &mut body, fine, blocks(&FINE), &COARSE);
    let one = Window::valid(1);
    body.push(b.conv("seen.coarse", coarse, width, one));
    body.push(Layer::EnlargeToStored);
    body.push(b.conv_of_stored("seen.fine", fine, width));
    body.push(Layer::Relu);
    body.push(b.conv_scaled("seen.mask", width, 1, Window::same(3, 1), 0.0));
    Layer::AddToMask(body)
}

fn blocks(stages: &[Stage]) -> usize {
    stages.iter().map(|stage| stage.4).sum()
}

/// Adds stages whose blocks are counted from `first`; returns the channels of the last.
fn stages(
    b: &mut Builder,
    layers: &mut Vec<Layer>,
    mut ins: i64,
    first: usize,
    stages: &[Stage],
) -> i64 {
    let mut block = first;
    for &(kernel, stride, expansion, outs, count) in stages {
        for i in 0..count {
            let stride = if i == 0 { stride } else { 1 };
            let name = format!("{PREFIX}{block}");
            let body = inverted_bottleneck(b, &name, (ins, outs), (kernel, stride), expansion);
            match ins == outs && stride == 1 {
                true => layers.push(Layer::Residual(body)),
                false => layers.extend(body),
            }
            (ins, block) = (outs, block + 1);
        }
    }
    ins
}

/// arXiv 1801.04381, figure 4.
fn inverted_bottleneck(
    b: &mut Builder,
    name: &str,
    (ins, outs): (i64, i64),
    (kernel, stride): (i64, i64),
    expansion: i64,
) -> Vec<Layer> {
    let inside = ins * expansion;
    let mut body = Vec::new();
    if expansion > 1 {
        body.push(b.pretrained(&format!("{name}.expand"), (ins, inside), Window::valid(1), 1));
        body.push(Layer::Relu6);
    }
    let window = if stride == 2 { Window::halved(kernel) } else { Window::same(kernel, 1) };
    body.push(b.pretrained(&format!("{name}.depthwise"), (inside, inside), window, inside));
    body.push(Layer::Relu6);
    body.push(b.pretrained(&format!("{name}.project"), (inside, outs), Window::valid(1), 1));
    body
}

/// Puts the weights of EfficientNet-Lite1 into the backbone of `params`.
///
/// Fails if the file is neither that network as `./dev setup eval` writes it, with batch normalisation folded
/// into the convolutions, nor a generator with a backbone that `export` wrote.
pub fn fill(path: &Path, params: &Params) -> Result<()> {
    let read = || -> Result<()> {
        let model = decode(&fs::read(path)?)?;
        let graph = model.graph.context("it has no graph")?;
        let tensors: HashMap<_, _> = graph.initializer.iter().map(|t| (&t.name, t)).collect();
        let of_generator = tensors.keys().any(|name| name.starts_with(PREFIX));
        let wanted = |conv: &&NodeProto| {
            let weight = conv.input.get(1).map(String::as_str).unwrap_or_default();
            conv.op_type == "Conv" && (!of_generator || weight.starts_with(PREFIX))
        };
        let mut found = Vec::new();
        for conv in graph.node.iter().filter(wanted) {
            for name in conv.input.iter().skip(1) {
                let tensor = tensors.get(name).with_context(|| format!("no weight `{name}`"))?;
                found.push(values(tensor)?.with_context(|| format!("`{name}` is not float32"))?);
            }
        }
        let mut found = found.into_iter();
        params.fill(|name| {
            let own = params.get(name).context("a parameter of the layout")?;
            if !name.starts_with(PREFIX) {
                return Ok(own.detach().copy());
            }
            let value: Tensor = found.next().context("fewer convolutions")?;
            ensure!(
                value.size() == own.size(),
                "a weight of {:?} where `{name}` has {:?}",
                value.size(),
                own.size()
            );
            Ok(value)
        })
    };
    read().with_context(|| {
        format!(
            "{}: expected the EfficientNet-Lite1 that `./dev setup eval` fetches",
            path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use cyclegan_contract::onnx::{Message, ModelProto, StringStringEntryProto};
    use tch::{Device, Kind, no_grad};

    use super::*;
    use crate::{
        eval,
        net::{
            build::Norm,
            frozen::Frozen,
            generator::{Generator, GeneratorShape, NetG},
            init::InitType,
            layer::forward,
        },
        noise::noise,
    };

    fn generator() -> (Generator, Params) {
        let shape = GeneratorShape {
            net: NetG::Fast,
            ngf: 8,
            width: 16,
            blocks: 3,
            norm: Norm::None,
            dropout: false,
            mask_head: true,
            context: false,
            backbone: true,
            skip: false,
            blur: false,
            pruned: None,
        };
        let generator = Generator::new(shape);
        tch::manual_seed(3);
        let params = Params::new(&generator.layout, InitType::Kaiming, 1.0, Device::Cpu);
        // A backbone with random weights.
        let value = |name: &str| -> Result<Tensor> {
            let own = params.get(name).context("a parameter")?.detach();
            Ok(if name.starts_with(PREFIX) { noise(4, &own.size()) * 0.3 } else { own.copy() })
        };
        params.fill(value).unwrap();
        (generator, params)
    }

    #[test]
    fn the_backbone_starts_with_no_effect_and_stays_frozen() {
        let (generator, params) = generator();
        let without = GeneratorShape { backbone: false, ..generator.shape.clone() };
        let without = Generator::new(without);
        let weights = params.weights(Kind::Float);
        let others = Params::new(&without.layout, InitType::Kaiming, 1.0, Device::Cpu);
        generator.layout.transfer(params.flat(), &without.layout, others.flat());
        // Sides that are not multiples of the backbone's stride.
        let x = noise(1, &[2, 3, 100, 132]);
        let found = generator.forward(&weights, &x, Kind::Float, true).image;
        let expected = without.forward(&others.weights(Kind::Float), &x, Kind::Float, true).image;
        assert!((&found - expected).abs().max().double_value(&[]) < 1e-6);
        let last = params.get("seen.mask.weight").unwrap();
        let gradient = Tensor::run_backward(&[found.sum(Kind::Float)], &[last], false, false);
        assert!(gradient[0].abs().max().double_value(&[]) > 0.0);
        let is_trained = |name: &str| params.get(name).unwrap().requires_grad();
        assert!(is_trained("seen.fine.weight") && !is_trained("backbone.0.project.weight"));
    }

    /// Features at both depths are those of the published network.
    #[test]
    fn the_features_match_the_published_network() {
        let Ok(scorer) = eval::default_network() else {
            eprintln!("SKIP: no feature network, fetch it with `./dev setup eval`");
            return;
        };
        let path = scorer.with_file_name("../efficientnet-lite1/efficientnet_lite1.onnx");
        let (generator, params) = generator();
        fill(&path, &params).unwrap();
        let Some(Layer::AddToMask(body)) =
            generator.layers.iter().find(|layer| matches!(layer, Layer::AddToMask(_)))
        else {
            panic!("no backbone");
        };
        let end = body.iter().position(|layer| matches!(layer, Layer::Store)).unwrap();
        let x = noise(2, &[1, 3, 128, 192]);
        let weights = params.weights(Kind::Float);
        let found = no_grad(|| forward(&body[1..end], &weights, &x, false));
        assert_eq!(found.size(), [1, 112, 8, 12]);
        let frozen = Frozen::read(&path, Device::Cpu).unwrap();
        let tap = no_grad(|| frozen.value("t177", &x)).unwrap();
        let far = (&found - &tap).abs().max().double_value(&[]);
        assert!(far < 1e-4 * tap.abs().max().double_value(&[]), "{far}");
    }

    #[test]
    fn another_network_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.onnx");
        let metadata = StringStringEntryProto { key: "a".to_owned(), value: "b".to_owned() };
        let empty = ModelProto { metadata_props: vec![metadata], ..ModelProto::default() };
        fs::write(&path, empty.encode_to_vec()).unwrap();
        let error = format!("{:#}", fill(&path, &generator().1).unwrap_err());
        assert!(error.contains("EfficientNet-Lite1") && error.contains("no graph"), "{error}");
    }
}
