// SPDX-License-Identifier: MIT OR Apache-2.0

//! The video branch: decoded frames through the filter into an encoder.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Result, anyhow};
use gst::prelude::*;
use gst_video::{VideoBufferFlags, VideoCaptionMeta, VideoInfo, prelude::*};

use super::formats::{correct_caps, give_rate, keep_depth, keep_range};
use crate::{
    encoding::Encoding,
    lock::lock,
    options::Recipe,
    protocol::Setup,
    worker::{
        elements::{
            caps::{PIXEL_ASPECT, frame_size},
            chain::Chain,
            filter::{configure, filter_description},
            is_of, pad,
        },
        hdr,
        pads::{
            padding,
            probes::{on_buffers, on_caps, on_first_buffer},
        },
        pipeline::fault,
        probe::{Track, losses},
        repairs::prores,
    },
};

/// A queue of raw frames between two threads.
const FRAMES: &str = "queue max-size-buffers=3 max-size-bytes=0 max-size-time=0";

/// The input of `deinterlace`, which supports only 8-bit formats and passes others through.
const DEINTERLACED: &str = "capsfilter caps=\"video/x-raw,interlace-mode=progressive; \
     video/x-raw,format=(string){I420,YV12,NV12,NV21,Y42B,Y444,YUY2,UYVY,Y41B,AYUV,BGRA,RGBA,RGB,BGR}\"";

/// A chain from decoded video of `track` to translated and encoded video. Named parts: `begin`, its first element, and
/// `filter`.
pub fn chain(setup: &Setup, encoding: &Encoding, track: &Track) -> Result<Chain> {
    let tone_map = hdr::tone_map(&track.caps, encoding);
    let upright = track.direction().map(|turn| format!("! videoflip video-direction={turn}"));
    let upright = upright.unwrap_or_default();
    // videoconvert copies out of a decoder's memory; videoflip makes frames upright for the generator.
    let chain = Chain::new(&format!(
        "{FRAMES} name=begin ! videoconvert name=decoded-convert ! capsfilter name=decoded-format {upright} \
         ! {DEINTERLACED} ! deinterlace name=fields fields=top method=greedyh ! videoscale name=scale add-borders=true \
         ! capsfilter name=size ! {before} {tones} {filter} ! {FRAMES} ! videocrop name=even \
         ! videoconvert name=convert ! {raw} ! capsfilter name=format ! {encoder} ! identity name=end",
        before = encoding.before,
        tones = if tone_map.is_some() { hdr::TONE_MAPPING } else { "" },
        filter = filter_description(setup),
        raw = encoding.raw,
        encoder = encoding.encoder,
    ))?;
    configure(&chain.part("filter")?, setup);
    begin_with_first_field(&chain.part("fields")?)?;
    keep_size(&chain.pad("scale", "sink")?, &chain.part("size")?);
    correct_caps(&chain.pad("begin", "sink")?);
    padding::pad_frames(&chain.pad("begin", "sink")?);
    if let Some(map) = tone_map {
        hdr::map_tones(&chain.part("tones")?, map, setup.threads)?;
    }
    if !encoding.takes_odd_sizes {
        crop_to_even(&chain.part("even")?)?;
    }
    let format = chain.part("format")?;
    if encoding.raw == "video/x-raw" {
        keep_depth(&chain.part("convert")?, &format, &format)?;
    }
    keep_depth(&chain.part("decoded-convert")?, &chain.part("decoded-format")?, &format)?;
    keep_range(&chain.part("convert")?, &format)?;
    keep_range(&chain.part("decoded-convert")?, &chain.part("decoded-format")?)?;
    if encoding.encoder_name().contains("prores") {
        prores::state_colour(&chain.src()?);
    }
    if let Some(element) = element_of(&chain, encoding) {
        if tone_map.is_none() {
            hdr::write_metadata(&element, &track.caps)?;
        }
        if is_of(&element, "x265enc") {
            give_rate(&pad(&element, "sink")?);
        }
    }
    Ok(chain)
}

/// What the frames lose that have passed `chain`.
#[derive(Clone, Default)]
pub struct Losses(Arc<Mutex<Seen>>);

/// What frames have before the chain.
#[derive(Clone, Default)]
struct Seen {
    has_captions: bool,
    is_interlaced: bool,
    /// The size of the first frame.
    size: Option<(i32, i32)>,
    has_other_sizes: bool,
}

impl Losses {
    /// Watches the frames that enter `chain`.
    pub fn watch(chain: &Chain) -> Result<Self> {
        let losses = Self::default();
        let seen = losses.0.clone();
        on_buffers(&chain.pad("begin", "sink")?, move |pad, frame| {
            let size = pad.current_caps().and_then(|caps| frame_size(&caps));
            let mut seen = lock(&seen);
            seen.has_captions |= frame.meta::<VideoCaptionMeta>().is_some();
            seen.is_interlaced |= frame.video_flags().contains(VideoBufferFlags::INTERLACED);
            seen.size = seen.size.or(size);
            seen.has_other_sizes |= size != seen.size;
            true
        });
        Ok(losses)
    }

