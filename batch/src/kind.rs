// SPDX-License-Identifier: MIT OR Apache-2.0

//! Videos, images and folders.

use std::path::Path;

use crate::{
    container::{Container, is_video_name},
    picture::PictureFormat,
};

/// Whether this is a folder rather than a file: it is one, or has no extension of a video or an image.
pub fn is_folder(path: &Path) -> bool {
    path.is_dir() || !(is_video_name(path) || PictureFormat::of_name(path).is_some())
}

/// What an input is translated into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A video, and its output container.
    Video(Container),
    /// An image, and its output format.
    Picture(PictureFormat),
}

impl Kind {
    /// Whether the name of a file says that it is something else.
    pub fn is_misnamed(self, path: &Path) -> bool {
        let (container, format) = (Container::of_name(path), PictureFormat::of_name(path));
        match self {
            Self::Video(own) if container == Some(own) => false,
            Self::Picture(own) if own.is_named(path) => false,
            _ => format.is_some() || is_video_name(path),
        }
    }
}
