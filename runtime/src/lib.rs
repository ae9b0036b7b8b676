// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs generators: finds a model's files, loads ONNX Runtime, and opens sessions on its execution
//! providers.
//!
//! ```no_run
//! use cyclegan_contract::{Direction, Size};
//! use cyclegan_runtime::{Binding, LoadOptions, Pair, ProviderOptions, ValuesMut};
//!
//! let options = LoadOptions {
//!     provider: None, // the first one that works
//!     allow_fallback: false,
//!     precision: None, // the best one for the provider
//!     provider_options: ProviderOptions { device_id: 0, threads: 0, cache_dir: "cache".into() },
//! };
//! let pair = Pair::load("horse2zebra", &options)?;
//! println!("{} runs on {}", pair.model(), pair.provider());
//!
//! let generator = pair.open(Direction::AToB)?.clone();
//! let mut binding = Binding::new(generator, Size { width: 256, height: 256 })?;
//! if let ValuesMut::F32(input) = binding.input_mut()? {
//!     input.fill(0.5); // 1×3×256×256
//! }
//! binding.run()?;
//! let (_, output) = binding.input_and_output()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod availability;
mod binding;
mod engines;
mod error;
mod exit;
mod heap;
mod interrupt;
mod library;
mod locate;
mod lock;
mod message;
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
mod turns;
mod vulkan;
mod warning;

pub use binding::{Binding, BindingOptions};
pub use error::{LoadError, RunError, RuntimeError};
pub use interrupt::Interrupt;
pub use locate::search_path;
pub use pair::{LoadOptions, Pair};
pub use provider::{Provider, ProviderOptions};
pub use runtime::{environment, set_plugin_folder};
pub use session::Generator;
pub use target::{OpenVinoDevice, Target};
pub use tensor::{Values, ValuesMut};
pub use threads::count as thread_count;
pub use warning::Warning;
