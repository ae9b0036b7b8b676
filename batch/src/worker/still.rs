// SPDX-License-Identifier: MIT OR Apache-2.0

//! Single pictures.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Result, ensure};
use gst::prelude::*;

use super::{
    branch,
    playing::Playing,
    protocol::{Reply, Setup},
};
use crate::picture::PictureFormat;

/// Translates the picture `input` into `output`.
pub fn translate(
    setup: &Setup,
    input: &Path,
    output: &Path,
    format: PictureFormat,
    say: &mut dyn FnMut(Reply),
) -> Result<u64> {
    let playing = Playing::new();
    let file = gst::ElementFactory::make("filesrc").name("source").property("location", input);
    let file = file.build()?;
    let picture = branch::picture(setup, decoder(input)?, format.encoder(), output)?;
    playing.pipeline().add_many([&file, &picture.bin])?;
    file.link(&picture.bin)?;
    playing.run(None, say)?;
    ensure!(std::fs::metadata(output).is_ok_and(|file| file.len() > 0), "holds no picture");
    Ok(1)
}

/// What decodes a file, as `gst-launch-1.0` takes it, beginning with an element `begin`. `decodebin` leaves out the parser of JPEG, who alone reads from EXIF which
/// side is up.
pub fn decoder(input: &Path) -> Result<&'static str> {
    let mut start = [0; 3];
    let is_jpeg = File::open(input)?.read_exact(&mut start).is_ok() && start == [0xff, 0xd8, 0xff];
    Ok(if is_jpeg { "jpegparse name=begin ! jpegdec" } else { "decodebin name=begin" })
}
