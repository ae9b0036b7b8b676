// SPDX-License-Identifier: MIT OR Apache-2.0

//! Options from a file: `--config`.
//!
//! ```toml
//! inputs = ["clips"]          # paths are relative to the file
//! out = "translated"
//! preset = "archive"          # options have the names of the command line
//! include = ["*.mov", "*.mp4"]
//! verify = true
//! ```

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};
use clap::{
    Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches, ValueHint,
    parser::ValueSource,
};
use cyclegan_output::check_option_name;
use glob::Pattern;
use toml::{Table, Value};

use crate::{
    files::{is_pattern, unreadable},
    options::Options,
};

const INPUTS: &str = "inputs";
/// Options that are a path if there is such a file.
const MAYBE_PATHS: [&str; 2] = ["model", "newer"];
/// Options that a file cannot set.
const NO_KEYS: [&str; 3] = ["config", "help", "version"];

/// The options of the command line `given`, which begins with the program, and of the file that --config names. An
/// option on the command line overrides the file. Exits as clap does, for --help or an error in the command line.
pub fn options(given: &[OsString]) -> Result<Options> {
    let matches = lenient().try_get_matches_from(given).unwrap_or_else(|error| {
        // The usage says what is required.
        Options::command().try_get_matches_from(given).err().unwrap_or(error).exit()
    });
    let mut arguments = given.to_vec();
    if let Some(file) = matches.get_one::<PathBuf>("config") {
        let text = || fs::read_to_string(file).map_err(|error| anyhow!(unreadable(file, &error)));
        let read = || arguments_of(&text()?, file, &matches);
        let own = read().with_context(|| format!("--config {}", file.display()))?;
        // If an option is given twice, clap takes the last.
        arguments.splice(1..1, own);
    }
    // Not `required_unless_present`, which would also apply to the lenient command.
    let needs_inputs = !matches.get_flag("status");
    let command = Options::command().mut_arg(INPUTS, |inputs| inputs.required(needs_inputs));
    let matches = command.try_get_matches_from(arguments);
    let options = matches.and_then(|matches| Options::from_arg_matches(&matches));
    Ok(options.unwrap_or_else(|error| error.exit()))
}

/// The command without required arguments.
fn lenient() -> Command {
    Options::command().mut_args(|argument| argument.required(false))
}

/// The arguments from the file, except those that the command line gives.
fn arguments_of(text: &str, file: &Path, given: &ArgMatches) -> Result<Vec<OsString>> {
    let table: Table = toml::from_str(text)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut all = Vec::new();
    for (key, value) in table {
        let own = arguments(&key, value.clone(), folder)?;
        // One at a time, so that an error names its key.
        let command = [OsString::from("cyclegan-batch")].into_iter().chain(own.clone());
        if let Err(error) = lenient().try_get_matches_from(command) {
            let cause = error.to_string();
            let cause = cause.lines().next().unwrap_or_default().trim_start_matches("error: ");
            bail!("`{key}` is {value}: {cause}");
        }
        let is_given = given.value_source(&key.replace('-', "_")) == Some(ValueSource::CommandLine);
        if !is_given {
            all.extend(own);
        }
    }
    Ok(all)
}

/// The arguments for a key; paths are relative to `folder`.
fn arguments(key: &str, value: Value, folder: &Path) -> Result<Vec<OsString>> {
    let command = Options::command();
    let options =
        command.get_arguments().map(|option| (option.get_long().unwrap_or(INPUTS), option));
    let options: Vec<_> = options.filter(|(name, _)| !NO_KEYS.contains(name)).collect();
    let names: Vec<&str> = options.iter().map(|(name, _)| *name).collect();
    check_option_name(key, &names)?;
    let is =
        |test: fn(&Arg) -> bool| options.iter().any(|(name, option)| *name == key && test(option));
    if is(|option| matches!(option.get_action(), ArgAction::SetTrue)) {
        return match value {
            Value::Boolean(true) => Ok(vec![format!("--{key}").into()]),
            Value::Boolean(false) => Ok(Vec::new()),
            other => bail!("`{key}` is {other}, expected true or false"),
        };
    }
    let values = match value {
        Value::Array(values) => values,
        one => vec![one],
    };
    let argument = |value: Value| {
        let value = text(value).map_err(|found| anyhow!("`{key}` is {found}, expected a value"))?;
        let mut path = folder.join(&value);
        if key == INPUTS && is_pattern(path.as_os_str()) {
            // Only the value is a pattern.
            path = Path::new(&Pattern::escape(&folder.to_string_lossy())).join(&value);
        }
        let is_path = value != "-" && is(|option| option.get_value_hint() == ValueHint::AnyPath);
        let value = match is_path || (MAYBE_PATHS.contains(&key) && path.exists()) {
            true => path.into_os_string(),
            false => value.into(),
        };
        Ok(match key {
            INPUTS => value,
            _ => [format!("--{key}=").into(), value].into_iter().collect(),
        })
    };
    values.into_iter().map(argument).collect()
}

