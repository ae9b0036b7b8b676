// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pruning of `inception_9blocks`: channels of the stem and of the down- and upsampling layers, and those
//! inside each branch, by the learnt scales of their normalisations.

use anyhow::{Result, ensure};
use tch::Tensor;

use super::{Channels, Kept, Scales, largest};
use crate::net::{
    generator::Pruned,
    inception::{Places, norms},
};

/// Least number of channels that each down- and upsampling layer keeps, if it has that many.
const LEAST: usize = 16;

/// |γ| of every channel that can be pruned.
#[derive(Clone, Debug)]
pub struct Norms(Places<Vec<f64>>);

impl Norms {
    /// Reads the scales; `value` gives a parameter by its name.
    pub fn read<'a>(value: impl Fn(&str) -> Option<&'a Tensor>) -> Result<Self> {
        let read = |name: &String| -> Vec<f64> {
            // A branch that was removed by earlier pruning is missing.
            let Some(scale) = value(&format!("{name}.scale")) else {
                return Vec::new();
            };
            Vec::try_from(scale.detach().abs().to_kind(tch::Kind::Double)).unwrap_or_default()
        };
        let scales = norms().map(read, read);
        ensure!(
            scales.down.iter().chain(&scales.up).all(|s| !s.is_empty()),
            "the teacher's normalisations have no learnt scales to prune by, expected a run of \
             --net-g inception_9blocks without --norm none"
        );
        Ok(Self(scales))
    }

    fn kept(&self, threshold: f64) -> Places<Vec<i64>> {
        let sampling = |s: &Vec<f64>| largest(s, threshold, |above| above.max(LEAST));
        self.0.map(sampling, |s| largest(s, threshold, |above| above))
    }
}

impl Scales for Norms {
    fn all(&self) -> Vec<f64> {
        self.0.iter().flatten().copied().collect()
    }

    fn keep(&self, threshold: f64) -> Box<dyn Kept> {
        Box::new(self.kept(threshold))
    }
}

impl Kept for Places<Vec<i64>> {
    fn pruned(&self) -> Pruned {
        let count = |channels: &Vec<i64>| channels.len() as i64;
        Pruned::Inception(self.map(count, count))
    }

    fn of(&self, parameter: &str) -> [Channels<'_>; 2] {
        let (module, what) = parameter.rsplit_once('.').unwrap_or((parameter, ""));
        let (outs, ins) = channels(module, self);
        match (what, module.starts_with("up")) {
            ("weight", false) => [outs, ins],
            // A transposed convolution's weights are in×out.
            ("weight", true) => [ins, outs],
            _ => [outs, None],
        }
    }
}

/// The output and input channels of a module (`block3.dw5.norm2`).
fn channels<'a>(module: &str, kept: &'a Places<Vec<i64>>) -> (Channels<'a>, Channels<'a>) {
    let [stem, down1, down2] = kept.down.each_ref().map(|c| Some(c.as_slice()));
    let [up1, up2] = kept.up.each_ref().map(|c| Some(c.as_slice()));
    let (place, rest) = module.split_once('.').unwrap_or((module, ""));
    match place {
        "stem" => (stem, None),
        "down1" => (down1, stem),
        "down2" => (down2, down1),
        "up1" => (up1, down2),
        "up2" => (up2, up1),
        "head" => (None, up2),
        _ => match hidden(place, rest, kept) {
            // The last convolution of a branch has the block's channels as its output.
            Some((hidden, "res", "2") | (hidden, "dw", "3")) => (down2, hidden),
            // A depthwise convolution has one filter per channel.
            Some((hidden, "dw", "2")) => (hidden, None),
            Some((hidden, _, "1")) => (hidden, down2),
            Some((hidden, ..)) => (hidden, None),
            None => (down2, None),
        },
    }
}

