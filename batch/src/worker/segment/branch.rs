// SPDX-License-Identifier: MIT OR Apache-2.0

//! The branch of a pipeline in which the frames of a video are translated and encoded. It counts them, so that losses are
//! noticed.

use anyhow::{Context, Result, ensure};
use gst::prelude::*;

use super::{packets::Packets, video};
use crate::{
    container::Container,
    encoding::Encoding,
    protocol::{Say, Setup, Span, send_notice, send_notices},
    text::counted,
    worker::{
        elements::chain::Chain,
        pads::{
            clip,
            frame_times::{FrameTimes, frame_duration},
            gaps::Gaps,
            tally::{PacketStats, Tally},
        },
        pipeline::{
            Pipeline, decoder_errors,
            fault::{CutFault, NOTHING_DECODED},
        },
        probe::Media,
    },
};

/// How much longer or shorter an encoder may make a video.
const MOST_SHIFT: gst::ClockTime = gst::ClockTime::from_mseconds(500);

/// The translation of the main video of `media`, or of a part of it.
pub struct Branch<'a> {
    pub setup: &'a Setup,
    pub media: &'a Media,
    pub span: &'a Span,
    /// The container of the final output.
    pub container: Container,
    /// Whether the output has timestamps.
    pub is_timed: bool,
}

/// What a branch has output.
pub struct Translated {
    pub frames: PacketStats,
    pub encoding: Encoding,
}

/// Counts at the points of a branch.
struct Counts {
    packets: Packets,
    decoded: Tally,
    translated: Tally,
    encoded: Tally,
}

