// SPDX-License-Identifier: MIT OR Apache-2.0

//! Any ONNX generator under the model contract, run by ONNX Runtime.

use std::{
    env,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use cyclegan_contract::{Dim, ElementType, Generator, size_hint};
use half::f16;
use ort::{
    environment::Environment,
    logging::LoggerFunction,
    session::{Session, SessionOutputs, builder::SessionBuilder},
    value::TensorRef,
};
use tch::Tensor;

use crate::pixels;

/// Least number of runs for a median.
const TIMED_LEAST: usize = 8;
/// Least duration of a measurement.
const TIMED_FOR: Duration = Duration::from_millis(400);

/// A loaded generator file.
#[derive(Debug)]
pub struct OnnxGenerator {
    /// The file's contract.
    pub about: Generator,
    /// The file; empty for a model in memory.
    path: PathBuf,
    session: Session,
}

/// The output of a generator.
#[derive(Debug)]
pub struct OnnxOutput {
    /// The image, N×3×H×W in [−1, 1].
    pub image: Tensor,
    /// The mask, N×1×H×W in [0, 1], if the generator has one.
    pub mask: Option<Tensor>,
}

impl OnnxGenerator {
    /// Checks a file against the contract and loads it.
    pub fn open(path: &Path, threads: usize) -> Result<Self> {
        let open = || -> Result<Self> {
            let about = Generator::read(path)?;
            let session = session(path, threads)?;
            Ok(Self { about, path: path.to_path_buf(), session })
        };
        open().with_context(|| path.display().to_string())
    }

    /// The same for a model in memory without external data.
    pub fn from_bytes(bytes: &[u8], threads: usize) -> Result<Self> {
        let about = Generator::check(bytes, Path::new("."))?;
        Ok(Self { about, path: PathBuf::new(), session: session_of(bytes, threads)? })
    }

    /// The median time for an image of `side`×`side` pixels, milliseconds.
    pub fn milliseconds(&mut self, side: u32) -> Result<f64> {
        let shape = [1, 3, i64::from(side), i64::from(side)];
        // Noise: denormal or equal values may be faster or slower than real images.
        let x = Tensor::rand(shape, tch::kind::FLOAT_CPU);
        let values = pixels::floats(&x);
        let mut times = Vec::new();
        let begin = Instant::now();
        while times.len() < TIMED_LEAST || begin.elapsed() < TIMED_FOR {
            let start = Instant::now();
            self.run(&shape, &values)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        // The first runs allocate memory.
        let mut times = times.split_off(times.len() / 4);
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    }

    /// Translates N×3×H×W in [−1, 1].
    pub fn generate(&mut self, x: &Tensor) -> Result<OnnxOutput> {
        let metadata = &self.about.metadata;
        let (input, output) = (metadata.input_range, metadata.output_range);
        // From [−1, 1] to the model's own range and back; 255 grey levels lie between −1 and 1.
        let per_unit =
            |range: cyclegan_contract::ValueRange| f64::from(range.per_grey_level()) * 127.5;
        let shape = x.size();
        for (side, dim, length) in
            [("height", self.about.height, shape[2]), ("width", self.about.width, shape[3])]
        {
            if let Dim::Fixed(only) = dim {
                let fits = i64::from(only) == length;
                ensure!(
                    fits,
                    "the image's {side} is {length}, but the generator accepts only {only}"
                );
            }
        }
        let x = (x + 1.0) * per_unit(input) + f64::from(input.black());
        let values = pixels::floats(&x);
        let names = (self.about.output.clone(), self.about.mask.is_some());
        let run = self.run(&shape, &values)?;
        let image = extract(&run, &names.0)?;
        let mask = names.1.then(|| extract(&run, "mask")).transpose()?;
        let image = (image - f64::from(output.black())) / per_unit(output) - 1.0;
        Ok(OnnxOutput { image, mask })
    }

    fn run(&mut self, shape: &[i64], values: &[f32]) -> Result<SessionOutputs<'_>> {
        let name = self.about.input.as_str();
        let outputs = match self.about.input_type {
            ElementType::F32 => {
                let input = TensorRef::from_array_view((shape, values))?;
                self.session.run(ort::inputs![name => input])
            }
            ElementType::F16 => {
                let values: Vec<f16> = values.iter().map(|&v| f16::from_f32(v)).collect();
                let input = TensorRef::from_array_view((shape, values.as_slice()))?;
                self.session.run(ort::inputs![name => input])
            }
        };
        outputs.map_err(|error| {
            let (path, hint) = (self.path.display(), size_hint(self.about.metadata.multiple_of));
            let (width, height) = (shape[3], shape[2]);
            // ONNX Runtime's messages may end in a new line.
            let reason = error.to_string();
            let reason = reason.trim();
            anyhow!("{path}: the generator failed on an image of {width}×{height} pixels: {reason}. {hint}")
        })
    }
}

fn extract(outputs: &SessionOutputs<'_>, name: &str) -> Result<Tensor> {
    let value = outputs.get(name).ok_or_else(|| anyhow!("no output `{name}`"))?;
    if let Ok((shape, values)) = value.try_extract_tensor::<f32>() {
        return Ok(Tensor::from_slice(values).view(&**shape));
    }
    let (shape, values) = value.try_extract_tensor::<f16>()?;
    let values: Vec<f32> = values.iter().map(|v| v.to_f32()).collect();
    Ok(Tensor::from_slice(&values).view(&**shape))
}

/// A session of ONNX Runtime on the CPU; `threads` 0 for one per core.
pub fn session(path: &Path, threads: usize) -> Result<Session> {
    Ok(builder(threads)?.commit_from_file(path)?)
}

/// A session of the bytes of a model, on `threads` threads, 0 for all cores.
pub fn session_of(model: &[u8], threads: usize) -> Result<Session> {
    Ok(builder(threads)?.commit_from_memory(model)?)
}

fn builder(threads: usize) -> Result<SessionBuilder> {
    let builder = Session::builder(runtime()?)?.with_intra_threads(threads);
    let builder = builder.map_err(|e| anyhow!("{e}"))?;
    // Spinning threads would block cores for libtorch and other programs.
    builder.with_intra_op_spinning(false).map_err(|e| anyhow!("{e}"))
}

/// Loads ONNX Runtime once and keeps it until the program ends.
pub fn runtime() -> Result<&'static Environment> {
    static LOADED: OnceLock<Result<Environment, String>> = OnceLock::new();
    let default = || libloading::library_filename("onnxruntime");
    let load = || {
        let library = env::var_os("ORT_DYLIB_PATH").unwrap_or_else(default);
        let named = |e| format!("{}: {e}", Path::new(&library).display());
        let builder = ort::init_from(&library).map_err(named)?;
        // Errors are returned as well, and its warnings are of no use to users.
        let log: LoggerFunction = Arc::new(|_, _, _, _, _| {});
        builder.with_telemetry(false).with_logger(log).build().map_err(|e| e.to_string())
    };
    match LOADED.get_or_init(load) {
        Ok(environment) => Ok(environment),
        Err(reason) => bail!(
            "cannot load ONNX Runtime ({reason}); set ORT_DYLIB_PATH to its {}",
            Path::new(&default()).display()
        ),
    }
}
