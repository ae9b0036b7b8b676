// SPDX-License-Identifier: MIT OR Apache-2.0

//! A loaded generator: an ONNX Runtime session that has run once.

use std::{
    collections::HashMap,
    fs, io,
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use cyclegan_contract::{ContractError, Dim, Precision, Size, TensorLimits};
use ort::{
    environment::Environment,
    session::{RunOptions, Session, SessionOutputs, builder::SessionBuilder},
};

use super::{
    availability, engines,
    error::{LoadError, RunError},
    exit,
    heap::TrimHeap,
    interrupt::Interrupt,
    lock::lock,
    message::{CAT, reason},
    profile::{NodesByProvider, Verification, verify},
    provider::{Provider, ProviderOptions},
    registration::registrations,
    runtime,
    stamp::Stamp,
    target::Target,
    tensor::{image_shape, is_finite, mask_shape, zeros},
    threads,
    turns::{self, Turn, Turns},
    warning::Warning,
};

/// The short side for generators without `cyclegan.size`: that of the paper.
const DEFAULT_SIZE: u32 = 256;

/// A generator that has translated a first image.
pub struct Generator {
    path: PathBuf,
    contract: cyclegan_contract::Generator,
    target: Target,
    // `run` takes `&mut`: ONNX Runtime's providers do not support parallel runs of a session.
    session: Turns<exit::Owned<Session>>,
    // After the session, as fields are dropped in this order.
    _trim_heap: TrimHeap,
    /// The duration of a run for each image size that it was warmed up for.
    warmed_up: Mutex<HashMap<Size, Duration>>,
    /// Stamps of its external data from when they were read.
    external_data: Vec<Option<Stamp>>,
    warnings: Vec<Warning>,
}

impl Generator {
    /// Loads the model at `path` on `target` and translates an image of zeros with it.
    pub(super) fn open(
        path: &Path,
        target: Target,
        options: &ProviderOptions,
    ) -> Result<Self, LoadError> {
        let contract = cyclegan_contract::Generator::read(path).map_err(|source| {
            LoadError::Contract { path: path.to_path_buf(), source: Arc::new(source) }
        })?;
        let external_data = stamps(&contract);
        let failed = Failure { path, target };
        let Some(_inside) = exit::enter() else {
            let reason = "the process is exiting".to_owned();
            return Err(LoadError::Session { path: path.to_path_buf(), reason });
        };
        let environment = runtime::environment()?;
        availability::require(target, options).map_err(|unusable| {
            failed.provider(unusable.is_built_in && target.may_be_present(), unusable.reason)
        })?;

        let mut warnings = Vec::new();
        let engines = engines_folder(path, &contract, target, options, &mut warnings);
        // A private folder: other users can neither read the profile nor guess its name.
        let is_profiled = target.provider != Provider::Cpu;
        let profiles = is_profiled
            .then(|| tempfile::Builder::new().prefix("cycleganfilter-").tempdir())
            .transpose();
        let profile = profiles.as_ref().ok().and_then(|folder| folder.as_ref());
        let profile = profile.map(|folder| folder.path().join("profile"));
        let session = open_session(
            environment,
            &contract,
            options,
            engines.as_deref(),
            profile.as_deref(),
            &failed,
        )?;
        gst::info!(CAT, "opened a session of {} on {target}", path.display());

        let mut generator = Self {
            path: path.to_path_buf(),
            contract,
            target,
            session: Turns::new(exit::Owned::new(session, target.provider)),
            _trim_heap: TrimHeap,
            warmed_up: Mutex::default(),
            external_data,
            warnings,
        };
        generator.check_output().map_err(|source| failed.run(source))?;
        if is_profiled {
            let profile = profiles.and_then(|_folder| generator.profile());
            generator.verify_provider(profile, &failed)?;
        }
        close_first_for(target.provider);
        Ok(generator)
    }

    /// Which providers ran its nodes, by the profile that ends here.
    fn profile(&self) -> io::Result<NodesByProvider> {
        let mut session = self.session(&Interrupt::default()).map_err(io::Error::other)?;
        let profile = session.end_profiling();
        let profile = profile.map_err(|error| io::Error::other(reason(&error)))?;
        NodesByProvider::read(Path::new(&profile))
    }

    /// Fails if its provider has not run it, by `profile`; warns if that is not known.
    fn verify_provider(
        &mut self,
        profile: io::Result<NodesByProvider>,
        failed: &Failure<'_>,
    ) -> Result<(), LoadError> {
        let target = self.target;
        let verification = verify(profile, target.provider)
            .map_err(|reason| failed.provider(target.may_be_present(), reason))?;
        if let Verification::Unknown(reason) = verification {
            let path = self.path.clone();
            self.warnings.push(Warning::NotVerified { path, target, reason });
        }
        Ok(())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file declares.
    pub fn contract(&self) -> &cyclegan_contract::Generator {
        &self.contract
    }

    /// The provider that runs it, verified by ONNX Runtime's profile of its first run; without a
    /// profile, the provider that it was opened on.
    pub fn provider(&self) -> Provider {
        self.target.provider
    }

    /// The arithmetic of its file.
    pub fn precision(&self) -> Precision {
        self.contract.precision
    }

    /// Warnings from when it was loaded.
    pub(super) fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Whether the files of its external data are unchanged since they were read.
    pub(super) fn is_current(&self) -> bool {
        stamps(&self.contract) == self.external_data
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

    /// Whether it accepts batches of more than one image.
    pub fn takes_batches(&self) -> bool {
        self.contract.batch == Dim::Dynamic
    }

    /// The short side that it was trained for, in pixels.
    pub fn short_side(&self) -> u32 {
        self.contract.metadata.size.unwrap_or(DEFAULT_SIZE)
    }

    /// Warms it up on one image of `size` with `run`, unless another stream or earlier frames have done
    /// so; returns the duration of a run.
    pub fn warm_up<E>(
        &self,
        size: Size,
        mut run: impl FnMut() -> Result<Duration, E>,
    ) -> Result<Duration, E> {
        if let Some(time) = lock(&self.warmed_up).get(&size) {
            return Ok(*time);
        }
        run()?;
        let time = run()?;
        lock(&self.warmed_up).insert(size, time);
        Ok(time)
    }

    /// The shortest of three runs at the generator's own size.
    pub(super) fn quickest_run(&self) -> Result<Duration, RunError> {
        let mut quickest = Duration::MAX;
        for _ in 0..3 {
            quickest = quickest.min(self.check_output()?);
        }
        Ok(quickest)
    }

    /// The session. Waits if another stream is running it, or one that shares its provider; fails once
    /// `interrupt` is set.
    pub(super) fn session(&self, interrupt: &Interrupt) -> Result<SessionTurn<'_>, RunError> {
        let provider = turns::wait_for(self.target.provider, interrupt)?;
        Ok(SessionTurn { session: self.session.wait(interrupt)?, _provider: provider })
    }

    /// The size of the first image: the generator's own.
    fn own_size(&self) -> Size {
        let limits = self.limits();
        let dynamic = self.short_side().next_multiple_of(limits.multiple_of);
        Size { width: limits.width.unwrap_or(dynamic), height: limits.height.unwrap_or(dynamic) }
    }

    /// The error for a run on an image of `size`.
    pub(super) fn failed_at(&self, size: Size, error: &ort::Error) -> RunError {
        let reason = reason(error);
        match size == self.own_size() {
            true => RunError::Failed { size, reason },
            false => {
                RunError::FailedAtSize { size, multiple_of: self.limits().multiple_of, reason }
            }
        }
    }

    /// Translates an image of zeros and checks that the output is an image of the same shape and the mask
    /// is a mask. Returns how long the run took, without the wait for other users of the session.
    fn check_output(&self) -> Result<Duration, RunError> {
        let size = self.own_size();
        let failed = |error: ort::Error| RunError::Failed { size, reason: reason(&error) };
        let shape = image_shape(1, size);
        let input = zeros(self.contract.input_type, shape).map_err(failed)?;
        let options = Arc::new(RunOptions::new().map_err(failed)?);
        let mut session = self.session(&Interrupt::default())?;
        let mut time = Duration::ZERO;
        exit::guard(&options, || {
            let inputs = ort::inputs![self.contract.input.as_str() => input];
            let start = Instant::now();
            let outputs = session.run_with_options(inputs, &options).map_err(failed)?;
            time = start.elapsed();
            self.check(&outputs, size)
        })?;
        Ok(time)
    }

    /// Checks that the `outputs` for an image of `size` are an image of the same size, and a mask if the
    /// contract has one.
    fn check(&self, outputs: &SessionOutputs<'_>, size: Size) -> Result<(), RunError> {
        let failed = |error: ort::Error| RunError::Failed { size, reason: reason(&error) };
        let shape = image_shape(1, size);
        let output = &outputs[self.contract.output.as_str()];
        let found = output.shape().to_vec();
        if found != shape {
            return Err(RunError::Shape { found, expected: shape.to_vec() });
        }
        if self.contract.mask.is_some() {
            let found = outputs[cyclegan_contract::Generator::MASK].shape().to_vec();
            let expected = mask_shape(1, size).to_vec();
            if found != expected {
                return Err(RunError::Mask { found, expected });
            }
        }
        match is_finite(output, self.contract.output_type).map_err(failed)? {
            true => Ok(()),
            false => Err(RunError::NotFinite),
        }
    }
}

/// A session, until this is dropped. In this order, so that the next thread finds both free.
pub(super) struct SessionTurn<'a> {
    session: Turn<'a, exit::Owned<Session>>,
    _provider: Option<Turn<'static, ()>>,
}

impl Deref for SessionTurn<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for SessionTurn<'_> {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

/// Opens a session, with compiled engines in the folder `engines`. It writes a profile to files whose names begin
/// with `profile`.
fn open_session(
    environment: &Environment,
    contract: &cyclegan_contract::Generator,
    options: &ProviderOptions,
    engines: Option<&Path>,
    profile: Option<&Path>,
    failed: &Failure<'_>,
) -> Result<Session, LoadError> {
    let Failure { path, target } = *failed;
    // Dropped after the builder, which may belong to the provider too.
    let _turn = turns::wait_for(target.provider, &Interrupt::default())
        .map_err(|source| failed.run(source))?;
    let builder = threads::session_options(environment, options.threads)
        .map_err(|error| failed.session(&error))?;
    let builder = with_external_data(builder, path, contract, failed)?;
    let registrations = registrations(target, options, contract.precision, engines);
    let mut builder = builder.with_execution_providers(registrations).map_err(|error| {
        let needs = target.provider.needs();
        failed.provider(target.may_be_present(), format!("{}. It needs {needs}", reason(&error)))
    })?;
    if let Some(profile) = profile {
        builder = builder.with_profiling(profile).map_err(|error| failed.session(&error))?;
    }
    builder.commit_from_file(path).map_err(|error| failed.session(&error))
}

/// Makes the exit handler precede those of a provider's libraries, which its first session has loaded.
fn close_first_for(provider: Provider) {
    static OPENED: AtomicU32 = AtomicU32::new(0);
    let bit = 1 << provider as u32;
    if OPENED.fetch_or(bit, Relaxed) & bit == 0 {
        exit::close_first();
    }
}

/// Turns a failure to open a generator into an error.
struct Failure<'a> {
    path: &'a Path,
    target: Target,
}

