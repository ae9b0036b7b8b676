// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files written and read by ffmpeg, as other programs write and read them.

use std::{
    env,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use super::skip::say_skipped;

/// Three seconds of moving bars, 75 frames of 160×120.
pub const BARS: &str = "-f lavfi -i testsrc2=size=160x120:rate=25:d=3";
/// Three seconds of a tone.
pub const TONE: &str = "-f lavfi -i sine=440:d=3";
/// The same, of another pitch.
pub const OTHER_TONE: &str = "-f lavfi -i sine=880:d=3";
/// H.264 as in most files.
pub const H264: &str = "-c:v libx264 -preset ultrafast -bf 2 -pix_fmt yuv420p";
/// Three seconds of six channels, the low one with another pitch.
pub const SURROUND: &str = "-f lavfi -i aevalsrc=0.5*sin(300*2*PI*t)|0.5*sin(400*2*PI*t)|0.5*sin(500*2*PI*t)|0.5*sin(60*2*PI*t)|0.5*sin(600*2*PI*t)|0.5*sin(700*2*PI*t):d=3:s=48000:c=5.1(side)";

/// Whether `program` is installed; prints a `SKIP:` line if it is not.
pub fn is_installed(program: &str, test: &str) -> bool {
    let folders = env::var_os("PATH").unwrap_or_default();
    let is_installed = env::split_paths(&folders).any(|folder| folder.join(program).is_file());
    if !is_installed {
        say_skipped(&format!("SKIP: {test} needs {program}"));
    }
    is_installed
}

/// Makes `path` with ffmpeg and these arguments, which are separated by spaces.
pub fn make(path: &Path, arguments: &str) {
    let folder = path.parent().unwrap();
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-y", "-loglevel", "error"])
        .args(arguments.split_whitespace())
        .arg(path)
        .current_dir(folder.parent().unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", path.display(), text(&output));
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The output of ffprobe for a file with these arguments.
fn probe(path: &Path, arguments: &[&str]) -> Value {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json"])
        .args(arguments)
        .arg(path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", path.display(), text(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A track of a file.
#[derive(Clone, Debug)]
pub struct Stream {
    /// `video`, `audio`, `subtitle`, `attachment` …
    pub kind: String,
    /// Its codec.
    pub codec: String,
    /// Sorted times of the packets, ms.
    pub times: Vec<f64>,
    /// The complete output of ffprobe.
    pub details: Value,
}

impl Stream {
    /// A field as text; empty if it is missing.
    pub fn text(&self, field: &str) -> String {
        match &self.details[field] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        }
    }

    /// The times of the visible packets, ms.
    pub fn shown(&self) -> Vec<f64> {
        self.times.iter().copied().filter(|time| *time > -1.0).collect()
    }

    /// Whether it has this disposition.
    pub fn is(&self, disposition: &str) -> bool {
        self.details["disposition"][disposition] == 1
    }
}

/// Times since the first one.
pub fn steps(times: &[f64]) -> Vec<f64> {
    times.iter().map(|time| time - times[0]).collect()
}

/// The greatest difference between the times of two tracks; infinite if they do not have the same number of packets.
pub fn offset(before: &[f64], after: &[f64]) -> f64 {
    match before.len() == after.len() {
        true => before.iter().zip(after).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max),
        false => f64::INFINITY,
    }
}

/// The tracks of a file, each with its packets.
pub fn streams(path: &Path) -> Vec<Stream> {
    let all = probe(path, &["-show_streams", "-show_packets"]);
    let array = |field: &str| all[field].as_array().cloned().unwrap_or_default();
    let packets = array("packets");
    let stream = |details: Value| {
        let mut times: Vec<f64> = packets
            .iter()
            .filter(|packet| packet["stream_index"] == details["index"])
            .map(|packet| {
                let time = packet["pts_time"].as_str().or(packet["dts_time"].as_str());
                time.map_or(0.0, |time| time.parse::<f64>().unwrap() * 1000.0)
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let text = |field: &str| details[field].as_str().unwrap_or_default().to_owned();
        Stream { kind: text("codec_type"), codec: text("codec_name"), times, details }
    };
    array("streams").into_iter().map(stream).collect()
}

/// The packets of a file of these streams, such as `s`, as ffprobe prints them.
pub fn packets(path: &Path, streams: &str) -> Vec<Value> {
    let all = probe(path, &["-show_packets", "-select_streams", streams]);
    all["packets"].as_array().cloned().unwrap_or_default()
}

/// The chapters of a file: start in seconds, and title.
pub fn chapters(path: &Path) -> Vec<(f64, String)> {
    let all = probe(path, &["-show_chapters"]);
    let chapter = |chapter: &Value| {
        let start = chapter["start_time"].as_str().unwrap_or_default().parse().unwrap();
        (start, chapter["tags"]["title"].as_str().unwrap_or_default().to_owned())
    };
    all["chapters"].as_array().into_iter().flatten().map(chapter).collect()
}

/// The ends of the chapters of a file, seconds.
pub fn chapter_ends(path: &Path) -> Vec<f64> {
    let all = probe(path, &["-show_chapters"]);
    let end = |chapter: &Value| chapter["end_time"].as_str().unwrap_or_default().parse().unwrap();
    all["chapters"].as_array().into_iter().flatten().map(end).collect()
}

/// A tag of a file; empty if it is missing.
pub fn tag(path: &Path, name: &str) -> String {
    let all = probe(path, &["-show_format"]);
    let tags = all["format"]["tags"].as_object().cloned().unwrap_or_default();
    let found = tags.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map_or(String::new(), |(_, value)| value.as_str().unwrap_or_default().to_owned())
}

/// A hash of the packets of these streams, such as `0:a`.
pub fn hash(path: &Path, streams: &str) -> String {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-i"])
        .arg(path)
        .args(["-map", streams, "-c", "copy", "-f", "md5", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", path.display(), text(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The number of frames in the decoded video of a file.
pub fn frames(path: &Path) -> usize {
    let count =
        ["-count_frames", "-select_streams", "v:0", "-show_entries", "stream=nb_read_frames"];
    let count = &probe(path, &count)["streams"][0]["nb_read_frames"];
    count.as_str().unwrap().parse().unwrap()
}

/// The numbers that a filter of ffmpeg prints after `marker`.
pub fn measure_all(arguments: &[&str], marker: &str) -> Vec<f64> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner"])
        .args(arguments)
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    let said = text(&output);
    let number = |rest: &str| {
        let is_part = |c: &char| c.is_ascii_digit() || "-.inf".contains(*c);
        let number: String = rest.chars().take_while(is_part).collect();
        number.parse().unwrap_or_else(|_| panic!("{marker}{rest}"))
    };
    let numbers: Vec<f64> = said.split(marker).skip(1).map(number).collect();
    assert!(!numbers.is_empty(), "no {marker}: {said}");
    numbers
}

/// The last number that a filter of ffmpeg prints after `marker`.
pub fn measure(arguments: &[&str], marker: &str) -> f64 {
    measure_all(arguments, marker).pop().unwrap()
}

/// The PSNR of the luma of two videos, in dB; frames are compared in order.
pub fn psnr(a: &Path, b: &Path) -> f64 {
    let filter = "[0:v]settb=1/25,setpts=N,format=yuv420p[a];[1:v]settb=1/25,setpts=N,format=yuv420p[b];[a][b]psnr";
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    measure(&["-i", a, "-i", b, "-lavfi", filter], "PSNR y:")
}

/// The output of ffprobe for the first frame of a file.
pub fn frame_data(path: &Path) -> String {
    probe(path, &["-show_frames", "-read_intervals", "%+#1", "-select_streams", "v"]).to_string()
}

/// The planes of the first frame of a file, with 8 bits and 4:2:0.
pub fn first_frame(path: &Path) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-i"])
        .arg(path)
        .args(["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", path.display(), text(&output));
    output.stdout
}
