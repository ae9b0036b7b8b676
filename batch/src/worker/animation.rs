// SPDX-License-Identifier: MIT OR Apache-2.0

//! Animated GIFs as video: GStreamer 1.22's own demuxer hangs on some of them.

use std::{fs::File, io::BufReader, path::Path};

use anyhow::{Context, Result};
use image::{AnimationDecoder, DynamicImage, ImageDecoder, codecs::gif::GifDecoder};

use super::{frames, pixels};

/// Duration of a frame whose duration is 0, as in browsers.
const USUAL: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// A source of the frames in a file.
pub fn source(input: &Path) -> Result<gst::Element> {
    let decoder = GifDecoder::new(BufReader::new(File::open(input)?)).context("is damaged")?;
    let (width, height) = decoder.dimensions();
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgba, width, height);
    let caps = info.fps(gst::Fraction::new(0, 1)).build()?.to_caps()?;
    Ok(frames::source(|| frames(decoder, caps)))
}

fn frames(
    decoder: GifDecoder<BufReader<File>>,
    caps: gst::Caps,
) -> impl Iterator<Item = Result<gst::Sample>> {
    let mut time = gst::ClockTime::ZERO;
    decoder.into_frames().map(move |frame| {
        let frame = frame.context("is damaged")?;
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        let delay = u64::from(numerator) * 1_000_000 / u64::from(denominator.max(1));
        let delay = if delay == 0 { USUAL } else { gst::ClockTime::from_nseconds(delay) };
        let (_, mut buffer) = pixels::frame(&DynamicImage::ImageRgba8(frame.into_buffer()))?;
        let writable = buffer.make_mut();
        writable.set_pts(time);
        writable.set_duration(delay);
        time += delay;
        Ok(gst::Sample::builder().buffer(&buffer).caps(&caps).build())
    })
}
