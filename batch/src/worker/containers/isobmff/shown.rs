// SPDX-License-Identifier: MIT OR Apache-2.0

//! How a track is shown: the matrix in its header, and boxes in the description of its samples.

use super::{
    boxes::{boxes, number},
    trak::Trak,
};
use crate::worker::containers::track_info::{DOLBY_VISION, SPHERE, cropped, dolby_vision};

/// The identifier of the description of spherical video, version 1.
const SPHERICAL: [u8; 16] = 0xFFCC_8263_F855_4A93_8814_587A_0252_1FDD_u128.to_be_bytes();

/// The matrix of a track, row by row. Width and height follow it, at the end of the header.
pub fn matrix(track: Trak<'_>) -> Option<&[[u8; 4]]> {
    let end = track.find(&[b"tkhd"])?.last_chunk::<44>()?;
    Some(&end.as_chunks::<4>().0[..9])
}

/// The method of `videoflip` for a matrix that mirrors. `qtdemux` of GStreamer 1.22 only reports rotation.
pub fn mirrored(matrix: &[[u8; 4]]) -> Option<&'static str> {
    let sign = |i: usize| i32::from_be_bytes(matrix[i]).signum();
    match [0, 1, 3, 4].map(sign) {
        [-1, 0, 0, 1] => Some("horiz"),
        [1, 0, 0, -1] => Some("vert"),
        [0, 1, 1, 0] => Some("ul-lr"),
        [0, -1, -1, 0] => Some("ur-ll"),
        _ => None,
    }
}

/// What `qtdemux` ignores of how the video `track` with this matrix is shown.
pub fn ignored(track: Trak<'_>, matrix: &[[u8; 4]]) -> Vec<String> {
    let mut ignored = Vec::new();
    let Some(entry) = track.entry().filter(|_| track.is_video()) else { return ignored };
    ignored.extend(entry.of_video(b"clap").and_then(|clap| crop(clap, entry.content)));
    let mut of_track = boxes(track.0).filter(|(kind, _)| *kind == b"uuid");
    if entry.of_video(b"sv3d").is_some() || of_track.any(|(_, id)| id.starts_with(&SPHERICAL)) {
        ignored.push(SPHERE.to_owned());
    }
    if entry.of_video(b"st3d").and_then(|mode| mode.get(4)).is_some_and(|mode| *mode != 0) {
        ignored.push("stereo mode (3D)".to_owned());
    }
    let mut of_dolby = DOLBY_VISION.iter().filter_map(|kind| entry.of_video(kind));
    ignored.extend(of_dolby.next().map(dolby_vision));
    let is_zero = |i: usize| matrix.get(i).is_none_or(|number| *number == [0; 4]);
    if ![[0, 4], [1, 3]].iter().any(|pair| pair.iter().all(|&i| is_zero(i))) {
        ignored.push("rotation by another angle than a multiple of 90°".to_owned());
    }
    ignored
}

/// The crop that `clap` states, as two fractions for width and height (ISO/IEC 14496-12, section 12.1.4), unless it is the
/// size of the video in the sample entry `video`.
fn crop(clap: &[u8], video: &[u8]) -> Option<String> {
    let part = |at: usize| number(clap, at)?.checked_div(number(clap, at + 4)?);
    let (width, height) = (part(0)?, part(8)?);
    let size = number(video, 24).map(|both| (both >> 16, both & 0xFFFF));
    (size != Some((width, height))).then(|| cropped(width.into(), height.into()))
}

#[cfg(test)]
mod tests {
    use super::{super::boxes::boxed, *};
    use crate::worker::containers::track_info::DOLBY_VISION_5;

    #[test]
    fn what_is_ignored_of_a_video_is_found() {
        let (handler, size) = ([&[0; 8][..], b"vide"].concat(), [0, 160, 0, 120]);
        let crop = |width: u32, height: u32| {
            boxed(b"clap", &[width, 1, height, 1, 0, 1, 0, 1].map(u32::to_be_bytes).concat())
        };
        let ignored = |inside: &[u8], matrix: [u32; 5]| {
            let entry = [&[0; 24][..], &size, &[0; 50], inside].concat();
            let samples = boxed(b"stsd", &[&[0; 8][..], &boxed(b"avc1", &entry)].concat());
            let media = [boxed(b"hdlr", &handler), boxed(b"minf", &boxed(b"stbl", &samples))];
            let track = boxed(b"mdia", &media.concat());
            super::ignored(Trak(&track), &matrix.map(u32::to_be_bytes))
        };
        let (one, flipped) = ([1, 0, 0, 0, 1], [0, 1, 0, 1, 0]);
        assert_eq!(ignored(&crop(160, 120), one), [""; 0]);
        assert_eq!(ignored(&crop(120, 90), flipped), ["crop to 120×90 pixels"]);
        assert_eq!(ignored(&boxed(b"sv3d", &[]), one), [SPHERE]);
        assert_eq!(ignored(&boxed(b"st3d", &[0, 0, 0, 0, 2]), one), ["stereo mode (3D)"]);
        assert!(ignored(&[], [1, 1, 0, 1, 1])[0].contains("another angle"));
        assert_eq!(ignored(&boxed(b"dvcC", &[1, 0, 5 << 1]), one), [DOLBY_VISION_5]);
        assert_eq!(ignored(&boxed(b"dvvC", &[1, 0, 8 << 1]), one), ["Dolby Vision metadata"]);
    }
}
