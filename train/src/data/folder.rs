// SPDX-License-Identifier: MIT OR Apache-2.0

//! The folders of a data set: `trainA`, `trainB`, and where they exist `testA`, `testB`,
//! `trainA_mask`, `trainB_mask`. Pictures may stand in folders within them.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use super::frames::followers;

/// File name endings that are read as pictures.
const ENDINGS: [&str; 7] = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff"];
/// Folders within folders that are searched; more is a link to a folder above.
const DEEPEST: usize = 16;

/// The pictures of one domain.
#[derive(Clone, Debug, Default)]
pub struct Domain {
    /// Where the images are, some perhaps in folders within.
    pub folder: PathBuf,
    /// Sorted by name.
    pub images: Vec<PathBuf>,
    /// The mask of each image, where it has one; empty when there is no mask folder.
    pub masks: Vec<Option<PathBuf>>,
    /// Which image is the frame after each; empty where nobody asked.
    pub next: Vec<Option<usize>>,
    /// A folder of what a teacher made of each image, `NAME.png`, from which crops are cut too.
    pub painted: Option<PathBuf>,
}

impl Domain {
    /// Reads `name` (`trainA`, …) of a data set and its mask folder.
    pub fn open(data: &Path, name: &str, max: Option<usize>) -> Result<Self> {
        let mut domain = Self::without_masks(data, name)?;
        domain.images.truncate(max.unwrap_or(usize::MAX));
        let masks_of = data.join(format!("{name}_mask"));
        domain.masks = masks(&masks_of, &domain.folder, &domain.images)?;
        Ok(domain)
    }

    /// The same, but masks are not looked for.
    pub fn without_masks(data: &Path, name: &str) -> Result<Self> {
        let folder = data.join(name);
        ensure!(
            folder.is_dir(),
            "{}: no such folder, expected a data set: a folder that has trainA and trainB in it",
            folder.display()
        );
        let images = pictures(&folder)?;
        ensure!(
            !images.is_empty(),
            "{}: no pictures, expected files ending in {}",
            folder.display(),
            ENDINGS.join(", ")
        );
        Ok(Self { folder, images, ..Self::default() })
    }

    /// The pictures at these places.
    pub fn only(&self, places: &[usize]) -> Self {
        let images = places.iter().map(|&i| self.images[i].clone()).collect();
        let masks = places.iter().filter_map(|&i| self.masks.get(i).cloned()).collect();
        let (folder, painted) = (self.folder.clone(), self.painted.clone());
        Self { folder, images, masks, next: Vec::new(), painted }
    }

    /// Finds out which images are frames that follow one another; returns how many are followed.
    pub fn find_next(&mut self) -> usize {
        self.next = followers(&self.images);
        self.next.iter().flatten().count()
    }

    /// Where what a teacher made of one of its images stands in the folder `into`.
    pub fn painting(&self, into: &Path, image: &Path) -> PathBuf {
        into.join(within(&self.folder, image)).with_added_extension("png")
    }

    /// What an image has in common with its mask and its partner: its path within the folder, without
    /// the extension.
    pub fn key(&self, image: &Path) -> PathBuf {
        within(&self.folder, image).with_extension("")
    }

    /// Like [`Domain::open`], but a folder that does not exist is no error.
    pub fn open_if_there(data: &Path, name: &str) -> Result<Option<Self>> {
        let there = data.join(name).is_dir();
        there.then(|| Self::open(data, name, None)).transpose()
    }
}

fn within<'a>(folder: &Path, image: &'a Path) -> &'a Path {
    image.strip_prefix(folder).unwrap_or(image)
}

fn masks(folder: &Path, of: &Path, images: &[PathBuf]) -> Result<Vec<Option<PathBuf>>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let key = |folder: &Path, path: &Path| within(folder, path).with_extension("");
    let by_key: HashMap<_, _> =
        pictures(folder)?.into_iter().map(|path| (key(folder, &path), path)).collect();
    let masks: Vec<_> = images.iter().map(|i| by_key.get(&key(of, i)).cloned()).collect();
    ensure!(
        masks.iter().any(Option::is_some),
        "{}: no file has the base name of a picture, expected masks named as the pictures are",
        folder.display()
    );
    Ok(masks)
}

/// The pictures of a folder and of those within it, sorted; hidden ones are left out.
pub fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    search(folder, 0, &mut found)?;
    found.sort();
    Ok(found)
}

fn search(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    let listing = fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    for entry in listing {
        let path = entry.with_context(|| format!("{}", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // What file managers and archives leave: .thumbnails, ._picture.jpg, __MACOSX.
        if name.starts_with('.') || name == "__MACOSX" {
            continue;
        }
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if path.is_dir() {
            ensure!(depth < DEEPEST, "{}: more than {DEEPEST} folders deep", path.display());
            search(&path, depth + 1, found)?;
        } else if ENDINGS.iter().any(|e| ending.eq_ignore_ascii_case(e)) {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_within_are_searched_and_hidden_files_left_out() {
        let data = tempfile::tempdir().unwrap();
        let data = data.path();
        for path in [
            "trainA/b.JPG",
            "trainA/clip/1.png",
            "trainA/other/1.png",
            "trainA/._b.jpg",
            "trainA/.thumbnails/b.jpg",
            "trainA/__MACOSX/b.jpg",
            "trainA/note.txt",
            "trainA_mask/clip/1.png",
            "trainA_mask/b.png",
        ] {
            let path = data.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        let domain = Domain::open(data, "trainA", None).unwrap();
        let expected = ["b.JPG", "clip/1.png", "other/1.png"].map(|p| data.join("trainA").join(p));
        assert_eq!(domain.images, expected);
        let mask = |p: &str| Some(data.join("trainA_mask").join(p));
        assert_eq!(domain.masks, [mask("b.png"), mask("clip/1.png"), None]);
        let painting = domain.painting(Path::new("teacher"), &domain.images[1]);
        assert_eq!(painting, Path::new("teacher/clip/1.png.png"));
    }
}
