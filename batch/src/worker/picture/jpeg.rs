// SPDX-License-Identifier: MIT OR Apache-2.0

//! JPEG files (ITU-T T.81): codings that cannot be decoded, and damage that the image crate does not report.

use anyhow::{Result, bail};
use img_parts::{
    Bytes,
    jpeg::{
        Jpeg, JpegSegment,
        markers::{SOF0, SOF2, SOF3, SOF5, SOF7, SOF9, SOF10, SOF11, SOF13, SOF15},
    },
};

use super::pixels::ImagePipeline;
use crate::{
    protocol::{Say, note, note_all},
    worker::pipeline::decoder_errors,
};

/// Fails if no decoder here supports the coding of a JPEG, and notes what is wrong with it.
pub fn check(file: &[u8], say: Say) -> Result<()> {
    let jpeg = Jpeg::from_bytes(Bytes::copy_from_slice(file)).ok();
    let segments = jpeg.as_ref().map_or(&[][..], |jpeg| jpeg.segments());
    if let Some((coding, how)) = segments.iter().find_map(unsupported) {
        bail!("is a JPEG with {coding} coding, which cannot be decoded; convert it first, {how}");
    }
    note_all(say, damage(file));
    if segments.iter().any(is_cmyk) {
        note(say, "its CMYK becomes RGB");
    }
    Ok(())
}

/// The coding of a frame that cannot be decoded (table B.1), and how to convert it.
fn unsupported(segment: &JpegSegment) -> Option<(&'static str, &'static str)> {
    match segment.marker() {
        SOF3 | SOF11 => Some(("lossless", "to PNG")),
        SOF5..=SOF7 | SOF13..=SOF15 => Some(("hierarchical", "to PNG")),
        SOF9..=SOF10 => Some(("arithmetic", "with `jpegtran -copy all FILE > OTHER`")),
        _ => None,
    }
}

/// Whether this is the header of a frame with four components (section B.2.2).
fn is_cmyk(segment: &JpegSegment) -> bool {
    (SOF0..=SOF2).contains(&segment.marker()) && segment.contents().get(5) == Some(&4)
}

/// A note about damage, which the decoder of the image crate skips silently.
fn damage(file: &[u8]) -> Option<String> {
    if lacks_end(file) {
        return Some("is truncated: its last rows are missing".to_owned());
    }
    decoder_errors::clear();
    let caps = gst::Caps::builder("image/jpeg").field("parsed", true).build();
    // Only its errors count, not what it decodes. It does not know all formats, and crashes with direct rendering.
    let _ = ImagePipeline::new("avdec_mjpeg direct-rendering=false")
        .and_then(|decoder| decoder.push_last(gst::Buffer::from_slice(file.to_vec()), &caps));
    decoder_errors::notice(true, "parts of it may be wrong")
}

/// Whether the end marker (EOI) is missing, which the decoder tolerates. Pixel data cannot contain markers.
fn lacks_end(file: &[u8]) -> bool {
    let last = |marker: [u8; 2]| file.windows(2).rposition(|bytes| bytes == marker);
    last([0xFF, 0xD9]) < last([0xFF, 0xDA])
}
