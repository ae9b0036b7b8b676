// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files that GStreamer 1.22 cannot read although they are whole.

use std::{fs::File, io::Read, path::Path};

use super::asf;
use crate::worker::{
    elements::caps::{field, media_type},
    pipeline::fault::ENCRYPTED,
};

/// How many bytes at the start of a file to look at.
const HEAD: u64 = 64 << 10;

const REMUX: &str = "remux it first: ffmpeg -i INPUT -c copy OUTPUT.mov";
const CONVERT: &str = "convert it first: ffmpeg -i INPUT -c:v ffv1 -c:a flac OUTPUT.mkv";

/// Why GStreamer must not try to read `file`, if it must not.
pub fn known(file: &Path) -> Option<String> {
    let head = head(file)?;
    let dv = faster_dv(&head)
        .map(|dv| format!("is {dv} outside of a container, which GStreamer cannot read; {REMUX}"));
    let of_real_media = || format!("has AAC in RealMedia on which GStreamer crashes; {CONVERT}");
    dv.or_else(|| has_plain_aac(&head).then(of_real_media))
}

/// Why GStreamer has not read `file`, if it is of a kind of which it reads only some.
pub fn suspected(file: &Path) -> Option<String> {
    let head = head(file)?;
    // The operational pattern in the header partition (SMPTE 377M), whose part for OP-Atom is SMPTE 390M.
    let pattern = head.get(84..97).filter(|_| head.starts_with(&[0x06, 0x0E, 0x2B, 0x34, 2, 5]));
    let is_atom = pattern.is_some_and(|label| label.ends_with(&[0x0D, 1, 2, 1, 0x10]));
    let atom = || format!("is MXF in OP-Atom, of which GStreamer reads only a part; {REMUX}");
    let is_screen = flv_codec(&head) == Some(6);
    let encrypted = || ENCRYPTED.to_owned();
    let screen = || format!("is Flash Screen Video 2, which GStreamer cannot read; {CONVERT}");
    let cause = is_atom.then(atom).or_else(|| is_screen.then(screen));
    cause.or_else(|| is_encrypted_asf(&head).then(encrypted))
}

/// The error for video in `file` of which GStreamer decodes the colours wrongly, without an error of its own.
pub fn miscoloured(file: &Path, video: &gst::Caps) -> Option<String> {
    let what = match (media_type(video), field(video, "format")) {
        ("image/png", _) if has_png_of_16_bits(&head(file)?) => "PNG of 16 bits without alpha",
        ("video/x-raw", Some("v308")) => "raw video in v308",
        ("video/x-smc", _) => "QuickTime Graphics (SMC)",
        _ => return None,
    };
    Some(format!("is {what}, whose colours GStreamer decodes wrongly; {CONVERT}"))
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

fn head(file: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    File::open(file).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
    Some(head)
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

/// The objects of ASF that say how it is encrypted (Advanced Systems Format, sections 3.14, 3.15 and 4.11).
const ENCRYPTION: [[u8; 16]; 3] = [
    [
        0xFB, 0xB3, 0x11, 0x22, 0x23, 0xBD, 0xD2, 0x11, 0xB4, 0xB7, 0x00, 0xA0, 0xC9, 0x55, 0xFC,
        0x6E,
    ],
    [
        0x14, 0xE6, 0x8A, 0x29, 0x22, 0x26, 0x17, 0x4C, 0xB9, 0x35, 0xDA, 0xE0, 0x7E, 0xE9, 0x28,
        0x9C,
    ],
    [
        0x33, 0x85, 0x05, 0x43, 0x81, 0x69, 0xE6, 0x49, 0x9B, 0x74, 0xAD, 0x12, 0xCB, 0x86, 0xD5,
        0x8C,
    ],
];

fn is_encrypted_asf(head: &[u8]) -> bool {
    head.starts_with(&asf::HEADER)
        && head.windows(16).any(|id| ENCRYPTION.iter().any(|object| id == object))
}

/// Whether the first PNG has 16 bits of red, green and blue each: bit depth and colour type follow the size in its header.
fn has_png_of_16_bits(head: &[u8]) -> bool {
    let header = head.windows(14).find(|bytes| bytes.starts_with(b"IHDR"));
    header.is_some_and(|header| header.ends_with(&[16, 2]))
}

/// The codec of the first video tag in an FLV (Adobe Flash Video File Format, annex E).
fn flv_codec(head: &[u8]) -> Option<u8> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    head.starts_with(b"FLV").then_some(())?;
    // Each tag has 11 bytes before its data, and the length of the tag before it.
    let mut tag = number(head.get(5..9)?) + 4;
    while head.get(tag)? & 0x1F != 9 {
        tag += 11 + number(head.get(tag + 1..tag + 4)?) + 4;
    }
    Some(head.get(tag + 11)? & 0x0F)
}
