// SPDX-License-Identifier: MIT OR Apache-2.0

//! A file to translate, and the name of its output.

pub mod name;

use std::path::{Path, PathBuf};

use crate::{
    container::Container,
    destination::Destination,
    kind::Kind,
    options::{Options, Preset, Sample},
    picture::PictureFormat,
};

#[derive(Clone, Debug)]
pub struct Item {
    pub input: PathBuf,
    /// Its path below the input folder, which decides its share and its name in messages.
    pub relative: PathBuf,
    pub kind: Kind,
    /// The output's path below the output folder.
    pub output: PathBuf,
    /// The sample of the video; `None` for the whole video.
    pub sample: Option<Sample>,
    /// Why it cannot be translated, if that is known before it is opened.
    pub problem: Option<String>,
}

impl Item {
    /// The file `input`, which lies at `relative` below the input folder.
    pub fn new(
        options: &Options,
        destination: &Destination,
        input: PathBuf,
        relative: PathBuf,
    ) -> Self {
        let (output, kind) = destination.file.clone().unwrap_or_else(|| {
            let (output, kind) = by_input(options, &input, &relative);
            match &options.name {
                Some(template) => (name::apply(template, &input, &output), kind),
                None => (output, kind),
            }
        });
        let is_misnamed = options.name.is_some() && kind.is_misnamed(&output);
        let problem = is_misnamed.then(|| {
            format!(
                "--name gives its output the name {}, whose extension is that of another format; use {{ext}}",
                output.display()
            )
        });
        Self { input, relative, kind, output, sample: None, problem }
    }

    /// The image `input`, whose output is `a.png`.
    #[cfg(test)]
    pub fn png(input: PathBuf) -> Self {
        let (output, kind) = (PathBuf::from("a.png"), Kind::Picture(PictureFormat::Png));
        Self { input, relative: output.clone(), kind, output, sample: None, problem: None }
    }

    /// The item itself or, of a video, this many samples with their own output names.
    pub fn sampled(self, samples: Option<u32>) -> Vec<Self> {
        let Some(count) = samples.filter(|_| matches!(self.kind, Kind::Video(_))) else {
            return vec![self];
        };
        let sample = |index| {
            let mut item = self.clone();
            let extension = item.output.extension().unwrap_or_default().to_owned();
            let mut name = item.output.file_stem().unwrap_or_default().to_owned();
            name.push(format!(".sample-{}", index + 1));
            item.output.set_file_name(Path::new(&name).with_added_extension(extension));
            item.sample = Some(Sample { index, count });
            item
        };
        (0..count).map(sample).collect()
    }
}

fn by_input(options: &Options, input: &Path, relative: &Path) -> (PathBuf, Kind) {
    if let Some(format) = PictureFormat::of_file(input, options.recipe.container.is_none()) {
        return (format.rename(relative), Kind::Picture(format));
    }
    let recipe = &options.recipe;
    let own = Container::of_name(input);
    let preset = Some(recipe.preset).filter(|_| recipe.encoder_element().is_none());
    // Not every container accepts the codec of the preset.
    let container = recipe.container.or(match (preset, own) {
        (Some(Preset::Prores), Some(Container::Mp4 | Container::Webm | Container::Ts)) => {
            Some(Container::Mov)
        }
        (Some(Preset::Hevc), Some(Container::Webm)) | (Some(Preset::Av1), Some(Container::Ts)) => {
            Some(Container::Mkv)
        }
        (_, own) => own,
    });
    let container = container.unwrap_or(Container::Mkv);
    // An extension that already fits the container is kept: clip.M4V.
    let output = match own == Some(container) {
        true => relative.to_owned(),
        false => relative.with_extension(container.extension()),
    };
    (output, Kind::Video(container))
}
