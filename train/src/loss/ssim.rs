// SPDX-License-Identifier: MIT OR Apache-2.0

//! Structural similarity of images (Wang et al. 2004, equation 13).

use tch::{Kind, Tensor};

/// Side of the Gaussian window, and its deviation, pixels.
const WINDOW: i64 = 11;
const DEVIATION: f64 = 1.5;
/// (0.01·L)² and (0.03·L)² for values of a range L = 2.
const C1: f64 = 0.02 * 0.02;
const C2: f64 = 0.06 * 0.06;

/// The structural similarity of N×3×H×W images in [−1, 1] at each position of the window, N×3×(H − 10)×(W − 10): 1 if they
/// are equal. Sides are at least 11 pixels.
pub fn similarity(a: &Tensor, b: &Tensor) -> Tensor {
    let channels = a.size()[1];
    let window = window(a).repeat([channels, 1, 1, 1]);
    let blur = |x: &Tensor| {
        let rows = x.conv2d(&window, None::<Tensor>, 1, 0, 1, channels);
        rows.conv2d(&window.transpose(2, 3), None::<Tensor>, 1, 0, 1, channels)
    };
    let (mean_a, mean_b) = (blur(a), blur(b));
    let (aa, bb, ab) = (mean_a.square(), mean_b.square(), &mean_a * &mean_b);
    let variances = blur(&a.square()) - &aa + blur(&b.square()) - &bb;
    let covariance = blur(&(a * b)) - &ab;
    let similarity = (ab * 2.0 + C1) * (covariance * 2.0 + C2);
    similarity / ((aa + bb + C1) * (variances + C2))
}

/// The window's weights along an axis, 1×1×1×11, with the sum 1.
fn window(of: &Tensor) -> Tensor {
    let x = Tensor::arange(WINDOW, (Kind::Float, of.device())) - (WINDOW - 1) as f64 / 2.0;
    let window = (x.square() / (-2.0 * DEVIATION * DEVIATION)).exp();
    (&window / window.sum(Kind::Float)).view([1, 1, 1, WINDOW])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::noise;

    /// The reference for one window, in float64.
    #[test]
    fn ssim_of_one_window_matches_the_formula() {
        let (a, b) = (noise(1, &[1, 1, 11, 11]), noise(2, &[1, 1, 11, 11]));
        let list =
            |t: &Tensor| Vec::<f64>::try_from(t.flatten(0, -1).to_kind(Kind::Double)).unwrap();
        let (x, y) = (list(&a), list(&b));
        let weight = |i: usize| {
            let square = |v: usize| (v as f64 - 5.0).powi(2);
            (-(square(i / 11) + square(i % 11)) / (2.0 * 1.5 * 1.5)).exp()
        };
        let total: f64 = (0..121).map(weight).sum();
        let mean =
            |f: &dyn Fn(usize) -> f64| (0..121).map(|i| weight(i) * f(i)).sum::<f64>() / total;
        let (mx, my) = (mean(&|i| x[i]), mean(&|i| y[i]));
        let vx = mean(&|i| (x[i] - mx).powi(2));
        let vy = mean(&|i| (y[i] - my).powi(2));
        let cov = mean(&|i| (x[i] - mx) * (y[i] - my));
        let expected =
            (2.0 * mx * my + C1) * (2.0 * cov + C2) / ((mx * mx + my * my + C1) * (vx + vy + C2));
        let found = similarity(&a, &b).mean(Kind::Float).double_value(&[]);
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }

    #[test]
    fn equal_images_have_ssim_1_and_blurred_ones_less() {
        let a = noise(3, &[2, 3, 32, 24]);
        let ssim = |b: &Tensor| similarity(&a, b).mean(Kind::Float).double_value(&[]);
        assert!((ssim(&a) - 1.0).abs() < 1e-5);
        let blurred = a.avg_pool2d(3, 1, 1, false, true, None::<i64>);
        let pale = &a * 0.9;
        let [blurred, pale] = [blurred, pale].map(|b| ssim(&b));
        assert!(blurred < 0.8 && pale > 0.9, "{blurred} {pale}");
    }
}
