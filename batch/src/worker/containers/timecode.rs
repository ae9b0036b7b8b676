// SPDX-License-Identifier: MIT OR Apache-2.0

//! Time codes (SMPTE ST 12-1): those of QuickTime tracks, which `qtdemux` of GStreamer 1.22 does not read, and of MXF.

use gst_video::{ValidVideoTimeCode, VideoTimeCodeFlags};

/// The time code of the first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeCode {
    /// Frame number, counted from 00:00:00:00.
    pub frame: u32,
    /// Frames per second.
    pub rate: gst::Fraction,
    /// Whether it is drop-frame, as at 29.97 frames per second.
    pub drops_frames: bool,
}

impl TimeCode {
    /// The time code `time` later; `None` if its rate has no time codes.
    pub fn after(&self, time: gst::ClockTime) -> Option<ValidVideoTimeCode> {
        let flags = match self.drops_frames {
            true => VideoTimeCodeFlags::DROP_FRAME,
            false => VideoTimeCodeFlags::empty(),
        };
        let mut code = ValidVideoTimeCode::new(self.rate, None, flags, 0, 0, 0, 0, 0).ok()?;
        let rate = f64::from(self.rate.numer()) / f64::from(self.rate.denom());
        code.add_frames(i64::from(self.frame) + (time.seconds_f64() * rate).round() as i64);
        Some(code)
    }
}

/// Whether the structure of an MXF file, in the tags of `mxfdemux`, has a time code other than 00:00:00:00, which every
/// file has.
pub fn is_in_mxf(tags: &gst::TagList) -> bool {
    let structure =
        tags.generic("mxf-structure").and_then(|value| value.get::<gst::Structure>().ok());
    // Structures are nested, with one more level of backslash escapes each.
    let text =
        structure.map(|structure| structure.to_string().replace('\\', "")).unwrap_or_default();
    let starts = text.split("start-timecode=").skip(1);
    starts.filter_map(|rest| rest.split_once(')')).any(|(_, number)| {
        number.trim_start().starts_with(|digit: char| ('1'..='9').contains(&digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_count_on() {
        gst::init().unwrap();
        let code = |frame, rate: (i32, i32), drops_frames, seconds| {
            let code = TimeCode { frame, rate: rate.into(), drops_frames };
            code.after(gst::ClockTime::from_seconds(seconds)).unwrap().to_string()
        };
        assert_eq!(code(93_079, (25, 1), false, 0), "01:02:03:04");
        assert_eq!(code(93_079, (25, 1), false, 2), "01:02:05:04");
        // The first two numbers of each minute but every tenth are left out.
        assert_eq!(code(1800, (30_000, 1001), true, 0), "00:01:00;02");
    }
}
