// SPDX-License-Identifier: MIT OR Apache-2.0

//! Lets the binary find the libtorch that it was linked with, with no `LD_LIBRARY_PATH`. A package, which is installed
//! on other machines, is built with `CYCLEGAN_RPATH=none`.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-env-changed=CYCLEGAN_RPATH");
    let has_rpath = std::env::var("CYCLEGAN_RPATH").as_deref() != Ok("none");
    if has_rpath && let Ok(libtorch) = std::env::var("LIBTORCH") {
        println!("cargo:rustc-link-arg=-Wl,-rpath={libtorch}/lib");
    }
}
