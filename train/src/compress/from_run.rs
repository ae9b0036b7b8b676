// SPDX-License-Identifier: MIT OR Apache-2.0

//! A run as a teacher: it provides images, features, discriminators and, if it can be pruned, the student's
//! architecture.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::ArgMatches;
use tch::{Device, no_grad};

use super::{
    budget::Limit,
    inherit::inherit,
    prune::{Kept, Scales, fast, inception, prune},
};
use crate::{
    checkpoint::Checkpoint,
    cyclegan::{CycleGan, distill::DistillOptions, network_state::NetworkState},
    loss::alignment::Alignment,
    net::{
        build::Norm,
        generator::{Generator, GeneratorShape, NetG},
    },
    options::{TrainOptions, is_given, overridden, set_unless_given},
    run_folder::{Config, RunFolder},
};

/// The folder of a run with a copy of its teacher's run.
pub const COPY: &str = "teacher/run";

/// A teacher that is a run.
#[derive(Debug)]
pub struct RunTeacher {
    /// The checkpoint that was read.
    checkpoint: PathBuf,
    /// Its options and data.
    pub config: Config,
    model: CycleGan,
    /// The channels of G and F that its student keeps, if it is pruned.
    kept: Option<[Box<dyn Kept>; 2]>,
}

impl RunTeacher {
    /// Reads a run's newest checkpoint.
    pub fn open(path: &Path) -> Result<Self> {
        let run = RunFolder::open(path)?;
        let config = run.config()?;
        let mut model = CycleGan::new(&config.train, Device::Cpu)?;
        let newest = Checkpoint::newest(&run.checkpoints())?;
        let checkpoint = newest.path().to_owned();
        newest.load(&mut model)?;
        Ok(Self { checkpoint, config, model, kept: None })
    }

    /// A teacher with the options of `config` and random weights. Its smallest student costs as much as that of a
    /// trained one.
    pub fn untrained(config: &Config) -> Result<Self> {
        let model = CycleGan::new(&config.train, Device::Cpu)?;
        Ok(Self { checkpoint: PathBuf::new(), config: config.clone(), model, kept: None })
    }

    /// Its generators.
    pub fn networks(&self) -> &[Generator; 2] {
        &self.model.networks
    }

    /// Whether a student with these options gets its architecture by pruning.
    pub fn prunes(&self, options: &TrainOptions) -> bool {
        let (own, its) = (options.generator(0), self.config.train.generator(0));
        // A low-pass filter has no weights that pruning could take from the teacher.
        let same = GeneratorShape { dropout: own.dropout, blur: own.blur, ..its } == own;
        same && match own.net {
            NetG::Inception9Blocks => true,
            NetG::Fast => own.norm == Norm::None,
            _ => false,
        }
    }

    /// Prunes both generators to `limit` and sets the remaining channels in the student's options.
    pub fn prune(&mut self, limit: &Limit, options: &mut TrainOptions) -> Result<()> {
        let prune = |i: usize| -> Result<Box<dyn Kept>> {
            let values = self.model.generators[i].averaged();
            let shape = options.generator(i);
            let scales: Box<dyn Scales> = match shape.net {
                NetG::Fast => Box::new(fast::Norms::read(&shape, |name| values.get(name))?),
                _ => Box::new(inception::Norms::read(|name| values.get(name))?),
            };
            prune(scales.as_ref(), limit, |left| {
                limit.cost(&Generator::new(GeneratorShape { pruned: Some(left), ..shape.clone() }))
            })
        };
        let kept = [prune(0)?, prune(1)?];
        options.pruned = Some(kept.each_ref().map(|kept| kept.pruned()));
        self.kept = Some(kept);
        Ok(())
    }

    /// Copies the required files of the teacher into the student's run, so that the student does not depend
    /// on the teacher's folder.
    pub fn keep(&self, student: &RunFolder) -> Result<PathBuf> {
        let place = student.join(COPY);
        // The files of a failed start may be those of another teacher.
        if place.exists() {
            fs::remove_dir_all(&place).with_context(|| place.display().to_string())?;
        }
        let copy = RunFolder::new(&place);
        copy.write_config(&Config {
            init_from: self.config.init_from.clone(),
            ..Config::new(self.config.data.clone(), self.config.train.clone())
        })?;
        let folder = copy.checkpoints();
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let to = folder.join(self.checkpoint.file_name().unwrap_or_default());
        fs::copy(&self.checkpoint, &to)
            .with_context(|| format!("cannot write {}", to.display()))?;
        Ok(COPY.into())
    }