/// The hidden channels of a module inside a branch (`block3`, `dw5.norm2`), the branch's kind, and
/// the module's name within it.
fn hidden<'a, 'n>(
    block: &str,
    rest: &'n str,
    kept: &'a Places<Vec<i64>>,
) -> Option<(Channels<'a>, &'n str, &'n str)> {
    let block =
        kept.blocks.get(block.strip_prefix("block")?.parse::<usize>().ok()?.checked_sub(1)?)?;
    let (branch, layer) = rest.split_once('.')?;
    let (kind, kernel) = branch.split_at_checked(branch.len().checked_sub(1)?)?;
    let branches = if kind == "res" { &block.res } else { &block.dw };
    let hidden = branches.get(kernel.parse::<usize>().ok()? / 2)?;
    Some((Some(hidden), kind, layer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compress::{budget::tests::limit, prune::prune},
        net::{
            build::Norm,
            generator::{Generator, GeneratorShape, NetG},
            inception::{Branches, Widths},
            init::InitType,
            params::Params,
        },
    };
    use proptest::prelude::*;

    fn shape(pruned: Option<Pruned>) -> GeneratorShape {
        GeneratorShape {
            net: NetG::Inception9Blocks,
            ngf: 24,
            width: 0,
            blocks: 0,
            norm: Norm::Instance,
            dropout: false,
            mask_head: false,
            context: false,
            backbone: false,
            skip: false,
            blur: false,
            pruned,
        }
    }

    /// Scales as after training: some layers have larger ones than others.
    fn scales(seed: i64) -> Norms {
        tch::manual_seed(seed);
        let mut draw = |width: &i64| {
            let options = tch::kind::FLOAT_CPU;
            let place = Tensor::rand([1], options) * Tensor::rand([*width], options);
            Vec::try_from(place.to_kind(tch::Kind::Double)).unwrap()
        };
        let whole = Widths::whole(24);
        let mut down: Vec<Vec<f64>> = whole.down.iter().chain(&whole.up).map(&mut draw).collect();
        Norms(whole.map(|_| down.remove(0), draw))
    }

    fn cost(widths: &Widths) -> f64 {
        costs(Pruned::Inception(widths.clone()))
    }

    fn costs(left: Pruned) -> f64 {
        limit(0.0, 64).cost(&Generator::new(shape(Some(left)))).unwrap()
    }

    /// The channels that are kept at a threshold.
    fn left(scales: &Norms, threshold: f64) -> Widths {
        widths(scales.keep(threshold).as_ref())
    }

    fn widths(kept: &dyn Kept) -> Widths {
        match kept.pruned() {
            Pruned::Inception(widths) => widths,
            other => panic!("{other:?}"),
        }
    }

    fn within(scales: &Norms, budget: f64) -> Result<Widths> {
        let kept = prune(scales, &limit(budget, 64), |left| Ok(costs(left)))?;
        Ok(widths(kept.as_ref()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_student_fits_its_budget_and_a_larger_budget_gives_no_smaller_one(
            seed in 0i64..1000,
            share in 0.0f64..1.0,
            more in 1.0f64..2.0,
        ) {
            let scales = scales(seed);
            let (whole, least) = (cost(&Widths::whole(24)), cost(&left(&scales, 2.0)));
            let budget = least + (whole - least) * share;
            let kept = within(&scales, budget).unwrap();
            prop_assert!(cost(&kept) <= budget);
            for width in kept.down.iter().chain(&kept.up) {
                prop_assert!(*width >= 16);
            }
            let larger = within(&scales, budget * more).unwrap();
            for (a, b) in kept.iter().zip(larger.iter()) {
                prop_assert!(a <= b, "{kept:?} is not within {larger:?}");
            }
        }

        #[test]
        fn a_higher_threshold_keeps_a_subset(
            seed in 0i64..1000,
            low in 0.0f64..1.0,
            more in 0.0f64..1.0,
        ) {
            let scales = scales(seed);
            let (less, all) = (scales.kept(low + more), scales.kept(low));
            for (a, b) in less.iter().zip(all.iter()) {
                prop_assert!(a.iter().all(|channel| b.contains(channel)));
            }
        }
    }

    #[test]
    fn a_large_budget_keeps_all_and_a_small_one_removes_blocks() {
        let scales = scales(1);
        assert_eq!(within(&scales, f64::INFINITY).unwrap(), Widths::whole(24));
        let least = cost(&left(&scales, 2.0));
        let largest = |b: &Branches<Vec<f64>>| {
            b.res.iter().chain(&b.dw).flatten().copied().fold(0.0, f64::max)
        };
        let weakest = scales.0.blocks.iter().map(largest).fold(f64::INFINITY, f64::min);
        let without = cost(&left(&scales, weakest));
        let small = within(&scales, without).unwrap();
        assert!(small.blocks.iter().any(|b| b.res.iter().chain(&b.dw).all(|w| *w == 0)));
        let error = within(&scales, least * 0.9).unwrap_err().to_string();
        let (_, needs) = error.split_once("needs ").unwrap();
        let needs: f64 = needs.trim_end_matches(" MACs").parse().unwrap();
        assert!(needs >= least && needs < least * 1.001, "{error}");
        assert!(within(&scales, needs).is_ok());
    }

    #[test]
    fn scales_are_read_from_the_normalisations() {
        let generator = Generator::new(shape(None));
        tch::manual_seed(2);
        let params = Params::new(&generator.layout, InitType::Normal, 0.02, tch::Device::Cpu);
        let scales = Norms::read(|name| params.get(name)).unwrap();
        assert_eq!(left(&scales, -1.0), Widths::whole(24));
        let stem = params.get("stem.norm.scale").unwrap().abs().double_value(&[3]);
        assert_eq!(scales.0.down[0][3], stem);
        let error = Norms::read(|_| None).unwrap_err().to_string();
        assert!(error.contains("inception_9blocks"), "{error}");
    }
}
