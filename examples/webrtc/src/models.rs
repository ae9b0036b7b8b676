// SPDX-License-Identifier: MIT OR Apache-2.0

//! The models of the page's menu.

use std::{collections::BTreeSet, fs, iter, path::Path};

use anyhow::{Context as _, Result};
use cyclegan_runtime::search_path;
use gst::prelude::*;

/// The names of the pairs on the element's search path, see docs/models.md.
pub fn found() -> BTreeSet<String> {
    let plugin = gst::ElementFactory::find("cycleganfilter").and_then(|factory| factory.plugin());
    let file = plugin.and_then(|plugin| plugin.filename());
    let folders = search_path(file.as_deref().and_then(Path::parent));
    folders.iter().flat_map(|folder| pairs(folder)).collect()
}

/// The element's own default.
pub fn default() -> Result<String> {
    let filter = gst::ElementFactory::make("cycleganfilter").build()?;
    filter.property::<Option<String>>("model").context("the element has no default model")
}

/// `model` first, then the others that were found.
pub fn menu(model: &str, found: BTreeSet<String>) -> Vec<String> {
    iter::once(model.to_owned()).chain(found.into_iter().filter(|name| name != model)).collect()
}

/// The names of the folders in `folder` that hold a generator.
fn pairs(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| ["G.onnx", "F.onnx"].iter().any(|file| entry.path().join(file).is_file()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_with_a_generator_are_pairs() {
        let folder = tempfile::tempdir().unwrap();
        for (name, file) in [("both", "G.onnx"), ("reverse", "F.onnx"), ("other", "notes.txt")] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join(file), b"").unwrap();
        }
        let mut names = pairs(folder.path());
        names.sort();
        assert_eq!(names, ["both", "reverse"]);
        assert!(pairs(&folder.path().join("missing")).is_empty());
    }

    #[test]
    fn the_menu_starts_with_the_model_in_use_and_has_it_once() {
        let found = ["apple", "horse"].map(str::to_owned);
        assert_eq!(menu("horse", found.clone().into()), ["horse", "apple"]);
        assert_eq!(menu("/x/G.onnx", found.into()), ["/x/G.onnx", "apple", "horse"]);
    }
}