    /// Gives a new student the teacher's discriminators and, unless `fresh`, the weights of the channels
    /// that it keeps.
    pub fn begin(&self, student: &mut CycleGan, fresh: bool) -> Result<()> {
        let what = "the discriminators";
        copy_or_report(what, &student.discriminators, &self.model.discriminators);
        if let Some(own) = &student.feature_discriminators {
            let what = "the discriminators on features";
            match &self.model.feature_discriminators {
                Some(its) => copy_or_report(what, &own.states, &its.states),
                None => say!("the teacher has none of {what}, which start from random weights"),
            }
        }
        for i in 0..2 {
            if let Some(kept) = self.kept.as_ref().filter(|_| !fresh) {
                let generator = &mut student.generators[i];
                inherit(&generator.params, self.model.generators[i].averaged(), kept[i].as_ref())?;
                generator.restart_average();
            }
        }
        Ok(())
    }
}

/// Copies the weights of a teacher's networks, or reports that they have other layouts.
fn copy_or_report(what: &str, own: &[NetworkState; 2], its: &[NetworkState; 2]) {
    let signature = |state: &NetworkState| state.params.layout().signature();
    if own.each_ref().map(signature) != its.each_ref().map(signature) {
        say!("{what} differ from the teacher's and start from random weights");
        return;
    }
    for (own, its) in own.iter().zip(its) {
        no_grad(|| own.params.flat().shallow_clone().copy_(its.params.flat()));
    }
}

/// The options of a student of a run: the `teacher`'s, overridden by the command line, without those that only a teacher
/// needs.
pub fn student_options(
    teacher: &TrainOptions,
    args: &TrainOptions,
    matches: &ArgMatches,
) -> Result<TrainOptions> {
    let is_given = |name: &str| is_given(matches, name);
    let mut options = overridden(teacher, args, matches)?;
    if teacher.net_g() != NetG::Inception9Blocks {
        set_unless_given(&mut options.net_g, Some(NetG::Fast), is_given("net-g"));
    }
    if options.net_g() != teacher.net_g() {
        options.ngf = args.ngf;
        options.norm = args.norm;
        options.init_type = args.init_type;
        options.pruned = None;
    }
    // Frozen statistics need a resumed run; a new one has none.
    if options.norm == Some(Norm::Frozen) {
        set_unless_given(&mut options.norm, Some(Norm::None), is_given("norm"));
    }
    // The published student learns only from its teacher and its discriminator.
    set_unless_given(&mut options.lambda_a, 0.0, is_given("lambda-a"));
    set_unless_given(&mut options.lambda_b, 0.0, is_given("lambda-b"));
    set_unless_given(&mut options.lambda_identity, 0.0, is_given("lambda-identity"));
    set_unless_given(&mut options.lambda_nce, 0.0, is_given("lambda-nce"));
    // The teacher's epochs may only divide its length, which the student does not get.
    let has_length = |o: &TrainOptions| o.max_images.is_some() || o.max_minutes.is_some();
    let lengths = ["max-images", "max-minutes", "n-epochs", "n-epochs-decay"];
    if has_length(teacher) && !lengths.into_iter().any(is_given) {
        (options.n_epochs, options.n_epochs_decay) = (args.n_epochs, args.n_epochs_decay);
    }
    set_unless_given(&mut options.max_iters, None, is_given("max-iters"));
    set_unless_given(&mut options.max_images, None, is_given("max-images"));
    set_unless_given(&mut options.max_minutes, None, is_given("max-minutes"));
    set_unless_given(&mut options.discriminators_first, 0, is_given("discriminators-first"));
    // It has no pair to stay near to, and its other parameters must learn too.
    set_unless_given(&mut options.lambda_init, 0.0, is_given("lambda-init"));
    set_unless_given(&mut options.learn, Vec::new(), is_given("learn"));
    let batch_size = options.batch_size.max(2);
    set_unless_given(&mut options.batch_size, batch_size, is_given("batch-size"));
    Ok(options)
}

