// SPDX-License-Identifier: MIT OR Apache-2.0

//! The `compress` command: a smaller pair that learns from a larger one (CAT, arXiv 2103.03467).

mod budget;
mod from_run;
mod inherit;
mod measure;
mod onnx_teacher;
mod prune;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{ArgGroup, ArgMatches, Args};
use cyclegan_contract::{Direction, Metadata};

use crate::{
    costs::{Compressed, Cost, Costs},
    cyclegan::{CycleGan, distill::DistillOptions},
    data::folder::Domain,
    net::generator::Generator,
    options::{TrainOptions, is_given, set_unless_given},
    ranks::launched,
    run_folder::{Config, Distill, RunFolder},
};
use budget::{Budget, Limit};
use from_run::{RunTeacher, check_alignment, student_options};
use onnx_teacher::OnnxTeacher;

/// Arguments of `compress`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("from").required(true).args(["run", "teacher"])))]
pub struct CompressArgs {
    /// Run of the teacher, for both directions; the student has its options and data unless others are
    /// given here. A student of inception_9blocks, or of `fast` with --norm none, is pruned to the budget;
    /// with another teacher, or if the options give another architecture, it is a new network
    #[arg(long)]
    run: Option<PathBuf>,
    /// ONNX generator under the model contract whose output the student learns, or two, one per
    /// direction. A direction without a teacher is trained as in `train`
    #[arg(long, value_name = "FILE", num_args = 1..=2)]
    teacher: Vec<PathBuf>,
    /// Data set: a folder with trainA and trainB, and optionally testA, testB, trainA_mask and
    /// trainB_mask [with --run: that run's]
    #[arg(long, required_unless_present = "run")]
    data: Option<PathBuf>,
    /// Folder of the new run; `train --resume --out` continues it
    #[arg(long)]
    out: PathBuf,
    /// Start a pruned student from random weights, as published, instead of its teacher's
    #[arg(long)]
    fresh_student: bool,
    #[command(flatten)]
    budget: Budget,
    #[command(flatten)]
    distill: DistillOptions,
    #[command(flatten)]
    train: TrainOptions,
}

/// Gives new networks the weights that they have from their teacher.
type Begin = Box<dyn FnOnce(&mut CycleGan) -> Result<()>>;

/// A pair of students that is ready to be trained.
pub struct Student {
    /// Its new folder.
    pub run: RunFolder,
    /// Its options and its teacher.
    pub config: Config,
    /// The last step before training.
    pub begin: Begin,
}

/// Prepares a pair of students and prints what they cost.
pub fn prepare(args: CompressArgs, matches: &ArgMatches) -> Result<Student> {
    ensure!(
        launched() == 1,
        "mpirun started {} processes, expected one: start `compress` alone, stop it with Ctrl-C, and continue \
         with `mpirun … cyclegan-train train --resume --out {}`",
        launched(),
        args.out.display()
    );
    let run = RunFolder::fresh(&args.out)?;
    match &args.run {
        Some(teacher) => of_run(&args, teacher, run, matches),
        None => of_files(&args, run, matches),
    }
}

/// The checked options of a student of a run with the options `teacher`.
pub fn options_for(
    teacher: &TrainOptions,
    args: &CompressArgs,
    matches: &ArgMatches,
) -> Result<TrainOptions> {
    let options = student_options(teacher, &args.train, matches)?;
    check(&options, args)?;
    options.check_losses(args.distill.taught([true; 2], true))?;
    check_alignment(&Generator::new(teacher.generator(0)), &options, &args.distill)?;
    Ok(options)
}

/// Refuses a budget that no student of a run with the options `teacher` can meet.
pub fn check_budget(
    teacher: &Config,
    mut options: TrainOptions,
    args: &CompressArgs,
    matches: &ArgMatches,
) -> Result<()> {
    let Some(limit) = args.budget.limit().filter(Limit::is_arithmetic) else {
        return Ok(());
    };
    let mut teacher = RunTeacher::untrained(teacher)?;
    match teacher.prunes(&options) {
        true => {
            check_smaller(&teacher, &limit, &options, args)?;
            teacher.prune(&limit, &mut options)
        }
        false => fit(&args.budget, &mut options, matches),
    }
}

/// Refuses a student that would be a copy of its teacher, since that meets the budget.
fn check_smaller(
    teacher: &RunTeacher,
    limit: &Limit,
    options: &TrainOptions,
    args: &CompressArgs,
) -> Result<()> {
    let its = &teacher.config.train;
    let is_copy = (0..2).all(|i| options.generator(i) == its.generator(i));
    if is_copy && !args.fresh_student { limit.exceeded_by(teacher.networks()) } else { Ok(()) }
}

/// Refuses options that cannot work for a student.
fn check(options: &TrainOptions, args: &CompressArgs) -> Result<()> {
    options.check()?;
    args.distill.check()?;
    ensure!(
        options.lambda_init == 0.0,
        "--lambda-init is {}, expected 0: a student does not start with exported generators",
        options.lambda_init
    );
    args.budget.check(Generator::new(options.generator(0)).multiple_of())
}

