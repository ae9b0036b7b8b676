// SPDX-License-Identifier: MIT OR Apache-2.0

//! The element `cycleganfilter`.

/**
 * SECTION:element-cycleganfilter
 *
 * Translates video from one domain to another, for example horses to zebras, with a CycleGAN
 * generator that ONNX Runtime runs on the CPU or a GPU.
 *
 * |[
 * gst-launch-1.0 filesrc location=horses.mp4 ! decodebin ! videoconvert ! videoflip video-direction=auto ! cycleganfilter ! videoconvert ! autovideosink
 * ]| Plays a video and turns its horses into zebras.
 *
 * |[
 * gst-launch-1.0 v4l2src ! cycleganfilter direction=reverse strength=0.7 ! videoconvert ! autovideosink
 * ]| Turns zebras in front of a camera into horses, at a strength of 70 %.
 *
 * Since: 0.1.0
 */
mod frames;
#[cfg_attr(not(feature = "gl"), path = "no_gl.rs")]
mod gl;
mod imp;
mod job;
mod lateness;
mod loader;
mod memory;
mod queue;
mod settings;
mod state;
mod stats;
mod to_alpha;
mod translator;

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use gst::{glib, prelude::*};

use settings::{Direction, ExecutionProvider, LateFrames, Output, Precision, Regions, Upscale};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "cycleganfilter",
        gst::DebugColorFlags::empty(),
        Some("CycleGAN video translation"),
    )
});

glib::wrapper! {
    /// The element: a video filter whose output has the size and frame rate of its input.
    pub struct CycleGanFilter(ObjectSubclass<imp::CycleGanFilter>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Registers `cycleganfilter` with `plugin`, or with the process if `plugin` is `None`.
pub fn register(plugin: Option<&gst::Plugin>) -> Result<(), glib::BoolError> {
    for enumeration in [
        Direction::static_type(),
        ExecutionProvider::static_type(),
        LateFrames::static_type(),
        Output::static_type(),
        Precision::static_type(),
        Regions::static_type(),
        Upscale::static_type(),
    ] {
        enumeration.mark_as_plugin_api(gst::PluginAPIFlags::empty());
    }
    gst::Element::register(plugin, "cycleganfilter", gst::Rank::NONE, CycleGanFilter::static_type())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The base class reports a panic, and the next start replaces the state that it left behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
