// SPDX-License-Identifier: MIT OR Apache-2.0

//! A model: the generators of both directions on one provider.

use std::sync::{Arc, Mutex, OnceLock};

use cyclegan_contract::{Direction, Precision};

use super::{
    error::{LoadError, RunError},
    locate::ModelFiles,
    lock::lock,
    message::CAT,
    provider::{Provider, ProviderOptions},
    session::Generator,
    shared,
    target::{OpenVinoDevice, Target},
    try_targets::{faster, first_that_works, first_variant_that_works, variants},
    warning::Warning,
};

/// Options for loading a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// The provider, or `None` for the first of [`Provider::AUTO`] that works.
    pub provider: Option<Provider>,
    /// Whether the CPU may replace a named provider that fails.
    pub allow_fallback: bool,
    /// The variant of a pair, or `None` for the best one for the provider. Ignored for a single file.
    pub precision: Option<Precision>,
    /// Options of the provider.
    pub provider_options: ProviderOptions,
}

/// The generators of a model; one or both are open.
pub struct Pair {
    model: String,
    files: ModelFiles,
    options: LoadOptions,
    target: Target,
    forward: OnceLock<Arc<Generator>>,
    reverse: OnceLock<Arc<Generator>>,
    /// Warnings that [`Pair::take_warnings`] has not returned yet.
    warnings: Mutex<Vec<Warning>>,
}

impl Pair {
    /// Finds `model` and opens all of its generators: G, F or both.
    pub fn load(model: &str, options: &LoadOptions) -> Result<Self, LoadError> {
        Self::load_directions(model, options, &Direction::BOTH)
    }

    /// Finds `model` and opens its generator of `direction`; [`Pair::open`] opens the other. Fails if
    /// the model has no generator of that direction.
    pub fn load_direction(
        model: &str,
        options: &LoadOptions,
        direction: Direction,
    ) -> Result<Self, LoadError> {
        Self::load_directions(model, options, &[direction])
    }

    fn load_directions(
        model: &str,
        options: &LoadOptions,
        directions: &[Direction],
    ) -> Result<Self, LoadError> {
        let files = ModelFiles::locate(model)?;
        let load = Load { model, files: &files, options, directions };
        let targets = Target::candidates(options.provider, options.provider_options.device_id);
        match load.on_first(&targets) {
            Ok(pair) if options.provider.is_none() && pair.provider() == Provider::Cpu => {
                Ok(load.or_openvino(pair))
            }
            Err(error)
                if options.provider.is_some()
                    && options.allow_fallback
                    && error.may_be_the_providers() =>
            {
                let pair = load.on_first(&[Provider::Cpu.into()])?;
                pair.warn(Warning::Fallback(error));
                Ok(pair)
            }
            result => result,
        }
    }

    /// The same model, with the same directions open, on the next target that the user allows:
    /// another one of `auto`, or the CPU with `allow_fallback`. For a generator that opens and then
    /// fails with `error` on frames of the negotiated size, for example by running out of memory.
    ///
    /// Fails with `error` if the user allows no other target or none is left.
    ///
    /// ```
    /// use cyclegan_contract::{Direction, Size};
    /// use cyclegan_runtime::{Binding, LoadError, Pair};
    ///
    /// /// Tensors of `size` on the first target that runs the generator at this size.
    /// fn bind(mut pair: Pair, size: Size) -> Result<(Pair, Binding), LoadError> {
    ///     loop {
    ///         let generator = pair.open(Direction::AToB)?.clone();
    ///         let bound = Binding::new(generator, size).and_then(|mut binding| {
    ///             binding.run()?;
    ///             Ok(binding)
    ///         });
    ///         match bound {
    ///             Ok(binding) => return Ok((pair, binding)),
    ///             Err(error) => pair = pair.reopen(error)?,
    ///         }
    ///     }
    /// }
    /// ```
    pub fn reopen(&self, error: RunError) -> Result<Self, LoadError> {
        let open: Vec<_> =
            Direction::BOTH.into_iter().filter(|&d| self.generator(d).is_some()).collect();
        let LoadOptions { provider, allow_fallback, provider_options, .. } = &self.options;
        let id = provider_options.device_id;
        let targets = self.target.candidates_after(*provider, id, *allow_fallback);
        if targets.is_empty() {
            let generator = open.first().and_then(|&direction| self.generator(direction));
            let path = generator.map(|generator| generator.path().to_path_buf());
            return Err(LoadError::Run { path: path.unwrap_or_default(), source: error });
        }
        let (model, files, options) = (self.model.as_str(), &self.files, &self.options);
        let pair = Load { model, files, options, directions: &open }.on_first(&targets)?;
        pair.warn(Warning::Reopened { from: self.target, to: pair.target, error });
        Ok(pair)
    }

    /// The model, as the user named it.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The options it was loaded with.
    pub fn options(&self) -> &LoadOptions {
        &self.options
    }

    /// The provider that runs it.
    pub fn provider(&self) -> Provider {
        self.target.provider
    }

    /// The provider that runs it, with its device.
    pub fn target(&self) -> Target {
        self.target
    }

    /// The warnings since the last call. Each is returned once.
    pub fn take_warnings(&self) -> Vec<Warning> {
        std::mem::take(&mut *lock(&self.warnings))
    }

