// SPDX-License-Identifier: MIT OR Apache-2.0

//! Links the tracks of the input to the muxer, and watches them.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail};
use gst::prelude::*;

use super::{
    branch,
    check::Promise,
    mapping::Action,
    muxer::{MuxPad, Muxer},
    subtitles,
};
use crate::{
    container::Container,
    lock::lock,
    protocol::Setup,
    worker::{
        elements::{
            add,
            caps::{field, is_text},
            chain::Chain,
            discard, make, pad, wide_queue,
        },
        pads::{
            clip::{Window, place},
            gaps::Gaps,
            probes::on_caps,
            tally::{Passed, Tally},
        },
        pipeline::fault::{NO_DATA, TrackFault, track_name},
        probe::{Track, demux::Source},
    },
};

/// For example, the audio of a recording may change from stereo to 5.1.
const CHANGED_FORM: &str = "its channel count or sample rate changes midway";

/// Observations of the tracks while the pipeline runs.
#[derive(Clone, Default)]
pub struct Observations {
    /// The tracks that are written, with their pads of the muxer and counts of what has passed these.
    promises: Arc<Mutex<Vec<(Promise, gst::Pad, Tally)>>>,
    /// Audio tracks whose channels or sample rate change midway.
    changed: Arc<Mutex<Vec<usize>>>,
    /// The gaps of audio tracks.
    gaps: Arc<Mutex<Vec<(usize, Gaps)>>>,
    /// Counts of the tracks that are left out.
    dropped: Arc<Mutex<Vec<Tally>>>,
}

impl Observations {
    /// The tracks that were written. Call it while the pads still have their caps.
    pub fn promises(&self) -> Vec<Promise> {
        let finished = |(promise, pad, tally): (Promise, gst::Pad, Tally)| Promise {
            caps: pad.current_caps().map(|caps| promise.caps.clone().unwrap_or(caps)),
            passed: tally.get(),
            ..promise
        };
        lock(&self.promises).drain(..).map(finished).collect()
    }

    /// The end of the tracks that were left out, nanoseconds.
    pub fn dropped_end(&self) -> u64 {
        lock(&self.dropped).iter().map(|tally| tally.get().end).max().unwrap_or(0)
    }

    /// Replaces an error by that of the track that caused it: one without data, or one that is copied and changes its
    /// format.
    pub fn explain(&self, error: anyhow::Error, actions: &[Action]) -> anyhow::Error {
        if error.to_string() == NO_DATA
            && let Some((empty, ..)) =
                lock(&self.promises).iter().find(|(_, pad, _)| pad.current_caps().is_none())
        {
            return TrackFault { track: empty.track, cause: NO_DATA.to_owned() }.into();
        }
        let changed = lock(&self.changed);
        let is_copied = |track: &&usize| matches!(actions[**track], Action::Copy(_));
        let named = error.downcast_ref::<TrackFault>().map(|fault| fault.track);
        // The error of Matroska's muxer does not name the track.
        let is_it = |track: &&usize| named.is_none_or(|named| named == **track);
        match changed.iter().filter(is_copied).find(is_it) {
            Some(&track) => TrackFault { track, cause: CHANGED_FORM.to_owned() }.into(),
            None => error,
        }
    }

    pub fn notices(&self, actions: &[Action]) -> Vec<String> {
        let mut changed = lock(&self.changed).clone();
        changed.dedup();
        let is_encoded = |track: &usize| matches!(actions[*track], Action::Encode);
        let changed = changed.into_iter().filter(is_encoded).map(|track| {
            format!(
                "track {}: {CHANGED_FORM}; all of it is converted to the initial ones",
                track + 1
            )
        });
        let gaps = lock(&self.gaps);
        let gaps =
            gaps.iter().filter_map(|(track, gaps)| gaps.notice(&format!("track {}", track + 1)));
        changed.chain(gaps).collect()
    }
}

/// Everything that is needed to link the tracks when they are known.
pub struct Links {
    pub pipeline: gst::glib::WeakRef<gst::Pipeline>,
    pub setup: Setup,
    pub muxer: Muxer,
    /// The source of the translated video.
    pub video: gst::Element,
    pub video_caps: gst::Caps,
    pub tracks: Vec<Track>,
    pub actions: Vec<Action>,
    /// The part of them that goes into the output.
    pub window: Window,
    /// Counts what the muxer gets.
    pub written: Tally,
    pub observations: Observations,
}

impl Links {
    pub fn link_all(&self, sources: Vec<Source>) -> Result<()> {
        let pipeline = self.pipeline.upgrade().context("the pipeline is gone")?;
        let mut sources: Vec<Option<Source>> = sources.into_iter().map(Some).collect();
        for (track, action) in self.actions.iter().enumerate() {
            let known = &self.tracks[track];
            let found = sources.iter_mut().find(|source| {
                source.as_ref().is_some_and(|source| known.is(&source.id, &source.caps))
            });
            // What is dropped stays among the others.
            let is_kept = !matches!(action, Action::Drop);
            let source = found.filter(|_| is_kept).and_then(Option::take);
            match (action, source) {
                (Action::Translate, source) => {
                    self.link_video(&pipeline, track)?;
                    if let Some(source) = source {
                        discard(&pipeline, &source.pad)?;
                    }
                }
                (Action::Drop, None) => {}
                (Action::Encode, None) => bail!(TrackFault { track, cause: NO_DATA.to_owned() }),
                (_, None) => bail!(TrackFault { track, cause: "is not found again".to_owned() }),
                (action, Some(source)) => {
                    self.link_track(&pipeline, track, action, source.pad)
                        .map_err(|error| TrackFault { track, cause: format!("{error:#}") })?;
                }
            }
        }
        for source in sources.into_iter().flatten() {
            self.drop_track(&pipeline, &source.pad)?;
        }
        // Last: segments flow at once, and after that the muxer accepts no more tracks.
        self.video.set_locked_state(false);
        Ok(self.video.sync_state_with_parent()?)
    }