fn of_run(
    args: &CompressArgs,
    teacher: &Path,
    run: RunFolder,
    matches: &ArgMatches,
) -> Result<Student> {
    let mut teacher = RunTeacher::open(teacher)?;
    let mut options = options_for(&teacher.config.train, args, matches)?;
    if teacher.prunes(&options) {
        let limit = args.budget.limit();
        let limit = limit.context("no budget, expected --max-macs or --max-ms")?;
        check_smaller(&teacher, &limit, &options, args)?;
        teacher.prune(&limit, &mut options)?;
    } else {
        options.pruned = None;
        say!("the student cannot be pruned from its teacher and starts from random weights");
        fit(&args.budget, &mut options, matches)?;
    }
    let data = match &args.data {
        Some(data) => std::path::absolute(data)?,
        None => teacher.config.data.clone(),
    };
    for name in ["trainA", "trainB"] {
        Domain::open(&data, name, options.max_dataset_size)?;
    }
    let side = args.budget.size;
    let [g, f] = teacher.networks();
    let before = [measure::cost(g, side)?, measure::cost(f, side)?].map(Some);
    let costs = costs(&args.budget, before, &options)?;
    let copy = teacher.keep(&run)?;
    costs.write(&run.costs())?;
    let distill = Distill {
        run: Some(copy),
        generated_a: None,
        generated_b: None,
        masked: [false; 2],
        options: args.distill.clone(),
    };
    let config = Config { distill: Some(distill), ..Config::new(data, options) };
    let fresh = args.fresh_student;
    let begin = Box::new(move |student: &mut CycleGan| teacher.begin(student, fresh));
    Ok(Student { run, config, begin })
}

fn of_files(args: &CompressArgs, run: RunFolder, matches: &ArgMatches) -> Result<Student> {
    let mut options = args.train.clone();
    options.set_defaults_of_fast(|name| is_given(matches, name));
    check(&options, args)?;
    let mut teachers = open(&args.teacher)?;
    for teacher in &teachers {
        options.check_generated(teacher.direction as usize)?;
        take_from(&mut options, teacher, matches);
    }
    let has = Direction::BOTH.map(|d| teachers.iter().any(|teacher| teacher.direction == d));
    options.check_losses(args.distill.taught(has, false))?;
    fit(&args.budget, &mut options, matches)?;
    let data = std::path::absolute(args.data.as_ref().context("--data is missing")?)?;
    let mut distill = Distill {
        run: None,
        generated_a: None,
        generated_b: None,
        masked: [false; 2],
        options: args.distill.clone(),
    };
    let mut before = [None, None];
    for teacher in &mut teachers {
        // Here it is unknown which images of paired folders have partners.
        let most = options.max_dataset_size.filter(|_| !options.paired());
        let domain = |name| Domain::open(&data, name, most);
        let (i, domain, slot) = match teacher.direction {
            Direction::AToB => (0, domain("trainA")?, &mut distill.generated_a),
            Direction::BToA => (1, domain("trainB")?, &mut distill.generated_b),
        };
        before[i] = teacher.cost(args.budget.size)?;
        distill.masked[i] = teacher.onnx.about.mask.is_some();
        *slot = Some(teacher.generate(&run, &domain, options.load_size)?);
    }
    costs(&args.budget, before, &options)?.write(&run.costs())?;
    let config = Config { distill: Some(distill), ..Config::new(data, options) };
    Ok(Student { run, config, begin: Box::new(|_| Ok(())) })
}

/// Chooses the channels of a student that is not pruned, unless the command line sets them.
fn fit(budget: &Budget, options: &mut TrainOptions, matches: &ArgMatches) -> Result<()> {
    let is_given = |name: &str| is_given(matches, name);
    let Some(limit) = budget.limit() else {
        ensure!(
            ["net-g", "ngf", "width", "blocks"].into_iter().any(is_given),
            "no budget, expected --max-macs or --max-ms, or the student's own --ngf, --width or --blocks"
        );
        return Ok(());
    };
    if is_given("ngf") || is_given("width") {
        return limit.allow(&Generator::new(options.generator(0)));
    }
    limit.widen(options)
}

/// Measures the students and prints the costs.
fn costs(budget: &Budget, before: [Option<Cost>; 2], options: &TrainOptions) -> Result<Costs> {
    let compressed = |(i, teacher): (usize, Option<Cost>)| -> Result<Compressed> {
        let student = measure::cost(&Generator::new(options.generator(i)), budget.size)?;
        Ok(Compressed { generator: Direction::BOTH[i].letter(), teacher, student })
    };
    let generators: Result<Vec<_>> = before.into_iter().enumerate().map(compressed).collect();
    let (size, provider) = (budget.size, budget.provider());
    let costs = Costs { size, provider, generators: generators? };
    say!("{}", costs.table());
    Ok(costs)
}

fn open(paths: &[PathBuf]) -> Result<Vec<OnnxTeacher>> {
    let teachers: Result<Vec<_>> = paths.iter().map(|path| OnnxTeacher::open(path)).collect();
    let teachers = teachers?;
    for (i, teacher) in teachers.iter().enumerate() {
        let same = teachers[..i].iter().find(|other| other.direction == teacher.direction);
        ensure!(
            same.is_none(),
            "{}: has the direction {}, as {} has, expected one file per direction; the metadata entry \
             `cyclegan.direction`, A2B or B2A, sets that of a file",
            teacher.path.display(),
            teacher.direction,
            same.map_or(Path::new(""), |t| &t.path).display()
        );
    }
    Ok(teachers)
}

/// Takes the names of the domains, and the mask head, from a teacher unless the command line sets them.
fn take_from(options: &mut TrainOptions, teacher: &OnnxTeacher, matches: &ArgMatches) {
    options.mask_head |= teacher.onnx.about.mask.is_some();
    let Metadata { domain_a, domain_b, .. } = &teacher.onnx.about.metadata;
    if let Some(name) = domain_a {
        set_unless_given(&mut options.domain_a, name.clone(), is_given(matches, "domain-a"));
    }
    if let Some(name) = domain_b {
        set_unless_given(&mut options.domain_b, name.clone(), is_given(matches, "domain-b"));
    }
}
