// SPDX-License-Identifier: MIT OR Apache-2.0

//! One of the four networks with all that training keeps about it.

use tch::{Device, Tensor, no_grad};

use super::adam::Adam;
use crate::{
    net::{
        init::InitType,
        params::{Layout, Params},
    },
    peers::Peers,
};

/// A network's values, optimiser and moving average.
#[derive(Debug)]
pub struct Player {
    /// What is trained.
    pub params: Params,
    /// Its optimiser.
    pub adam: Adam,
    /// The moving average, for generators.
    pub ema: Option<Params>,
}

impl Player {
    /// New values from libtorch's random state.
    pub fn new(layout: &Layout, init: InitType, gain: f64, beta1: f64, device: Device) -> Self {
        let params = Params::new(layout, init, gain, device);
        let adam = Adam::new(params.flat(), beta1);
        Self { params, adam, ema: None }
    }

    /// With a moving average that begins at the values of now.
    pub fn with_ema(mut self) -> Self {
        let copy = self.params.flat().copy();
        self.ema = Some(Params::from_flat(self.params.layout(), copy));
        self
    }

    /// The same with another layout: values that both name are kept, others are 0.
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
        Self { params, adam, ema }
    }

    /// Lets the moving average begin anew at the values of now.
    pub fn restart_average(&self) {
        if let Some(ema) = &self.ema {
            no_grad(|| ema.flat().shallow_clone().copy_(self.params.flat()));
        }
    }

    /// One update, given the gradient as a flat vector, of which the mean over all peers is taken.
    pub fn update(&mut self, gradient: Tensor, lr: f64, peers: &Peers) {
        let gradient = no_grad(|| peers.mean(gradient));
        self.adam.step(self.params.flat(), &gradient, lr);
    }

    /// Moves the average towards the values: e ← decay·e + (1 − decay)·w. It follows faster at
    /// first, so that the random beginning is soon forgotten.
    pub fn average(&mut self, decay: f64) {
        if let Some(ema) = &self.ema {
            let t = self.adam.t as f64;
            let decay = decay.min((1.0 + t) / (10.0 + t));
            let mut flat = ema.flat().shallow_clone();
            no_grad(|| {
                let _ = flat.lerp_(self.params.flat(), 1.0 - decay);
            });
        }
    }

    /// The values to show and export.
    pub fn shown(&self) -> &Params {
        self.ema.as_ref().unwrap_or(&self.params)
    }
}

#[cfg(test)]
mod tests {
    use tch::kind::FLOAT_CPU;

    use super::*;
    use crate::net::params::Start;

    #[test]
    fn the_average_follows_fast_at_first_and_then_by_its_decay() {
        let mut layout = Layout::default();
        layout.add("w".into(), &[1], Start::Constant(2.0));
        let mut player = Player::new(&layout, InitType::Normal, 0.02, 0.5, Device::Cpu).with_ema();
        let one = Peers::default();
        let mut expected = 2.0;
        for t in 1..=40 {
            player.update(Tensor::ones([1], FLOAT_CPU), 0.1, &one);
            player.average(0.8);
            let value = player.params.flat().double_value(&[0]);
            // (1 + t)/(10 + t) is below 0.8 up to t = 34.
            let decay = if t < 35 { (1.0 + f64::from(t)) / (10.0 + f64::from(t)) } else { 0.8 };
            expected = decay * expected + (1.0 - decay) * value;
            assert!((player.shown().flat().double_value(&[0]) - expected).abs() < 1e-4, "{t}");
        }
        player.restart_average();
        assert_eq!(player.shown().flat(), player.params.flat());
    }
}
