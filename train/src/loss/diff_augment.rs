// SPDX-License-Identifier: MIT OR Apache-2.0

//! Differentiable augmentation of a discriminator's input, real and generated alike, against overfitting to
//! few images (DiffAugment, arXiv 2006.10738): colour, translation, cutout.

use tch::{Kind, Tensor};

/// Largest translation, as a share of the side.
const TRANSLATION: f64 = 1.0 / 8.0;
/// Side of the cutout, as a share of the side.
const CUTOUT: f64 = 0.5;

/// The random numbers for N images.
#[derive(Debug)]
pub struct Augmentation {
    /// N×7 in [0, 1).
    drawn: Tensor,
}

impl Augmentation {
    /// For the images of N×C×H×W.
    pub fn random(images: &Tensor) -> Self {
        Self { drawn: Tensor::rand([images.size()[0], 7], (Kind::Float, images.device())) }
    }

    fn column(&self, k: i64) -> Tensor {
        self.drawn.narrow(1, k, 1).view([-1, 1, 1, 1])
    }

    /// Brightness, saturation and contrast of N×3×H×W.
    pub fn colour(&self, x: &Tensor) -> Tensor {
        let x = x + (self.column(0) - 0.5);
        let grey = x.mean_dim([1i64].as_slice(), true, Kind::Float);
        let x = (x - &grey) * (self.column(1) * 2.0) + grey;
        let mean = x.mean_dim([1i64, 2, 3].as_slice(), true, Kind::Float);
        (x - &mean) * (self.column(2) + 0.5) + mean
    }

    /// Translates N×C×H×W, with zeros beyond the edge, and sets a square of it to 0.
    pub fn place(&self, x: &Tensor) -> Tensor {
        let (h, w) = (x.size()[2], x.size()[3]);
        let options = (Kind::Float, x.device());
        let shift = |k: i64, side: i64| {
            ((self.column(k) * 2.0 - 1.0) * (TRANSLATION * side as f64)).round()
        };
        let rows = Tensor::arange(h, options).view([1, 1, h, 1]);
        let columns = Tensor::arange(w, options).view([1, 1, 1, w]);
        let (y, x_of) = (&rows + shift(3, h), &columns + shift(4, w));
        let inside = |at: &Tensor, side: i64| at.ge(0.0).logical_and(&at.lt(side as f64));
        let moved = x
            .gather(2, &y.clamp(0.0, h as f64 - 1.0).to_kind(Kind::Int64).expand_as(x), false)
            .gather(3, &x_of.clamp(0.0, w as f64 - 1.0).to_kind(Kind::Int64).expand_as(x), false);
        let near = |at: &Tensor, k: i64, side: i64| {
            let middle = (self.column(k) * side as f64).floor();
            (at - middle).abs().lt(CUTOUT / 2.0 * side as f64)
        };
        let cut = near(&rows, 5, h).logical_and(&near(&columns, 6, w));
        let kept = inside(&y, h).logical_and(&inside(&x_of, w)).logical_and(&cut.logical_not());
        moved * kept.to_kind(Kind::Float)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(drawn: [f32; 7]) -> Augmentation {
        Augmentation { drawn: Tensor::from_slice(&drawn).view([1, 7]) }
    }

    #[test]
    fn random_numbers_of_one_half_change_no_colour() {
        let x = Tensor::rand([1, 3, 8, 8], tch::kind::FLOAT_CPU);
        let still = of([0.5, 0.5, 0.5, 0.5, 0.5, 0.0, 0.0]).colour(&x);
        assert!((still - &x).abs().max().double_value(&[]) < 1e-6);
        let brighter = of([1.0, 0.5, 0.5, 0.5, 0.5, 0.0, 0.0]).colour(&x);
        assert!((brighter - &x - 0.5).abs().max().double_value(&[]) < 1e-5);
        let grey = of([0.5, 0.0, 0.5, 0.5, 0.5, 0.0, 0.0]).colour(&x);
        assert!(grey.std_dim(Some([1i64].as_slice()), false, false).max().double_value(&[]) < 1e-5);
    }

    #[test]
    fn images_are_translated_and_a_quarter_is_cut_out() {
        let x = Tensor::arange(256, tch::kind::FLOAT_CPU).view([1, 1, 16, 16]) + 1.0;
        // Two rows up, and a square cut out of the corner.
        let moved = of([0.5, 0.5, 0.5, 0.9999, 0.5, 0.0, 0.0]).place(&x);
        assert_eq!(moved.double_value(&[0, 0, 8, 9]), x.double_value(&[0, 0, 10, 9]));
        assert_eq!(moved.double_value(&[0, 0, 15, 9]), 0.0);
        assert_eq!(moved.double_value(&[0, 0, 3, 3]), 0.0);
        assert_ne!(moved.double_value(&[0, 0, 3, 4]), 0.0);
    }

    /// The gradient with respect to the generated image is not 0.
    #[test]
    fn gradients_flow_through_the_augmentation() {
        let x = Tensor::rand([2, 3, 16, 16], tch::kind::FLOAT_CPU).set_requires_grad(true);
        let augmentation = Augmentation::random(&x);
        let loss = augmentation.place(&augmentation.colour(&x)).square().sum(Kind::Float);
        let gradient = Tensor::run_backward(&[loss], &[&x], false, false).remove(0);
        assert!(gradient.abs().sum(Kind::Float).double_value(&[]) > 0.0);
    }
}
