// SPDX-License-Identifier: MIT OR Apache-2.0

//! Warnings about a loaded model.

use std::path::PathBuf;

use cyclegan_contract::{Direction, Precision};

use super::{
    error::{LoadError, RunError},
    target::Target,
};

/// A model was loaded, but not as the user may expect. Each message says what was found and what
/// is done instead.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Warning {
    /// The CPU runs the generator instead of the named provider.
    #[error("The CPU is used instead: {0}")]
    Fallback(LoadError),
    /// A better provider fails although it is built in and this machine seems to have its device.
    #[error("The best provider cannot be used: {0}")]
    PassedOver(LoadError),
    /// A variant of the pair fails, and the float32 file runs.
    #[error("{} is used, because the {precision} variant fails: {error}", path.display())]
    Precision {
        /// The file that runs.
        path: PathBuf,
        /// The precision of the variant that fails.
        precision: Precision,
        /// The error.
        error: LoadError,
    },
    /// The generator failed at the negotiated size, and another provider runs it.
    #[error("{to} is used instead of {from}: {error}")]
    Reopened {
        /// The target that failed.
        from: Target,
        /// The target that runs it now.
        to: Target,
        /// The error.
        error: RunError,
    },
    /// It is not known which provider runs the generator.
    #[error("{target} was opened for {}, but it is unknown whether it runs it: {reason}", path.display())]
    NotVerified {
        /// The file.
        path: PathBuf,
        /// The requested target.
        target: Target,
        /// Why it is unknown.
        reason: String,
    },
    /// Compiled engines cannot be kept, so each start compiles them again.
    #[error(
        "{target} compiles {} at each start, because it cannot store engines in {}: {reason}. Set \
         `cache-dir` to a writable folder",
        path.display(),
        folder.display()
    )]
    NoCache {
        /// The file.
        path: PathBuf,
        /// The provider.
        target: Target,
        /// The folder.
        folder: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The metadata has keys that the contract does not know, so their values are not used.
    #[error(
        "{}: metadata `{}` is unknown and ignored; if it is a misspelt key, correct it",
        path.display(),
        keys.join("`, `")
    )]
    UnknownMetadata {
        /// The file.
        path: PathBuf,
        /// The keys.
        keys: Vec<String>,
    },
    /// The metadata of a pair's file name the other direction.
    #[error(
        "{} is named as the {role} generator, but its metadata `cyclegan.direction` is `{found}`, expected \
         `{role}`; rename the file, or export the pair again",
        path.display()
    )]
    Direction {
        /// The file.
        path: PathBuf,
        /// The direction of its name.
        role: Direction,
        /// The direction in its metadata.
        found: Direction,
    },
}
