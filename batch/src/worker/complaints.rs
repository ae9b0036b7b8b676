// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the decoders of FFmpeg complain of in GStreamer's log: in a stream without a container nothing else tells of
//! damage, since nothing counts its frames.

use std::{
    env,
    sync::atomic::{AtomicU64, Ordering},
};

/// The log category of gst-libav.
const CATEGORY: &str = "libav";

static ERRORS: AtomicU64 = AtomicU64::new(0);

/// Begins to count.
pub fn listen() {
    if env::var_os("GST_DEBUG").is_none() {
        // Else all of it is printed.
        gst::log::remove_default_log_function();
        gst::log::set_threshold_for_name(CATEGORY, gst::DebugLevel::Error);
    }
    gst::log::add_log_function(|category, level, _, _, _, _, _| {
        if level == gst::DebugLevel::Error && category.name() == CATEGORY {
            ERRORS.fetch_add(1, Ordering::Relaxed);
        }
    });
}

/// How many errors there were since the last call.
pub fn take() -> u64 {
    ERRORS.swap(0, Ordering::Relaxed)
}
