// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs images in memory through the filter.

use std::cell::Cell;

use anyhow::{Context, Result};
use gst_video::{VideoFormat, VideoInfo};
use image::{ColorType, DynamicImage, GrayImage, ImageBuffer, RgbImage, RgbaImage};

use crate::{
    protocol::Setup,
    worker::{
        elements::{
            filter::{configure, filter_description},
            rows,
        },
        pipeline::{Pipeline, fault},
    },
};

/// A pipeline that processes images.
pub struct ImagePipeline {
    pipeline: Pipeline,
    source: gst_app::AppSrc,
    sink: gst_app::AppSink,
    /// The time of the next image. Times increase, so that the filter can smooth.
    next: Cell<gst::ClockTime>,
}

impl ImagePipeline {
    pub fn filter(setup: &Setup) -> Result<Self> {
        let through = Self::new(&filter_description(setup))?;
        configure(&through.pipeline.part("filter")?, setup);
        Ok(through)
    }

    /// From elements in the syntax of `gst-launch-1.0`.
    pub fn new(description: &str) -> Result<Self> {
        let pipeline = Pipeline::parse(&format!(
            "appsrc name=in format=time ! {description} ! appsink name=out sync=false"
        ))?;
        let (source, sink) = (pipeline.part("in")?, pipeline.part("out")?);
        Ok(Self { pipeline, source, sink, next: Cell::default() })
    }

    pub fn push(&self, picture: &DynamicImage) -> Result<gst::Sample> {
        let (info, buffer) = frame(picture)?;
        self.send(buffer, &info.to_caps()?)?;
        self.result()
    }

    /// The result for an encoded picture with these caps. No other picture can follow.
    pub fn push_last(&self, buffer: gst::Buffer, caps: &gst::Caps) -> Result<gst::Sample> {
        self.send(buffer, caps)?;
        self.source.end_of_stream()?;
        self.result()
    }

    fn send(&self, mut buffer: gst::Buffer, caps: &gst::Caps) -> Result<()> {
        buffer.make_mut().set_pts(self.next.replace(self.next.get() + gst::ClockTime::SECOND));
        let sample = gst::Sample::builder().buffer(&buffer).caps(caps).build();
        self.pipeline.play()?;
        let sent = self.source.push_sample(&sample);
        sent.map(drop).map_err(|_| self.pipeline.failure("the filter does not accept the image"))
    }

    fn result(&self) -> Result<gst::Sample> {
        self.pipeline.pull(&self.sink)?.context(fault::NOTHING_DECODED)
    }

    /// The result for `picture`, in its own colour type.
    pub fn translate(&self, picture: &DynamicImage) -> Result<DynamicImage> {
        let translated = image_of(&self.push(picture)?)?;
        Ok(as_color(translated, picture.color()))
    }
}

/// GStreamer's 16-bit RGBA in native byte order.
const RGBA64: VideoFormat =
    if cfg!(target_endian = "little") { VideoFormat::Rgba64Le } else { VideoFormat::Rgba64Be };

/// `picture` as a GStreamer frame: 8-bit grey, RGB or RGBA, or 16-bit RGBA.
pub fn frame(picture: &DynamicImage) -> Result<(VideoInfo, gst::Buffer)> {
    let (format, bytes) = match picture {
        DynamicImage::ImageLuma8(pixels) => (VideoFormat::Gray8, pixels.as_raw().clone()),
        DynamicImage::ImageRgb8(pixels) => (VideoFormat::Rgb, pixels.as_raw().clone()),
        DynamicImage::ImageRgba8(pixels) => (VideoFormat::Rgba, pixels.as_raw().clone()),
        DynamicImage::ImageLumaA8(_) => (VideoFormat::Rgba, picture.to_rgba8().into_raw()),
        deep => {
            let numbers = deep.to_rgba16().into_raw();
            (RGBA64, numbers.iter().flat_map(|number| number.to_ne_bytes()).collect())
        }
    };
    let (width, height) = (picture.width(), picture.height());
    // Full-range sRGB, not a broadcast colour space.
    let info = VideoInfo::builder(format, width, height).fps(gst::Fraction::new(1, 1)).build()?;
    let mut buffer = rows::read(&mut bytes.as_slice(), &info)?;
    let writable = buffer.make_mut();
    writable.set_pts(gst::ClockTime::ZERO);
    writable.set_duration(gst::ClockTime::SECOND);
    Ok((info, buffer))
}

pub fn image_of(sample: &gst::Sample) -> Result<DynamicImage> {
    let info = VideoInfo::from_caps(sample.caps().context("no caps")?)?;
    let (width, height) = (info.width(), info.height());
    let mut bytes = Vec::new();
    rows::write(sample.buffer().context("no buffer")?, &info, &mut bytes)?;
    let picture = match info.format() {
        VideoFormat::Gray8 => GrayImage::from_raw(width, height, bytes).map(Into::into),
        VideoFormat::Rgb => RgbImage::from_raw(width, height, bytes).map(Into::into),
        VideoFormat::Rgba => RgbaImage::from_raw(width, height, bytes).map(Into::into),
        _ => {
            let numbers = bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_ne_bytes(*pair));
            let pixels = ImageBuffer::from_raw(width, height, numbers.collect());
            pixels.map(DynamicImage::ImageRgba16)
        }
    };
    picture.context("a frame that is too small")
}

/// `picture` in this colour type, if its components are integers.
pub fn as_color(picture: DynamicImage, color: ColorType) -> DynamicImage {
    match color {
        ColorType::Rgba8 => picture.to_rgba8().into(),
        ColorType::La8 => picture.to_luma_alpha8().into(),
        ColorType::L16 => picture.to_luma16().into(),
        ColorType::La16 => picture.to_luma_alpha16().into(),
        ColorType::Rgb16 | ColorType::Rgb32F => picture.to_rgb16().into(),
        _ => picture,
    }
}
