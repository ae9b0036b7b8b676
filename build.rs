// SPDX-License-Identifier: MIT OR Apache-2.0

//! Records the commit and date of the build for `plugin_define!`.

fn main() {
    // The origin is `repository` in Cargo.toml. GStreamer's own builds have this text if it is
    // unknown.
    let repository = std::env::var("CARGO_PKG_REPOSITORY").unwrap_or_default();
    let origin = if repository.is_empty() { "Unknown package origin" } else { &repository };
    println!("cargo:rustc-env=CYCLEGAN_ORIGIN={origin}");
    gst_plugin_version_helper::info();
}
