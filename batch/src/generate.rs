// SPDX-License-Identifier: MIT OR Apache-2.0

//! The man page and shell completions, which packages install: `cyclegan-batch --generate man|bash|zsh|fish`.

use std::io;

use anyhow::{Context, anyhow};
use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::options::Options;

/// The first argument, in place of all options.
pub const ARGUMENT: &str = "--generate";

/// Writes `what`, `man` or the name of a shell, to standard output.
pub fn run(what: &str) -> anyhow::Result<()> {
    let mut command = Options::command();
    let name = command.get_name().to_owned();
    let out = &mut io::stdout();
    if what == "man" {
        return clap_mangen::Man::new(command).render(out).context("standard output");
    }
    let shell = what.parse::<Shell>();
    let shell = shell.map_err(|_| {
        anyhow!("{ARGUMENT} {what:?}: expected man, bash, elvish, fish, powershell or zsh")
    })?;
    generate(shell, &mut command, name, out);
    Ok(())
}
