// SPDX-License-Identifier: MIT OR Apache-2.0

//! Animated GIFs as video: GStreamer 1.22's own demuxer hangs on some of them.

use std::{
    fs::File,
    io::BufReader,
    path::Path,
    sync::{Mutex, Once},
    thread,
};

use anyhow::{Context, Result};
use gst::prelude::*;
use image::{AnimationDecoder, DynamicImage, Frame, ImageDecoder, codecs::gif::GifDecoder};

use super::pixels;

/// Duration of a frame whose duration is 0, as in browsers.
const USUAL: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// A source of the frames in a file.
pub fn source(input: &Path) -> Result<gst::Element> {
    let decoder = GifDecoder::new(BufReader::new(File::open(input)?)).context("is damaged")?;
    let (width, height) = decoder.dimensions();
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgba, width, height);
    let source = gst_app::AppSrc::builder()
        .format(gst::Format::Time)
        .is_live(false)
        .block(true)
        .max_bytes(u64::from(width) * u64::from(height) * 16)
        .caps(&info.fps(gst::Fraction::new(0, 1)).build()?.to_caps()?)
        .build();
    let decoder = Mutex::new(Some(decoder));
    let (sink, begun) = (source.clone(), Once::new());
    // Wait for need-data: buffers pushed before it are lost.
    let need_data = move |_: &gst_app::AppSrc, _| {
        begun.call_once(|| {
            let decoder = decoder.lock().ok().and_then(|mut decoder| decoder.take());
            let sink = sink.clone();
            thread::spawn(move || {
                if let Err(error) =
                    push_all(&sink, decoder.into_iter().flat_map(GifDecoder::into_frames))
                {
                    gst::element_error!(sink, gst::StreamError::Decode, ("{error:#}"));
                }
            });
        });
    };
    source.set_callbacks(gst_app::AppSrcCallbacks::builder().need_data(need_data).build());
    Ok(source.upcast())
}

fn push_all(
    sink: &gst_app::AppSrc,
    frames: impl Iterator<Item = image::ImageResult<Frame>>,
) -> Result<()> {
    let mut time = gst::ClockTime::ZERO;
    for frame in frames {
        let frame = frame.context("is damaged")?;
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        let delay = u64::from(numerator) * 1_000_000 / u64::from(denominator.max(1));
        let delay = if delay == 0 { USUAL } else { gst::ClockTime::from_nseconds(delay) };
        let (_, mut buffer) = pixels::frame(&DynamicImage::ImageRgba8(frame.into_buffer()))?;
        let writable = buffer.make_mut();
        writable.set_pts(time);
        writable.set_duration(delay);
        time += delay;
        if sink.push_buffer(buffer).is_err() {
            // The pipeline was stopped, and reports the cause itself.
            return Ok(());
        }
    }
    // As above.
    let _ = sink.end_of_stream();
    Ok(())
}
