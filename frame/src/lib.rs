// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pixels: from a frame to a generator's tensor, and the generator's residual back onto the frame.
//!
//! ```
//! use cyclegan_contract::ValueRange;
//! use cyclegan_frame::{
//!     Compositor, InferenceSize, Letterbox, Residual, Scaler, Size, TensorLimits, ToTensor, Upscale, Workers,
//!     map_readable, map_writable, pack,
//! };
//! use gst_video::{VideoFormat, VideoInfo};
//!
//! # gst::init()?;
//! let info = VideoInfo::builder(VideoFormat::I420, 640, 360).build()?;
//! let buffer = gst::Buffer::from_mut_slice(vec![128; info.size()]); // grey
//! let frame = map_readable(&buffer, &info)?;
//!
//! // The generator gets 256 pixels on the short side, in multiples of 4 pixels.
//! let size = Size { width: info.width(), height: info.height() };
//! let limits = TensorLimits { width: None, height: None, multiple_of: 4 };
//! let letterbox = Letterbox::new(size, 1.0, InferenceSize::ShortSide(256), limits);
//!
//! let (threads, range) = (0, ValueRange::MinusOneToOne);
//! let workers = Workers::new(threads)?;
//! let mut scaler = Scaler::new(&info, letterbox.content.size, threads)?;
//! let to_tensor = ToTensor::new(&scaler.color(), range);
//! let Size { width, height } = letterbox.tensor;
//! let mut input = vec![0.0; 3 * width as usize * height as usize];
//! let (image, stride) = scaler.scale(&frame)?;
//! pack(image, stride, &letterbox, &to_tensor, &workers, &mut input);
//!
//! // The generator runs here. This one returns white.
//! let output = vec![1.0_f32; input.len()];
//!
//! let upscale = Upscale::Residual { strength: 1.0 };
//! let mut residual = Residual::new(letterbox.content.size);
//! let (before, after) = ((&input[..], range).into(), (&output[..], range).into());
//! let color = cyclegan_frame::ColorTransform::new(&info);
//! residual.update(&before, &after, &letterbox, &color, upscale, &workers)?;
//!
//! let mut result = gst::Buffer::with_size(info.size())?;
//! let mut written = map_writable(result.make_mut(), &info)?;
//! let mut compositor = Compositor::new(&info, residual.size, threads)?;
//! compositor.composite(&residual, upscale.keep(), None, &frame, &mut written)?;
//! drop(written);
//! assert_eq!(result.map_readable()?[0], 235); // white in limited range
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! frame → [`Scaler`] → image → [`pack`] → tensor → generator → [`Residual`] → [`Compositor`] → frame
//!
//! The same applies to each [`Region`] that a [`RegionPlanner`] makes from the boxes of a frame; its
//! residual becomes a [`Patch`].

mod color;
mod composite;
mod convert;
mod converter;
mod feather;
mod geometry;
mod halve;
mod halve_packed;
mod kernel;
mod lerp;
mod lines;
mod matte;
mod matte_writer;
mod motion;
mod overlay;
mod overread;
mod patch;
mod plane;
mod premultiplied;
mod recent;
mod reference;
mod region;
mod residual;
mod rows;
mod scale;
mod smooth;
mod tensor;
mod tone;
mod track;
mod upsample;
mod word;
mod workers;

pub use color::ColorTransform;
pub use composite::{Compositor, takes_mask};
pub use convert::FormatConverter;
pub use cyclegan_contract::{Size, TensorLimits};
pub use geometry::{InferenceSize, Letterbox, Rect, coarsest_sample, subsampling};
pub use kernel::KEEP_ALL;
pub use lerp::{Tap, taps};
pub use matte::Matte;
pub use matte_writer::MatteWriter;
pub use motion::LumaPlane;
pub use patch::Patch;
pub use reference::ReferenceImage;
pub use region::{Bounds, MAX_BOXES, MAX_REGIONS, Region, RegionPlanner};
pub use residual::{NotFinite, Picture, Residual, Upscale};
pub use rows::{check_room, check_strides, copy, map_readable, map_writable};
pub use scale::{PartScalers, Scaler, UnpackedFrame};
pub use smooth::Smoother;
pub use tensor::{Element, ToTensor, pack};
pub use tone::{ToneMap, Transfer};
pub use track::RegionSmoother;
pub use workers::Workers;
