// SPDX-License-Identifier: MIT OR Apache-2.0

//! Animated GIF, PNG and WebP as video. GStreamer 1.22 hangs on some GIFs, and decodes only the first frame of
//! the others.

use std::{
    io::{BufRead, Seek},
    path::Path,
};

use anyhow::{Context, Result};
use image::{
    AnimationDecoder, DynamicImage, Frames, ImageDecoder, ImageFormat, ImageReader, ImageResult,
    codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder},
    metadata::LoopCount,
};

use crate::{
    picture::{animation_format, open},
    worker::{elements::frames, picture::pixels},
};

/// Duration of a frame whose duration is 0, as in browsers.
const DEFAULT_DURATION: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// What is known about an animation before it is decoded.
#[derive(Clone, Debug)]
pub struct Animation {
    pub media_type: &'static str,
    /// Whether it has alpha. The alpha of a GIF does not count: it only marks the pixels that a frame leaves unchanged.
    pub has_alpha: bool,
    /// Metadata that a video cannot hold.
    pub losses: Vec<&'static str>,
}

impl Animation {
    /// The caps of its frames, as far as they are known.
    pub fn caps(&self) -> gst::Caps {
        let alpha = self.has_alpha.then(|| gst_video::VideoFormat::Rgba.to_str());
        gst::Caps::builder(self.media_type).field_if_some("format", alpha).build()
    }
}

pub fn probe(input: &Path) -> Result<Option<Animation>> {
    let Some(format) = animation_format(input)? else { return Ok(None) };
    let mut image = ImageReader::with_format(open(input)?, format).into_decoder()?;
    let has_alpha = image.color_type().has_alpha() && format != ImageFormat::Gif;
    let metadata = [
        ("colour profile", image.icc_profile()),
        ("EXIF", image.exif_metadata()),
        ("XMP metadata", image.xmp_metadata()),
    ];
    let found = metadata.into_iter().filter(|(_, data)| matches!(data, Ok(Some(_))));
    let losses = found.map(|(name, _)| name).collect();
    Ok(Some(Animation { media_type: format.to_mime_type(), has_alpha, losses }))
}

pub fn source(input: &Path) -> Result<gst::Element> {
    let format = animation_format(input).context("is damaged")?.context("is not an animation")?;
    let (width, height) = ImageReader::with_format(open(input)?, format).into_dimensions()?;
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgba, width, height);
    // Containers get the duration of the last frame only from the frame rate.
    let last = timed(decode_file(input, format)).map_while(Result::ok).last();
    let rate = last.and_then(|last| rate(last.end - last.start));
    let caps = info.fps(rate.unwrap_or(gst::Fraction::new(0, 1))).build()?.to_caps()?;
    let input = input.to_owned();
    Ok(frames::source(move || {
        timed(decode_file(&input, format)).map(move |frame| {
            let Timed { image, start, end } = frame?;
            let (_, mut buffer) = pixels::frame(&image)?;
            let writable = buffer.make_mut();
            writable.set_pts(start);
            writable.set_duration(end - start);
            Ok(gst::Sample::builder().buffer(&buffer).caps(&caps).build())
        })
    }))
}

/// The frame rate at which a frame lasts for `duration`, to a microsecond.
fn rate(duration: gst::ClockTime) -> Option<gst::Fraction> {
    let duration = i32::try_from(duration.useconds()).ok().filter(|duration| *duration > 0)?;
    Some(gst::Fraction::new(1_000_000, duration))
}

/// The frames of an animation, and how often it is played.
pub fn decode<'a>(
    image: impl BufRead + Seek + 'a,
    format: ImageFormat,
) -> ImageResult<(Frames<'a>, LoopCount)> {
    fn parts<'a>(decoder: impl AnimationDecoder<'a>) -> (Frames<'a>, LoopCount) {
        let count = decoder.loop_count();
        (decoder.into_frames(), count)
    }
    Ok(match format {
        ImageFormat::Gif => parts(GifDecoder::new(image)?),
        ImageFormat::Png => parts(PngDecoder::new(image)?.apng()?),
        _ => parts(WebPDecoder::new(image)?),
    })
}

fn decode_file(input: &Path, format: ImageFormat) -> ImageResult<Frames<'static>> {
    decode(open(input)?, format).map(|(frames, _)| frames)
}

/// A frame, and when it starts and ends.
struct Timed {
    image: DynamicImage,
    start: gst::ClockTime,
    end: gst::ClockTime,
}

/// The frames with their times.
fn timed(decoded: ImageResult<Frames<'static>>) -> impl Iterator<Item = Result<Timed>> {
    let mut end = gst::ClockTime::ZERO;
    let decoded =
        decoded.unwrap_or_else(|error| Frames::new(Box::new(std::iter::once(Err(error)))));
    decoded.map(move |frame| {
        let frame = frame.context("is damaged")?;
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        let delay = u64::from(numerator) * 1_000_000 / u64::from(denominator.max(1));
        let delay =
            if delay == 0 { DEFAULT_DURATION } else { gst::ClockTime::from_nseconds(delay) };
        let start = end;
        end += delay;
        Ok(Timed { image: DynamicImage::ImageRgba8(frame.into_buffer()), start, end })
    })
}