/// Fails if the features cannot be compared.
pub fn check_alignment(
    teacher: &Generator,
    options: &TrainOptions,
    distill: &DistillOptions,
) -> Result<()> {
    if !distill.compares_features() {
        return Ok(());
    }
    let without = "or --lambda-distill-a 0 --lambda-distill-b 0 for none";
    let aligned = (0..2).any(|i| distill.distill(i) > 0.0);
    ensure!(
        options.batch_size >= 2 || !aligned || distill.alignment == Alignment::Centred,
        "--batch-size is {}, expected at least 2: the alignment of features is the same for \
         every student at 1; take --alignment centred, {without}",
        options.batch_size
    );
    let student = Generator::new(options.generator(0));
    for (whose, network) in [("teacher", teacher), ("student", &student)] {
        ensure!(
            network.has_features(),
            "the {whose} has no residual blocks whose features could be compared, expected \
             another --net-g, {without}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{net::params::Params, options::GeneratorName, recipe::compress_args};

    #[test]
    fn a_student_does_not_inherit_what_only_its_teacher_needs() {
        let learn = vec!["head".to_owned()];
        let teacher = TrainOptions { lambda_init: 2.0, learn, ..TrainOptions::default() };
        let options = |argument: &str| {
            let arguments = [argument.to_owned()];
            let (args, matches) =
                compress_args(&arguments, Path::new("run"), Path::new("out")).unwrap();
            student_options(&teacher, &args.train, &matches).unwrap()
        };
        let own = options("--max-macs=1e9");
        assert_eq!((own.lambda_init, own.learn.len()), (0.0, 0));
        assert_eq!(options("--learn=block").learn, ["block"]);
    }

    /// The filter has fixed weights, which its teacher need not have.
    #[test]
    fn a_student_with_a_low_pass_filter_is_pruned_from_its_teacher() {
        let train =
            TrainOptions { ngf: Some(20), width: 40, blocks: 1, ndf: 4, ..TrainOptions::default() };
        let model = CycleGan::new(&train, Device::Cpu).unwrap();
        let config = Config::new("data".into(), train.clone());
        let mut teacher = RunTeacher { checkpoint: PathBuf::new(), config, model, kept: None };
        let budget = ["--max-macs=1e12", "--size=32"].map(str::to_owned);
        let (args, _) = compress_args(&budget, Path::new("run"), Path::new("out")).unwrap();
        let limit = args.budget.limit().unwrap();
        for name in GeneratorName::ALL {
            let mut options = TrainOptions { blur: vec![name], seed: 1, ..train.clone() };
            assert!(teacher.prunes(&options), "{name:?}");
            teacher.prune(&limit, &mut options).unwrap();
            let mut student = CycleGan::new(&options, Device::Cpu).unwrap();
            teacher.begin(&mut student, false).unwrap();
            for (own, its) in student.generators.iter().zip(&teacher.model.generators) {
                let stem = |params: &Params| params.get("stem.weight").unwrap().copy();
                assert_eq!(stem(&own.params), stem(its.averaged()));
            }
            let filter = student.generators[name as usize].params.get("blur.weight").unwrap();
            assert!(filter.min().double_value(&[]) > 0.0);
        }
    }

    /// With a length in images or minutes they are a ratio, not a number of epochs.
    #[test]
    fn a_student_does_not_inherit_epochs_that_divide_its_teachers_length() {
        let epochs = |max_images: Option<u64>, argument: &str| {
            let teacher = TrainOptions {
                max_images,
                n_epochs: 3,
                n_epochs_decay: 1,
                ..TrainOptions::default()
            };
            let arguments = [argument.to_owned()];
            let (args, matches) =
                compress_args(&arguments, Path::new("run"), Path::new("out")).unwrap();
            let options = student_options(&teacher, &args.train, &matches).unwrap();
            (options.n_epochs, options.n_epochs_decay)
        };
        assert_eq!(epochs(Some(1000), "--max-macs=1e9"), (100, 100));
        assert_eq!(epochs(Some(1000), "--max-images=500"), (3, 1));
        assert_eq!(epochs(Some(1000), "--n-epochs=7"), (7, 1));
        assert_eq!(epochs(None, "--max-macs=1e9"), (3, 1));
    }
}
