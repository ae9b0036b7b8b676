// SPDX-License-Identifier: MIT OR Apache-2.0

//! Generators: finding a model's files, ONNX Runtime, its execution providers, and running.

mod binding;
mod engines;
mod error;
mod locate;
mod pair;
mod profile;
mod provider;
mod runtime;
mod session;
mod shared;
mod vulkan;

pub use binding::{Binding, Values, ValuesMut};
pub use error::{LoadError, RunError};
pub use pair::{LoadOptions, Pair};
pub use provider::{Provider, ProviderOptions};
pub use runtime::{RuntimeError, environment, set_plugin_folder};
pub use session::Generator;
