// SPDX-License-Identifier: MIT OR Apache-2.0

//! Demuxes a file with `decodebin`, which waits for the caps of all tracks and exposes them at once.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result};
use gst::prelude::*;
use gst_video::VideoTransferFunction;

use super::{frameless::Frameless, watchdog};
use crate::{
    lock::lock,
    worker::{
        containers::{av1, decode_times, repairs::Repairs, shared_times, wave_header},
        elements::{
            caps::{
                PIXEL_ASPECT, colorimetry, field, has_element, is_text, media_type, short_id,
                with_aspect,
            },
            is_of, make, pad,
        },
        pads::{
            probes::{on_caps, on_seeks, on_segments, replace},
            tally::head,
        },
    },
};

/// For example, in a television recording that continues into the next programme.
const CHANGED_TRACKS: &str = "its tracks change midway, where other ones begin: split it there first, for example with \
     `ffmpeg -i FILE -t SECONDS -map 0 -c copy PART`";

#[derive(Clone, Debug)]
pub struct Source {
    /// Its source pad; no data flow before the tracks are linked.
    pub pad: gst::Pad,
    pub id: String,
    pub caps: gst::Caps,
}

/// Opens `input` in `pipeline` with its `repairs`. `decode` decides by stream id and caps which tracks are decoded;
/// the others are only parsed. When all tracks are known, `link` gets them in the order of the file.
pub fn demux(
    pipeline: &gst::Pipeline,
    input: &Path,
    repairs: &Arc<Repairs>,
    decode: impl Fn(&str, &gst::Caps) -> bool + Send + Sync + 'static,
    link: impl Fn(Vec<Source>) -> Result<()> + Send + Sync + 'static,
) -> Result<()> {
    let file = gst::ElementFactory::make("filesrc")
        .name("source")
        .property("location", input)
        .build()
        .context("GStreamer's element filesrc is not installed")?;
    replace(&pad(&file, "src")?, repairs.for_demuxer());
    watchdog::watch_end(input, &file, |_| {})?;
    let decoder = make("decodebin")?;
    decode_only(&decoder, decode);
    let repairs = repairs.clone();
    let bin = decoder.dynamic_cast_ref::<gst::Bin>().context("no bin")?;
    Frameless::default().watch(bin);
    bin.connect_element_added(move |_, element| repair(element, &repairs));
    let sources = Arc::new(Mutex::new(Vec::<Source>::new()));
    let found = sources.clone();
    decoder.connect_pad_added(move |_, pad| {
        let id = pad.stream_id().map(|id| short_id(&id).to_owned()).unwrap_or_default();
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let source = Source { pad: pad.clone(), id, caps };
        lock(&found).push(source);
    });
    let has_tracks = AtomicBool::new(false);
    decoder.connect_no_more_pads(move |decoder| {
        // By then, all initial tracks have ended.
        if has_tracks.swap(true, Ordering::Relaxed) {
            return gst::element_error!(decoder, gst::StreamError::Failed, ("{CHANGED_TRACKS}"));
        }
        let mut all = std::mem::take(&mut *lock(&sources));
        all.sort_by(|a, b| a.id.cmp(&b.id));
        if let Err(error) = link(all) {
            gst::element_error!(decoder, gst::StreamError::Failed, ("{error:#}"));
        }
    });
    pipeline.add_many([&file, &decoder])?;
    file.link(&decoder)?;
    Ok(())
}

/// Corrects what `element` of a `decodebin` outputs, if it is a demuxer that needs it.
fn repair(element: &gst::Element, repairs: &Arc<Repairs>) {
    if is_matroska(element) {
        let repairs = repairs.clone();
        element.connect_pad_added(move |_, pad| {
            match &repairs.early {
                Some(early) => early.correct(pad),
                None => keep_time(pad),
            }
            if let Some(untimed) = &repairs.untimed {
                untimed.correct(pad);
            }
        });
    }
    if is_of(element, "mpegpsdemux") {
        element.connect_pad_added(|_, pad| start_at_zero(pad));
    }
    repairs.durations.keep_rate(element);
    decode_times::correct(element);
    shared_times::complete(element);
    correct_caps(element, repairs);
}

/// Corrects the caps that `element` of a `decodebin` or `uridecodebin` outputs, if it is one that needs it.
pub fn correct_caps(element: &gst::Element, repairs: &Repairs) {
    repairs.sample_entries.complete(element);
    wave_header::remove(element);
    dv_without_sound(element);
    prefer_colour_of_stream(element);
    keep_aspect(element);
    av1::tolerate_damage(element);
}

/// Keeps the pixel aspect ratio of the container. Parsers and decoders of images output square pixels.
fn keep_aspect(element: &gst::Element) {
    let is_of_images = element.metadata("klass").is_some_and(|class| class.contains("Image"));
    let pads = element.static_pad("sink").zip(element.static_pad("src"));
    let Some((sink, src)) = pads.filter(|_| is_of_images) else { return };
    let sink = sink.downgrade();
    on_caps(&src, move |caps| {
        with_aspect(caps, field(&sink.upgrade()?.current_caps()?, PIXEL_ASPECT)?)
    });
}

/// Makes `decoder`, a `decodebin` or `uridecodebin`, decode the tracks that `decode` chooses by stream id and caps,
/// and only parse the others.
pub fn decode_only(
    decoder: &gst::Element,
    decode: impl Fn(&str, &gst::Caps) -> bool + Send + Sync + 'static,
) {
    decoder.connect("autoplug-continue", false, move |values| {
        let pad = values.get(1).and_then(|value| value.get::<gst::Pad>().ok());
        let caps = values.get(2).and_then(|value| value.get::<gst::Caps>().ok());
        let (Some(pad), Some(caps)) = (pad, caps) else { return Some(true.to_value()) };
        let id = pad.stream_id().unwrap_or_default();
        Some((!is_parsed(&caps) || decode(short_id(&id), &caps)).to_value())
    });
}

