// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files, folders and their errors.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Component, Path, PathBuf},
};

use anyhow::{Result, anyhow, ensure};

/// Creates a folder and those above it.
pub fn create_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)
        .map_err(|error| anyhow!("cannot create {}: {}", folder.display(), describe(&error)))
}

/// Fails if no file can be created in a folder.
pub fn ensure_writable(folder: &Path) -> Result<()> {
    let file = folder.join(format!(".cyclegan-batch-{}", std::process::id()));
    let created = fs::File::create_new(&file);
    let _ = fs::remove_file(&file);
    match created {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(anyhow!("cannot create files in {}: {}", folder.display(), describe(&error)))
        }
        _ => Ok(()),
    }
}

/// Where an output in MP4 or QuickTime is written until its index is complete, which precedes it in the file.
pub fn before_index(unfinished: &Path) -> PathBuf {
    unfinished.with_added_extension("faststart")
}

/// Removes an unfinished output.
pub fn remove_unfinished(unfinished: &Path) {
    let _ = fs::remove_file(before_index(unfinished));
    let _ = fs::remove_file(unfinished);
}

/// Whether an argument is a pattern, and not a file of such a name.
pub fn is_pattern(argument: &OsStr) -> bool {
    argument.to_str().is_some_and(|text| text.contains(['*', '?', '[']))
        && Path::new(argument).symlink_metadata().is_err()
}

/// Maximum length of the name of a file or folder in bytes.
const LONGEST_NAME: usize = 255;

/// Fails if a name in `path`, with `more` bytes appended, is longer than file systems allow.
pub fn check_names(path: &Path, more: usize) -> Result<()> {
    let longest = path.iter().map(|name| name.as_encoded_bytes().len()).max().unwrap_or(0);
    let most = LONGEST_NAME - more;
    ensure!(
        longest <= most,
        "the name of its output is {longest} bytes long, expected at most {most}"
    );
    Ok(())
}

/// The path without `.`, if it stays in the folder to which it is relative.
pub fn inner(path: &Path) -> Option<PathBuf> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.map(|part| matches!(part, Component::Normal(_)).then_some(part)).collect()
}

/// Whether two paths lead to the same file or folder.
pub fn is_same(a: &Path, b: &Path) -> bool {
    a == b || a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}

/// Why `path` cannot be read if that fails with `error`.
pub fn unreadable(path: &Path, error: &io::Error) -> String {
    let target = fs::read_link(path).ok().filter(|_| error.kind() == io::ErrorKind::NotFound);
    match target {
        Some(target) => format!("is a link to {}, which does not exist", target.display()),
        None => format!("cannot be read: {}", describe(error)),
    }
}

/// The text of an error without its number.
pub fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