impl Failure<'_> {
    fn provider(&self, is_present: bool, reason: String) -> LoadError {
        LoadError::Provider { target: self.target, is_present, reason }
    }

    /// A GPU library can fail because of the model or the machine, and does not say which.
    fn session<R>(&self, error: &ort::Error<R>) -> LoadError {
        let reason = reason(error);
        match self.target.provider {
            Provider::Cpu => LoadError::Session { path: self.path.to_path_buf(), reason },
            _ => {
                let reason = format!("{}: {reason}", self.path.display());
                self.provider(self.target.may_be_present(), reason)
            }
        }
    }

    /// A run on a GPU may fail for lack of memory, or because a value exceeds float16's range.
    fn run(&self, source: RunError) -> LoadError {
        let is_models = matches!(source, RunError::Shape { .. } | RunError::Mask { .. });
        match self.target.provider {
            provider if is_models || provider == Provider::Cpu => {
                LoadError::Run { path: self.path.to_path_buf(), source }
            }
            _ => {
                let reason = format!("{}: {source}", self.path.display());
                self.provider(self.target.may_be_present(), reason)
            }
        }
    }
}

/// The folder for compiled engines, if the provider compiles any and the folder can be written.
fn engines_folder(
    path: &Path,
    contract: &cyclegan_contract::Generator,
    target: Target,
    options: &ProviderOptions,
    warnings: &mut Vec<Warning>,
) -> Option<PathBuf> {
    if !target.provider.compiles_engines() {
        return None;
    }
    let folder = engines::folder(path, contract, target.provider, options);
    folder
        .map_err(|error| {
            warnings.push(Warning::NoCache {
                path: path.to_path_buf(),
                target,
                folder: options.cache_dir.clone(),
                reason: error.to_string(),
            });
        })
        .ok()
}