    /// The generator of one direction, if it is open.
    pub fn generator(&self, direction: Direction) -> Option<&Arc<Generator>> {
        self.place(direction).get()
    }

    /// The generator of one direction; opens it if necessary, which may take long: with TensorRT,
    /// minutes. Fails if the model has no generator of that direction.
    pub fn open(&self, direction: Direction) -> Result<&Arc<Generator>, LoadError> {
        if let Some(generator) = self.generator(direction) {
            return Ok(generator);
        }
        let mut warnings = Vec::new();
        let generator = open(&self.files, direction, self.target, &self.options, &mut warnings)?;
        let generator = generator.ok_or_else(|| self.missing(direction))?;
        let mut is_first = false;
        let opened = self.place(direction).get_or_init(|| {
            is_first = true;
            generator
        });
        if is_first {
            warnings.into_iter().for_each(|warning| self.warn(warning));
        }
        Ok(opened)
    }

    /// Whether the model has a generator of `direction`, open or not.
    pub fn has(&self, direction: Direction) -> bool {
        self.generator(direction).is_some() || self.files.has(direction)
    }

    /// Fails if the model lacks the generator of `direction`.
    pub fn require(&self, direction: Direction) -> Result<(), LoadError> {
        match self.has(direction) {
            true => Ok(()),
            false => Err(self.missing(direction)),
        }
    }

    fn missing(&self, direction: Direction) -> LoadError {
        LoadError::NoDirection { model: self.model.clone(), direction }
    }

    fn place(&self, direction: Direction) -> &OnceLock<Arc<Generator>> {
        match direction {
            Direction::AToB => &self.forward,
            Direction::BToA => &self.reverse,
        }
    }

    fn warn(&self, warning: Warning) {
        gst::warning!(CAT, "{warning}");
        lock(&self.warnings).push(warning);
    }
}

/// A model that is being loaded.
struct Load<'a> {
    model: &'a str,
    files: &'a ModelFiles,
    options: &'a LoadOptions,
    /// The directions to open. A missing generator is an error if it is the only one.
    directions: &'a [Direction],
}

impl Load<'_> {
    /// The pair on the first of `targets` that works.
    fn on_first(&self, targets: &[Target]) -> Result<Pair, LoadError> {
        let mut warnings = Vec::new();
        let open = |target, warnings: &mut Vec<Warning>| self.on(target, warnings);
        let pair = first_that_works(targets, &mut warnings, open, Warning::PassedOver)?;
        warnings.into_iter().for_each(|warning| pair.warn(warning));
        Ok(pair)
    }

    fn on(&self, target: Target, warnings: &mut Vec<Warning>) -> Result<Pair, LoadError> {
        let pair = Pair {
            model: self.model.to_owned(),
            files: self.files.clone(),
            options: self.options.clone(),
            target,
            forward: OnceLock::new(),
            reverse: OnceLock::new(),
            warnings: Mutex::default(),
        };
        for &direction in self.directions {
            match open(self.files, direction, target, self.options, warnings)? {
                Some(generator) => {
                    // The slot is empty, since the pair is new.
                    let _ = pair.place(direction).set(generator);
                }
                None if self.directions.len() == 1 => return Err(pair.missing(direction)),
                None => {}
            }
        }
        Ok(pair)
    }

    /// The pair on OpenVINO's CPU device if that is faster than `own`, on ONNX Runtime's CPU provider.
    fn or_openvino(&self, own: Pair) -> Pair {
        let target = Target::from(OpenVinoDevice::Cpu);
        if !matches!(target.provider.is_built_in(), Ok(true)) {
            return own;
        }
        let time = |pair: &Pair| {
            let generator = Direction::BOTH.into_iter().find_map(|d| pair.generator(d))?;
            let time = generator.quickest_run().ok()?;
            gst::info!(CAT, "{} takes {time:?} per image", pair.target);
            Some(time)
        };
        let warnings = own.take_warnings();
        let pair = faster(own, self.on_first(&[target]), time);
        warnings.into_iter().for_each(|warning| pair.warn(warning));
        pair
    }
}

/// The generator of `direction` in the first variant that works on `target`; `None` if the model has
/// no generator of that direction.
fn open(
    files: &ModelFiles,
    direction: Direction,
    target: Target,
    options: &LoadOptions,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Arc<Generator>>, LoadError> {
    let variants = variants(files, direction, target, options.precision)?;
    let generator = first_variant_that_works(&variants, warnings, |path| {
        shared::open(path, target, &options.provider_options)
    })?;
    if let Some(generator) = &generator {
        warnings.extend_from_slice(generator.warnings());
        let metadata = &generator.contract().metadata;
        if !metadata.unknown.is_empty() {
            let (path, keys) = (generator.path().to_path_buf(), metadata.unknown.clone());
            warnings.push(Warning::UnknownMetadata { path, keys });
        }
        let found = metadata.direction;
        if let (ModelFiles::Pair(_), Some(found)) = (files, found.filter(|&d| d != direction)) {
            let path = generator.path().to_path_buf();
            warnings.push(Warning::Direction { path, role: direction, found });
        }
    }
    Ok(generator)
}
