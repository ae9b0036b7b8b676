// SPDX-License-Identifier: MIT OR Apache-2.0

//! Adds a backbone or low-pass filters to trained generators.

use std::path::Path;

use anyhow::Result;
use tch::Device;

use super::CycleGan;
use crate::{net::efficientnet_lite, options::TrainOptions};

impl CycleGan {
    /// Puts the pretrained weights of `path` into the backbones of both generators.
    pub fn fill_backbones(&mut self, path: &Path) -> Result<()> {
        for generator in &mut self.generators {
            efficientnet_lite::fill(path, &generator.params)?;
            generator.restart_average();
        }
        Ok(())
    }

    /// The same model with the networks of `options`, which also have a backbone or low-pass filters.
    ///
    /// The generators continue from their averaged weights, with new optimisers; what joins a new backbone to
    /// the mask starts as in a new model.
    pub fn extended(self, options: &TrainOptions, device: Device) -> Result<Self> {
        let mut new = Self::new(&TrainOptions { d_features: None, ..options.clone() }, device)?;
        if let Some(path) = &options.backbone {
            new.fill_backbones(path)?;
        }
        let mut generators = new.generators;
        for (own, before) in generators.iter_mut().zip(&self.generators) {
            let trained = before.averaged();
            trained.layout().transfer(trained.flat(), own.params.layout(), own.params.flat());
            own.restart_average();
        }
        Ok(Self { networks: new.networks, generators, ..self })
    }
}
