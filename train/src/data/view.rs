// SPDX-License-Identifier: MIT OR Apache-2.0

//! Resizing and cropping of images.

use clap::ValueEnum;
use image::{GrayImage, ImageBuffer, Pixel, RgbImage};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// How images are resized and cropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Preprocess {
    /// Resize to load-size×load-size, then crop.
    ResizeAndCrop,
    /// Crop at the image's own size.
    Crop,
    /// Resize to width load-size, keep the aspect.
    ScaleWidth,
    /// Resize to width load-size, keep the aspect, then crop.
    ScaleWidthAndCrop,
    /// Resize to a random short side from load-size-min to load-size, keep the aspect, then crop.
    MultiScaleCrop,
    /// Keep the image's own size.
    None,
}

/// Sizes of [`Preprocess`], pixels.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Resized size.
    pub load: u32,
    /// Smallest resized short side of a multi-scale crop.
    pub load_min: u32,
    /// Side of a crop.
    pub crop: u32,
    /// Multiple to which sides without a crop are rounded.
    pub multiple: u32,
}

impl Sizes {
    /// Half of each size, for a tile of a mosaic.
    pub fn halved(self) -> Self {
        let [load, load_min, crop] = [self.load, self.load_min, self.crop].map(|size| size / 2);
        Self { load, load_min, crop, ..self }
    }
}

/// A rectangle of an image, scaled to a size and optionally mirrored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Left, top, width and height in the image, pixels.
    pub rect: [f64; 4],
    /// Width and height of the result, pixels.
    pub size: (u32, u32),
    /// Mirrored left to right.
    pub flip: bool,
}

/// An image is smaller than the crop.
#[derive(Debug, thiserror::Error)]
#[error(
    "is {width}×{height}, smaller than a crop of {crop}; lower --crop-size or let \
         --preprocess resize"
)]
pub struct TooSmall {
    width: u32,
    height: u32,
    crop: u32,
}

impl Preprocess {
    /// A random view of an image of `width`×`height` pixels.
    pub fn view(
        self,
        (width, height): (u32, u32),
        sizes: Sizes,
        flip: bool,
        rng: &mut impl Rng,
    ) -> Result<View, TooSmall> {
        let flip = flip && rng.random_bool(0.5);
        let (w, h) = (f64::from(width), f64::from(height));
        let (scaled_w, scaled_h) = self.scaled((w, h), sizes, rng);
        let whole = matches!(self, Self::ScaleWidth | Self::None);
        if whole {
            let round = |v: f64| {
                let m = f64::from(sizes.multiple);
                ((v / m).round().max(1.0) * m) as u32
            };
            let size = (round(scaled_w), round(scaled_h));
            let rect = [0.0, 0.0, w, h];
            return Ok(View { rect, size, flip });
        }
        let crop = f64::from(sizes.crop);
        // Rounding may cost a fraction of a pixel, which is not an error.
        if scaled_w + 0.5 < crop || scaled_h + 0.5 < crop {
            return Err(TooSmall { width, height, crop: sizes.crop });
        }
        let mut place = |scaled: f64| rng.random::<f64>() * (scaled - crop).max(0.0);
        let (mut left, mut top) = (place(scaled_w), place(scaled_h));
        if self == Self::Crop {
            (left, top) = (left.round(), top.round());
        }
        let (sx, sy) = (w / scaled_w, h / scaled_h);
        let (left, top) = (left * sx, top * sy);
        // Rounding must not let the view extend beyond the image.
        let rect = [left, top, (crop * sx).min(w - left), (crop * sy).min(h - top)];
        let size = (sizes.crop, sizes.crop);
        Ok(View { rect, size, flip })
    }

    /// The size of the whole image after scaling.
    fn scaled(self, (w, h): (f64, f64), sizes: Sizes, rng: &mut impl Rng) -> (f64, f64) {
        let load = f64::from(sizes.load);
        match self {
            Self::ResizeAndCrop => (load, load),
            Self::Crop | Self::None => (w, h),
            Self::ScaleWidth => (load, h * load / w),
            Self::ScaleWidthAndCrop => {
                let least = f64::from(sizes.crop);
                (load, (h * load / w).max(least))
            }
            Self::MultiScaleCrop => {
                let min = f64::from(sizes.load_min);
                let scale = (min + rng.random::<f64>() * (load - min)) / w.min(h);
                (w * scale, h * scale)
            }
        }
    }
}

