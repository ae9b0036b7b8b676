// SPDX-License-Identifier: MIT OR Apache-2.0

//! Negotiation for `output=alpha`, and the conversion of frames without alpha.

use std::sync::{Arc, LazyLock};

use cyclegan_frame::{subsampling, takes_mask};
use gst::{prelude::*, subclass::prelude::*};
use gst_base::{prelude::*, subclass::prelude::*};
use gst_video::{VideoFormat, VideoFormatInfo, VideoFrame, VideoInfo, video_frame::Readable};

use super::{CycleGanFilter, element};
use crate::cycleganfilter::{Output, gl, lock, to_alpha::ToAlpha};

impl CycleGanFilter {
    /// Checks that downstream takes what `output` gives. Otherwise upstream, which finds no caps, would end
    /// the stream with an error that does not give the reason.
    pub(super) fn check_downstream(&self) -> Result<(), gst::StateChangeError> {
        let (output, given, wanted) = match lock(&self.settings).output {
            Output::Video => return Ok(()),
            Output::Mask => {
                let gray = gst_video::VideoCapsBuilder::new().format(VideoFormat::Gray8);
                ("mask", gray.build(), "GRAY8")
            }
            Output::Alpha => ("alpha", of_formats(formats(true)), "a format with alpha"),
        };
        let Some(peer) = self.obj().src_pad().peer() else { return Ok(()) };
        let taken = peer.query_caps(None);
        if taken.can_intersect(&given) {
            return Ok(());
        }
        gst::element_imp_error!(
            self,
            gst::CoreError::Negotiation,
            (
                "The element after cycleganfilter accepts {}, expected {wanted} for output={output}; put \
                 `videoconvert` after cycleganfilter",
                described(&taken)
            )
        );
        Err(gst::StateChangeError)
    }

    /// Prepares to convert frames of `input` if the output, of `output`, has another format. Returns
    /// whether it has.
    pub(super) fn set_to_alpha(
        &self,
        input: &VideoInfo,
        output: &VideoInfo,
    ) -> Result<bool, gst::glib::BoolError> {
        let (kind, threads) = {
            let settings = lock(&self.settings);
            (settings.output, settings.threads)
        };
        let is_needed = kind == Output::Alpha && input.format() != output.format();
        let to_alpha = match is_needed {
            true => Some(Arc::new(ToAlpha::new(input, output, threads)?)),
            false => None,
        };
        let before = match &mut lock(&self.state).stream {
            Some(stream) => std::mem::replace(&mut stream.to_alpha, to_alpha),
            None => None,
        };
        drop(before);
        Ok(is_needed)
    }

    /// Converts `frame`, with its metadata.
    pub(super) fn with_alpha(
        &self,
        frame: &VideoFrame<Readable>,
        to_alpha: &ToAlpha,
    ) -> Result<VideoFrame<Readable>, gst::FlowError> {
        let mut buffer = to_alpha.acquire()?;
        if self.parent_copy_metadata(frame.buffer(), buffer.make_mut()).is_err() {
            gst::warning!(super::CAT, imp = self, "cannot copy the metadata of a frame");
        }
        to_alpha.convert(frame, buffer).map_err(|error| {
            gst::element_imp_error!(
                self,
                gst::StreamError::Format,
                ("Cannot convert a frame to a format with alpha: {error}")
            );
            gst::FlowError::Error
        })
    }
}

/// The caps of the other pad if the pad of `direction` has `caps`. The source pad has alpha. If the sink
/// pad has alpha too, both have the same format.
pub(super) fn peer_caps(direction: gst::PadDirection, caps: &gst::Caps) -> gst::Caps {
    let with_alpha = caps.intersect(&of_formats(formats(true)));
    let others = match direction {
        gst::PadDirection::Sink => caps.intersect(&of_formats(formats(false))),
        _ => with_alpha.clone(),
    };
    // The converter is for system memory.
    let mut others = with_features(&others, |features| !gl::is_in_gl(features));
    let wanted = direction == gst::PadDirection::Sink;
    let formats = gst::List::new(formats(wanted).map(|format| format.to_str().to_string()));
    for structure in others.make_mut().iter_mut() {
        structure.set("format", formats.clone());
        // These fields depend on the format.
        structure.remove_fields(["colorimetry", "chroma-site"]);
    }
    let mut peer_caps = with_alpha;
    peer_caps.merge(others);
    peer_caps
}

