// SPDX-License-Identifier: MIT OR Apache-2.0

//! A tiny data set and the program, for tests of the command line.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use cyclegan_test_support::plugin::file_name;
use cyclegan_train::data::{
    folder::Domain,
    sampler::Plan,
    view::{Preprocess, Sizes},
};
use image::{GrayImage, Luma, Rgb, RgbImage};

pub use cyclegan_test_support::skip::say_skipped;

/// The program under test, on one thread.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cyclegan-train"));
    command.env("OMP_NUM_THREADS", "1");
    command
}

/// Runs the program and returns its output; fails the test if the program fails.
pub fn run(arguments: &[&str]) -> Output {
    let output = program().args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    output
}

/// Runs the program, which must end with exit code 1 and one error line; standard error must contain each of
/// `parts`. Returns standard error.
pub fn fails(arguments: &[&str], parts: &[&str]) -> String {
    let output = program().args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
    let errors = stderr.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(errors, 1, "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "no `{part}` in: {stderr}");
    }
    stderr
}

/// The plugin in `GST_PLUGIN_PATH`, or the one from the same build.
fn plugin() -> Option<PathBuf> {
    let built = Path::new(env!("CARGO_BIN_EXE_cyclegan-train")).parent()?;
    let folders = std::env::var_os("GST_PLUGIN_PATH").unwrap_or_default();
    // cargo puts it into the first folder for a build and into the second for the filter's tests.
    let folders = std::env::split_paths(&folders).chain([built.to_owned(), built.join("deps")]);
    folders.map(|folder| folder.join(file_name())).find(|file| file.is_file())
}

/// Whether the plugin is found; reports the test as skipped otherwise.
pub fn has_plugin() -> bool {
    let there = plugin().is_some();
    if !there {
        let name = file_name();
        say_skipped(&format!("SKIP: no {name} beside this build nor in GST_PLUGIN_PATH"));
    }
    there
}

/// Runs a pipeline in a folder to its end, with the plugin; fails the test on an error.
pub fn gst_launch(folder: &Path, pipeline: &str) {
    // The plugin is linked into an empty folder, because GStreamer would load all libraries of the build as plugins.
    let alone = folder.join("plugin");
    if let (Some(plugin), false) = (plugin(), alone.is_dir()) {
        fs::create_dir(&alone).unwrap();
        fs::copy(plugin, alone.join(file_name())).unwrap();
    }
    let output = Command::new("gst-launch-1.0")
        .arg("-q")
        .args(pipeline.split_whitespace())
        .current_dir(folder)
        .env("GST_PLUGIN_PATH", &alone)
        .env("GST_REGISTRY", folder.join("registry"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{pipeline}: {stderr}");
}

/// A folder with three images of each domain in `data`.
pub struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        data_set(&folder.path().join("data"), 3);
        Self { folder }
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
}

/// Writes `trainA` (a warm disc) and `trainB` (a striped cold one), with masks.
pub fn data_set(folder: &Path, images: u32) {
    for (domain, striped) in [("trainA", false), ("trainB", true)] {
        let masks = format!("{domain}_mask");
        for name in [domain, masks.as_str()] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        for i in 0..images {
            let (picture, mask) = disc(i, striped);
            picture.save(folder.join(domain).join(format!("{i:03}.png"))).unwrap();
            mask.save(folder.join(&masks).join(format!("{i:03}.png"))).unwrap();
        }
    }
}

fn disc(i: u32, striped: bool) -> (RgbImage, GrayImage) {
    let inside = |x: u32, y: u32| {
        let (dx, dy) = (x as i32 - 20 - i as i32, y as i32 - 24);
        dx * dx + dy * dy < 150
    };
    let picture = RgbImage::from_fn(48, 48, |x, y| match (inside(x, y), striped) {
        (true, false) => Rgb([200, 120, 40]),
        (true, true) => Rgb([if x % 6 < 3 { 30 } else { 220 }; 3]),
        _ => Rgb([60, 150 + (y as u8), 70]),
    });
    let mask = GrayImage::from_fn(48, 48, |x, y| Luma([if inside(x, y) { 255 } else { 0 }]));
    (picture, mask)
}

/// Options that make a run small enough for a test.
pub const SMALL: &[&str] = &[
    "--device",
    "cpu",
    "--threads",
    "1",
    "--ngf",
    "4",
    "--width",
    "8",
    "--blocks",
    "1",
    "--ndf",
    "4",
    "--n-layers-d",
    "1",
    "--net-d",
    "n_layers",
    "--load-size",
    "40",
    "--crop-size",
    "32",
    "--print-freq",
    "5",
    "--display-freq",
    "1000",
    "--pool-size",
    "4",
];

/// Three crops of 32 pixels per iteration, without any augmentation but mirroring.
pub fn plan(domains: [Domain; 2], paired: bool) -> Plan {
    Plan {
        domains,
        paired,
        preprocess: Preprocess::MultiScaleCrop,
        sizes: Sizes { load: 50, load_min: 36, crop: 32, multiple: 4 },
        flip: true,
        min_foreground: 0.0,
        jitter: Default::default(),
        need_mask: false,
        negatives: Vec::new(),
        extra: [vec![], vec![]],
        extra_share: 1.0,
        negative_share: 1.0,
        letterbox: 0.0,
        mosaic: 0.0,
        paste: 0.0,
        batch: 3,
        own: 0..3,
        seed: 4,
        strict: true,
    }
}