impl View {
    /// The same part of an image at another size: `to` pixels instead of `from`.
    pub fn moved(self, from: (u32, u32), to: (u32, u32)) -> Self {
        let [x, y, w, h] = self.rect;
        let (to_w, to_h) = (f64::from(to.0), f64::from(to.1));
        let (sx, sy) = (to_w / f64::from(from.0), to_h / f64::from(from.1));
        let (x, y) = (x * sx, y * sy);
        Self { rect: [x, y, (w * sx).min(to_w - x), (h * sy).min(to_h - y)], ..self }
    }

    /// A view of the same size that contains the pixel `point` of an image of `(width, height)` pixels.
    pub fn around(
        self,
        point: (u32, u32),
        (width, height): (u32, u32),
        rng: &mut impl Rng,
    ) -> Self {
        let [x, y, w, h] = self.rect;
        // Moves by whole pixels, for crops at the image's own size.
        let mut place = |from: f64, length: f64, point: u32, side: u32| {
            let wanted = f64::from(point) - rng.random::<f64>() * (length - 1.0).max(0.0);
            let moved = from + (wanted - from).round();
            moved.clamp(0.0, (f64::from(side) - length).max(0.0))
        };
        let (x, y) = (place(x, w, point.0, width), place(y, h, point.1, height));
        Self { rect: [x, y, w, h], ..self }
    }

    /// A whole image with a short side of `short` pixels, each side rounded to a multiple.
    pub fn whole((width, height): (u32, u32), short: u32, multiple: u32) -> Self {
        let (w, h, m) = (f64::from(width), f64::from(height), f64::from(multiple));
        let scale = f64::from(short) / w.min(h);
        let round = |side: f64| ((side * scale / m).round().max(1.0) * m) as u32;
        Self::stretched((width, height), (round(w), round(h)))
    }

    /// A whole image of `from` pixels, stretched or reduced to `to` pixels.
    pub fn stretched((width, height): (u32, u32), to: (u32, u32)) -> Self {
        Self { rect: [0.0, 0.0, f64::from(width), f64::from(height)], size: to, flip: false }
    }

    /// The central square of an image, `side`×`side` pixels.
    pub fn square((width, height): (u32, u32), side: u32) -> Self {
        let (w, h) = (f64::from(width), f64::from(height));
        let least = w.min(h);
        let rect = [(w - least) / 2.0, (h - least) / 2.0, least, least];
        Self { rect, size: (side, side), flip: false }
    }

    /// The pixels of the view of an RGB image.
    pub fn of_rgb(&self, image: &RgbImage) -> RgbImage {
        self.resample::<image::Rgb<u8>, 3>(image, fast_image_resize::PixelType::U8x3)
    }

    /// The pixels of the view of a mask.
    pub fn of_mask(&self, mask: &GrayImage) -> GrayImage {
        self.resample::<image::Luma<u8>, 1>(mask, fast_image_resize::PixelType::U8)
    }

    fn resample<P: Pixel<Subpixel = u8>, const CHANNELS: usize>(
        &self,
        image: &ImageBuffer<P, Vec<u8>>,
        kind: fast_image_resize::PixelType,
    ) -> ImageBuffer<P, Vec<u8>> {
        use fast_image_resize::{
            FilterType, ResizeAlg, ResizeOptions, Resizer,
            images::{Image, ImageRef},
        };
        let (width, height) = self.size;
        let [x, y, w, h] = self.rect;
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
            .crop(x, y, w, h);
        let mut out = Image::new(width, height, kind);
        let source = ImageRef::new(image.width(), image.height(), image.as_raw(), kind);
        let source = source.expect("an image buffer has as many bytes as its size says");
        Resizer::new()
            .resize(&source, &mut out, &options)
            .expect("the view lies inside the picture");
        let mut pixels = out.into_vec();
        if self.flip {
            mirror(&mut pixels, width as usize, CHANNELS);
        }
        ImageBuffer::from_raw(width, height, pixels).expect("as many bytes as the size says")
    }
}

