// SPDX-License-Identifier: MIT OR Apache-2.0

//! Recipe files: TOML files for training in stages, each with its own options.
//!
//! ```toml
//! data = "horse2zebra"        # paths are relative to the recipe
//! out = "run"
//! mask-head = true            # an option of all stages, named as on the command line
//!
//! [[stage]]
//! name = "discriminators"
//! images = 2400               # or minutes = 10
//! discriminators-first = 2400
//!
//! [[stage]]
//! images = 120000
//! batch-size = 8
//!
//! [compress]                  # a student of the last stage
//! images = 9000
//! max-macs = 1.3e9
//!
//! [export]
//! variants = ["int8", "fp16"]
//! ```

use std::{
    any::TypeId,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{ArgMatches, Args, Command, FromArgMatches};
use cyclegan_output::check_option_name;
use toml::{Table, Value};

use crate::{
    compress::CompressArgs,
    export::ExportArgs,
    net::{
        build::Norm,
        discriminator::Discriminator,
        generator::{Generator, GeneratorShape},
    },
    options::TrainOptions,
    run_folder::Stage,
};

/// Keys of the file that are not options of stages.
const OF_ALL: [&str; 6] = ["data", "out", "init-from", "stage", "compress", "export"];
/// Keys of a stage that are not options.
const OF_STAGE: [&str; 3] = ["name", "images", "minutes"];
/// The options for `images` and `minutes` of a stage.
const LENGTHS: [&str; 2] = ["max-images", "max-minutes"];
/// Options of `compress` that the recipe decides.
const OF_STUDENT: [&str; 4] = ["run", "teacher", "data", "out"];

/// A recipe.
#[derive(Clone, Debug, Default)]
pub struct Recipe {
    /// The data set's folder.
    pub data: Option<PathBuf>,
    /// The run's folder.
    pub out: Option<PathBuf>,
    /// The folder of exported generators to start with.
    pub init_from: Option<PathBuf>,
    /// At least one.
    pub stages: Vec<Stage>,
    /// Arguments of `compress` after the last stage.
    pub compress: Option<Vec<String>>,
    /// Arguments of `export` after the last stage, or the student.
    pub export: Option<Vec<String>>,
}

impl Recipe {
    /// Reads a recipe. Errors name the file, the stage and the option. The options of the stages are not complete: see
    /// [`check`].
    pub fn read(path: &Path) -> Result<Self> {
        let read = || -> Result<Self> {
            let table: Table = toml::from_str(&fs::read_to_string(path)?)?;
            let folder = std::path::absolute(path)?;
            Self::of(table, folder.parent().unwrap_or(Path::new("/")))
        };
        read().with_context(|| path.display().to_string())
    }

    fn of(mut table: Table, folder: &Path) -> Result<Self> {
        let mut path = |key: &str| -> Result<Option<PathBuf>> {
            let text = |value: Value| match value {
                Value::String(text) => Ok(folder.join(text)),
                other => bail!("`{key}` is {other}, expected a path in quotes"),
            };
            table.remove(key).map(text).transpose()
        };
        let (data, out, init_from) = (path("data")?, path("out")?, path("init-from")?);
        known(&table, &OF_ALL)?;
        let stages = match table.remove("stage") {
            Some(Value::Array(stages)) if !stages.is_empty() => stages,
            _ => bail!("no stage, expected [[stage]] with `images` or `minutes`"),
        };
        let mut after = |name: &str| match table.remove(name) {
            None => Ok(None),
            Some(Value::Table(options)) => Ok(Some(options)),
            Some(other) => Err(anyhow!("`{name}` is {other}, expected a table, [{name}]")),
        };
        let student = after("compress")?.map(|options| compressed(options, folder));
        let compress = student.transpose().context("[compress]")?;
        let export = after("export")?.map(|options| exported(options, folder));
        let export = export.transpose().context("[export]")?;
        let stage = |(i, own): (usize, Value)| {
            let Value::Table(own) = own else {
                bail!("stage {} is {own}, expected [[stage]]", i + 1);
            };
            let name = own.get("name").and_then(Value::as_str);
            let name = name.map_or_else(|| format!("stage {}", i + 1), str::to_owned);
            let stage = stage(&name, own, &table, folder);
            stage.with_context(|| place(i, &name))
        };
        let stages = stages.into_iter().enumerate().map(stage).collect::<Result<Vec<_>>>()?;
        Ok(Self { data, out, init_from, stages, compress, export })
    }
}

/// The stage as an error names it.
fn place(i: usize, name: &str) -> String {
    let number = format!("stage {}", i + 1);
    if name == number { number } else { format!("{number} ({name})") }
}

/// Refuses stages that cannot work, with the options that they will have: those of the recipe, of the command line
/// and of --init-from, and the defaults of `fast`. Errors name the stage and the option.
pub fn check(stages: &[Stage]) -> Result<()> {
    for (i, stage) in stages.iter().enumerate() {
        let checked = stage.train.check().and_then(|()| stage.train.check_losses([false; 2]));
        checked.with_context(|| place(i, &stage.name))?;
    }
    same_networks(stages)
}

/// A stage: its own options override those of all stages.
fn stage(name: &str, mut own: Table, all: &Table, folder: &Path) -> Result<Stage> {
    known(&own, &OF_STAGE)?;
    own.remove("name");
    let length = length(&mut own)?;
    let mut options = all.clone();
    options.extend(own);
    options.extend([length]);
    for (key, value) in &options {
        let alone = Table::from_iter([(key.clone(), value.clone())]);
        if let Err(error) = alone.try_into::<TrainOptions>() {
            let key = match key.as_str() {
                "max-images" => "images",
                "max-minutes" => "minutes",
                other => other,
            };
            bail!("`{key}` is {value}: {}", without_types(error.message().trim_end()));
        }
    }
    let given = options.keys().cloned().collect();
    let train: TrainOptions = options.try_into()?;
    Ok(Stage { name: name.to_owned(), began: None, train: train.absolute_from(folder)?, given })
}

/// Takes the length from a table, as the option that sets it.
fn length(table: &mut Table) -> Result<(String, Value)> {
    let lengths = [table.remove("images"), table.remove("minutes")];
    let mut given = LENGTHS.iter().zip(lengths).filter_map(|(name, value)| Some((*name, value?)));
    match (given.next(), given.next()) {
        (Some((name, value)), None) => Ok((name.to_owned(), value)),
        (Some(_), Some(_)) => bail!("it has both `images` and `minutes`, expected either of them"),
        (None, _) => bail!("it has no length, expected either `images` or `minutes`"),
    }
}

/// An error of the parser without the names of Rust's types.
fn without_types(message: &str) -> &str {
    let expected = [
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected u32", "expected a whole number from 0 to 4294967295"),
        ("expected f64", "expected a number"),
        ("expected a boolean", "expected true or false"),
        ("expected a string", "expected a text in quotes"),
        ("expected path string", "expected a path in quotes"),
        ("expected a sequence", "expected a list, in brackets"),
    ];
    let plain = expected.iter().find(|(of_type, _)| message.ends_with(of_type));
    plain.map_or(message, |(_, plain)| plain)
}

/// Refuses unknown options and suggests a similar one.
fn known(table: &Table, besides: &[&str]) -> Result<()> {
    let command = TrainOptions::augment_args(Command::new("train"));
    let options = long_names(&command);
    let options = options.iter().filter(|name| !LENGTHS.contains(&name.as_str()));
    let names: Vec<&str> = options.map(String::as_str).chain(besides.iter().copied()).collect();
    for key in table.keys() {
        ensure!(
            !LENGTHS.contains(&key.as_str()),
            "`{key}`: expected `images` or `minutes` in each stage instead"
        );
        check_option_name(key, &names)?;
    }
    Ok(())
}

fn long_names(command: &Command) -> Vec<String> {
    command.get_arguments().filter_map(|a| a.get_long().map(str::to_owned)).collect()
}

/// All stages train the same networks, except that a stage may freeze the normalisation, add a backbone or add
/// low-pass filters, for itself and all after it.
fn same_networks(stages: &[Stage]) -> Result<()> {
    let is_frozen = |stage: &Stage| stage.train.generator(0).norm == Norm::Frozen;
    for (i, pair) in stages.windows(2).enumerate() {
        ensure!(
            is_frozen(&pair[1]) || !is_frozen(&pair[0]),
            "{}: its `norm` is not frozen, but the stage before freezes it; set `norm = \"frozen\"` here as well",
            place(i + 1, &pair[1].name)
        );
        let [before, norm] = [0, 1].map(|i| pair[i].train.generator(0).norm);
        ensure!(
            before.may_become(norm),
            "{}: its `norm` is {}, but the stage before has {}; only instance can become frozen",
            place(i + 1, &pair[1].name),
            norm.name(),
            before.name()
        );
        ensure!(
            pair[0].train.backbone.is_none() || pair[1].train.backbone.is_some(),
            "{}: it has no `backbone`, but the stage before has one; set it here as well",
            place(i + 1, &pair[1].name)
        );
        ensure!(
            pair[0].train.blur.iter().all(|name| pair[1].train.blur.contains(name)),
            "{}: its `blur` lacks a generator that the stage before has; set it here as well",
            place(i + 1, &pair[1].name)
        );
    }
    let networks = |stage: &Stage| {
        let shape = stage.train.generator(0);
        let norm = if shape.norm == Norm::Frozen { Norm::Instance } else { shape.norm };
        let generator =
            Generator::new(GeneratorShape { norm, backbone: false, blur: false, ..shape });
        let discriminator = Discriminator::new(stage.train.discriminator());
        [generator.layout.signature(), discriminator.layout.signature()]
    };
    for (i, stage) in stages.iter().enumerate().skip(1) {
        for (whose, (own, first)) in ["generators", "discriminators"]
            .iter()
            .zip(networks(stage).iter().zip(networks(&stages[0])))
        {
            ensure!(
                *own == first,
                "{}: its options give other {whose} than the first stage, but all stages train the same \
                 networks; set these options once, above the stages",
                place(i, &stage.name)
            );
        }
    }
    Ok(())
}

/// The checked arguments for the options of `compress`.
fn compressed(mut table: Table, folder: &Path) -> Result<Vec<String>> {
    ensure!(
        table.contains_key("max-macs") || table.contains_key("max-ms"),
        "no budget, expected `max-macs` or `max-ms`"
    );
    let length = length(&mut table)?;
    let command = CompressArgs::augment_args(Command::new("compress"));
    let besides: Vec<&str> = LENGTHS.iter().chain(&OF_STUDENT).copied().collect();
    let mut arguments = arguments(table, &command, &besides, folder)?;
    arguments.extend([format!("--{}", length.0), length.1.to_string()]);
    compress_args(&arguments, Path::new("run"), Path::new("student"))?;
    Ok(arguments)
}

/// The checked arguments for the options of `export`.
fn exported(table: Table, folder: &Path) -> Result<Vec<String>> {
    let command = ExportArgs::augment_args(Command::new("export"));
    let arguments = arguments(table, &command, &["run"], folder)?;
    export_args(&arguments, Path::new("run"), Path::new("export"))?.check()?;
    Ok(arguments)
}

/// The options of a table as arguments of `command`, which has others `besides`; paths are relative to
/// `folder`.
fn arguments(
    table: Table,
    command: &Command,
    besides: &[&str],
    folder: &Path,
) -> Result<Vec<String>> {
    let names = long_names(command);
    let names: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| !besides.contains(name)).collect();
    let mut arguments = Vec::new();
    for (key, value) in table {
        check_option_name(&key, &names)?;
        let values = match value {
            Value::Boolean(false) => continue,
            Value::Boolean(true) => vec![],
            Value::Array(values) => values,
            value => vec![value],
        };
        let option = command.get_arguments().find(|option| option.get_long() == Some(&key));
        let option = option.with_context(|| format!("no option `{key}`"))?;
        let is_path = option.get_value_parser().type_id() == TypeId::of::<PathBuf>();
        let texts = values.into_iter().map(|value| match value {
            Value::String(text) if is_path => folder.join(text).display().to_string(),
            Value::String(text) => text,
            other => other.to_string(),
        });
        let texts: Vec<String> = texts.collect();
        arguments.push(format!("--{key}"));
        match option.get_value_delimiter() {
            Some(delimiter) => arguments.push(texts.join(&delimiter.to_string())),
            None => arguments.extend(texts),
        }
    }
    Ok(arguments)
}

