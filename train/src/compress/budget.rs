// SPDX-License-Identifier: MIT OR Apache-2.0

//! The budget of a student, and the largest student within it.

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};

use super::measure::milliseconds;
use crate::{
    net::{
        cost::macs,
        generator::{Generator, NetG},
    },
    options::{MAX_SIDE, TrainOptions},
};

/// Step of the first layer's channels in the search, which suits vector units.
const STEP: u32 = 4;
/// Most channels of the first layer in the search.
const MOST: u32 = 64;

/// The budget of a student.
#[derive(Clone, Debug, Args)]
pub struct Budget {
    /// Maximum multiply-accumulates of a student, for example 2.5e9; transposed convolutions are
    /// counted at their input's size
    #[arg(long, conflicts_with = "max_ms", help_heading = "Budget")]
    max_macs: Option<f64>,
    /// Maximum milliseconds of a student per image, measured with ONNX Runtime on this machine
    #[arg(long, help_heading = "Budget")]
    max_ms: Option<f64>,
    /// Execution provider on which --max-ms is measured
    #[arg(long, value_enum, default_value = "cpu", help_heading = "Budget")]
    provider: Provider,
    /// Side of the square image for --max-macs and --max-ms, pixels
    #[arg(long, default_value_t = 256, help_heading = "Budget",
        value_parser = clap::value_parser!(u32).range(1..=MAX_SIDE))]
    pub size: u32,
}

/// The provider for the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Provider {
    /// The CPU, all cores
    Cpu,
}

/// The limit on a student's cost.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// The number.
    pub most: f64,
    /// Its unit.
    unit: Unit,
    size: u32,
}

/// Unit of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Macs,
    Ms,
}

impl Budget {
    /// Refuses values that cannot work with a generator whose sides are multiples of `multiple`.
    pub fn check(&self, multiple: u32) -> Result<()> {
        for (name, most) in [("--max-macs", self.max_macs), ("--max-ms", self.max_ms)] {
            let fits = most.is_none_or(|most| most > 0.0);
            ensure!(fits, "{name} is {}, expected more than 0", most.unwrap_or(0.0));
        }
        ensure!(
            self.size > 0 && self.size.is_multiple_of(multiple),
            "--size is {}, expected a multiple of {multiple} for this generator",
            self.size
        );
        Ok(())
    }

    /// The limit, if one was given.
    pub fn limit(&self) -> Option<Limit> {
        let size = self.size;
        let macs = self.max_macs.map(|most| Limit { most, unit: Unit::Macs, size });
        macs.or_else(|| self.max_ms.map(|most| Limit { most, unit: Unit::Ms, size }))
    }

    /// The provider's name.
    pub fn provider(&self) -> String {
        self.provider.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned())
    }
}

impl Limit {
    /// The cost of a network, in the limit's unit.
    pub fn cost(&self, generator: &Generator) -> Result<f64> {
        let side = u64::from(self.size);
        match self.unit {
            Unit::Ms => milliseconds(generator, self.size),
            Unit::Macs => Ok(macs(&generator.layers, side, side) as f64),
        }
    }

    /// Whether the cost follows from a network's shape, without a measurement.
    pub fn is_arithmetic(&self) -> bool {
        self.unit == Unit::Macs
    }

    /// Fails if a network of a given shape costs more.
    pub fn allow(&self, generator: &Generator) -> Result<()> {
        let cost = self.cost(generator)?;
        ensure!(
            cost <= self.most,
            "the budget is {}, but a student of these options needs {}; leave --ngf and --width \
             out and they are chosen to fit",
            self.show(self.most),
            self.show(cost)
        );
        Ok(())
    }

    /// Fails if `least`, the cost of the smallest student, exceeds the limit.
    pub fn allow_least(&self, least: f64) -> Result<()> {
        ensure!(
            least <= self.most,
            "the budget is {}, but the smallest possible student needs {}",
            self.show(self.most),
            // Rounded up, so that the printed value is sufficient.
            self.show(least * 1.0001)
        );
        Ok(())
    }

    /// Fails if none of the `teachers` costs more.
    pub fn exceeded_by(&self, teachers: &[Generator]) -> Result<()> {
        let costs: Vec<f64> =
            teachers.iter().map(|teacher| self.cost(teacher)).collect::<Result<_>>()?;
        let cost = costs.into_iter().fold(0.0, f64::max);
        ensure!(
            cost > self.most,
            "the budget is {}, but the teacher needs only {}, so there is nothing to compress",
            self.show(self.most),
            self.show(cost)
        );
        Ok(())
    }

    /// A cost with its unit, as in the options.
    fn show(&self, cost: f64) -> String {
        match self.unit {
            Unit::Macs => format!("{cost:.4e} MACs"),
            Unit::Ms => format!("{cost:.3} ms"),
        }
    }

    /// Sets the channels of `options` to the largest numbers within the limit.
    pub fn widen(&self, options: &mut TrainOptions) -> Result<()> {
        let cost =
            |step: u32| self.cost(&Generator::new(scaled(options, step * STEP).generator(0)));
        self.allow_least(cost(1)?)?;
        // `low` fits; `high` and above do not.
        let (mut low, mut high) = (1, MOST / STEP + 1);
        while low + 1 < high {
            let middle = (low + high) / 2;
            if cost(middle)? <= self.most {
                low = middle;
            } else {
                high = middle;
            }
        }
        *options = scaled(options, low * STEP);
        Ok(())
    }
}

/// The same generator with `channels` in its first layer, and others in proportion.
fn scaled(options: &TrainOptions, channels: u32) -> TrainOptions {
    let mut options = options.clone();
    options.ngf = Some(channels);
    if options.net_g() == NetG::Fast {
        options.width = channels * 2;
    }
    options
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A limit of `most` multiply-accumulates at `size`×`size` pixels.
    pub fn limit(most: f64, size: u32) -> Limit {
        Limit { most, unit: Unit::Macs, size }
    }

    #[test]
    fn widen_takes_the_most_channels_that_fit() {
        let limit = |most| limit(most, 256);
        let mut options = TrainOptions::default();
        limit(2.5e9).widen(&mut options).unwrap();
        let macs = |o: &TrainOptions| limit(0.0).cost(&Generator::new(o.generator(0))).unwrap();
        let more = scaled(&options, options.ngf() + STEP);
        assert!(macs(&options) <= 2.5e9 && macs(&more) > 2.5e9, "{options:?}");
        assert_eq!(options.width, options.ngf() * 2);
        let error = limit(1e6).widen(&mut options).unwrap_err().to_string();
        assert!(error.contains("1.0000e6 MACs, but the smallest possible student"), "{error}");
        limit(1e15).widen(&mut options).unwrap();
        assert_eq!(options.ngf(), MOST);
    }

    #[test]
    fn given_options_must_fit_the_budget() {
        let generator = Generator::new(TrainOptions::default().generator(0));
        assert!(limit(1e11, 256).allow(&generator).is_ok());
        let error = limit(1e8, 256).allow(&generator).unwrap_err().to_string();
        assert!(error.contains("1.0000e8 MACs"), "{error}");
    }
}
