// SPDX-License-Identifier: MIT OR Apache-2.0

//! The output: the translated segments as its video, and the other tracks of the input.
//!
//! The video is not encoded here, so this takes seconds. It is repeated if a container refuses a track: that track is
//! re-encoded or left out, but the video is never lost.

pub mod branch;
pub mod check;
pub mod completion;
pub mod links;
pub mod mapping;
pub mod muxer;
pub mod reader;
pub mod subtitles;

use std::{
    io,
    path::{Path, PathBuf},
    sync::mpsc,
};

use anyhow::{Context, Result, anyhow, bail};
use gst::prelude::*;

use self::{
    check::Promise,
    completion::Completion,
    links::{Links, Observations},
    mapping::{Action, Mapping},
    muxer::Muxer,
    reader::Additions,
};
use crate::{
    container::Container,
    protocol::{Say, Segment, Setup, Span, note_all},
    worker::{
        containers::{chapters, matroska},
        pads::clip::Window,
        pipeline::{
            Pipeline,
            fault::{CutFault, OutsideFault, TrackFault},
        },
        probe::{Media, Track, demux::demux, hdr, scan},
    },
};

/// The segments of a file, and their output.
pub struct Mux<'a> {
    pub setup: &'a Setup,
    pub input: &'a Path,
    /// Where the output is written.
    pub output: &'a Path,
    pub container: Container,
    /// The translated video.
    pub segments: &'a [Segment],
}

