// SPDX-License-Identifier: MIT OR Apache-2.0

//! Adds a backbone to the generators of a run.

use std::path::Path;

use anyhow::Result;
use tch::Device;

use super::CycleGan;
use crate::{net::efficientnet_lite, options::TrainOptions};

impl CycleGan {
    /// The same model with the networks of `options`, which have the backbone of `path` besides.
    ///
    /// The generators continue from their averaged weights, with new optimisers; what joins the backbone to
    /// the mask starts as in a new model.
    pub fn add_backbone(self, options: &TrainOptions, path: &Path, device: Device) -> Result<Self> {
        let new = Self::new(&TrainOptions { d_features: None, ..options.clone() }, device)?;
        let mut generators = new.generators;
        for (own, before) in generators.iter_mut().zip(&self.generators) {
            efficientnet_lite::fill(path, &own.params)?;
            let trained = before.shown();
            trained.layout().transfer(trained.flat(), own.params.layout(), own.params.flat());
            own.restart_average();
        }
        Ok(Self { networks: new.networks, generators, ..self })
    }
}
