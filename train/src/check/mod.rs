// SPDX-License-Identifier: MIT OR Apache-2.0

//! The `check` command: inspects a data set before training.

mod advice;
mod look;
mod sheet;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;

use crate::{
    data::{
        folder::{Domain, other_formats},
        pairs::matched,
    },
    net::generator::NetG,
    options::{MAX_SIDE, Mode, TrainOptions},
    progress,
    terminal::count,
};
use advice::{Expected, findings};
use look::{Folder, Mask};

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Data set: a folder with trainA and trainB, and optionally testA, testB, valA, valB, trainA_mask and
    /// trainB_mask
    #[arg(long)]
    data: PathBuf,
    /// How `train` will use it
    #[arg(long, value_enum, default_value = "unpaired")]
    mode: Mode,
    /// The --net-g of `train` [default: fast, paired: unet_256]
    #[arg(long, value_enum)]
    net_g: Option<NetG>,
    /// The --load-size of `train`, pixels [default: 286, fast: 256]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=MAX_SIDE))]
    load_size: Option<u32>,
    /// Two images count as the same if their 64-bit perceptual hashes differ in fewer bits than this
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(..=64))]
    distance: u32,
    /// Write a contact sheet to this file: a page (.html) or an image (.png)
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
}

/// Prints the content of a data set and what to do about it; fails if training cannot start.
pub fn run(args: &CheckArgs) -> Result<()> {
    let train = |name: &str| Domain::open(&args.data, name, None);
    let (a, b) = (train("trainA")?, train("trainB")?);
    let [a, b] = match args.mode {
        Mode::Paired => matched(a, b, None)?,
        Mode::Unpaired => [a, b],
    };
    let mut domains = vec![("trainA".to_owned(), a), ("trainB".to_owned(), b)];
    for name in ["testA", "testB", "valA", "valB"] {
        domains.extend(Domain::open_if_there(&args.data, name)?.map(|d| (name.to_owned(), d)));
    }
    let all = domains.iter().map(|(_, domain)| domain.images.len()).sum();
    let bar = progress::bar(all, "{bar:30} {pos}/{len} images eta {eta}");
    let inspect = |(name, domain): &(String, Domain)| Folder::inspect(name, domain, &bar);
    let folders: Vec<Folder> = domains.iter().map(inspect).collect();
    bar.finish_and_clear();
    folders.iter().for_each(|folder| say!("{}", summary(folder)));
    let mut train = TrainOptions { mode: args.mode, net_g: args.net_g, ..TrainOptions::default() };
    train.set_defaults_of_fast(|_| false);
    let load_size = args.load_size.unwrap_or(train.load_size);
    let preprocess = train.preprocess;
    let expected = Expected { load_size, distance: args.distance, mode: args.mode, preprocess };
    for (name, domain) in &domains {
        if let Some(found) = other_formats(&domain.root)? {
            say!("{name}: {found}");
        }
    }
    let findings = findings(&folders, expected);
    for finding in &findings {
        say!("{}", finding.line);
    }
    if let Some(path) = &args.sheet {
        sheet::write(path, &domains, &findings)?;
    }
    for folder in &folders[..2] {
        let usable = folder.pictures.iter().any(|p| !matches!(p.mask, Some(Mask::Unusable(_))));
        ensure!(usable, "training cannot start: {} has no usable image", folder.name);
    }
    say!("training can start");
    Ok(())
}

fn summary(folder: &Folder) -> String {
    let sides = || folder.pictures.iter().map(|p| p.size.0.min(p.size.1));
    let (least, most) = (sides().min().unwrap_or(0), sides().max().unwrap_or(0));
    let masks = match folder.pictures.iter().filter(|p| p.mask.is_some()).count() {
        0 => String::new(),
        n => format!(", {}", count(n, "mask")),
    };
    format!(
        "{}: {}, short sides from {least} to {most} pixels{masks}",
        folder.name,
        count(folder.pictures.len(), "image")
    )
}
