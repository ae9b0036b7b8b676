// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files that GStreamer 1.22 cannot read although they are whole.

use super::{asf, flv, mpegts::Programs};
use crate::worker::{
    elements::caps::{codec_name, field, media_type},
    pipeline::fault::ENCRYPTED,
};

const REMUX: &str = "remux it first: ffmpeg -i INPUT -c copy OUTPUT.mov";
const CONVERT: &str = "convert it first: ffmpeg -i INPUT -c:v ffv1 -c:a flac OUTPUT.mkv";

/// Why GStreamer must not try to read a file that starts with `head`, if it must not.
pub fn known(head: &[u8]) -> Option<String> {
    let dv = faster_dv(head)
        .map(|dv| format!("is {dv} outside of a container, which GStreamer cannot read; {REMUX}"));
    let of_real_media =
        || format!("has AAC audio in RealMedia, on which GStreamer crashes; {CONVERT}");
    dv.or_else(|| has_plain_aac(head).then(of_real_media))
}

/// Why GStreamer has not read a file that starts with `head`, if it is of a kind of which it reads only some.
pub fn suspected(head: &[u8]) -> Option<String> {
    // The operational pattern in the header partition (SMPTE 377M), whose part for OP-Atom is SMPTE 390M.
    let pattern = head.get(84..97).filter(|_| head.starts_with(&[0x06, 0x0E, 0x2B, 0x34, 2, 5]));
    let is_atom = pattern.is_some_and(|label| label.ends_with(&[0x0D, 1, 2, 1, 0x10]));
    let atom = || format!("is MXF in OP-Atom, of which GStreamer reads only a part; {REMUX}");
    let is_screen = flv::codec(head) == Some(6);
    let encrypted = || ENCRYPTED.to_owned();
    let screen = || format!("is Flash Screen Video 2, which GStreamer cannot read; {CONVERT}");
    let cause = is_atom.then(atom).or_else(|| is_screen.then(screen));
    let is_encrypted = || asf::is_encrypted(head) || Programs::of(head).is_scrambled;
    cause.or_else(|| is_encrypted().then(encrypted))
}

/// The error for video in a file that starts with `head`, of which GStreamer decodes the colours wrongly, without an error
/// of its own.
pub fn miscoloured(head: &[u8], video: &gst::Caps) -> Option<String> {
    let what = match (media_type(video), field(video, "format")) {
        ("image/png", _) if has_png_of_16_bits(head) => "PNG of 16 bits without alpha",
        ("video/x-raw", Some("v308")) => "raw video in v308",
        ("video/x-smc", _) => "QuickTime Graphics (SMC)",
        _ => return None,
    };
    Some(format!("is {what}, whose colours GStreamer decodes wrongly; {CONVERT}"))
}

/// The error for an image in a format that only decoders of video know.
pub fn image(caps: &gst::Caps) -> String {
    let name = codec_name(caps);
    format!(
        "is an image ({name}) in a format that is not translated; convert it to PNG or TIFF first"
    )
}

/// The error for raw video with a palette, which the demuxers do not output.
pub fn palette() -> String {
    format!("is raw video with a palette, which GStreamer cannot read; {CONVERT}")
}

/// The error for video in a pixel format that GStreamer does not know, such as 4:4:0 or 16 bits of 4:2:0.
pub fn format() -> String {
    "has a pixel format that GStreamer does not know; convert it first: \
     ffmpeg -i INPUT -c:v ffv1 -pix_fmt yuv444p12le -c:a copy OUTPUT.mkv"
        .to_owned()
}

/// The name of raw DV that `dvdemux` reads like that of 25 Mbit/s, by the type of signal in its video source pack
/// (SMPTE 314M and 370M).
fn faster_dv(head: &[u8]) -> Option<&'static str> {
    let is_dv = head.starts_with(&[0x1F, 0x07, 0]) && head.get(3)? & 0x7F == 0x3F;
    match head.get(5 * 80 + 51).filter(|_| is_dv)? & 0x1F {
        0x04 => Some("DVCPRO50"),
        0x14 | 0x18 => Some("DVCPRO HD"),
        _ => None,
    }
}

/// Whether RealMedia has AAC in packets without their own header, as ffmpeg writes them. The names of the interleaver
/// and of the codec follow each other, each with its length.
fn has_plain_aac(head: &[u8]) -> bool {
    let is_plain = |names: &[u8]| {
        [b"raac", b"racp"].iter().any(|codec| names.ends_with(*codec))
            && names[0] == 4
            && names[5] == 4
            && !names[1..].starts_with(b"vbr")
    };
    head.starts_with(b".RMF") && head.windows(10).any(is_plain)
}

/// Whether the first PNG has 16 bits of red, green and blue each: bit depth and colour type follow the size in its header.
fn has_png_of_16_bits(head: &[u8]) -> bool {
    let header = head.windows(14).find(|bytes| bytes.starts_with(b"IHDR"));
    header.is_some_and(|header| header.ends_with(&[16, 2]))
}
