// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sizes of images and tensors.

/// A width and a height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

/// The tensor sizes that a generator accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorLimits {
    /// The only width, if it is fixed.
    pub width: Option<u32>,
    /// The only height, if it is fixed.
    pub height: Option<u32>,
    /// A dynamic width or height must be a multiple of this.
    pub multiple_of: u32,
}
