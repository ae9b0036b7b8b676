// SPDX-License-Identifier: MIT OR Apache-2.0

//! The plugin's library.

use std::{
    env::{
        self,
        consts::{DLL_PREFIX, DLL_SUFFIX},
    },
    path::PathBuf,
};

/// The library's file name: `libgstcyclegan.so` on Linux.
pub fn file_name() -> String {
    format!("{DLL_PREFIX}gstcyclegan{DLL_SUFFIX}")
}

/// The library that cargo built beside the running test.
pub fn beside_test() -> PathBuf {
    env::current_exe().unwrap().with_file_name(file_name())
}
