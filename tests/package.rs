// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command that the Debian package of the trainer installs, with a stand-in for the trainer.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

/// A folder with an installed package without libtorch.
struct Installed(TempDir);

impl Installed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("share/cyclegan")).unwrap();
        fs::create_dir_all(at("lib/cyclegan")).unwrap();
        let requirements = root.join("requirements/libtorch.txt");
        fs::copy(requirements, at("share/cyclegan/libtorch.txt")).unwrap();
        let trainer = at("lib/cyclegan/cyclegan-train");
        fs::write(&trainer, "#!/bin/sh\necho \"$LD_LIBRARY_PATH|$*\"\n").unwrap();
        fs::set_permissions(&trainer, fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    fn add_libtorch(&self, folder: &str) {
        let lib = self.0.path().join(folder).join("lib");
        fs::create_dir_all(&lib).unwrap();
        fs::write(lib.join("libtorch_cpu.so"), "").unwrap();
    }

    /// The version of libtorch that the package needs.
    fn version(&self) -> String {
        let requirements = fs::read_to_string(self.0.path().join("share/cyclegan/libtorch.txt"));
        let requirements = requirements.unwrap();
        let rest = requirements.split_once("torch==").unwrap().1;
        rest.split_whitespace().next().unwrap().to_owned()
    }

    fn run(&self, libtorch: Option<&str>) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("build-aux/cyclegan-train.sh");
        let mut command = Command::new(script);
        command
            .env("CYCLEGAN_TRAIN_PREFIX", self.0.path())
            .env("XDG_CACHE_HOME", self.0.path().join("cache"))
            .env_remove("LD_LIBRARY_PATH")
            .env_remove("LIBTORCH")
            .env_remove("ORT_DYLIB_PATH")
            .args(["train", "a folder"]);
        if let Some(libtorch) = libtorch {
            command.env("LIBTORCH", self.0.path().join(libtorch));
        }
        command.output().unwrap()
    }
}

#[test]
fn without_libtorch_the_error_says_how_to_get_it() {
    let output = Installed::new().run(None);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    for part in ["libtorch-2.", "--fetch-libtorch", "LIBTORCH", "520 MB"] {
        assert!(error.contains(part), "no `{part}` in {error}");
    }
}

#[test]
fn the_trainer_uses_a_fetched_libtorch_or_that_of_the_variable() {
    let installed = Installed::new();
    let fetched = format!("cache/cycleganfilter/libtorch-{}/torch", installed.version());
    for (folder, variable) in [(fetched.as_str(), None), ("own", Some("own"))] {
        installed.add_libtorch(folder);
        let output = installed.run(variable);
        let said = String::from_utf8_lossy(&output.stdout);
        let lib = installed.0.path().join(folder).join("lib");
        assert_eq!(said, format!("{}|train a folder\n", lib.display()));
    }
}

#[test]
fn the_trainer_uses_the_onnx_runtime_of_the_filter() {
    let installed = Installed::new();
    installed.add_libtorch("own");
    let folder = installed.0.path().join("lib/x86_64-linux-gnu/cyclegan");
    fs::create_dir_all(&folder).unwrap();
    let runtime = folder.join("libonnxruntime.so.1.32.0");
    fs::write(&runtime, "").unwrap();
    // In place of the program, prints the variable.
    let program = installed.0.path().join("lib/cyclegan/cyclegan-train");
    fs::write(&program, "#!/bin/sh\nprintf %s \"$ORT_DYLIB_PATH\"\n").unwrap();
    let output = installed.run(Some("own"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), runtime.to_string_lossy());
}
