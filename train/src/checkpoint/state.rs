// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a checkpoint contains: the networks and pools of a model, and the data about them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tch::Tensor;

use crate::cyclegan::{CycleGan, network_state::NetworkState, schedule::Plateau};

/// A checkpoint's data other than tensors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    pub format: u32,
    pub step: u64,
    /// Images of each domain seen, over all ranks.
    pub images: u64,
    pub networks: BTreeMap<String, Network>,
    /// Omitted while it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plateau: Option<Plateau>,
    /// The validation scores of the checkpoint that scored best.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub scores: Map<String, Value>,
    pub sha256: String,
}

/// A checkpoint's data about a network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Network {
    /// Names and shapes of its parameters.
    pub layout: String,
    /// Number of updates by its optimiser.
    pub updates: i64,
    /// Whether its values were trained before the run started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imported: bool,
}

/// The part of a state that is the same in every format.
#[derive(Deserialize)]
pub struct Format {
    pub format: u32,
}

impl State {
    /// The file's metadata, with this checksum of everything but the checksum itself.
    pub fn with_checksum(&self, sha256: String) -> Result<String> {
        Ok(serde_json::to_string(&Self { sha256, ..self.clone() })?)
    }

    pub fn network(&self, name: &str) -> Result<&Network> {
        self.networks.get(name).with_context(|| format!("it has no network {name}"))
    }
}

/// The pools of generated images.
pub const POOLS: [&str; 2] = ["pool_G", "pool_F"];
/// Optional networks: they start from random weights when their option is set again.
pub const OPTIONAL: [[&str; 2]; 2] = [["H_G", "H_F"], ["P_G", "P_F"]];

pub fn states(model: &CycleGan) -> Vec<(&'static str, &NetworkState)> {
    let [g, f] = &model.generators;
    let [d_g, d_f] = &model.discriminators;
    let mut states = vec![("G", g), ("F", f), ("D_G", d_g), ("D_F", d_f)];
    if let Some(projections) = &model.projections {
        states.extend(OPTIONAL[0].into_iter().zip(projections.each_ref().map(|p| &p.1)));
    }
    if let Some(discriminators) = &model.feature_discriminators {
        states.extend(OPTIONAL[1].into_iter().zip(&discriminators.states));
    }
    states
}

pub fn states_mut(model: &mut CycleGan) -> Vec<(&'static str, &mut NetworkState)> {
    let [g, f] = &mut model.generators;
    let [d_g, d_f] = &mut model.discriminators;
    let mut states = vec![("G", g), ("F", f), ("D_G", d_g), ("D_F", d_f)];
    if let Some(projections) = &mut model.projections {
        states.extend(OPTIONAL[0].into_iter().zip(projections.each_mut().map(|p| &mut p.1)));
    }
    if let Some(discriminators) = &mut model.feature_discriminators {
        states.extend(OPTIONAL[1].into_iter().zip(&mut discriminators.states));
    }
    states
}

/// The first of a model's tensors with a NaN or infinite value.
pub fn not_finite(model: &CycleGan) -> Option<String> {
    let wrong = |t: &Tensor| t.isfinite().all().int64_value(&[]) == 0;
    tensors(model).into_iter().find(|(_, t)| wrong(t)).map(|(name, _)| name)
}

/// All tensors of a model, in order of name.
pub fn tensors(model: &CycleGan) -> Vec<(String, Tensor)> {
    let mut tensors: Vec<(String, Tensor)> = Vec::new();
    for (name, state) in states(model) {
        let mut add = |what: &str, t: &Tensor| {
            tensors.push((format!("{name}.{what}"), t.shallow_clone()));
        };
        add("weights", state.params.flat());
        add("adam_m", &state.adam.m);
        add("adam_v", &state.adam.v);
        if let Some(ema) = &state.ema {
            add("ema", ema.flat());
        }
    }
    for (pool, name) in model.pools.iter().zip(POOLS) {
        tensors.extend(pool.images().map(|images| (name.to_owned(), images)));
    }
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
}
