// SPDX-License-Identifier: MIT OR Apache-2.0

//! Checks an output before it gets its final name: it must open and have everything that was written.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::written::{Written, WrittenTrack};
use crate::{
    protocol::{Say, send_notice, send_notices},
    text::counted,
    worker::{
        elements::caps::{class, field, is_raw, is_same_kind, media_type},
        pads::{
            clip::LONG_FRAME,
            tally::{PacketStats, Tally},
        },
        pipeline::fault::{NO_DATA, OutsideFault},
        probe::{
            Media, losses,
            scan::{self, Contents},
        },
    },
};

/// Tolerance for the end of a track: the clock of a container is coarse, and the last packet may have no duration.
const TOLERANCE: gst::ClockTime = gst::ClockTime::from_mseconds(300);

const UNCHECKED: &str =
    "has frames that are shown for more than half a second; GStreamer cannot read the output back";

/// Reads `output` back and compares it with what was `written`; `is_whole` if it has all of the input. Returns the probed
/// output.
pub fn check(
    output: &Path,
    media: &Media,
    written: &Written,
    is_whole: bool,
    say: Say,
) -> Result<Media> {
    // An encoded track without data may make the output unreadable.
    let is_empty = |track: &&WrittenTrack| {
        track.is_encoded() && !track.is_video() && track.caps_of_data().is_none()
    };
    if let Some(empty) = written.tracks.iter().find(is_empty) {
        bail!(empty.fault(NO_DATA));
    }
    let probed = Media::probe(output).context("the output cannot be opened")?;
    send_notices(say, losses::of_tags(media, &probed));
    send_notices(say, losses::of_aspect(media, &probed));
    if probed.kind() == "video/mpegts" && written.video().longest_step > LONG_FRAME {
        send_notice(say, format!("{UNCHECKED}, so its frames are not counted"));
    } else {
        compare_all(output, &probed, written, say)?;
    }
    if is_whole {
        check_ends(media, written, say)?;
    }
    Ok(probed)
}

/// Fails if a track of `output` has less than was `written`.
fn compare_all(output: &Path, probed: &Media, written: &Written, say: Say) -> Result<()> {
    // The demuxer of a stream drops what comes before the video.
    let begin = written.video().first.filter(|_| probed.is_stream());
    let mut found =
        scan::contents(output, probed, say).context("the output cannot be read back")?;
    for track in &written.tracks {
        // A track without data in the input has none in the output.
        let Some(caps) = track.caps_of_data() else {
            if !track.is_video() {
                send_notice(say, format!("track {} is empty", track.number + 1));
            }
            continue;
        };
        let position = position(&found, caps, &written.tracks);
        let contents =
            found.remove(position.ok_or_else(|| track.fault("is missing from the output"))?);
        let unread = Unread::before(begin, &track.passed);
        compare(track, caps, &contents, unread)?;
        if track.is_video() {
            let (expected, frames) = (track.passed.packets, contents.passed.packets);
            let missing = expected.saturating_sub(frames + unread.packets);
            if missing * 10 > expected {
                bail!(
                    track.fault(format!("has {frames} frames in the output, expected {expected}"))
                );
            }
            if missing > 0 {
                // Some encoders output empty packets, which a container may leave out.
                send_notice(
                    say,
                    format!("{} of the output cannot be read back", counted(missing, "frame")),
                );
            }
        }
    }
    Ok(())
}

/// Which of the `found` tracks has these caps: the first of the same kind, or else the first of the same class, such as
/// audio, whose kind none of the `written` ones has.
fn position(found: &[Contents], caps: &gst::Caps, written: &[WrittenTrack]) -> Option<usize> {
    let is_same = |contents: &Contents| is_same_kind(&contents.caps, caps);
    let is_others = |contents: &Contents| {
        let mut all = written.iter().filter_map(|track| track.caps.as_ref());
        all.any(|caps| is_same_kind(&contents.caps, caps))
    };
    let is_like =
        |contents: &Contents| class(&contents.caps) == class(caps) && !is_others(contents);
    found.iter().position(is_same).or_else(|| found.iter().position(is_like))
}

/// How much of a track may be missing when it is read back.
#[derive(Clone, Copy, Default)]
struct Unread {
    packets: u64,
    time: gst::ClockTime,
}

impl Unread {
    /// The part before `begin`, where the demuxer starts, if that is known, and a few packets more.
    fn before(begin: Option<gst::ClockTime>, passed: &PacketStats) -> Self {
        let Some(begin) = begin else { return Self::default() };
        let early = begin.saturating_sub(passed.first.unwrap_or_default());
        let length = passed.duration().max(gst::ClockTime::NSECOND);
        let share = early.seconds_f64() / length.seconds_f64();
        Self { packets: 8 + (passed.packets as f64 * share.min(1.0)).ceil() as u64, time: early }
    }
}

