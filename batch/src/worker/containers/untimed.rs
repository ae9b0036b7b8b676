// SPDX-License-Identifier: MIT OR Apache-2.0

//! The times of ProRes in Matroska, which `matroskademux` of GStreamer 1.22 leaves out. Decoders then count frames.

use std::{collections::HashMap, fs::File, path::Path, sync::Mutex};

use gst::prelude::*;

use super::{ebml::Segment, matroska};
use crate::{
    lock::lock,
    worker::{elements::caps::short_id, pads::probes::on_buffers},
};

/// How far times may differ from those of equal frames, nanoseconds: files round them to a millisecond.
const TOLERANCE: i64 = 2_000_000;

/// The times of the frames of each track, by its number, nanoseconds.
#[derive(Debug)]
pub struct Untimed(HashMap<u64, Vec<i64>>);

impl Untimed {
    /// Reads `file`; `None` if it is not Matroska with ProRes of a variable rate, or of a late start.
    pub fn of(file: &Path) -> Option<Self> {
        let mut segment = Segment::open(File::open(file).ok()?).ok()?;
        let tracks = matroska::tracks_in(&mut segment, "V_PRORES")?;
        if tracks.is_empty() {
            return None;
        }
        let (unit, _) = matroska::clock(&mut segment)?;
        let mut times = HashMap::<_, Vec<_>>::new();
        for packet in segment.packets().filter(|packet| tracks.contains(&packet.track)) {
            times.entry(packet.track).or_default().push(packet.time.max(0) * unit);
        }
        times.values().any(|times| !are_even(times)).then_some(Self(times))
    }

    /// Gives the frames at a pad of the demuxer, from the first on, their times.
    pub fn correct(&self, pad: &gst::Pad) {
        let id = pad.stream_id();
        let track = id.and_then(|id| matroska::track_number(short_id(&id)));
        let Some(times) = track.and_then(|track| self.0.get(&track)).cloned() else { return };
        let times = Mutex::new(times.into_iter());
        on_buffers(pad, move |_, buffer| {
            let time = lock(&times).next().and_then(|time| u64::try_from(time).ok());
            buffer.make_mut().set_pts(time.map(gst::ClockTime::from_nseconds));
            true
        });
    }
}

/// Whether frames start at 0 and are equally long.
fn are_even(times: &[i64]) -> bool {
    let steps = times.len().saturating_sub(1).max(1) as i64;
    let length = times.last().unwrap_or(&0) - times.first().unwrap_or(&0);
    let is_even = |(i, time): (i64, &i64)| (time - length * i / steps).abs() <= TOLERANCE;
    (0..).zip(times).all(is_even)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_times_need_no_correction() {
        let is_even =
            |times: &[i64]| are_even(&times.iter().map(|t| t * 1_000_000).collect::<Vec<_>>());
        assert!(is_even(&[]) && is_even(&[0]) && is_even(&[0, 33, 67, 100, 133]));
        assert!(!is_even(&[0, 33, 100, 133]) && !is_even(&[500, 533, 567]));
    }
}
