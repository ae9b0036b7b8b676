// SPDX-License-Identifier: MIT OR Apache-2.0

//! Translates and encodes a segment of a video, or the whole video, into a playable file.

pub mod packets;
pub mod plan;
pub mod source;
pub mod video;

use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use gst::prelude::*;

use self::packets::Packets;
use crate::{
    container::Container,
    encoding::{Encoding, segment_container},
    protocol::{Say, Setup, Span, note, note_all},
    text::counted,
    worker::{
        elements::chain::Chain,
        mux::{check::LONG_FRAME, muxer::Muxer},
        pads::{
            clip,
            frame_times::{FrameTimes, frame_duration},
            gaps::Gaps,
            tally::Tally,
        },
        pipeline::{
            Pipeline, TRANSLATED, decoder_errors,
            fault::{CutFault, NOTHING_DECODED},
        },
        probe::Media,
    },
};

/// The translation of a segment.
pub struct Job<'a> {
    pub setup: &'a Setup,
    pub input: &'a Path,
    pub output: &'a Path,
    /// The container of the final output.
    pub container: Container,
    pub span: &'a Span,
}

impl Job<'_> {
    /// Translates the segment; returns its number of frames and the first timestamp.
    pub fn run(&self, say: Say) -> Result<(u64, u64)> {
        let media = Media::probe(self.input)?;
        let main = media.main_track()?;
        let encoding = main.encoding(&self.setup.recipe, self.container, self.setup.threads);
        let chain = video::chain(self.setup, &encoding, main)?;
        let pipeline = Pipeline::new();
        let read = Packets::new(&pipeline, self.span);
        let decoded = pipeline.tally("frames decoded");
        let translated = pipeline.tally(TRANSLATED);
        let encoded = pipeline.tally("frames encoded");
        let start = chain.pad("begin", "sink")?;
        let times = FrameTimes::default();
        clip::cut(&start, self.span, times.clone());
        decoded.watch(&start);
        decoder_errors::stop_at_end(&start);
        if self.span.seek.is_some_and(|time| time > 0) {
            decoder_errors::clear_at(&start);
        }
        let gaps = Gaps::default();
        gaps.watch_frames(&start);
        let losses = video::Losses::watch(&chain)?;
        clip::count(&chain.pad("filter", "src")?, self.span, translated.clone());
        self.write(&pipeline, &chain, main.size(), &encoded)?;
        read.watch(&pipeline, &main.id);
        // A seek must reach all elements, and these exist only when the first frame leaves the decoder.
        let kinds = gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER;
        let hold = start.add_probe(kinds, |_, _| gst::PadProbeReturn::Ok);
        let hold = hold.context("the decoder cannot be held back")?;
        let from = gst::ClockTime::from_nseconds(self.span.seek.unwrap_or(0));
        source::open(pipeline.gst(), self.input, &media, from, chain.sink()?)?;
        decoder_errors::clear();
        pipeline.play()?;
        let has_ended = || start.pad_flags().contains(gst::PadFlags::EOS);
        pipeline.wait_until(|| start.is_blocking() || has_ended())?;
        ensure!(start.is_blocking(), NOTHING_DECODED);
        if let Some(time) = self.span.seek.filter(|&time| time > 0 && media.own.is_none()) {
            read.reset();
            seek(&start, time)?;
        }
        start.remove_probe(hold);
        let run = pipeline.run(Some((&translated, self.span.frames)), say);
        run.map_err(|error| video::explain(error, &chain, &encoding))?;
        times.check()?;
        let frames = self.check(&encoding, &read, &translated, &encoded, say)?;
        let of_format = !media.is_animation();
        note_all(say, losses.get(&chain, &self.setup.recipe, &encoding, of_format));
        // Frames that a camera dropped have time, but no data.
        let shown = decoded.get().end / frame_duration(&start).nseconds().max(1);
        let found = read.get().max(shown);
        note_all(say, self.notices(&media, &encoding, &gaps, found));
        note_all(say, times.notices());
        let first = translated.get().first.unwrap_or(0);
        Ok((frames, clip::origin(self.span).nseconds() + first))
    }

    /// Notes about gaps and long frames, and about missing frames if `found` were found.
    fn notices(&self, media: &Media, encoding: &Encoding, gaps: &Gaps, found: u64) -> Vec<String> {
        let mut notices: Vec<String> =
            gaps.notice("the video").filter(|_| media.is_contiguous()).into_iter().collect();
        // Some programs count a frame that is shown for longer several times.
        let stated = media.stated_frames;
        if *self.span == Span::default() && stated > found + found / 20 + 2 {
            notices.push(format!("is damaged: only {found} of {stated} frames are found"));
        }
        let is_bare = media.container.is_none() && *self.span == Span::default();
        notices.extend(decoder_errors::notice(is_bare, decoder_errors::FRAMES));
        let files = segment_container(&self.setup.recipe, self.container);
        if files == Container::Ts && gaps.longest() > LONG_FRAME {
            notices.push(format!(
                "has frames that are shown for more than half a second; {} in {} does not keep their times",
                encoding.encoder_name(),
                self.container.name()
            ));
        }
        notices
    }

    /// Writes the output of `chain`, frames of this width and height, to the segment's file.
    fn write(
        &self,
        pipeline: &Pipeline,
        chain: &Chain,
        size: Option<(i32, i32)>,
        encoded: &Tally,
    ) -> Result<()> {
        let whole = Muxer::new(self.container)?;
        whole.require(&chain.caps, "use another --container")?;
        if let Some((width, height)) = size {
            ensure!(
                whole.takes_size(&chain.caps, width, height),
                "has frames of {width}×{height} pixels, which {} cannot hold; use --container mkv",
                self.container.name()
            );
        }
        let muxer = Muxer::new(segment_container(&self.setup.recipe, self.container))?;
        let how = muxer.pad_for(&chain.caps).context("no segment container can hold the video")?;
        let mux = muxer.element();
        if mux.has_property("timecodescale") && self.container != Container::Mkv {
            // Microseconds, because milliseconds are too coarse for other containers than Matroska.
            mux.set_property("timecodescale", 1000i64);
        }
        pipeline.gst().add(&chain.bin)?;
        pipeline.write_file(mux, self.output)?;
        let sink = muxer.link_video(&chain.src()?, &how)?;
        encoded.watch(&sink);
        Ok(())
    }

    /// Fails if frames are lost after the decoder; notes what the decoder loses.
    fn check(
        &self,
        encoding: &Encoding,
        read: &Packets,
        translated: &Tally,
        encoded: &Tally,
        say: Say,
    ) -> Result<u64> {
        let frames = translated.get().packets;
        encoding.check(encoded.get(), translated.get())?;
        let packets = read.get();
        if let Some(expected) = self.span.frames.filter(|&expected| expected != frames) {
            // If the decoder received all packets, the missing frames are damaged.
            let is_damage = frames < expected && packets >= expected;
            ensure!(
                is_damage,
                CutFault(format!("a segment has {frames} frames, expected {expected}"))
            );
        }
        ensure!(frames > 0 || self.span.frames.is_some(), anyhow!(NOTHING_DECODED));
        ensure!(frames > 0, CutFault("a segment has no frames that can be decoded".to_owned()));
        // If the number of frames is known, there is no packet too many.
        let may_lack = u64::from(self.span.frames.is_none_or(|expected| expected == frames));
        if let Some(text) = read.missing(frames, may_lack) {
            note(say, text);
        } else if read.gaps() > 0 && 2 * read.gaps() < packets {
            // Some demuxers mark every packet.
            note(say, format!("has {} in its data", counted(read.gaps(), "gap")));
        }
        Ok(frames)
    }
}

/// Seeks to the key frame at or before `time`, from the pad `decoded`.
fn seek(decoded: &gst::Pad, time: u64) -> Result<()> {
    let seek = gst::event::Seek::new(
        1.0,
        gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE,
        gst::SeekType::Set,
        gst::ClockTime::from_nseconds(time),
        gst::SeekType::None,
        gst::ClockTime::NONE,
    );
    ensure!(decoded.push_event(seek), CutFault("it is not seekable".to_owned()));
    Ok(())
}
