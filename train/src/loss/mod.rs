// SPDX-License-Identifier: MIT OR Apache-2.0

//! Loss functions.

pub mod adversarial;
pub mod alignment;
pub mod diff_augment;
pub mod features;
pub mod flicker;
pub mod mask;
pub mod nce;
pub mod ssim;
