// SPDX-License-Identifier: MIT OR Apache-2.0

//! The training state of one network.

use tch::{Device, Tensor, no_grad};

use super::{adam::Adam, schedule::warm_up};
use crate::{
    net::{
        init::InitType,
        params::{Layout, Params},
    },
    ranks::Ranks,
};

/// A network's weights, optimiser and moving average.
#[derive(Debug)]
pub struct NetworkState {
    /// The weights.
    pub params: Params,
    /// Its optimiser.
    pub adam: Adam,
    /// The moving average, for generators.
    pub ema: Option<Params>,
    /// Whether the weights were trained before this run. If not, the moving average ramps up, to forget the
    /// random start.
    pub imported: bool,
}

/// The moving average of a generator.
#[derive(Clone, Copy, Debug)]
pub struct Average {
    /// Half-life in images.
    pub half_life: f64,
    /// Images of each domain in an iteration, over all ranks.
    pub images: f64,
    /// Images of each domain since the weights were random, including this iteration.
    pub seen: f64,
}

/// For weights that were random at the start, the half-life is at most this share of the images so far
/// (StyleGAN2-ADA, arXiv 2006.06676, `ema_rampup`).
const RAMP_UP: f64 = 0.05;

impl NetworkState {
    /// New values from libtorch's random state.
    pub fn new(layout: &Layout, init: InitType, gain: f64, beta1: f64, device: Device) -> Self {
        let params = Params::new(layout, init, gain, device);
        let adam = Adam::new(params.flat(), beta1);
        Self { params, adam, ema: None, imported: false }
    }

    /// With a moving average that starts at the current weights.
    pub fn with_ema(mut self) -> Self {
        let copy = self.params.flat().copy();
        self.ema = Some(Params::from_flat(self.params.layout(), copy));
        self
    }

    /// The same with another layout: shared parameters are kept, others are 0.
    pub fn resized(&self, layout: &Layout) -> Self {
        let old = self.params.layout();
        let resize = |values: &Tensor| {
            let fresh = Tensor::zeros([layout.numel()], (values.kind(), values.device()));
            old.transfer(values, layout, &fresh);
            fresh
        };
        let params = Params::from_flat(layout, resize(self.params.flat()));
        let adam = self.adam.with_moments(resize(&self.adam.m), resize(&self.adam.v));
        let ema = self.ema.as_ref().map(|e| Params::from_flat(layout, resize(e.flat())));
        Self { params, adam, ema, imported: self.imported }
    }

    /// Restarts the moving average at the current weights, which were trained before.
    pub fn restart_average(&mut self) {
        if let Some(ema) = &self.ema {
            self.imported = true;
            no_grad(|| ema.flat().shallow_clone().copy_(self.params.flat()));
        }
    }

    /// One update with the mean of the flat `gradient` over all ranks. The learning rate rises to `lr` over the
    /// first `warmup` updates of this network.
    pub fn update(&mut self, gradient: Tensor, lr: f64, warmup: u64, ranks: &Ranks) {
        let gradient = no_grad(|| ranks.mean(gradient));
        let lr = lr * warm_up(self.adam.t, warmup);
        self.adam.step(self.params.flat(), &gradient, lr, self.params.trained());
    }

    /// Updates the moving average: e ← decay·e + (1 − decay)·w. Soon after a random start the decay is smaller,
    /// to forget the random weights.
    pub fn average(&mut self, average: Average) {
        if let Some(ema) = &self.ema {
            let ramp_up = if self.imported { f64::INFINITY } else { RAMP_UP * average.seen };
            let half_life = average.half_life.min(ramp_up);
            let decay = 0.5f64.powf(average.images / half_life);
            let mut flat = ema.flat().shallow_clone();
            no_grad(|| {
                let _ = flat.lerp_(self.params.flat(), 1.0 - decay);
            });
        }
    }

    /// The weights that samples and exports use: the moving average, if there is one.
    pub fn averaged(&self) -> &Params {
        self.ema.as_ref().unwrap_or(&self.params)
    }
}

#[cfg(test)]
mod tests {
    use tch::kind::FLOAT_CPU;

    use super::*;
    use crate::net::params::Start;

    fn state() -> NetworkState {
        let mut layout = Layout::default();
        layout.add("w".into(), &[1], Start::Constant(2.0));
        NetworkState::new(&layout, InitType::Normal, 0.02, 0.5, Device::Cpu).with_ema()
    }

    fn learn(state: &mut NetworkState, average: Average) -> f64 {
        state.update(Tensor::ones([1], FLOAT_CPU), 0.1, 0, &Ranks::default());
        state.average(average);
        state.params.flat().double_value(&[0])
    }

    #[test]
    fn the_average_of_random_weights_ramps_up() {
        let mut state = state();
        let mut expected = 2.0;
        for t in 1..=80 {
            let average = Average { half_life: 3.0, images: 1.0, seen: f64::from(t) };
            let value = learn(&mut state, average);
            // 0.05·t is below 3 up to t = 59.
            let decay = 0.5f64.powf(1.0 / (0.05 * f64::from(t)).min(3.0));
            expected = decay * expected + (1.0 - decay) * value;
            assert!((state.averaged().flat().double_value(&[0]) - expected).abs() < 1e-4, "{t}");
        }
    }

    /// After ten images at a half-life of ten, the imported weights have a share of one half.
    #[test]
    fn the_average_of_imported_weights_has_its_half_life() {
        for batch in [1, 5] {
            let mut state = state();
            state.restart_average();
            let average = Average { half_life: 10.0, images: f64::from(batch), seen: 1.0 };
            let (mut old, mut rest) = (1.0, 0.0);
            for _ in 0..10 / batch {
                let value = learn(&mut state, average);
                let decay = 0.5f64.powf(f64::from(batch) / 10.0);
                old *= decay;
                rest = decay * rest + (1.0 - decay) * value;
            }
            assert!((old - 0.5f64).abs() < 1e-9);
            let found = state.averaged().flat().double_value(&[0]);
            assert!((found - (0.5 * 2.0 + rest)).abs() < 1e-5, "{batch}: {found}");
        }
    }

    /// With `--discriminators-first`, the generators' warm-up starts with their first update.
    #[test]
    fn warm_up_counts_a_networks_own_updates() {
        let mut state = state();
        let mut last = 2.0;
        for part in [0.25, 0.5, 0.75, 1.0, 1.0] {
            state.update(Tensor::ones([1], FLOAT_CPU), 0.1, 4, &Ranks::default());
            let value = state.params.flat().double_value(&[0]);
            // With a constant gradient, Adam's update is the learning rate.
            assert!((last - value - 0.1 * part).abs() < 1e-4, "{part}: {}", last - value);
            last = value;
        }
    }
}
