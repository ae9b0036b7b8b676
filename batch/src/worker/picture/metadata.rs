// SPDX-License-Identifier: MIT OR Apache-2.0

//! The metadata that all formats of images can have.

use image::{ColorType, ImageDecoder, ImageFormat, metadata::Orientation};

use super::{exif, png, tiff, xmp};
use crate::protocol::{Say, send_notice};

pub const PROFILE_LOST: &str = "its colour profile is left out";
pub const EXIF_LOST: &str = "its EXIF is left out";
pub const XMP_LOST: &str = "its XMP metadata is left out";
/// The most bytes of EXIF and of XMP that a segment of JPEG can hold besides their headers (ITU-T T.81, section B.1.1.4).
const LONGEST_IN_JPEG: [usize; 2] = [65_533 - 6, 65_533 - 29];

#[derive(Default)]
pub struct Metadata {
    /// The colour profile.
    pub icc: Option<Vec<u8>>,
    pub exif: Option<Vec<u8>>,
    pub xmp: Option<Vec<u8>>,
}

impl Metadata {
    /// The metadata of the image in `decoder`, which is not a TIFF.
    pub fn of(decoder: &mut impl ImageDecoder) -> Self {
        Self {
            icc: decoder.icc_profile().unwrap_or_default(),
            exif: decoder.exif_metadata().unwrap_or_default().map(exif::without_prefix),
            xmp: decoder.xmp_metadata().unwrap_or_default(),
        }
    }

    /// The metadata of the first image in a TIFF.
    pub fn of_tiff(bytes: &[u8], say: Say) -> Self {
        let exif = exif::of_tiff(bytes);
        // The EXIF crate does not read BigTIFF.
        if exif.is_none() && tiff::has_exif(bytes) {
            send_notice(say, EXIF_LOST);
        }
        Self { icc: tiff::profile(bytes), exif, xmp: tiff::xmp(bytes) }
    }

    /// With what the decoder has not read of the image in `bytes`.
    pub fn completed(mut self, bytes: &[u8], format: ImageFormat, say: Say) -> Self {
        if format == ImageFormat::Png {
            let late = png::after_pixels(bytes);
            self.exif = self.exif.or(late.exif);
            if self.xmp.is_none() && late.has_compressed_xmp {
                send_notice(say, XMP_LOST);
            }
            self.xmp = self.xmp.or(late.xmp);
        }
        self
    }

    /// The colour profile for such pixels.
    pub fn icc_for(&self, color: ColorType, say: Say) -> Option<Vec<u8>> {
        let profile = self.icc.as_ref()?;
        let is_kept = is_for(profile, color);
        if !is_kept {
            send_notice(say, PROFILE_LOST);
        }
        is_kept.then(|| profile.clone())
    }

    /// Leaves out what is too long for a JPEG.
    pub fn fit_jpeg(&mut self, say: Say) {
        let [exif, xmp] = LONGEST_IN_JPEG;
        if self.exif.take_if(|found| found.len() > exif).is_some() {
            send_notice(say, EXIF_LOST);
        }
        if self.xmp.take_if(|found| found.len() > xmp).is_some() {
            send_notice(say, XMP_LOST);
        }
    }

    /// Adapts it to an upright image, which was rotated by 90° if `is_turned`.
    pub fn make_upright(&mut self, is_turned: bool, say: Say) {
        if let Some(exif) = &mut self.exif {
            let _ = Orientation::remove_from_exif_chunk(exif);
            if is_turned {
                exif::swap_sides(exif);
            }
            if exif::remove_thumbnail(exif) {
                send_notice(say, "its thumbnail is left out");
            }
        }
        if let Some(found) = self.xmp.take() {
            self.xmp = xmp::upright(found);
            if self.xmp.is_none() {
                send_notice(say, XMP_LOST);
            }
        }
    }
}

/// Whether a colour profile is for such pixels, by its header (ICC.1, section 7.2.6). A CMYK profile is not.
fn is_for(icc: &[u8], color: ColorType) -> bool {
    match icc.get(16..20) {
        Some(space) => space == if color.has_color() { b"RGB " } else { b"GRAY" },
        None => true,
    }
}
