// SPDX-License-Identifier: MIT OR Apache-2.0

//! The model contract: what an ONNX generator of `cycleganfilter` looks like.
//!
//! ```
//! use cyclegan_contract::{Direction, Generator, Precision, file_name};
//!
//! # std::env::set_current_dir("../models")?;
//! let name = file_name(Direction::AToB, Precision::Fp32); // G.onnx
//! let generator = Generator::read(&std::path::Path::new("horse2zebra").join(name))?;
//! assert_eq!(generator.metadata.domain_b.as_deref(), Some("zebra"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A generator has one image input and one image output, both N×3×H×W in RGB, float32 or float16,
//! and optionally a second output `mask`, N×1×H×W in [0, 1]. Everything else is in
//! `metadata_props` under keys that start with `cyclegan.`, see [`Metadata`]; a model without them
//! is valid and gets the defaults.
//!
//! The crate handles files only and needs no inference runtime: the trainer writes models with
//! [`onnx`] and [`Metadata`], the filter checks a file with [`Generator::read`] before loading it.

mod declared;
mod error;
mod external_data;
mod file_kind;
mod generator;
mod metadata;
pub mod onnx;
mod outline;
mod pair;
mod size;

pub use declared::{Dim, ElementType};
pub use error::ContractError;
pub use generator::{Generator, decode};
pub use metadata::{FORMAT_VERSION, Metadata, MetadataError, ValueRange, size_hint};
pub use pair::{Direction, Precision, file_name};
pub use size::{Size, TensorLimits};
