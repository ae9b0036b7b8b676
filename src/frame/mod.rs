// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pixels: from a frame to a generator's tensor, and the generator's change back onto the frame.
//!
//! frame → [`Scaler`] → picture → [`pack`] → tensor → generator → [`Change`] → [`Compositor`] → frame

mod change;
mod color;
mod composite;
mod geometry;
mod motion;
mod plane;
mod scale;
mod smooth;
mod tensor;
mod upsample;

pub use change::{Change, NotFinite, Picture, Upscale};
pub use color::ColorTransform;
pub use composite::{Compositor, copy};
pub use geometry::{InferenceSize, Placement, Rect, Size, TensorLimits};
pub use motion::Grey;
pub use scale::Scaler;
pub use smooth::Smoother;
pub use tensor::{Element, ToTensor, pack};
