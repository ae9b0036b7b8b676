// SPDX-License-Identifier: MIT OR Apache-2.0

//! How to scale a part of a frame to a picture: as `cyclegan_frame::Scaler` does, so that the
//! generator sees the same picture as with system memory.

use cyclegan_frame::{Rect, Size};

/// How to scale a part: halve it as `cyclegan_frame` does, then scale it as GStreamer's converter
/// does with linear taps.
#[derive(Clone, Copy, Debug)]
pub struct Scaling {
    /// The part's first column and row in the frame.
    pub origin: (i32, i32),
    /// How often to halve the part before scaling.
    pub halvings: i32,
    /// Along x.
    pub columns: Axis,
    /// Along y.
    pub rows: Axis,
    /// Width and height of the picture.
    pub picture: (i32, i32),
}

/// Scaling along one axis.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    /// Size of the part after halving, in pixels.
    pub size: i32,
    /// Position of the first output pixel's centre in the part.
    pub start: f32,
    /// Distance between the centres of two output pixels.
    pub step: f32,
    /// Half of the base of the triangle filter.
    pub reach: f32,
    /// Number of pixels under the filter.
    pub taps: i32,
}

impl Scaling {
    /// From whole frames of `frame` pixels.
    pub fn of_frame(frame: Size, picture: Size) -> Self {
        const LEAST_RATIO: u32 = 4;
        let (mut size, mut halvings) = (frame, 0);
        while size.width.is_multiple_of(2)
            && size.height.is_multiple_of(2)
            && size.width >= LEAST_RATIO * picture.width
            && size.height >= LEAST_RATIO * picture.height
        {
            size = Size { width: size.width / 2, height: size.height / 2 };
            halvings += 1;
        }
        Self { halvings, ..Self::of_part(Rect { x: 0, y: 0, size }, picture) }
    }

    /// From `part` of frames. The CPU does not halve parts.
    pub fn of_part(part: Rect, picture: Size) -> Self {
        let Rect { x, y, size } = part;
        let mut columns = Axis::new(size.width, picture.width);
        // When upscaling horizontally, the converter aligns the outermost pixels.
        if size.width < picture.width {
            columns.start = 0.0;
            columns.step = (size.width - 1) as f32 / (picture.width - 1) as f32;
        }
        Self {
            origin: (x as i32, y as i32),
            halvings: 0,
            columns,
            rows: Axis::new(size.height, picture.height),
            picture: (picture.width as i32, picture.height as i32),
        }
    }

    /// The size of the picture in bytes.
    pub fn bytes(&self) -> usize {
        4 * self.picture.0 as usize * self.picture.1 as usize
    }
}

impl Axis {
    /// From `input` to `output` pixels.
    fn new(input: u32, output: u32) -> Self {
        const MOST: f64 = 128.0;
        let step = f64::from(input) / f64::from(output);
        let taps = (2.0 * step.max(1.0)).ceil().min(MOST);
        Self {
            size: input as i32,
            start: (0.5 * step - 0.5) as f32,
            step: step as f32,
            reach: (taps / 2.0) as f32,
            taps: taps as i32,
        }
    }
}
