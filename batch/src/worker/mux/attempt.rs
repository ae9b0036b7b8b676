// SPDX-License-Identifier: MIT OR Apache-2.0

//! An attempt to write an output, with a certain action for each track.

use std::{fs, path::PathBuf, sync::mpsc};

use anyhow::{Context, Result};
use gst::prelude::*;

use super::{
    Mux, check,
    links::Links,
    mapping::Action,
    observations::Observations,
    reader::{self, Additions},
    written::Written,
};
use crate::{
    protocol::{Say, Segment, send_notices},
    worker::{
        containers::chapters,
        hdr,
        muxer::Muxer,
        pads::window::{Window, nanoseconds, time_at},
        pipeline::{Pipeline, fault::CutFault},
        probe::{
            Media,
            demux::{Tracks, demux},
        },
    },
};

pub struct Attempt<'a> {
    pub mux: &'a Mux<'a>,
    pub media: &'a Media,
    /// What to do with each track of `media`.
    pub actions: &'a [Action],
    /// The part of `media` that goes into the output.
    pub window: Window,
}

impl Attempt<'_> {
    /// Writes the output and checks it; returns the frames of its video.
    pub fn run(&self, say: Say) -> Result<u64> {
        let Mux { setup, output, .. } = self.mux;
        let written = self.write(say)?;
        let frames = written.video().packets;
        self.mux.check_frames(frames)?;
        self.complete(&written.tracks)?;
        let is_whole = !self.mux.is_part();
        let probed = check::check(output, self.media, &written, is_whole, say)?;
        if setup.verify {
            check::verify(output, &probed, frames, say)?;
        }
        Ok(frames)
    }

    fn write(&self, say: Say) -> Result<Written> {
        // The output of an earlier attempt.
        let _ = fs::remove_file(self.mux.output);
        let pipeline = Pipeline::default();
        let muxer = Muxer::new(self.mux.container)?;
        self.prepare(&muxer.element);
        pipeline.write_fast_start_file(&muxer.element, self.mux.output)?;
        let (sender, faults) = mpsc::channel();
        let video = self.video(sender)?;
        let video_caps = self.video_caps()?;
        pipeline.gst().add(&video)?;
        // Starts when all tracks are linked: the muxer accepts no more after that.
        video.set_locked_state(true);
        let mut links = Links {
            media: self.media,
            actions: self.actions,
            window: self.window,
            pipeline: &pipeline,
            muxer: &muxer,
            observations: Observations::default(),
        };
        let tracks = self.tracks(&pipeline)?;
        links.link_all(tracks.iter().flat_map(|tracks| &tracks.sources), &video, &video_caps)?;
        let observations = links.observations;
        drop(tracks);
        let run = pipeline.run(None, say);
        if let Ok(fault) = faults.try_recv() {
            return Err(fault);
        }
        // Also after a failed attempt: the next one may decode the track, which gives it other times.
        send_notices(say, observations.notices());
        run.map_err(|error| observations.explain(error))?;
        Ok(observations.written())
    }

    /// Gives the muxer `mux` tags and chapters.
    fn prepare(&self, mux: &gst::Element) {
        if let Some(setter) = mux.dynamic_cast_ref::<gst::TagSetter>() {
            setter.merge_tags(&self.tags_for_muxer(), gst::TagMergeMode::Append);
        }
        self.make_room(mux);
        if let Some(setter) = mux.dynamic_cast_ref::<gst::TocSetter>() {
            setter.set_toc(self.toc().as_ref());
        }
    }

    /// The chapters that the muxer writes.
    fn toc(&self) -> Option<gst::Toc> {
        let toc = self.media.toc.as_ref()?;
        let Window { start, stop, .. } = self.window;
        let shift = self.window.lead;
        if !self.mux.is_part() && shift.is_zero() {
            return Some(toc.clone());
        }
        // `--end` may be after the end of the file.
        let end = stop.into_iter().chain(self.media.duration).min();
        let mut chapters = chapters::within(toc, start..end.unwrap_or(gst::ClockTime::MAX));
        // What comes before 0 belongs to the first chapter.
        let later = chapters.iter_mut().filter(|chapter| !chapter.start.is_zero());
        later.for_each(|chapter| chapter.start += shift);
        chapters::table(&chapters, end.unwrap_or(start).saturating_sub(start) + shift)
    }

    /// The tags that the muxer writes.
    fn tags_for_muxer(&self) -> gst::TagList {
        let container = self.mux.container;
        if self.media.user_data(container).is_some() {
            return gst::TagList::new();
        }
        let mut tags = self.media.global_tags();
        if container.is_matroska() {
            // The other tags are written later; cover art becomes an attachment.
            let names: Vec<_> = tags.iter().map(|(name, _)| name.to_owned()).collect();
            let others =
                names.iter().filter(|name| !["image", "preview-image"].contains(&&***name));
            others.for_each(|name| tags.make_mut().remove_generic(name));
        }
        if container.is_isobmff() {
            // `qtmux` of GStreamer 1.22 writes these numbers as text.
            let numbers = ["show-season-number", "show-episode-number"];
            numbers.iter().for_each(|name| tags.make_mut().remove_generic(*name));
        }
        tags
    }

    /// The source of the translated video; `faults` gets its errors.
    fn video(&self, faults: mpsc::Sender<anyhow::Error>) -> Result<gst::Element> {
        let (media, container) = (self.media, self.mux.container);
        let main = media.main_track()?;
        let encoding = main.encoding(&self.mux.setup.recipe, container, 1);
        let additions = Additions {
            metadata: hdr::metadata(&main.caps, &encoding),
            timecode: media.timecode.as_ref().and_then(|code| code.after(self.window.start)),
            durations: container.is_isobmff(),
        };
        Ok(reader::source(self.placed_segments(), additions, faults))
    }

    /// The files of the segments, and the time of each on the clock of the output.
    fn placed_segments(&self) -> Vec<(PathBuf, gst::ClockTime)> {
        let place = |Segment { file, first, .. }: &Segment| {
            let start = nanoseconds(*first) - nanoseconds(self.window.start) + self.window.shift;
            // Rounding may put the first frame a little before the window.
            (file.into(), time_at(start).unwrap_or_default())
        };
        self.mux.segments.iter().map(place).collect()
    }

    /// What the video is encoded as.
    fn video_caps(&self) -> Result<gst::Caps> {
        let first = self.mux.segments.first().context("no segments")?;
        let segment = Media::probe(first.file.as_ref());
        let segment = segment.map_err(|error| CutFault(format!("a segment: {error:#}")))?;
        Ok(segment.main_track()?.caps.clone())
    }

    /// The tracks of the input in `pipeline`; `None` for what this program decodes itself, which has no other tracks.
    fn tracks(&self, pipeline: &Pipeline) -> Result<Option<Tracks>> {
        if self.media.builtin.is_some() {
            return Ok(None);
        }
        let encoded = self.media.tracks.iter().zip(self.actions);
        let encoded = encoded.filter(|(_, action)| matches!(action, Action::Encode(_)));
        let encoded: Vec<String> = encoded.map(|(track, _)| track.id.clone()).collect();
        let is_encoded = move |id: &str, _: &gst::Caps| encoded.iter().any(|known| known == id);
        demux(pipeline, self.mux.input, &self.media.repairs, is_encoded).map(Some)
    }
}
