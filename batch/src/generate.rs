// SPDX-License-Identifier: MIT OR Apache-2.0

//! The man page and the completions of shells, which packages install: `cyclegan-batch --generate man|bash|zsh|fish`.

use std::io;

use anyhow::{Context, bail};
use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::options::Options;

/// What asks for it, in place of all options.
pub const ARGUMENT: &str = "--generate";

pub fn run(what: Option<&str>) -> anyhow::Result<()> {
    let mut command = Options::command();
    let name = command.get_name().to_owned();
    let out = &mut io::stdout();
    match what {
        Some("man") => clap_mangen::Man::new(command).render(out).context("standard output")?,
        Some("bash") => generate(Shell::Bash, &mut command, name, out),
        Some("zsh") => generate(Shell::Zsh, &mut command, name, out),
        Some("fish") => generate(Shell::Fish, &mut command, name, out),
        other => bail!("{ARGUMENT} knows man, bash, zsh and fish, not {:?}", other.unwrap_or("")),
    }
    Ok(())
}
