// SPDX-License-Identifier: MIT OR Apache-2.0

//! Foreground pasted onto other images (copy-paste augmentation, arXiv 2012.07177): masks must not depend on what
//! usually surrounds an animal, and animals far away are rare in photographs.

use image::{GrayImage, RgbImage, imageops};
use rand::{Rng, RngExt};

use super::{picture::Picture, view::View};

/// Least size of the pasted crop, as a share of the whole.
const LEAST_SIZE: f64 = 0.15;
/// Blur of the mask's edge, pixels.
const EDGE: f32 = 0.8;

impl Picture {
    /// Whether [`Picture::paste_onto`] changes it: it has a mask, and no teacher's output, which would no
    /// longer be that of the image.
    pub fn can_be_pasted(&self) -> bool {
        self.mask.is_some() && self.generated.is_none()
    }

    /// Replaces what surrounds the foreground by `background`, an image of the same size, and puts the
    /// foreground at a random place, reduced by a random factor.
    ///
    /// The discriminator sees the original colours at the same place. The result has no next frame.
    pub fn paste_onto(&mut self, background: RgbImage, rng: &mut impl Rng) {
        if !self.can_be_pasted() {
            return;
        }
        let Some(mask) = self.mask.take() else { return };
        let (width, height) = self.rgb.dimensions();
        let scale = rng.random_range(LEAST_SIZE..=1.0);
        let reduced = |side: u32| ((f64::from(side) * scale).round() as u32).clamp(1, side);
        let size = (reduced(width), reduced(height));
        let view = View::stretched((width, height), size);
        let mut place = |whole: u32, part: u32| rng.random_range(0..=whole - part);
        let (left, top) = (place(width, size.0), place(height, size.1));
        let shape = view.of_mask(&mask);
        let alpha = imageops::blur(&shape, EDGE);
        let paste = |image: &RgbImage, mut onto: RgbImage| {
            for ((x, y, from), alpha) in view.of_rgb(image).enumerate_pixels().zip(alpha.pixels()) {
                // 0 at the edge, so that nothing of the old surroundings comes along.
                let alpha = alpha.0[0].saturating_sub(127).saturating_mul(2);
                let to = onto.get_pixel_mut(left + x, top + y);
                for (to, from) in to.0.iter_mut().zip(from.0) {
                    *to = lerp(*to, from, alpha);
                }
            }
            onto
        };
        let real = self.real.as_ref().map(|real| paste(real, background.clone()));
        let rgb = paste(&self.rgb, background);
        let mut mask = GrayImage::new(width, height);
        imageops::replace(&mut mask, &shape, i64::from(left), i64::from(top));
        *self = Self { rgb, real, mask: Some(mask), next: None, generated: None };
    }
}

/// `from` at an alpha of 0, `to` at 255.
fn lerp(from: u8, to: u8, alpha: u8) -> u8 {
    let (from, to, alpha) = (u32::from(from), u32::from(to), u32::from(alpha));
    ((from * (255 - alpha) + to * alpha + 127) / 255) as u8
}

#[cfg(test)]
mod tests {
    use image::{Luma, Rgb};
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    /// A white square of 32 pixels on black.
    fn square() -> Picture {
        let is_inside = |x, y| (16..48).contains(&x) && (16..48).contains(&y);
        let level = |x, y| if is_inside(x, y) { 255 } else { 0 };
        Picture {
            rgb: RgbImage::from_fn(64, 64, |x, y| Rgb([level(x, y); 3])),
            real: None,
            mask: Some(GrayImage::from_fn(64, 64, |x, y| Luma([level(x, y)]))),
            next: Some(RgbImage::new(64, 64)),
            generated: None,
        }
    }

    #[test]
    fn foreground_replaces_the_background_where_its_mask_is() {
        let grey = Rgb([128; 3]);
        let mut areas = Vec::new();
        for seed in 0..20 {
            let mut picture = square();
            picture
                .paste_onto(RgbImage::from_pixel(64, 64, grey), &mut StdRng::seed_from_u64(seed));
            let mask = picture.mask.as_ref().unwrap();
            for (pixel, mask) in picture.rgb.pixels().zip(mask.pixels()) {
                // The black surroundings stay behind, except for a thin edge.
                assert!(pixel.0[0] > 100, "{pixel:?} where the mask is {mask:?}");
            }
            let inside = mask.pixels().filter(|pixel| pixel.0[0] > 127).count();
            let white = picture.rgb.pixels().filter(|pixel| pixel.0[0] > 191).count();
            assert!(inside.abs_diff(white) <= 4 * (inside as f64).sqrt() as usize);
            assert!(picture.real.is_none() && picture.next.is_none());
            areas.push(inside);
        }
        assert!(areas.iter().min().unwrap() * 9 < *areas.iter().max().unwrap(), "{areas:?}");
    }

    /// A jittered animal would become part of the domain.
    #[test]
    fn the_discriminator_sees_the_original_at_the_same_place() {
        let jittered = RgbImage::from_pixel(64, 64, Rgb([0, 200, 0]));
        let mut picture = Picture { real: Some(square().rgb), rgb: jittered, ..square() };
        let background = RgbImage::from_pixel(64, 64, Rgb([128; 3]));
        picture.paste_onto(background, &mut StdRng::seed_from_u64(1));
        let real = picture.real.expect("the original");
        assert!(real.pixels().any(|pixel| pixel.0 == [255; 3]));
        let original = square().rgb;
        let mut same = Picture { rgb: original, real: None, ..square() };
        let background = RgbImage::from_pixel(64, 64, Rgb([128; 3]));
        same.paste_onto(background, &mut StdRng::seed_from_u64(1));
        assert_eq!(real, same.rgb);
        assert_eq!(picture.mask, same.mask);
    }

    #[test]
    fn without_a_mask_nothing_changes() {
        let mut picture = Picture { mask: None, ..square() };
        picture.paste_onto(RgbImage::new(64, 64), &mut StdRng::seed_from_u64(0));
        assert_eq!(picture.rgb, square().rgb);
        assert!(picture.next.is_some());
    }
}
