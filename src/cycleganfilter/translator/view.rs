// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which part of a frame the generator sees, and at what size.

use gst_video::VideoInfo;

use crate::cycleganfilter::settings::{Regions, ViewSettings};
use cyclegan_frame::{
    InferenceSize, Letterbox, RegionPlanner, Size, TensorLimits, coarsest_sample,
};
use cyclegan_runtime::Generator;

/// Which part of a frame the generator sees.
pub enum View {
    /// The whole frame.
    Frame(Letterbox),
    /// Regions of it, with tensors of this size.
    Regions(RegionPlanner, Size),
}

impl View {
    /// For frames of `info`. Regions have no size of their own, so for them −1 means the
    /// generator's size.
    pub fn new(generator: &Generator, info: &VideoInfo, settings: ViewSettings) -> Self {
        let wanted = match u32::try_from(settings.inference_size) {
            Err(_) => InferenceSize::Frame,
            Ok(0) => InferenceSize::ShortSide(generator.short_side()),
            Ok(side) => InferenceSize::ShortSide(side),
        };
        let frame = Size { width: info.width(), height: info.height() };
        let pixel_aspect = match (info.par().numer(), info.par().denom()) {
            (width @ 1.., height @ 1..) => f64::from(width) / f64::from(height),
            // `avidemux` sets −1/1 for files without a pixel aspect ratio.
            _ => 1.0,
        };
        let limits = generator.limits();
        match settings.regions {
            Regions::Frame => Self::Frame(Letterbox::new(frame, pixel_aspect, wanted, limits)),
            Regions::Meta => {
                let tensor = square(wanted, generator.short_side(), limits);
                let grid = coarsest_sample(info);
                Self::Regions(RegionPlanner::new(frame, pixel_aspect, grid, tensor), tensor)
            }
        }
    }

    /// Size of the generator's tensors.
    pub fn tensor(&self) -> Size {
        match self {
            Self::Frame(letterbox) => letterbox.tensor,
            Self::Regions(_, tensor) => *tensor,
        }
    }

    /// Size of the picture inside the tensors, without the letterbox's borders.
    pub fn content(&self) -> Size {
        match self {
            Self::Frame(letterbox) => letterbox.content.size,
            Self::Regions(_, tensor) => *tensor,
        }
    }
}

/// The size of a square tensor, as far as the generator accepts it.
fn square(wanted: InferenceSize, own: u32, limits: TensorLimits) -> Size {
    let side = match wanted {
        InferenceSize::Frame => own,
        InferenceSize::ShortSide(side) => side,
    };
    let square = Size { width: side, height: side };
    Letterbox::new(square, 1.0, InferenceSize::ShortSide(side), limits).tensor
}