impl Mux<'_> {
    /// Writes the output and checks it; returns the frames of its video.
    pub fn run(&self, say: Say) -> Result<u64> {
        let media = Media::probe(self.input)?;
        let mut refused = Vec::new();
        let window = self.window(&media)?;
        if media.is_matroska() {
            note_all(say, matroska::damage(self.input));
        }
        loop {
            let mapping =
                Mapping::new(&media, &Muxer::new(self.container)?, &self.setup.recipe, &refused);
            let written = self.write(&media, &mapping, window, say);
            let written = written.and_then(|(promises, dropped_end)| {
                self.check_video(&promises)?;
                Completion { container: self.container, media: &media, window }
                    .complete(self.output, &promises)?;
                let dropped_end = Some(dropped_end).filter(|_| !self.is_part());
                let written = check::check(self.output, &media, &promises, dropped_end, say)?;
                if self.setup.verify {
                    check::verify(self.output, &written, &promises, say)?;
                }
                Ok(promises)
            });
            match written {
                Ok(promises) => {
                    note_all(say, mapping.notices);
                    let video = promises.iter().find(|promise| promise.is_video);
                    return Ok(video.map_or(0, |video| video.passed.packets));
                }
                Err(error) => {
                    let codecs: Vec<&str> = media.tracks.iter().map(Track::codec).collect();
                    let more = to_change(&error, &mapping.actions, &codecs);
                    if more.is_empty() {
                        return Err(error);
                    }
                    let cause = match error.downcast_ref::<TrackFault>() {
                        Some(fault) => fault.cause.clone(),
                        None => format!("{error:#}"),
                    };
                    refused.extend(more.into_iter().map(|track| (track, cause.clone())));
                }
            }
        }
    }

    /// Fails if frames of the segments are lost.
    fn check_video(&self, promises: &[Promise]) -> Result<()> {
        let expected: Option<u64> = self.spans().map(|span| span.frames).sum();
        let video = promises.iter().find(|promise| promise.is_video);
        let written = video.map_or(0, |video| video.passed.packets);
        if let Some(expected) = expected.filter(|&expected| written < expected) {
            let cause = format!("only {written} of {expected} translated frames can be read back");
            bail!(CutFault(cause));
        }
        Ok(())
    }

    /// The part of the input that goes into the output.
    fn window(&self, media: &Media) -> Result<Window> {
        let start = self.spans().next().map_or(0, |span| span.start);
        let stop = self.spans().last().and_then(|span| span.stop);
        let mut window = Window { start, stop, shift: 0 };
        if !self.is_part() && media.own.is_none() {
            let earliest = scan::earliest(self.input, media)?.unwrap_or(0);
            // The timestamps of a stream may start at any time, those of a file start at 0.
            if earliest < 0 || media.is_stream() {
                window.shift = -earliest;
            }
        }
        Ok(window)
    }

    /// Whether the output has only a part of the input.
    fn is_part(&self) -> bool {
        self.spans().next().is_some_and(|span| span.start > 0)
            || self.spans().last().is_some_and(|span| span.stop.is_some())
    }

    fn spans(&self) -> impl Iterator<Item = &Span> {
        self.segments.iter().map(|segment| &segment.span)
    }

    /// Writes the output. Also returns the end of the tracks that are left out, nanoseconds.
    fn write(
        &self,
        media: &Media,
        mapping: &Mapping,
        window: Window,
        say: Say,
    ) -> Result<(Vec<Promise>, u64)> {
        // The output of an earlier attempt.
        let _ = std::fs::remove_file(self.output);
        let pipeline = Pipeline::new();
        let muxer = Muxer::new(self.container)?;
        self.prepare(&pipeline, &muxer, media, window)?;
        let (sender, faults) = mpsc::channel();
        let video = self.video(media, window, sender.clone())?;
        pipeline.gst().add(&video)?;
        // Starts when all tracks are linked: the muxer accepts no more after that.
        video.set_locked_state(true);
        let links = Links {
            pipeline: pipeline.gst().downgrade(),
            setup: self.setup.clone(),
            muxer,
            video: video.clone(),
            video_caps: self.video_caps()?,
            tracks: media.tracks.clone(),
            actions: mapping.actions.clone(),
            window,
            written: pipeline.tally("packets written"),
            observations: Observations::default(),
        };
        let observations = links.observations.clone();
        self.read_tracks(&pipeline, media, mapping.actions.clone(), links, sender)?;
        let run = pipeline.run(None, say);
        if let Ok(fault) = faults.try_recv() {
            return Err(fault);
        }
        // Also after a failed attempt: the next one may decode the track, which gives it other times.
        note_all(say, observations.notices(&mapping.actions));
        run.map_err(|error| observations.explain(error, &mapping.actions))?;
        Ok((observations.promises(), observations.dropped_end()))
    }

    /// The source of the translated video; `faults` gets its errors.
    fn video(
        &self,
        media: &Media,
        window: Window,
        faults: mpsc::Sender<anyhow::Error>,
    ) -> Result<gst::Element> {
        let main = media.main_track()?;
        let encoding = main.encoding(&self.setup.recipe, self.container, 1);
        let metadata = hdr::metadata(&main.caps, &encoding);
        let timecode = media.timecode.as_ref().and_then(|code| code.after(window.start));
        let durations = self.container.is_isobmff();
        let additions = Additions { metadata, timecode, durations };
        Ok(reader::source(self.placed(window), additions, faults))
    }

    /// Demuxes the input in `pipeline`, and links its tracks when they are known; `faults` gets the error if that fails.
    fn read_tracks(
        &self,
        pipeline: &Pipeline,
        media: &Media,
        actions: Vec<Action>,
        links: Links,
        faults: mpsc::Sender<anyhow::Error>,
    ) -> Result<()> {
        if media.own.is_some() {
            // It has no other tracks.
            return links.link_all(Vec::new());
        }
        let tracks = media.tracks.clone();
        let is_encoded = move |id: &str, _: &gst::Caps| {
            let track = tracks.iter().position(|track| track.id == id);
            track.is_some_and(|track| matches!(actions[track], Action::Encode))
        };
        let link = move |sources| {
            links.link_all(sources).map_err(|error| {
                // The pipeline reports only its text.
                let text = anyhow!("{error:#}");
                let _ = faults.send(error);
                text
            })
        };
        demux(pipeline.gst(), self.input, &media.repairs, is_encoded, link)
    }

    /// What the video is encoded as.
    fn video_caps(&self) -> Result<gst::Caps> {
        let first = self.segments.first().context("no segments")?;
        let segment = Media::probe(first.file.as_ref());
        let segment = segment.map_err(|error| CutFault(format!("a segment: {error:#}")))?;
        Ok(segment.main_track()?.caps.clone())
    }

    /// The files of the segments, and the time of each on the clock of the output.
    fn placed(&self, window: Window) -> Vec<(PathBuf, gst::ClockTime)> {
        let place = |Segment { file, span }: &Segment| {
            let first = span.first.unwrap_or(span.start);
            let start = i128::from(first - window.start) + window.shift;
            let start = u64::try_from(start).unwrap_or(span.start);
            (file.into(), gst::ClockTime::from_nseconds(start))
        };
        self.segments.iter().map(place).collect()
    }

    /// The tags that the muxer writes.
    fn tags_for_muxer(&self, media: &Media) -> gst::TagList {
        if media.user_data(self.container).is_some() {
            return gst::TagList::new();
        }
        let mut tags = media.global_tags();
        if self.container.is_matroska() {
            // The other tags are written later; cover art becomes an attachment.
            let names: Vec<_> = tags.iter().map(|(name, _)| name.to_owned()).collect();
            let others =
                names.iter().filter(|name| !["image", "preview-image"].contains(&&***name));
            others.for_each(|name| tags.make_mut().remove_generic(name));
        }
        tags
    }

    fn prepare(
        &self,
        pipeline: &Pipeline,
        muxer: &Muxer,
        media: &Media,
        window: Window,
    ) -> Result<()> {
        let mux = muxer.element();
        if let Some(setter) = mux.dynamic_cast_ref::<gst::TagSetter>() {
            setter.merge_tags(&self.tags_for_muxer(media), gst::TagMergeMode::Append);
        }
        Completion { container: self.container, media, window }.make_room(mux);
        if let (Some(setter), Some(toc)) = (mux.dynamic_cast_ref::<gst::TocSetter>(), &media.toc) {
            let end = media.duration.unwrap_or_default().nseconds();
            let range = window.start..window.stop.unwrap_or(end);
            let length = range.end.saturating_sub(range.start);
            match self.is_part() {
                false => setter.set_toc(Some(toc)),
                true => {
                    setter.set_toc(chapters::table(&chapters::within(toc, range), length).as_ref())
                }
            }
        }
        pipeline.write_fast_start_file(mux, self.output)
    }
}

