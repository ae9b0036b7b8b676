// SPDX-License-Identifier: MIT OR Apache-2.0

//! The generators' options from exported files.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::{ArgMatches, parser::ValueSource};
use cyclegan_contract::{Direction, Generator, Precision, file_name};

use super::{GeneratorName, TrainOptions};
use crate::{
    export::pruned,
    net::generator::{GeneratorShape, Pruned},
};

impl TrainOptions {
    /// Takes the architecture of G.onnx and F.onnx in `folder`, except for options of the command line.
    ///
    /// Files from before `cyclegan.shape` only show pruned channels, by the shapes of their weights.
    pub fn take_architecture(&mut self, folder: &Path, matches: &ArgMatches) -> Result<()> {
        let Some([g, f]) = shapes(folder)? else {
            self.pruned = pruned::of_pair(folder, &self.generator(0))?;
            return Ok(());
        };
        let whole =
            |shape: &GeneratorShape| GeneratorShape { pruned: None, blur: false, ..shape.clone() };
        ensure!(
            whole(&g) == whole(&f),
            "{}: G.onnx and F.onnx have different architectures, expected a pair that `export` wrote",
            folder.display()
        );
        let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let narrow =
            |n: i64| u32::try_from(n).context("`cyclegan.shape` has a number out of range");
        if !given("net_g") {
            self.net_g = Some(g.net);
        }
        if !given("ngf") {
            self.ngf = Some(narrow(g.ngf)?);
        }
        if !given("width") {
            self.width = narrow(g.width)?;
        }
        if !given("blocks") {
            self.blocks = narrow(i64::try_from(g.blocks)?)?;
        }
        if !given("norm") {
            self.norm = Some(g.norm);
        }
        if !given("mask_head") {
            self.mask_head = g.mask_head;
        }
        self.context |= g.context;
        if g.backbone {
            self.backbone = Some(folder.join(file_name(Direction::AToB, Precision::Fp32)));
        }
        self.skip |= g.skip;
        let blurred = GeneratorName::ALL.into_iter().zip([&g, &f]).filter(|(_, shape)| shape.blur);
        self.blur.extend(blurred.map(|(name, _)| name));
        self.blur.sort_unstable();
        self.blur.dedup();
        let pruned = [&g, &f].iter().any(|shape| shape.pruned.is_some());
        let left: Option<Vec<Pruned>> = [&g, &f].iter().map(|shape| shape.left()).collect();
        self.pruned = left.filter(|_| pruned).and_then(|left| left.try_into().ok());
        Ok(())
    }
}

/// The shapes in the files of a pair; `None` if either has none.
fn shapes(folder: &Path) -> Result<Option<[GeneratorShape; 2]>> {
    let mut shapes = Vec::new();
    for direction in Direction::BOTH {
        let path = folder.join(file_name(direction, Precision::Fp32));
        let read = || -> Result<Option<GeneratorShape>> {
            let about = Generator::read(&path)
                .context("expected a folder that `export` wrote, with G.onnx and F.onnx")?;
            about.metadata.shape.as_deref().map(GeneratorShape::from_json).transpose()
        };
        shapes.extend(read().with_context(|| path.display().to_string())?);
    }
    Ok(shapes.try_into().ok())
}
