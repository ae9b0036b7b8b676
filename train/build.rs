// SPDX-License-Identifier: MIT OR Apache-2.0

//! Lets the binary find the libtorch that it was linked with, with no `LD_LIBRARY_PATH`.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if let Ok(libtorch) = std::env::var("LIBTORCH") {
        println!("cargo:rustc-link-arg=-Wl,-rpath={libtorch}/lib");
    }
}
