// SPDX-License-Identifier: MIT OR Apache-2.0

//! The image formats that can be written.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::container::extension;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PictureFormat {
    Jpeg,
    /// PNG, also for BMP, TIFF, TGA and PNM.
    Png,
    Webp,
}

impl PictureFormat {
    /// The output format for an image of this name; `None` if it is not an image.
    pub fn of_name(path: &Path) -> Option<Self> {
        match extension(path).as_str() {
            "jpg" | "jpeg" | "jpe" | "jfif" => Some(Self::Jpeg),
            "png" | "bmp" | "dib" | "tif" | "tiff" | "tga" | "pnm" | "ppm" | "pgm" | "pbm"
            | "pam" => Some(Self::Png),
            "webp" => Some(Self::Webp),
            _ => None,
        }
    }

    /// Whether an image of this format may have this name.
    pub fn is_named(self, path: &Path) -> bool {
        Self::of_name(path) == Some(self) && self.rename(path) == *path
    }

    pub fn rename(self, path: &Path) -> PathBuf {
        match self {
            Self::Png if extension(path) != "png" => path.with_extension("png"),
            _ => path.to_owned(),
        }
    }
}