/// The tracks that the next attempt handles differently: the one that the error is about, else the copied tracks whose
/// codec it names, else all copied tracks, else everything but the video.
fn to_change(error: &anyhow::Error, actions: &[Action], codecs: &[&str]) -> Vec<usize> {
    if let Some(fault) = error.downcast_ref::<TrackFault>() {
        let is_open = |action: &Action| !matches!(action, Action::Translate | Action::Drop);
        return match actions.get(fault.track) {
            // Refused subtitles have no alternative.
            Some(action) if is_open(action) => vec![fault.track],
            _ => Vec::new(),
        };
    }
    let is_of_tracks = !(error.is::<CutFault>()
        || error.is::<OutsideFault>()
        || error.chain().any(|cause| cause.is::<io::Error>()));
    let all = |is_such: fn(&Action) -> bool| -> Vec<usize> {
        let actions = actions.iter().enumerate().filter(|_| is_of_tracks);
        actions.filter(|(_, action)| is_such(action)).map(|(i, _)| i).collect()
    };
    let mut copied = all(|action| matches!(action, Action::Copy(_)));
    let text = format!("{error:#}").to_lowercase();
    let is_named = |codec: &str| text.split(|c: char| !c.is_alphanumeric()).any(|w| w == codec);
    if copied.iter().any(|&track| is_named(codecs[track])) {
        copied.retain(|&track| is_named(codecs[track]));
    }
    match copied.is_empty() {
        false => copied,
        true => all(|action| matches!(action, Action::Encode | Action::PlainText(_))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::pipeline::fault::{NO_SPACE, explain};

    #[test]
    fn tracks_change_only_for_errors_of_tracks() {
        gst::init().unwrap();
        let actions = [Action::Translate, Action::Encode, Action::Drop];
        let change = |error| to_change(&error, &actions, &["h264", "flac", "opus"]);
        let of_pipeline = |message: gst::Message| match message.view() {
            gst::MessageView::Error(error) => explain(error, &[]),
            _ => panic!("{message:?}"),
        };
        let refused =
            gst::message::Error::new(gst::StreamError::Mux, "Could not multiplex stream.");
        assert_eq!(change(of_pipeline(refused)), [1]);
        assert_eq!(change(TrackFault { track: 1, cause: "is missing".to_owned() }.into()), [1]);
        let copied = || Muxer::new(Container::Mkv).unwrap().pad_for_codec(&gst::Caps::new_any());
        let copies =
            [Action::Translate, Action::Copy(copied().unwrap()), Action::Copy(copied().unwrap())];
        let changed =
            |cause: &'static str| to_change(&anyhow!(cause), &copies, &["h264", "flac", "opus"]);
        assert_eq!(changed("Could not multiplex stream. (flac stream headers missing)"), [1]);
        assert_eq!(changed("Could not multiplex stream."), [1, 2]);
        let lost = gst::message::Error::new(gst::ResourceError::Read, "Error while reading");
        let io = io::Error::other("Stale file handle");
        let full = gst::message::Error::builder(gst::StreamError::Failed, "Could not write")
            .debug("\nNo space left on device")
            .build();
        assert_eq!(of_pipeline(full.clone()).to_string(), NO_SPACE);
        for outside in [
            of_pipeline(lost),
            of_pipeline(full),
            anyhow!(OutsideFault("stalls".to_owned())).context("the output cannot be read back"),
            anyhow!(io).context("the output cannot be completed"),
            CutFault("only 2 of 3 frames".to_owned()).into(),
        ] {
            let cause = format!("{outside:#}");
            assert_eq!(change(outside), [0; 0], "{cause}");
        }
    }
}
