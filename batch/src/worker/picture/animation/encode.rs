// SPDX-License-Identifier: MIT OR Apache-2.0

//! Animated images whose outputs are animated images. Each frame is encoded as an image of its own, and its data become
//! a frame of a PNG (third edition, section 11.3.6) or a WebP (RFC 9649, section 2.7.1).

use std::{fs, io::Cursor, path::Path};

use anyhow::{Context, Result, ensure};
use image::{
    ColorType, Delay, DynamicImage, ImageDecoder, ImageFormat, ImageReader,
    metadata::{LoopCount, Orientation},
};
use img_parts::{
    Bytes, DynImage, ImageEXIF, ImageICC,
    png::{Png, PngChunk},
    riff::{RiffChunk, RiffContent},
    webp::{CHUNK_ALPH, CHUNK_ANIM, CHUNK_ANMF, CHUNK_VP8, CHUNK_VP8L, CHUNK_VP8X, WebP},
};

use super::source::decode;
use crate::{
    picture::{PictureFormat, animation_format},
    protocol::{Say, Setup},
    worker::picture::{
        ancillary::Ancillary,
        encode::{encode_pixels, save},
        metadata::Metadata,
        pixels::ImagePipeline,
        read::{Picture, is_lossless},
    },
};

/// Flags of VP8X: the image has frames, and transparency.
const ANIMATION: u8 = 0x02;
const ALPHA: u8 = 0x10;
/// Flag of a frame of WebP: it replaces what was there before, transparency included.
const NO_BLENDING: u8 = 0x02;
/// The longest duration of a frame of WebP, in milliseconds.
const LONGEST: u32 = 0xFF_FFFF;

/// The format of the animation `input`, if `output` can hold its frames.
pub fn format(input: &Path, output: PictureFormat) -> Result<Option<ImageFormat>> {
    Ok(if output.can_be_animated() { animation_format(input)? } else { None })
}

/// Translates the animation `input`, and returns how many frames it has. In a dry run it only reports what the output
/// would lack.
pub fn translate(
    setup: &Setup,
    (input, format): (&Path, ImageFormat),
    (output, output_format): (&Path, PictureFormat),
    say: Say,
) -> Result<u64> {
    let bytes = fs::read(input)?;
    let mut decoder = ImageReader::with_format(Cursor::new(&bytes), format).into_decoder()?;
    let has_alpha = decoder.color_type().has_alpha();
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut metadata = Metadata::of(&mut decoder).completed(&bytes, format, say);
    drop(decoder);
    metadata.make_upright(is_turned(orientation), say);
    let ancillary = Ancillary::of(&bytes, format, output_format, say);
    if setup.dry_run {
        return Ok(1);
    }

    let filter = ImagePipeline::filter(setup)?;
    let is_lossless = output_format == PictureFormat::Png || is_lossless(&bytes, format);
    let (frames, plays) = decode(Cursor::new(&bytes), format)?;
    let mut encoder = Encoder { format: output_format, has_alpha, plays, frames: Vec::new() };
    let mut size = (0, 0);
    for frame in frames {
        let frame = frame.context("is damaged")?;
        let delay = frame.delay();
        let mut pixels = DynamicImage::ImageRgba8(frame.into_buffer());
        pixels.apply_orientation(orientation);
        if !has_alpha {
            pixels = pixels.into_rgb8().into();
        }
        let pixels = filter.translate(&pixels)?;
        size = (pixels.width(), pixels.height());
        let picture = Picture { pixels, metadata: Metadata::default(), is_lossless, format };
        encoder.frames.push((encode_pixels(&picture, output_format, say)?.into(), delay));
    }
    let count = encoder.frames.len();
    let mut encoded =
        DynImage::from_bytes(encoder.finish(size)?)?.context("the encoder's image")?;
    encoded.set_icc_profile(metadata.icc_for(ColorType::Rgb8, say).map(Bytes::from));
    encoded.set_exif(metadata.exif.map(Bytes::from));
    let encoded = encoded.encoder().bytes().into();
    let encoded = ancillary.insert(metadata.xmp, encoded, output_format)?;
    save(output, &encoded, size)?;
    // Before it gets its final name, its frames must be readable.
    let written = animation_format(output)?.context("the output is not animated")?;
    let (frames, _) = decode(Cursor::new(&encoded), written)?;
    let found = frames.take_while(Result::is_ok).count();
    ensure!(found == count, "the output has {found} of {count} frames that can be decoded");
    Ok(count as u64)
}

