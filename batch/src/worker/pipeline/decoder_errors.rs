// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counts the errors that FFmpeg's decoders write to GStreamer's log. They are the only sign of damage inside a
//! frame, and of frames that are missing from a stream without a container, since no header says how many there are.

use std::{
    cell::Cell,
    env,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::{
    text::counted,
    worker::pads::probes::{on_events, on_first_buffer},
};

/// What errors in a video may cause.
pub const FRAMES: &str = "frames may be wrong or missing";

/// The log category of gst-libav.
const CATEGORY: &str = "libav";

/// Errors about missing reference frames. After a cut or a seek, some references are missing, and the frames that need
/// them are not shown.
const REFERENCES: [&str; 8] = [
    "co located POCs unavailable",
    "mmco: unref short failure",
    "number of reference frames",
    "illegal short term buffer state",
    "reference picture missing",
    "Missing reference picture",
    "Could not find ref with POC",
    "Error constructing the frame RPS",
];
/// The error of gst-libav of GStreamer 1.24 and later about a missing reference: it has no buffer for the frame that
/// FFmpeg puts in its place. Others follow about the frame that needs it.
const NO_BUFFER: &str = "get_buffer() failed";
const AFTER_NO_BUFFER: [&str; 2] = ["decode_slice_header error", "no frame!"];
/// The error about a pixel format that GStreamer does not know.
const UNKNOWN: &str = "video format unsupported by GStreamer";
/// The error of FFmpeg's GXF demuxer at the end of each file.
const END: &str = "sync lost";

static ERRORS: AtomicU64 = AtomicU64::new(0);
static UNKNOWN_FORMAT: AtomicBool = AtomicBool::new(false);
static MISSING_REFERENCES: AtomicU64 = AtomicU64::new(0);
thread_local! {
    /// Whether the last error of this thread was about a missing buffer, or followed from it.
    static LACKS_BUFFER: Cell<bool> = const { Cell::new(false) };
}
/// Whether all frames that are needed have been decoded.
static HAS_ENDED: AtomicBool = AtomicBool::new(false);

/// Starts counting.
pub fn listen() {
    if env::var_os("GST_DEBUG").is_none() {
        // The default function would print them.
        gst::log::remove_default_log_function();
        gst::log::set_threshold_for_name(CATEGORY, gst::DebugLevel::Error);
    }
    gst::log::add_log_function(|category, level, _, _, _, _, message| {
        let is_ignored = HAS_ENDED.load(Ordering::Relaxed);
        if is_ignored || level != gst::DebugLevel::Error || category.name() != CATEGORY {
            return;
        }
        let text = message.get().unwrap_or_default();
        let is_of = |errors: &[&str]| errors.iter().any(|error| text.contains(error));
        let lacks_buffer = is_of(&[NO_BUFFER]) || LACKS_BUFFER.get() && is_of(&AFTER_NO_BUFFER);
        LACKS_BUFFER.set(lacks_buffer);
        if lacks_buffer || is_of(&REFERENCES) {
            MISSING_REFERENCES.fetch_add(1, Ordering::Relaxed);
        } else if text.contains(UNKNOWN) {
            UNKNOWN_FORMAT.store(true, Ordering::Relaxed);
        } else if !text.contains(END) {
            ERRORS.fetch_add(1, Ordering::Relaxed);
        }
    });
}

/// Restarts the count at the first buffer at `pad`.
pub fn clear_at(pad: &gst::Pad) {
    on_first_buffer(pad, |_| clear());
}

/// Stops counting at the end of the stream at `pad`, until the next count is taken. A decoder that is stopped midway gets
/// the part of a frame that its parser has.
pub fn stop_at_end(pad: &gst::Pad) {
    on_events(pad, |event| {
        if event.type_() == gst::EventType::Eos {
            HAS_ENDED.store(true, Ordering::Relaxed);
        }
        None
    });
}

/// Restarts the count.
pub fn clear() {
    take(true);
}

/// The number of errors since the last call; those about missing references count only `with_references`.
fn take(with_references: bool) -> u64 {
    HAS_ENDED.store(false, Ordering::Relaxed);
    let references = MISSING_REFERENCES.swap(0, Ordering::Relaxed);
    ERRORS.swap(0, Ordering::Relaxed) + if with_references { references } else { 0 }
}

/// Whether a decoder has failed because GStreamer does not know its pixel format.
pub fn is_unknown_format() -> bool {
    UNKNOWN_FORMAT.load(Ordering::Relaxed)
}

/// The same, since the last call.
pub fn take_unknown_format() -> bool {
    UNKNOWN_FORMAT.swap(false, Ordering::Relaxed)
}

/// A notice about the errors since the last call, and what they may cause.
pub fn notice(with_references: bool, effect: &str) -> Option<String> {
    let errors = take(with_references);
    let counted = counted(errors, "error");
    (errors > 0).then(|| format!("is damaged: its decoder reports {counted}, and {effect}"))
}
