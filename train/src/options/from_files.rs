// SPDX-License-Identifier: MIT OR Apache-2.0

//! The generators' options from exported files.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use cyclegan_contract::{Direction, Generator, Precision, file_name};

use super::{GeneratorName, TrainOptions, set_unless_given};
use crate::net::{
    build::Norm,
    generator::{GeneratorShape, Pruned},
};

impl TrainOptions {
    /// Takes the architecture of G.onnx and F.onnx in `folder`, except for options that are given. `is_given` gets the
    /// names of the options without leading dashes.
    pub fn take_architecture(
        &mut self,
        folder: &Path,
        is_given: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let [g, f] = shapes(folder)?;
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
            backbone: g.backbone.then(|| folder.join(file_name(Direction::AToB, Precision::Fp32))),
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
    pub fn of_pair_itself(mut self, folder: &Path) -> Result<Self> {
        let [g, f] = shapes(folder)?;
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

/// The shapes in the files of a pair.
fn shapes(folder: &Path) -> Result<[GeneratorShape; 2]> {
    let [g, f] = Direction::BOTH.map(|direction| {
        let path = folder.join(file_name(direction, Precision::Fp32));
        let read = || -> Result<GeneratorShape> {
            let about = Generator::read(&path)
                .context("expected a folder that `export` wrote, with G.onnx and F.onnx")?;
            let shape = about.metadata.shape;
            let shape =
                shape.context("no `cyclegan.shape`, expected a pair that `export` wrote")?;
            GeneratorShape::from_json(&shape)
        };
        read().with_context(|| path.display().to_string())
    });
    Ok([g?, f?])
}
