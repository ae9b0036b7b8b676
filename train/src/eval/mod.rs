// SPDX-License-Identifier: MIT OR Apache-2.0

//! The `eval` command: scores of generators.

pub mod features;
mod flicker;
mod flow;
mod kid;
mod score;
mod show;
pub mod validation;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::{ArgGroup, Args, ValueEnum, builder::RangedU64ValueParser};
use cyclegan_contract::{Direction, Precision, file_name};
use cyclegan_output::write_atomically;

use crate::{export, onnx_generator::OnnxGenerator, options::MAX_SIDE, run_folder::RunFolder};
use features::{FeatureNetwork, Scaling};
use score::Scorer;

/// Where `./dev setup eval` puts the feature network within the user's cache.
const FEATURES_IN_CACHE: &str = "cycleganfilter/efficientnet-lite0/efficientnet_lite0.onnx";

/// Arguments of `eval`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).multiple(true).args(["run", "model"])))]
pub struct EvalArgs {
    /// Data set with testA and testB (else trainA and trainB), and optionally masks
    #[arg(long)]
    data: PathBuf,
    /// Score the images of these folders instead: `val` for valA and valB
    #[arg(long, value_name = "NAME")]
    folder: Option<String>,
    /// Images of neither domain: measure how much they change
    #[arg(long, value_name = "DIR")]
    negatives: Option<PathBuf>,
    /// A run: score its newest checkpoint, in both directions
    #[arg(long)]
    run: Option<PathBuf>,
    /// An ONNX generator under the model contract, or a folder with G.onnx and F.onnx and their
    /// variants; may be given several times
    #[arg(long)]
    model: Vec<PathBuf>,
    /// Direction of a --model file without metadata
    #[arg(long, value_enum, default_value = "a2b")]
    direction: Way,
    /// ONNX network with an output `features` for KID and optionally `probs` for the share of images
    /// classified as the target class; `none` for neither [default: EfficientNet-Lite0, which `./dev
    /// setup eval` fetches]
    #[arg(long)]
    features: Option<PathBuf>,
    /// Grey level that is 0 in the feature network's input
    #[arg(long, default_value_t = 127.0, allow_negative_numbers = true)]
    features_mean: f64,
    /// Grey levels per unit of the feature network's input
    #[arg(long, default_value_t = 128.0, allow_negative_numbers = true)]
    features_std: f64,
    /// Class of domain A in `probs`
    #[arg(long)]
    class_a: Option<usize>,
    /// Class of domain B in `probs`
    #[arg(long)]
    class_b: Option<usize>,
    /// A video of domain A, for flicker
    #[arg(long)]
    clip: Option<PathBuf>,
    /// Score only this many frames from the clip's start
    #[arg(long, default_value_t = 50, value_parser = RangedU64ValueParser::<usize>::new().range(2..))]
    clip_frames: usize,
    /// Short side that images are scaled to, pixels
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=MAX_SIDE))]
    size: u32,
    /// Score at most this many images per domain
    #[arg(long, default_value_t = 500, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    max_images: usize,
    /// Write the scores as JSON to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write the scores as an HTML page with images to this file
    #[arg(long)]
    html: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Way {
    /// From domain A to B.
    A2b,
    /// From domain B to A.
    B2a,
}

/// A generator to score.
struct Candidate {
    name: String,
    direction: Direction,
    onnx: OnnxGenerator,
}

/// Scores generators and prints a table.
pub fn run(args: &EvalArgs) -> Result<()> {
    // Fails before the work instead of after it.
    for folder in [&args.json, &args.html].into_iter().flatten().filter_map(|path| path.parent()) {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let exported;
    let mut candidates = Vec::new();
    if let Some(run) = &args.run {
        exported = tempfile::tempdir().context("a temporary folder")?;
        export::write_pair(&RunFolder::open(run)?, exported.path())?;
        candidates.extend(pair(exported.path(), &run.display().to_string())?);
    }
    for path in &args.model {
        let name = path.display().to_string();
        if path.is_dir() {
            candidates.extend(pair(path, &name)?);
        } else {
            candidates.push(single(path, name, args.direction)?);
        }
    }
    ensure!(!candidates.is_empty(), "the folders of --model have no G.onnx or F.onnx");
    let scorer = Scorer::new(args, network(args)?, common_multiple(&candidates))?;
    let scores = scorer.score(&mut candidates)?;
    say!("{}", show::table(&scores).trim_end());
    if let Some(path) = &args.json {
        write_atomically(path, show::json(&scores)?.as_bytes())?;
    }
    if let Some(path) = &args.html {
        write_atomically(path, show::html(&scores)?.as_bytes())?;
    }
    Ok(())
}

/// Common multiple of height and width for all candidates, pixels: they are compared on the same images.
fn common_multiple(candidates: &[Candidate]) -> u32 {
    let multiples = candidates.iter().map(|c| c.onnx.about.metadata.multiple_of);
    multiples.fold(4, |common, own| {
        let mut multiples = (common..).step_by(common as usize);
        multiples.find(|multiple| multiple.is_multiple_of(own)).unwrap_or(common)
    })
}

fn network(args: &EvalArgs) -> Result<Option<FeatureNetwork>> {
    if args.features.as_deref() == Some(Path::new("none")) {
        return Ok(None);
    }
    let path = args.features.clone().map_or_else(default_network, Ok)?;
    ensure!(
        args.features_mean.is_finite(),
        "--features-mean is {}, expected a number",
        args.features_mean
    );
    ensure!(
        args.features_std > 0.0 && args.features_std.is_finite(),
        "--features-std is {}, expected more than 0",
        args.features_std
    );
    let scaling = Scaling { mean: args.features_mean, std: args.features_std };
    let network = FeatureNetwork::open(&path, scaling)?;
    for (option, class) in [("--class-a", args.class_a), ("--class-b", args.class_b)] {
        if let (Some(class), Some(classes @ 1..)) = (class, network.classes()) {
            ensure!(
                class < classes,
                "{option} is {class}, expected 0 to {}: {} knows {classes} classes",
                classes - 1,
                path.display()
            );
        }
    }
    Ok(Some(network))
}

/// The default network.
pub fn default_network() -> Result<PathBuf> {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache"));
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    let path = cache.unwrap_or_default().join(FEATURES_IN_CACHE);
    ensure!(
        path.is_file(),
        "{}: no feature network found, but KID needs one; fetch it with `./dev setup eval`, name another \
         with --features, or leave KID and class shares out with --features none",
        path.display()
    );
    Ok(path)
}

/// The generators of a folder; each variant is a candidate.
fn pair(folder: &Path, name: &str) -> Result<Vec<Candidate>> {
    let mut candidates = Vec::new();
    for precision in Precision::ALL {
        let name = match precision {
            Precision::Fp32 => name.to_owned(),
            Precision::Fp16 => format!("{name} fp16"),
            Precision::Int8 => format!("{name} int8"),
        };
        for direction in Direction::BOTH {
            let path = folder.join(file_name(direction, precision));
            if path.is_file() {
                let onnx = OnnxGenerator::open(&path, 0)?;
                candidates.push(Candidate { name: name.clone(), direction, onnx });
            }
        }
    }
    Ok(candidates)
}

fn single(path: &Path, name: String, way: Way) -> Result<Candidate> {
    let onnx = OnnxGenerator::open(path, 0)?;
    let said = onnx.about.metadata.direction;
    let direction = said.unwrap_or(match way {
        Way::A2b => Direction::AToB,
        Way::B2a => Direction::BToA,
    });
    Ok(Candidate { name, direction, onnx })
}
