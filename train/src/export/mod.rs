// SPDX-License-Identifier: MIT OR Apache-2.0

//! The `export` command: a run's generators as ONNX files under the model contract.

mod card;
mod check;
mod frames;
pub mod graph;
mod int8;
mod layers;
pub mod model;
pub mod read_back;
mod sharpen;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use cyclegan_contract::{
    Direction, ElementType, Metadata, Precision, file_name,
    onnx::{Message, ModelProto},
};
use cyclegan_output::write_atomically;
use tch::{Device, Kind, no_grad};

use crate::{
    checkpoint::ExportedGenerators,
    net::{
        cost::macs,
        generator::Generator,
        params::{Params, Weights},
    },
    onnx_generator::OnnxGenerator,
    options::MAX_SIDE,
    run_folder::{Config, RunFolder},
};
use frames::References;

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Folder of the run
    #[arg(long)]
    run: PathBuf,
    /// Export the best checkpoint of `train --eval-every` instead of the newest
    #[arg(long)]
    best: bool,
    /// Folder for G.onnx, F.onnx and README.md; a README.md that `export` did not write is kept
    #[arg(long)]
    out: PathBuf,
    /// Short side at which the filter runs the generators, pixels (`cyclegan.size`) [default: the run's
    /// training size]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=MAX_SIDE))]
    size: Option<u32>,
    /// Average the weights with those of G.onnx and F.onnx in this folder, with which the run started
    /// (--init-from), to restore part of what further training lost
    #[arg(long, value_name = "DIR")]
    average_with: Option<PathBuf>,
    /// Share of that folder's weights in G
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, requires = "average_with")]
    average_a: f64,
    /// Share of that folder's weights in F
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, requires = "average_with")]
    average_b: f64,
    /// Factor of the masks' logits; above 1 it moves the masks towards 0 and 1
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    mask_gain: f64,
    /// Added to the logits of G's mask after --mask-gain; above 0, G changes more of the image
    #[arg(long, value_name = "LOGITS", default_value_t = 0.0, allow_negative_numbers = true)]
    mask_shift_a: f64,
    /// Added to the logits of F's mask after --mask-gain; above 0, F changes more of the image
    #[arg(long, value_name = "LOGITS", default_value_t = 0.0, allow_negative_numbers = true)]
    mask_shift_b: f64,
    /// Also write these variants, separated by commas
    #[arg(long, value_enum, value_delimiter = ',')]
    variants: Vec<Variant>,
    /// Data set on which variants are calibrated and compared with float32 [default: the run's]
    #[arg(long)]
    calibrate: Option<PathBuf>,
    /// Images of each domain for the calibration
    #[arg(long, default_value_t = 32)]
    calibration_images: usize,
    /// int8: share of the arithmetic that may stay in float32, for the convolutions with the most error; the
    /// last convolution always does
    #[arg(long, default_value_t = 0.06)]
    float_share: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Variant {
    /// float16, for GPUs: G.fp16.onnx, F.fp16.onnx
    Fp16,
    /// 8-bit integers, for CPUs: G.int8.onnx, F.int8.onnx
    Int8,
}

impl ExportArgs {
    /// Refuses values that cannot work with any run.
    pub fn check(&self) -> Result<()> {
        for (name, share) in [
            ("--float-share", self.float_share),
            ("--average-a", self.average_a),
            ("--average-b", self.average_b),
        ] {
            ensure!((0.0..=1.0).contains(&share), "{name} is {share}, expected 0 to 1");
        }
        ensure!(self.calibration_images > 0, "--calibration-images is 0, expected at least 1");
        let gain = self.mask_gain;
        ensure!(gain > 0.0 && gain.is_finite(), "--mask-gain is {gain}, expected more than 0");
        for (name, shift) in
            [("--mask-shift-a", self.mask_shift_a), ("--mask-shift-b", self.mask_shift_b)]
        {
            ensure!(shift.is_finite(), "{name} is {shift}, expected a number");
        }
        Ok(())
    }

    /// Whether it exports the best of the scored checkpoints.
    pub fn takes_best(&self) -> bool {
        self.best
    }

    /// Whether the weights are averaged with those of other files.
    pub fn averages(&self) -> bool {
        self.average_with.is_some()
    }

    /// The same without averaging.
    pub fn without_average(self) -> Self {
        Self { average_with: None, ..self }
    }
}

/// Writes both generators of the newest checkpoint, their variants, and a README.md.
pub fn run(args: &ExportArgs) -> Result<()> {
    run_all(std::slice::from_ref(args))
}

