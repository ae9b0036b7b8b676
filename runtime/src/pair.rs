// SPDX-License-Identifier: MIT OR Apache-2.0

//! A model as a user names it: the generators of both directions, on one provider.

use std::{path::PathBuf, sync::Arc};

use cyclegan_contract::{Direction, Precision};

use super::{
    error::LoadError,
    locate::ModelFiles,
    provider::{Provider, ProviderOptions},
    runtime::CAT,
    session::Generator,
    shared,
};

/// How a model is to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// The provider, or `None` for the first of [`Provider::AUTO`] that works.
    pub provider: Option<Provider>,
    /// Whether the CPU may step in for a provider that was named.
    pub allow_fallback: bool,
    /// The variant of a pair, or `None` for the one that suits the provider.
    pub precision: Option<Precision>,
    /// What the provider is opened with.
    pub provider_options: ProviderOptions,
}

/// The generators of a model, loaded.
pub struct Pair {
    model: String,
    options: LoadOptions,
    provider: Provider,
    forward: Option<Arc<Generator>>,
    reverse: Option<Arc<Generator>>,
    fallback: Option<LoadError>,
}

impl Pair {
    /// Finds and loads `model`: G, F or both.
    pub fn load(model: &str, options: &LoadOptions) -> Result<Self, LoadError> {
        let files = ModelFiles::locate(model)?;
        let open = |provider| Self::open(model, &files, provider, options);
        match options.provider {
            None => first_that_works(open),
            Some(provider) => match open(provider) {
                Err(error) if options.allow_fallback && error.may_be_the_providers() => {
                    Ok(Self { fallback: Some(error), ..open(Provider::Cpu)? })
                }
                result => result,
            },
        }
    }

    /// The model, as the user named it.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// How it was loaded.
    pub fn options(&self) -> &LoadOptions {
        &self.options
    }

    /// The provider that runs it.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// Why the provider that was named does not run it, if the CPU stepped in.
    pub fn fallback(&self) -> Option<&LoadError> {
        self.fallback.as_ref()
    }

    /// The generator of one direction, if the model has it.
    pub fn generator(&self, direction: Direction) -> Option<&Arc<Generator>> {
        match direction {
            Direction::AToB => self.forward.as_ref(),
            Direction::BToA => self.reverse.as_ref(),
        }
    }

    /// Fails if the model lacks the generator of `direction`.
    pub fn require(&self, direction: Direction) -> Result<(), LoadError> {
        let model = || self.model.clone();
        let missing = || LoadError::NoDirection { model: model(), direction };
        self.generator(direction).map(|_| ()).ok_or_else(missing)
    }

    fn open(
        model: &str,
        files: &ModelFiles,
        provider: Provider,
        options: &LoadOptions,
    ) -> Result<Self, LoadError> {
        let open = |direction| -> Result<_, LoadError> {
            let Some((path, precision)) = choose(files, direction, provider, options)? else {
                return Ok(None);
            };
            shared::open(&path, provider, precision, &options.provider_options).map(Some)
        };
        Ok(Self {
            model: model.to_owned(),
            options: options.clone(),
            provider,
            forward: open(Direction::AToB)?,
            reverse: open(Direction::BToA)?,
            fallback: None,
        })
    }
}

/// The file of `direction` that suits the options, or `None` if the model lacks that direction.
fn choose(
    files: &ModelFiles,
    direction: Direction,
    provider: Provider,
    options: &LoadOptions,
) -> Result<Option<(PathBuf, Precision)>, LoadError> {
    let file = |precision| files.file(direction, precision).map(|path| (path, precision));
    match (options.precision, files) {
        (None, _) => Ok(file(provider.preferred_precision()).or_else(|| file(Precision::Fp32))),
        (Some(precision), ModelFiles::Pair(folder)) => {
            let is_missing = file(precision).is_none() && file(Precision::Fp32).is_some();
            if is_missing {
                return Err(LoadError::NoVariant { folder: folder.clone(), direction, precision });
            }
            Ok(file(precision))
        }
        (Some(precision), ModelFiles::Single(_)) => Ok(file(precision)),
    }
}

fn first_that_works<T>(open: impl Fn(Provider) -> Result<T, LoadError>) -> Result<T, LoadError> {
    for provider in Provider::AUTO {
        match open(provider) {
            Err(error) if provider != Provider::Cpu && error.may_be_the_providers() => {
                gst::info!(CAT, "auto passes over {provider}: {error}");
            }
            result => return result,
        }
    }
    // The CPU stands last in the list, and its result is returned whatever it is.
    open(Provider::Cpu)
}

#[cfg(test)]
mod tests {
    use cyclegan_contract::ContractError;

    use super::*;

    fn provider(provider: Provider) -> LoadError {
        LoadError::Provider { provider, reason: "no device".into() }
    }

    fn session() -> LoadError {
        LoadError::Session { path: "G.onnx".into(), reason: "out of memory".into() }
    }

    #[test]
    fn auto_passes_over_what_cannot_run_the_model() {
        let opened = first_that_works(|p| match p {
            Provider::Cuda => Err(provider(p)),
            Provider::MiGraphX => Err(session()),
            _ => Ok(p),
        });
        assert_eq!(opened.unwrap(), Provider::DirectMl);
    }

    #[test]
    fn where_nothing_can_the_cpu_says_why() {
        let failed = first_that_works(|p| match p {
            Provider::Cpu => Err::<(), _>(session()),
            _ => Err(provider(p)),
        });
        assert!(matches!(failed, Err(LoadError::Session { .. })));
    }

    #[test]
    fn auto_does_not_try_a_bad_file_again_and_again() {
        let mut tried = std::cell::RefCell::new(Vec::new());
        let failed = first_that_works(|p| {
            tried.borrow_mut().push(p);
            let source = ContractError::Unreadable(std::io::ErrorKind::NotFound.into());
            Err::<(), _>(LoadError::Contract { path: "G.onnx".into(), source })
        });
        assert!(matches!(failed, Err(LoadError::Contract { .. })));
        assert_eq!(*tried.get_mut(), [Provider::Cuda]);
    }
}
