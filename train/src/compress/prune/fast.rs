// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pruning of `fast`: the channels inside each residual block and those of the first upsampling layer.

use anyhow::{Context, Result};
use tch::{Kind, Tensor};

use super::{Channels, Kept, Scales, largest};
use crate::net::generator::{FastWidths, GeneratorShape, Pruned};

/// A layer keeps a multiple of this many channels, the number that ONNX Runtime's convolutions compute at once
/// with AVX-512.
const STEP: usize = 16;
/// Channels of which the pixel shuffle makes one.
const SHUFFLED: i64 = 4;

/// ‖wᵢₙ‖·‖wₒᵤₜ‖ of every channel that can be pruned (docs/compress.md, 4). There is no normalisation with a
/// scale; since ReLU(s·x) = s·ReLU(x), this is a channel's scale, regardless of which weights have it.
#[derive(Clone, Debug)]
pub struct Norms {
    blocks: Vec<Vec<f64>>,
    /// `None` with a skip, whose addition needs all channels.
    up: Option<Vec<f64>>,
}

impl Norms {
    /// Reads the scales of a generator; `value` gives a parameter by its name.
    pub fn read<'a>(
        shape: &GeneratorShape,
        value: impl Fn(&str) -> Option<&'a Tensor>,
    ) -> Result<Self> {
        let weight = |name: &str| {
            let weight = value(name).with_context(|| format!("the teacher has no {name}"))?;
            anyhow::Ok(weight.detach().to_kind(Kind::Double))
        };
        let product = |into: Tensor, out: Tensor| {
            let norm = |weight: Tensor, over: &[i64]| weight.norm_scalaropt_dim(2.0, over, false);
            anyhow::Ok(Vec::try_from(norm(into, &[1, 2, 3]) * norm(out, &[0, 2, 3]))?)
        };
        let block = |i: usize| -> Result<Vec<f64>> {
            // A block that was removed by earlier pruning is missing.
            if value(&format!("block{i}.1.weight")).is_none() {
                return Ok(Vec::new());
            }
            product(weight(&format!("block{i}.1.weight"))?, weight(&format!("block{i}.2.weight"))?)
        };
        let up = || {
            let into = weight("up.weight")?.reshape([shape.up(), -1, 3, 3]);
            product(into, weight("head.weight")?)
        };
        Ok(Self {
            blocks: (1..=shape.blocks).map(block).collect::<Result<_>>()?,
            up: if shape.skip { None } else { Some(up()?) },
        })
    }
}

impl Scales for Norms {
    fn all(&self) -> Vec<f64> {
        self.blocks.iter().chain(&self.up).flatten().copied().collect()
    }

    fn keep(&self, threshold: f64) -> Box<dyn Kept> {
        let whole = |above: usize| above.next_multiple_of(STEP);
        let left = |above: usize| whole(above).max(STEP);
        let up = |scales: &Vec<f64>| {
            let after = largest(scales, threshold, left);
            let before = after.iter().flat_map(|c| c * SHUFFLED..(c + 1) * SHUFFLED).collect();
            Up { after, before }
        };
        Box::new(FastKept {
            blocks: self.blocks.iter().map(|s| largest(s, threshold, whole)).collect(),
            up: self.up.as_ref().map(up),
        })
    }
}

/// The channels that are kept in each layer.
#[derive(Clone, Debug)]
struct FastKept {
    blocks: Vec<Vec<i64>>,
    up: Option<Up>,
}

/// Those of the upsampling layer, after and before the pixel shuffle.
#[derive(Clone, Debug)]
struct Up {
    after: Vec<i64>,
    before: Vec<i64>,
}

impl Kept for FastKept {
    fn pruned(&self) -> Pruned {
        let blocks = self.blocks.iter().map(|channels| channels.len() as i64).collect();
        match &self.up {
            Some(up) => Pruned::Fast(FastWidths { blocks, up: up.after.len() as i64 }),
            None => Pruned::Blocks(blocks),
        }
    }

