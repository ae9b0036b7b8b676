// SPDX-License-Identifier: MIT OR Apache-2.0

//! Defaults of `--net-g fast` on unpaired images, with which the shipped pairs were trained. The published
//! ones are for `resnet_9blocks`.

use super::TrainOptions;
use crate::{data::view::Preprocess, net::generator::NetG};

impl TrainOptions {
    /// Sets the defaults of `fast`, if it is trained on unpaired images, for all options that are not given;
    /// `is_given` gets their names on the command line, without dashes in front.
    pub fn with_defaults_of_fast(mut self, is_given: impl Fn(&str) -> bool) -> Self {
        if self.net_g() != NetG::Fast || self.paired() {
            return self;
        }
        let numbers: [(&str, &mut u32, u32); 3] = [
            ("ndf", &mut self.ndf, 48),
            ("load-size", &mut self.load_size, 256),
            ("crop-size", &mut self.crop_size, 128),
        ];
        for (name, option, value) in numbers {
            if !is_given(name) {
                *option = value;
            }
        }
        let weights: [(&str, &mut f64, f64); 5] = [
            ("lambda-a", &mut self.lambda_a, 4.0),
            ("lambda-b", &mut self.lambda_b, 4.0),
            ("lambda-mask", &mut self.lambda_mask, 2.0),
            ("lambda-flow", &mut self.lambda_flow, 3.0),
            ("ema-half-life", &mut self.ema_half_life, 2000.0),
        ];
        for (name, option, value) in weights {
            if !is_given(name) {
                *option = value;
            }
        }
        if !is_given("preprocess") {
            self.preprocess = Preprocess::MultiScaleCrop;
        }
        if !is_given("warmup") {
            self.warmup = 200;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Mode;

    #[test]
    fn fast_has_defaults_of_its_own() {
        let published = TrainOptions::default();
        let fast = published.clone().with_defaults_of_fast(|_| false);
        assert_eq!((fast.crop_size, fast.lambda_a, fast.lambda_flow), (128, 4.0, 3.0));
        assert_eq!(fast.preprocess, Preprocess::MultiScaleCrop);
        fast.check().unwrap();
        let given = published.clone().with_defaults_of_fast(|name| name == "lambda-a");
        assert_eq!((given.crop_size, given.lambda_a), (128, 10.0));
        for others in [
            TrainOptions { net_g: Some(NetG::Resnet9Blocks), ..published.clone() },
            TrainOptions { mode: Mode::Paired, net_g: Some(NetG::Fast), ..published.clone() },
        ] {
            assert_eq!(others.clone().with_defaults_of_fast(|_| false).crop_size, 256);
        }
    }
}
