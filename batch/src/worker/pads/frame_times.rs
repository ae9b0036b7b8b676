// SPDX-License-Identifier: MIT OR Apache-2.0

//! Timestamps of decoded frames. Encoders need one for every frame, later than that of the frame before.

use std::sync::{Arc, Mutex};

use anyhow::{Result, bail};
use gst::prelude::*;

use crate::{lock::lock, text::counted, worker::elements::caps::field};

/// Default duration of a frame, as in ffmpeg.
const DEFAULT_DURATION: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// The shortest time between two frames: the unit of time of Matroska.
const SHORTEST: gst::ClockTime = gst::ClockTime::from_mseconds(1);

/// A longer step back means another video; a shorter one is a wrong timestamp.
const LONGEST_STEP_BACK: gst::ClockTime = gst::ClockTime::from_seconds(1);

#[derive(Debug, Default)]
struct State {
    last: Option<gst::ClockTime>,
    /// When the next frame is due by the durations of those before.
    due: gst::ClockTime,
    untimed: u64,
    repeated: u64,
    /// How far the timestamps jump back.
    jump: Option<gst::ClockTime>,
}

/// Gives frames timestamps that increase, and counts those that it corrects.
#[derive(Clone, Debug, Default)]
pub struct FrameTimes(Arc<Mutex<State>>);

impl FrameTimes {
    /// The time of the next frame, which lasts for `duration`, from its stated time. A frame without a time follows
    /// the one before; a frame whose time has passed comes 1 ms after it.
    pub fn next(&self, stated: Option<gst::ClockTime>, duration: gst::ClockTime) -> gst::ClockTime {
        let mut state = lock(&self.0);
        let last = state.last;
        let has_passed = |time| last.is_some_and(|last| time <= last);
        let earliest = last.map_or(gst::ClockTime::ZERO, |last| last + SHORTEST);
        let time = match stated {
            Some(stated) if has_passed(stated) => {
                state.repeated += 1;
                // Decoders output the last time again instead of an earlier one.
                let back = state.due.saturating_sub(stated);
                state.jump = state.jump.max(Some(back).filter(|back| *back > LONGEST_STEP_BACK));
                state.due += duration;
                earliest
            }
            Some(stated) => {
                state.due = stated + duration;
                stated
            }
            None => {
                state.untimed += 1;
                let time = state.due.max(earliest);
                state.due = time + duration;
                time
            }
        };
        state.last = Some(time);
        time
    }

    /// Fails if the timestamps jump back, as where a second video follows in the same file.
    pub fn check(&self) -> Result<()> {
        lock(&self.0).jump.map_or(Ok(()), |jump| {
            let seconds = jump.seconds_f64();
            bail!("its timestamps jump back by {seconds:.1} s, perhaps because another video begins; split the file there")
        })
    }

    /// Notices about the frames that it has corrected.
    pub fn notices(&self) -> Vec<String> {
        let State { untimed, repeated, .. } = *lock(&self.0);
        let mut notices = Vec::new();
        if untimed > 0 {
            notices.push(format!(
                "{} without a timestamp: placed at the rate of the video, or at 25 frames per second",
                counted(untimed, "frame")
            ));
        }
        if repeated > 0 {
            notices.push(format!(
                "{} with a timestamp that is not later than that of the frame before: moved to 1 ms after it",
                counted(repeated, "frame")
            ));
        }
        notices
    }
}

/// The duration of a frame by the frame rate in the caps of `pad`, else 1/25 s.
pub fn frame_duration(pad: &gst::Pad) -> gst::ClockTime {
    let rate = pad.current_caps().and_then(|caps| {
        let rate = field::<gst::Fraction>(&caps, "framerate")?;
        let numerator = u64::try_from(rate.numer()).ok().filter(|&numerator| numerator > 0)?;
        gst::ClockTime::SECOND.mul_div_round(rate.denom() as u64, numerator)
    });
    rate.unwrap_or(DEFAULT_DURATION)
}