/// The arguments of `compress` for a student of `run` in the folder `out`.
pub fn compress_args(
    arguments: &[String],
    run: &Path,
    out: &Path,
) -> Result<(CompressArgs, ArgMatches)> {
    let command = CompressArgs::augment_args(Command::new("compress"));
    let matches = parsed(command, arguments, run, out)?;
    Ok((CompressArgs::from_arg_matches(&matches)?, matches))
}

/// The arguments of `export` for `run`; `out` is the default folder.
pub fn export_args(arguments: &[String], run: &Path, out: &Path) -> Result<ExportArgs> {
    let command = ExportArgs::augment_args(Command::new("export"));
    Ok(ExportArgs::from_arg_matches(&parsed(command, arguments, run, out)?)?)
}

fn parsed(command: Command, arguments: &[String], run: &Path, out: &Path) -> Result<ArgMatches> {
    let name = command.get_name().to_owned();
    let (run, out) = (run.display().to_string(), out.display().to_string());
    let fixed = [&name, "--run", &run, "--out", &out].map(str::to_owned);
    let command = command.args_override_self(true);
    // The first line has the error; the others are about the command line.
    command.try_get_matches_from(fixed.iter().chain(arguments)).map_err(|error| {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        anyhow!("{}", line.trim_start_matches("error: ").to_owned())
    })
}