    /// The losses, with those of the pixel format only if `of_format`.
    pub fn get(
        &self,
        chain: &Chain,
        recipe: &Recipe,
        encoding: &Encoding,
        of_format: bool,
    ) -> Vec<String> {
        let frames = |part: &str, name: &str| {
            let caps = chain.pad(part, name).ok()?.current_caps()?;
            VideoInfo::from_caps(&caps).ok()
        };
        let mut found = Vec::new();
        let seen = lock(&self.0).clone();
        // Not every container signals it.
        if seen.is_interlaced {
            found.push(losses::INTERLACED.to_owned());
        }
        if let Some((width, height)) = seen.size.filter(|_| seen.has_other_sizes) {
            found
                .push(format!("its frame size changes midway: all are scaled to {width}×{height}"));
        }
        let formats = frames("begin", "sink").zip(frames("format", "src"));
        if let Some((before, after)) = formats.filter(|_| of_format) {
            found.extend(losses::of_frames(&before, &after, recipe, encoding));
        }
        // A size that the preset has chosen is not a loss.
        let is_own = encoding.before.is_empty();
        let sizes = frames("even", "sink").zip(frames("even", "src")).filter(|_| is_own);
        found.extend(sizes.and_then(|(before, after)| losses::of_crop(&before, &after)));
        if seen.has_captions && !keeps_captions(chain, encoding) {
            found.push(losses::of_captions(recipe, encoding));
        }
        found
    }
}

/// Whether the encoder writes closed captions (CEA-608 and CEA-708) into the video.
fn keeps_captions(chain: &Chain, encoding: &Encoding) -> bool {
    let encoder = element_of(chain, encoding);
    encoding.encoder_name() == "x264enc"
        || encoder.is_some_and(|encoder| encoder.has_property("cc-insert"))
}

/// The element of `chain` that encodes.
fn element_of(chain: &Chain, encoding: &Encoding) -> Option<gst::Element> {
    let elements = chain.bin.iterate_elements().into_iter().flatten();
    elements.into_iter().find(|element| is_of(element, encoding.encoder_name()))
}

/// Replaces `error` if the encoder of `chain` has refused its frames.
pub fn explain(error: anyhow::Error, chain: &Chain, encoding: &Encoding) -> anyhow::Error {
    refusal(chain, encoding).filter(|_| fault::is_of_format(&error)).unwrap_or(error)
}

fn refusal(chain: &Chain, encoding: &Encoding) -> Option<anyhow::Error> {
    let encoder = element_of(chain, encoding)?.static_pad("sink")?;
    if encoder.has_current_caps() {
        return None;
    }
    // The elements before the encoder may fail first.
    let offered = encoder.peer()?.current_caps().or(chain.sink().ok()?.current_caps())?;
    let frames = VideoInfo::from_caps(&offered).ok()?;
    let (name, format) = (encoding.encoder_name(), frames.format());
    let (width, height, rate) = (frames.width(), frames.height(), frames.fps());
    Some(anyhow!(
        "the encoder {name} refuses frames in {format} of {width}×{height} at {}/{} a second; choose another one",
        rate.numer(),
        rate.denom()
    ))
}

/// Makes `deinterlace` build its frames from the field that is shown first. From the other field, GStreamer 1.22
/// outputs the first frame twice, and all frames late.
fn begin_with_first_field(deinterlace: &gst::Element) -> Result<()> {
    let element = deinterlace.downgrade();
    on_first_buffer(&pad(deinterlace, "sink")?, move |frame| {
        let flags = frame.video_flags();
        let is_interlaced = flags.contains(VideoBufferFlags::INTERLACED);
        if let Some(deinterlace) = element.upgrade()
            && is_interlaced
            && !flags.contains(VideoBufferFlags::TFF)
        {
            deinterlace.set_property_from_str("fields", "bottom");
        }
    });
    Ok(())
}

/// Fixes the frame size at that of the first frame at `pad`, because containers hold only one size.
fn keep_size(pad: &gst::Pad, size: &gst::Element) {
    // Until the first frame, caps may change: the rotation of a video is known only after its first caps.
    let has_begun = Arc::new(AtomicBool::new(false));
    let begins = has_begun.clone();
    on_first_buffer(pad, move |_| begins.store(true, Ordering::Relaxed));
    let element = size.downgrade();
    on_caps(pad, move |caps| {
        let (size, caps) = (element.upgrade()?, caps.structure(0)?);
        if has_begun.load(Ordering::Relaxed) {
            return None;
        }
        let mut fixed = gst::Structure::new_empty("video/x-raw");
        for field in ["width", "height", PIXEL_ASPECT] {
            if let Ok(value) = caps.value(field) {
                fixed.set_value(field, value.clone());
            }
        }
        // For any memory feature.
        let fixed = gst::Caps::builder_full().structure_with_any_features(fixed).build();
        size.set_property("caps", fixed);
        None
    });
}

/// Makes `crop` remove a column and a row from frames of odd width and height.
fn crop_to_even(crop: &gst::Element) -> Result<()> {
    let element = crop.downgrade();
    on_caps(&pad(crop, "sink")?, move |caps| {
        if let (Some(crop), Ok(video)) = (element.upgrade(), VideoInfo::from_caps(caps)) {
            crop.set_property("right", (video.width() % 2) as i32);
            crop.set_property("bottom", (video.height() % 2) as i32);
        }
        None
    });
    Ok(())
}
