// SPDX-License-Identifier: MIT OR Apache-2.0

//! The colorimetry that a container states, where that of an H.264 or H.265 stream may say more. Parsers use the latter only
//! if their input has none.

use gst::prelude::*;
use gst_video::VideoColorimetry;

use crate::worker::{
    elements::caps::{colorimetry, media_type},
    pads::probes::on_caps,
};

const COLORIMETRY: &str = "colorimetry";
/// The field of caps with what the container states, on the way through the parser.
const STATED: &str = "stated-colorimetry";

/// The `caps` of a demuxer without their colorimetry, if it `says_less`; [`restore`] puts it back.
pub fn set_aside(
    caps: &gst::Caps,
    says_less: impl Fn(VideoColorimetry) -> bool,
) -> Option<gst::Caps> {
    let is_coded = ["video/x-h264", "video/x-h265"].contains(&media_type(caps));
    let said = colorimetry(caps.structure(0)?).filter(|said| is_coded && says_less(*said))?;
    let mut changed = caps.clone();
    let fields = changed.make_mut().structure_mut(0)?;
    fields.remove_field(COLORIMETRY);
    fields.set(STATED, said.to_string());
    Some(changed)
}

/// Makes `parser` output what the container states if the stream has no colorimetry.
pub fn restore(parser: &gst::Element) {
    let Some(src) = parser.static_pad("src") else { return };
    on_caps(&src, |caps| {
        let stated = caps.structure(0)?.get::<String>(STATED).ok()?;
        let mut restored = caps.clone();
        let fields = restored.make_mut().structure_mut(0)?;
        fields.remove_field(STATED);
        if !fields.has_field(COLORIMETRY) {
            fields.set(COLORIMETRY, stated);
        }
        Some(restored)
    });
}
