// SPDX-License-Identifier: MIT OR Apache-2.0

//! The size of a generator's tensor for a frame, and the position of the frame in it.

use cyclegan_contract::{Size, TensorLimits};
use gst_video::{VideoFormatInfo, VideoInfo};

/// The block of pixels that share a sample of the most subsampled component of `info`: 2×2 in I420.
pub fn coarsest_sample(info: &VideoInfo) -> Size {
    let (horizontal, vertical) = subsampling(&info.format_info());
    Size { width: 1 << horizontal, height: 1 << vertical }
}

/// The logarithm of how many pixels share a chroma sample, horizontally and vertically.
pub fn subsampling(format: &VideoFormatInfo) -> (u32, u32) {
    let largest = |shifts: &[u32]| shifts.iter().copied().max().unwrap_or(0);
    (largest(format.w_sub()), largest(format.h_sub()))
}

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width and height.
    pub size: Size,
}

/// The requested size for a dynamic generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InferenceSize {
    /// The frame's display size: pixel for pixel if pixels are square.
    Frame,
    /// The shorter side, in pixels.
    ShortSide(u32),
}

/// Minimum length of a dynamic side, in pixels. Generators downsample their input at least twice and then
/// use neighbouring pixels, so they fail on a few pixels.
const MIN_SIDE: u32 = 32;
/// The largest aspect ratio, or its inverse, that is kept at full size. Longer frames are scaled down
/// further, so that a narrow strip does not become a tensor with a thousand times the pixels. At the frame's own
/// size, this limits how far its pixels' aspect ratio stretches it.
const MAX_ASPECT: f64 = 4.0;

/// The tensor's size and the part of it that has the frame. The rest is filled by mirroring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Letterbox {
    /// The tensor, H×W.
    pub tensor: Size,
    /// The scaled frame inside the tensor, with its aspect ratio kept.
    pub content: Rect,
}

impl Letterbox {
    /// Places a frame of `frame` pixels, each `pixel_aspect` times as wide as high, in a tensor.
    pub fn new(
        frame: Size,
        pixel_aspect: f64,
        wanted: InferenceSize,
        limits: TensorLimits,
    ) -> Self {
        let display_width = f64::from(frame.width) * pixel_aspect;
        let display_height = f64::from(frame.height);
        // If one side is fixed, the other is free within limits.
        let fit = |fixed: Option<u32>, other: Option<u32>, displayed: f64| {
            let longest = fixed.map(f64::from).or(other.map(|side| f64::from(side) * MAX_ASPECT));
            longest.map(|longest| longest / displayed)
        };
        let fixed_scales = [
            fit(limits.width, limits.height, display_width),
            fit(limits.height, limits.width, display_height),
        ];
        let content = match (fixed_scales.into_iter().flatten().reduce(f64::min), wanted) {
            (Some(scale), _) => scaled(display_width, display_height, scale),
            // Non-square pixels: one side is upscaled, so that nothing is lost.
            (None, InferenceSize::Frame) => {
                let scale = pixel_aspect.recip().max(1.0);
                let (short, long) = (frame.width.min(frame.height), frame.width.max(frame.height));
                let longest = f64::from(long).max(f64::from(short) * MAX_ASPECT);
                let long = display_width.max(display_height);
                scaled(display_width, display_height, scale.min(longest / long))
            }
            (None, InferenceSize::ShortSide(side)) => {
                let short = display_width.min(display_height);
                let long = display_width.max(display_height);
                let scale = f64::from(side) / short;
                let longest = f64::from(side) * MAX_ASPECT;
                scaled(display_width, display_height, scale.min(longest / long))
            }
        };
        let tensor = Size {
            width: tensor_side(limits.width, content.width, limits.multiple_of),
            height: tensor_side(limits.height, content.height, limits.multiple_of),
        };
        // A fixed side may be shorter than the rounded content.
        let content = Size {
            width: content.width.min(tensor.width),
            height: content.height.min(tensor.height),
        };
        Self {
            tensor,
            content: Rect {
                x: (tensor.width - content.width) / 2,
                y: (tensor.height - content.height) / 2,
                size: content,
            },
        }
    }
}

fn scaled(width: f64, height: f64, scale: f64) -> Size {
    let side = |length: f64| ((length * scale).round() as u32).max(1);
    Size { width: side(width), height: side(height) }
}