    fn link_video(&self, pipeline: &gst::Pipeline, track: usize) -> Result<()> {
        let how =
            self.muxer.pad_for(&self.video_caps).context("the container cannot hold the video")?;
        let mut video = pad(&self.video, "src")?;
        if let Some(language) = self.tracks[track].tags.get::<gst::tags::LanguageCode>() {
            let tags = make("taginject")?;
            tags.set_property("tags", format!("language-code={}", language.get()));
            add(pipeline, &tags)?;
            video.link(&pad(&tags, "sink")?)?;
            video = pad(&tags, "src")?;
        }
        let sink = self.muxer.link_video(pipeline, &video, &how)?;
        self.promise(sink, track, None);
        Ok(())
    }

    fn link_track(
        &self,
        pipeline: &gst::Pipeline,
        track: usize,
        action: &Action,
        source: gst::Pad,
    ) -> Result<()> {
        let container = self.muxer.container;
        let queue = wide_queue()?;
        queue.set_property("name", track_name(track) + "queue");
        add(pipeline, &queue)?;
        let start = pad(&queue, "sink")?;
        place(&start, self.window);
        source.link(&start)?;
        let queued = pad(&queue, "src")?;
        let known = &self.tracks[track];
        if known.kind().starts_with("audio/") {
            self.watch_form(&queue, track, action)?;
            // `avidemux` of GStreamer 1.22 halves the times of mono ADPCM. Encoders count its samples instead.
            if known.kind() != "audio/x-adpcm" {
                let gaps = Gaps::default();
                gaps.watch(&start);
                lock(&self.observations.gaps).push((track, gaps));
            }
        }
        let sink = match action {
            Action::Copy(how) => self.muxer.link(pipeline, &queued, how)?,
            Action::Encode => {
                let branch = branch::audio(&self.setup, &self.muxer, known)?;
                let how = self.muxer.require(&branch.caps, "use another --audio-encoder")?;
                self.link_branch(pipeline, track, &queued, &branch, &how)?
            }
            Action::PlainText(how) => {
                let branch = branch::plain_text(known.kind(), container)?;
                self.link_branch(pipeline, track, &queued, &branch, how)?
            }
            Action::Translate | Action::Drop => return self.drop_track(pipeline, &queued),
        };
        if container.is_isobmff() && is_text(known.kind()) {
            // The time before 0, which players will hide.
            let lead = u64::try_from(self.window.shift).unwrap_or(0);
            subtitles::begin_at(&sink, gst::ClockTime::from_nseconds(lead));
        }
        self.promise(sink, track, Some(action));
        Ok(())
    }

    fn drop_track(&self, pipeline: &gst::Pipeline, track: &gst::Pad) -> Result<()> {
        let tally = Tally::default();
        tally.watch(&discard(pipeline, track)?);
        lock(&self.observations.dropped).push(tally);
        Ok(())
    }

    /// Records if audio that enters `queue` changes its channels or sample rate, and stops the pipeline if the
    /// container does not support that.
    fn watch_form(&self, queue: &gst::Element, track: usize, action: &Action) -> Result<()> {
        let (first, changed) = (Mutex::new(None), self.observations.changed.clone());
        // `matroskamux` of GStreamer 1.26 accepts the change but only writes the initial format.
        let is_fault = matches!(action, Action::Copy(_)) && self.muxer.container != Container::Ts;
        let element = queue.downgrade();
        on_caps(&pad(queue, "sink")?, move |caps| {
            let form = ["channels", "rate"].map(|name| field::<i32>(caps, name));
            if *lock(&first).get_or_insert(form) != form {
                lock(&changed).push(track);
                if let Some(queue) = element.upgrade().filter(|_| is_fault) {
                    gst::element_error!(queue, gst::StreamError::Format, ("{CHANGED_FORM}"));
                }
            }
            None
        });
        Ok(())
    }

    fn link_branch(
        &self,
        pipeline: &gst::Pipeline,
        track: usize,
        queued: &gst::Pad,
        branch: &Chain,
        how: &MuxPad,
    ) -> Result<gst::Pad> {
        branch.bin.set_property("name", track_name(track) + "branch");
        add(pipeline, branch.bin.upcast_ref())?;
        queued.link(&branch.sink()?)?;
        self.muxer.link(pipeline, &branch.src()?, how)
    }

    /// Records a track as written; `action` is `None` for the video.
    fn promise(&self, pad: gst::Pad, track: usize, action: Option<&Action>) {
        let (is_video, is_encoded) =
            (action.is_none(), !matches!(action, Some(Action::Copy(_) | Action::PlainText(_))));
        let is_carried = matches!(action, Some(Action::Copy(how)) if how.carrier.is_some());
        let caps = is_carried.then(|| self.tracks[track].caps.clone());
        let tally = Tally::default();
        tally.watch(&pad);
        self.written.watch(&pad);
        let passed = Passed::default();
        let promise = Promise { track, is_video, is_encoded, is_carried, caps, passed };
        lock(&self.observations.promises).push((promise, pad, tally));
    }
}
