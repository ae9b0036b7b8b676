// SPDX-License-Identifier: MIT OR Apache-2.0

//! `examples/virtual-camera.sh`.

use crate::{examples::Example, rig};

#[test]
fn virtual_camera_errors_say_what_is_missing() {
    rig::init();
    let folder = tempfile::tempdir().unwrap();
    let has_sink = gst::ElementFactory::find("pipewiresink").is_some();
    let pipewire = if has_sink { "PipeWire does not run here" } else { "gstreamer1.0-pipewire" };
    for (arguments, expected) in [
        (&["--pipewire"][..], pipewire),
        (&["--v4l2", "/dev/no-such-device"], "/dev/no-such-device is not there"),
        (&["--loud"], "no option --loud"),
        (&["no-such-file.mp4"], "no file no-such-file.mp4"),
        (&["/dev/null", "in.mp4"], "one INPUT at most"),
    ] {
        let mut script = Example::script("virtual-camera.sh").args(arguments);
        // There is no PipeWire socket.
        script.command.env("PIPEWIRE_RUNTIME_DIR", folder.path()).env_remove("PIPEWIRE_REMOTE");
        let output = script.command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{arguments:?}: {said}");
    }
    let help = Example::script("virtual-camera.sh").args(&["--help"]).said();
    assert!(help.contains("--pipewire") && help.contains("--v4l2"), "{help}");
}
