// SPDX-License-Identifier: MIT OR Apache-2.0

//! Keeps bit depth, chroma, alpha and range of frames where GStreamer 1.22 would not, and corrects what it misreads.

use anyhow::Result;
use gst::prelude::*;
use gst_video::{
    VideoColorMatrix, VideoColorRange, VideoColorimetry, VideoFormat, VideoFormatInfo, VideoInfo,
};

use crate::{
    encoding::Encoding,
    worker::{
        elements::{
            caps::{PIXEL_ASPECT, colorimetry, depth, field, formats, with_field},
            pad,
        },
        hdr::accepted_by,
        pads::probes::on_caps,
    },
};

/// Makes `convert` output the format nearest to that of the frames that the elements after `filter` accept, with alpha
/// only if the elements after `encoder` accept it. On its own, `videoconvert` trades bit depth for alpha.
pub fn keep_depth(
    convert: &gst::Element,
    filter: &gst::Element,
    encoder: &gst::Element,
) -> Result<()> {
    let (filter, encoder) = (filter.downgrade(), encoder.downgrade());
    on_caps(&pad(convert, "sink")?, move |caps| {
        let taken = |element: &gst::Element| Some(element.static_pad("src")?.peer_query_caps(None));
        let (filter, encoder) = (filter.upgrade()?, encoder.upgrade()?);
        let keeps_alpha = formats(&taken(&encoder)?).any(|info| info.has_alpha());
        // Removes the limit of an earlier format.
        filter.set_property("caps", gst::Caps::new_any());
        let frames = VideoInfo::from_caps(caps).ok()?;
        // `deinterlace` accepts fewer formats for interlaced video.
        let mode = caps.structure(0)?.get::<String>("interlace-mode");
        let like = gst::Caps::builder("video/x-raw")
            .field("interlace-mode", mode.unwrap_or_else(|_| "progressive".to_owned()))
            .build();
        let format = match frames.format() {
            // It has one component, the number of a colour.
            VideoFormat::Rgb8p => VideoFormatInfo::from_format(VideoFormat::Rgb),
            _ => frames.format_info(),
        };
        let nearest = nearest_format(&taken(&filter)?.intersect(&like), format, keeps_alpha);
        if let Some(nearest) = nearest {
            let fixed = gst::Caps::builder("video/x-raw").field("format", nearest.to_str());
            filter.set_property("caps", fixed.build());
        }
        None
    });
    Ok(())
}

/// Keeps the range of grey frames that `convert` gives colour, by the caps of `filter` after it. From full range,
/// `videoconvert` of GStreamer 1.22 outputs the same numbers, but as limited range.
pub fn keep_range(convert: &gst::Element, filter: &gst::Element) -> Result<()> {
    let filter = filter.downgrade();
    on_caps(&pad(convert, "sink")?, move |caps| {
        let filter = filter.upgrade()?;
        let is_grey = VideoInfo::from_caps(caps).is_ok_and(|video| video.is_gray());
        let colorimetry = field::<&str>(caps, "colorimetry").filter(|_| is_grey)?;
        let mut limited = filter.property::<gst::Caps>("caps");
        if limited.is_any() {
            limited = gst::Caps::new_empty_simple("video/x-raw");
        }
        limited.make_mut().set("colorimetry", colorimetry);
        filter.set_property("caps", limited);
        None
    });
    Ok(())
}

/// The format in which frames of the format `of` are encoded; `None` if the encoder accepts no known one.
pub fn encoded_format(encoding: &Encoding, of: VideoFormatInfo) -> Option<VideoFormat> {
    nearest_format(&accepted_by(encoding)?, of, true)
}

