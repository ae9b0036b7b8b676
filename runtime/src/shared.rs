// SPDX-License-Identifier: MIT OR Apache-2.0

//! One session for all filters of a process that run the same model in the same way.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
    time::SystemTime,
};

use cyclegan_contract::{ContractError, Precision};

use super::{
    error::LoadError,
    provider::{Provider, ProviderOptions},
    session::Generator,
};

/// What has to be the same for a session to be shared: the file, unchanged since, and the way it
/// is run.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    path: PathBuf,
    modified: SystemTime,
    length: u64,
    provider: Provider,
    precision: Precision,
    options: ProviderOptions,
}

impl Key {
    fn new(
        path: &Path,
        provider: Provider,
        precision: Precision,
        options: &ProviderOptions,
    ) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            path: path.canonicalize()?,
            modified: metadata.modified()?,
            length: metadata.len(),
            provider,
            precision,
            options: options.clone(),
        })
    }
}

/// The generators that some filter holds.
static GENERATORS: LazyLock<Mutex<HashMap<Key, Weak<Generator>>>> = LazyLock::new(Mutex::default);

/// The generator at `path`, which is loaded if no filter of the process holds it yet.
pub fn open(
    path: &Path,
    provider: Provider,
    precision: Precision,
    options: &ProviderOptions,
) -> Result<Arc<Generator>, LoadError> {
    let unreadable = |error| LoadError::Contract {
        path: path.to_path_buf(),
        source: ContractError::Unreadable(error),
    };
    let key = Key::new(path, provider, precision, options).map_err(unreadable)?;
    // Held while loading, so that filters that start together load once.
    let mut generators = GENERATORS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(generator) = generators.get(&key).and_then(Weak::upgrade) {
        return Ok(generator);
    }
    generators.retain(|_, generator| generator.strong_count() > 0);
    let generator = Arc::new(Generator::open(path, provider, precision, options)?);
    generators.insert(key, Arc::downgrade(&generator));
    Ok(generator)
}
