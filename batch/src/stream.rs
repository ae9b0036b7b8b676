// SPDX-License-Identifier: MIT OR Apache-2.0

//! Video from or to something other than a file: y4m on standard input and output, and image sequences. It is
//! translated in one go, in this process.

use std::{collections::HashSet, fs, path::Path, process::ExitCode, time::Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    container::Container,
    events::{Events, FileResult},
    files::{check_names, create_folder},
    kind::is_folder,
    options::{Options, cores},
    protocol::{Event, Setup},
    sequence::Sequence,
    stop,
    text::counted,
    worker::stream::{FIRST, Input, Output, suffix_length, translate},
};

#[derive(Debug, PartialEq, Eq)]
pub struct Stream {
    input: Input,
    output: Output,
}

impl Stream {
    /// From the command line; `None` if it is only about files.
    pub fn new(options: &Options) -> Result<Option<Self>> {
        let out = &options.out;
        let output = match Container::of_name(out) {
            _ if out == Path::new("-") => Some(Output::Y4m),
            Some(container) if !out.is_dir() => Some(Output::File(out.clone(), container)),
            _ => Sequence::new(out).map(Output::Sequence),
        };
        let input = match &options.inputs[..] {
            // Otherwise it is a list of files.
            [input] if input == "-" => output.is_some().then_some(Input::Y4m),
            [input] => {
                let path = Path::new(input);
                Some(match Sequence::new(path) {
                    Some(sequence) => Input::Sequence(sequence),
                    None => Input::File(path.to_owned()),
                })
            }
            _ => None,
        };
        let stream = match (input, output) {
            (Some(Input::Sequence(input)), None) => {
                ensure!(
                    is_folder(out),
                    "--out {}: expected a folder, mp4, mov, mkv, webm or ts, or names such as zebra/%04d.png",
                    out.display()
                );
                let output = Output::Sequence(input.below(out));
                Self { input: Input::Sequence(input), output }
            }
            (Some(Input::File(_)), None | Some(Output::File(..))) => return Ok(None),
            (Some(input), Some(output)) => Self { input, output },
            (None, Some(Output::Y4m | Output::Sequence(_))) => {
                bail!("--out {}: expected one input", out.display());
            }
            (_, _) => return Ok(None),
        };
        stream.check(options)?;
        Ok(Some(stream))
    }

    fn check(&self, options: &Options) -> Result<()> {
        let refused = [
            ("start", options.recipe.start.is_some()),
            ("end", options.recipe.end.is_some()),
            ("frames", options.recipe.frames.is_some()),
            ("sample", options.sample.is_some()),
            ("name", options.name.is_some()),
            ("container", options.recipe.container.is_some()),
            ("shard", options.shard.is_some()),
            ("report", options.report.is_some()),
            ("status", options.status),
            ("verify", options.verify),
            ("dry-run", options.dry_run),
        ];
        for (option, is_given) in refused {
            ensure!(!is_given, "--{option}: cannot be used with image sequences or y4m");
        }
        if let Input::File(path) = &self.input {
            ensure!(path.is_file(), "{}: expected a video", path.display());
        }
        let is_own = match (&self.input, &self.output) {
            (Input::Sequence(input), Output::Sequence(output)) => input.is_same(output),
            _ => false,
        };
        if let Output::Sequence(output) = &self.output {
            let out = options.out.display();
            ensure!(output.is_named(), "--out {out}: expected jpg, png or webp");
        }
        let written = match &self.output {
            Output::Y4m => None,
            Output::Sequence(output) => Some(output.path(1)),
            Output::File(path, _) => Some(path.clone()),
        };
        if let Some(path) = written {
            check_names(&path, suffix_length(&path)).with_context(|| path.display().to_string())?;
        }
        ensure!(!is_own, "{}: would overwrite itself; use another --out", options.out.display());
        Ok(())
    }

    pub fn run(&self, options: &Options) -> Result<ExitCode> {
        let old = self.prepare(options.overwrite)?;
        let setup = Setup::new(options, cores());
        let input = Path::new(&options.inputs[0]);
        let mut events = Events::new(options.json, 1, 1);
        if self.output == Output::Y4m {
            events = events.on_standard_error();
        }
        events.begin(None, 1, options.provider.as_deref());
        events.start(0, input, 1);
        let begun = Instant::now();
        let mut said = HashSet::new();
        let frames = translate(
            &setup,
            &self.input,
            &self.output,
            options.framerate,
            &mut |event| match event {
                Event::Progress { frames, total } => events.progress(0, input, frames, total),
                Event::Notice { text } if said.insert(text.clone()) => events.notice(input, &text),
                Event::Notice { .. } => {}
            },
        );
        let written = frames.and_then(|frames| Ok((frames, self.remove_others(&old, frames)?)));
        let result = match written {
            Ok((frames, removed)) => {
                if removed > 0 {
                    let images = counted(removed, "image");
                    events.notice(input, &format!("replaces a longer sequence: {images} removed"));
                }
                Some(FileResult::Translated { frames, seconds: begun.elapsed().as_secs_f64() })
            }
            Err(_) if stop::is_requested() => None,
            Err(error) => Some(FileResult::Failed { cause: format!("{error:#}") }),
        };
        result.iter().for_each(|result| events.end(0, input, &options.out, result));
        events.summary();
        Ok(match result {
            Some(FileResult::Translated { .. }) => ExitCode::SUCCESS,
            Some(_) => ExitCode::FAILURE,
            None => ExitCode::from(stop::EXIT_CODE),
        })
    }

    /// Makes the folder of the output, and returns the numbers of the images that are already in it. Fails if it would
    /// replace something.
    fn prepare(&self, may_overwrite: bool) -> Result<Vec<u64>> {
        let (folder, existing, old) = match &self.output {
            Output::Y4m => return Ok(Vec::new()),
            Output::File(path, _) => {
                let folder = path.parent().unwrap_or(Path::new("")).to_owned();
                (folder, path.exists().then(|| path.clone()), Vec::new())
            }
            Output::Sequence(output) => {
                let old = output.numbers().unwrap_or_default();
                let written = self.numbers();
                let is_written = |number: &&u64| {
                    written.as_ref().is_none_or(|written| written.binary_search(number).is_ok())
                };
                let existing = old.iter().find(is_written).map(|number| output.path(*number));
                (output.folder().to_owned(), existing, old)
            }
        };
        if let Some(existing) = existing.filter(|_| !may_overwrite) {
            bail!("would replace {}; use --overwrite or another --out", existing.display());
        }
        create_folder(&folder)?;
        Ok(old)
    }

    /// The numbers of the images of the input, which those of the output get too; `None` for a video.
    fn numbers(&self) -> Option<Vec<u64>> {
        match &self.input {
            Input::Sequence(input) => input.numbers().ok(),
            _ => None,
        }
    }

    /// Removes the images with the numbers `old` that the `frames` written have not replaced, unless they are another
    /// part of the sequence; returns how many.
    fn remove_others(&self, old: &[u64], frames: u64) -> Result<u64> {
        let Output::Sequence(output) = &self.output else { return Ok(0) };
        let written = self.numbers().unwrap_or_else(|| (FIRST..FIRST + frames).collect());
        let is_written = |number: &&u64| written.binary_search(number).is_ok();
        if !old.iter().any(|number| is_written(&number)) {
            return Ok(0);
        }
        let others = old.iter().filter(|number| !is_written(number));
        let mut removed = 0;
        for number in others {
            let path = output.path(*number);
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            removed += 1;
        }
        Ok(removed)
    }
}
