// SPDX-License-Identifier: MIT OR Apache-2.0

//! Records commit and date of the build for `plugin_define!`.

fn main() {
    // The publisher of a build names its origin as `repository` in Cargo.toml. GStreamer's own
    // builds have this text where nothing is known.
    let repository = std::env::var("CARGO_PKG_REPOSITORY").unwrap_or_default();
    let origin = if repository.is_empty() { "Unknown package origin" } else { &repository };
    println!("cargo:rustc-env=CYCLEGAN_ORIGIN={origin}");
    gst_plugin_version_helper::info();
}
