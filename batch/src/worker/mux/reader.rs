// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reads translated segments as one track, one file at a time.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc::Sender},
};

use anyhow::{Context, Result, ensure};
use gst::prelude::*;
use gst_video::{ValidVideoTimeCode, VideoTimeCodeMeta};

use crate::{
    lock::lock,
    worker::{
        elements::{
            caps::{PIXEL_ASPECT, field, media_type, with_aspect},
            frames, is_of,
        },
        pads::{
            probes::{TimeSegment, drop_events, on_caps},
            window::{nanoseconds, position, time_at},
        },
        pipeline::{Pipeline, fault::CutFault},
    },
};

/// The time of the first frame: decoding times may be earlier, and timestamps cannot be negative.
const BEFORE_ZERO: gst::ClockTime = gst::ClockTime::from_seconds(3600);
/// How many packets of a segment may be queued.
const QUEUE_PACKETS: u32 = 32;

/// What the files of the segments do not hold.
pub struct Additions {
    /// Fields of the caps.
    pub metadata: gst::Structure,
    /// The time code of the first frame.
    pub timecode: Option<ValidVideoTimeCode>,
    /// Whether packets need a duration: MP4 and QuickTime hide a last one without it.
    pub durations: bool,
}

/// A source of the segments in `files`, each with the time at which it starts, and with `additions`. If a segment cannot be
/// read, the source ends and sends the cause to `faults`.
pub fn source(
    files: Vec<(PathBuf, gst::ClockTime)>,
    additions: Additions,
    faults: Sender<anyhow::Error>,
) -> gst::Element {
    let clock =
        SegmentClock { caps: None, additions, origin: None, last: None, latest: None, step: None };
    // Without a receiver, the pipeline has already failed.
    let or_fault = move |sample: Result<_>| sample.map_err(|error| faults.send(error)).ok();
    let source = frames::source(move || samples(files, clock).map_while(or_fault).map(Ok));
    source.set_property("name", "segments");
    source.set_property("handle-segment-change", true);
    source
}

/// The packets of these files.
fn samples(
    files: Vec<(PathBuf, gst::ClockTime)>,
    mut clock: SegmentClock,
) -> impl Iterator<Item = Result<gst::Sample>> {
    let mut files = files.into_iter();
    let mut open = None::<(Reader, gst::ClockTime)>;
    let mut next = move || -> Result<Option<gst::Sample>> {
        loop {
            if let Some((reader, start)) = &open
                && let Some(sample) = reader.next()?
            {
                return clock.place(&sample, *start).map(Some);
            }
            let Some((file, start)) = files.next() else { return Ok(None) };
            clock.origin = None;
            open = Some((Reader::open(&file)?, start));
        }
    };
    std::iter::from_fn(move || next().transpose())
}

/// Puts segments on one clock. Each encoder starts with decoding times before its first frame. If these precede the
/// last ones of the previous segment, they are moved after them.
struct SegmentClock {
    caps: Option<gst::Caps>,
    /// The time code only until the first frame is sent.
    additions: Additions,
    /// The time of the first frame on the clock of the segment, which its container may have shifted.
    origin: Option<i128>,
    /// The last time of decoding, if packets have one.
    last: Option<gst::ClockTime>,
    /// The latest time at which a frame is shown.
    latest: Option<gst::ClockTime>,
    /// The shortest time by which it has advanced. The last one may be a pause.
    step: Option<gst::ClockTime>,
}

impl SegmentClock {
    /// The caps of all segments. Fails if those of `sample` are of another codec.
    fn caps(&mut self, sample: &gst::Sample) -> Result<gst::Caps> {
        let mut caps = sample.caps_owned().context("a segment without caps")?;
        match media_type(&caps) {
            // `matroskamux` requires this field, and `matroskademux` gives it another name.
            "video/x-ffv" => caps.make_mut().set("ffversion", 1),
            // `qtmux` of GStreamer 1.22 crashes without this field.
            "video/x-vp9" if field::<&str>(&caps, "chroma-site").is_none() => {
                caps.make_mut().set("chroma-site", "mpeg2");
            }
            _ => {}
        }
        for (field, value) in self.additions.metadata.iter() {
            caps.make_mut().set_value(field, value.clone());
        }
        let all = self.caps.get_or_insert_with(|| caps.clone());
        let other = || CutFault("the encoder produced segments that cannot be joined".to_owned());
        ensure!(is_same_codec(all, &caps), other());
        Ok(all.clone())
    }

