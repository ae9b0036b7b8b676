// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pruning of `fast`: the channels inside each residual block.

use anyhow::{Context, Result};
use tch::{Kind, Tensor};

use super::{Channels, Kept, Scales, largest};
use crate::net::generator::Pruned;

/// A block keeps a multiple of this many channels, the number that ONNX Runtime's convolutions compute at once
/// with AVX-512.
const STEP: usize = 16;

/// ‖wᵢₙ‖·‖wₒᵤₜ‖ of every channel inside a block (docs/compress.md, 4). There is no normalisation with a
/// scale; since ReLU(s·x) = s·ReLU(x), this is a channel's scale, regardless of which weights have it.
#[derive(Clone, Debug)]
pub struct Blocks(Vec<Vec<f64>>);

impl Blocks {
    /// Reads the scales of this many blocks; `value` gives a parameter by its name.
    pub fn read<'a>(blocks: usize, value: impl Fn(&str) -> Option<&'a Tensor>) -> Result<Self> {
        let norms = |name: String, over: &[i64]| {
            let weight = value(&name).with_context(|| format!("the teacher has no {name}"))?;
            anyhow::Ok(weight.detach().to_kind(Kind::Double).norm_scalaropt_dim(2.0, over, false))
        };
        let read = |i: usize| -> Result<Vec<f64>> {
            // A block that was removed by earlier pruning is missing.
            if value(&format!("block{i}.1.weight")).is_none() {
                return Ok(Vec::new());
            }
            let into = norms(format!("block{i}.1.weight"), &[1, 2, 3])?;
            let out = norms(format!("block{i}.2.weight"), &[0, 2, 3])?;
            Ok(Vec::try_from(into * out)?)
        };
        Ok(Self((1..=blocks).map(read).collect::<Result<_>>()?))
    }
}

impl Scales for Blocks {
    fn all(&self) -> Vec<f64> {
        self.0.iter().flatten().copied().collect()
    }

    fn keep(&self, threshold: f64) -> Box<dyn Kept> {
        let whole = |above: usize| above.next_multiple_of(STEP);
        Box::new(Inside(self.0.iter().map(|s| largest(s, threshold, whole)).collect()))
    }
}

/// The channels that are kept inside each block.
#[derive(Clone, Debug)]
struct Inside(Vec<Vec<i64>>);

impl Kept for Inside {
    fn pruned(&self) -> Pruned {
        Pruned::Fast(self.0.iter().map(|channels| channels.len() as i64).collect())
    }

    fn of(&self, parameter: &str) -> [Channels<'_>; 2] {
        let Some((block, rest)) = parameter.split_once('.') else {
            return [None, None];
        };
        let number = block.strip_prefix("block").and_then(|n| n.parse::<usize>().ok());
        let inside = number.and_then(|n| self.0.get(n.checked_sub(1)?)).map(Vec::as_slice);
        match rest {
            "1.weight" | "1.bias" => [inside, None],
            "2.weight" => [None, inside],
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

    fn generator(pruned: Option<Pruned>) -> Generator {
        Generator::new(GeneratorShape {
            net: NetG::Fast,
            ngf: 8,
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
        })
    }

    fn params(generator: &Generator, seed: i64) -> Params {
        tch::manual_seed(seed);
        Params::new(&generator.layout, InitType::Kaiming, 1.0, tch::Device::Cpu)
    }

    fn read(values: &Params) -> Blocks {
        Blocks::read(4, |name| values.get(name)).unwrap()
    }

    fn cost(hidden: &[i64]) -> f64 {
        let pruned = Some(Pruned::Fast(hidden.to_vec()));
        limit(0.0, 64).cost(&generator(pruned)).unwrap()
    }

    fn within(scales: &Blocks, budget: f64) -> Result<Vec<i64>> {
        let hidden = |left: Pruned| match left {
            Pruned::Fast(hidden) => hidden,
            Pruned::Inception(widths) => panic!("{widths:?}"),
        };
        let kept = prune(scales, &limit(budget, 64), |left| Ok(cost(&hidden(left))))?;
        Ok(hidden(kept.pruned()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_student_fits_its_budget_in_whole_steps(seed in 0i64..1000, share in 0.0f64..1.0) {
            let scales = read(&params(&generator(None), seed));
            let (least, whole) = (cost(&[0; 4]), cost(&[40; 4]));
            let hidden = within(&scales, least + (whole - least) * share).unwrap();
            prop_assert!(cost(&hidden) <= least + (whole - least) * share);
            prop_assert!(hidden.iter().all(|h| [0, 16, 32, 40].contains(h)), "{hidden:?}");
        }
    }

    #[test]
    fn all_channels_fit_a_large_budget_and_none_the_smallest() {
        let scales = read(&params(&generator(None), 1));
        assert_eq!(within(&scales, 1e15).unwrap(), [40; 4]);
        assert_eq!(within(&scales, cost(&[0; 4])).unwrap(), [0; 4]);
        assert!(within(&scales, cost(&[0; 4]) - 1.0).is_err());
    }

    /// A factor can move from the weights of one convolution to those of the other.
    #[test]
    fn a_scale_does_not_depend_on_the_side_of_the_activation() {
        let values = params(&generator(None), 2);
        let before = read(&values);
        tch::no_grad(|| {
            let _ = values.get("block2.1.weight").unwrap().detach().get(3).g_mul_scalar_(8.0);
            let out = values.get("block2.2.weight").unwrap().detach();
            let _ = out.narrow(1, 3, 1).g_mul_scalar_(0.125);
        });
        for (a, b) in before.all().iter().zip(read(&values).all()) {
            assert!((a - b).abs() < 1e-6 * a.abs(), "{a} {b}");
        }
    }

    #[test]
    fn removed_blocks_stay_removed() {
        let once = Some(Pruned::Fast(vec![16, 0, 32, 40]));
        let scales = read(&params(&generator(once), 3));
        assert_eq!(scales.keep(-1.0).pruned(), Pruned::Fast(vec![16, 0, 32, 40]));
    }
}
