// SPDX-License-Identifier: MIT OR Apache-2.0

//! Links the tracks of the input to the muxer.

use anyhow::{Context, Result, bail};
use gst::prelude::*;

use super::{
    branch,
    mapping::Action,
    observations::{AudioObservations, LinkedTrack, Observations},
    subtitles,
};
use crate::{
    container::Container,
    worker::{
        elements::{
            add,
            caps::{VORBIS, is_text},
            chain::Chain,
            discard, make, pad, wide_queue,
        },
        muxer::{MuxPad, Muxer},
        pads::window::{Window, nanoseconds, place},
        pipeline::{
            Pipeline,
            fault::{NO_DATA, TrackFault, track_name},
        },
        probe::{Media, Track, demux::Source},
        repairs::laced_times,
    },
};

/// What is needed to link the tracks of an output.
pub struct Links<'a> {
    pub media: &'a Media,
    /// What to do with each track of `media`.
    pub actions: &'a [Action],
    /// The part of `media` that goes into the output.
    pub window: Window,
    pub pipeline: &'a Pipeline,
    pub muxer: &'a Muxer,
    pub observations: Observations,
}

impl Links<'_> {
    /// Links `sources`, the tracks of the input, and `video`, which outputs the translated video with these caps.
    pub fn link_all<'s>(
        &mut self,
        sources: impl Iterator<Item = &'s Source>,
        video: &gst::Element,
        video_caps: &gst::Caps,
    ) -> Result<()> {
        let mut sources: Vec<_> = sources.collect();
        for (number, (track, action)) in self.media.tracks.iter().zip(self.actions).enumerate() {
            let fault = |cause: String| TrackFault { track: number, cause };
            // The source of a dropped track stays in `sources` and is discarded below.
            let is_kept = !matches!(action, Action::Drop);
            let is_it = |source: &&Source| is_kept && track.is(&source.id, &source.caps);
            let source = sources.iter().position(is_it).map(|found| sources.remove(found));
            match (action, source) {
                (Action::Translate, source) => {
                    self.link_video(number, pad(video, "src")?, video_caps)?;
                    if let Some(source) = source {
                        discard(self.pipeline.gst(), &source.pad)?;
                    }
                }
                (Action::Drop, _) => {}
                (Action::Encode(_), None) => bail!(fault(NO_DATA.to_owned())),
                (_, None) => bail!(fault("is not found again".to_owned())),
                (action, Some(source)) => {
                    self.link_track(number, action, &source.pad)
                        .map_err(|error| fault(format!("{error:#}")))?;
                }
            }
        }
        for source in sources {
            self.observations.dropped.watch(&discard(self.pipeline.gst(), &source.pad)?);
        }
        // Last: segments flow at once, and after that the muxer accepts no more tracks.
        video.set_locked_state(false);
        Ok(video.sync_state_with_parent()?)
    }

    fn link_video(&mut self, number: usize, mut video: gst::Pad, caps: &gst::Caps) -> Result<()> {
        let how = self.muxer.pad_for(caps).context("the container cannot hold the video")?;
        let tags = &self.media.tracks[number].tags;
        if let Some(language) = tags.get::<gst::tags::LanguageCode>() {
            let tags = make("taginject")?;
            tags.set_property("tags", format!("language-code={}", language.get()));
            add(self.pipeline.gst(), &tags)?;
            video.link(&pad(&tags, "sink")?)?;
            video = pad(&tags, "src")?;
        }
        let pad = self.muxer.link_video(&video, &how)?;
        self.watch(number, &Action::Translate, None, pad, AudioObservations::default());
        Ok(())
    }

    fn link_track(&mut self, number: usize, action: &Action, source: &gst::Pad) -> Result<()> {
        let (container, track) = (self.muxer.container, &self.media.tracks[number]);
        let queue = wide_queue()?;
        queue.set_property("name", track_name(number) + "queue");
        add(self.pipeline.gst(), &queue)?;
        let start = pad(&queue, "sink")?;
        let is_even = track.is_audio() && track.kind() != VORBIS;
        let laced = track.entry.as_ref().filter(|entry| entry.is_laced && is_even);
        if let Some(entry) = laced.filter(|_| matches!(action, Action::Copy(_))) {
            laced_times::complete(&start, entry.delays()[0], self.media.duration);
        }
        place(&start, self.window_of(track, action));
        source.link(&start)?;
        let queued = pad(&queue, "src")?;
        let audio = AudioObservations::default();
        if track.is_audio() {
            let is_copied = matches!(action, Action::Copy(_));
            // `matroskamux` of GStreamer 1.26 accepts the change but only writes the initial format.
            audio.watch_form(&queue, is_copied && container != Container::Ts)?;
            // `avidemux` of GStreamer 1.22 halves the times of mono ADPCM. Encoders count its samples instead.
            if track.kind() != "audio/x-adpcm" {
                audio.gaps.watch(&start);
            }
        }
        let end = match action {
            Action::Copy(how) => self.muxer.link(&queued, how)?,
            Action::Encode(encoder) => {
                let branch = branch::audio(encoder, self.muxer, track)?;
                let how = self.muxer.require(&branch.caps, "use another --container")?;
                self.link_branch(number, &queued, &branch, &how)?
            }
            Action::PlainText(how) => {
                let branch = branch::plain_text(track, container)?;
                self.link_branch(number, &queued, &branch, how)?
            }
            Action::Translate | Action::Drop => bail!("is not linked"),
        };
        if container.is_isobmff() && is_text(track.kind()) {
            // Players will hide the time before 0.
            subtitles::begin_at(&end, self.window.lead);
        }
        let is_carried = matches!(action, Action::Copy(how) if how.carrier.is_some());
        let caps = is_carried.then(|| track.caps.clone());
        self.watch(number, action, caps, end, audio);
        Ok(())
    }

    /// The window on the clock of `track`.
    fn window_of(&self, track: &Track, action: &Action) -> Window {
        // Copied sound keeps its delay in Matroska.
        let is_kept = self.muxer.container.is_matroska() && matches!(action, Action::Copy(_));
        let delay = if is_kept { 0 } else { nanoseconds(track.delay()) };
        let priming = nanoseconds(action.priming(track));
        Window { shift: self.window.shift - delay - priming, ..self.window }
    }

    fn link_branch(
        &self,
        number: usize,
        queued: &gst::Pad,
        branch: &Chain,
        how: &MuxPad,
    ) -> Result<gst::Pad> {
        branch.bin.set_property("name", track_name(number) + "branch");
        add(self.pipeline.gst(), branch.bin.upcast_ref())?;
        queued.link(&branch.sink()?)?;
        self.muxer.link(&branch.src()?, how)
    }

    /// Watches a track that is linked to this pad of the muxer; `caps` are its own if the muxer gets it as a track of
    /// another codec.
    fn watch(
        &mut self,
        number: usize,
        action: &Action,
        caps: Option<gst::Caps>,
        pad: gst::Pad,
        audio: AudioObservations,
    ) {
        let passed = self.pipeline.progress.tally("packets written");
        passed.watch(&pad);
        let linked = LinkedTrack { number, action: action.clone(), caps, pad, passed, audio };
        self.observations.linked.push(linked);
    }
}
