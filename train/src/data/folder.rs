// SPDX-License-Identifier: MIT OR Apache-2.0

//! The folders of a data set: `trainA`, `trainB`, and where they exist `testA`, `testB`,
//! `trainA_mask`, `trainB_mask`.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

use super::frames::followers;

/// File name extensions of images.
const ENDINGS: [&str; 7] = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff"];

/// File name extensions of images that cannot be read.
const OTHER_ENDINGS: [&str; 20] = [
    "arw", "avif", "cr2", "cr3", "dds", "dng", "exr", "gif", "hdr", "heic", "heif", "ico", "jp2",
    "jxl", "nef", "pgm", "ppm", "psd", "svg", "tga",
];

/// The images of one domain.
#[derive(Clone, Debug, Default)]
pub struct Domain {
    /// Their folder.
    pub root: PathBuf,
    /// Sorted by name, including subfolders.
    pub images: Vec<PathBuf>,
    /// The mask of each image, if it has one; empty without a mask folder.
    pub masks: Vec<Option<PathBuf>>,
    /// The index of each image's next frame; empty if not requested.
    pub next: Vec<Option<usize>>,
    /// A folder with a teacher's output for each image, `NAME.png`, which is cropped alike.
    pub generated: Option<PathBuf>,
}

impl Domain {
    /// Reads `name` (`trainA`, …) of a data set and its mask folder.
    pub fn open(data: &Path, name: &str, max: Option<usize>) -> Result<Self> {
        let mut domain = Self::without_masks(data, name)?;
        domain.images.truncate(max.unwrap_or(usize::MAX));
        let masks_of = data.join(format!("{name}_mask"));
        domain.masks = masks(&masks_of, &domain.root, &domain.images)?;
        Ok(domain)
    }

    /// The same without masks.
    pub fn without_masks(data: &Path, name: &str) -> Result<Self> {
        let folder = data.join(name);
        ensure!(
            folder.is_dir(),
            "{}: no such folder, expected a data set: a folder with trainA and trainB",
            folder.display()
        );
        let images = pictures(&folder)?;
        ensure!(
            !images.is_empty(),
            "{}: no images, expected files ending in {}{}",
            folder.display(),
            ENDINGS.join(", "),
            other_formats(&folder)?.map_or_else(String::new, |found| format!("; {found}"))
        );
        Ok(Self { root: folder, images, ..Self::default() })
    }

    /// The images at these indices.
    pub fn only(&self, places: &[usize]) -> Self {
        let images = places.iter().map(|&i| self.images[i].clone()).collect();
        let masks = places.iter().filter_map(|&i| self.masks.get(i).cloned()).collect();
        let (root, generated) = (self.root.clone(), self.generated.clone());
        Self { root, images, masks, next: Vec::new(), generated }
    }

    /// Finds successive frames; returns how many images have a next frame.
    pub fn find_next(&mut self) -> usize {
        self.next = followers(&self.images);
        self.next.iter().flatten().count()
    }

    /// The path of a teacher's output for an image within a folder.
    pub fn output(&self, folder: &Path, image: &Path) -> PathBuf {
        folder.join(image.strip_prefix(&self.root).unwrap_or(image)).with_added_extension("png")
    }

    /// The base name by which masks and partners are found: the path within the folder without the
    /// extension.
    pub fn base_name(&self, image: &Path) -> PathBuf {
        image.strip_prefix(&self.root).unwrap_or(image).with_extension("")
    }

    /// Like [`Domain::open`], but `None` if the folder does not exist or is empty.
    pub fn open_if_there(data: &Path, name: &str) -> Result<Option<Self>> {
        let folder = data.join(name);
        let there = folder.is_dir() && !pictures(&folder)?.is_empty();
        there.then(|| Self::open(data, name, None)).transpose()
    }
}

