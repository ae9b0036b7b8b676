// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pixels: from a frame to a generator's tensor, and the generator's residual back onto the frame.
//!
//! frame → [`Scaler`] → image → [`pack`] → tensor → generator → [`Residual`] → [`Compositor`] → frame
//!
//! The same applies to each [`Region`] that a [`RegionPlanner`] makes from the boxes of a frame; its
//! residual becomes a [`Patch`].

mod color;
mod composite;
mod follow;
mod geometry;
mod halve;
mod halve_packed;
mod kernel;
mod lerp;
mod lines;
mod mask;
mod matte;
mod matte_writer;
mod motion;
mod overlay;
mod overread;
mod patch;
mod plane;
mod premultiplied;
mod region;
mod residual;
mod rows;
mod scale;
mod smooth;
mod still;
mod tensor;
mod tone;
mod upsample;
mod word;
mod workers;

pub use color::ColorTransform;
pub use composite::Compositor;
pub use cyclegan_contract::{Size, TensorLimits};
pub use follow::RegionSmoother;
pub use geometry::{InferenceSize, Letterbox, Rect, coarsest_sample};
pub use kernel::KEEP_ALL;
pub use lerp::{Tap, taps};
pub use matte::Matte;
pub use matte_writer::MatteWriter;
pub use motion::LumaPlane;
pub use patch::Patch;
pub use region::{Bounds, MAX_BOXES, MAX_REGIONS, Region, RegionPlanner};
pub use residual::{NotFinite, Picture, Residual, Upscale};
pub use rows::{check_room, check_strides, copy, map_readable, map_writable};
pub use scale::{PartScalers, Scaler, UnpackedFrame};
pub use smooth::Smoother;
pub use still::StillPicture;
pub use tensor::{Element, ToTensor, pack};
pub use tone::{ToneMap, Transfer};
pub use workers::Workers;
