// SPDX-License-Identifier: MIT OR Apache-2.0

//! The `masks` command: writes `trainA_mask` and `trainB_mask`, with a segmentation network or by colour.

mod colour;
mod segmenter;

use std::{
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use anyhow::{Context, Result, bail};
use clap::{ArgGroup, Args};
use image::{GrayImage, RgbImage};
use indicatif::ProgressBar;
use tch::{Kind, Tensor, kind::FLOAT_CPU};

use crate::{
    data::{decode, folder::Domain, view::View},
    interrupt::{self, Interrupted},
    options::share,
    pixels, progress,
    terminal::count,
};
use colour::{ColourArgs, Hues};
use segmenter::{Segmenter, SegmenterArgs};

/// Arguments of `masks`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("by").required(true).args(["model", "hue"])))]
pub struct MasksArgs {
    /// ONNX network for salient objects or segmentation, with one image input, N×3×H×W
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Without a network: pixels of these hues are foreground, in degrees, red 0, green 120, blue 240; 345-58
    /// goes through red
    #[arg(long, value_name = "FROM-TO")]
    hue: Option<Hues>,
    /// Data set: the folder that contains --folders
    #[arg(long)]
    data: PathBuf,
    /// Folders whose images get masks, in FOLDER_mask
    #[arg(long, value_delimiter = ',', default_value = "trainA,trainB")]
    folders: Vec<String>,
    #[command(flatten)]
    segmenter: SegmenterArgs,
    #[command(flatten)]
    colour: ColourArgs,
    /// Probability from which a pixel counts as foreground
    #[arg(long, conflicts_with = "hue", default_value_t = 0.5, allow_negative_numbers = true)]
    threshold: f64,
    /// Write probabilities as grey levels instead of black and white
    #[arg(long, conflicts_with_all = ["threshold", "hue"])]
    soft: bool,
    /// Overwrite existing masks
    #[arg(long)]
    overwrite: bool,
}

/// The source of masks.
enum Finder {
    Network(Segmenter),
    Colour(Hues),
}

impl Finder {
    /// The probability that each pixel is foreground: 1×1×H×W in [0, 1].
    fn inside(&mut self, picture: &RgbImage, args: &MasksArgs) -> Result<Tensor> {
        let (width, height) = picture.dimensions();
        let at = |size| pixels::to_tensor(&View::stretched((width, height), size).of_rgb(picture));
        Ok(match self {
            Self::Colour(hues) => args.colour.inside(*hues, &at((width, height))),
            Self::Network(segmenter) => {
                let size = [i64::from(height), i64::from(width)];
                let mut largest = Tensor::zeros([1, 1, size[0], size[1]], FLOAT_CPU);
                for side in segmenter.sides.clone() {
                    let inside = segmenter.inside(&at(side), &args.segmenter)?;
                    let inside = inside.upsample_bilinear2d(size, false, None, None);
                    largest = largest.maximum(&inside);
                }
                largest
            }
        })
    }
}

/// The number of images of a folder, by result.
#[derive(Default)]
struct Counts {
    written: usize,
    kept: usize,
    empty: usize,
    skipped: usize,
}

/// Writes the masks that are missing.
pub fn run(args: &MasksArgs) -> Result<()> {
    share("--threshold", args.threshold)?;
    args.colour.check()?;
    let mut finder = match (&args.model, args.hue) {
        (_, Some(hues)) => Finder::Colour(hues),
        (Some(model), None) => Finder::Network(Segmenter::open(model, &args.segmenter)?),
        (None, None) => bail!("give --model or --hue"),
    };
    let stop = interrupt::flag()?;
    for name in &args.folders {
        // Existing masks may belong to other images.
        let domain = Domain::without_masks(&args.data, name)?;
        let into = args.data.join(format!("{name}_mask"));
        let bar = progress::bar(domain.images.len(), "{msg} {bar:30} {pos}/{len} eta {eta}");
        let bar = bar.with_message(name.clone());
        let mut counts = Counts::default();
        for image in &domain.images {
            let path = into.join(domain.base_name(image)).with_added_extension("png");
            if path.is_file() && !args.overwrite {
                counts.kept += 1;
            } else {
                one(&mut finder, args, image, &path, &bar, &mut counts)?;
            }
            bar.inc(1);
            if stop.load(Ordering::Relaxed) {
                bar.abandon();
                say!(
                    "stopped after writing {}; run the same command to write the others",
                    count(counts.written, "mask")
                );
                bail!(Interrupted);
            }
        }
        bar.finish_and_clear();
        say!("{}: {}", into.display(), counts.describe());
    }
    say!("to look at them: cyclegan-train check --data {} --sheet sheet.html", args.data.display());
    Ok(())
}

fn one(
    finder: &mut Finder,
    args: &MasksArgs,
    image: &Path,
    path: &Path,
    bar: &ProgressBar,
    counts: &mut Counts,
) -> Result<()> {
    let picture = match decode::rgb(image) {
        Ok(picture) => picture,
        Err(error) => {
            bar.suspend(|| say_error!("skipped: {error}"));
            counts.skipped += 1;
            return Ok(());
        }
    };
    let inside = finder.inside(&picture, args).with_context(|| image.display().to_string())?;
    let inside = match args.soft {
        true => inside,
        false => inside.ge(args.threshold).to_kind(Kind::Float),
    };
    let mask = grey(&inside)?;
    counts.empty += usize::from(mask.iter().all(|&v| v < 128));
    pixels::write_png(&mask, path)?;
    counts.written += 1;
    Ok(())
}

/// 1×1×H×W in [0, 1] as an image.
fn grey(mask: &Tensor) -> Result<GrayImage> {
    let (h, w) = (mask.size()[2] as u32, mask.size()[3] as u32);
    let bytes =
        pixels::floats(mask).into_iter().map(|v| (v * 255.0).round().clamp(0.0, 255.0) as u8);
    GrayImage::from_raw(w, h, bytes.collect()).context("the mask has too few pixels")
}

impl Counts {
    fn describe(&self) -> String {
        let mut parts = vec![format!("{} written", count(self.written, "mask"))];
        if self.kept > 0 {
            parts.push(format!("{} already existed", self.kept));
        }
        if self.empty > 0 {
            parts.push(format!(
                "{} {} empty",
                self.empty,
                if self.empty == 1 { "is" } else { "are" }
            ));
        }
        if self.skipped > 0 {
            parts.push(format!("{} could not be read", count(self.skipped, "image")));
        }
        parts.join(", ")
    }
}
