// SPDX-License-Identifier: MIT OR Apache-2.0

//! What happens to the tracks while the pipeline runs.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use anyhow::Result;
use gst::prelude::*;

use super::{
    mapping::Action,
    written::{Written, WrittenTrack},
};
use crate::{
    lock::lock,
    worker::{
        elements::{caps::field, pad},
        pads::{gaps::Gaps, probes::on_caps, tally::Tally},
        pipeline::fault::{NO_DATA, TrackFault},
    },
};

/// For example, the audio of a recording may change from stereo to 5.1.
const CHANGED_FORM: &str = "its channel count or sample rate changes midway";

/// A track that is linked to the muxer.
pub struct LinkedTrack {
    /// Its number in the input.
    pub number: usize,
    pub action: Action,
    /// Its own caps, if the muxer gets it as a track of another codec.
    pub caps: Option<gst::Caps>,
    /// Its pad of the muxer.
    pub pad: gst::Pad,
    /// What has passed that pad.
    pub passed: Tally,
    pub audio: AudioObservations,
}

impl LinkedTrack {
    /// What has been written. Call it while the pad still has its caps.
    fn written(&self) -> WrittenTrack {
        let caps = self.pad.current_caps();
        WrittenTrack {
            number: self.number,
            action: self.action.clone(),
            caps: caps.map(|caps| self.caps.clone().unwrap_or(caps)),
            passed: self.passed.get(),
        }
    }
}

/// What happens to an audio track before it is converted.
#[derive(Default)]
pub struct AudioObservations {
    /// Whether its channels or sample rate change midway.
    has_changed: Arc<AtomicBool>,
    pub gaps: Gaps,
}

impl AudioObservations {
    /// Records if audio that enters `queue` changes its channels or sample rate. This stops the pipeline if it is a fault.
    pub fn watch_form(&self, queue: &gst::Element, is_fault: bool) -> Result<()> {
        let (first, has_changed) = (Mutex::new(None), self.has_changed.clone());
        let element = queue.downgrade();
        on_caps(&pad(queue, "sink")?, move |caps| {
            let form = ["channels", "rate"].map(|name| field::<i32>(caps, name));
            if *lock(&first).get_or_insert(form) != form {
                has_changed.store(true, Ordering::Relaxed);
                if let Some(queue) = element.upgrade().filter(|_| is_fault) {
                    gst::element_error!(queue, gst::StreamError::Format, ("{CHANGED_FORM}"));
                }
            }
            None
        });
        Ok(())
    }

    fn has_changed(&self) -> bool {
        self.has_changed.load(Ordering::Relaxed)
    }
}

/// What happens to the tracks while the pipeline runs.
#[derive(Default)]
pub struct Observations {
    pub linked: Vec<LinkedTrack>,
    /// Counts the tracks that are left out.
    pub dropped: Tally,
}

impl Observations {
    /// The tracks that were written. Call it while the pads still have their caps.
    pub fn written(&self) -> Written {
        let tracks = self.linked.iter().map(LinkedTrack::written).collect();
        Written { tracks, dropped_end: self.dropped.get().end }
    }

    /// Replaces an error by that of the track that caused it: one without data, or one that is copied and changes its
    /// format.
    pub fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let empty = self.linked.iter().find(|linked| linked.pad.current_caps().is_none());
        if let Some(empty) = empty.filter(|_| error.to_string() == NO_DATA) {
            return empty.written().fault(NO_DATA);
        }
        let named = error.downcast_ref::<TrackFault>().map(|fault| fault.track);
        let changed = self.linked.iter().find(|linked| {
            // The error of Matroska's muxer does not name the track.
            linked.audio.has_changed()
                && matches!(linked.action, Action::Copy(_))
                && named.is_none_or(|named| named == linked.number)
        });
        changed.map_or(error, |changed| changed.written().fault(CHANGED_FORM))
    }

    pub fn notices(&self) -> Vec<String> {
        let (mut changed, mut gaps) = (Vec::new(), Vec::new());
        for linked in &self.linked {
            let track = format!("track {}", linked.number + 1);
            if linked.audio.has_changed() && matches!(linked.action, Action::Encode(_)) {
                changed.push(format!(
                    "{track}: {CHANGED_FORM}; all of it is converted to the initial ones"
                ));
            }
            gaps.extend(linked.audio.gaps.notice(&track));
        }
        [changed, gaps].concat()
    }
}
