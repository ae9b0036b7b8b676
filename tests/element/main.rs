// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests of the element `cycleganfilter` through its public interface.
//!
//! They are one binary, so that helpers are compiled and linked once. They need ONNX Runtime; without it they
//! fail with the element's message about where it searched. `CYCLEGAN_TEST_SLOW=1` also runs the slow tests.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use cyclegan_test_support::{generators, plugin, skip};

// Helpers.
mod detectors;
mod rig;
mod video;

// Tests.
#[cfg(feature = "analytics")]
mod analytics;
mod bad_models;
mod buffers;
#[path = "../../examples/camera.rs"]
mod camera;
mod churn;
mod examples;
mod flicker;
mod formats;
#[cfg(feature = "gl")]
mod gl;
#[cfg(feature = "gl")]
mod gl_failures;
#[cfg(feature = "gl")]
mod gl_in_flight;
#[cfg(feature = "gl")]
mod gl_regions;
mod in_flight;
#[cfg(feature = "gl")]
mod in_gl;
mod live;
mod models;
mod output;
mod overlays;
mod passing;
mod pools;
mod regions;
mod requests;
mod runtime;
mod several;
mod skipping;
mod start;
mod stats;
mod stopping;
mod swapping;
mod translation;
mod virtual_camera;
mod webgpu;
