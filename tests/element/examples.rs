// SPDX-License-Identifier: MIT OR Apache-2.0

//! The shell scripts of `examples/`, with sources and sinks that stand in for camera and display.

use std::{
    net::UdpSocket,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{
    generators::{self, Models},
    rig,
    runtime::our_library,
};

const SOURCE: &str = "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=25/1";

/// A script as a shell finds it after `eval "$(./dev env)"`, its default model an identity.
struct Example {
    command: Command,
    _models: Models,
}

impl Example {
    fn new(script: &str) -> Self {
        rig::init();
        let models = Models::new();
        models.add("horse2zebra/G.onnx", &generators::identity());
        let plugins = models.folder().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        std::os::unix::fs::symlink(our_library(), plugins.join("libgstcyclegan.so")).unwrap();
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let mut command = Command::new(examples.join(script));
        command
            .env("CYCLEGAN_MODEL_PATH", models.folder())
            .env("GST_PLUGIN_PATH", plugins)
            .env("GST_REGISTRY_1_0", models.folder().join("registry.bin"))
            .env("SOURCE", SOURCE)
            .stderr(Stdio::piped())
            .stdout(Stdio::piped());
        Self { command, _models: models }
    }

    fn env(mut self, key: &str, value: &str) -> Self {
        self.command.env(key, value);
        self
    }

    /// Runs to the end of the stream.
    fn assert_ends(mut self) {
        let output = self.command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("Got EOS"), "{said}{errors}");
    }
}

/// A process that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn side_by_side_plays() {
    let source = format!("{SOURCE} ! identity eos-after=10");
    Example::new("side-by-side.sh").env("SOURCE", &source).env("SINK", "fakesink").assert_ends();
}

#[test]
fn what_is_sent_over_rtp_is_received() {
    // A port that is free now; nobody else is likely to take it meanwhile.
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut sender = Example::new("rtp-send.sh").env("PORT", &port);
    sender.command.stdout(Stdio::null()).stderr(Stdio::null());
    let _running = Running(sender.command.spawn().unwrap());
    let receiver = Example::new("rtp-receive.sh").env("PORT", &port);
    receiver.env("SINK", "fakesink num-buffers=5").assert_ends();
}
