// SPDX-License-Identifier: MIT OR Apache-2.0

//! Any bytes as a model file give a checked generator or an error with a message.

#![no_main]

use std::path::Path;

use cyclegan_contract::{Dim, Generator, Metadata};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match Generator::check(bytes, Path::new("/nowhere")) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(generator) => {
            for side in [generator.width, generator.height] {
                assert!(matches!(side, Dim::Dynamic | Dim::Fixed(1..=8192)), "{side:?}");
            }
            let metadata = &generator.metadata;
            assert!(metadata.multiple_of >= 1);
            assert_eq!(Metadata::from_props(&metadata.to_props()).as_ref(), Ok(metadata));
        }
    }
});
