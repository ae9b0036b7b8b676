// SPDX-License-Identifier: MIT OR Apache-2.0

//! Translates and encodes a segment of a video, or all of it, into a playable file.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result, anyhow, ensure};
use gst::prelude::*;
use gst_video::VideoInfo;

use super::{
    animation, clip,
    demux::demux,
    fault::{CutFault, NOTHING_DECODED},
    gaps::Gaps,
    losses,
    muxer::{Muxer, pad},
    pipeline::{Pipeline, TRANSLATED},
    probe::{Media, Track, codec_name, short_id},
    protocol::{Reply, Setup, Span},
    tally::Tally,
    video::Chain,
};
use crate::{container::Container, encoding::segment_container, events::counted, lock::lock};

/// The translation of a segment.
pub struct Job<'a> {
    /// How files are translated.
    pub setup: &'a Setup,
    /// The file.
    pub input: &'a Path,
    /// The segment's output file.
    pub output: &'a Path,
    /// The container of the final output.
    pub container: Container,
    /// The segment.
    pub span: &'a Span,
}

impl Job<'_> {
    /// Translates the segment; returns its number of frames and the first timestamp.
    pub fn run(&self, say: &mut dyn FnMut(Reply)) -> Result<(u64, u64)> {
        let media = Media::probe(self.input)?;
        let pipeline = Pipeline::new();
        let read = Packets::new(&pipeline, self.span);
        let decoded = pipeline.tally("frames decoded");
        let translated = pipeline.tally(TRANSLATED);
        let encoded = pipeline.tally("frames encoded");
        let chain = Chain::new(self.setup, self.container, media.main_track()?)?;
        let start = pad(&chain.part("decoded")?, "sink")?;
        let untimed = Arc::new(AtomicU64::new(0));
        clip::cut(&start, self.span, untimed.clone());
        decoded.watch(&start);
        let gaps = Gaps::default();
        gaps.watch(&start);
        clip::count(&pad(&chain.part("filter")?, "src")?, self.span, translated.clone());
        self.write(&pipeline, &chain, &encoded)?;
        let main = media.main_track()?.clone();
        read.watch(&pipeline, &main.id);
        // Held back where the first frame comes out of the decoder: only then is every element there that
        // a seek has to pass, and nothing is translated before it.
        let is_held = Arc::new(AtomicBool::new(false));
        let holds = is_held.clone();
        let kinds = gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER;
        let hold = start.add_probe(kinds, move |_, _| {
            holds.store(true, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
        let hold = hold.context("the decoder cannot be held back")?;
        let sink = pad(&chain.bin, "sink")?;
        if media.is_animation() {
            let frames = animation::source(self.input)?;
            pipeline.gst().add(&frames)?;
            pad(&frames, "src")?.link(&sink)?;
        } else {
            self.open(&pipeline, main, sink)?;
        }
        pipeline.pause()?;
        let is_held = pipeline.wait_until(|| is_held.load(Ordering::Relaxed))?;
        ensure!(is_held, NOTHING_DECODED);
        if self.span.lead > 0 && self.span.may_seek {
            read.reset();
            let before =
                gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE;
            let seek = gst::event::Seek::new(
                1.0,
                before,
                gst::SeekType::Set,
                gst::ClockTime::from_nseconds(self.span.lead),
                gst::SeekType::None,
                gst::ClockTime::NONE,
            );
            ensure!(start.push_event(seek), CutFault("cannot be sought in".to_owned()));
        }
        start.remove_probe(hold);
        pipeline.run(Some((&translated, self.span.frames)), say)?;
        let frames = self.check(&chain, &read, &translated, &encoded, say)?;
        let format = |pad: &gst::Pad| VideoInfo::from_caps(pad.current_caps()?.as_ref()).ok();
        let raw = pad(&chain.part("format")?, "src")?;
        if let (Some(before), Some(after)) = (format(&start), format(&raw))
            && !media.is_animation()
        {
            let recipe = &self.setup.recipe;
            let encoding = media.main_track()?.encoding(recipe, self.container, 1);
            let (before, after) = (before.format_info(), after.format_info());
            losses::of_format(before, after, recipe, &encoding)
                .into_iter()
                .for_each(|text| say(Reply::Notice { text }));
        }
        if media.is_contiguous()
            && let Some(text) = gaps.notice("the video")
        {
            say(Reply::Notice { text });
        }
        let untimed = untimed.load(Ordering::Relaxed);
        if untimed > 0 {
            let text = format!(
                "{untimed} of its frames have no timestamps and follow at the rate of the video, or 25 per second"
            );
            say(Reply::Notice { text });
        }
        let first = translated.get().first.unwrap_or(0);
        Ok((frames, self.span.start + first))
    }

    /// Opens the input, and leads its track `main` to `sink`.
    fn open(&self, pipeline: &Pipeline, main: Track, sink: gst::Pad) -> Result<()> {
        let id = main.id.clone();
        demux(
            pipeline.gst(),
            self.input,
            move |track, _| track == id,
            move |sources| {
                // Other tracks stay unlinked, and the file is read no further than the video needs.
                let video = sources.iter().find(|source| source.id == main.id);
                let video = video
                    .with_context(|| format!("the {} cannot be decoded", codec_name(&main.caps)))?;
                video.pad.link(&sink)?;
                Ok(())
            },
        )?;
        Ok(())
    }

    /// Writes what leaves `chain` into a file of its own.
    fn write(&self, pipeline: &Pipeline, chain: &Chain, encoded: &Tally) -> Result<()> {
        let whole = Muxer::new(self.container)?;
        ensure!(
            whole.pad_for(&chain.caps).is_some(),
            "{} cannot hold {}; use another --container",
            self.container.name(),
            codec_name(&chain.caps)
        );
        let muxer = Muxer::new(segment_container(&self.setup.recipe, self.container))?;
        let how = muxer.pad_for(&chain.caps).context("no file can hold the video alone")?;
        let mux = muxer.element();
        if mux.has_property("timecodescale") {
            // Microseconds, for Matroska's own milliseconds are too coarse to be read back.
            mux.set_property("timecodescale", 1000i64);
        }
        pipeline.gst().add(&chain.bin)?;
        pipeline.write_file(mux, self.output)?;
        let sink = muxer.link_video(pipeline.gst(), &pad(&chain.bin, "src")?, &how)?;
        encoded.watch(&sink);
        Ok(())
    }

    /// Fails if frames are lost after the decoder; notes what the decoder loses.
    fn check(
        &self,
        chain: &Chain,
        read: &Packets,
        translated: &Tally,
        encoded: &Tally,
        say: &mut dyn FnMut(Reply),
    ) -> Result<u64> {
        let (frames, written) = (translated.get().packets, encoded.get().packets);
        ensure!(
            written >= frames,
            "the encoder {} lost {} of {frames} frames",
            chain.encoder,
            frames - written
        );
        let packets = read.get();
        if let Some(expected) = self.span.frames.filter(|&expected| expected != frames) {
            // All that belongs here went into the decoder: what is missing is damaged.
            let is_damage = frames < expected && packets >= expected;
            ensure!(
                is_damage,
                CutFault(format!("a segment has {frames} frames, expected {expected}"))
            );
        }
        ensure!(frames > 0 || self.span.frames.is_some(), anyhow!(NOTHING_DECODED));
        ensure!(frames > 0, CutFault("a segment has no frames that can be decoded".to_owned()));
        // A field may be a packet of its own.
        let is_fields = packets.abs_diff(2 * frames) * 50 <= packets;
        if packets > frames + 1 && !is_fields {
            let text = format!(
                "is damaged: {} of {packets} frames cannot be decoded and are missing",
                packets - frames
            );
            say(Reply::Notice { text });
        } else if read.gaps() > 0 {
            say(Reply::Notice { text: format!("has {} in its data", counted(read.gaps(), "gap")) });
        }
        Ok(frames)
    }
}

/// Counts the packets of a segment before the decoder: where the demuxer gives them and where the decoder
/// takes them, for a parser drops what is damaged, and a demuxer of a transport stream knows no frames.
struct Packets {
    demuxed: Tally,
    /// One for each decoder: that of an alpha plane sees the same packets again.
    parsed: Arc<Mutex<Vec<Tally>>>,
    /// The places where a demuxer has noticed that data are missing.
    gaps: Arc<AtomicU64>,
    span: Span,
}

impl Packets {
    fn new(pipeline: &Pipeline, span: &Span) -> Self {
        let demuxed = pipeline.tally("packets read");
        Self { demuxed, parsed: Arc::default(), gaps: Arc::default(), span: span.clone() }
    }

    /// Watches the elements that `pipeline` gets for the track of this stream id.
    fn watch(&self, pipeline: &Pipeline, id: &str) {
        let (demuxed, parsed) = (self.demuxed.clone(), self.parsed.clone());
        let (id, span, gaps) = (id.to_owned(), self.span.clone(), self.gaps.clone());
        pipeline.gst().connect_deep_element_added(move |_, _, element| {
            let class = element.metadata("klass").unwrap_or_default();
            if class.contains("Demux") && is_packetized(element) {
                let (demuxed, id, span) = (demuxed.clone(), id.clone(), span.clone());
                element.connect_pad_added(move |_, pad| {
                    if pad.stream_id().is_some_and(|stream| short_id(&stream) == id) {
                        clip::count_within(pad, &span, demuxed.clone());
                    }
                });
            } else if class.contains("Decoder")
                && class.contains("Video")
                && let Some(sink) = element.static_pad("sink")
            {
                let tally = Tally::default();
                clip::count_within(&sink, &span, tally.clone());
                count_gaps(&sink, gaps.clone());
                lock(&parsed).push(tally);
            }
        });
    }

    /// Forgets what was read before a seek.
    fn reset(&self) {
        self.gaps.store(0, Ordering::Relaxed);
        self.demuxed.clear();
        lock(&self.parsed).iter().for_each(Tally::clear);
    }

    fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::Relaxed)
    }

    fn get(&self) -> u64 {
        let parsed = lock(&self.parsed).iter().map(|tally| tally.get().packets).max();
        self.demuxed.get().packets.max(parsed.unwrap_or(0))
    }
}

/// Counts the packets at `pad` that do not follow the one before; the first after a seek never does.
fn count_gaps(pad: &gst::Pad, gaps: Arc<AtomicU64>) {
    let begins = AtomicBool::new(true);
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(kinds, move |pad, info| {
        match &info.data {
            Some(gst::PadProbeData::Event(event)) if event.type_() == gst::EventType::Segment => {
                begins.store(true, Ordering::Relaxed);
            }
            Some(gst::PadProbeData::Buffer(buffer)) if !clip::is_hidden(pad, buffer) => {
                let is_first = begins.swap(false, Ordering::Relaxed);
                if buffer.flags().contains(gst::BufferFlags::DISCONT) && !is_first {
                    gaps.fetch_add(1, Ordering::Relaxed);
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

/// Whether a demuxer gives one frame at a time.
fn is_packetized(demuxer: &gst::Element) -> bool {
    let name = demuxer.factory().map(|factory| factory.name().to_string()).unwrap_or_default();
    ["qtdemux", "matroskademux", "flvdemux", "avidemux", "asfdemux"].contains(&name.as_str())
}