/// Makes `decoder`, a `decodebin`, give the frames of Matroska the stream times that [`demux`] gives them.
pub fn keep_times(decoder: &gst::Bin) {
    decoder.connect_element_added(|_, element| {
        if is_matroska(element) {
            element.connect_pad_added(|_, pad| keep_time(pad));
        }
    });
}

/// Keeps timestamps of Matroska as stream times, also in seeks. `matroskademux` of GStreamer 1.22 starts its segment at
/// the first packet, and again where another track starts earlier, each time as stream time 0.
fn keep_time(pad: &gst::Pad) {
    let first = Arc::new(AtomicU64::new(0));
    let noted = first.clone();
    on_segments(pad, move |segment| {
        let (start, time) = segment.start().zip(segment.time())?;
        noted.store(start.saturating_sub(time).nseconds(), Ordering::Relaxed);
        let mut kept = segment.clone();
        kept.set_time(start);
        (start != time).then_some(kept)
    });
    on_seeks(pad, move |time| {
        time.saturating_sub(gst::ClockTime::from_nseconds(first.load(Ordering::Relaxed)))
    });
}

/// Starts the segment of a program stream at stream time 0. `mpegpsdemux` of GStreamer 1.22 may start it after the
/// first packets, where a clock has run ahead of them, and decoders drop frames before a segment.
fn start_at_zero(pad: &gst::Pad) {
    on_segments(pad, |segment| {
        let early = segment.time().min(segment.start())?;
        let mut whole = segment.clone();
        whole.set_start(segment.start()? - early);
        whole.set_time(segment.time()? - early);
        (early > gst::ClockTime::ZERO).then_some(whole)
    });
}

/// Gives the DV that `mxfdemux` outputs to a decoder, since `dvdemux` reads only 25 Mbit/s. Its sound has own tracks.
fn dv_without_sound(element: &gst::Element) {
    if !is_of(element, "mxfdemux") {
        return;
    }
    element.connect_pad_added(|_, pad| {
        if let Some(mut caps) = pad.current_caps().filter(|caps| media_type(caps) == "video/x-dv") {
            caps.make_mut().set("systemstream", false);
            // Here, because `decodebin` chooses the next element by the caps of the pad.
            pad.push_event(gst::event::Caps::new(&caps));
        }
    });
}

fn is_matroska(element: &gst::Element) -> bool {
    is_of(element, "matroskademux")
}

/// Removes the colorimetry from caps of Matroska if it lacks the transfer function. The stream of H.264 or H.265 may
/// have it, but the parser only uses that if its input has no colorimetry.
fn prefer_colour_of_stream(demuxer: &gst::Element) {
    if !is_matroska(demuxer) {
        return;
    }
    demuxer.connect_pad_added(|_, pad| {
        on_caps(pad, |caps| {
            let is_coded = ["video/x-h264", "video/x-h265"].contains(&media_type(caps));
            let said = colorimetry(caps.structure(0)?).filter(|_| is_coded)?;
            let mut corrected = caps.clone();
            corrected.make_mut().structure_mut(0)?.remove_field("colorimetry");
            (said.transfer() == VideoTransferFunction::Unknown).then_some(corrected)
        });
    });
}

/// Whether these caps are FLAC with the header of a FLAC file, as in MP4. Muxers expect that of Ogg, which the parser makes.
fn has_header_of_file(caps: &gst::Caps) -> bool {
    let headers = field::<gst::Array>(caps, "streamheader");
    let first = headers.and_then(|headers| headers.first()?.get::<gst::Buffer>().ok());
    media_type(caps) == "audio/x-flac" && first.and_then(|first| head(&first)) == Some(*b"fLaC")
}

/// Whether only a decoder could come next: `decodebin` also asks about containers, and about tracks before their
/// parser.
fn is_parsed(caps: &gst::Caps) -> bool {
    let kind = media_type(caps);
    if is_text(kind) || kind.starts_with("subpicture/") {
        return true;
    }
    let takes = |kind| has_element(kind, caps);
    let is_flagged = |name| field(caps, name).unwrap_or(false);
    let has_parser = || takes(gst::ElementFactoryType::PARSER);
    !takes(gst::ElementFactoryType::DEMUXER)
        && !has_header_of_file(caps)
        && (is_flagged("parsed") || is_flagged("framed") || !has_parser())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::pads::probes::TimeSegment;

    /// As in a program stream of VLC, whose clock runs ahead of its first frames.
    #[test]
    fn frames_before_the_clock_of_a_program_stream_have_a_time() {
        gst::init().unwrap();
        let (src, sink) =
            (gst::Pad::new(gst::PadDirection::Src), gst::Pad::new(gst::PadDirection::Sink));
        src.link(&sink).unwrap();
        src.set_active(true).unwrap();
        sink.set_active(true).unwrap();
        start_at_zero(&src);
        let mut segment = TimeSegment::new();
        segment.set_start(gst::ClockTime::from_mseconds(1120));
        segment.set_time(gst::ClockTime::from_mseconds(672));
        let first = gst::ClockTime::from_mseconds(680);
        assert_eq!(segment.to_stream_time(first), None);
        assert!(src.push_event(gst::event::StreamStart::new("a")));
        assert!(src.push_event(gst::event::Segment::new(&segment)));
        let event = sink.sticky_event::<gst::event::Segment>(0).unwrap();
        let found = event.segment().downcast_ref::<gst::ClockTime>().unwrap();
        let expected = gst::ClockTime::from_mseconds(680 + 672 - 1120);
        assert_eq!(found.to_stream_time(first), Some(expected));
    }
}
