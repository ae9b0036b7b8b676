// SPDX-License-Identifier: MIT OR Apache-2.0

//! The chunks of RIFF: of WebP (RFC 9649, section 2), since `webpenc` writes no metadata and the image crate no
//! lossy WebP; and the length of AVI, since `avidemux` does not say that a file is cut off.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Result, ensure};
use image::DynamicImage;

/// The name and the data of each chunk.
fn chunks(webp: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = webp.get(12..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (head, after) = rest.split_at_checked(8)?;
        let size = u32::from_le_bytes(head[4..].try_into().ok()?) as usize;
        let data = after.get(..size)?;
        rest = after.get(size + size % 2..).unwrap_or_default();
        Some((&head[..4], data))
    })
}

/// How long a RIFF file says that it is, at least; `None` if it is none, or was written as a stream.
pub fn whole_length(file: &Path) -> Option<u64> {
    let mut head = [0; 8];
    File::open(file).ok()?.read_exact(&mut head).ok()?;
    let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    (head.starts_with(b"RIFF") && size < u32::MAX - 8).then_some(u64::from(size) + 8)
}

/// How many frames the header of an AVI says that it has, at least.
pub fn frames(file: &Path) -> Option<u64> {
    let mut head = [0; 52];
    File::open(file).ok()?.read_exact(&mut head).ok()?;
    // The lists `AVI ` and `hdrl`, and `avih` with eleven numbers, of which this is the fifth.
    let is_avi = &head[8..12] == b"AVI " && &head[24..28] == b"avih";
    is_avi.then(|| u64::from(u32::from_le_bytes([head[48], head[49], head[50], head[51]])))
}

/// Whether the picture is stored without loss.
pub fn is_lossless_webp(webp: &[u8]) -> bool {
    chunks(webp).any(|(name, _)| name == b"VP8L")
}

/// The encoded `webp` of `pixels` with a colour profile and EXIF.
pub fn with_metadata(
    webp: &[u8],
    pixels: &DynamicImage,
    icc: Option<&[u8]>,
    exif: Option<&[u8]>,
) -> Result<Vec<u8>> {
    ensure!(
        webp.starts_with(b"RIFF") && webp.get(8..12) == Some(b"WEBP"),
        "the encoder gives no WebP"
    );
    if icc.is_none() && exif.is_none() {
        return Ok(webp.to_vec());
    }
    let mut body = b"WEBP".to_vec();
    let mut add = |name: &[u8], data: &[u8]| {
        body.extend_from_slice(name);
        body.extend_from_slice(&(data.len() as u32).to_le_bytes());
        body.extend_from_slice(data);
        body.extend(std::iter::repeat_n(0, data.len() % 2));
    };
    let flag = |set: bool, bit: u8| u8::from(set) << bit;
    let has_alpha = pixels.color().has_alpha();
    let flags = flag(icc.is_some(), 5) | flag(has_alpha, 4) | flag(exif.is_some(), 3);
    let size = |length: u32| (length - 1).to_le_bytes();
    let (width, height) = (size(pixels.width()), size(pixels.height()));
    let header = [&[flags, 0, 0, 0][..], &width[..3], &height[..3]].concat();
    add(b"VP8X", &header);
    icc.into_iter().for_each(|icc| add(b"ICCP", icc));
    for (name, data) in
        chunks(webp).filter(|(name, _)| [b"ALPH", b"VP8 ", b"VP8L"].iter().any(|n| name == n))
    {
        add(name, data);
    }
    exif.into_iter().for_each(|exif| add(b"EXIF", exif));
    Ok([b"RIFF", &(body.len() as u32).to_le_bytes()[..], &body].concat())
}
