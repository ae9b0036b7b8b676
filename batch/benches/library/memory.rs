// SPDX-License-Identifier: MIT OR Apache-2.0

//! Memory of a long run: the program and its worker translate 400 small files.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
};

use super::{Result, batch, launch};

const FILES: usize = 400;
/// Memory is printed after each of so many files.
const STEP: usize = 100;

/// Prints the table.
pub fn measure(folder: &Path, model: &str) -> Result<()> {
    let library = folder.join("library");
    fs::create_dir(&library)?;
    let clip = folder.join("small.mp4");
    launch(&format!(
        "videotestsrc num-buffers=5 ! video/x-raw,width=160,height=120,framerate=25/1 \
         ! x264enc speed-preset=veryfast ! mp4mux ! filesink location={}",
        clip.display()
    ))?;
    for number in 0..FILES {
        fs::hard_link(&clip, library.join(format!("{number}.mp4")))?;
    }
    println!("\n{FILES} files of 5 frames, --jobs 1\n");
    println!("| files done | program MiB | worker MiB |\n| --- | --- | --- |");
    let mut command = batch(&library, model, &folder.join("library-out"))?;
    let mut program = command.args(["--jobs", "1", "--json"]).stdout(Stdio::piped()).spawn()?;
    let events = BufReader::new(program.stdout.take().ok_or("no output")?);
    let mut done = 0;
    for event in events.lines() {
        if serde_json::from_str::<serde_json::Value>(&event?)?["event"] != "done" {
            continue;
        }
        done += 1;
        // The worker ends soon after the last file.
        if done == STEP / 10 || done % STEP == 0 && done < FILES || done == FILES - 1 {
            let worker = child_of(program.id())?;
            println!("| {done} | {:.0} | {:.0} |", resident(program.id())?, resident(worker)?);
        }
    }
    match program.wait()?.success() && done == FILES {
        true => Ok(()),
        false => Err(format!("{done} of {FILES} files were translated").into()),
    }
}

/// The only child of a process.
fn child_of(process: u32) -> Result<u32> {
    let mut children = Vec::new();
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let text = fs::read_to_string(thread?.path().join("children"))?;
        children.extend(text.split_whitespace().map(str::to_owned));
    }
    match &children[..] {
        [child] => Ok(child.parse()?),
        _ => Err(format!("expected one worker, found {}", children.len()).into()),
    }
}

/// MiB that a process has in memory.
fn resident(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
