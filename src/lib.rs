// SPDX-License-Identifier: MIT OR Apache-2.0

//! GStreamer plugin with `cycleganfilter`, which translates video with CycleGAN generators.
//!
//! The element uses the crates `cyclegan-runtime`, which runs ONNX generators, and `cyclegan-frame`,
//! which knows pixels; neither of those knows the element.
//!
//! An application that links the plugin instead of installing it calls [`plugin_register_static`],
//! which is all that this library exports.

mod cycleganfilter;
#[allow(missing_docs, reason = "plugin_define! declares public items")]
mod plugin;

pub use plugin::plugin_register_static;
