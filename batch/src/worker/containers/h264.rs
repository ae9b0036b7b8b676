// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which key frames of H.264 are IDR pictures (ITU-T H.264, section 7.4.1.2.4).

use super::bytes::big_endian;
use crate::worker::elements::caps::{field, media_type};

/// Types of NAL units: a slice of a picture, and of an IDR picture.
const SLICE: u8 = 1;
const IDR: u8 = 5;

/// Whether `frame`, with these caps, is a picture of H.264 that is not an IDR picture, such as a recovery point. Decoders can
/// start there, but their references to earlier pictures are missing.
pub fn is_without_idr(frame: &gst::BufferRef, caps: &gst::Caps) -> bool {
    if media_type(caps) != "video/x-h264" {
        return false;
    }
    let Ok(map) = frame.map_readable() else { return false };
    let kind = match field::<gst::Buffer>(caps, "codec_data") {
        Some(data) => {
            let size = data.map_readable().ok().and_then(|data| data.get(4).map(|size| size & 3));
            kind_by_length(&map, usize::from(size.unwrap_or(3)) + 1)
        }
        None => kind_by_start_code(&map),
    };
    kind == Some(SLICE)
}

/// The type of the first slice, where NAL units follow their length in `size` bytes.
fn kind_by_length(mut frame: &[u8], size: usize) -> Option<u8> {
    loop {
        let (length, rest) = frame.split_at_checked(size)?;
        match rest.first()? & 0x1F {
            kind @ (SLICE | IDR) => return Some(kind),
            _ => frame = rest.get(usize::try_from(big_endian(length)).ok()?..)?,
        }
    }
}

/// The same where they follow a start code.
fn kind_by_start_code(frame: &[u8]) -> Option<u8> {
    let units = frame.windows(4).filter(|bytes| bytes[..3] == [0, 0, 1]);
    units.map(|bytes| bytes[3] & 0x1F).find(|kind| matches!(*kind, SLICE | IDR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_slice_gives_the_kind_of_a_picture() {
        let by_length = |slice| [&[0, 2, 6, 1, 0, 2, slice, 7][..], &[0, 1, 1]].concat();
        assert_eq!(kind_by_length(&by_length(0x65), 2), Some(IDR));
        assert_eq!(kind_by_length(&by_length(0x41), 2), Some(SLICE));
        assert_eq!(kind_by_length(&[0, 9, 6, 1], 2), None);
        let by_start_code = |slice| [0, 0, 0, 1, 0x09, 0x10, 0, 0, 1, slice, 7];
        assert_eq!(kind_by_start_code(&by_start_code(0x65)), Some(IDR));
        assert_eq!(kind_by_start_code(&by_start_code(0x41)), Some(SLICE));
    }
}
