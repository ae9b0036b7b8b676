// SPDX-License-Identifier: MIT OR Apache-2.0

//! The output: the translated segments as its video, and the other tracks of the input.
//!
//! The video is not encoded here, so this takes seconds. It is repeated if a container refuses a track: that track is
//! re-encoded or left out, but the video is never lost.

mod attempt;
mod branch;
pub mod check;
mod completion;
mod encoder;
mod links;
pub mod mapping;
mod observations;
mod reader;
mod subtitles;
mod written;

use std::{io, path::Path};

use anyhow::{Result, ensure};

use self::{
    attempt::Attempt,
    mapping::{Action, Mapping},
};
use crate::{
    container::Container,
    protocol::{Say, Segment, Setup, Span, send_notices},
    worker::{
        containers::matroska,
        muxer::Muxer,
        pads::window::{Window, nanoseconds, time_at},
        pipeline::{
            fault::{CutFault, OutsideFault, TrackFault},
            progress::heartbeat,
        },
        probe::{Media, Track, scan},
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
        let media = &Media::probe(self.input)?;
        let placed = self.window(media)?;
        if media.is_matroska() {
            let damage = matroska::damage(self.input, heartbeat(say));
            send_notices(say, damage);
        }
        let mut refused = Vec::new();
        loop {
            let Mapping { actions, notices } =
                Mapping::new(media, &Muxer::new(self.container)?, &self.setup.recipe, &refused);
            let window = with_priming(placed, media, &actions);
            match (Attempt { mux: self, media, actions: &actions, window }).run(say) {
                Ok(frames) => {
                    send_notices(say, notices);
                    return Ok(frames);
                }
                Err(error) => {
                    let codecs: Vec<&str> = media.tracks.iter().map(Track::codec).collect();
                    let more = to_change(&error, &actions, &codecs);
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

    /// Fails if only `written` frames were written, and the segments have more.
    fn check_frames(&self, written: u64) -> Result<()> {
        let expected: u64 = self.segments.iter().map(|segment| segment.frames).sum();
        let lost = format!("only {written} of {expected} translated frames can be read back");
        ensure!(written >= expected, CutFault(lost));
        Ok(())
    }

    /// The part of the input that goes into the output.
    fn window(&self, media: &Media) -> Result<Window> {
        let start = self.spans().next().map(|span| span.start).unwrap_or_default();
        let stop = self.spans().last().and_then(|span| span.stop);
        let mut window = Window { start, stop, ..Window::default() };
        if !self.is_part() && media.builtin.is_none() {
            let earliest =
                scan::earliest(self.input, media, !self.container.is_matroska())?.unwrap_or(0);
            // The timestamps of a stream may start at any time, those of a file start at 0.
            if earliest < 0 || media.is_stream() {
                window.shift = -earliest;
            }
            if !media.is_stream() {
                window.lead = time_at(window.shift).unwrap_or_default();
            }
        }
        Ok(window)
    }

    /// Whether the output has only a part of the input.
    fn is_part(&self) -> bool {
        self.spans().next().is_some_and(|span| !span.start.is_zero())
            || self.spans().last().is_some_and(|span| span.stop.is_some())
    }

    fn spans(&self) -> impl Iterator<Item = &Span> {
        self.segments.iter().map(|segment| &segment.span)
    }
}

/// The `window` with room for what encoders output before the sound.
fn with_priming(window: Window, media: &Media, actions: &[Action]) -> Window {
    let all = media.tracks.iter().zip(actions).map(|(track, action)| action.priming(track));
    let priming = all.max().unwrap_or_default();
    let shift = window.shift + nanoseconds(priming);
    Window { shift, lead: window.lead + priming, ..window }
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
        true => all(|action| matches!(action, Action::Encode(_) | Action::PlainText(_))),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::{encoder::Encoder, *};
    use crate::worker::pipeline::fault::{NO_SPACE, explain};

    #[test]
    fn tracks_change_only_for_errors_of_tracks() {
        gst::init().unwrap();
        let encoder = Encoder {
            elements: "flacenc".to_owned(),
            codec: "FLAC".to_owned(),
            is_raw: false,
            is_chosen: false,
        };
        let actions = [Action::Translate, Action::Encode(encoder), Action::Drop];
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
