// SPDX-License-Identifier: MIT OR Apache-2.0

//! Translates a video file, or a scene made on the spot, with `cycleganfilter`; writes an H.264 file of the
//! same size and timing, and a picture of some frames before and after beside it.
//!
//! ```sh
//! ./dev demo [--model MODEL] [INPUT [OUTPUT]]
//! ```

mod contact_sheet;
mod pipeline;
mod progress;
mod scene;
mod summary;
mod translation;

use std::{
    path::{Path, PathBuf},
    process::{ExitCode, exit},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use contact_sheet::ContactSheet;
use pipeline::Source;
use scene::Scene;
use translation::Translation;

/// Translates a video with cycleganfilter.
#[derive(Parser)]
#[command(bin_name = "./dev demo")]
struct Arguments {
    /// The video: any file that GStreamer decodes [default: a scene made on the spot]
    #[arg(required_unless_present = "scene")]
    input: Option<PathBuf>,
    /// The MP4 file to write [default: INPUT-translated.mp4 in the current folder]
    output: Option<PathBuf>,
    /// The generator: a model file, a pair's folder, or the name of a pair [default: the element's own]
    #[arg(long, env = "MODEL")]
    model: Option<String>,
    /// The folder with the scenes' pictures
    #[arg(long, env = "SCENE", hide = true)]
    scene: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    gst::init()?;
    gstcyclegan::plugin_register_static()?;
    let stop = stop_on_ctrl_c()?;

    let (source, name) = match &arguments.input {
        Some(input) => (Source::File(input.clone()), input.file_stem().unwrap_or_default()),
        None => {
            let folder = arguments.scene.as_deref().context("name an INPUT video")?;
            let scene = Scene::for_model(arguments.model.as_deref(), folder)?;
            (Source::Scene(scene), "scene".as_ref())
        }
    };
    let output = arguments.output.clone().unwrap_or_else(|| {
        let mut file = name.to_owned();
        file.push("-translated.mp4");
        file.into()
    });
    if let Some(input) = &arguments.input {
        check_files(input, &output)?;
    }

    let pipeline = pipeline::build(source, &output, arguments.model.as_deref())?;
    let sheet = ContactSheet::watch(&pipeline::filter(&pipeline)?)?;
    let summary = Translation::new(pipeline)?.run(&stop).inspect_err(|_| {
        // An MP4 file without its index cannot be played.
        let _ = std::fs::remove_file(&output);
    })?;
    println!("{summary}\nvideo: {}", output.display());
    let picture = output.with_extension("png");
    if sheet.save(&picture)? {
        println!("before and after: {}", picture.display());
    }
    Ok(())
}

fn check_files(input: &Path, output: &Path) -> Result<()> {
    ensure!(!input.is_dir(), "{} is a folder, expected a video or a picture", input.display());
    ensure!(input.is_file(), "there is no file {}", input.display());
    let same = output.exists() && input.canonicalize()? == output.canonicalize()?;
    ensure!(!same, "{} is both the input and the output", input.display());
    Ok(())
}

/// Set by the first Ctrl-C, that has the file finished; the second leaves at once.
fn stop_on_ctrl_c() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let mut asked = false;
    ctrlc::set_handler(move || {
        if asked {
            exit(130);
        }
        asked = true;
        flag.store(true, Ordering::Relaxed);
    })?;
    Ok(stop)
}
