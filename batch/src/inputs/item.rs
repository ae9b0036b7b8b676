// SPDX-License-Identifier: MIT OR Apache-2.0

//! A file to translate, and the name of its output.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::name;
use crate::{
    container::Container,
    destination::Destination,
    options::{Options, Preset, Sample},
    picture::PictureFormat,
    worker::animation::is_animated_picture,
};

/// What kind of file an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A video, and its output container.
    Video(Container),
    /// An image, and its output format.
    Picture(PictureFormat),
}

/// A file to translate.
#[derive(Clone, Debug)]
pub struct Item {
    /// The file.
    pub input: PathBuf,
    /// Its path below the input folder, which decides its share and its name in messages.
    pub relative: PathBuf,
    /// Its kind and output format.
    pub kind: Kind,
    /// The output's path below the output folder.
    pub output: PathBuf,
    /// Which sample of the video it is; `None` for all of it.
    pub sample: Option<Sample>,
    /// Why it cannot be translated, if that is known without opening it.
    pub problem: Option<String>,
}

/// How outputs are named.
#[derive(Clone, Debug, Default)]
pub struct Naming<'a> {
    /// The container of videos, if not the input's.
    pub container: Option<Container>,
    /// Whether videos are ProRes, which not every container accepts.
    pub is_prores: bool,
    /// Template for the outputs' names, if given.
    pub template: Option<&'a str>,
    /// The name and kind of the only output, if given.
    pub file: Option<(PathBuf, Kind)>,
    /// How many samples of each video are translated instead of all of it.
    pub samples: Option<u32>,
}

impl<'a> Naming<'a> {
    /// As the command line says.
    pub fn new(options: &'a Options, destination: &Destination) -> Result<Self> {
        if let Some(name) = &options.name {
            name::check(name)?;
        }
        Ok(Self {
            container: options.recipe.container,
            is_prores: options.recipe.preset == Preset::Prores
                && options.recipe.encoder_element().is_none(),
            template: options.name.as_deref(),
            file: destination.file.clone(),
            samples: options.sample,
        })
    }

    /// The item for the file `input`, which lies at `relative` below the input folder.
    pub fn item(&self, input: PathBuf, relative: PathBuf) -> Item {
        let (output, kind) = self.file.clone().unwrap_or_else(|| {
            let (output, kind) = self.by_input(&input, &relative);
            (self.template.map_or_else(|| output.clone(), |t| name::apply(t, &output)), kind)
        });
        Item { input, relative, kind, output, sample: None, problem: None }
    }

    /// The items for `item`: several, with names of their own, if samples of it are translated.
    pub fn sampled(&self, item: Item) -> Vec<Item> {
        let Some(count) = self.samples.filter(|_| matches!(item.kind, Kind::Video(_))) else {
            return vec![item];
        };
        let sample = |index| {
            let mut item = item.clone();
            let extension = item.output.extension().unwrap_or_default().to_owned();
            let mut name = item.output.file_stem().unwrap_or_default().to_owned();
            name.push(format!(".sample-{}", index + 1));
            item.output.set_file_name(Path::new(&name).with_added_extension(extension));
            item.sample = Some(Sample { index, count });
            item
        };
        (0..count).map(sample).collect()
    }

    fn by_input(&self, input: &Path, relative: &Path) -> (PathBuf, Kind) {
        // An animated image becomes a video, as a GIF does.
        let picture = PictureFormat::of_name(input).filter(|_| !is_animated_picture(input));
        if let Some(format) = picture {
            return (format.rename(relative), Kind::Picture(format));
        }
        let own = Container::of_name(input);
        let container = self.container.or_else(|| match own? {
            own @ (Container::Mkv | Container::Mov) => Some(own),
            _ if self.is_prores => Some(Container::Mov),
            own => Some(own),
        });
        let container = container.unwrap_or(Container::Mkv);
        // An extension that already fits the container is kept: clip.M4V.
        let output = match own == Some(container) {
            true => relative.to_owned(),
            false => relative.with_extension(container.extension()),
        };
        (output, Kind::Video(container))
    }
}
