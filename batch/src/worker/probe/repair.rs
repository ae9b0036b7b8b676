// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which elements of GStreamer 1.22 output something wrong, and how it is corrected.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use gst::prelude::*;
use gst_video::{VideoColorimetry, VideoTransferFunction};

use crate::worker::{
    containers::{
        isobmff::{Durations, SampleEntries},
        matroska::Times,
    },
    elements::{
        caps::{PIXEL_ASPECT, field, media_type, with_aspect},
        factory_name, is_kind,
    },
    pads::{
        probes::{Replacement, on_buffers, on_caps, on_seeks, on_segments},
        tally::head,
    },
    repairs::{av1, clock_rates, decode_times, shared_times, stated_colour, wave_header},
};

/// What to correct in a file. It is found when the file is probed.
#[derive(Debug, Default)]
pub struct Repairs {
    /// For MP4 and QuickTime.
    pub durations: Durations,
    /// What to read differently besides durations.
    pub replacements: Vec<Replacement>,
    /// The descriptions of video in MP4 and QuickTime.
    pub sample_entries: SampleEntries,
    /// The times of packets of Matroska.
    pub times: Times,
    /// When the tracks of AVI start, by the names of their pads.
    pub starts: Vec<(String, gst::ClockTime)>,
}

impl Repairs {
    /// What to read differently when the file is probed.
    pub fn for_probe(&self) -> Vec<Replacement> {
        [&self.durations.tracks[..], &self.replacements].concat()
    }

    /// What to read differently when it is demuxed.
    pub fn for_demuxer(&self) -> Vec<Replacement> {
        let mut replacements = self.for_probe();
        replacements.extend(self.durations.movie);
        replacements
    }
}

/// Corrects the caps and times that `element` of a `decodebin` outputs.
pub fn correct(element: &gst::Element, repairs: &Arc<Repairs>) {
    let all = repairs.clone();
    match &*factory_name(element) {
        "avidemux" => on_pads(element, move |pad| {
            let start = all.starts.iter().find(|(name, _)| *name == pad.name());
            if let Some((_, start)) = start {
                start_late(pad, *start);
            }
            decode_times::of_avi(pad);
        }),
        "matroskademux" => on_pads(element, move |pad| {
            if all.times.shift.is_zero() {
                keep_time(pad);
            }
            all.times.correct(pad);
            decode_times::of_matroska(pad);
        }),
        "mpegpsdemux" => on_pads(element, start_at_zero),
        "mpegvideoparse" => shared_times::complete(element),
        "mxfdemux" => on_pads(element, decode_times::of_mxf),
        "qtdemux" => on_pads(element, move |pad| all.durations.keep_rate(pad)),
        _ => {}
    }
    correct_caps(element, repairs);
}

/// Corrects the caps that `element` of a `decodebin` or `uridecodebin` outputs.
pub fn correct_caps(element: &gst::Element, repairs: &Arc<Repairs>) {
    let all = repairs.clone();
    match &*factory_name(element) {
        "asfdemux" | "avidemux" => on_pads(element, wave_header::remove),
        "matroskademux" => on_pads(element, |pad| {
            wave_header::remove(pad);
            on_caps(pad, |caps| stated_colour::set_aside(caps, lacks_transfer));
        }),
        "mxfdemux" => on_pads(element, dv_without_sound),
        "qtdemux" => on_pads(element, move |pad| all.sample_entries.complete(pad)),
        "av1dec" => av1::tolerate_damage(element),
        "avdec_flac" => drop_flac_headers(element),
        _ => keep_aspect(element),
    }
    if is_kind(element, gst::ElementFactoryType::PARSER) {
        clock_rates::ignore(element);
        stated_colour::restore(element);
    }
}

/// Calls `with` with each pad that `demuxer` adds.
fn on_pads(demuxer: &gst::Element, with: impl Fn(&gst::Pad) + Send + Sync + 'static) {
    demuxer.connect_pad_added(move |_, pad| with(pad));
}

/// Keeps timestamps of Matroska as stream times, also in seeks. `matroskademux` of GStreamer 1.22 starts its segment at
/// the first packet, and again where another track starts earlier, each time as stream time 0.
fn keep_time(pad: &gst::Pad) {
    let first = Arc::new(AtomicU64::new(0));
    let current = first.clone();
    on_segments(pad, move |segment| {
        let (start, time) = segment.start().zip(segment.time())?;
        current.store(start.saturating_sub(time).nseconds(), Ordering::Relaxed);
        let mut kept = segment.clone();
        kept.set_time(start);
        (start != time).then_some(kept)
    });
    on_seeks(pad, move |time| {
        time.saturating_sub(gst::ClockTime::from_nseconds(first.load(Ordering::Relaxed)))
    });
}

/// Keeps the headers of FLAC from its `decoder`. `avdec_flac` of GStreamer 1.22 takes them for packets and gives the second
/// one the time of the first.
fn drop_flac_headers(decoder: &gst::Element) {
    let Some(sink) = decoder.static_pad("sink") else { return };
    // Only frames begin with a byte of ones (RFC 9639, sections 8.1 and 9.1).
    on_buffers(&sink, |_, buffer| head::<1>(buffer).is_none_or(|first| first == [0xFF]));
}

/// Starts the segment of a program stream at stream time 0. `mpegpsdemux` of GStreamer 1.22 may start it after the
/// first packets, where a clock has run ahead of them, and decoders drop frames before a segment.
fn start_at_zero(pad: &gst::Pad) {
    on_segments(pad, |segment| {
        let early = segment.time().min(segment.start())?;
        let mut extended = segment.clone();
        extended.set_start(segment.start()? - early);
        extended.set_time(segment.time()? - early);
        (early > gst::ClockTime::ZERO).then_some(extended)
    });
}

/// Makes a track start later. `avidemux` starts all of them at 0.
fn start_late(pad: &gst::Pad, start: gst::ClockTime) {
    on_segments(pad, move |segment| {
        let mut moved = segment.clone();
        moved.set_time(segment.time()? + start);
        moved.set_base(segment.base()? + start);
        (!start.is_zero()).then_some(moved)
    });
}

/// Gives the DV that `mxfdemux` outputs to a decoder, since `dvdemux` reads only 25 Mbit/s. Its sound has own tracks.
fn dv_without_sound(pad: &gst::Pad) {
    if let Some(mut caps) = pad.current_caps().filter(|caps| media_type(caps) == "video/x-dv") {
        caps.make_mut().set("systemstream", false);
        // Here, because `decodebin` chooses the next element by the caps of the pad.
        pad.push_event(gst::event::Caps::new(&caps));
    }
}

/// Whether the colorimetry in Matroska says less than that of the stream may say.
fn lacks_transfer(colour: VideoColorimetry) -> bool {
    colour.transfer() == VideoTransferFunction::Unknown
}

/// Keeps the pixel aspect ratio of the container. Parsers and decoders of images output square pixels.
fn keep_aspect(element: &gst::Element) {
    use gst::ElementFactoryType as Kind;
    let of_images = Kind::PARSER | Kind::DECODER | Kind::MEDIA_IMAGE;
    let pads = element.static_pad("sink").zip(element.static_pad("src"));
    let Some((sink, src)) = pads.filter(|_| is_kind(element, of_images)) else { return };
    let sink = sink.downgrade();
    on_caps(&src, move |caps| {
        with_aspect(caps, field(&sink.upgrade()?.current_caps()?, PIXEL_ASPECT)?)
    });
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
