// SPDX-License-Identifier: MIT OR Apache-2.0

//! Checks of the options.

use anyhow::{Result, ensure};

use super::{
    BestBy, LrPolicy, MAX_BATCH, MAX_CHANNELS, MAX_LAYERS, MAX_SIDE, MAX_THREADS, TrainOptions,
    given::check_numbers,
};
use crate::{
    data::{jitter::JitterRange, view::Preprocess},
    net::{
        build::Norm,
        generator::{Generator, NetG},
    },
};

impl TrainOptions {
    /// Refuses values that cannot work.
    pub fn check(&self) -> Result<()> {
        check_numbers(self)?;
        at_most("--threads", self.threads, MAX_THREADS)?;
        self.check_networks()?;
        self.check_data()?;
        self.check_weights()?;
        self.check_optimisation()?;
        self.check_intervals()?;
        self.check_validation()?;
        self.check_crop()
    }

    /// The options of "Networks".
    fn check_networks(&self) -> Result<()> {
        for (name, value) in [
            ("--width", self.width),
            ("--ndf", self.ndf),
            ("--n-layers-d", self.n_layers_d),
            ("--ngf", self.ngf()),
        ] {
            at_least_one(name, value)?;
        }
        for (name, value, most) in [
            ("--width", self.width, MAX_CHANNELS),
            ("--ndf", self.ndf, MAX_CHANNELS),
            ("--ngf", self.ngf(), MAX_CHANNELS),
            ("--blocks", self.blocks, MAX_LAYERS),
            ("--n-layers-d", self.n_layers_d, MAX_LAYERS),
        ] {
            at_most(name, value, most)?;
        }
        more_than_zero("--init-gain", self.init_gain)?;
        ensure!(self.norm_d() != Norm::Frozen, "--norm-d frozen: only generators can be frozen");
        ensure!(
            self.norm != Some(Norm::Spectral),
            "--norm spectral: only discriminators can have spectral normalisation, use --norm-d"
        );
        let norm = self.generator(0).norm;
        ensure!(
            self.net_g() != NetG::Inception9Blocks || matches!(norm, Norm::Instance | Norm::None),
            "--net-g inception_9blocks: expected --norm instance, whose scales `compress` needs for \
             pruning, or --norm none"
        );
        ensure!(
            self.d_features.is_none() || !self.paired(),
            "--d-features: these discriminators take one image, expected --mode unpaired, found --mode paired"
        );
        ensure!(
            self.backbone.is_none() || (self.mask_head && self.net_g() == NetG::Fast),
            "--backbone contributes to the mask of --net-g fast, expected --mask-head as well"
        );
        for begin in &self.learn {
            let knows = |i| Generator::new(self.generator(i)).layout.has(begin);
            ensure!(
                knows(0) && knows(1),
                "--learn {begin}: no parameter of the generators has a name that starts with this"
            );
        }
        Ok(())
    }

    /// The options of "Data", except for what [`Self::check_crop`] checks.
    fn check_data(&self) -> Result<()> {
        for (name, value) in [
            ("--batch-size", self.batch_size),
            ("--crop-size", self.crop_size),
            ("--load-size", self.load_size),
            ("--num-threads", self.num_threads),
        ] {
            at_least_one(name, value)?;
        }
        ensure!(self.max_dataset_size != Some(0), "--max-dataset-size is 0, expected at least 1");
        for (name, value, most) in [
            ("--batch-size", self.batch_size, MAX_BATCH),
            ("--crop-size", self.crop_size, MAX_SIDE),
            ("--load-size", self.load_size, MAX_SIDE),
            ("--num-threads", self.num_threads, MAX_THREADS),
        ] {
            at_most(name, value, most)?;
        }
        for (name, value) in [
            ("--min-foreground", self.min_foreground),
            ("--negative-share", self.negative_share),
            ("--letterbox", self.letterbox),
            ("--mosaic", self.mosaic),
            ("--paste", self.paste),
            ("--extra-share", self.extra_share),
        ] {
            share(name, value)?;
        }
        let extra = [("--extra-a", "f", &self.extra_a), ("--extra-b", "g", &self.extra_b)];
        for (is_trained, (name, only, folders)) in self.trained().into_iter().zip(extra) {
            ensure!(
                is_trained || folders.is_empty(),
                "{name}: its images are for the generator that --only {only} does not train, expected one of the two"
            );
        }
        for (name, value, most) in [self.jitter_options(0), self.jitter_options(1)].concat() {
            ensure!(
                value == 0.0 || !self.paired(),
                "{name} is {value}, expected 0 with --mode paired: an image and its partner have the \
                 same colours"
            );
            ensure!((0.0..=most).contains(&value), "{name} is {value}, expected 0 to {most}");
        }
        Ok(())
    }

