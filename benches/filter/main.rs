// SPDX-License-Identifier: MIT OR Apache-2.0

//! Benchmarks of the filter: `cargo bench --bench filter`, or `./dev bench`.
//!
//! `MODEL` is the generator, a file or a folder with `G.onnx` and its variants; `REFERENCE` is a generator to compare
//! them with. The argument `variants`, `overhead`, `in-flight`, `skipping`, `gl` or `pipelines` measures only that table.

mod bare;
mod frame;
#[cfg(feature = "gl")]
mod gl;
mod in_flight;
mod nnstreamer;
mod overhead;
mod pipelines;
mod skipping;
mod summary;
mod variants;

use std::{env, error::Error, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--bench");
    let model = model()?;
    gst::init()?;
    gstcyclegan::plugin_register_static()?;
    match arguments.next().as_deref() {
        Some(pipelines::CHILD) => {
            let way = arguments.next().ok_or("no way of translating")?;
            let caps = arguments.next().ok_or("no caps")?;
            pipelines::run(&way, &model, &caps)
        }
        Some("overhead") => overhead::compare(&model),
        Some("variants") => variants::compare(&model),
        Some("in-flight") => in_flight::compare(&model),
        Some("skipping") => skipping::compare(&model),
        #[cfg(feature = "gl")]
        Some("gl") => gl::compare(),
        Some("pipelines") => pipelines::compare(&model),
        Some(other) => Err(format!("no benchmark `{other}`").into()),
        None => {
            overhead::compare(&model)?;
            variants::compare(&model)?;
            in_flight::compare(&model)?;
            skipping::compare(&model)?;
            #[cfg(feature = "gl")]
            gl::compare()?;
            pipelines::compare(&model)
        }
    }
}

/// The forward generator's float32 file, so that both sides of each table run the same model.
fn model() -> Result<PathBuf, Box<dyn Error>> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/models/horse2zebra");
    let model = PathBuf::from(env::var_os("MODEL").unwrap_or_else(|| default.into()));
    let file = if model.is_dir() { model.join("G.onnx") } else { model };
    if !file.is_file() {
        return Err(
            format!("{} is not there; set MODEL to an ONNX generator", file.display()).into()
        );
    }
    Ok(file)
}
