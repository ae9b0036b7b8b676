// SPDX-License-Identifier: MIT OR Apache-2.0

//! Warping error, a measure of a translated clip's flicker (Lai et al. 2018, arXiv 1808.00449, section 4).

use tch::{Kind, Tensor};

use super::flow::{Pyramid, flow, visible};
use crate::{progress, warp::warp};

/// Motion between consecutive frames of a clip, computed once for all generators.
#[derive(Debug)]
pub struct Motion {
    /// Flow from frame t to t + 1, 1×2×H×W, and its visibility, 1×1×H×W.
    steps: Vec<(Tensor, Tensor)>,
}

impl Motion {
    /// The motion of frames 1×3×H×W.
    pub fn of(frames: &[Tensor]) -> Self {
        let bar =
            progress::bar(frames.len().saturating_sub(1), "motion {bar:30} {pos}/{len} eta {eta}");
        let mut steps = Vec::new();
        let mut before: Option<Pyramid> = None;
        for frame in frames {
            let after = Pyramid::of(frame);
            if let Some(before) = &before {
                let there = flow(before, &after);
                let seen = visible(&there, &flow(&after, before));
                steps.push((there, seen));
                bar.inc(1);
            }
            before = Some(after);
        }
        bar.finish_and_clear();
        Self { steps }
    }

    /// Root of the mean over frames of Σ‖M⊙(warp(O_{t+1}) − O_t)‖²/ΣM, in grey levels a channel.
    pub fn warping_error(&self, frames: &[Tensor]) -> f64 {
        let error = |((flow, seen), pair): (&(Tensor, Tensor), &[Tensor])| {
            let change = (warp(&pair[1], flow) - &pair[0]) * 127.5;
            let sum = (change.square() * seen).sum(Kind::Float).double_value(&[]);
            sum / (3.0 * seen.sum(Kind::Float).double_value(&[])).max(1.0)
        };
        let errors = self.steps.iter().zip(frames.windows(2)).map(error);
        (errors.sum::<f64>() / self.steps.len().max(1) as f64).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::scene;

    #[test]
    fn a_moving_image_has_no_flicker_and_noise_has() {
        let scene = scene(5, 96, 112);
        let moving: Vec<Tensor> = (0..4).map(|t| scene.narrow(3, 2 * t, 96)).collect();
        let motion = Motion::of(&moving);
        let still = motion.warping_error(&moving);
        let noisy: Vec<Tensor> =
            moving.iter().map(|f| f + f.randn_like() * (10.0 / 127.5)).collect();
        let flickering = motion.warping_error(&noisy);
        // Noise of 10 grey levels in both frames of a pair differs by 10·√2; warping smooths some.
        assert!(still < 2.0 && (9.0..16.0).contains(&flickering), "{still} {flickering}");
    }
}