    /// The options of "Losses".
    fn check_weights(&self) -> Result<()> {
        for (name, value) in [
            ("--lambda-a", self.lambda_a),
            ("--lambda-b", self.lambda_b),
            ("--lambda-identity", self.lambda_identity),
            ("--lambda-l1", self.lambda_l1),
            ("--lambda-nce", self.lambda_nce),
            ("--lambda-d-features", self.lambda_d_features),
            ("--lambda-mask", self.lambda_mask),
            ("--lambda-flow", self.lambda_flow),
            ("--lambda-diff", self.lambda_diff),
            ("--lambda-negative", self.lambda_negative),
            ("--lambda-gan", self.lambda_gan),
            ("--lambda-init", self.lambda_init),
        ] {
            zero_or_more(name, value)?;
        }
        ensure!(
            self.lambda_nce == 0.0 || Generator::new(self.generator(0)).has_features(),
            "--lambda-nce is {}, expected 0: this --net-g has no residual blocks, whose features it \
             compares",
            self.lambda_nce
        );
        let cycle = self.lambda_a + self.lambda_b;
        ensure!(
            self.only.is_none() || self.paired() || cycle == 0.0,
            "--only trains one generator, and the cycle loss needs both: expected --lambda-a 0 \
             --lambda-b 0, for example with --lambda-nce 1"
        );
        Ok(())
    }

    /// The options of "Optimisation".
    fn check_optimisation(&self) -> Result<()> {
        more_than_zero("--lr", self.lr)?;
        ensure!(
            (0.0..1.0).contains(&self.beta1),
            "--beta1 is {}, expected 0 to below 1",
            self.beta1
        );
        ensure!(self.max_images != Some(0), "--max-images is 0, expected at least 1");
        self.max_minutes.map_or(Ok(()), |minutes| more_than_zero("--max-minutes", minutes))?;
        ensure!(
            self.discriminators_first == 0 || self.lambda_gan > 0.0 || self.d_features.is_some(),
            "--discriminators-first is {}, expected 0: with --lambda-gan 0 and without --d-features there are no \
             discriminators to train",
            self.discriminators_first
        );
        zero_or_more("--ema-half-life", self.ema_half_life)
    }

    /// The intervals of "Output" and "Validation".
    fn check_intervals(&self) -> Result<()> {
        let every = [
            ("--print-freq", self.print_freq),
            ("--display-freq", self.display_freq),
            ("--save-latest-freq", self.save_latest_freq),
        ];
        let every = every.into_iter().chain(self.eval_every.map(|value| ("--eval-every", value)));
        for (name, value) in every {
            ensure!(value > 0, "{name} is 0, expected at least 1 image");
        }
        Ok(())
    }

    /// The other options of "Validation".
    fn check_validation(&self) -> Result<()> {
        share("--val-share", self.val_share)?;
        ensure!(
            self.only.is_none() || self.best_by != BestBy::Cycle,
            "--best-by cycle needs both generators, expected another score with --only"
        );
        let [g, f] = self.trained();
        for (score, letter, is_trained) in [(BestBy::KidA, "a", g), (BestBy::KidB, "b", f)] {
            ensure!(
                is_trained || self.best_by != score,
                "--best-by kid_{letter} is the score of a generator that --only does not train, expected kid"
            );
        }
        Ok(())
    }

    /// Refuses options that conflict with a teacher's precomputed output for domain `i`.
    pub fn check_generated(&self, i: usize) -> Result<()> {
        for (name, value, _) in self.jitter_options(i) {
            ensure!(
                value == 0.0,
                "{name} is {value}, expected 0: an ONNX teacher translates the images beforehand, in \
                 their own colours"
            );
        }
        Ok(())
    }

