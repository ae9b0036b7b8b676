// SPDX-License-Identifier: MIT OR Apache-2.0

//! Animated GIF, PNG and WebP as video. GStreamer 1.22 hangs on some GIFs, and decodes only the first frame of
//! the others.

use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
};

use anyhow::{Context, Result};
use image::{
    AnimationDecoder, DynamicImage, Frames, ImageDecoder, ImageFormat, ImageReader, ImageResult,
    codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder},
};

use super::{frames, pixels};

/// Duration of a frame whose duration is 0, as in browsers.
const USUAL: gst::ClockTime = gst::ClockTime::from_mseconds(100);

type Input = BufReader<File>;

enum Decoder {
    Gif(Box<GifDecoder<Input>>),
    Png(Box<PngDecoder<Input>>),
    Webp(Box<WebPDecoder<Input>>),
}

impl Decoder {
    /// For a file with several frames, or a GIF; `None` if it is neither.
    fn open(input: &Path) -> Result<Option<Self>> {
        let open = || Ok::<_, io::Error>(BufReader::new(File::open(input)?));
        Ok(match ImageReader::open(input)?.with_guessed_format()?.format() {
            Some(ImageFormat::Gif) => Some(Self::Gif(Box::new(GifDecoder::new(open()?)?))),
            Some(ImageFormat::Png) => {
                let png = PngDecoder::new(open()?)?;
                let color = png.color_type();
                // `image` gives the frames of 8 bits only.
                let is_deep = color.bytes_per_pixel() > color.channel_count();
                (png.is_apng()? && !is_deep).then(|| Self::Png(Box::new(png)))
            }
            Some(ImageFormat::WebP) => {
                let webp = WebPDecoder::new(open()?)?;
                webp.has_animation().then(|| Self::Webp(Box::new(webp)))
            }
            _ => None,
        })
    }

    fn image(&mut self) -> &mut dyn ImageDecoder {
        match self {
            Self::Gif(gif) => &mut **gif,
            Self::Png(png) => &mut **png,
            Self::Webp(webp) => &mut **webp,
        }
    }

    fn into_frames(self) -> ImageResult<Frames<'static>> {
        Ok(match self {
            Self::Gif(gif) => gif.into_frames(),
            Self::Png(png) => png.apng()?.into_frames(),
            Self::Webp(webp) => webp.into_frames(),
        })
    }
}

/// Whether a file is an animated PNG or WebP.
pub fn is_animated_picture(input: &Path) -> bool {
    matches!(Decoder::open(input), Ok(Some(Decoder::Png(_) | Decoder::Webp(_))))
}

/// What of an animation is known before it is decoded.
#[derive(Clone, Debug)]
pub struct Animation {
    pub media_type: &'static str,
    /// Whether it may be transparent; the transparency of a GIF only tells its frames apart.
    pub has_alpha: bool,
    /// What a video cannot hold.
    pub losses: Vec<&'static str>,
}

/// The animation in a file, if it is one.
pub fn probe(input: &Path) -> Result<Option<Animation>> {
    let Some(mut decoder) = Decoder::open(input)? else { return Ok(None) };
    let (media_type, is_gif) = match decoder {
        Decoder::Gif(_) => ("image/gif", true),
        Decoder::Png(_) => ("image/png", false),
        Decoder::Webp(_) => ("image/webp", false),
    };
    let image = decoder.image();
    let has_alpha = image.color_type().has_alpha() && !is_gif;
    let metadata = [
        ("colour profile", image.icc_profile()),
        ("EXIF", image.exif_metadata()),
        ("XMP metadata", image.xmp_metadata()),
    ];
    let found = metadata.into_iter().filter(|(_, data)| matches!(data, Ok(Some(_))));
    let losses = found.map(|(name, _)| name).collect();
    Ok(Some(Animation { media_type, has_alpha, losses }))
}

/// A source of the frames in a file.
pub fn source(input: &Path) -> Result<gst::Element> {
    let mut decoder = Decoder::open(input).context("is damaged")?.context("is no animation")?;
    let (width, height) = decoder.image().dimensions();
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgba, width, height);
    let caps = info.fps(gst::Fraction::new(0, 1)).build()?.to_caps()?;
    Ok(frames::source(|| timed(decoder, caps)))
}

/// The frames one after another, each with its time and duration.
fn timed(decoder: Decoder, caps: gst::Caps) -> impl Iterator<Item = Result<gst::Sample>> {
    let mut time = gst::ClockTime::ZERO;
    let decoded = decoder
        .into_frames()
        .unwrap_or_else(|error| Frames::new(Box::new(std::iter::once(Err(error)))));
    decoded.map(move |frame| {
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
