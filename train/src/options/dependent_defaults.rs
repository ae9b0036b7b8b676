// SPDX-License-Identifier: MIT OR Apache-2.0

//! Defaults that depend on other options.

use super::{GeneratorName, LookAt, Mode, TrainOptions};
use crate::{
    data::view::Preprocess,
    loss::adversarial::GanMode,
    net::{
        build::Norm,
        discriminator::DiscriminatorShape,
        generator::{Generator, GeneratorShape, NetG},
        init::InitType,
    },
};

impl TrainOptions {
    /// Whether images are paired.
    pub fn paired(&self) -> bool {
        self.mode == Mode::Paired
    }

    /// Whether G and F are trained.
    pub fn trained(&self) -> [bool; 2] {
        match self.only {
            None => [true; 2],
            Some(GeneratorName::G) => [true, false],
            Some(GeneratorName::F) => [false, true],
        }
    }

    /// The generators' architecture.
    pub fn net_g(&self) -> NetG {
        self.net_g.unwrap_or(if self.paired() { NetG::Unet256 } else { NetG::Fast })
    }

    /// The adversarial objective.
    pub fn gan_mode(&self) -> GanMode {
        let default = if self.paired() { GanMode::Vanilla } else { GanMode::Lsgan };
        self.gan_mode.unwrap_or(default)
    }

    /// Size of the image pool of each discriminator.
    pub fn pool_size(&self) -> usize {
        self.pool_size.unwrap_or(if self.paired() { 0 } else { 50 })
    }

    /// Channels of the generators' first layer.
    pub fn ngf(&self) -> u32 {
        let default = if self.net_g() == NetG::Fast { 32 } else { 64 };
        self.ngf.unwrap_or(default)
    }

    /// Normalisation of the discriminators.
    pub fn norm_d(&self) -> Norm {
        // Statistics over a blank background would reveal the size of the mask to every patch.
        let default = match self.look_at {
            LookAt::Foreground => Norm::Spectral,
            LookAt::Frame => self.published_norm(),
        };
        self.norm_d.unwrap_or(default)
    }

    /// The normalisation of the CycleGAN paper, or of pix2pix for paired data.
    fn published_norm(&self) -> Norm {
        if self.paired() { Norm::Batch } else { Norm::Instance }
    }

    /// Distribution of initial weights.
    pub fn init_type(&self) -> InitType {
        self.init_type.unwrap_or(match self.net_g() {
            NetG::Fast => InitType::Kaiming,
            _ => InitType::Normal,
        })
    }

    /// The shape of G (0) or F (1).
    pub fn generator(&self, i: usize) -> GeneratorShape {
        let norm = match self.net_g() {
            NetG::Fast => Norm::None,
            // `compress` prunes by the scales of instance normalisation.
            NetG::Inception9Blocks => Norm::Instance,
            _ => self.published_norm(),
        };
        GeneratorShape {
            net: self.net_g(),
            ngf: self.ngf().into(),
            width: self.width.into(),
            blocks: self.blocks as usize,
            norm: self.norm.unwrap_or(norm),
            dropout: self.dropout.unwrap_or(self.paired()),
            mask_head: self.mask_head,
            context: self.context && self.net_g() == NetG::Fast,
            backbone: self.backbone.is_some() && self.net_g() == NetG::Fast,
            skip: self.skip && self.net_g() == NetG::Fast,
            blur: self.blur.contains(&GeneratorName::ALL[i]) && self.net_g() == NetG::Fast,
            pruned: self.pruned.as_ref().map(|left| left[i].clone()),
        }
    }

    /// The short side of whole images that the generators are trained for, pixels, rounded to a multiple that they
    /// accept: that of the resized images, or of the crops if it is unknown. `None` if each image has its own
    /// size.
    pub fn short_side(&self) -> Option<u32> {
        let side = match self.preprocess {
            Preprocess::ResizeAndCrop | Preprocess::MultiScaleCrop => self.load_size,
            Preprocess::Crop | Preprocess::ScaleWidthAndCrop => self.crop_size,
            Preprocess::ScaleWidth | Preprocess::None => return None,
        };
        let multiple = Generator::new(self.generator(0)).multiple_of();
        Some(((side + multiple / 2) / multiple).max(1) * multiple)
    }

    /// The discriminators' shape.
    pub fn discriminator(&self) -> DiscriminatorShape {
        DiscriminatorShape {
            net: self.net_d,
            // For pairs they also see the input.
            ins: if self.paired() { 6 } else { 3 },
            ndf: self.ndf.into(),
            n_layers: self.n_layers_d,
            norm: self.norm_d(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    #[test]
    fn pairs_have_the_defaults_of_pix2pix() {
        let given = |arguments: &[&str]| {
            let command = TrainOptions::augment_args(Command::new("train"));
            let arguments = ["train"].iter().chain(arguments);
            TrainOptions::from_arg_matches(&command.get_matches_from(arguments)).unwrap()
        };
        let (instance, batch) = (Norm::Instance, Norm::Batch);
        for (arguments, net, norm, norm_d, dropout) in [
            (&["--mode", "paired"][..], NetG::Unet256, batch, batch, true),
            (&["--net-g", "unet_256"], NetG::Unet256, instance, instance, false),
            (&["--mode", "paired", "--net-g", "fast"], NetG::Fast, Norm::None, batch, true),
            (
                &["--mode", "paired", "--net-g", "inception_9blocks"],
                NetG::Inception9Blocks,
                instance,
                batch,
                true,
            ),
            (
                &["--mode=paired", "--norm=instance", "--norm-d=none", "--dropout=false"],
                NetG::Unet256,
                instance,
                Norm::None,
                false,
            ),
            (&["--dropout", "--norm-d", "batch"], NetG::Fast, Norm::None, batch, true),
            (&["--look-at", "foreground"], NetG::Fast, Norm::None, Norm::Spectral, false),
        ] {
            let options = given(arguments);
            let g = options.generator(0);
            let found = (g.net, g.norm, options.discriminator().norm, g.dropout);
            assert_eq!(found, (net, norm, norm_d, dropout), "{arguments:?}");
        }
    }

    #[test]
    fn the_short_side_is_a_multiple_that_the_generators_accept() {
        let side = |preprocess, net_g, load_size| {
            let net_g = Some(net_g);
            TrainOptions { preprocess, net_g, load_size, crop_size: 256, ..Default::default() }
                .short_side()
        };
        let (fast, unet) = (NetG::Fast, NetG::Unet256);
        for (preprocess, net_g, load_size, expected) in [
            (Preprocess::ResizeAndCrop, fast, 256, Some(256)),
            (Preprocess::ResizeAndCrop, fast, 286, Some(288)),
            (Preprocess::ResizeAndCrop, unet, 286, Some(256)),
            (Preprocess::ResizeAndCrop, unet, 512, Some(512)),
            (Preprocess::MultiScaleCrop, fast, 512, Some(512)),
            // The load size is not used, or is a width.
            (Preprocess::Crop, fast, 286, Some(256)),
            (Preprocess::ScaleWidthAndCrop, fast, 1024, Some(256)),
            (Preprocess::ScaleWidth, fast, 286, None),
            (Preprocess::None, unet, 286, None),
        ] {
            let found = side(preprocess, net_g, load_size);
            assert_eq!(found, expected, "{preprocess:?} {net_g:?} {load_size}");
        }
    }
}
