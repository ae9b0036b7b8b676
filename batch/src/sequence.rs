// SPDX-License-Identifier: MIT OR Apache-2.0

//! Image sequences: numbered files such as `shots/%04d.png`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::{files::is_same, picture::PictureFormat};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    folder: PathBuf,
    /// The name around the number.
    before: String,
    after: String,
    /// Least number of digits.
    digits: usize,
    pub format: PictureFormat,
}

impl Sequence {
    /// The sequence that `pattern` names: an image's name with one `%d` or `%04d` in it. `None` for a file that
    /// has such a name.
    pub fn new(pattern: &Path) -> Option<Self> {
        let format = PictureFormat::of_name(pattern)?;
        let (before, rest) = pattern.file_name()?.to_str()?.split_once('%')?;
        let (digits, after) = rest.split_once('d')?;
        let digits = match digits {
            "" => 1,
            digits => digits.strip_prefix('0')?.parse().ok().filter(|digits| *digits < 20)?,
        };
        if after.contains('%') || pattern.is_file() {
            return None;
        }
        let folder = pattern.parent().unwrap_or(Path::new("")).to_owned();
        Some(Self { folder, before: before.to_owned(), after: after.to_owned(), digits, format })
    }

    /// The sequence of the same names in another folder, with the extension of what is written.
    pub fn below(&self, folder: &Path) -> Self {
        let name = self.format.rename(Path::new(&format!("0{}", self.after)));
        let after = name.to_string_lossy()[1..].to_owned();
        Self { folder: folder.to_owned(), after, ..self.clone() }
    }

    /// Whether files of these names are of the format.
    pub fn is_named(&self) -> bool {
        self.format.is_named(&self.path(1))
    }

    /// Whether both are the same files.
    pub fn is_same(&self, other: &Self) -> bool {
        is_same(self.folder(), other.folder())
            && Self { folder: self.folder.clone(), ..other.clone() } == *self
    }

    pub fn folder(&self) -> &Path {
        match self.folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => &self.folder,
        }
    }

    pub fn path(&self, number: u64) -> PathBuf {
        self.folder.join(self.name(number))
    }

    fn name(&self, number: u64) -> String {
        let Self { before, after, digits, .. } = self;
        format!("{before}{number:0digits$}{after}")
    }

    /// The same for `multifilesink`, which writes as `printf` does.
    pub fn location(&self) -> Result<String> {
        let folder = self.folder.to_str().context("its path is not UTF-8")?;
        let name = Path::new(&folder.replace('%', "%%"))
            .join(format!("{}%0{}d{}", self.before, self.digits, self.after));
        Ok(name.to_string_lossy().into_owned())
    }

    /// The numbers of the images that are there, in order.
    pub fn numbers(&self) -> Result<Vec<u64>> {
        let shown = self.folder().display();
        let files = fs::read_dir(self.folder()).with_context(|| format!("cannot read {shown}"))?;
        let number = |name: &str| -> Option<u64> {
            let number =
                name.strip_prefix(&self.before)?.strip_suffix(&self.after)?.parse().ok()?;
            (self.name(number) == name).then_some(number)
        };
        let names = files.flatten().filter_map(|file| file.file_name().into_string().ok());
        let mut numbers: Vec<u64> = names.filter_map(|name| number(&name)).collect();
        numbers.sort_unstable();
        ensure!(!numbers.is_empty(), "{shown} has no image named like {}", self.name(1));
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_numbered_images() {
        let name = |pattern: &str, number| Some(Sequence::new(Path::new(pattern))?.path(number));
        assert_eq!(name("a/%04d.png", 7), Some("a/0007.png".into()));
        assert_eq!(name("a_%d.v2.jpg", 12345), Some("a_12345.v2.jpg".into()));
        for pattern in ["a.png", "%04d.mp4", "%d%d.png", "%4d.png", "%x.png", "%.png", "%099d.png"]
        {
            assert_eq!(name(pattern, 1), None, "{pattern}");
        }
        let below =
            |pattern: &str| Sequence::new(Path::new(pattern)).unwrap().below(Path::new("b"));
        assert_eq!(below("a/x.%02d.v2.tif").path(3), Path::new("b/x.03.v2.png"));
        assert_eq!(below("a/%d.jpeg").path(3), Path::new("b/3.jpeg"));
        let sequence = Sequence::new(Path::new("50%/x%03d.png")).unwrap();
        assert_eq!(sequence.location().unwrap(), "50%%/x%03d.png");
    }
}
