// SPDX-License-Identifier: MIT OR Apache-2.0

//! Running generators: finding a model's files, loading ONNX Runtime, and opening sessions on its
//! execution providers.

mod binding;
mod engines;
mod error;
mod heap;
mod library;
mod locate;
mod pair;
mod profile;
mod provider;
mod registration;
mod runtime;
mod session;
mod shared;
mod stamp;
mod target;
mod tensor;
mod threads;
mod try_targets;
mod vulkan;
mod warning;

pub use binding::{Binding, BindingOptions};
pub use error::{LoadError, RunError};
pub use pair::{LoadOptions, Pair};
pub use provider::{Provider, ProviderOptions};
pub use runtime::{RuntimeError, environment, set_plugin_folder};
pub use session::Generator;
pub use target::{OpenVinoDevice, Target};
pub use tensor::{Values, ValuesMut};
pub use threads::count as thread_count;
pub use warning::Warning;
