// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which options cannot work.

use anyhow::{Result, ensure};

use super::TrainOptions;
use crate::{
    data::view::Preprocess,
    net::{
        build::Norm,
        generator::{Generator, NetG},
    },
};

impl TrainOptions {
    /// Refuses values that cannot work.
    pub fn check(&self) -> Result<()> {
        let positive = [
            ("--batch-size", self.batch_size),
            ("--crop-size", self.crop_size),
            ("--load-size", self.load_size),
            ("--width", self.width),
            ("--ndf", self.ndf),
            ("--n-layers-d", self.n_layers_d),
            ("--num-threads", self.num_threads),
            ("--ngf", self.ngf()),
        ];
        for (name, value) in positive {
            ensure!(value > 0, "{name} is 0, expected at least 1");
        }
        let every = [
            ("--print-freq", self.print_freq),
            ("--display-freq", self.display_freq),
            ("--save-latest-freq", self.save_latest_freq),
        ];
        for (name, value) in every {
            ensure!(value > 0, "{name} is 0, expected at least 1 iteration");
        }
        let shares = [("--ema", self.ema), ("--beta1", self.beta1)];
        for (name, value) in shares {
            ensure!((0.0..1.0).contains(&value), "{name} is {value}, expected 0 to below 1");
        }
        ensure!(self.norm_d() != Norm::Frozen, "--norm-d frozen: only generators can be frozen");
        ensure!(self.lr > 0.0 && self.lr.is_finite(), "--lr is {}, expected more than 0", self.lr);
        let norm = self.generator(0).norm;
        ensure!(
            self.net_g() != NetG::Inception9Blocks || matches!(norm, Norm::Instance | Norm::None),
            "--net-g inception_9blocks is normalised by --norm instance, whose scales `compress` \
             prunes by, or by none"
        );
        self.check_crop()
    }

    fn check_crop(&self) -> Result<()> {
        let multiple = Generator::new(self.generator(0)).multiple_of();
        let crops = !matches!(self.preprocess, Preprocess::None | Preprocess::ScaleWidth);
        ensure!(
            !crops || self.crop_size.is_multiple_of(multiple),
            "--crop-size is {}, expected a multiple of {multiple} for this generator",
            self.crop_size
        );
        let resized = crops && self.preprocess != Preprocess::Crop;
        ensure!(
            !resized || self.crop_size <= self.load_size,
            "--crop-size {} is larger than --load-size {}, expected it to fit",
            self.crop_size,
            self.load_size
        );
        ensure!(
            crops || self.batch_size == 1,
            "--preprocess without a crop gives images of many sizes, expected --batch-size 1"
        );
        Ok(())
    }
}
