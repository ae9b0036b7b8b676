// SPDX-License-Identifier: MIT OR Apache-2.0

//! The commands of docs/another-pair.md on small data: one clip in a light and a dark version.

use std::{fs, path::Path};

use crate::common::{SMALL, gst_launch, has_plugin, program};

const RECIPE: &str = include_str!("../../../docs/another-pair.md");
/// Options that make the commands short.
const SHORT: [(&str, &[&str]); 4] = [
    ("extract", &["--size", "64"]),
    ("train", &["--max-iters", "150", "--lr", "0.002"]),
    // The pair is small, and so must be the budget.
    ("compress", &["--max-macs", "2.2e7", "--max-iters", "150", "--lr", "0.002"]),
    ("export", &["--calibration-images", "4"]),
];
const CAPS: &str = "video/x-raw,format=RGB,width=96,height=64";

/// Writes a clip whose frames all differ, with a brightness from −1 to 1.
fn clip(folder: &Path, name: &str, brightness: f64) {
    let pipeline = format!(
        "videotestsrc num-buffers=40 pattern=smpte75 horizontal-speed=5 ! \
         video/x-raw,format=I420,width=96,height=64 ! \
         videobalance brightness={brightness} contrast=0.6 ! \
         jpegenc quality=95 ! matroskamux ! filesink location={name}"
    );
    gst_launch(folder, &pipeline);
}

/// The command lines of the page that start with `first`, split into words.
fn commands(first: &str) -> Vec<Vec<&'static str>> {
    let code = RECIPE.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let lines = code.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.filter(|words| words.first() == Some(&first)).collect()
}

/// The output frames of a pipeline.
fn frames(folder: &Path, pipeline: &str) -> Vec<Vec<f64>> {
    gst_launch(folder, &format!("{pipeline} ! videoconvert ! {CAPS} ! filesink location=raw"));
    let bytes = fs::read(folder.join("raw")).unwrap();
    let values = |frame: &[u8]| frame.iter().map(|&v| f64::from(v)).collect();
    bytes.chunks_exact(96 * 64 * 3).map(values).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

#[test]
fn the_documented_commands_train_a_pair() {
    if !has_plugin() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    clip(folder, "day.mp4", 0.2);
    clip(folder, "night.mp4", -0.4);
    let steps = commands("cyclegan-train");
    assert_eq!(steps.len(), 6, "{steps:?}");
    for words in steps {
        let short = SHORT.iter().filter(|(command, _)| *command == words[1]);
        let short = short.flat_map(|(_, options)| options.iter());
        let small = if matches!(words[1], "train" | "compress") { SMALL } else { &[] };
        let mut command = program();
        command.args(&words[1..]).args(small).args(short).current_dir(folder);
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {stderr}");
    }

    let play = commands("gst-launch-1.0").remove(0)[1..].join(" ");
    let play = play.strip_suffix(" ! videoconvert ! autovideosink").unwrap();
    let decode = |name: &str| format!("filesrc location={name} ! decodebin");
    let [day, night] = ["day.mp4", "night.mp4"].map(|name| frames(folder, &decode(name)));
    let generated = frames(folder, play);
    assert_eq!((day.len(), generated.len()), (40, 40));
    let [day_mean, night_mean, generated_mean] =
        [&day, &night, &generated].map(|f| mean(&f.concat()));
    // An untrained pair would generate middle grey.
    let left = (generated_mean - night_mean) / (day_mean - night_mean);
    let said = format!("brightness {day_mean} and {night_mean}, generated {generated_mean}");
    assert!((127.0 - night_mean) / (day_mean - night_mean) > 0.6 && left.abs() < 0.4, "{said}");
    assert!(deviation(&generated[9]) > 0.3 * deviation(&night[9]), "the picture is lost");
}
