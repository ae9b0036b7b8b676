// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files that are whole or not there.

use std::{fs, path::Path};

use anyhow::{Context, Result};

/// Writes a whole file or none of it.
pub fn write_beside(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_added_extension("partial");
    fs::write(&beside, bytes)
        .and_then(|()| fs::rename(&beside, path))
        .inspect_err(|_| {
            let _ = fs::remove_file(&beside);
        })
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        // A folder stands where the file should go.
        fs::create_dir_all(folder.path().join("report/sub")).unwrap();
        assert!(write_beside(&folder.path().join("report"), b"text").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        write_beside(&folder.path().join("other"), b"text").unwrap();
        assert_eq!(fs::read(folder.path().join("other")).unwrap(), b"text");
    }
}