impl Branch<'_> {
    /// Translates the frames that `read` links to a pad; it returns their number, if it is known. `write` links the output.
    pub fn run(
        &self,
        write: impl FnOnce(&Pipeline, &Chain) -> Result<()>,
        read: impl FnOnce(&Pipeline, gst::Pad) -> Result<Option<u64>>,
        say: Say,
    ) -> Result<Translated> {
        let (setup, track) = (self.setup, self.media.main_track()?);
        let encoding = track.encoding(&setup.recipe, self.container, setup.threads);
        let chain = video::chain(setup, &encoding, track)?;
        let pipeline = Pipeline::default();
        let counts = Counts {
            packets: Packets::new(&pipeline, self.span),
            decoded: pipeline.progress.tally("frames decoded"),
            translated: pipeline.progress.tally("frames translated"),
            encoded: pipeline.progress.tally("frames encoded"),
        };
        let start = chain.pad("begin", "sink")?;
        let (times, gaps) = (FrameTimes::default(), Gaps::default());
        clip::cut(&start, self.span, times.clone());
        counts.decoded.watch(&start);
        decoder_errors::stop_at_end(&start);
        if self.seek_time().is_some() {
            decoder_errors::clear_at(&start);
        }
        gaps.watch_frames(&start);
        let losses = video::Losses::watch(&chain)?;
        clip::count(&chain.pad("filter", "src")?, self.span, counts.translated.clone());
        counts.encoded.watch(&chain.src()?);
        pipeline.gst().add(&chain.bin)?;
        write(&pipeline, &chain)?;
        counts.packets.watch(&pipeline, &track.id);
        // A seek must reach all elements, and these exist only when the first frame leaves the decoder.
        let kinds = gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER;
        let hold = start.add_probe(kinds, |_, _| gst::PadProbeReturn::Ok);
        decoder_errors::clear();
        let total = read(&pipeline, chain.sink()?)?;
        self.start(&pipeline, &start, &counts.packets)?;
        start.remove_probe(hold.context("the decoder cannot be held back")?);
        let run = pipeline.run(Some((&counts.translated, total)), say);
        run.map_err(|error| video::explain(error, &chain, &encoding))?;
        if self.is_timed {
            times.check()?;
            send_notices(say, times.notices());
        }
        self.check(&counts, &encoding, say)?;
        let of_format = !self.media.is_animation();
        send_notices(say, losses.get(&chain, &setup.recipe, &encoding, of_format));
        send_notices(say, gaps.notice("the video").filter(|_| self.media.is_contiguous()));
        send_notices(say, self.damage(&counts, frame_duration(&start)));
        Ok(Translated { frames: counts.translated.get(), encoding })
    }

    /// The time to seek to before anything is translated.
    fn seek_time(&self) -> Option<gst::ClockTime> {
        self.span.seek.filter(|time| !time.is_zero())
    }

    /// Starts the pipeline, waits for the first frame, which is blocked at `start`, and seeks.
    fn start(&self, pipeline: &Pipeline, start: &gst::Pad, packets: &Packets) -> Result<()> {
        pipeline.play()?;
        let has_ended = || start.pad_flags().contains(gst::PadFlags::EOS);
        pipeline.wait_until(|| start.is_blocking() || has_ended())?;
        ensure!(start.is_blocking(), NOTHING_DECODED);
        if let Some(time) = self.seek_time().filter(|_| self.media.builtin.is_none()) {
            packets.reset();
            seek(start, time)?;
        }
        Ok(())
    }

    /// Fails if frames are lost after the decoder; reports what the decoder loses.
    fn check(&self, counts: &Counts, encoding: &Encoding, say: Say) -> Result<()> {
        check_encoder(encoding.encoder_name(), counts.translated.get(), counts.encoded.get())?;
        let (frames, packets) = (counts.translated.get().packets, counts.packets.get());
        if let Some(expected) = self.span.frames.filter(|&expected| expected != frames) {
            // If the decoder received all packets, the missing frames are damaged.
            let is_damage = frames < expected && packets >= expected;
            ensure!(
                is_damage,
                CutFault(format!("a segment has {frames} frames, expected {expected}"))
            );
        }
        ensure!(frames > 0 || self.span.frames.is_some(), NOTHING_DECODED);
        ensure!(frames > 0, CutFault("a segment has no frames that can be decoded".to_owned()));
        // One extra packet is tolerated, unless the known count shows that a frame is missing.
        let may_lack = u64::from(self.span.frames.is_none_or(|expected| expected == frames));
        let gaps = counts.packets.gaps();
        if let Some(text) = counts.packets.missing(frames, may_lack) {
            send_notice(say, text);
        } else if gaps > 0 && 2 * gaps < packets {
            // Some demuxers mark every packet.
            send_notice(say, format!("has {} in its data", counted(gaps, "gap")));
        }
        Ok(())
    }

    /// Notices about frames that the container states and that are not found, and about errors of the decoder.
    fn damage(&self, counts: &Counts, duration: gst::ClockTime) -> Vec<String> {
        let is_whole = *self.span == Span::default();
        // Frames that a camera dropped have time, but no data.
        let shown = counts.decoded.get().end / duration.max(gst::ClockTime::NSECOND);
        let (found, stated) = (counts.packets.get().max(shown), self.media.stated_frames);
        let mut notices = Vec::new();
        // Some programs count a frame that is shown for longer several times.
        if is_whole && stated > found + found / 20 + 2 {
            notices.push(format!("is damaged: only {found} of {stated} frames are found"));
        }
        let is_bare = self.media.container.is_none() && is_whole;
        notices.extend(decoder_errors::notice(is_bare, decoder_errors::FRAMES));
        notices
    }
}

/// Fails if `encoder` has not output all frames that it got, or with other times.
fn check_encoder(encoder: &str, put: PacketStats, got: PacketStats) -> Result<()> {
    let lost = put.packets.saturating_sub(got.packets);
    ensure!(lost == 0, "the encoder {encoder} lost {lost} of {} frames", put.packets);
    let is_near = got.length().absdiff(put.length()) < MOST_SHIFT;
    ensure!(is_near, "the encoder {encoder} gives frames wrong times; use another one");
    Ok(())
}

/// Seeks to the key frame at or before `time`, from the pad `decoded`.
fn seek(decoded: &gst::Pad, time: gst::ClockTime) -> Result<()> {
    let seek = gst::event::Seek::new(
        1.0,
        gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE,
        gst::SeekType::Set,
        time,
        gst::SeekType::None,
        gst::ClockTime::NONE,
    );
    ensure!(decoded.push_event(seek), CutFault("it is not seekable".to_owned()));
    Ok(())
}
