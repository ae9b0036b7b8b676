// SPDX-License-Identifier: MIT OR Apache-2.0

//! HDR video: its metadata, and tone mapping to SDR for encoders that take only 8 bits per component.

use anyhow::{Context, Result};
use cyclegan_frame::{ToneMap, Transfer, Workers};
use gst::prelude::*;
use gst_video::{VideoFormatInfo, VideoFrameExt, VideoFrameRef, VideoInfo};

use crate::{
    container::Container,
    encoding::Encoding,
    worker::{
        elements::{
            accepted_caps,
            caps::{colorimetry, field, formats, is_deep},
            pad,
        },
        pads::probes::{on_buffers, on_caps},
    },
};

/// The fields of caps that hold the mastering display and the light level.
pub const FIELDS: [&str; 2] = ["mastering-display-info", "content-light-level"];

/// The elements for tone mapping, followed by `!`. `tones` receives full-range R'G'B' of 16 bits.
pub const TONE_MAPPING: &str = "videoconvert ! video/x-raw,format=RGBA64_LE ! identity name=tones \
     ! videoconvert ! video/x-raw,colorimetry=bt709,format=I420 ! \
     queue max-size-buffers=2 max-size-bytes=0 max-size-time=0 !";

pub fn transfer(caps: &gst::Caps) -> Transfer {
    let colorimetry = caps.structure(0).and_then(colorimetry);
    colorimetry.map_or(Transfer::Sdr, |colorimetry| Transfer::of(&colorimetry))
}

/// The tone map for video with these caps; `None` if it is SDR, or if the encoder accepts more than 8 bits.
pub fn tone_map(caps: &gst::Caps, encoding: &Encoding) -> Option<&'static ToneMap> {
    transfer(caps).tone_map().filter(|_| !takes(encoding, is_deep))
}

/// The caps that the encoder accepts.
pub fn accepted_by(encoding: &Encoding) -> Option<gst::Caps> {
    accepted_caps(&format!("capsfilter caps=\"{}\" ! {}", encoding.raw, encoding.encoder))
}

/// Whether the encoder accepts such a format.
pub fn takes(encoding: &Encoding, is_such: impl Fn(&VideoFormatInfo) -> bool) -> bool {
    accepted_by(encoding).is_none_or(|caps| formats(&caps).any(|info| is_such(&info)))
}

/// Makes `tones` map its frames to SDR, in this many threads, and change their caps.
pub fn map_tones(tones: &gst::Element, map: &'static ToneMap, threads: u32) -> Result<()> {
    let (sink, workers) = (pad(tones, "sink")?, Workers::new(threads)?);
    on_buffers(&sink, move |pad, buffer| {
        let video = pad.current_caps().and_then(|caps| VideoInfo::from_caps(&caps).ok());
        let mapped = video
            .context("frames without caps")
            .and_then(|video| map_frame(buffer.make_mut(), &video, map, &workers));
        if let (Err(error), Some(tones)) = (&mapped, pad.parent_element()) {
            gst::element_error!(tones, gst::StreamError::Failed, ("tone mapping: {error:#}"));
        }
        mapped.is_ok()
    });
    on_caps(&sink, |caps| {
        let mut caps = caps.clone();
        let structure = caps.make_mut().structure_mut(0)?;
        structure.set("colorimetry", "sRGB");
        structure.remove_fields(FIELDS);
        Some(caps)
    });
    Ok(())
}

fn map_frame(
    buffer: &mut gst::BufferRef,
    video: &VideoInfo,
    map: &ToneMap,
    workers: &Workers,
) -> Result<()> {
    let (width, height) = (8 * video.width() as usize, video.height() as usize);
    let mut frame = VideoFrameRef::from_buffer_ref_writable(buffer, video)?;
    let stride = frame.plane_stride()[0] as usize;
    let bands = workers.bands(width * height);
    let band = height.div_ceil(bands) * stride;
    workers.in_bands(
        &mut vec![(); bands],
        frame.plane_data_mut(0)?,
        |rows, _| {
            let end = band.min(rows.len());
            rows.split_at_mut(end)
        },
        |(), rows| {
            for row in rows.chunks_exact_mut(stride) {
                row[..width].as_chunks_mut::<8>().0.iter_mut().for_each(|pixel| to_sdr(map, pixel));
            }
        },
    );
    Ok(())
}

/// Maps a pixel of R'G'B'A with 16 bits per component.
fn to_sdr(map: &ToneMap, pixel: &mut [u8; 8]) {
    /// 16-bit levels per 8-bit grey level.
    const SCALE: f32 = 257.0;
    let level = |i: usize| f32::from(u16::from_le_bytes([pixel[i], pixel[i + 1]])) / SCALE;
    let sdr = map.to_sdr([level(0), level(2), level(4)]);
    for (to, level) in pixel.as_chunks_mut::<2>().0.iter_mut().zip(sdr) {
        *to = ((level * SCALE + 0.5) as u16).to_le_bytes();
    }
}

/// The HDR10 metadata of video with these caps, unless it becomes SDR.
pub fn metadata(caps: &gst::Caps, encoding: &Encoding) -> gst::Structure {
    let mut metadata = gst::Structure::new_empty("metadata");
    if tone_map(caps, encoding).is_some() {
        return metadata;
    }
    for field in FIELDS {
        if let Some(value) = caps.structure(0).and_then(|caps| caps.value(field).ok()) {
            metadata.set_value(field, value.clone());
        }
    }
    metadata
}

/// Whether an output keeps the mastering display and light level: x264 and x265 write them, and so does
/// Matroska.
pub fn keeps_metadata(encoder: &str, container: Container) -> bool {
    option_names(encoder).is_some() || container.is_matroska()
}

/// The names of these options of x264 and x265.
fn option_names(encoder: &str) -> Option<[&'static str; 2]> {
    match encoder {
        "x264enc" => Some(["mastering-display", "cll"]),
        "x265enc" => Some(["master-display", "max-cll"]),
        _ => None,
    }
}

/// Passes the HDR10 metadata in `caps` to `encoder` by its options; GStreamer 1.22 does not.
pub fn write_metadata(encoder: &gst::Element, caps: &gst::Caps) -> Result<()> {
    let name = encoder.factory().context("an element without a factory")?.name();
    let Some([display, light]) = option_names(&name) else { return Ok(()) };
    let mut options = encoder.property::<Option<String>>("option-string").unwrap_or_default();
    let mut add = |option: String| {
        let colon = if options.is_empty() { "" } else { ":" };
        options += &format!("{colon}{option}");
    };
    // Units: 0.00002 for chromaticities and 0.0001 cd/m² for the display, cd/m² for the light level.
    if let Some([rx, ry, gx, gy, bx, by, wx, wy, most, least]) = numbers(caps, FIELDS[0]).as_deref()
    {
        add(format!(
            "{display}=G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({most},{least})"
        ));
    }
    if let Some([most, average]) = numbers(caps, FIELDS[1]).as_deref() {
        add(format!("{light}={most},{average}"));
    }
    encoder.set_property("option-string", options);
    Ok(())
}

fn numbers(caps: &gst::Caps, name: &str) -> Option<Vec<u64>> {
    let text = field::<&str>(caps, name)?;
    text.split(':').map(|number| number.parse().ok()).collect()
}

/// Maximum and minimum luminance of the mastering display, cd/m².
pub fn luminance(caps: &gst::Caps) -> Option<[f64; 2]> {
    match numbers(caps, FIELDS[0]).as_deref() {
        Some([.., most, least]) => Some([*most as f64 / 10_000.0, *least as f64 / 10_000.0]),
        _ => None,
    }
}