/// The format in `caps` that loses the least of the format `of`; of several, the smallest.
fn nearest_format(caps: &gst::Caps, of: VideoFormatInfo, keeps_alpha: bool) -> Option<VideoFormat> {
    // How many halvings of width and height of the chroma `b` has more than `a`; grey has no chroma.
    let halvings = |a: &VideoFormatInfo, b: &VideoFormatInfo| {
        let chroma = [a, b].map(|info| match info.n_components() {
            0..=2 => [8, 8],
            _ => [info.w_sub()[1], info.h_sub()[1]],
        });
        let [[w, h], [x, y]] = chroma;
        x.saturating_sub(w) + y.saturating_sub(h)
    };
    // First the loss of bits, chroma, alpha and RGB, then the excess.
    formats(caps)
        .min_by_key(|info| {
            (
                depth(&of).saturating_sub(depth(info)),
                halvings(&of, info),
                keeps_alpha && of.has_alpha() && !info.has_alpha(),
                of.is_rgb() != info.is_rgb(),
                info.has_alpha(),
                depth(info),
                halvings(info, &of),
            )
        })
        .map(|info| info.format())
}

/// Formats with the same planes. The decoders of AV1 give RGB those of Y'CbCr.
const PLANES_OF_RGB: [(VideoFormat, VideoFormat); 3] = [
    (VideoFormat::Y444, VideoFormat::Gbr),
    (VideoFormat::Y44410le, VideoFormat::Gbr10le),
    (VideoFormat::Y44412le, VideoFormat::Gbr12le),
];

/// Corrects caps of raw video at `pad`. Pixels of width 0, as from an AVI without a pixel density, become square.
/// Y'CbCr of unknown range, as in many WebM files, gets limited range, where GStreamer assumes full range. Full range
/// with an unknown matrix, which GStreamer 1.22 ignores altogether, gets the default matrix. So does grey, whose contrast
/// it otherwise reduces. Where caps say nothing, the default is added: without it GStreamer ignores the position of chroma.
pub fn correct_caps(pad: &gst::Pad) {
    on_caps(pad, |caps| {
        let mut corrected = caps.clone();
        let fields = corrected.make_mut().structure_mut(0)?;
        let ratio = fields.get::<gst::Fraction>(PIXEL_ASPECT);
        if ratio.is_ok_and(|ratio| ratio.numer() <= 0 || ratio.denom() <= 0) {
            fields.set(PIXEL_ASPECT, gst::Fraction::new(1, 1));
        }
        let Ok(video) = VideoInfo::from_caps(caps) else { return Some(corrected) };
        let known = video.colorimetry();
        if video.is_gray() {
            let (transfer, primaries) = (known.transfer(), known.primaries());
            let matrix = VideoColorMatrix::Bt601;
            let colorimetry = VideoColorimetry::new(known.range(), matrix, transfer, primaries);
            fields.set("colorimetry", colorimetry.to_string());
        }
        if !video.is_yuv() {
            return Some(corrected);
        }
        let matrix = colorimetry(fields).map(|said| said.matrix());
        let planes = PLANES_OF_RGB.iter().find(|(yuv, _)| *yuv == video.format());
        if let Some((_, rgb)) = planes.filter(|_| matrix == Some(VideoColorMatrix::Rgb)) {
            fields.set("format", rgb.to_str());
            return Some(corrected);
        }
        let full = colorimetry(fields).filter(|said| {
            said.range() == VideoColorRange::Range0_255
                && said.matrix() == VideoColorMatrix::Unknown
        });
        let (range, of) = match full {
            Some(full) => (full.range(), full),
            None if known.range() == VideoColorRange::Unknown => {
                (VideoColorRange::Range16_235, known)
            }
            None if !fields.has_field("colorimetry") => (known.range(), known),
            None => return Some(corrected),
        };
        let usual = VideoColorimetry::new(range, known.matrix(), of.transfer(), of.primaries());
        fields.set("colorimetry", usual.to_string());
        Some(corrected)
    });
}

/// Gives frames of an unknown rate that of 25 a second, for x265, which refuses others. Their times stay.
pub fn give_rate(pad: &gst::Pad) {
    on_caps(pad, |caps| {
        let rate = field::<gst::Fraction>(caps, "framerate");
        let is_unknown = rate.is_none_or(|rate| rate.numer() == 0);
        is_unknown.then(|| with_field(caps, "framerate", gst::Fraction::new(25, 1)))
    });
}
