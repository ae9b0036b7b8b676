// SPDX-License-Identifier: MIT OR Apache-2.0

//! Records commit and date of the build for `plugin_define!`.

fn main() {
    gst_plugin_version_helper::info();
}