/// Gives ONNX Runtime the external data in memory.
///
/// On its own, ONNX Runtime maps the file: writing to it changes a running generator, and truncating it
/// kills the process. Depending on its version, it also follows fewer kinds of links than the contract.
/// Providers that compile the model themselves may not support data in memory, so they read the file if
/// ONNX Runtime accepts it.
fn with_external_data(
    mut builder: SessionBuilder,
    path: &Path,
    contract: &cyclegan_contract::Generator,
    failed: &Failure<'_>,
) -> Result<SessionBuilder, LoadError> {
    let folder = path.canonicalize().ok();
    let folder = folder.as_deref().and_then(Path::parent);
    let is_beside = |file: &Path| folder.is_some_and(|folder| file.starts_with(folder));
    for (location, file) in &contract.external_data {
        if failed.target.provider.compiles_engines() && is_beside(file) {
            continue;
        }
        let data = fs::read(file).map_err(|error| LoadError::Contract {
            path: path.to_path_buf(),
            source: Arc::new(ContractError::Unreadable(error)),
        })?;
        builder = builder
            .with_external_initializer_file_in_memory(location, data.into())
            .map_err(|error| failed.session(&error))?;
    }
    Ok(builder)
}

fn stamps(contract: &cyclegan_contract::Generator) -> Vec<Option<Stamp>> {
    contract.external_data.values().map(|file| Stamp::of(file).ok()).collect()
}
