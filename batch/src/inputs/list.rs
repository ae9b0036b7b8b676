// SPDX-License-Identifier: MIT OR Apache-2.0

//! A list of paths on standard input.

use std::path::{Path, PathBuf};

use crate::files::inner;

/// The paths of a list: one per line, or separated by NUL if it contains one.
pub fn paths(text: &[u8]) -> Vec<PathBuf> {
    let separator = if text.contains(&0) { 0 } else { b'\n' };
    let entries = text.split(|&byte| byte == separator);
    let entries = entries.map(|entry| match separator {
        b'\n' => entry.strip_suffix(b"\r").unwrap_or(entry),
        _ => entry,
    });
    entries.filter(|entry| !entry.is_empty()).map(path_of).collect()
}

/// The path of an entry: any bytes except NUL on Unix; UTF-8 elsewhere.
#[cfg(unix)]
fn path_of(entry: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(entry).into()
}

#[cfg(not(unix))]
fn path_of(entry: &[u8]) -> PathBuf {
    String::from_utf8_lossy(entry).into_owned().into()
}

/// The output of a listed path, relative to the output folder: the same path, or only the name if the path leads
/// outside the current folder.
pub fn place(path: &Path) -> PathBuf {
    let current = std::env::current_dir().ok();
    let path = current.and_then(|current| path.strip_prefix(current).ok()).unwrap_or(path);
    inner(path).unwrap_or_else(|| path.file_name().unwrap_or_default().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_nul_separate_paths() {
        assert_eq!(paths(b"a b.mp4\r\n\n'c'.mp4"), ["a b.mp4", "'c'.mp4"].map(PathBuf::from));
        assert_eq!(paths(b"a\nb.mp4\0c.mp4\0"), ["a\nb.mp4", "c.mp4"].map(PathBuf::from));
    }

    #[test]
    fn outputs_stay_in_the_output_folder() {
        assert_eq!(place(Path::new("./a/b.mp4")), Path::new("a/b.mp4"));
        assert_eq!(place(Path::new("../b.mp4")), Path::new("b.mp4"));
        assert_eq!(place(Path::new("/a/b.mp4")), Path::new("b.mp4"));
        let absolute = std::env::current_dir().unwrap().join("a/b.mp4");
        assert_eq!(place(&absolute), Path::new("a/b.mp4"));
    }
}
