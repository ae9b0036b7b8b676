// SPDX-License-Identifier: MIT OR Apache-2.0

//! The folders of a data set: `trainA`, `trainB`, and where they exist `testA`, `testB`,
//! `trainA_mask`, `trainB_mask`.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use super::frames::followers;

/// File name endings that are read as pictures.
const ENDINGS: [&str; 7] = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff"];

/// The pictures of one domain.
#[derive(Clone, Debug, Default)]
pub struct Domain {
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
        let folder = data.join(name);
        ensure!(
            folder.is_dir(),
            "{}: no such folder, expected a data set: a folder that has trainA and trainB in it",
            folder.display()
        );
        let mut images = pictures(&folder)?;
        ensure!(
            !images.is_empty(),
            "{}: no pictures, expected files ending in {}",
            folder.display(),
            ENDINGS.join(", ")
        );
        images.truncate(max.unwrap_or(usize::MAX));
        let masks = masks(&data.join(format!("{name}_mask")), &images)?;
        Ok(Self { images, masks, next: Vec::new(), painted: None })
    }

    /// The pictures at these places.
    pub fn only(&self, places: &[usize]) -> Self {
        let images = places.iter().map(|&i| self.images[i].clone()).collect();
        let masks = places.iter().filter_map(|&i| self.masks.get(i).cloned()).collect();
        Self { images, masks, next: Vec::new(), painted: self.painted.clone() }
    }

    /// Finds out which images are frames that follow one another; returns how many are followed.
    pub fn find_next(&mut self) -> usize {
        self.next = followers(&self.images);
        self.next.iter().flatten().count()
    }

    /// Where what a teacher made of an image stands in a folder.
    pub fn painting(folder: &Path, image: &Path) -> PathBuf {
        folder.join(image.file_name().unwrap_or_default()).with_added_extension("png")
    }

    /// Like [`Domain::open`], but a folder that does not exist is no error.
    pub fn open_if_there(data: &Path, name: &str) -> Result<Option<Self>> {
        let there = data.join(name).is_dir();
        there.then(|| Self::open(data, name, None)).transpose()
    }
}

fn masks(folder: &Path, images: &[PathBuf]) -> Result<Vec<Option<PathBuf>>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let stem = |path: &Path| path.file_stem().map(|s| s.to_owned());
    let by_stem: HashMap<_, _> =
        pictures(folder)?.into_iter().map(|path| (stem(&path), path)).collect();
    let masks: Vec<_> = images.iter().map(|i| by_stem.get(&stem(i)).cloned()).collect();
    ensure!(
        masks.iter().any(Option::is_some),
        "{}: no file has the base name of a picture, expected masks named as the pictures are",
        folder.display()
    );
    Ok(masks)
}

fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let listing = fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    let mut found = Vec::new();
    for entry in listing {
        let path = entry.with_context(|| format!("{}", folder.display()))?.path();
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if ENDINGS.iter().any(|e| ending.eq_ignore_ascii_case(e)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