    /// Puts a packet of the segment that starts at `start` on the clock of the output.
    fn place(&mut self, sample: &gst::Sample, start: gst::ClockTime) -> Result<gst::Sample> {
        let caps = self.caps(sample)?;
        let segment = sample.segment().and_then(|s| s.downcast_ref::<gst::ClockTime>());
        // Stream time, because the segment event of Matroska starts at the time of the first frame.
        let origin = position(segment, sample.buffer().and_then(|buffer| buffer.pts()));
        let origin = *self.origin.get_or_insert(origin.unwrap_or(0));
        let begin = nanoseconds(BEFORE_ZERO + start) - origin;
        let on_clock = |time| Some(time_at(begin + position(segment, time)?).unwrap_or_default());
        let mut buffer = sample.buffer_owned().context("an empty sample")?;
        let (pts, dts) = (on_clock(buffer.pts()), on_clock(buffer.dts()));
        let after_last = self.last.map(|last| last + gst::ClockTime::NSECOND);
        let dts = dts.map(|dts| after_last.map_or(dts, |least| dts.max(least)));
        let buffer_mut = buffer.make_mut();
        buffer_mut.set_pts(pts);
        buffer_mut.set_dts(dts);
        // x264 states 10⁹ frames a second if the rate is unknown.
        let is_unknown = buffer_mut.duration().is_none_or(|d| d < gst::ClockTime::MSECOND);
        let step = pts.zip(self.latest).and_then(|(pts, last)| pts.checked_sub(last));
        self.step = self.step.into_iter().chain(step.filter(|step| !step.is_zero())).min();
        if is_unknown && self.additions.durations {
            buffer_mut.set_duration(self.step);
        }
        self.latest = self.latest.max(pts);
        if let Some(timecode) = self.additions.timecode.take() {
            VideoTimeCodeMeta::add(buffer_mut, &timecode);
        }
        self.last = dts.or(self.last);
        let mut segment = TimeSegment::new();
        segment.set_start(BEFORE_ZERO);
        Ok(gst::Sample::builder().buffer(&buffer).caps(&caps).segment(&segment).build())
    }
}

/// Whether two segments can be one track, so that the same decoder can decode both.
fn is_same_codec(a: &gst::Caps, b: &gst::Caps) -> bool {
    let fields = ["codec_data", "streamheader", "width", "height"];
    let same = |a: &gst::StructureRef, b: &gst::StructureRef| {
        a.name() == b.name()
            && fields.iter().all(|field| match (a.value(*field), b.value(*field)) {
                (Ok(a), Ok(b)) => a.compare(b) == Some(std::cmp::Ordering::Equal),
                (a, b) => a.is_err() && b.is_err(),
            })
    };
    a.structure(0).zip(b.structure(0)).is_some_and(|(a, b)| same(a, b))
}

/// Makes `parser`, if it is one of H.264 or H.265, read the pixel aspect ratio from the stream, if that has one. Matroska
/// rounds it to whole pixels.
fn forget_aspect(parser: &gst::Element) {
    let is_parser = ["h264parse", "h265parse"].iter().any(|name| is_of(parser, name));
    let Some(sink) = parser.static_pad("sink").filter(|_| is_parser) else { return };
    let rounded = Arc::new(Mutex::new(None::<gst::Fraction>));
    let removed = rounded.clone();
    on_caps(&sink, move |caps| {
        *lock(&removed) = field(caps, PIXEL_ASPECT);
        let mut caps = caps.clone();
        caps.make_mut().structure_mut(0)?.remove_field(PIXEL_ASPECT);
        Some(caps)
    });
    // With the same caps again, `h265parse` of GStreamer 1.22 outputs none.
    drop_events(&sink, |pad, event| match event.view() {
        gst::EventView::Caps(caps) => pad.current_caps() == Some(caps.caps_owned()),
        _ => false,
    });
    let Some(src) = parser.static_pad("src") else { return };
    on_caps(&src, move |caps| with_aspect(caps, (*lock(&rounded))?));
}

struct Reader {
    pipeline: Pipeline,
    sink: gst_app::AppSink,
}

impl Reader {
    fn open(file: &Path) -> Result<Self> {
        let pipeline = Pipeline::parse(&format!(
            "filesrc name=file ! parsebin ! appsink name=out sync=false max-buffers={QUEUE_PACKETS}"
        ))?;
        pipeline.part::<gst::Element>("file")?.set_property("location", file);
        pipeline.gst().connect_deep_element_added(|_, _, element| forget_aspect(element));
        let sink = pipeline.part("out")?;
        pipeline.play()?;
        Ok(Self { pipeline, sink })
    }

    fn next(&self) -> Result<Option<gst::Sample>> {
        let next = self.pipeline.pull(&self.sink);
        Ok(next.map_err(|error| CutFault(format!("a segment cannot be read back ({error:#})")))?)
    }
}
