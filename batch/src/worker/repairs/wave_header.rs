// SPDX-License-Identifier: MIT OR Apache-2.0

//! The extended header of sound (`WAVEFORMATEXTENSIBLE`), as AVI and ASF have it for more than two channels or 48 kHz.
//! GStreamer 1.22 takes all of it for the configuration of the decoder, which only follows it.

use crate::worker::{elements::caps::field, pads::probes::on_caps};

/// Length of the extension: valid bits, channel mask, and an identifier that begins with the codec.
const EXTENSION: usize = 22;
/// The identifier after the two bytes of the codec.
const IDENTIFIER: [u8; 14] =
    [0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x80, 0x00, 0x00, 0xAA, 0x00, 0x38, 0x9B, 0x71];

/// Removes it from the caps at the pad `pad` of a demuxer.
pub fn remove(pad: &gst::Pad) {
    on_caps(pad, |caps| {
        let data = field::<gst::Buffer>(caps, "codec_data")?;
        let data = data.map_readable().ok()?;
        let (extension, configuration) = data.split_at_checked(EXTENSION)?;
        if !extension.ends_with(&IDENTIFIER) {
            return None;
        }
        let mut caps = caps.clone();
        let structure = caps.make_mut().structure_mut(0)?;
        match configuration {
            [] => structure.remove_field("codec_data"),
            _ => structure.set("codec_data", gst::Buffer::from_slice(configuration.to_vec())),
        }
        Some(caps)
    });
}