/// Exports several runs into the folder of the first; each generator is that of the last run that trained it.
pub fn run_all(all: &[ExportArgs]) -> Result<()> {
    let (mut left, mut sections) = (Direction::BOTH.to_vec(), Vec::new());
    let mut domains = None;
    for args in all.iter().rev() {
        if left.is_empty() {
            break;
        }
        let mut pair = opened(args)?;
        pair.directions.retain(|direction| left.contains(direction));
        left.retain(|direction| !pair.directions.contains(direction));
        let written = write_all(&pair, args)?;
        sections.insert(0, pair.section(&written));
        let train = &pair.config.train;
        domains.get_or_insert_with(|| [train.domain_a.clone(), train.domain_b.clone()]);
    }
    match (all, domains) {
        ([first, ..], Some(domains)) => card::write(&first.out, &domains, &sections),
        _ => Ok(()),
    }
}

/// The generators that the arguments name, changed as they say.
fn opened(args: &ExportArgs) -> Result<Pair> {
    args.check()?;
    ensure!(!args.out.is_file(), "{}: a file, expected a folder", args.out.display());
    let run = RunFolder::open(&args.run)?;
    let read = if args.best { ExportedGenerators::best } else { ExportedGenerators::newest };
    let mut pair = Pair::of(read(&run, Device::Cpu)?);
    if let Some(size) = args.size {
        let multiple = pair.model.networks[0].multiple_of();
        ensure!(
            (1..=Metadata::MAX_SIZE).contains(&size) && size.is_multiple_of(multiple),
            "--size is {size}, expected a multiple of {multiple} up to {}",
            Metadata::MAX_SIZE
        );
        pair.size = Some(size);
    }
    if let Some(folder) = &args.average_with {
        pair.average(folder, [args.average_a, args.average_b])?;
    }
    let (gain, shifts) = (args.mask_gain, [args.mask_shift_a, args.mask_shift_b]);
    for (i, shift) in shifts.into_iter().enumerate() {
        if gain != 1.0 || shift != 0.0 {
            sharpen::sharpen(&pair.model.networks[i], &pair.model.params[i], gain, shift)?;
        }
    }
    Ok(pair)
}

/// Writes the generators of a pair and their variants.
fn write_all(pair: &Pair, args: &ExportArgs) -> Result<Vec<Written>> {
    let data = args.calibrate.as_deref().unwrap_or(&pair.config.data);
    let frames = |&direction: &Direction| {
        let domain = ["trainA", "trainB"][direction as usize];
        let metadata = pair.metadata(direction)?;
        Ok((direction, frames::read(data, domain, args.calibration_images, &metadata)?))
    };
    // Before anything is written, as the images may be missing.
    let calibrated = pair.directions.iter().filter(|_| !args.variants.is_empty());
    let calibrated: Vec<_> = calibrated.map(frames).collect::<Result<_>>()?;
    let mut written = pair.write(&args.out)?;
    written.iter().for_each(Written::print);
    for (direction, frames) in calibrated {
        let float32 = args.out.join(file_name(direction, Precision::Fp32));
        let references = References::by(&mut OnnxGenerator::open(&float32, 0)?, frames)?;
        for &variant in &args.variants {
            let file = pair.write_variant(direction, variant, args, &references)?;
            file.print();
            written.push(file);
        }
    }
    Ok(written)
}

/// Writes the generators of a run's newest checkpoint; each is checked before it gets its name.
pub fn write_pair(run: &RunFolder, out: &Path) -> Result<()> {
    Pair::of(ExportedGenerators::newest(run, Device::Cpu)?).write(out)?;
    Ok(())
}

/// An exported file.
#[derive(Debug)]
struct Written {
    name: String,
    /// Its comparison with its source.
    check: String,
}

impl Written {
    fn print(&self) {
        say!("{}: {}", self.name, self.check);
    }
}

/// The generators of a run.
struct Pair {
    config: Config,
    model: ExportedGenerators,
    /// The short side for the files, pixels, if known.
    size: Option<u32>,
    /// Those to write: the directions that were trained.
    directions: Vec<Direction>,
}

impl Pair {
    fn of((config, model): (Config, ExportedGenerators)) -> Self {
        let (size, trained) = (config.train.short_side(), config.trained());
        let directions =
            Direction::BOTH.into_iter().filter(|&direction| trained[direction as usize]);
        let directions = directions.collect();
        Self { config, model, size, directions }
    }

    /// Averages with `shares` of an exported pair: θ = (1 − share)·run + share·pair (Wortsman et al. 2022,
    /// arXiv 2109.01903). This works for a network and its further training, not for separately trained
    /// networks.
    fn average(&self, folder: &Path, shares: [f64; 2]) -> Result<()> {
        let model = &self.model;
        let others =
            model.params.each_ref().map(|own| Params::from_flat(own.layout(), own.flat().copy()));
        read_back::pair(folder, &self.directions, &model.networks, others.each_ref())?;
        for &direction in &self.directions {
            let i = direction as usize;
            let mut weights = model.params[i].flat().shallow_clone();
            no_grad(|| {
                let _ = weights.lerp_(others[i].flat(), shares[i]);
            });
        }
        Ok(())
    }