/// Fails if the track in `contents` has less than was written, except for what is `unread`.
fn compare(
    track: &WrittenTrack,
    caps: &gst::Caps,
    contents: &Contents,
    unread: Unread,
) -> Result<()> {
    let (put, got) = (track.passed, contents.passed);
    // Raw audio has no fixed packets, and an audio encoder may output headers first.
    let is_counted = !track.is_encoded() && !is_raw(caps) && !is_raw(&contents.caps);
    if is_counted && got.packets + got.hidden + unread.packets < put.packets {
        let (found, expected) = (got.packets, put.packets);
        bail!(track.fault(format!("has {found} packets in the output, expected {expected}")));
    }
    // `matroskademux` of GStreamer 1.22 gives ProRes packets no times.
    let has_times = got.first.is_some() || got.packets == 0;
    // The last packet of the output may have no duration.
    let last = Some(put.longest_step).filter(|_| !track.is_video()).unwrap_or_default();
    let tolerance = unread.time + TOLERANCE.max(last);
    // A segment and an output may give a frame different durations.
    let lasts = |passed: PacketStats| match track.is_video() {
        true => passed.length(),
        false => passed.duration(),
    };
    if has_times && lasts(put) > lasts(got) + tolerance {
        let [found, expected] = [got, put].map(|passed| lasts(passed).seconds_f64());
        bail!(track.fault(format!("lasts {found:.2} s in the output, expected {expected:.2} s")));
    }
    // For other tracks, the container of the input may state wrong values. Opus runs at 48 kHz; its header gives the
    // rate before encoding.
    let is_known = track.is_encoded() || is_raw(caps);
    // MP4 states two channels for all AC-3 (ETSI TS 102 366, F.3).
    let is_ac3 = media_type(caps).ends_with("ac3");
    if is_known && media_type(caps) != "audio/x-opus" {
        let channels = Some(("channels", "channels")).filter(|_| !is_ac3);
        for (name, unit) in channels.into_iter().chain([("rate", "Hz")]) {
            let (put, got) = (field::<i32>(caps, name), field::<i32>(&contents.caps, name));
            if let Some((put, got)) = put.zip(got).filter(|(put, got)| put != got) {
                bail!(
                    track.fault(format!("has {got} {unit} in the output, expected {put} {unit}"))
                );
            }
        }
    }
    Ok(())
}

/// Fails if the tracks end long before the duration of the file; reports audio that ends before the end that the file
/// states for it, and a video that ends before the other tracks.
fn check_ends(media: &Media, written: &Written, say: Say) -> Result<()> {
    let end = written.end();
    let Some(duration) = media.duration.filter(|_| !end.is_zero()) else { return Ok(()) };
    let duration = duration.saturating_sub(media.late_start);
    let tolerance = (duration / 50).max(gst::ClockTime::from_mseconds(500));
    for WrittenTrack { number, passed, .. } in &written.tracks {
        let track = &media.tracks[*number];
        let stated = track.stated.end.unwrap_or_default();
        if track.is_audio() && !passed.end.is_zero() && passed.end + tolerance < stated {
            let [end, stated] = [passed.end, stated].map(gst::ClockTime::seconds_f64);
            let number = number + 1;
            send_notice(
                say,
                format!("track {number} ends at {end:.1} s, but the file says {stated:.1} s"),
            );
        }
    }
    let [end_seconds, duration_seconds] = [end, duration].map(gst::ClockTime::seconds_f64);
    let ends =
        format!("it ends at {end_seconds:.1} s, but its header says {duration_seconds:.1} s");
    // The duration of a stream is the difference between its first and last clock, which may have jumped.
    let is_whole = end.max(written.dropped_end) + tolerance >= duration;
    if !is_whole && media.is_stream() {
        // A track that is left out may be longer.
        if media.unknown.is_empty() {
            send_notice(say, format!("its timestamps jump: {ends}"));
        }
        return Ok(());
    }
    ensure!(is_whole, OutsideFault(format!("is truncated or damaged: {ends}")));
    let video = written.video().end;
    if video + tolerance < end {
        let [video, end] = [video, end].map(gst::ClockTime::seconds_f64);
        send_notice(say, format!("the video ends at {video:.1} s, other tracks at {end:.1} s"));
    }
    Ok(())
}

/// Decodes every track of `output`, probed as `media`; fails on an error, or if the video has fewer than `expected` frames.
pub fn verify(output: &Path, media: &Media, expected: u64, say: Say) -> Result<()> {
    let frames = Tally::default();
    let (pipeline, _) = scan::open(output, media, true, |source, end| {
        if media_type(&source.caps) == "video/x-raw" {
            frames.watch(end);
        }
    })?;
    pipeline.run(None, say).context("the output cannot be decoded")?;
    let decoded = frames.get().packets;
    ensure!(
        decoded >= expected,
        "only {decoded} of {expected} frames of the output can be decoded"
    );
    Ok(())
}