fn masks(folder: &Path, root: &Path, images: &[PathBuf]) -> Result<Vec<Option<PathBuf>>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let name = |path: &Path, root: &Path| path.strip_prefix(root).map(|p| p.with_extension(""));
    let by_name: HashMap<_, _> =
        pictures(folder)?.into_iter().map(|path| (name(&path, folder).ok(), path)).collect();
    let masks: Vec<_> =
        images.iter().map(|image| by_name.get(&name(image, root).ok()).cloned()).collect();
    ensure!(
        masks.iter().any(Option::is_some),
        "{}: no file has the base name of an image, expected masks named like the images",
        folder.display()
    );
    Ok(masks)
}

/// The images of a folder and its subfolders, sorted, without hidden ones.
pub fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    collect(folder, &ENDINGS, &mut HashSet::new(), &mut found)?;
    found.sort();
    Ok(found)
}

/// A line about the images of a folder whose formats are not read, with what to do.
pub fn other_formats(folder: &Path) -> Result<Option<String>> {
    let mut found = Vec::new();
    collect(folder, &OTHER_ENDINGS, &mut HashSet::new(), &mut found)?;
    let formats: BTreeSet<_> =
        found.iter().filter_map(|path| Some(path.extension()?.to_str()?.to_lowercase())).collect();
    let formats: Vec<_> = formats.into_iter().collect();
    let files = if found.len() == 1 { "file" } else { "files" };
    Ok((!found.is_empty()).then(|| {
        format!(
            "{} {files} of formats that are not read ({}): convert them to JPEG or PNG",
            found.len(),
            formats.join(", ")
        )
    }))
}

/// The images of a folder that `option` names. Fails if there are none.
pub fn pictures_for(option: &str, folder: &Path) -> Result<Vec<PathBuf>> {
    let found = if folder.is_dir() {
        let found = pictures(folder)?;
        if !found.is_empty() {
            return Ok(found);
        }
        "no images"
    } else if folder.exists() {
        "a file"
    } else {
        "no such folder"
    };
    bail!("{}: {found}, expected a folder of images for {option}", folder.display())
}

/// `seen` prevents endless loops through links.
fn collect(
    folder: &Path,
    endings: &[&str],
    seen: &mut HashSet<PathBuf>,
    found: &mut Vec<PathBuf>,
) -> Result<()> {
    let context = || folder.display().to_string();
    if !seen.insert(folder.canonicalize().with_context(context)?) {
        return Ok(());
    }
    for entry in fs::read_dir(folder).with_context(context)? {
        let path = entry.with_context(context)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Left by file managers and archives: .thumbnails, ._picture.jpg, __MACOSX.
        if name.starts_with('.') || name == "__MACOSX" {
            continue;
        }
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if path.is_dir() {
            collect(&path, endings, seen, found)?;
        } else if endings.iter().any(|e| ending.eq_ignore_ascii_case(e)) {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_and_masks_are_found_in_subfolders() {
        let data = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = data.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
        };
        for name in ["trainA/b/1.jpg", "trainA/1.jpg", "trainA/b/c/2.PNG", "trainA/notes.txt"] {
            file(name);
        }
        for name in ["trainA/._1.jpg", "trainA/.thumbnails/1.jpg", "trainA/__MACOSX/1.jpg"] {
            file(name);
        }
        for name in ["trainA_mask/b/1.png", "trainA_mask/2.png"] {
            file(name);
        }
        std::os::unix::fs::symlink(data.path().join("trainA"), data.path().join("trainA/b/round"))
            .unwrap();
        fs::create_dir(data.path().join("trainA/b/empty")).unwrap();
        let domain = Domain::open(data.path(), "trainA", None).unwrap();
        assert_eq!(domain.images.len(), 3, "{:?}", domain.images);
        let ends = |end: &str| domain.images.iter().position(|path| path.ends_with(end)).unwrap();
        let mask = |end: &str| domain.masks[ends(end)].is_some();
        let own = [mask("trainA/1.jpg"), mask("trainA/b/1.jpg"), mask("trainA/b/c/2.PNG")];
        assert_eq!(own, [false, true, false], "{:?}", domain.masks);
    }
}
