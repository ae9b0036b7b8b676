// SPDX-License-Identifier: MIT OR Apache-2.0

//! The element `cycleganfilter`, seen from outside.
//!
//! One binary for all, so that helpers are shared and linked once. ONNX Runtime is needed: where
//! it is missing, the tests fail with the element's own message about where it was sought.
//! `CYCLEGAN_TEST_SLOW=1` runs the slow ones as well.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use cyclegan_test_support::{generators, plugin, skip};

// What the tests are made of.
mod detectors;
mod rig;
mod video;

// What they test.
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
mod in_flight;
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
mod swapping;
mod translation;
mod virtual_camera;
mod webgpu;