    /// Writes G.onnx and F.onnx, or the one that was trained.
    fn write(&self, out: &Path) -> Result<Vec<Written>> {
        fs::create_dir_all(out).with_context(|| out.display().to_string())?;
        let write = |&direction: &Direction| {
            let name = file_name(direction, Precision::Fp32);
            let weights = self.weights(direction);
            let bytes = self.build(direction, ElementType::F32)?.encode_to_vec();
            let path = out.join(&name);
            let is_new = fs::read(&path).ok().as_ref() != Some(&bytes);
            let worst = write_checked(&path, &bytes, |onnx| {
                check::against_libtorch(onnx, self.network(direction), &weights)
            })?;
            if is_new {
                remove_variants(out, direction)?;
            }
            Ok(Written { name, check: format!("differs from libtorch by {worst:.1e} at most") })
        };
        self.directions.iter().map(write).collect()
    }

    fn write_variant(
        &self,
        direction: Direction,
        variant: Variant,
        args: &ExportArgs,
        references: &References,
    ) -> Result<Written> {
        let (precision, model, kept) = match variant {
            Variant::Fp16 => (Precision::Fp16, self.build(direction, ElementType::F16)?, None),
            Variant::Int8 => {
                let float32 = self.build(direction, ElementType::F32)?;
                let int8 = int8::quantise(&float32, references, args.float_share)?;
                (Precision::Int8, int8.model, Some(int8.kept))
            }
        };
        let name = file_name(direction, precision);
        let found = write_checked(&args.out.join(&name), &model.encode_to_vec(), |onnx| {
            check::against_float32(onnx, references)
        })?;
        let mut check = format!(
            "differs from {} by {:.2} grey levels on average, {:.2} where it changes the picture, \
             {:.1} at most",
            file_name(direction, Precision::Fp32),
            found.mean,
            found.inside,
            found.largest
        );
        if let Some(kept) = kept.filter(|kept| !kept.is_empty()) {
            check += &format!("; in float32: {}", kept.join(", "));
        }
        Ok(Written { name, check })
    }

    fn build(&self, direction: Direction, element: ElementType) -> Result<ModelProto> {
        let (folded, weights) = self.network(direction).folded(self.weights(direction));
        Ok(model::build(&folded, &weights, &self.metadata(direction)?, element))
    }

    fn network(&self, direction: Direction) -> &Generator {
        &self.model.networks[direction as usize]
    }

    fn weights(&self, direction: Direction) -> Weights {
        self.model.params[direction as usize].weights(Kind::Float)
    }

    /// The short side at which arithmetic is counted, pixels: that of the filter.
    fn side(&self) -> u64 {
        self.size.unwrap_or(frames::SHORT_SIDE).into()
    }

    fn metadata(&self, direction: Direction) -> Result<Metadata> {
        let options = &self.config.train;
        let side = self.side();
        let arch = options.net_g().to_possible_value();
        let network = self.network(direction);
        Ok(Metadata {
            direction: Some(direction),
            domain_a: Some(options.domain_a.clone()),
            domain_b: Some(options.domain_b.clone()),
            size: self.size,
            multiple_of: network.multiple_of(),
            arch: arch.map(|value| value.get_name().to_owned()),
            shape: Some(network.shape.to_json()?),
            macs: Some(macs(&network.layers, side, side)),
            parameters: Some(network.layout.weights() as u64),
            trained_on: self.config.data.file_name().map(|n| n.to_string_lossy().into_owned()),
            ..Metadata::default()
        })
    }
}

/// Deletes variants of an old float32 file: the filter would prefer them.
fn remove_variants(folder: &Path, direction: Direction) -> Result<()> {
    for precision in [Precision::Fp16, Precision::Int8] {
        let path = folder.join(file_name(direction, precision));
        match fs::remove_file(&path) {
            Ok(()) => say!("{}: deleted, since it is from another export", path.display()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
    }
    Ok(())
}

/// Writes a file under a temporary name, checks it and renames it.
fn write_checked<T>(
    path: &Path,
    bytes: &[u8],
    check: impl FnOnce(&mut OnnxGenerator) -> Result<T>,
) -> Result<T> {
    let beside = path.with_extension("unchecked.onnx");
    let written = || -> Result<T> {
        write_atomically(&beside, bytes)?;
        let found = check(&mut OnnxGenerator::open(&beside, 0)?)?;
        fs::rename(&beside, path)?;
        Ok(found)
    };
    written()
        .inspect_err(|_| {
            let _ = fs::remove_file(&beside);
        })
        .with_context(|| path.display().to_string())
}