/// A value as on the command line; the error is a value that has no such form.
fn text(value: Value) -> Result<String, Value> {
    match value {
        Value::String(text) => Ok(text),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Datetime(date) => Ok(date.to_string()),
        other => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The options of a file in `/etc/batch` and of a command line.
    fn read(text: &str, given: &[&str]) -> Result<Options> {
        let given: Vec<OsString> = ["cyclegan-batch"].iter().chain(given).map(Into::into).collect();
        let matches = lenient().try_get_matches_from(&given)?;
        let own = arguments_of(text, Path::new("/etc/batch/night.toml"), &matches)?;
        let all = given[..1].iter().cloned().chain(own).chain(given[1..].iter().cloned());
        Ok(Options::from_arg_matches(&Options::command().try_get_matches_from(all)?)?)
    }

    #[test]
    fn keys_are_the_long_options_and_paths_are_relative_to_the_file() {
        let text = "inputs = ['clips', '/films/*.mp4']\nout = 'made'\ncrf = 18\npiece = 30.5\nverify = true\n\
                    overwrite = false\ninclude = ['*.mov', '*.mp4']\nmodel = 'horse2zebra'\nnewer = 2026-11-01";
        let options = read(text, &[]).unwrap();
        assert_eq!(options.inputs, ["/etc/batch/clips", "/films/*.mp4"]);
        assert_eq!(options.out, Path::new("/etc/batch/made"));
        assert_eq!((options.recipe.crf, options.piece), (Some(18), 30.5));
        assert_eq!((options.verify, options.overwrite), (true, false));
        assert_eq!(options.include.len(), 2);
        assert_eq!(options.recipe.model.as_deref(), Some("horse2zebra"));
        assert_eq!(options.newer.as_deref(), Some("2026-11-01"));
    }

    #[test]
    fn only_the_value_is_a_pattern() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("take [1]");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a[1].mp4"), "").unwrap();
        let input = |value: &str| {
            let arguments = arguments(INPUTS, Value::String(value.to_owned()), &folder).unwrap();
            arguments[0].to_str().unwrap().to_owned()
        };
        let matches: Vec<_> = glob::glob(&input("*.mp4")).unwrap().flatten().collect();
        assert_eq!(matches, [folder.join("a[1].mp4")]);
        assert_eq!(Path::new(&input("a[1].mp4")), folder.join("a[1].mp4"));
    }

    #[test]
    fn the_command_line_overrides_the_file() {
        let text = "inputs = 'clips'\nout = 'made'\ncrf = 18\ndevice = [0, 1]\nmax-depth = 3";
        let given = ["other", "--crf", "20", "-o", "there", "--device", "2", "--max-depth=1"];
        let options = read(text, &given).unwrap();
        assert_eq!(options.inputs, ["other"]);
        assert_eq!(options.out, Path::new("there"));
        assert_eq!((options.recipe.crf, options.device), (Some(20), vec![2]));
        assert_eq!(options.max_depth, Some(1));
    }

    #[test]
    fn what_is_no_option_is_refused() {
        for (text, cause) in [
            ("presets = 'web'", "no option `presets`; the nearest is `preset`"),
            ("config = 'more.toml'", "no option `config`"),
            ("xyz = 1", "no option `xyz`"),
            ("crf = 99", "`crf` is 99: invalid value '99' for '--crf <N>'"),
            ("verify = 'yes'", "`verify` is \"yes\", expected true or false"),
            ("out = true", "`out` is true, expected a value"),
            ("[out]\nfolder = 'x'", "`out` is { folder = \"x\" }, expected a value"),
            ("crf 18", "TOML"),
        ] {
            let error = format!("{:#}", read(text, &[]).unwrap_err());
            assert!(error.starts_with(cause) || error.contains(cause), "{text}: {error}");
        }
    }
}
