// SPDX-License-Identifier: MIT OR Apache-2.0

//! From folders of images to batches.

pub mod batch;
pub mod decode;
pub mod folder;
pub mod frames;
pub mod hash;
pub mod held_out;
pub mod jitter;
mod jpeg;
pub mod letterbox;
pub mod loader;
pub mod mosaic;
pub mod order;
pub mod pairs;
pub mod paste;
pub mod picture;
pub mod sampler;
pub mod shot;
pub mod usable;
pub mod view;
