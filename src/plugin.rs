// SPDX-License-Identifier: MIT OR Apache-2.0

//! The plugin's entry point.

use std::path::Path;

use gst::glib;

use crate::cycleganfilter;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    if let Some(folder) = plugin.filename().as_deref().and_then(Path::parent) {
        cyclegan_runtime::set_plugin_folder(folder);
    }
    cycleganfilter::register(Some(plugin))
}

gst::plugin_define!(
    cyclegan,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    "MIT/X11",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    env!("CYCLEGAN_ORIGIN"),
    env!("BUILD_REL_DATE")
);
