// SPDX-License-Identifier: MIT OR Apache-2.0

//! The generators' options from exported files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use cyclegan_contract::{Direction, Generator, Precision, file_name};

use super::{GeneratorName, TrainOptions, set_unless_given};
use crate::net::{
    build::Norm,
    generator::{GeneratorShape, Pruned},
};

impl TrainOptions {
    /// Takes the architecture of G.onnx and F.onnx in `folder`, except for options that are given. `is_given` gets the
    /// names of the options without leading dashes; `trained` says whether the run trains G and F.
    pub fn take_architecture(
        &mut self,
        folder: &Path,
        trained: [bool; 2],
        is_given: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let [g, f] = shapes(folder, trained)?;
        let whole =
            |shape: &GeneratorShape| GeneratorShape { pruned: None, blur: false, ..shape.clone() };
        ensure!(
            whole(&g) == whole(&f),
            "{}: G.onnx and F.onnx have different architectures, expected a pair that `export` wrote",
            folder.display()
        );
        let narrow =
            |n: i64| u32::try_from(n).context("`cyclegan.shape` has a number out of range");
        let pruned = [&g, &f].iter().any(|shape| shape.pruned.is_some());
        let left: Option<Vec<Pruned>> = [&g, &f].iter().map(|shape| shape.left()).collect();
        let of_files = Self {
            net_g: Some(g.net),
            ngf: Some(narrow(g.ngf)?),
            width: narrow(g.width)?,
            blocks: narrow(i64::try_from(g.blocks)?)?,
            norm: Some(g.norm),
            mask_head: g.mask_head,
            context: g.context,
            skip: g.skip,
            backbone: g.backbone.then(|| path_of(folder, directions_in(folder, trained)[0])),
            blur: blurred([&g, &f]),
            pruned: left.filter(|_| pruned).and_then(|left| left.try_into().ok()),
            ..Self::default()
        };
        self.copy_architecture(of_files, is_given);
        Ok(())
    }

    /// Copies the generators' architecture of `other`, except for options that are given.
    pub fn copy_architecture(&mut self, other: Self, is_given: impl Fn(&str) -> bool) {
        set_unless_given(&mut self.net_g, other.net_g, is_given("net-g"));
        set_unless_given(&mut self.ngf, other.ngf, is_given("ngf"));
        set_unless_given(&mut self.width, other.width, is_given("width"));
        set_unless_given(&mut self.blocks, other.blocks, is_given("blocks"));
        set_unless_given(&mut self.norm, other.norm, is_given("norm"));
        set_unless_given(&mut self.mask_head, other.mask_head, is_given("mask-head"));
        set_unless_given(&mut self.context, other.context, is_given("context"));
        set_unless_given(&mut self.skip, other.skip, is_given("skip"));
        self.backbone = self.backbone.take().or(other.backbone);
        self.add_blur(other.blur);
        self.pruned = other.pruned;
    }

    /// The same for the generators of `folder` as they are: without the low-pass filters that a run adds to them, and
    /// with the normalisation that it freezes.
    pub fn of_pair_itself(mut self, folder: &Path, trained: [bool; 2]) -> Result<Self> {
        let [g, f] = shapes(folder, trained)?;
        self.blur = blurred([&g, &f]);
        if self.generator(0).norm == Norm::Frozen {
            self.norm = Some(Norm::Instance);
        }
        Ok(self)
    }

    /// Adds low-pass filters of generators that may have them already.
    pub fn add_blur(&mut self, names: impl IntoIterator<Item = GeneratorName>) {
        self.blur.extend(names);
        self.blur.sort_unstable();
        self.blur.dedup();
    }
}

/// Which of G and F have a low-pass filter.
fn blurred(shapes: [&GeneratorShape; 2]) -> Vec<GeneratorName> {
    let blurred = GeneratorName::ALL.into_iter().zip(shapes).filter(|(_, shape)| shape.blur);
    blurred.map(|(name, _)| name).collect()
}

/// The directions of the files that a run reads from the folder of a pair: those that it trains, and another one if it
/// has a file, which the export of `--only` lacks.
pub fn directions_in(folder: &Path, trained: [bool; 2]) -> Vec<Direction> {
    let is_read = |&direction: &Direction| {
        trained[direction as usize] || path_of(folder, direction).is_file()
    };
    Direction::BOTH.into_iter().filter(is_read).collect()
}

fn path_of(folder: &Path, direction: Direction) -> PathBuf {
    folder.join(file_name(direction, Precision::Fp32))
}

/// The shapes in the files of a pair. A generator without a file that is not trained has the shape of the other.
fn shapes(folder: &Path, trained: [bool; 2]) -> Result<[GeneratorShape; 2]> {
    let shape = |direction: Direction| {
        let path = path_of(folder, direction);
        let read = || -> Result<GeneratorShape> {
            let about = Generator::read(&path).with_context(|| {
                let other = ["f", "g"][direction as usize];
                format!(
                    "expected a folder that `export` wrote, with G.onnx and F.onnx; a run with --only {other} does \
                     not need this one"
                )
            })?;
            let shape = about.metadata.shape;
            let shape =
                shape.context("no `cyclegan.shape`, expected a pair that `export` wrote")?;
            GeneratorShape::from_json(&shape)
        };
        read().with_context(|| path.display().to_string())
    };
    Ok(match directions_in(folder, trained)[..] {
        [only] => {
            let shape = shape(only)?;
            [shape.clone(), shape]
        }
        _ => [shape(Direction::AToB)?, shape(Direction::BToA)?],
    })
}
