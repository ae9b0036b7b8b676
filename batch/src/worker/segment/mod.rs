// SPDX-License-Identifier: MIT OR Apache-2.0

//! Translates and encodes a segment of a video, or the whole video, into a playable file.

pub mod branch;
pub mod formats;
mod packets;
pub mod plan;
pub mod source;
mod video;

use std::path::Path;

use anyhow::{Context, Result};
use gst::prelude::*;

use self::branch::Branch;
use crate::{
    container::Container,
    encoding::segment_container,
    protocol::{Say, Setup, Span, send_notice},
    worker::{
        elements::chain::Chain,
        muxer::Muxer,
        pads::{clip, tally::PacketStats},
        pipeline::Pipeline,
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
    pub fn run(&self, say: Say) -> Result<(u64, gst::ClockTime)> {
        let Self { setup, input, container, span, .. } = *self;
        // The demuxer outputs all times of a file that was planned to be read from a key frame on.
        let media = &match span.seek {
            Some(_) => Media::probe(input)?,
            None => Media::probe_input(input, say)?,
        };
        let files = segment_container(&setup.recipe, container);
        let read = |pipeline: &Pipeline, sink| {
            source::open(pipeline, input, media, span.seek.unwrap_or_default(), sink)?;
            Ok(span.frames)
        };
        let write = |pipeline: &Pipeline, chain: &Chain| self.write(pipeline, chain, files);
        let translated =
            Branch { setup, media, span, container, is_timed: true }.run(write, read, say)?;
        if files == Container::Ts && translated.frames.longest_step > clip::LONG_FRAME {
            let (encoder, name) = (translated.encoding.encoder_name(), container.name());
            let lost = format!("{encoder} in {name} does not keep their times");
            send_notice(
                say,
                format!("has frames that are shown for more than half a second; {lost}"),
            );
        }
        let PacketStats { packets, first, .. } = translated.frames;
        Ok((packets, clip::origin(span) + first.unwrap_or_default()))
    }

    /// Writes the output of `chain` to a file in the container `files`.
    fn write(&self, pipeline: &Pipeline, chain: &Chain, files: Container) -> Result<()> {
        let muxer = Muxer::new(files)?;
        let how = muxer.pad_for(&chain.caps).context("no segment container can hold the video")?;
        let mux = &muxer.element;
        if mux.has_property("timecodescale") && self.container != Container::Mkv {
            // Microseconds, because milliseconds are too coarse for other containers than Matroska.
            mux.set_property("timecodescale", 1000i64);
        }
        pipeline.write_file(mux, self.output)?;
        muxer.link_video(&chain.src()?, &how)?;
        Ok(())
    }
}
