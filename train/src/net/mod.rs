// SPDX-License-Identifier: MIT OR Apache-2.0

//! The networks.

pub mod build;
pub mod cost;
pub mod discriminator;
pub mod efficientnet_lite;
mod fast;
pub mod fold;
pub mod frozen;
pub mod generator;
pub mod inception;
pub mod init;
pub mod layer;
pub mod params;
mod patchgan;
pub mod projection;
mod resnet;
mod unet;

#[cfg(test)]
mod tests;
