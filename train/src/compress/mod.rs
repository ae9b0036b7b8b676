// SPDX-License-Identifier: MIT OR Apache-2.0

//! The `compress` command: a smaller pair that learns from a larger one.

mod paint;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::{ArgMatches, Args, parser::ValueSource};
use cyclegan_contract::Direction;

use crate::{
    cyclegan::distill::DistillOptions,
    data::folder::Domain,
    options::TrainOptions,
    run_folder::{Config, Distill, RunFolder},
    train,
};
use paint::OnnxTeacher;

/// Arguments of `compress`.
#[derive(Debug, Args)]
pub struct CompressArgs {
    /// An ONNX generator under the model contract to learn from, its outputs only; given twice, one
    /// for each direction. A direction with no teacher is learnt as `train` does it
    #[arg(long, required = true, value_name = "FILE")]
    teacher: Vec<PathBuf>,
    /// Data set: a folder with trainA and trainB, and testA, testB, trainA_mask, trainB_mask if
    /// there
    #[arg(long)]
    data: PathBuf,
    /// Folder of the new run; stopped, it goes on with `train --resume --out`
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    distill: DistillOptions,
    #[command(flatten)]
    train: TrainOptions,
}

/// Trains a pair of students.
pub fn run(args: CompressArgs, matches: &ArgMatches) -> Result<()> {
    let run = RunFolder::fresh(&args.out)?;
    args.distill.check()?;
    args.train.check()?;
    let mut teachers = open(&args.teacher)?;
    let mut options = args.train;
    for teacher in &teachers {
        name_domains(&mut options, teacher, matches);
    }
    let data = std::path::absolute(&args.data)?;
    let mut distill = Distill { painted_a: None, painted_b: None, options: args.distill };
    for teacher in &mut teachers {
        let domain = |name| Domain::open(&data, name, options.max_dataset_size);
        let (domain, slot) = match teacher.direction {
            Direction::AToB => (domain("trainA")?, &mut distill.painted_a),
            Direction::BToA => (domain("trainB")?, &mut distill.painted_b),
        };
        *slot = Some(teacher.paint(&run, &domain, options.load_size)?);
    }
    train::fresh(
        run,
        Config { data, init_from: None, train: options, distill: Some(distill) },
        |_| Ok(()),
    )
}

fn open(paths: &[PathBuf]) -> Result<Vec<OnnxTeacher>> {
    let teachers: Result<Vec<_>> = paths.iter().map(|path| OnnxTeacher::open(path)).collect();
    let teachers = teachers?;
    for (i, teacher) in teachers.iter().enumerate() {
        let same = teachers[..i].iter().find(|other| other.direction == teacher.direction);
        ensure!(
            same.is_none(),
            "{}: paints {} as {} does, expected one --teacher a direction at most",
            teacher.path.display(),
            teacher.direction,
            same.map_or(Path::new(""), |t| &t.path).display()
        );
    }
    Ok(teachers)
}

/// Takes the names of the domains from a teacher, unless the command line gives them.
fn name_domains(options: &mut TrainOptions, teacher: &OnnxTeacher, matches: &ArgMatches) {
    let said = &teacher.onnx.about.metadata;
    let names = [
        ("domain_a", &mut options.domain_a, &said.domain_a),
        ("domain_b", &mut options.domain_b, &said.domain_b),
    ];
    for (id, name, said) in names {
        if let Some(said) = said
            && matches.value_source(id) != Some(ValueSource::CommandLine)
        {
            name.clone_from(said);
        }
    }
}
