// SPDX-License-Identifier: MIT OR Apache-2.0

//! Losses against flicker: equivariance to random motion, which needs no video (Unsupervised Recycle-GAN, Wang et
//! al., AAAI 2022), and differences between frames.

use tch::{Kind, Tensor};

use crate::{data::batch::Next, warp::warp};

/// Largest shift of a whole image, pixels.
const SHIFT: f64 = 8.0;
/// Standard deviation of the local motion around it, pixels.
const BEND: f64 = 2.0;
/// Share of the images that move by whole pixels, without local motion. Resampling does not blur these, so the loss
/// has no floor, and only what the generator ties to the grid of its strides is left in it.
const WHOLE: f64 = 0.8;
/// Number of points per side for the local motion, which is interpolated smoothly.
const KNOTS: i64 = 4;
/// Standard deviation of the noise in [−1, 1]: about two grey levels, as of a camera in low light.
const NOISE: f64 = 0.02;

/// Randomly moved images.
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
    /// Equation 3, the way back ‖F(W(G(x)) + n) − W(x)‖₁, is omitted: it is another cycle loss, and made F
    /// keep the zebras' stripes, which a low `--lambda-b` avoids.
    ///
    /// `fake` is G(x), N×3×H×W.
    pub fn equivariance(&self, generate: impl Fn(&Tensor) -> Tensor, fake: &Tensor) -> Tensor {
        (generate(&self.noisy) - warp(fake, &self.flow)).abs().mean(Kind::Float)
    }
}

/// ‖(G(x′) − G(x)) − (x′ − x)‖₁ over the images x with a next frame x′: the change between frames should be
/// the same in the result (arXiv 2102.05822).
///
/// `real` is x and `fake` is G(x), both N×3×H×W.
pub fn frame_difference(
    generate: impl Fn(&Tensor) -> Tensor,
    real: &Tensor,
    fake: &Tensor,
    next: &Next,
) -> Tensor {
    let change = &next.images - real.index_select(0, &next.of);
    let generated_change = generate(&next.images) - fake.index_select(0, &next.of);
    (generated_change - change).abs().mean(Kind::Float)
}

/// A smooth flow N×2×H×W, pixels, for images of the shape of `image`.
fn random_flow(image: &Tensor) -> Tensor {
    let (n, h, w) = (image.size()[0], image.size()[2], image.size()[3]);
    let options = (Kind::Float, image.device());
    let shift = (Tensor::rand([n, 2, 1, 1], options) * 2.0 - 1.0) * SHIFT;
    let bend = Tensor::randn([n, 2, KNOTS, KNOTS], options) * BEND;
    let bent = bend.upsample_bicubic2d([h, w], true, None, None) + &shift;
    let whole = Tensor::rand([n, 1, 1, 1], options).lt(WHOLE);
    shift.round().where_self(&whole, &bent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(generate: impl Fn(&Tensor) -> Tensor) -> f64 {
        tch::manual_seed(8);
        let x = Tensor::rand([2, 3, 32, 32], tch::kind::FLOAT_CPU);
        let fake = generate(&x);
        Moved::random(&x).equivariance(&generate, &fake).double_value(&[])
    }

    #[test]
    fn an_equivariant_generator_has_only_the_loss_of_the_noise() {
        let still = loss(|x| x.shallow_clone());
        // A pattern that does not move with the image.
        let stuck = loss(|x| x + Tensor::linspace(0.0, 3.0, 32, tch::kind::FLOAT_CPU));
        assert!(still < 0.03 && stuck > 5.0 * still, "{still} {stuck}");
    }

    #[test]
    fn most_images_move_by_whole_pixels() {
        tch::manual_seed(8);
        let flow = random_flow(&Tensor::zeros([200, 3, 16, 16], tch::kind::FLOAT_CPU));
        let fraction = (&flow - flow.round()).abs().flatten(1, -1).amax([1], false);
        let whole = fraction.eq(0.0).to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
        assert!((0.7..0.9).contains(&whole), "{whole}");
    }

    #[test]
    fn an_equal_frame_difference_has_loss_0() {
        let x = Tensor::rand([3, 3, 4, 4], tch::kind::FLOAT_CPU);
        let next = Next { images: x.narrow(0, 1, 2) + 0.25, of: Tensor::from_slice(&[1i64, 2]) };
        let loss = |generate: fn(&Tensor) -> Tensor| {
            frame_difference(generate, &x, &generate(&x), &next).double_value(&[])
        };
        assert!(loss(|x| x + 0.5) < 1e-6);
        assert!((loss(|x| x * 3.0) - 0.5).abs() < 1e-5);
    }
}
