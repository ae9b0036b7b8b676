// SPDX-License-Identifier: MIT OR Apache-2.0

//! The output of an ONNX teacher for every training image, computed once and kept in the run's folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use cyclegan_contract::{Dim, Direction, Generator};
use sha2::{Digest, Sha256};

use super::measure::cost_of_file;
use crate::{
    costs::Cost,
    data::{decode, folder::Domain, view::View},
    onnx_generator::OnnxGenerator,
    pixels, progress,
    run_folder::RunFolder,
};

/// A generator file that teaches one direction.
#[derive(Debug)]
pub struct OnnxTeacher {
    /// Its direction.
    pub direction: Direction,
    /// The file's network.
    pub onnx: OnnxGenerator,
    /// The file.
    pub path: PathBuf,
}

impl OnnxTeacher {
    /// Checks a file against the contract. Its direction is that of its metadata or its name, else A→B.
    pub fn open(path: &Path) -> Result<Self> {
        let onnx = OnnxGenerator::open(path, 0)?;
        let direction = onnx.about.metadata.direction.or_else(|| direction_of_name(path));
        let direction = direction.unwrap_or(Direction::AToB);
        Ok(Self { direction, onnx, path: path.to_owned() })
    }

    /// Its cost at `side`×`side` pixels; `None` for a file with another fixed size.
    pub fn cost(&mut self, side: u32) -> Result<Option<Cost>> {
        let about = &self.onnx.about;
        let fits = |dim: Dim| dim == Dim::Dynamic || dim == Dim::Fixed(side);
        if !fits(about.height) || !fits(about.width) {
            return Ok(None);
        }
        let cost = cost_of_file(&self.path, &mut self.onnx, side);
        cost.map(Some).with_context(|| format!("{} at {side}×{side} pixels", self.path.display()))
    }

    /// Translates the images of its domain that are not translated yet; returns their folder, relative to
    /// the run's. `short` is the short side in pixels for files without `cyclegan.size`.
    pub fn generate(&mut self, run: &RunFolder, domain: &Domain, short: u32) -> Result<PathBuf> {
        let folder = Path::new("teacher").join(self.folder_name(short)?);
        let into = run.join(&folder);
        let missing: Vec<_> = (domain.images.iter())
            .map(|image| (image, domain.output(&into, image)))
            .filter(|(_, output)| !output.is_file())
            .collect();
        let bar = progress::bar(missing.len(), "{msg} {bar:30} {pos}/{len} eta {eta}");
        let bar = bar.with_message(format!("{} of the teacher", self.direction));
        let mut skipped = 0;
        for (image, output) in &missing {
            // The loader reports and skips images that cannot be read.
            match decode::rgb(image) {
                Ok(picture) => {
                    let view = self.view(picture.dimensions(), short);
                    let x = pixels::to_tensor(&view.of_rgb(&picture));
                    let generated = self.onnx.generate(&x);
                    let generated = generated.with_context(|| {
                        format!("{} on {}", self.path.display(), image.display())
                    })?;
                    pixels::write_png(&pixels::to_picture(&generated.image), output)?;
                }
                Err(_) => skipped += 1,
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        ensure!(
            skipped < domain.images.len(),
            "{}: no image can be read",
            domain.images[0].parent().unwrap_or(Path::new("")).display()
        );
        Ok(folder)
    }

    /// A name that is unique to the file and size, so that their results are never mixed up.
    fn folder_name(&self, short: u32) -> Result<String> {
        let bytes = fs::read(&self.path).with_context(|| self.path.display().to_string())?;
        let mut hash = Sha256::new();
        hash.update(bytes);
        hash.update(short.to_le_bytes());
        let hash: String = hash.finalize().iter().take(6).map(|b| format!("{b:02x}")).collect();
        Ok(format!("{}-{hash}", self.direction))
    }

    /// The whole image at the teacher's size.
    fn view(&self, size: (u32, u32), short: u32) -> View {
        View::stretched(size, generated_size(&self.onnx.about, size, short))
    }
}

/// The direction of a file with a name like those of a pair: `G.onnx`, `F.fp16.onnx`.
fn direction_of_name(path: &Path) -> Option<Direction> {
    let name = path.file_name()?.to_str()?;
    let (first, rest) = name.split_once('.')?;
    let is_named = |direction: &Direction| first.chars().eq([direction.letter()]);
    Direction::BOTH.into_iter().find(is_named).filter(|_| rest.ends_with("onnx"))
}

/// Width and height at which a teacher translates an image of `(width, height)`, pixels: its fixed size,
/// else by the short side that it was trained for, else by `short` or the image's own if that is less.
fn generated_size(about: &Generator, (width, height): (u32, u32), short: u32) -> (u32, u32) {
    let own = width.min(height);
    let short = about.metadata.size.unwrap_or(short.min(own));
    let scale = f64::from(short) / f64::from(own);
    let multiple = f64::from(about.metadata.multiple_of);
    let side = |dim: Dim, length: u32| match dim {
        Dim::Fixed(length) => length,
        Dim::Dynamic => ((f64::from(length) * scale / multiple).round().max(1.0) * multiple) as u32,
    };
    (side(about.width, width), side(about.height, height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cyclegan_contract::{ElementType, Metadata, Precision};

    fn about(size: Option<u32>, side: Dim) -> Generator {
        Generator {
            input: "x".to_owned(),
            input_type: ElementType::F32,
            output: "y".to_owned(),
            output_type: ElementType::F32,
            mask: None,
            precision: Precision::Fp32,
            batch: Dim::Dynamic,
            height: side,
            width: side,
            external_data: Default::default(),
            metadata: Metadata { size, multiple_of: 4, ..Metadata::default() },
        }
    }

    #[test]
    fn the_name_of_a_file_tells_its_direction() {
        let (g, f) = (Some(Direction::AToB), Some(Direction::BToA));
        for (name, expected) in [
            ("pair/G.onnx", g),
            ("F.onnx", f),
            ("F.fp16.onnx", f),
            ("F/zebra.onnx", None),
            ("Faces.onnx", None),
            ("F.txt", None),
        ] {
            assert_eq!(direction_of_name(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn a_teacher_generates_at_its_own_size() {
        let dynamic = |size| about(size, Dim::Dynamic);
        for (about, expected) in [
            (dynamic(Some(256)), (512, 256)),
            (dynamic(None), (572, 288)),
            (about(Some(256), Dim::Fixed(128)), (128, 128)),
        ] {
            assert_eq!(generated_size(&about, (1000, 500), 286), expected);
        }
        // A small image is not upscaled if the file has no size.
        assert_eq!(generated_size(&dynamic(None), (100, 120), 286), (100, 120));
    }
}