    /// The options that change the colours of domain `i`, and the most that each accepts.
    fn jitter_options(&self, i: usize) -> [(&'static str, f64, f64); 3] {
        let JitterRange { gamma, brightness, saturation } = self.jitter()[i];
        let names = [
            ["--random-gamma-a", "--random-brightness-a", "--random-saturation-a"],
            ["--random-gamma-b", "--random-brightness-b", "--random-saturation-b"],
        ][i];
        [(names[0], gamma, 4.0), (names[1], brightness, 1.0), (names[2], saturation, 1.0)]
    }

    /// Refuses to train a generator without any loss; `taught` are those that learn from a teacher.
    pub fn check_losses(&self, taught: [bool; 2]) -> Result<()> {
        let weight_if = |used: bool, weight: f64| if used { weight } else { 0.0 };
        let weights = [
            self.lambda_gan,
            self.lambda_nce,
            self.lambda_flow,
            self.lambda_diff,
            self.lambda_init,
            // The identity loss has no weight without the cycle loss.
            weight_if(!self.paired(), self.lambda_a + self.lambda_b),
            weight_if(self.paired(), self.lambda_l1),
            weight_if(self.mask_head, self.lambda_mask),
            weight_if(!self.negatives.is_empty(), self.lambda_negative),
            weight_if(self.d_features.is_some(), self.lambda_d_features),
        ];
        let has_loss = weights.iter().any(|&weight| weight > 0.0);
        for (i, [own, other]) in [["G", "f"], ["F", "g"]].into_iter().enumerate() {
            ensure!(
                has_loss || taught[i] || !self.trained()[i],
                "{own} has no loss, expected a weight above 0: --lambda-gan, {}, --lambda-nce, --lambda-flow, \
                 --lambda-diff or that of a teacher; or --only {other}, which does not train it",
                if self.paired() { "--lambda-l1" } else { "--lambda-a and --lambda-b" }
            );
        }
        // The distance from a partner or from a teacher is watched too.
        let is_watched =
            self.paired() || taught.contains(&true) || self.lambda_a + self.lambda_b > 0.0;
        ensure!(
            self.lr_policy != LrPolicy::Plateau || is_watched,
            "--lr-policy plateau watches the cycle loss, expected --lambda-a or --lambda-b above 0, or another policy"
        );
        Ok(())
    }

    fn check_crop(&self) -> Result<()> {
        let multiple = Generator::new(self.generator(0)).multiple_of();
        let crops = !matches!(self.preprocess, Preprocess::None | Preprocess::ScaleWidth);
        ensure!(
            !crops || self.crop_size.is_multiple_of(multiple),
            "--crop-size is {}, expected a multiple of {multiple} for this generator",
            self.crop_size
        );
        ensure!(
            crops || self.mosaic == 0.0,
            "--mosaic is {}, expected 0: --preprocess without a crop gives tiles of different sizes",
            self.mosaic
        );
        ensure!(
            self.preprocess != Preprocess::Crop || self.mosaic == 0.0,
            "--mosaic is {}, expected 0: --preprocess crop does not resize images, so the tiles would be smaller crops \
             and not smaller animals",
            self.mosaic
        );
        ensure!(
            self.paste == 0.0 || (crops && !self.paired() && !self.negatives.is_empty()),
            "--paste is {}, expected 0 without --negatives, with --mode paired or with --preprocess without a crop",
            self.paste
        );
        let least = self.discriminator().least_side();
        ensure!(
            !crops || self.lambda_gan == 0.0 || u64::from(self.crop_size) >= least,
            "--crop-size is {}, expected at least {least} for these discriminators; --net-d n_layers with a smaller \
             --n-layers-d accepts less",
            self.crop_size
        );
        let resized = crops && self.preprocess != Preprocess::Crop;
        ensure!(
            !resized || self.crop_size <= self.load_size,
            "--crop-size {} is larger than --load-size {}, expected at most that",
            self.crop_size,
            self.load_size
        );
        let least = self.load_size_min.filter(|_| self.preprocess == Preprocess::MultiScaleCrop);
        ensure!(
            least.is_none_or(|least| (self.crop_size..=self.load_size).contains(&least)),
            "--load-size-min is {}, expected --crop-size to --load-size, {} to {}",
            least.unwrap_or_default(),
            self.crop_size,
            self.load_size
        );
        ensure!(
            crops || self.batch_size == 1,
            "--preprocess without a crop gives images of different sizes, expected --batch-size 1"
        );
        Ok(())
    }
}

fn at_least_one(name: &str, value: u32) -> Result<()> {
    ensure!(value > 0, "{name} is 0, expected at least 1");
    Ok(())
}

/// Without limits, running out of memory or of threads aborts the process without an error.
fn at_most(name: &str, value: u32, most: i64) -> Result<()> {
    ensure!(i64::from(value) <= most, "{name} is {value}, expected at most {most}");
    Ok(())
}

fn more_than_zero(name: &str, value: f64) -> Result<()> {
    ensure!(value > 0.0 && value.is_finite(), "{name} is {value}, expected more than 0");
    Ok(())
}

fn zero_or_more(name: &str, value: f64) -> Result<()> {
    ensure!(value >= 0.0 && value.is_finite(), "{name} is {value}, expected 0 or more");
    Ok(())
}

/// Refuses numbers outside of 0 to 1.
pub fn share(name: &str, value: f64) -> Result<()> {
    ensure!((0.0..=1.0).contains(&value), "{name} is {value}, expected 0 to 1");
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    fn check(arguments: &str) -> Result<()> {
        let command = TrainOptions::augment_args(Command::new("train").no_binary_name(true));
        let matches = command.try_get_matches_from(arguments.split_whitespace()).unwrap();
        TrainOptions::from_arg_matches(&matches).unwrap().check()
    }

    #[test]
    fn errors_are_one_line_and_name_the_option() {
        for (arguments, option, expected) in [
            ("--lambda-a -1", "--lambda-a is -1", "0 or more"),
            ("--lambda-b -0.5", "--lambda-b is -0.5", "0 or more"),
            ("--lambda-identity -1", "--lambda-identity", "0 or more"),
            ("--lambda-l1 -100", "--lambda-l1", "0 or more"),
            ("--lambda-mask -1", "--lambda-mask", "0 or more"),
            ("--lambda-flow -1", "--lambda-flow", "0 or more"),
            ("--lambda-diff nan", "--lambda-diff is NaN", "0 or more"),
            ("--lr -0.001", "--lr", "more than 0"),
            ("--lr inf", "--lr", "more than 0"),
            ("--init-gain 0", "--init-gain is 0", "more than 0"),
            ("--init-gain -0.02", "--init-gain", "more than 0"),
            ("--min-foreground -0.1", "--min-foreground", "0 to 1"),
            ("--min-foreground 1.5", "--min-foreground is 1.5", "0 to 1"),
            ("--mode paired --random-gamma-b 1", "--random-gamma-b is 1", "--mode paired"),
            ("--random-gamma-a -1", "--random-gamma-a is -1", "0 to 4"),
            ("--random-gamma-b nan", "--random-gamma-b is NaN", "0 to 4"),
            ("--preprocess multi_scale_crop --load-size-min 300", "--load-size-min", "256 to 286"),
            ("--preprocess multi_scale_crop --load-size-min 200", "--load-size-min", "256 to 286"),
            ("--crop-size 300", "--crop-size", "--load-size"),
            ("--crop-size 254", "--crop-size", "multiple of 4"),
            ("--ema-half-life -1", "--ema-half-life is -1", "0 or more"),
            ("--beta1 1", "--beta1", "below 1"),
            ("--beta1 -1", "--beta1 is -1", "below 1"),
            ("--max-minutes 0", "--max-minutes is 0", "more than 0"),
            ("--max-images 0", "--max-images is 0", "at least 1"),
            ("--lambda-negative -1", "--lambda-negative is -1", "0 or more"),
            ("--letterbox 2", "--letterbox is 2", "0 to 1"),
            ("--mosaic 2", "--mosaic is 2", "0 to 1"),
            ("--paste 0.5", "--paste is 0.5", "--negatives"),
            ("--mosaic 0.5 --preprocess none --batch-size 1", "--mosaic is 0.5", "--preprocess"),
            ("--mosaic 0.5 --preprocess crop", "--mosaic is 0.5", "--preprocess crop"),
            ("--extra-share 2", "--extra-share is 2", "0 to 1"),
            ("--only g --lambda-a 0 --lambda-b 0 --extra-b x", "--extra-b", "--only g"),
            ("--only f --lambda-a 0 --lambda-b 0 --extra-a x", "--extra-a", "--only f"),
            (
                "--discriminators-first 9 --lambda-gan 0",
                "--discriminators-first is 9",
                "--d-features",
            ),
            ("--negative-share -1", "--negative-share is -1", "0 to 1"),
            ("--norm spectral", "--norm spectral", "discriminators"),
            ("--mode paired --d-features f.onnx", "--d-features", "--mode paired"),
            ("--only g --lambda-nce 1", "--only", "--lambda-a 0"),
            ("--only g --lambda-a 0 --lambda-b 0 --best-by kid_b", "--best-by kid_b", "--only"),
            ("--only f --lambda-a 0 --lambda-b 0 --best-by kid_a", "--best-by kid_a", "--only"),
            ("--lambda-d-features -1", "--lambda-d-features is -1", "0 or more"),
            ("--lambda-nce -1", "--lambda-nce is -1", "0 or more"),
            ("--lambda-nce 1 --net-g unet_256", "--lambda-nce is 1", "--net-g"),
            ("--batch-size 0", "--batch-size is 0", "at least 1"),
            ("--batch-size 65536", "--batch-size is 65536", "at most 4096"),
            ("--blocks 1000000", "--blocks is 1000000", "at most 64"),
            ("--net-g unet_256 --ngf 5000", "--ngf is 5000", "at most 1024"),
            ("--max-dataset-size 0", "--max-dataset-size is 0", "at least 1"),
            ("--seed 9223372036854775808", "--seed is 9223372036854775808", "9223372036854775807"),
            ("--warmup 9223372036854775808", "--warmup is", "at most 9223372036854775807"),
            ("--crop-size 20", "--crop-size is 20", "at least 24"),
            ("--norm-d frozen", "--norm-d", "generators"),
            ("--preprocess none --batch-size 2", "--preprocess", "--batch-size 1"),
        ] {
            let said = check(arguments).expect_err(arguments).to_string();
            assert!(said.contains(option) && said.contains(expected), "{arguments}: {said}");
            assert!(!said.contains('\n'), "{said}");
        }
    }

    #[test]
    fn a_generator_that_is_trained_needs_a_loss() {
        let losses = |arguments: &str, taught: [bool; 2]| {
            let command = TrainOptions::augment_args(Command::new("train").no_binary_name(true))
                .args_override_self(true);
            let matches = command.try_get_matches_from(arguments.split_whitespace()).unwrap();
            TrainOptions::from_arg_matches(&matches).unwrap().check_losses(taught)
        };
        let none = "--lambda-gan 0 --lambda-a 0 --lambda-b 0";
        let said = losses(none, [false; 2]).unwrap_err().to_string();
        for part in ["G has no loss", "--lambda-gan", "--lambda-flow", "--only f"] {
            assert!(said.contains(part), "{said}");
        }
        let said = losses(none, [true, false]).unwrap_err().to_string();
        assert!(said.contains("F has no loss") && said.contains("--only g"), "{said}");
        assert!(losses(none, [true; 2]).is_ok());
        assert!(losses(&format!("{none} --only g"), [true, false]).is_ok());
        assert!(losses(&format!("{none} --only f"), [true, false]).is_err());
        let plateau = "--lr-policy plateau --lambda-a 0 --lambda-b 0";
        let said = losses(plateau, [false; 2]).unwrap_err().to_string();
        assert!(said.contains("--lr-policy plateau") && said.contains("--lambda-a"), "{said}");
        losses(plateau, [true, false]).unwrap();
        losses(&format!("{plateau} --mode paired"), [false; 2]).unwrap();
        losses(&format!("{plateau} --lambda-b 1"), [false; 2]).unwrap();
        // These need images, a mask or a mode that are missing.
        let unused = "--lambda-l1 9 --lambda-mask 9 --lambda-negative 9 --lambda-identity 9";
        assert!(losses(&format!("{none} {unused} --lambda-d-features 9"), [false; 2]).is_err());
        for used in [
            "--lambda-gan 0.1",
            "--lambda-a 1",
            "--lambda-b 1",
            "--lambda-nce 1",
            "--lambda-flow 1",
            "--lambda-diff 1",
            "--mask-head",
            "--negatives x",
            "--mode paired",
            "--d-features x.onnx",
        ] {
            losses(&format!("{none} {used}"), [false; 2]).expect(used);
        }
    }

    #[test]
    fn boundary_values_are_accepted() {
        for arguments in [
            "",
            "--lambda-a 0 --lambda-b 0 --lambda-identity 0 --lambda-l1 0 --lambda-mask 0",
            "--min-foreground 0",
            "--min-foreground 1",
            "--preprocess multi_scale_crop --load-size-min 256",
            "--preprocess multi_scale_crop --load-size-min 286",
            "--mode paired",
            "--crop-size 24",
            "--crop-size 12 --net-d n_layers --n-layers-d 2",
            "--crop-size 4 --net-d pixel",
            "--crop-size 4 --lambda-gan 0",
            "--discriminators-first 9 --lambda-gan 0 --d-features f.onnx",
            "--only g --lambda-a 0 --lambda-b 0 --extra-a x",
            "--only g --lambda-a 0 --lambda-b 0 --best-by kid_a",
            "--seed 9223372036854775807",
        ] {
            check(arguments).expect(arguments);
        }
    }
}
