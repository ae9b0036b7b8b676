// SPDX-License-Identifier: MIT OR Apache-2.0

//! Generated clips, a generator that outputs negatives, and the program.

pub mod ffmpeg;
pub mod lacing;
pub mod media;

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use cyclegan_test_support::plugin;
pub use cyclegan_test_support::{generators, skip};
use tempfile::TempDir;

/// Small, since the plugin is not optimised in tests.
const SMALL: &str = "inference-size=64";
/// A filter that changes nothing, so that the program alone is measured.
const UNCHANGED: &str = "strength=0 inference-size=64";

/// A folder for a test: inputs in `in`, outputs in `out`.
pub struct Place {
    folder: TempDir,
    filter: &'static str,
}

impl Place {
    /// With a generator that outputs negatives.
    pub fn new() -> Self {
        Self::with_filter(SMALL)
    }

    /// With a filter that changes nothing.
    pub fn unchanged() -> Self {
        Self::with_filter(UNCHANGED)
    }

    /// The same for files that ffmpeg makes; prints a `SKIP:` line if ffmpeg is not installed.
    pub fn of_ffmpeg(test: &str) -> Option<Self> {
        ffmpeg::is_installed("ffmpeg", test).then(Self::unchanged)
    }

    fn with_filter(filter: &'static str) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), filter };
        fs::create_dir(place.path("in")).unwrap();
        place.generator(&generators::invert());
        place
    }

    /// Uses another generator.
    pub fn generator(&self, model: &cyclegan_contract::onnx::ModelProto) {
        use cyclegan_contract::onnx::Message;
        fs::write(self.path("model.onnx"), model.encode_to_vec()).unwrap();
    }

    /// A path in the folder.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The input of this name.
    pub fn input(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path("in").join(name)
    }

    /// The output of this name.
    pub fn out(&self, name: &str) -> PathBuf {
        self.path("out").join(name)
    }

    /// The finished segments that wait to be joined.
    pub fn segments(&self) -> Vec<PathBuf> {
        let walk = walkdir::WalkDir::new(self.out(".cyclegan-batch")).into_iter().flatten();
        let files = walk.map(walkdir::DirEntry::into_path);
        files.filter(|path| path.extension().is_some_and(|e| e == "ts" || e == "mkv")).collect()
    }

    /// The program with the generator and the output folder.
    pub fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cyclegan-batch"));
        command.current_dir(self.folder.path()).args(["--model", "model.onnx", "--out", "out"]);
        command.args(["--filter", self.filter]);
        // The tests ignore a scheduler that they run under.
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("SLURM_") || name == "JOB_COMPLETION_INDEX" {
                command.env_remove(name);
            }
        }
        load_plugin(&mut command);
        command.stdin(Stdio::null());
        command
    }

    /// Runs the program; fails the test if it fails.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        let output = self.program().args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}{said}", String::from_utf8_lossy(&output.stdout));
        text(&output)
    }

    /// The output of the program, which may fail.
    pub fn said<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        text(&self.program().args(arguments).output().unwrap())
    }

    /// Writes `chapters.txt` for ffmpeg: the start and end of each chapter in ms, and its title. `tags` are lines.
    pub fn chapters_file(&self, tags: &str, chapters: &[(u32, u32, &str)]) {
        let chapter = |(start, end, title): &(u32, u32, &str)| {
            format!("[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={end}\ntitle={title}\n")
        };
        let chapters: String = chapters.iter().map(chapter).collect();
        fs::write(self.path("chapters.txt"), format!(";FFMETADATA1\n{tags}{chapters}")).unwrap();
    }
}

/// Changes the bytes of a file.
pub fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// The offset of the first `part` of `bytes`.
pub fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).unwrap()
}

pub fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Overwrites `count` bytes in the middle of a file.
pub fn damage(path: &Path, count: usize) {
    edit(path, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle..middle + count].fill(0xA5);
    });
}

/// The output of a program. Fails the test if it used GStreamer wrongly.
pub fn text(output: &Output) -> String {
    let text =
        [output.stdout.as_slice(), output.stderr.as_slice()].map(String::from_utf8_lossy).concat();
    assert!(!text.contains("CRITICAL **"), "{text}");
    text
}

/// Makes `command` find the plugin that was built with the tests, and reuse GStreamer's registry.
pub fn load_plugin(command: &mut Command) {
    let plugins = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins");
    let library = plugin::beside_test();
    fs::create_dir_all(&plugins).unwrap();
    let link = plugins.join(plugin::file_name());
    if fs::read_link(&link).ok().as_ref() != Some(&library) {
        let beside = plugins.join(format!(".{}", std::process::id()));
        symlink(&library, &beside).unwrap();
        fs::rename(&beside, &link).unwrap();
    }
    command
        .env("GST_PLUGIN_PATH", &plugins)
        .env("GST_REGISTRY_1_0", Path::new(env!("CARGO_TARGET_TMPDIR")).join("batch-registry.bin"));
}
