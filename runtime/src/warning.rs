// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is not as the user may expect, though the model was loaded.

use std::path::PathBuf;

use cyclegan_contract::{Direction, Precision};

use super::{
    error::{LoadError, RunError},
    target::Target,
};

/// A model was loaded, but not as the user may expect. Each message says what was found and what
/// happens instead.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Warning {
    /// The CPU runs what another provider was named for.
    #[error("The CPU steps in: {0}")]
    Fallback(LoadError),
    /// A provider fails that is built in and whose device this machine seems to have, and another
    /// one is used.
    #[error("Another provider than the best one is used: {0}")]
    PassedOver(LoadError),
    /// A variant of the pair fails, and the float32 one runs.
    #[error("{} is used, as the {precision} variant fails: {error}", path.display())]
    Precision {
        /// The file that runs.
        path: PathBuf,
        /// The precision of the variant that fails.
        precision: Precision,
        /// How it fails.
        error: LoadError,
    },
    /// The generator failed on frames of their own size, and another provider runs it.
    #[error("{to} steps in for {from}: {error}")]
    Reopened {
        /// What failed.
        from: Target,
        /// What runs now.
        to: Target,
        /// How it failed.
        error: RunError,
    },
    /// It is not known which processor runs the generator.
    #[error("{target} was opened for {}, but it is not verified that it runs there: {reason}", path.display())]
    NotVerified {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        target: Target,
        /// Why it is not known.
        reason: String,
    },
    /// Compiled engines cannot be kept, so each start compiles them again.
    #[error(
        "{target} compiles {} at each start, because no engine can be stored in {}: {reason}. Set \
         `cache-dir` to a folder that can be written",
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
    /// A file of a pair says that it is the other one.
    #[error(
        "{} stands for {role}, but its metadata `cyclegan.direction` is `{found}`, expected \
         `{role}`; rename the file, or export the pair again",
        path.display()
    )]
    Direction {
        /// The file.
        path: PathBuf,
        /// The direction that its name stands for.
        role: Direction,
        /// The direction that it says.
        found: Direction,
    },
}
