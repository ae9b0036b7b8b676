// SPDX-License-Identifier: MIT OR Apache-2.0

//! From folders of pictures to batches.

pub mod batch;
pub mod decode;
pub mod folder;
pub mod loader;
pub mod order;
pub mod view;
