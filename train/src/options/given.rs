// SPDX-License-Identifier: MIT OR Apache-2.0

//! Options that are given on the command line, and stored ones for the others.

use anyhow::{Context, Result, ensure};
use clap::{ArgMatches, parser::ValueSource};
use serde::{Serialize, de::DeserializeOwned};

/// Stored options of a run, overridden by those given on the command line.
pub fn overridden<T: Serialize + DeserializeOwned>(
    stored: &T,
    given: &T,
    matches: &ArgMatches,
) -> Result<T> {
    check_numbers(given)?;
    let mut stored = toml::Table::try_from(stored)?;
    for (key, value) in toml::Table::try_from(given)? {
        if is_given(matches, &key) {
            stored.insert(key, value);
        }
    }
    stored.try_into().context("combining options")
}

/// Refuses integers that `config.toml` cannot keep.
pub fn check_numbers(options: &impl Serialize) -> Result<()> {
    let options = serde_json::to_value(options)?;
    for (key, value) in options.as_object().into_iter().flatten() {
        let fits = value.as_u64().is_none_or(|value| i64::try_from(value).is_ok());
        ensure!(fits, "--{key} is {value}, expected at most {}", i64::MAX);
    }
    Ok(())
}

/// The first of `options` that is given on the command line, with its dashes.
pub fn first_given<T: Serialize>(options: &T, matches: &ArgMatches) -> Result<Option<String>> {
    let mut keys = toml::Table::try_from(options)?.into_iter().map(|(key, _)| key);
    Ok(keys.find(|key| is_given(matches, key)).map(|key| format!("--{key}")))
}

/// Whether the option of that name is given on the command line.
pub fn is_given(matches: &ArgMatches, key: &str) -> bool {
    matches.value_source(&key.replace('-', "_")) == Some(ValueSource::CommandLine)
}

/// Sets an option to a value from elsewhere unless it is given.
pub fn set_unless_given<T>(option: &mut T, value: T, is_given: bool) {
    if !is_given {
        *option = value;
    }
}
