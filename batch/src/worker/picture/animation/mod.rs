// SPDX-License-Identifier: MIT OR Apache-2.0

//! Animated images, which become videos or stay animated images.

pub mod encode;
pub mod source;
