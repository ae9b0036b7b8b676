// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where outputs go: into a folder, or a single output into a file.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    container::Container,
    files::is_pattern,
    kind::{Kind, is_folder},
    options::Options,
    picture::PictureFormat,
};

/// What --out names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The folder of the outputs and of the records.
    pub folder: PathBuf,
    /// The name of the only output in the folder; `None` if the inputs decide the names.
    pub file: Option<(PathBuf, Kind)>,
}

impl Destination {
    /// From the command line. A name with the extension of a video or an image is a file, unless it is an existing
    /// folder.
    pub fn new(options: &Options) -> Result<Self> {
        let out = &options.out;
        let shown = out.display();
        if is_folder(out) {
            ensure!(!out.is_file(), "--out {shown}: a file, expected a folder");
            return Ok(Self { folder: out.clone(), file: None });
        }
        let input = only_file(&options.inputs).with_context(|| {
            format!("--out {shown}: expected one input file, or a folder for the outputs")
        })?;
        ensure!(options.name.is_none(), "--name: --out {shown} already names the output");
        let format = PictureFormat::of_name(out);
        // An animation can become either.
        let input_format = match format {
            Some(_) => PictureFormat::of_name(input),
            None => PictureFormat::of_file(input, false),
        };
        let kind = match (input_format, format) {
            (Some(_), Some(format)) => {
                ensure!(format.is_named(out), "--out {shown}: expected jpg, png or webp");
                Kind::Picture(format)
            }
            (None, None) => {
                let container = Container::of_name(out);
                ensure!(container.is_some(), "--out {shown}: expected mp4, mov, mkv, webm or ts");
                ensure!(
                    options.recipe.container.is_none_or(|given| Some(given) == container),
                    "--container: the extension of --out {shown} is that of another container"
                );
                Kind::Video(container.unwrap_or(Container::Mkv))
            }
            (None, Some(_)) => {
                bail!("--out {shown}: names an image, but {} is a video", input.display())
            }
            (Some(_), None) => {
                bail!("--out {shown}: names a video, but {} is an image", input.display())
            }
        };
        // Empty for the current folder.
        let folder = out.parent().unwrap_or(Path::new("")).to_owned();
        let name = out.file_name().unwrap_or_default().into();
        Ok(Self { folder, file: Some((name, kind)) })
    }
}

/// The input, if it is a single file.
fn only_file(inputs: &[OsString]) -> Option<&Path> {
    let [input] = inputs else { return None };
    let path = Path::new(input);
    (input != "-" && !is_pattern(input) && !path.is_dir()).then_some(path)
}
