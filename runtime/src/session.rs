// SPDX-License-Identifier: MIT OR Apache-2.0

//! One generator, loaded: an ONNX Runtime session that was seen to work.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use cyclegan_contract::{Dim, ElementType, Precision};
use ort::{
    memory::Allocator,
    session::{Session, builder::SessionBuilder},
    value::{DynTensor, DynValue, TensorElementType},
};

use super::{
    engines,
    error::{LoadError, RunError, reason},
    profile::NodesByProvider,
    provider::{Provider, ProviderOptions},
    runtime,
};
use cyclegan_contract::{Size, TensorLimits};

/// The short side of generators that do not say what they were trained for: the paper's.
const DEFAULT_SIZE: u32 = 256;

/// A generator that has translated a first picture.
pub struct Generator {
    path: PathBuf,
    contract: cyclegan_contract::Generator,
    provider: Provider,
    // `run` takes `&mut`: ONNX Runtime's providers are not safe to run twice at once.
    session: Mutex<Session>,
    /// How long a run takes at the sizes that it was warmed up for.
    warmed_up: Mutex<HashMap<Size, Duration>>,
}

impl Generator {
    /// Loads the model at `path` on `provider`, and translates a black picture with it.
    pub fn open(
        path: &Path,
        provider: Provider,
        precision: Precision,
        options: &ProviderOptions,
    ) -> Result<Self, LoadError> {
        let contract = cyclegan_contract::Generator::read(path)
            .map_err(|source| LoadError::Contract { path: path.to_path_buf(), source })?;
        let provider_error = |reason: String| LoadError::Provider { provider, reason };
        // A GPU library may fail on the model or on the machine, and does not tell which.
        let session_error = |error: ort::Error| match provider {
            Provider::Cpu => {
                LoadError::Session { path: path.to_path_buf(), reason: reason(&error) }
            }
            _ => provider_error(format!("{}: {}", path.display(), reason(&error))),
        };

        let environment = runtime::environment()?;
        provider.require().map_err(provider_error)?;
        let engines = if provider.compiles_engines() {
            engines::folder(path, &contract, provider, options).map_err(|error| {
                let folder = options.cache_dir.display();
                provider_error(format!(
                    "no engine can be kept in {folder} ({error}); set `cache-dir`"
                ))
            })?
        } else {
            options.cache_dir.clone()
        };
        let mut builder = session_options(environment, options).map_err(session_error)?;
        builder = builder
            .with_execution_providers(provider.registrations(options, precision, &engines))
            .map_err(|error| {
                provider_error(format!("{}. It needs {}", reason(&error), provider.needs()))
            })?;
        let is_profiled = provider != Provider::Cpu;
        if is_profiled {
            builder = builder
                .with_profiling(profile_prefix())
                .map_err(|error| session_error(error.into()))?;
        }
        let session = builder.commit_from_file(path).map_err(session_error)?;

        let session = Mutex::new(session);
        let warmed_up = Mutex::default();
        let generator = Self { path: path.to_path_buf(), contract, provider, session, warmed_up };
        generator.check_output().map_err(|source| match (source, provider) {
            (source @ RunError::Shape { .. }, _) | (source, Provider::Cpu) => {
                LoadError::Run { path: path.to_path_buf(), source }
            }
            // Neither does it tell here: its memory may be too small, or float16 too narrow.
            (source, _) => provider_error(format!("{}: {source}", path.display())),
        })?;
        if is_profiled {
            generator.check_provider().map_err(provider_error)?;
        }
        Ok(generator)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says.
    pub fn contract(&self) -> &cyclegan_contract::Generator {
        &self.contract
    }

    /// The provider that was seen to run it.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The tensor sizes that it accepts.
    pub fn limits(&self) -> TensorLimits {
        let fixed = |dim: Dim| match dim {
            Dim::Fixed(length) => Some(length),
            Dim::Dynamic => None,
        };
        TensorLimits {
            width: fixed(self.contract.width),
            height: fixed(self.contract.height),
            multiple_of: self.contract.metadata.multiple_of,
        }
    }

    /// The short side that it was trained for, in pixels.
    pub fn short_side(&self) -> u32 {
        self.contract.metadata.size.unwrap_or(DEFAULT_SIZE)
    }

    /// Has `run` run it on tensors of `size` until it has made its plans for them, unless it was
    /// before, for another stream or for earlier frames; returns how long a run takes then.
    pub fn warm_up<E>(
        &self,
        size: Size,
        mut run: impl FnMut() -> Result<Duration, E>,
    ) -> Result<Duration, E> {
        let warmed_up = || self.warmed_up.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(time) = warmed_up().get(&size) {
            return Ok(*time);
        }
        run()?;
        let time = run()?;
        warmed_up().insert(size, time);
        Ok(time)
    }

    /// The session, waited for if another stream runs it.
    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        // A panic in another stream leaves ONNX Runtime's own state as it was.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a first picture, and checks that the output is a picture of the same shape.
    fn check_output(&self) -> Result<(), RunError> {
        let limits = self.limits();
        let dynamic = self.short_side().next_multiple_of(limits.multiple_of);
        let size = Size {
            width: limits.width.unwrap_or(dynamic),
            height: limits.height.unwrap_or(dynamic),
        };
        let failed = |error: ort::Error| RunError::Failed { size, reason: reason(&error) };
        let input = black(self.contract.input_type, size).map_err(failed)?;
        let mut session = self.session();
        let name = self.contract.input.as_str();
        let outputs = session.run(ort::inputs![name => input]).map_err(failed)?;
        let output = &outputs[self.contract.output.as_str()];
        let found = output.shape().to_vec();
        let expected = shape(size).to_vec();
        if found != expected {
            return Err(RunError::Shape { found, expected });
        }
        if is_finite(output, self.contract.output_type).map_err(failed)? {
            Ok(())
        } else {
            Err(RunError::NotFinite)
        }
    }

    /// Ends the profile that was kept so far, and checks in it that the provider ran something.
    fn check_provider(&self) -> Result<(), String> {
        let profile = self.session().end_profiling().map_err(|e| e.message().to_owned())?;
        let nodes = NodesByProvider::take(Path::new(&profile)).map_err(|e| e.to_string())?;
        let (own, total) = (nodes.of(self.provider.onnxruntime_name()), nodes.total());
        gst::info!(runtime::CAT, "{}: {own} of {total} operators", self.provider);
        if own > 0 {
            return Ok(());
        }
        Err(format!("ONNX Runtime ran all {total} operators of the model on other processors"))
    }
}

/// N×C×H×W of a picture.
pub(super) fn shape(size: Size) -> [i64; 4] {
    [1, 3, i64::from(size.height), i64::from(size.width)]
}

/// An image tensor in the CPU's memory, filled with zeros.
pub(super) fn black(element: ElementType, size: Size) -> ort::Result<DynTensor> {
    let allocator = Allocator::default();
    match element {
        ElementType::F32 => {
            let mut tensor = DynTensor::new(&allocator, TensorElementType::Float32, shape(size))?;
            tensor.try_extract_tensor_mut::<f32>()?.1.fill(0.0);
            Ok(tensor)
        }
        ElementType::F16 => {
            let mut tensor = DynTensor::new(&allocator, TensorElementType::Float16, shape(size))?;
            tensor.try_extract_tensor_mut::<half::f16>()?.1.fill(half::f16::ZERO);
            Ok(tensor)
        }
    }
}

/// Whether all values of an image tensor are numbers.
fn is_finite(tensor: &DynValue, element: ElementType) -> ort::Result<bool> {
    Ok(match element {
        ElementType::F32 => tensor.try_extract_tensor::<f32>()?.1.iter().all(|v| v.is_finite()),
        ElementType::F16 => {
            tensor.try_extract_tensor::<half::f16>()?.1.iter().all(|v| v.is_finite())
        }
    })
}

fn session_options(
    environment: &ort::environment::Environment,
    options: &ProviderOptions,
) -> ort::Result<SessionBuilder> {
    // ONNX Runtime counts physical cores, which is one on a virtual machine with two.
    let threads = match options.threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads as usize,
    };
    let builder = Session::builder(environment)?
        .with_intra_threads(threads)?
        // Denormals of a dark picture would slow the processor down a hundredfold.
        .with_flush_to_zero()?
        // A worker that spins for long holds the core that decoder or encoder wait for: with one
        // other busy thread on two cores a run takes a sixth longer by default.
        .with_config_entry("session.intra_op.spin_duration_us", "100")?
        .with_config_entry("session.force_spinning_stop", "1")?;
    Ok(builder)
}

/// Where ONNX Runtime writes the profile of a first run; it adds a time of its own.
fn profile_prefix() -> PathBuf {
    std::env::temp_dir().join(format!("cycleganfilter-{}", std::process::id()))
}
