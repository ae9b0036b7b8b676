// SPDX-License-Identifier: MIT OR Apache-2.0

//! The `export` command: a run's generators as ONNX files under the model contract.

mod check;
pub mod graph;
mod layers;
pub mod model;
pub mod read_back;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use cyclegan_contract::{Direction, Metadata, Precision, file_name};
use tch::{Device, Kind};

use crate::{
    checkpoint,
    cyclegan::CycleGan,
    net::{cost::macs, generator::Generator, params::Weights},
    onnx_generator::OnnxGenerator,
    run_folder::{Config, RunFolder, write_beside},
};
use graph::Element;

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Folder of the run
    #[arg(long)]
    run: PathBuf,
    /// Folder for G.onnx, F.onnx and README.md
    #[arg(long)]
    out: PathBuf,
    /// Arithmetic of the files
    #[arg(long, value_enum, default_value = "fp32")]
    precision: ExportPrecision,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExportPrecision {
    /// float32: G.onnx, F.onnx
    Fp32,
    /// float16: G.fp16.onnx, F.fp16.onnx
    Fp16,
}

/// Writes both generators of the newest checkpoint and a README.md.
pub fn run(args: &ExportArgs) -> Result<()> {
    let precision = match args.precision {
        ExportPrecision::Fp32 => Precision::Fp32,
        ExportPrecision::Fp16 => Precision::Fp16,
    };
    let run = RunFolder::open(&args.run)?;
    for written in write_pair(&run, &args.out, precision)? {
        let (path, worst) = (written.path.display(), written.difference);
        println!("{path}: differs from libtorch by {worst:.1e} at most");
    }
    Ok(())
}

/// A file that was exported.
#[derive(Debug)]
pub struct Written {
    /// Where it is.
    pub path: PathBuf,
    /// Its largest difference from libtorch, of a range of 2.
    pub difference: f64,
}

/// Writes the generators of a run's newest checkpoint, each checked before it takes its name.
pub fn write_pair(run: &RunFolder, out: &Path, precision: Precision) -> Result<Vec<Written>> {
    let (config, model) = checkpoint::open_newest(run, Device::Cpu)?;
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let element = if precision == Precision::Fp16 { Element::F16 } else { Element::F32 };
    let mut files = Vec::new();
    for (i, direction) in Direction::BOTH.into_iter().enumerate() {
        let network = &model.networks[i];
        let metadata = metadata(&config, network, direction);
        let path = out.join(file_name(direction, precision));
        let weights = || model.generators[i].shown().weights(Kind::Float);
        let (folded, folded_weights) = network.folded(weights());
        let bytes = model::encode(&folded, &folded_weights, &metadata, element);
        let difference = write_checked(&path, &bytes, network, &weights())?;
        files.push(Written { path, difference });
    }
    write_beside(&out.join("README.md"), card(&config, &model, &files).as_bytes())?;
    Ok(files)
}

/// Writes a file beside its place, checks it there, and moves it in.
fn write_checked(
    path: &Path,
    bytes: &[u8],
    generator: &Generator,
    weights: &Weights,
) -> Result<f64> {
    let beside = path.with_extension("unchecked.onnx");
    let check = || -> Result<f64> {
        write_beside(&beside, bytes)?;
        let mut onnx = OnnxGenerator::open(&beside, 0)?;
        check::against_libtorch(&mut onnx, generator, weights)
    };
    match check() {
        Ok(worst) => {
            fs::rename(&beside, path).with_context(|| path.display().to_string())?;
            Ok(worst)
        }
        Err(error) => {
            let _ = fs::remove_file(&beside);
            Err(error)
        }
    }
}

fn metadata(config: &Config, network: &Generator, direction: Direction) -> Metadata {
    let options = &config.train;
    let size = options.load_size;
    let side = u64::from(size);
    Metadata {
        direction: Some(direction),
        domain_a: Some(options.domain_a.clone()),
        domain_b: Some(options.domain_b.clone()),
        size: Some(size),
        multiple_of: network.multiple_of(),
        arch: clap::ValueEnum::to_possible_value(&options.net_g()).map(|v| v.get_name().to_owned()),
        macs: Some(macs(&network.layers, side, side)),
        parameters: Some(network.layout.weights() as u64),
        trained_on: config.data.file_name().map(|n| n.to_string_lossy().into_owned()),
        ..Metadata::default()
    }
}

/// The README.md that goes with exported files.
fn card(config: &Config, model: &CycleGan, files: &[Written]) -> String {
    let (a, b) = (&config.train.domain_a, &config.train.domain_b);
    let side = u64::from(config.train.load_size);
    let size = |network: &Generator| {
        let giga = macs(&network.layers, side, side) as f64 / 1e9;
        format!("{:.2} M parameters, {giga:.2} GMAC", network.layout.weights() as f64 / 1e6)
    };
    let [g, f] = model.networks.each_ref().map(size);
    let sizes = if g == f { g } else { format!("G: {g}; F: {f};") };
    let data = config.data.file_name().unwrap_or_default().to_string_lossy();
    let mut card = format!(
        "# {a} ⇄ {b}\n\n\
         G paints {a} as {b}, F paints {b} as {a}. Made by `cyclegan-train export` from \
         iteration {step} of a run on `{data}`.\n\n\
         {sizes} at {side}×{side}.\n\n\
         | file | largest difference from libtorch, of a range of 2 |\n| --- | --- |\n",
        step = model.step,
    );
    for Written { path, difference } in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        card += &format!("| `{name}` | {difference:.1e} |\n");
    }
    card
}
