// SPDX-License-Identifier: MIT OR Apache-2.0

//! Checks an output before it gets its final name: it must open and have everything that was written.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::{
    protocol::{Say, note, note_all},
    text::counted,
    worker::{
        elements::caps::{class, field, is_raw, is_same_kind, media_type},
        pads::tally::{Passed, Tally},
        pipeline::fault::{NO_DATA, OutsideFault, TrackFault},
        probe::{
            Media, losses,
            scan::{self, Contents},
        },
    },
};

/// Tolerance for the end of a track, nanoseconds: the clock of a container is coarse, and the last packet may have no
/// duration.
const TOLERANCE: u64 = 300_000_000;

/// The longest frame that `tsdemux` of GStreamer 1.22 does not take for a jump of the clock, nanoseconds.
pub const LONG_FRAME: u64 = 500_000_000;

const UNCHECKED: &str =
    "has frames that are shown for more than half a second; GStreamer cannot read the output back";

/// A track that was written.
#[derive(Debug)]
pub struct Promise {
    /// Its number in the input.
    pub track: usize,
    /// Whether it is the translated video.
    pub is_video: bool,
    pub is_encoded: bool,
    /// Whether the muxer got it as a track of another codec.
    pub is_carried: bool,
    /// Its caps at the muxer; `None` if there was no data.
    pub caps: Option<gst::Caps>,
    pub passed: Passed,
}

/// Reads `output` back and compares it with what was written. `dropped_end` is the end of the tracks that are left out;
/// `None` if the output has only a part of the input. Returns the probed output.
pub fn check(
    output: &Path,
    media: &Media,
    promises: &[Promise],
    dropped_end: Option<u64>,
    say: Say,
) -> Result<Media> {
    let is_empty = |promise: &&Promise| promise.caps.is_none() || promise.passed.packets == 0;
    // An encoded track without data may make the output unreadable.
    if let Some(empty) = promises.iter().filter(|p| p.is_encoded && !p.is_video).find(is_empty) {
        bail!(fault(empty, NO_DATA.to_owned()));
    }
    let written = Media::probe(output).context("the output cannot be opened")?;
    note_all(say, losses::of_tags(media, &written));
    note_all(say, losses::of_aspect(media, &written));
    if written.kind() == "video/mpegts"
        && let Some(video) = promises.iter().find(|promise| promise.is_video)
        && video.passed.longest_step > LONG_FRAME
    {
        note(say, format!("{UNCHECKED}, so its frames are not counted"));
        check_ends(media, promises, dropped_end, say)?;
        return Ok(written);
    }
    // The demuxer of a stream drops what comes before the video.
    let video = promises.iter().find(|promise| promise.is_video);
    let begin = video.and_then(|video| video.passed.first).filter(|_| written.is_stream());
    let mut found =
        scan::contents(output, &written, say).context("the output cannot be read back")?;
    for promise in promises {
        // A track without data in the input has none in the output.
        let Some(caps) = promise.caps.as_ref().filter(|_| promise.passed.packets > 0) else {
            if !promise.is_video {
                note(say, format!("track {} is empty", promise.track + 1));
            }
            continue;
        };
        let Some(position) = position(&found, caps, promises) else {
            bail!(fault(promise, "is missing from the output".to_owned()));
        };
        let contents = found.remove(position);
        let unread = Unread::before(begin, &promise.passed);
        compare(promise, caps, &contents, unread)?;
        let missing =
            promise.passed.packets.saturating_sub(contents.passed.packets + unread.packets);
        if promise.is_video && missing * 10 > promise.passed.packets {
            let (frames, expected) = (contents.passed.packets, promise.passed.packets);
            bail!(fault(
                promise,
                format!("has {frames} frames in the output, expected {expected}")
            ));
        }
        if promise.is_video && missing > 0 {
            // Some encoders output empty packets, which a container may leave out.
            note(say, format!("{} of the output cannot be read back", counted(missing, "frame")));
        }
    }
    check_ends(media, promises, dropped_end, say)?;
    Ok(written)
}

/// Which of the `found` tracks has these caps: the first of the same kind, or else the first of the same class, such as
/// audio, whose kind none of `promises` has.
fn position(found: &[Contents], caps: &gst::Caps, promises: &[Promise]) -> Option<usize> {
    let is_same = |contents: &Contents| is_same_kind(&contents.caps, caps);
    let is_others = |contents: &Contents| {
        let mut all = promises.iter().filter_map(|promise| promise.caps.as_ref());
        all.any(|caps| is_same_kind(&contents.caps, caps))
    };
    let is_like =
        |contents: &Contents| class(&contents.caps) == class(caps) && !is_others(contents);
    found.iter().position(is_same).or_else(|| found.iter().position(is_like))
}

fn fault(promise: &Promise, cause: String) -> anyhow::Error {
    match promise.is_video {
        true => anyhow::anyhow!("the video {cause}"),
        false => TrackFault { track: promise.track, cause }.into(),
    }
}

/// How much of a track may be missing when it is read back.
#[derive(Clone, Copy, Default)]
struct Unread {
    packets: u64,
    nanoseconds: u64,
}