/// Chooses the format of `output` that keeps most of frames of `input`.
pub(super) fn choose_format(input: &gst::Caps, mut output: gst::Caps) -> gst::Caps {
    let Ok(info) = VideoInfo::from_caps(input) else { return output };
    if takes_mask(info.format()) {
        return output;
    }
    output.truncate();
    let output_caps = output.make_mut();
    let Some(structure) = output_caps.structure_mut(0) else { return output };
    let offered = names_in(structure, "format");
    let from = info.format_info();
    let best = offered
        .iter()
        .map(|name| VideoFormatInfo::from_format(VideoFormat::from_string(name)))
        .min_by_key(|to| loss(&from, to));
    let Some(best) = best else { return output };
    structure.set("format", best.name());
    // Otherwise the default for the size applies.
    if let Some(before) = input.structure(0)
        && is_yuv(&from) == is_yuv(&best)
    {
        for field in ["colorimetry", "chroma-site"] {
            if let Ok(value) = before.value(field)
                && !structure.has_field(field)
            {
                structure.set_value(field, value.clone());
            }
        }
    }
    output
}

/// The formats in `caps`, or the types of media that are not raw video.
fn described(caps: &gst::CapsRef) -> String {
    /// More would not help.
    const MOST: usize = 8;
    let mut names: Vec<String> = Vec::new();
    for structure in caps.iter() {
        let found = names_in(structure, "format");
        match structure.name().as_str() {
            "video/x-raw" if !found.is_empty() => names.extend(found),
            name => names.push(name.to_owned()),
        }
    }
    names.dedup();
    if names.len() > MOST {
        names.truncate(MOST);
        names.push("…".to_owned());
    }
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// The strings in `field`, which has one or a list of them.
fn names_in(structure: &gst::StructureRef, field: &str) -> Vec<String> {
    if let Ok(name) = structure.get::<String>(field) {
        return vec![name];
    }
    let list = structure.get::<gst::List>(field).unwrap_or_default();
    list.iter().filter_map(|name| name.get().ok()).collect()
}

/// What a conversion costs: first the samples that it loses, then the time and memory that it takes, then a
/// different order of the components.
fn loss(from: &VideoFormatInfo, to: &VideoFormatInfo) -> impl Ord + use<> {
    let depth = |format: &VideoFormatInfo| format.depth().first().copied().unwrap_or(0);
    let order = |format: &VideoFormatInfo| format.poffset().get(..3).map(<[u32]>::to_vec);
    // Those of colours. Alpha has its own plane in A420 and AV12.
    let planes =
        |format: &VideoFormatInfo| format.plane().iter().take(3).max().copied().unwrap_or(0);
    let ((from_w, from_h), (to_w, to_h)) = (subsampling(from), subsampling(to));
    (
        is_yuv(from) != is_yuv(to),
        depth(from).saturating_sub(depth(to)),
        to_w.saturating_sub(from_w) + to_h.saturating_sub(from_h),
        depth(to).saturating_sub(depth(from)),
        from_w.saturating_sub(to_w) + from_h.saturating_sub(to_h),
        planes(from).abs_diff(planes(to)),
        order(from) != order(to),
    )
}

/// Whether a format has no R'G'B'; grey is luma.
fn is_yuv(format: &VideoFormatInfo) -> bool {
    !format.is_rgb()
}

/// The formats whose alpha can take a mask, or the others that GStreamer can unpack.
fn formats(with_alpha: bool) -> impl Iterator<Item = VideoFormat> {
    static FORMATS: LazyLock<(Vec<VideoFormat>, Vec<VideoFormat>)> =
        LazyLock::new(|| element::formats().partition(|format| takes_mask(*format)));
    let (with, without) = &*FORMATS;
    if with_alpha { with } else { without }.iter().copied()
}

fn of_formats(formats: impl Iterator<Item = VideoFormat>) -> gst::Caps {
    gst_video::VideoCapsBuilder::new().any_features().format_list(formats).build()
}

/// The structures of `caps` whose features are `wanted`.
pub(super) fn with_features(
    caps: &gst::Caps,
    wanted: impl Fn(&gst::CapsFeaturesRef) -> bool,
) -> gst::Caps {
    let structures = caps.iter_with_features().filter(|(_, features)| wanted(features));
    structures.map(|(structure, features)| (structure.to_owned(), features.to_owned())).collect()
}
