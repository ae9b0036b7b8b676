// SPDX-License-Identifier: MIT OR Apache-2.0

//! Gamma augmentation of the foreground, for darker and lighter animals than in the photographs.

use image::{GrayImage, RgbImage};
use rand::{Rng, RngExt};

/// A power curve over grey levels, v ↦ 255·(v/255)^γ: keeps black and white, and darkens (γ > 1) or
/// lightens the levels between.
#[derive(Clone, Copy, Debug)]
pub struct GammaCurve([u8; 256]);

impl GammaCurve {
    /// A curve with γ between 2^−`range` and 2^`range`, log-uniform.
    pub fn random(range: f64, rng: &mut impl Rng) -> Self {
        let exponent = rng.random::<f64>() * 2.0 * range - range;
        Self::of(exponent.exp2())
    }

    fn of(gamma: f64) -> Self {
        let curve = |v: usize| ((v as f64 / 255.0).powf(gamma) * 255.0).round() as u8;
        Self(std::array::from_fn(curve))
    }

    /// Applies the curve inside the mask, or to the whole image without one.
    pub fn apply(&self, picture: &mut RgbImage, mask: Option<&GrayImage>) {
        let Some(mask) = mask else {
            picture.iter_mut().for_each(|v| *v = self.0[usize::from(*v)]);
            return;
        };
        for (pixel, inside) in picture.pixels_mut().zip(mask.iter()) {
            for v in &mut pixel.0 {
                let (inside, changed) = (u32::from(*inside), u32::from(self.0[usize::from(*v)]));
                *v = ((inside * changed + (255 - inside) * u32::from(*v) + 127) / 255) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{Luma, Rgb};

    use super::*;
    use crate::data::order::{Purpose, random};

    #[test]
    fn gamma_applies_only_inside_the_mask() {
        let picture = RgbImage::from_pixel(3, 1, Rgb([0, 64, 255]));
        let mut mask = GrayImage::from_pixel(3, 1, Luma([0]));
        mask.put_pixel(1, 0, Luma([255]));
        mask.put_pixel(2, 0, Luma([128]));
        let mut changed = picture.clone();
        GammaCurve::of(2.0).apply(&mut changed, Some(&mask));
        let pixels: Vec<_> = changed.pixels().map(|p| p.0).collect();
        // 64²/255 = 16, and halfway there for half of the mask.
        assert_eq!(pixels, [[0, 64, 255], [0, 16, 255], [0, 40, 255]]);
        let mut whole = picture;
        GammaCurve::of(0.5).apply(&mut whole, None);
        assert!(whole.pixels().all(|p| p.0 == [0, 128, 255]));
    }

    #[test]
    fn gamma_is_log_uniform() {
        let mut rng = random(0, Purpose::ViewA, 0);
        let middles: Vec<_> = (0..200).map(|_| GammaCurve::random(1.0, &mut rng).0[128]).collect();
        // 128 at γ = 2 and at γ = ½.
        assert!(middles.iter().all(|v| (64..=181).contains(v)), "{middles:?}");
        let darker = middles.iter().filter(|&&v| v < 128).count();
        assert!((70..=130).contains(&darker), "{darker} of 200");
    }
}
