// SPDX-License-Identifier: MIT OR Apache-2.0

//! Colour in the headers of ProRes frames (SMPTE RDD 36, section 5.1.1). `avenc_prores_ks` says there that it is
//! unknown, and decoders trust it more than the container.

use gst::prelude::*;

use crate::worker::{elements::caps::colorimetry, pads::probes::on_buffers};

/// Where a frame has the codes of its primaries, transfer function and matrix (ITU-T H.273).
const COLOUR: std::ops::Range<usize> = 22..25;
/// The code of what is not known.
const UNSPECIFIED: u8 = 2;

/// Writes the colour of the caps at `pad`, the output of an encoder of ProRes, into its frames.
pub fn state_colour(pad: &gst::Pad) {
    on_buffers(pad, |pad, frame| {
        let codes = pad.current_caps().and_then(|caps| colour(&caps));
        if let Some(codes) = codes.filter(|_| frame.size() > COLOUR.end)
            && let Ok(mut bytes) = frame.make_mut().map_writable()
        {
            bytes[COLOUR].copy_from_slice(&codes);
        }
        true
    });
}

/// The codes of the colour in `caps`; `None` if they do not say it.
fn colour(caps: &gst::Caps) -> Option<[u8; 3]> {
    let said = colorimetry(caps.structure(0)?)?;
    let codes = [said.primaries().to_iso(), said.transfer().to_iso(), said.matrix().to_iso()];
    Some(codes.map(|code| u8::try_from(code).unwrap_or(UNSPECIFIED)))
}
