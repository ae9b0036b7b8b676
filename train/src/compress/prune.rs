// SPDX-License-Identifier: MIT OR Apache-2.0

//! One-step pruning (CAT, arXiv 2103.03467; docs/compress.md, 2 and 3): the channels whose normalisation scales
//! least go, all at once, under one threshold for the whole network.

use anyhow::{Result, ensure};
use tch::Tensor;

use super::budget::Limit;
use crate::net::inception::{Places, Widths, norms};

/// Channels that each place of down- and upsampling keeps at least, if it has as many.
const LEAST: usize = 16;

/// The channels that each place keeps, ascending.
pub type Kept = Places<Vec<i64>>;

/// |γ| of every channel that may go.
#[derive(Clone, Debug)]
pub struct Scales(Places<Vec<f64>>);

impl Scales {
    /// Reads the scales; `value` gives a parameter by its name.
    pub fn read<'a>(value: impl Fn(&str) -> Option<&'a Tensor>) -> Result<Self> {
        let read = |name: &String| -> Vec<f64> {
            // A branch that was pruned away before is not there.
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

    /// The channels that scale by more than `threshold`.
    pub fn keep(&self, threshold: f64) -> Kept {
        self.0.map(|s| largest(s, threshold, LEAST), |s| largest(s, threshold, 0))
    }

    /// The channels that are left under the smallest threshold at which `cost` is within `limit`.
    ///
    /// Fails when even the smallest student costs more, and says what that costs.
    pub fn prune(
        &self,
        limit: &Limit,
        mut cost: impl FnMut(&Widths) -> Result<f64>,
    ) -> Result<Kept> {
        let mut cost = |threshold: f64| cost(&widths(&self.keep(threshold)));
        // Below every scale, then at each of them.
        let mut thresholds: Vec<f64> = self.0.iter().flatten().copied().chain([-1.0]).collect();
        thresholds.sort_by(f64::total_cmp);
        thresholds.dedup();
        let (mut low, mut high) = (0, thresholds.len() - 1);
        limit.allow_least(cost(thresholds[high])?)?;
        if cost(thresholds[low])? <= limit.most {
            high = low;
        }
        // All below `low` cost too much, `high` does not.
        while low < high {
            let middle = (low + high) / 2;
            if cost(thresholds[middle])? <= limit.most {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(self.keep(thresholds[high]))
    }
}

/// How many channels each place keeps.
pub fn widths(kept: &Kept) -> Widths {
    let count = |channels: &Vec<i64>| channels.len() as i64;
    kept.map(count, count)
}

/// The places of the values above `threshold`, or of the `least` largest if fewer are.
fn largest(scales: &[f64], threshold: f64, least: usize) -> Vec<i64> {
    let mut order: Vec<usize> = (0..scales.len()).collect();
    order.sort_by(|&a, &b| scales[b].total_cmp(&scales[a]));
    let above = scales.iter().filter(|s| **s > threshold).count();
    order.truncate(above.max(least));
    order.sort_unstable();
    order.into_iter().map(|i| i as i64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compress::budget::tests::limit,
        net::{
            build::Norm,
            generator::{Generator, GeneratorShape, NetG},
            inception::Branches,
            init::InitType,
            params::Params,
        },
    };
    use proptest::prelude::*;

    fn shape(widths: Option<Widths>) -> GeneratorShape {
        GeneratorShape {
            net: NetG::Inception9Blocks,
            ngf: 24,
            width: 0,
            blocks: 0,
            norm: Norm::Instance,
            dropout: false,
            mask_head: false,
            inception: widths,
        }
    }

    /// Scales as training leaves them: some places matter more than others.
    fn scales(seed: i64) -> Scales {
        tch::manual_seed(seed);
        let mut draw = |width: &i64| {
            let options = tch::kind::FLOAT_CPU;
            let place = Tensor::rand([1], options) * Tensor::rand([*width], options);
            Vec::try_from(place.to_kind(tch::Kind::Double)).unwrap()
        };
        let whole = Widths::whole(24);
        let mut down: Vec<Vec<f64>> = whole.down.iter().chain(&whole.up).map(&mut draw).collect();
        Scales(whole.map(|_| down.remove(0), draw))
    }

    fn cost(widths: &Widths) -> f64 {
        limit(0.0, 64).cost(&Generator::new(shape(Some(widths.clone())))).unwrap()
    }

    fn prune(scales: &Scales, budget: f64) -> Result<Kept> {
        scales.prune(&limit(budget, 64), |widths| Ok(cost(widths)))
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
            let (whole, least) = (cost(&Widths::whole(24)), cost(&widths(&scales.keep(2.0))));
            let budget = least + (whole - least) * share;
            let kept = widths(&prune(&scales, budget).unwrap());
            prop_assert!(cost(&kept) <= budget);
            for width in kept.down.iter().chain(&kept.up) {
                prop_assert!(*width >= 16);
            }
            let larger = widths(&prune(&scales, budget * more).unwrap());
            for (a, b) in kept.iter().zip(larger.iter()) {
                prop_assert!(a <= b, "{kept:?} is not within {larger:?}");
            }
        }

        #[test]
        fn a_higher_threshold_keeps_a_part_of_what_a_lower_one_does(
            seed in 0i64..1000,
            low in 0.0f64..1.0,
            more in 0.0f64..1.0,
        ) {
            let scales = scales(seed);
            let (less, all) = (scales.keep(low + more), scales.keep(low));
            for (a, b) in less.iter().zip(all.iter()) {
                prop_assert!(a.iter().all(|channel| b.contains(channel)));
            }
        }
    }

    #[test]
    fn the_whole_fits_a_large_budget_and_blocks_vanish_under_a_small_one() {
        let scales = scales(1);
        let all = prune(&scales, f64::INFINITY).unwrap();
        assert_eq!(widths(&all), Widths::whole(24));
        let least = cost(&widths(&scales.keep(2.0)));
        let largest = |b: &Branches<Vec<f64>>| {
            b.res.iter().chain(&b.dw).flatten().copied().fold(0.0, f64::max)
        };
        let weakest = scales.0.blocks.iter().map(largest).fold(f64::INFINITY, f64::min);
        let without = cost(&widths(&scales.keep(weakest)));
        let small = widths(&prune(&scales, without).unwrap());
        assert!(small.blocks.iter().any(|b| b.res.iter().chain(&b.dw).all(|w| *w == 0)));
        let error = prune(&scales, least * 0.9).unwrap_err().to_string();
        let (_, needs) = error.split_once("needs ").unwrap();
        let needs: f64 = needs.trim_end_matches(" MACs").parse().unwrap();
        assert!(needs >= least && needs < least * 1.001, "{error}");
        assert!(prune(&scales, needs).is_ok());
    }

    #[test]
    fn scales_are_read_from_their_norms() {
        let generator = Generator::new(shape(None));
        tch::manual_seed(2);
        let params = Params::new(&generator.layout, InitType::Normal, 0.02, tch::Device::Cpu);
        let scales = Scales::read(|name| params.get(name)).unwrap();
        assert_eq!(widths(&scales.keep(-1.0)), Widths::whole(24));
        let stem = params.get("stem.norm.scale").unwrap().abs().double_value(&[3]);
        assert_eq!(scales.0.down[0][3], stem);
        let error = Scales::read(|_| None).unwrap_err().to_string();
        assert!(error.contains("inception_9blocks"), "{error}");
    }
}
