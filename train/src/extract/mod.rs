// SPDX-License-Identifier: MIT OR Apache-2.0

//! The `extract` command: extracts training frames from videos.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use image::RgbImage;
use indicatif::ProgressBar;

use crate::{
    data::{hash::Hash, shot::Shots, view::View},
    interrupt::{self, Interrupted},
    options::MAX_SIDE,
    pixels::write_png,
    progress::styled,
    terminal::count,
    video::{Frame, Patience, Video},
};

/// Arguments of `extract`.
#[derive(Debug, Args)]
pub struct ExtractArgs {
    /// Videos, in any format that GStreamer decodes
    #[arg(required = true)]
    videos: Vec<PathBuf>,
    /// Folder for the frames, for example DATA/trainA
    #[arg(long)]
    out: PathBuf,
    /// Short side of the frames, pixels; 0 keeps the video's size
    #[arg(long, default_value_t = 286, value_parser = clap::value_parser!(u32).range(..=MAX_SIDE))]
    size: u32,
    /// Use only every N-th frame
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Leave out a frame whose 64-bit perceptual hash differs in fewer bits than this from a kept one; 0
    /// keeps all
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(..=64))]
    distance: u32,
    /// Keep at most this many frames of each shot
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    max_per_shot: Option<u64>,
    /// Fail if a video gives no frame for this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..))]
    stall_timeout: u64,
}

/// Writes the frames of all videos that are worth training on.
pub fn run(args: &ExtractArgs) -> Result<()> {
    let names = names(&args.videos);
    ensure_new(&args.out, &names)?;
    let patience =
        Patience { stop: interrupt::flag()?, stall: Duration::from_secs(args.stall_timeout) };
    let mut kept = Vec::new();
    for (video, name) in args.videos.iter().zip(&names) {
        let counts = extract(video, name, args, &mut kept, &patience)?;
        say!(
            "{}: kept {} of {}, {}",
            video.display(),
            counts.kept,
            count(counts.seen, "frame"),
            count(counts.shots, "shot")
        );
    }
    Ok(())
}

/// The base name of each video's frames: its file name without the extension, plus a number if another video
/// has that name.
fn names(videos: &[PathBuf]) -> Vec<String> {
    let stem = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let stems: Vec<String> = videos.iter().map(stem).collect();
    let mut names: Vec<String> = Vec::new();
    for (i, stem) in stems.iter().enumerate() {
        let (mut name, mut number) = (stem.clone(), 1);
        while names.contains(&name) || (number > 1 && stems[i..].contains(&name)) {
            number += 1;
            name = format!("{stem}-{number}");
        }
        names.push(name);
    }
    names
}

/// Fails if the folder already has frames with the name of a video.
fn ensure_new(folder: &Path, names: &[String]) -> Result<()> {
    let listing = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            bail!("{}: a file, expected a folder for the frames", folder.display())
        }
        listing => listing.with_context(|| folder.display().to_string())?,
    };
    let starts: Vec<String> = names.iter().map(|name| format!("{name}_shot")).collect();
    for entry in listing {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        ensure!(
            !starts.iter().any(|start| file.starts_with(start)),
            "{}: a frame of a video with that name already exists; delete the old frames, give \
             another --out or rename the video",
            path.display()
        );
    }
    Ok(())
}

#[derive(Default)]
struct Counts {
    seen: usize,
    kept: usize,
    shots: usize,
}

/// Writes the frames of one video, named after `name`; `hashes` are those of all kept frames.
fn extract(
    path: &Path,
    name: &str,
    args: &ExtractArgs,
    hashes: &mut Vec<Hash>,
    patience: &Patience,
) -> Result<Counts> {
    let mut video = Video::open(path, patience.clone())?;
    let bar = progress(video.duration, name);
    let (mut shots, mut counts, mut in_shot) = (Shots::default(), Counts::default(), 0);
    let (mut number, mut time) = (0u64, 0.0);
    while let Some(frame) = video.next_frame().with_context(|| path.display().to_string())? {
        number += 1;
        time = frame.time;
        bar.set_position((frame.time * 10.0) as u64);
        if shots.begins(&frame.picture) {
            in_shot = 0;
        }
        if !(number - 1).is_multiple_of(args.every) {
            continue;
        }
        counts.seen += 1;
        let hash = Hash::of(&frame.picture);
        let full = args.max_per_shot.is_some_and(|max| in_shot >= max);
        if full || hashes.iter().any(|old| old.distance(hash) < args.distance) {
            continue;
        }
        hashes.push(hash);
        in_shot += 1;
        counts.kept += 1;
        let file = format!("{name}_shot{:04}_{number:06}.png", shots.count);
        write_png(&sized(&frame, args.size), &args.out.join(file))?;
    }
    bar.finish_and_clear();
    if patience.stop.load(Ordering::Relaxed) {
        say_error!(
            "stopped after {time:.1} s of {}: {} of its frames are in {}; delete them before you start again",
            path.display(),
            counts.kept,
            args.out.display()
        );
        bail!(Interrupted);
    }
    ensure!(number > 0, "{}: has no video frames", path.display());
    counts.shots = shots.count;
    Ok(counts)
}

fn sized(frame: &Frame, short: u32) -> RgbImage {
    if short == 0 {
        return frame.picture.clone();
    }
    View::whole(frame.picture.dimensions(), short, 1).of_rgb(&frame.picture)
}

/// A bar in tenths of a second, or a spinner if the duration is unknown.
fn progress(duration: Option<f64>, name: &str) -> ProgressBar {
    let bar =
        duration.map_or_else(ProgressBar::new_spinner, |s| ProgressBar::new((s * 10.0) as u64));
    styled(bar, "{msg} {bar:30} {percent} % eta {eta}").with_message(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn videos_with_equal_names_get_numbers() {
        let names = |videos: &[&str]| names(&videos.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(names(&["a/x.mp4", "b/y.mp4"]), ["x", "y"]);
        assert_eq!(names(&["a/x.mp4", "b/x.mp4", "x.mkv"]), ["x", "x-2", "x-3"]);
        assert_eq!(names(&["a/x.mp4", "b/x.mp4", "x-2.mp4"]), ["x", "x-3", "x-2"]);
    }
}
