// SPDX-License-Identifier: MIT OR Apache-2.0

//! The GStreamer plugin with the element `cycleganfilter`, which translates video with CycleGAN
//! generators.
//!
//! The element is built on two crates that do not depend on it: `cyclegan-runtime` runs ONNX
//! generators, `cyclegan-frame` converts pixels.
//!
//! An application that links the plugin statically calls [`plugin_register_static`], the only item
//! that this library exports.

mod cycleganfilter;
#[allow(missing_docs, reason = "plugin_define! declares public items")]
mod plugin;

pub use plugin::plugin_register_static;
