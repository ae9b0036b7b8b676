// SPDX-License-Identifier: MIT OR Apache-2.0

//! Defaults of `--net-g fast` on unpaired images, close to the recipes of the shipped pairs. The published
//! defaults are for `resnet_9blocks`.

use super::{TrainOptions, set_unless_given};
use crate::{data::view::Preprocess, net::generator::NetG};

impl TrainOptions {
    /// Sets the defaults of `fast` for all options that are not given, if it is trained on unpaired images.
    /// `is_given` gets the names of the options without leading dashes.
    pub fn set_defaults_of_fast(&mut self, is_given: impl Fn(&str) -> bool) {
        if self.net_g() != NetG::Fast || self.paired() {
            return;
        }
        set_unless_given(&mut self.ndf, 48, is_given("ndf"));
        set_unless_given(&mut self.preprocess, Preprocess::MultiScaleCrop, is_given("preprocess"));
        set_unless_given(&mut self.load_size, 256, is_given("load-size"));
        set_unless_given(&mut self.crop_size, 128, is_given("crop-size"));
        set_unless_given(&mut self.lambda_a, 4.0, is_given("lambda-a"));
        set_unless_given(&mut self.lambda_b, 4.0, is_given("lambda-b"));
        set_unless_given(&mut self.lambda_mask, 2.0, is_given("lambda-mask"));
        set_unless_given(&mut self.lambda_flow, 3.0, is_given("lambda-flow"));
        set_unless_given(&mut self.warmup, 200, is_given("warmup"));
        set_unless_given(&mut self.ema_half_life, 2000.0, is_given("ema-half-life"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Mode;

    #[test]
    fn fast_has_its_own_defaults() {
        let published = TrainOptions::default();
        let with_defaults = |mut options: TrainOptions, given: &str| {
            options.set_defaults_of_fast(|name| name == given);
            options
        };
        let fast = with_defaults(published.clone(), "");
        assert_eq!((fast.crop_size, fast.lambda_a, fast.lambda_flow), (128, 4.0, 3.0));
        assert_eq!(fast.preprocess, Preprocess::MultiScaleCrop);
        fast.check().unwrap();
        let given = with_defaults(published.clone(), "lambda-a");
        assert_eq!((given.crop_size, given.lambda_a), (128, 10.0));
        for others in [
            TrainOptions { net_g: Some(NetG::Resnet9Blocks), ..published.clone() },
            TrainOptions { mode: Mode::Paired, net_g: Some(NetG::Fast), ..published.clone() },
        ] {
            assert_eq!(with_defaults(others, "").crop_size, 256);
        }
    }
}
