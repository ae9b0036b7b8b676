// SPDX-License-Identifier: MIT OR Apache-2.0

//! A whole file: its video translated, or put together from translated pieces, and everything else
//! taken along.

use std::{
    ffi::OsString,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result, ensure};
use gst::prelude::*;

use super::{
    branch::Branch,
    fault, join, keyframes,
    look::{Media, look},
    muxer::{Muxer, add, discard, file_sink, pad},
    playing::Playing,
    protocol::{Reply, Setup, Span},
    source::{Track, take_apart},
    tracks::{self, Fate, fates},
};
use crate::container::Container;

/// Containers in which GStreamer finds a key frame exactly.
const SEEKABLE: [&str; 3] = ["video/quicktime", "video/x-matroska", "video/webm"];

/// A file on its way into another.
pub struct Translation<'a> {
    /// How it is translated.
    pub setup: &'a Setup,
    /// The file.
    pub input: &'a Path,
    /// Where it goes.
    pub output: &'a Path,
    /// The container there.
    pub container: Container,
}

/// What has become of a video.
pub enum Outcome {
    /// It is translated, so many frames.
    Whole(u64),
    /// It is not translated, but long enough for these pieces.
    Cut(Vec<Span>),
}

impl Translation<'_> {
    /// Translates the file, or cuts it if it is long and `may_cut`.
    pub fn run(
        &self,
        may_cut: bool,
        smoothing: f64,
        say: &mut dyn FnMut(Reply),
    ) -> Result<Outcome> {
        let media = self.look(say)?;
        if may_cut && self.is_long(&media) {
            let frames = keyframes::scan(self.input, say)?;
            let spans = keyframes::spans(&frames, self.setup.piece, keyframes::lead_in(smoothing));
            if spans.len() > 1 {
                return Ok(Outcome::Cut(spans));
            }
        }
        let playing = Playing::new();
        let video = Branch::video(self.setup, self.container, None, playing.frames.clone())?;
        let ends = self.assemble(&playing, video.bin, video.caps, true)?;
        let frames = playing.run(expected_frames(&media), say)?;
        ensure!(frames > 0, "has a video track without frames");
        check_end(&media, &ends)?;
        Ok(Outcome::Whole(frames))
    }

    /// Puts translated `pieces` together.
    pub fn join(&self, pieces: &[OsString], say: &mut dyn FnMut(Reply)) -> Result<()> {
        let media = look(self.input, self.container)?;
        let playing = Playing::new();
        let setup = self.setup;
        let encoded = Branch::video(setup, self.container, None, Arc::default())?.caps;
        let joined = join::pieces(pieces)?;
        if let Some(end) = joined.static_pad("src") {
            playing.watch()(&end);
        }
        let ends = self.assemble(&playing, joined, encoded, false)?;
        playing.run(None, say).map_err(|error| match error.to_string() {
            text if text == fault::NO_SPACE => error,
            // Pieces that do not fit together; a single one does.
            text => fault::CutFault(text).into(),
        })?;
        check_end(&media, &ends)
    }

    /// Looks into the file and tells what a user should know of it.
    fn look(&self, say: &mut dyn FnMut(Reply)) -> Result<Media> {
        let muxer = Muxer::new(self.container)?;
        let media = look(self.input, self.container)?;
        let named = Container::of_name(self.input);
        if let (Some(named), Some(found)) = (named, &media.container)
            && !named.is_inside(tracks::media_type(found))
        {
            let found = tracks::name_of(found);
            let text = format!("is {found}, although it is named {}", named.extension());
            say(Reply::Notice { text });
        }
        for text in fates(&media.tracks, &muxer).1 {
            say(Reply::Notice { text });
        }
        Ok(media)
    }

    fn is_long(&self, media: &Media) -> bool {
        let is_seekable = media
            .container
            .as_ref()
            .is_some_and(|caps| SEEKABLE.contains(&tracks::media_type(caps)));
        let length = media.duration.map_or(0, |duration| duration.nseconds());
        let piece = self.setup.piece;
        is_seekable && piece > 0 && length > 2 * piece
    }

    /// Links the pipeline as soon as the tracks are known. The video goes through `video`, whose
    /// output is `encoded`, or with `takes_video` false comes from there. Returns where the tracks end.
    fn assemble(
        &self,
        playing: &Playing,
        video: gst::Element,
        encoded: gst::Caps,
        takes_video: bool,
    ) -> Result<Arc<AtomicU64>> {
        let pipeline = playing.pipeline();
        let muxer = Muxer::new(self.container)?;
        self.write_to_file(pipeline, muxer.element())?;
        let ends = Arc::<AtomicU64>::default();
        let links = Links {
            pipeline: pipeline.downgrade(),
            setup: self.setup.clone(),
            muxer,
            video,
            encoded,
            takes_video,
            ends: ends.clone(),
        };
        take_apart(pipeline, self.input, Some(self.container), move |tracks| {
            links.link_all(tracks)
        })?;
        Ok(ends)
    }

    fn write_to_file(&self, pipeline: &gst::Pipeline, mux: &gst::Element) -> Result<()> {
        let file = file_sink(self.output)?;
        if mux.has_property("faststart") {
            // The index in front, so that a browser plays before it has all; not by way of /tmp.
            mux.set_property("faststart", true);
            mux.set_property("faststart-file", self.output.with_added_extension("faststart"));
        }
        pipeline.add_many([mux, &file])?;
        mux.link(&file)?;
        Ok(())
    }
}

