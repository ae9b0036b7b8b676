// SPDX-License-Identifier: MIT OR Apache-2.0

//! Less flicker with no video to learn from: what moves in the input ought to move alike in the
//! painting (Unsupervised Recycle-GAN, Wang et al., AAAI 2022).

use tch::{Kind, Tensor};

use crate::{data::batch::Next, warp::warp};

/// Largest shift of a whole picture, pixels.
const SHIFT: f64 = 8.0;
/// Spread of the local motion around it, pixels.
const BEND: f64 = 2.0;
/// Points along a side at which the local motion is drawn; it is smooth in between.
const KNOTS: i64 = 4;
/// Spread of the noise, of a range of 2: about two grey levels, as of a camera in the shade.
const NOISE: f64 = 0.02;

/// Pictures moved at random.
#[derive(Debug)]
pub struct Moved {
    /// W, N×2×H×W, pixels.
    flow: Tensor,
    /// W(x) + n, N×3×H×W.
    noisy: Tensor,
}

impl Moved {
    /// Moves x, N×3×H×W in [−1, 1], by a random motion W, and adds noise n.
    pub fn random(real: &Tensor) -> Self {
        let flow = random_flow(real);
        let moved = warp(real, &flow);
        let noisy = &moved + moved.randn_like() * NOISE;
        Self { flow, noisy }
    }

    /// ‖G(W(x) + n) − W(G(x))‖₁ (equation 4).
    ///
    /// Equation 3, the way back ‖F(W(G(x)) + n) − W(x)‖₁, is left out: it is one more cycle
    /// consistency, and made F keep the stripes of zebras that `--lambda-b` was lowered to let go.
    ///
    /// `fake` is G(x), N×3×H×W.
    pub fn equivariance(&self, paint: impl Fn(&Tensor) -> Tensor, fake: &Tensor) -> Tensor {
        (paint(&self.noisy) - warp(fake, &self.flow)).abs().mean(Kind::Float)
    }
}

/// ‖(G(x′) − G(x)) − (x′ − x)‖₁ over the images x that a frame x′ follows: what a frame changes
/// ought to change alike in the painting (arXiv 2102.05822).
///
/// `real` is x and `fake` is G(x), both N×3×H×W.
pub fn frame_difference(
    paint: impl Fn(&Tensor) -> Tensor,
    real: &Tensor,
    fake: &Tensor,
    next: &Next,
) -> Tensor {
    let change = &next.images - real.index_select(0, &next.of);
    let painted_change = paint(&next.images) - fake.index_select(0, &next.of);
    (painted_change - change).abs().mean(Kind::Float)
}

/// A smooth flow N×2×H×W, pixels, for pictures like `image`.
fn random_flow(image: &Tensor) -> Tensor {
    let (n, h, w) = (image.size()[0], image.size()[2], image.size()[3]);
    let options = (Kind::Float, image.device());
    let shift = (Tensor::rand([n, 2, 1, 1], options) * 2.0 - 1.0) * SHIFT;
    let bend = Tensor::randn([n, 2, KNOTS, KNOTS], options) * BEND;
    bend.upsample_bicubic2d([h, w], true, None, None) + shift
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(paint: impl Fn(&Tensor) -> Tensor) -> f64 {
        tch::manual_seed(8);
        let x = Tensor::rand([2, 3, 32, 32], tch::kind::FLOAT_CPU);
        let fake = paint(&x);
        Moved::random(&x).equivariance(&paint, &fake).double_value(&[])
    }

    #[test]
    fn what_moves_along_costs_only_the_noise() {
        let still = loss(|x| x.shallow_clone());
        // A pattern that stays where it is while the picture moves.
        let stuck = loss(|x| x + Tensor::linspace(0.0, 3.0, 32, tch::kind::FLOAT_CPU));
        assert!(still < 0.03 && stuck > 5.0 * still, "{still} {stuck}");
    }

    #[test]
    fn a_change_that_is_kept_costs_nothing_and_one_that_grows_does() {
        let x = Tensor::rand([3, 3, 4, 4], tch::kind::FLOAT_CPU);
        let next = Next { images: x.narrow(0, 1, 2) + 0.25, of: Tensor::from_slice(&[1i64, 2]) };
        let loss = |paint: fn(&Tensor) -> Tensor| {
            frame_difference(paint, &x, &paint(&x), &next).double_value(&[])
        };
        assert!(loss(|x| x + 0.5) < 1e-6);
        assert!((loss(|x| x * 3.0) - 0.5).abs() < 1e-5);
    }
}