/// Whether width and height change places.
fn is_turned(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

/// Collects the frames of an animation.
struct Encoder {
    format: PictureFormat,
    has_alpha: bool,
    plays: LoopCount,
    /// Images of the same size and colour type, and their durations.
    frames: Vec<(Bytes, Delay)>,
}

impl Encoder {
    fn finish(self, size: (u32, u32)) -> Result<Bytes> {
        ensure!(!self.frames.is_empty(), "is damaged: it has no frame");
        match self.format {
            PictureFormat::Webp => self.webp(size),
            _ => self.png(size),
        }
    }

    /// How often it is played; 0 is forever.
    fn plays(&self) -> u32 {
        match self.plays {
            LoopCount::Infinite => 0,
            LoopCount::Finite(count) => count.get(),
        }
    }

    fn webp(self, (width, height): (u32, u32)) -> Result<Bytes> {
        let size = [u24(width - 1), u24(height - 1)].concat();
        let flags = if self.has_alpha { ANIMATION | ALPHA } else { ANIMATION };
        let plays = u16::try_from(self.plays()).unwrap_or(u16::MAX);
        // After the background, which is transparent.
        let loops = [&[0; 4], &plays.to_le_bytes()[..]].concat();
        let mut chunks = vec![
            chunk(CHUNK_VP8X, [&[flags, 0, 0, 0], &size[..]].concat()),
            chunk(CHUNK_ANIM, loops),
        ];
        for (image, delay) in self.frames {
            let mut frame = vec![0; 6];
            frame.extend(&size);
            let (numerator, denominator) = delay.numer_denom_ms();
            frame.extend(u24((numerator / denominator.max(1)).min(LONGEST)));
            frame.push(NO_BLENDING);
            let image = WebP::from_bytes(image)?;
            let is_pixels =
                |part: &&RiffChunk| [CHUNK_ALPH, CHUNK_VP8, CHUNK_VP8L].contains(&part.id());
            for part in image.chunks().iter().filter(is_pixels) {
                frame.extend(part.clone().encoder().bytes());
            }
            chunks.push(chunk(CHUNK_ANMF, frame));
        }
        let list = RiffContent::List { kind: Some(*b"WEBP"), subchunks: chunks };
        Ok(WebP::new(RiffChunk::new(*b"RIFF", list))?.encoder().bytes())
    }

    fn png(self, (width, height): (u32, u32)) -> Result<Bytes> {
        let count = self.frames.len() as u32;
        let animation = [count, self.plays()].map(u32::to_be_bytes).concat();
        let mut numbers = 0_u32..;
        let mut number = || numbers.next().unwrap_or_default().to_be_bytes();
        let mut animated: Option<Png> = None;
        for (image, delay) in self.frames {
            let mut image = Png::from_bytes(image)?;
            let size = [width, height, 0, 0].map(u32::to_be_bytes).concat();
            // It replaces the previous frame, which stays until then.
            let control =
                [&number()[..], &size, &png_delay(delay).map(u16::to_be_bytes).concat(), &[0; 2]];
            let control = PngChunk::new(*b"fcTL", control.concat().into());
            match &mut animated {
                None => {
                    let chunks = image.chunks_mut();
                    chunks
                        .splice(1..1, [PngChunk::new(*b"acTL", animation.clone().into()), control]);
                    chunks.retain(|chunk| chunk.kind() != *b"IEND");
                    animated = Some(image);
                }
                Some(animated) => {
                    animated.chunks_mut().push(control);
                    let data = image.chunks().iter().filter(|chunk| chunk.kind() == *b"IDAT");
                    let data = data.map(|data| [&number()[..], data.contents()].concat());
                    let chunks = data.map(|data| PngChunk::new(*b"fdAT", data.into()));
                    animated.chunks_mut().extend(chunks);
                }
            }
        }
        let mut animated = animated.context("is damaged: it has no frame")?;
        animated.chunks_mut().push(PngChunk::new(*b"IEND", Bytes::new()));
        Ok(animated.encoder().bytes())
    }
}

fn chunk(id: [u8; 4], content: Vec<u8>) -> RiffChunk {
    RiffChunk::new(id, RiffContent::Data(content.into()))
}

/// 24 bits in little-endian order.
fn u24(number: u32) -> [u8; 3] {
    let [low, middle, high, _] = number.to_le_bytes();
    [low, middle, high]
}

/// The duration of a frame of PNG as a fraction of seconds, to a millisecond if it does not fit exactly.
fn png_delay(delay: Delay) -> [u16; 2] {
    let (numerator, denominator) = delay.numer_denom_ms();
    let denominator = denominator.max(1);
    let exact =
        [Some(numerator), denominator.checked_mul(1000)].map(|part| u16::try_from(part?).ok());
    match exact {
        [Some(numerator), Some(denominator)] => [numerator, denominator],
        _ => [u16::try_from(numerator / denominator).unwrap_or(u16::MAX), 1000],
    }
}
