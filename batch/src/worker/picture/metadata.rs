// SPDX-License-Identifier: MIT OR Apache-2.0

//! The metadata that all formats of images can have.

use image::{ImageDecoder, metadata::Orientation};

use super::{exif, tiff, xmp};
use crate::protocol::{Say, note};

pub struct Metadata {
    /// The colour profile.
    pub icc: Option<Vec<u8>>,
    pub exif: Option<Vec<u8>>,
    pub xmp: Option<Vec<u8>>,
}

impl Metadata {
    /// That of the image in `decoder`, which is not a TIFF.
    pub fn of(decoder: &mut impl ImageDecoder) -> Self {
        Self {
            icc: decoder.icc_profile().unwrap_or_default(),
            exif: decoder.exif_metadata().unwrap_or_default().map(exif::without_prefix),
            xmp: decoder.xmp_metadata().unwrap_or_default(),
        }
    }

    /// That of the first image in a TIFF.
    pub fn of_tiff(bytes: &[u8], say: Say) -> Self {
        let exif = exif::of_tiff(bytes);
        if exif.is_none() && tiff::has_exif(bytes) {
            note(say, "its EXIF is left out");
        }
        Self { icc: tiff::profile(bytes), exif, xmp: tiff::xmp(bytes) }
    }

    /// Adapts it to an upright image, which was rotated by 90° if `is_turned`.
    pub fn make_upright(&mut self, is_turned: bool, say: Say) {
        if let Some(exif) = &mut self.exif {
            let _ = Orientation::remove_from_exif_chunk(exif);
            if is_turned {
                exif::swap_sides(exif);
            }
            if exif::remove_thumbnail(exif) {
                note(say, "its thumbnail is left out");
            }
        }
        if let Some(found) = self.xmp.take() {
            self.xmp = xmp::upright(found);
            if self.xmp.is_none() {
                note(say, "its XMP metadata are left out");
            }
        }
    }
}