impl Unread {
    /// The part before `begin`, where the demuxer starts, if that is known, and a few packets more.
    fn before(begin: Option<u64>, passed: &Passed) -> Self {
        let Some(begin) = begin else { return Self::default() };
        let first = passed.first.unwrap_or(0);
        let (early, length) = (begin.saturating_sub(first), passed.end.saturating_sub(first));
        let share = early as f64 / length.max(1) as f64;
        Self {
            packets: 8 + (passed.packets as f64 * share.min(1.0)).ceil() as u64,
            nanoseconds: early,
        }
    }
}

fn compare(promise: &Promise, caps: &gst::Caps, contents: &Contents, unread: Unread) -> Result<()> {
    let (put, got) = (promise.passed, contents.passed);
    // Raw audio has no fixed packets, and an audio encoder may output headers first.
    let is_counted = !promise.is_encoded && !is_raw(caps) && !is_raw(&contents.caps);
    if is_counted && got.packets + got.hidden + unread.packets < put.packets {
        let cause = format!("has {} packets in the output, expected {}", got.packets, put.packets);
        bail!(fault(promise, cause));
    }
    // `matroskademux` of GStreamer 1.22 gives ProRes packets no times.
    let has_times = got.first.is_some() || got.packets == 0;
    // The last packet of the output may have no duration.
    let last = if promise.is_video { 0 } else { put.longest_step };
    if has_times
        && put.end.saturating_sub(put.first.unwrap_or(0))
            > got.end.saturating_sub(got.first.unwrap_or(0))
                + unread.nanoseconds
                + TOLERANCE.max(last)
    {
        let cause = format!(
            "lasts {:.2} s in the output, expected {:.2} s",
            (got.end - got.first.unwrap_or(0)) as f64 / 1e9,
            (put.end - put.first.unwrap_or(0)) as f64 / 1e9
        );
        bail!(fault(promise, cause));
    }
    // For other tracks, the container of the input may state wrong values.
    let is_known = promise.is_encoded || is_raw(caps);
    for name in ["channels", "rate"].into_iter().filter(|_| is_known) {
        if let (Some(put), Some(got)) =
            (field::<i32>(caps, name), field::<i32>(&contents.caps, name))
            && put != got
            // Opus runs at 48 kHz; its header gives the rate before encoding.
            && media_type(caps) != "audio/x-opus"
        {
            bail!(fault(promise, format!("has {got} {name} in the output, expected {put}")));
        }
    }
    Ok(())
}

/// Fails if the tracks end long before the duration of the file; notes audio that ends before the end that the file
/// states for it, and a video that ends before the other tracks.
fn check_ends(
    media: &Media,
    promises: &[Promise],
    dropped_end: Option<u64>,
    say: Say,
) -> Result<()> {
    let end = promises.iter().map(|promise| promise.passed.end).max().unwrap_or(0);
    let duration = media.duration.map(|duration| duration.saturating_sub(media.late_start));
    let duration = duration.map(gst::ClockTime::nseconds).filter(|_| end > 0);
    let Some((duration, dropped_end)) = duration.zip(dropped_end) else { return Ok(()) };
    let seconds = |time: u64| time as f64 / 1e9;
    let tolerance = (duration / 50).max(500_000_000);
    for promise in promises {
        let track = &media.tracks[promise.track];
        let (stated, end) = (track.stated.end.unwrap_or_default().nseconds(), promise.passed.end);
        if track.kind().starts_with("audio/") && end > 0 && end + tolerance < stated {
            let (number, end, stated) = (promise.track + 1, seconds(end), seconds(stated));
            note(
                say,
                format!("track {number} ends at {end:.1} s, but the file says {stated:.1} s"),
            );
        }
    }
    let ends =
        format!("it ends at {:.1} s, but its header says {:.1} s", seconds(end), seconds(duration));
    // The duration of a stream is the difference between its first and last clock, which may have jumped.
    let is_whole = end.max(dropped_end) + tolerance >= duration;
    if !is_whole && media.is_stream() {
        note(say, format!("its timestamps jump: {ends}"));
        return Ok(());
    }
    ensure!(is_whole, OutsideFault(format!("is truncated or damaged: {ends}")));
    let video = promises.iter().find(|promise| promise.is_video).map_or(0, |p| p.passed.end);
    if video + tolerance < end {
        note(
            say,
            format!(
                "the video ends at {:.1} s, other tracks at {:.1} s",
                seconds(video),
                seconds(end)
            ),
        );
    }
    Ok(())
}

/// Decodes every track of `output`, probed as `media`; fails on an error, or if frames of the video are missing.
pub fn verify(output: &Path, media: &Media, promises: &[Promise], say: Say) -> Result<()> {
    let frames = Tally::default();
    let counted = frames.clone();
    let (pipeline, _) = scan::open(output, media, true, move |source, end| {
        if media_type(&source.caps) == "video/x-raw" {
            counted.watch(end);
        }
    })?;
    pipeline.run(None, say).context("the output cannot be decoded")?;
    let video = promises.iter().find(|promise| promise.is_video);
    let expected = video.map_or(0, |video| video.passed.packets);
    let decoded = frames.get().packets;
    ensure!(
        decoded >= expected,
        "only {decoded} of {expected} frames of the output can be decoded"
    );
    Ok(())
}
