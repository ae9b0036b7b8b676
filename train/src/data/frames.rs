// SPDX-License-Identifier: MIT OR Apache-2.0

//! Finds images that are successive frames.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

/// The index of each image's next frame: the same name with the next number at its end. `extract` puts the
/// shot before that number, so no pair crosses a cut.
pub fn followers(images: &[PathBuf]) -> Vec<Option<usize>> {
    let numbered = images.iter().enumerate();
    let by_name: HashMap<_, _> =
        numbered.filter_map(|(i, path)| Some((numbered_name(path)?, i))).collect();
    let next = |path: &PathBuf| {
        let (folder, name, number) = numbered_name(path)?;
        by_name.get(&(folder, name, number.checked_add(1)?)).copied()
    };
    images.iter().map(next).collect()
}

/// A file's folder, its name without the digits at its end, and the number that they form.
fn numbered_name(path: &Path) -> Option<(&Path, &str, u64)> {
    let stem = path.file_stem()?.to_str()?;
    let name = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    Some((path.parent()?, name, stem[name.len()..].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_number_of_the_same_shot_follows() {
        let names = [
            "a_shot0001_000009.png",
            "a_shot0001_000010.png",
            "a_shot0002_000011.png",
            "a_shot0002_000013.png",
            "horse.jpg",
            "horse2.jpg",
            "other/a_shot0001_000011.png",
        ];
        let found = followers(&names.map(PathBuf::from));
        assert_eq!(found, [Some(1), None, None, None, None, None, None]);
    }
}