fn tensor_side(fixed: Option<u32>, content: u32, multiple_of: u32) -> u32 {
    fixed.unwrap_or_else(|| content.max(MIN_SIDE).next_multiple_of(multiple_of))
}

/// The pixel that fills position `i` of a line of `length` pixels continued by mirroring at both
/// ends, the edge pixel repeated: … 1 0 | 0 1 2 … n−1 | n−1 n−2 …
pub fn mirror(i: i64, length: u32) -> u32 {
    let length = i64::from(length);
    let folded = i.rem_euclid(2 * length);
    folded.min(2 * length - 1 - folded) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DYNAMIC: TensorLimits = TensorLimits { width: None, height: None, multiple_of: 4 };

    fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    #[test]
    fn a_wide_frame_keeps_its_aspect_ratio() {
        let placed = Letterbox::new(size(1920, 1080), 1.0, InferenceSize::ShortSide(256), DYNAMIC);
        assert_eq!(placed.content.size, size(455, 256));
        assert_eq!(placed.tensor, size(456, 256));
    }

    #[test]
    fn non_square_pixels_are_scaled_to_square_ones() {
        let placed =
            Letterbox::new(size(720, 576), 64.0 / 45.0, InferenceSize::ShortSide(288), DYNAMIC);
        assert_eq!(placed.content.size, size(512, 288));
    }

    #[test]
    fn the_frames_size_is_kept_but_hardly_stretched() {
        let content = |width, height, pixel_aspect| {
            let frame = size(width, height);
            Letterbox::new(frame, pixel_aspect, InferenceSize::Frame, DYNAMIC).content.size
        };
        assert_eq!(content(1920, 100, 1.0), size(1920, 100));
        assert_eq!(content(720, 576, 64.0 / 45.0), size(1024, 576));
        assert_eq!(content(640, 480, 0.5), size(640, 960));
        assert_eq!(content(320, 240, 0.001), size(1, 960));
        assert_eq!(content(320, 240, 1000.0), size(960, 1));
    }

    #[test]
    fn a_fixed_tensor_is_letterboxed() {
        let limits = TensorLimits { width: Some(256), height: Some(256), multiple_of: 4 };
        let placed = Letterbox::new(size(1920, 1080), 1.0, InferenceSize::Frame, limits);
        let content = Rect { x: 0, y: 56, size: size(256, 144) };
        assert_eq!(placed, Letterbox { tensor: size(256, 256), content });
    }

    #[test]
    fn mirroring_repeats_the_edge() {
        let line: Vec<_> = (-4..7).map(|i| mirror(i, 3)).collect();
        assert_eq!(line, [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]);
        assert_eq!(mirror(5, 1), 0);
    }

    proptest! {
        #[test]
        fn every_frame_fits_in_its_tensor(
            width in 1u32..=7680, height in 1u32..=7680, multiple_of in 1u32..=64,
            pixel_aspect in 0.1f64..10.0, side in 1u32..=1024,
            fixed_width in proptest::option::of(1u32..=1024),
            fixed_height in proptest::option::of(1u32..=1024),
        ) {
            let limits = TensorLimits { width: fixed_width, height: fixed_height, multiple_of };
            let wanted = InferenceSize::ShortSide(side);
            let placed = Letterbox::new(size(width, height), pixel_aspect, wanted, limits);
            let Letterbox { tensor, content } = placed;
            prop_assert!(content.size.width >= 1 && content.size.height >= 1);
            prop_assert!(content.x + content.size.width <= tensor.width);
            prop_assert!(content.y + content.size.height <= tensor.height);
            prop_assert!(fixed_width.is_none_or(|fixed| fixed == tensor.width));
            prop_assert!(fixed_height.is_none_or(|fixed| fixed == tensor.height));
            if fixed_width.is_none() && fixed_height.is_none() {
                prop_assert!(tensor.width % multiple_of == 0 && tensor.height % multiple_of == 0);
                let most = (4 * side.max(MIN_SIDE)).next_multiple_of(multiple_of);
                prop_assert!(tensor.width <= most && tensor.height <= most);
            }
            if let (Some(fixed), None) | (None, Some(fixed)) = (fixed_width, fixed_height) {
                let most = (4 * fixed.max(MIN_SIDE)).next_multiple_of(multiple_of);
                prop_assert!(tensor.width <= most && tensor.height <= most);
            }
        }
    }
}