/// What is linked when the tracks are known.
struct Links {
    pipeline: gst::glib::WeakRef<gst::Pipeline>,
    setup: Setup,
    muxer: Muxer,
    video: gst::Element,
    encoded: gst::Caps,
    takes_video: bool,
    ends: Arc<AtomicU64>,
}

impl Links {
    fn link_all(&self, tracks: &[Track]) -> Result<()> {
        let pipeline = self.pipeline.upgrade().context("the pipeline is gone")?;
        let caps: Vec<_> = tracks.iter().map(|track| track.caps.clone()).collect();
        let (fates, _) = fates(&caps, &self.muxer);
        for (track, fate) in tracks.iter().zip(&fates) {
            watch_end(&track.pad, self.ends.clone());
            self.link(&pipeline, &track.pad, &track.caps, fate)?;
        }
        // Last, for joined pieces begin to flow at once, and then the muxer takes no more tracks.
        Ok(self.video.sync_state_with_parent()?)
    }

    fn link(
        &self,
        pipeline: &gst::Pipeline,
        track: &gst::Pad,
        caps: &gst::Caps,
        fate: &Fate,
    ) -> Result<()> {
        let container = self.muxer.container;
        match fate {
            Fate::Translate => {
                let way = self.muxer.way_in(&self.encoded);
                let way = way.with_context(|| {
                    let codec = tracks::name_of(&self.encoded);
                    format!("{} cannot hold {codec}; give another --container", container.name())
                })?;
                pipeline.add(&self.video)?;
                if self.takes_video {
                    track.link(&pad(&self.video, "sink")?)?;
                } else {
                    discard(pipeline, track)?;
                }
                self.muxer.link(pipeline, &pad(&self.video, "src")?, &way)
            }
            Fate::Keep(way) => self.muxer.link(pipeline, track, way),
            Fate::Encode => {
                let branch = Branch::audio(&self.setup, container)?;
                let way = self.muxer.way_in(&branch.caps);
                let way = way.with_context(|| {
                    let codec = tracks::name_of(&branch.caps);
                    format!(
                        "{} cannot hold {codec}; give another --audio-encoder",
                        container.name()
                    )
                })?;
                self.link_through(pipeline, track, &branch.bin, &way)
            }
            Fate::PlainText(way) => {
                let branch = Branch::plain_text(tracks::media_type(caps), container)?;
                self.link_through(pipeline, track, &branch.bin, way)
            }
            Fate::Leave => discard(pipeline, track),
        }
    }

    fn link_through(
        &self,
        pipeline: &gst::Pipeline,
        track: &gst::Pad,
        branch: &gst::Element,
        way: &super::muxer::WayIn,
    ) -> Result<()> {
        add(pipeline, branch)?;
        track.link(&pad(branch, "sink")?)?;
        self.muxer.link(pipeline, &pad(branch, "src")?, way)
    }
}

/// Keeps in `end` the latest stream time that `track` comes to, in nanoseconds.
fn watch_end(track: &gst::Pad, end: Arc<AtomicU64>) {
    track.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let segment = pad.sticky_event::<gst::event::Segment>(0);
        let time = segment.zip(info.buffer()).and_then(|(segment, buffer)| {
            let segment = segment.segment().downcast_ref::<gst::ClockTime>()?;
            let time = segment.to_stream_time(buffer.pts()?)?;
            Some(time + buffer.duration().unwrap_or_default())
        });
        end.fetch_max(time.map_or(0, |time| time.nseconds()), Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
}

/// Fails if the tracks end long before the file says that they do.
fn check_end(media: &Media, end: &AtomicU64) -> Result<()> {
    let end = gst::ClockTime::from_nseconds(end.load(Ordering::Relaxed));
    let Some(duration) = media.duration.filter(|_| !end.is_zero()) else {
        return Ok(());
    };
    let tolerance = (duration / 50).max(gst::ClockTime::from_mseconds(500));
    ensure!(
        end + tolerance >= duration,
        "is truncated: ends after {:.1} s of {:.1} s",
        end.seconds_f64(),
        duration.seconds_f64()
    );
    Ok(())
}

fn expected_frames(media: &Media) -> Option<u64> {
    let caps = &media.tracks[tracks::main_video(&media.tracks)?];
    let rate = caps.structure(0)?.get::<gst::Fraction>("framerate").ok()?;
    let seconds = media.duration?.seconds_f64();
    let frames = seconds * f64::from(rate.numer()) / f64::from(rate.denom());
    Some(frames.round() as u64).filter(|&frames| frames > 0)
}
