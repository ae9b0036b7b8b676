// SPDX-License-Identifier: MIT OR Apache-2.0

//! Atomic writes: files that are complete or absent.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
    process,
};

use anyhow::{Context, Result};

/// Writes a file atomically: it is complete or absent even after a power failure or if another process writes
/// the same file.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically_with(path, |file| file.write_all(bytes))
}

/// The same for contents that `contents` writes piece by piece.
pub fn write_atomically_with(
    path: &Path,
    contents: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let beside = path.with_added_extension(format!("{}.partial", process::id()));
    let write = || -> io::Result<()> {
        let mut file = BufWriter::new(File::create(&beside)?);
        contents(&mut file)?;
        file.into_inner()?.sync_all()?;
        rename(&beside, path)
    };
    write()
        .inspect_err(|_| {
            let _ = fs::remove_file(&beside);
        })
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Renames a file durably: the new name survives a power failure.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new(".")))?;
    // Some file systems cannot sync a folder, and do not need to.
    let _ = folder.sync_all();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        // A folder has the name of the file.
        fs::create_dir_all(folder.path().join("report/sub")).unwrap();
        assert!(write_atomically(&folder.path().join("report"), b"text").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        write_atomically(&folder.path().join("other"), b"text").unwrap();
        assert_eq!(fs::read(folder.path().join("other")).unwrap(), b"text");
    }
}
