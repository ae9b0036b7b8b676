// SPDX-License-Identifier: MIT OR Apache-2.0

//! Colour jitter of the foreground, for animals that are darker, lighter or greyer than in the photographs.

use image::{GrayImage, Pixel, Rgb, RgbImage};
use rand::{Rng, RngExt};

/// How far a domain's colours are changed. 0 changes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct JitterRange {
    /// γ is between 2^−`gamma` and 2^`gamma`, log-uniform.
    pub gamma: f64,
    /// Brightness is multiplied by 1−`brightness` to 1+`brightness`, at least 0, uniform.
    pub brightness: f64,
    /// Saturation is multiplied by 1−`saturation` to 1+`saturation`, at least 0, uniform.
    pub saturation: f64,
}

impl JitterRange {
    /// One random change within this range; `None` if the range is empty.
    pub fn random(&self, rng: &mut impl Rng) -> Option<Jitter> {
        let Self { gamma, brightness, saturation } = *self;
        if [gamma, brightness, saturation] == [0.0; 3] {
            return None;
        }
        let mut within = |range: f64| match range > 0.0 {
            true => rng.random::<f64>() * 2.0 * range - range,
            false => 0.0,
        };
        Some(Jitter::new(
            within(gamma).exp2(),
            (1.0 + within(brightness)).max(0.0),
            (1.0 + within(saturation)).max(0.0),
        ))
    }
}

/// A change of saturation, then of each channel's levels, v ↦ 255·b·(v/255)^γ. γ > 1 darkens and γ < 1 lightens the
/// levels between black and white; the brightness b also clips them, as overexposure does.
#[derive(Clone, Copy, Debug)]
pub struct Jitter {
    curve: [u8; 256],
    saturation: f64,
}

impl Jitter {
    fn new(gamma: f64, brightness: f64, saturation: f64) -> Self {
        let curve = |v: usize| ((v as f64 / 255.0).powf(gamma) * brightness * 255.0).round() as u8;
        Self { curve: std::array::from_fn(curve), saturation }
    }

    /// Changes the colours inside the mask, or of the whole image without one.
    pub fn apply(&self, picture: &mut RgbImage, mask: Option<&GrayImage>) {
        let Some(mask) = mask else {
            picture.pixels_mut().for_each(|pixel| *pixel = self.of(*pixel));
            return;
        };
        for (pixel, inside) in picture.pixels_mut().zip(mask.iter()) {
            let (inside, changed) = (u32::from(*inside), self.of(*pixel).0);
            for (v, changed) in pixel.0.iter_mut().zip(changed) {
                *v = ((inside * u32::from(changed) + (255 - inside) * u32::from(*v) + 127) / 255)
                    as u8;
            }
        }
    }

    fn of(&self, pixel: Rgb<u8>) -> Rgb<u8> {
        let grey = f64::from(pixel.to_luma().0[0]);
        let saturate = |v: u8| (grey + self.saturation * (f64::from(v) - grey)).round() as u8;
        let pixel = if self.saturation == 1.0 { pixel } else { pixel.map(saturate) };
        pixel.map(|v| self.curve[usize::from(v)])
    }
}

#[cfg(test)]
mod tests {
    use image::{Luma, Rgb};

    use super::*;
    use crate::data::order::{Purpose, random};

    #[test]
    fn jitter_applies_only_inside_the_mask() {
        let picture = RgbImage::from_pixel(3, 1, Rgb([0, 64, 255]));
        let mut mask = GrayImage::from_pixel(3, 1, Luma([0]));
        mask.put_pixel(1, 0, Luma([255]));
        mask.put_pixel(2, 0, Luma([128]));
        let mut changed = picture.clone();
        Jitter::new(2.0, 1.0, 1.0).apply(&mut changed, Some(&mask));
        let pixels: Vec<_> = changed.pixels().map(|p| p.0).collect();
        // 64²/255 = 16, and halfway there for half of the mask.
        assert_eq!(pixels, [[0, 64, 255], [0, 16, 255], [0, 40, 255]]);
        let mut whole = picture;
        Jitter::new(0.5, 1.0, 1.0).apply(&mut whole, None);
        assert!(whole.pixels().all(|p| p.0 == [0, 128, 255]));
    }

    #[test]
    fn saturation_keeps_grey_and_0_gives_grey() {
        let of = |saturation, rgb| Jitter::new(1.0, 1.0, saturation).of(Rgb(rgb)).0;
        assert_eq!(of(0.0, [90, 90, 90]), [90, 90, 90]);
        assert_eq!(of(2.0, [90, 90, 90]), [90, 90, 90]);
        let [r, g, b] = of(0.0, [200, 100, 50]);
        assert_eq!((r, r), (g, b));
        // Levels beyond the range of a byte are clipped.
        let [r, _, b] = of(2.0, [250, 100, 5]);
        assert_eq!((r, b), (255, 0));
    }

    #[test]
    fn brightness_is_a_factor_that_clips() {
        let of = |brightness| Jitter::new(1.0, brightness, 1.0).of(Rgb([50, 100, 150])).0;
        assert_eq!(of(0.0), [0; 3]);
        assert_eq!(of(0.5), [25, 50, 75]);
        assert_eq!(of(2.0), [100, 200, 255]);
    }

    #[test]
    fn gamma_is_log_uniform() {
        let mut rng = random(0, Purpose::ViewA, 0);
        let range = JitterRange { gamma: 1.0, ..Default::default() };
        let middles: Vec<_> =
            (0..200).map(|_| range.random(&mut rng).expect("a range").curve[128]).collect();
        // 128 at γ = 2 and at γ = ½.
        assert!(middles.iter().all(|v| (64..=181).contains(v)), "{middles:?}");
        let darker = middles.iter().filter(|&&v| v < 128).count();
        assert!((70..=130).contains(&darker), "{darker} of 200");
    }

    #[test]
    fn an_empty_range_changes_nothing() {
        assert!(JitterRange::default().random(&mut random(0, Purpose::ViewA, 0)).is_none());
    }
}