fn mirror(pixels: &mut [u8], width: usize, channels: usize) {
    for row in pixels.chunks_exact_mut(width * channels) {
        row.reverse();
        row.chunks_exact_mut(channels).for_each(<[u8]>::reverse);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::order::{Purpose, random};

    const SIZES: Sizes = Sizes { load: 64, load_min: 40, crop: 32, multiple: 4 };

    #[test]
    fn views_are_inside_the_image_and_have_the_requested_size() {
        for size in [(40, 40), (100, 37), (33, 90)] {
            for seed in 0..50 {
                let mut rng = random(seed, Purpose::ViewA, 0);
                for preprocess in Preprocess::value_variants() {
                    let view = preprocess.view(size, SIZES, true, &mut rng).unwrap();
                    let [x, y, w, h] = view.rect;
                    assert!(x >= 0.0 && y >= 0.0, "{preprocess:?} {view:?}");
                    assert!(x + w <= f64::from(size.0), "{preprocess:?} {view:?}");
                    assert!(y + h <= f64::from(size.1), "{preprocess:?} {view:?}");
                    assert!(view.size.0 % 4 == 0 && view.size.1 % 4 == 0);
                }
            }
        }
    }

    /// A scaled side can exceed the crop by a rounding error, which the resizer refuses.
    #[test]
    fn a_crop_of_a_whole_side_stays_inside_images_of_all_sizes() {
        let preprocess = Preprocess::MultiScaleCrop;
        let mut rng = random(1, Purpose::ViewA, 0);
        for crop in [96, 128, 224, 256] {
            let sizes = Sizes { load: crop, load_min: crop, crop, multiple: 4 };
            for side in 1..1200 {
                for size in [(side, side + 3), (side + 3, side), (side, side)] {
                    let view = preprocess.view(size, sizes, false, &mut rng).unwrap();
                    let [x, y, w, h] = view.rect;
                    let inside = x + w <= f64::from(size.0) && y + h <= f64::from(size.1);
                    assert!(inside, "a crop of {crop} of {size:?}: {view:?}");
                }
            }
        }
    }

    #[test]
    fn an_image_smaller_than_its_crop_is_refused() {
        let mut rng = random(0, Purpose::ViewA, 0);
        let view = Preprocess::Crop.view((31, 80), SIZES, false, &mut rng);
        assert!(view.unwrap_err().to_string().contains("31×80"));
    }

    #[test]
    fn around_moves_a_view_to_a_point() {
        let mut rng = random(5, Purpose::ViewA, 0);
        let size = (100, 60);
        let mut lefts = Vec::new();
        for point in [(0, 0), (99, 59), (50, 30), (3, 55)] {
            for _ in 0..20 {
                let view = Preprocess::Crop.view(size, SIZES, false, &mut rng).unwrap();
                let [x, y, w, h] = view.around(point, size, &mut rng).rect;
                assert!(x >= 0.0 && y >= 0.0 && x + w <= 100.0 && y + h <= 60.0);
                let (px, py) = (f64::from(point.0), f64::from(point.1));
                assert!((x..=x + w).contains(&px) && (y..=y + h).contains(&py), "{point:?}");
                assert_eq!((x.fract(), y.fract()), (0.0, 0.0));
                lefts.push(x);
            }
        }
        lefts.dedup();
        assert!(lefts.len() > 20, "always the same place");
    }

    #[test]
    fn moved_scales_a_view_to_another_image_size() {
        let view = View { rect: [10.0, 20.0, 30.0, 20.0], size: (8, 8), flip: true };
        let moved = view.moved((40, 40), (80, 20));
        assert_eq!(moved, View { rect: [20.0, 10.0, 60.0, 10.0], ..view });
    }

    #[test]
    fn a_crop_at_the_images_own_size_keeps_its_pixels() {
        let picture = RgbImage::from_fn(48, 40, |x, y| image::Rgb([x as u8, y as u8, 7]));
        let mut rng = random(3, Purpose::ViewA, 1);
        let view = Preprocess::Crop.view((48, 40), SIZES, false, &mut rng).unwrap();
        let crop = view.of_rgb(&picture);
        let (x, y) = (view.rect[0] as u8, view.rect[1] as u8);
        assert_eq!(crop.get_pixel(5, 9).0, [x + 5, y + 9, 7]);
        let mirrored = View { flip: true, ..view }.of_rgb(&picture);
        assert_eq!(mirrored.get_pixel(31 - 5, 9), crop.get_pixel(5, 9));
    }
}
