// SPDX-License-Identifier: MIT OR Apache-2.0

//! The markers of a JPEG (ITU-T T.81, annex B).

const END_OF_IMAGE: u8 = 0xd9;
/// Markers without a segment: stuffing, TEM, and RST0 to SOI.
const ALONE: [std::ops::RangeInclusive<u8>; 2] = [0..=1, 0xd0..=0xd8];

/// Whether a JPEG contains its end. Segments are skipped: the metadata may contain a thumbnail, another JPEG.
pub fn is_complete(bytes: &[u8]) -> bool {
    let mut at = 0;
    while let Some(marker) = next_marker(bytes, &mut at) {
        if marker == END_OF_IMAGE {
            return true;
        }
        if !ALONE.iter().any(|alone| alone.contains(&marker)) {
            let Some(&[high, low]) = bytes.get(at..at + 2) else {
                return false;
            };
            at += usize::from(u16::from_be_bytes([high, low]));
        }
    }
    false
}

/// The next marker, past entropy-coded data and fill bytes; `at` is then behind it.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    *at += bytes.get(*at..)?.iter().position(|&byte| byte == 0xff)?;
    *at += bytes[*at..].iter().position(|&byte| byte != 0xff)?;
    *at += 1;
    Some(bytes[*at - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_end_outside_of_segments_counts() {
        let start = [0xff, 0xd8];
        let segment = [0xff, 0xe1, 0, 6, 0xff, 0xd8, 0xff, 0xd9];
        let scan = [0xff, 0xda, 0, 3, 1, 7, 0xff, 0, 9, 0xff, 0xd0, 8];
        let end = [0xff, 0xff, 0xd9];
        assert!(is_complete(&[&start[..], &segment, &scan, &end, &[1, 2]].concat()));
        for truncated in [&scan[..], &scan[..9], &scan[..3], &scan[..2], &[]] {
            assert!(!is_complete(&[&start[..], &segment, truncated].concat()));
        }
        assert!(!is_complete(&[0xff, 0xe1, 0xff]));
        assert!(!is_complete(&[]));
    }
}