    fn of(&self, parameter: &str) -> [Channels<'_>; 2] {
        let up = |of: fn(&Up) -> &Vec<i64>| self.up.as_ref().map(|up| of(up).as_slice());
        let (place, rest) = parameter.split_once('.').unwrap_or((parameter, ""));
        let number = place.strip_prefix("block").and_then(|n| n.parse::<usize>().ok());
        let inside = number.and_then(|n| self.blocks.get(n.checked_sub(1)?)).map(Vec::as_slice);
        match (place, rest) {
            ("up", _) => [up(|up| &up.before), None],
            ("head", "weight") => [None, up(|up| &up.after)],
            (_, "1.weight" | "1.bias") => [inside, None],
            (_, "2.weight") => [None, inside],
            _ => [None, None],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        compress::{budget::tests::limit, prune::prune},
        net::{
            build::Norm,
            generator::{Generator, GeneratorShape, NetG},
            init::InitType,
            params::Params,
        },
    };

    fn shape(pruned: Option<Pruned>) -> GeneratorShape {
        GeneratorShape {
            net: NetG::Fast,
            ngf: 36,
            width: 40,
            blocks: 4,
            norm: Norm::None,
            dropout: false,
            mask_head: false,
            context: false,
            backbone: false,
            skip: false,
            blur: false,
            pruned,
        }
    }

    fn pruned(blocks: [i64; 4], up: i64) -> Pruned {
        Pruned::Fast(FastWidths { blocks: blocks.to_vec(), up })
    }

    fn params(shape: &GeneratorShape, seed: i64) -> Params {
        tch::manual_seed(seed);
        let layout = Generator::new(shape.clone()).layout;
        Params::new(&layout, InitType::Kaiming, 1.0, tch::Device::Cpu)
    }

    fn scales(seed: i64) -> Norms {
        let values = params(&shape(None), seed);
        Norms::read(&shape(None), |name| values.get(name)).unwrap()
    }

    fn cost(left: Pruned) -> f64 {
        limit(0.0, 64).cost(&Generator::new(shape(Some(left)))).unwrap()
    }

    fn within(scales: &Norms, budget: f64) -> Result<Pruned> {
        Ok(prune(scales, &limit(budget, 64), |left| Ok(cost(left)))?.pruned())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_student_fits_its_budget_in_whole_steps(seed in 0i64..1000, share in 0.0f64..1.0) {
            let (least, whole) = (cost(pruned([0; 4], 16)), cost(pruned([40; 4], 36)));
            let left = within(&scales(seed), least + (whole - least) * share).unwrap();
            prop_assert!(cost(left.clone()) <= least + (whole - least) * share);
            let Pruned::Fast(FastWidths { blocks, up }) = left else { panic!("{left:?}") };
            prop_assert!(blocks.iter().all(|h| [0, 16, 32, 40].contains(h)), "{blocks:?}");
            prop_assert!([16, 32, 36].contains(&up), "{up}");
        }
    }

    #[test]
    fn all_channels_fit_a_large_budget_and_the_fewest_the_smallest() {
        let (scales, least) = (scales(1), pruned([0; 4], 16));
        assert_eq!(within(&scales, 1e15).unwrap(), pruned([40; 4], 36));
        assert_eq!(within(&scales, cost(least.clone())).unwrap(), least);
        assert!(within(&scales, cost(least) - 1.0).is_err());
    }

    /// A factor can move from the weights of one convolution to those of the other.
    #[test]
    fn a_scale_does_not_depend_on_the_side_of_the_activation() {
        let (values, shape) = (params(&shape(None), 2), shape(None));
        let read = || Norms::read(&shape, |name| values.get(name)).unwrap().all();
        let before = read();
        for (into, out, shuffled) in
            [("block2.1.weight", "block2.2.weight", 1), ("up.weight", "head.weight", SHUFFLED)]
        {
            tch::no_grad(|| {
                let into = values.get(into).unwrap().detach();
                let _ = into.narrow(0, 3 * shuffled, shuffled).g_mul_scalar_(8.0);
                let out = values.get(out).unwrap().detach();
                let _ = out.narrow(1, 3, 1).g_mul_scalar_(0.125);
            });
        }
        for (a, b) in before.iter().zip(read()) {
            assert!((a - b).abs() < 1e-6 * a.abs(), "{a} {b}");
        }
    }

    #[test]
    fn removed_channels_stay_removed() {
        let once = pruned([16, 0, 32, 40], 16);
        let shape = shape(Some(once.clone()));
        let values = params(&shape, 3);
        let scales = Norms::read(&shape, |name| values.get(name)).unwrap();
        assert_eq!(scales.keep(-1.0).pruned(), once);
    }

    #[test]
    fn a_skip_keeps_all_channels_of_the_upsampling_layer() {
        let shape = GeneratorShape { skip: true, ..shape(None) };
        let values = params(&shape, 4);
        let scales = Norms::read(&shape, |name| values.get(name)).unwrap();
        assert_eq!(scales.keep(f64::INFINITY).pruned(), Pruned::Blocks(vec![0; 4]));
    }
}
