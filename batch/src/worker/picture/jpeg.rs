// SPDX-License-Identifier: MIT OR Apache-2.0

//! JPEG files (ITU-T T.81): codings that cannot be decoded, and damage that the image crate does not report.

use std::borrow::Cow;

use anyhow::bail;
use img_parts::{
    Bytes,
    jpeg::{
        Jpeg, JpegSegment,
        markers::{SOF0, SOF2, SOF3, SOF5, SOF7, SOF9, SOF10, SOF11, SOF13, SOF15},
    },
};

use super::pixels::ImagePipeline;
use crate::{
    protocol::{Say, send_notice, send_notices},
    worker::{containers::bytes::Reader, pipeline::decoder_errors},
};

/// The marker of the end of an image (EOI).
const END: [u8; 2] = [0xFF, 0xD9];

pub const VIDEO_LOST: &str = "the video in the same file is left out";

/// Fails if no decoder here supports the coding of a JPEG, and reports what is wrong with it.
pub fn check(file: &[u8], say: Say) -> anyhow::Result<()> {
    let jpeg = Jpeg::from_bytes(Bytes::copy_from_slice(file)).ok();
    let segments = jpeg.as_ref().map_or(&[][..], |jpeg| jpeg.segments());
    if let Some((coding, how)) = segments.iter().find_map(unsupported) {
        bail!("is a JPEG with {coding} coding, which cannot be decoded; convert it first, {how}");
    }
    send_notices(say, damage(file));
    if segments.iter().any(is_cmyk) {
        send_notice(say, "its CMYK becomes RGB");
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

/// A notice about damage, which the decoder of the image crate skips silently.
fn damage(file: &[u8]) -> Option<String> {
    let Some(image) = image(file) else {
        return Some("is truncated: its last rows are missing".to_owned());
    };
    decoder_errors::clear();
    let caps = gst::Caps::builder("image/jpeg").field("parsed", true).build();
    // Only its errors count, not what it decodes. It does not know all formats, and crashes with direct rendering.
    let _ = ImagePipeline::new("avdec_mjpeg direct-rendering=false")
        .and_then(|decoder| decoder.push_last(gst::Buffer::from_slice(image.to_vec()), &caps));
    decoder_errors::notice(true, "parts of it may be wrong")
}

/// Ends a truncated image with the end marker, after its last complete part: the decoder of the image crate otherwise
/// refuses some.
pub fn complete(file: &mut Cow<'_, [u8]>) {
    if let Err(complete) = end(file) {
        file.to_mut().truncate(complete);
        file.to_mut().extend(END);
    }
}

/// Whether a video follows the image, as phones write it.
pub fn has_video(file: &[u8]) -> bool {
    let image = image(file).unwrap_or(file);
    file[image.len()..].windows(4).any(|kind| kind == b"ftyp")
}

/// The image without what follows its end marker, such as a video; `None` if it has none, which the decoder tolerates.
fn image(file: &[u8]) -> Option<&[u8]> {
    end(file).ok().map(|end| &file[..end])
}

/// Where the image ends with its end marker; the error is the end of what is complete of a truncated one.
fn end(file: &[u8]) -> Result<usize, usize> {
    let mut at = 2;
    loop {
        // Pixel data cannot contain markers but those to restart, and a 0 after 0xFF (section F.1.2.3).
        let rest = file.get(at..).unwrap_or_default();
        let marker = rest
            .windows(2)
            .position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF | 0xD0..=0xD7));
        let marker = at + marker.ok_or(file.len())?;
        at = marker
            + match file[marker + 1] {
                0xD9 => return Ok(marker + 2),
                // Without a length.
                0x01 | 0xD8 => 2,
                _ => 2 + Reader::at(file, marker + 2).big(2).ok_or(marker)? as usize,
            };
        if at > file.len() {
            return Err(marker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_ends_at_its_own_end_marker() {
        // A thumbnail with markers in a segment, a scan with a restart, and the end.
        let thumbnail = b"\xFF\xE1\0\x08\xFF\xD8\xFF\xDA\xFF\xD9";
        let scan = b"\xFF\xDA\0\x03\0\x12\xFF\0\x34\xFF\xD0\x56";
        let file = [b"\xFF\xD8", &thumbnail[..], scan, b"\xFF\xD9"].concat();
        let with_video = [&file[..], b"\0\0\0\x18ftypmp42 \xFF\xDA \xFF\xD9 \xFF\xDA"].concat();
        assert_eq!(image(&with_video), Some(&file[..]));
        assert!(has_video(&with_video) && !has_video(&file));
        assert_eq!(image(&file[..file.len() - 2]), None);
        assert_eq!((image(b""), image(b"\xFF\xD8\xFF")), (None, None));
    }
}
