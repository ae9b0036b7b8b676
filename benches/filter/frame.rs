// SPDX-License-Identifier: MIT OR Apache-2.0

//! The input frames.

use std::error::Error;

/// One frame of a moving test image.
pub fn frame(caps: &str) -> Result<gst::Buffer, Box<dyn Error>> {
    let mut harness = gst_check::Harness::new_parse(&format!(
        "videotestsrc num-buffers=1 pattern=smpte75 ! capsfilter caps={}",
        caps.replace(' ', "")
    ));
    harness.play();
    Ok(harness.pull()?)
}
