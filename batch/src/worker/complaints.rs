// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counts the errors that FFmpeg's decoders write to GStreamer's log. In a stream without a container they are the only
//! sign of damage, since no header says how many frames there are.

use std::{
    env,
    sync::atomic::{AtomicU64, Ordering},
};

/// The log category of gst-libav.
const CATEGORY: &str = "libav";

static ERRORS: AtomicU64 = AtomicU64::new(0);

/// Starts to count.
pub fn listen() {
    if env::var_os("GST_DEBUG").is_none() {
        // The default function would print them.
        gst::log::remove_default_log_function();
        gst::log::set_threshold_for_name(CATEGORY, gst::DebugLevel::Error);
    }
    gst::log::add_log_function(|category, level, _, _, _, _, _| {
        if level == gst::DebugLevel::Error && category.name() == CATEGORY {
            ERRORS.fetch_add(1, Ordering::Relaxed);
        }
    });
}

/// The number of errors since the last call.
pub fn take() -> u64 {
    ERRORS.swap(0, Ordering::Relaxed)
}
