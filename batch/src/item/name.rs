// SPDX-License-Identifier: MIT OR Apache-2.0

//! Output names from a template.

use std::{
    ffi::OsStr,
    path::{Component, Path, PathBuf},
};

use anyhow::{Result, ensure};

use crate::files::inner;

/// The placeholders of a template.
const PARTS: [&str; 5] = ["{dir}", "{stem}", "{ext}", "{name}", "{from}"];

/// Fails for a template that is invalid or gives all files the same name.
pub fn check(template: &str) -> Result<()> {
    let rest = PARTS.iter().fold(template.to_owned(), |rest, part| rest.replace(part, ""));
    ensure!(!rest.contains(['{', '}']), "--name '{template}': expected {}", PARTS.join(", "));
    let is_own = template.contains("{stem}") || template.contains("{name}");
    ensure!(
        is_own,
        "--name '{template}': all outputs would have the same name; expected {{stem}} or {{name}}"
    );
    ensure!(inner(Path::new(template)).is_some(), "--name '{template}': leads outside --out");
    Ok(())
}

/// The name of the output of `input`, which is `output` without a template.
pub fn apply(template: &str, input: &Path, output: &Path) -> PathBuf {
    // A template is text, so a name that is not UTF-8 stays as it is.
    let Some(text) = output.to_str() else { return output.to_owned() };
    let path = Path::new(text);
    fn part(part: Option<&OsStr>) -> &str {
        part.and_then(OsStr::to_str).unwrap_or_default()
    }
    let dir = path.parent().and_then(|dir| dir.to_str()).unwrap_or_default();
    let dir = if dir.is_empty() { "." } else { dir };
    let name = template
        .replace("{dir}", dir)
        .replace("{name}", part(path.file_name()))
        .replace("{stem}", part(path.file_stem()))
        .replace("{ext}", part(path.extension()))
        .replace("{from}", part(input.extension()));
    let parts = Path::new(&name).components();
    parts.filter(|part| matches!(part, Component::Normal(_))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_name_outputs() {
        let name =
            |template: &str, path: &str| apply(template, Path::new("b.avi"), Path::new(path));
        assert_eq!(name("{dir}/{stem}.zebra.{ext}", "a/b.mp4"), Path::new("a/b.zebra.mp4"));
        assert_eq!(name("{dir}/{stem}.zebra.{ext}", "b.mp4"), Path::new("b.zebra.mp4"));
        assert_eq!(name("flat/{name}", "a/b.mp4"), Path::new("flat/b.mp4"));
        assert_eq!(name("{stem}.{from}.{ext}", "a/b.mkv"), Path::new("b.avi.mkv"));
    }

    #[test]
    fn templates_that_make_no_sense_are_refused() {
        for template in ["{dir}/x.mp4", "{stem}{frame}", "../{name}", "/{name}"] {
            assert!(check(template).is_err(), "{template}");
        }
        assert!(check("{dir}/{stem}-1.{ext}").is_ok());
    }
}
