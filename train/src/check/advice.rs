// SPDX-License-Identifier: MIT OR Apache-2.0

//! What to do about what was seen: one line for each thing.

use std::path::{Path, PathBuf};

use super::look::{Facts, Folder, Mask};

/// Fewer pictures of a domain than this seldom make a pair.
const FEW: usize = 200;
/// Sides that differ by more than this make squashed pictures look wrong.
const LONG: f64 = 2.0;
/// Domains whose typical sizes differ by more than this are told apart by their sharpness.
const OTHER_SIZE: f64 = 1.5;
/// A mask with less inside, or more than all but this, is empty or full.
const NOTHING: f64 = 0.001;
/// Files that a line names.
const NAMED: usize = 3;

/// What options say of the pictures.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Side that pictures are resized to, pixels.
    pub load_size: u32,
    /// Bits in which the hashes of near-duplicates differ, fewer than this.
    pub distance: u32,
}

/// Pictures that a line is about.
#[derive(Debug, PartialEq)]
pub struct Finding {
    /// What was found, and what to do.
    pub line: String,
    /// The pictures, or pairs of them one after another.
    pub pictures: Vec<PathBuf>,
}

/// All that there is to say of a data set's folders.
pub fn findings(folders: &[Folder], expected: Expected) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        folders.iter().flat_map(|folder| of_folder(folder, expected)).collect();
    findings.extend(duplicates(folders, expected.distance));
    let train = |letter: char| folders.iter().find(|f| f.name == format!("train{letter}"));
    if let (Some(a), Some(b)) = (train('A'), train('B')) {
        findings.extend(between(a, b));
    }
    findings
}

fn of_folder(folder: &Folder, expected: Expected) -> Vec<Finding> {
    let Folder { name, pictures, unreadable, .. } = folder;
    let is_train = name.starts_with("train");
    let mut findings = Vec::new();
    let mut find = |line: String, pictures: Vec<PathBuf>| findings.push(Finding { line, pictures });
    if !unreadable.is_empty() {
        let n = count(unreadable.len(), "file");
        let named = listed(unreadable.iter().cloned());
        find(format!("{name}: {n} cannot be read and will be skipped: {named}"), vec![]);
    }
    if is_train && pictures.len() < FEW {
        find(
            format!(
                "{name}: {} only; several hundred make a pair better, `cyclegan-train extract` takes \
                 them from videos",
                count(pictures.len(), "picture")
            ),
            vec![],
        );
    }
    let mut about = |which: &dyn Fn(&Facts) -> bool, what: &str, advice: &str| {
        let found: Vec<&Facts> = pictures.iter().filter(|p| which(p)).collect();
        if !found.is_empty() {
            let n = count(found.len(), "picture");
            let named = listed(found.iter().map(|p| file_name(&p.path)));
            let paths = found.iter().map(|p| p.path.clone()).collect();
            find(format!("{name}: {n} {what} ({named}); {advice}"), paths);
        }
    };
    let load = expected.load_size;
    about(
        &|p| p.size.0.min(p.size.1) < load,
        &format!("with a short side below {load}"),
        "they will be enlarged and look soft: take a smaller --load-size and --crop-size, or leave them out",
    );
    about(
        &|p| f64::from(p.size.0.max(p.size.1)) > LONG * f64::from(p.size.0.min(p.size.1)),
        "more than twice as long as high, or as high as long",
        "--preprocess resize_and_crop squashes them: take multi_scale_crop, or crop them first",
    );
    about(
        &|p| is_train && p.is_grey,
        "without colours",
        "the generators learn from them to take colours away: leave them out",
    );
    if folder.has_masks {
        about(
            &|p| p.mask.is_none(),
            "without a mask",
            "with --look-at foreground they are not used: add masks, or leave the pictures out",
        );
        about(
            &|p| matches!(p.mask, Some(Mask::Inside(share)) if share < NOTHING),
            "with an empty mask",
            "the generator learns there to change nothing: right for a picture that holds nothing \
             of the domain, else draw the mask anew",
        );
        about(
            &|p| matches!(p.mask, Some(Mask::Inside(share)) if share > 1.0 - NOTHING),
            "with a mask of all white",
            "the generator learns there to repaint everything: white is inside, black outside",
        );
        about(
            &|p| matches!(p.mask, Some(Mask::Unusable(_))),
            "with a mask of another size or that cannot be read",
            "they will be skipped: make each mask as large as its picture",
        );
    }
    findings
}

/// Near-duplicates between folders: training pictures among those that are scored, or a picture in
/// both domains.
fn duplicates(folders: &[Folder], distance: u32) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (i, one) in folders.iter().enumerate() {
        for other in &folders[i + 1..] {
            let mut pairs: Vec<[&Facts; 2]> = Vec::new();
            for p in &one.pictures {
                let near = |q: &&Facts| p.hash.distance(q.hash) < distance;
                pairs.extend(other.pictures.iter().find(near).map(|q| [p, q]));
            }
            if pairs.is_empty() {
                continue;
            }
            let named = listed(
                pairs
                    .iter()
                    .map(|[p, q]| format!("{} = {}", file_name(&p.path), file_name(&q.path))),
            );
            let kind = |folder: &Folder| folder.name.trim_end_matches(['A', 'B']).to_owned();
            let advice = match kind(one) == kind(other) {
                true => "what is in both domains teaches nothing: take one of them away",
                false => {
                    "scores of pictures that were trained on are too good: take them away from one"
                }
            };
            findings.push(Finding {
                line: format!(
                    "{} and {}: {} in both, or nearly ({named}); {advice}",
                    one.name,
                    other.name,
                    count(pairs.len(), "picture")
                ),
                pictures: pairs.iter().flatten().map(|p| p.path.clone()).collect(),
            });
        }
    }
    findings
}

/// What the domains have not in common.
fn between(a: &Folder, b: &Folder) -> Vec<Finding> {
    let mut lines = Vec::new();
    let typical = |folder: &Folder| {
        let mut sides: Vec<u32> = folder.pictures.iter().map(|p| p.size.0.min(p.size.1)).collect();
        sides.sort_unstable();
        sides.get(sides.len() / 2).copied().unwrap_or(1)
    };
    let (of_a, of_b) = (typical(a), typical(b));
    if f64::from(of_a.max(of_b)) > OTHER_SIZE * f64::from(of_a.min(of_b)) {
        lines.push(format!(
            "trainA and trainB: the typical short sides are {of_a} and {of_b}; the discriminators may \
             tell the domains apart by their sharpness: scale the larger ones down"
        ));
    }
    if a.has_masks != b.has_masks {
        let (with, without) = if a.has_masks { ("A", "B") } else { ("B", "A") };
        lines.push(format!(
            "train{with} has masks and train{without} none; --look-at foreground needs both, \
             `cyclegan-train masks` makes them"
        ));
    }
    lines.into_iter().map(|line| Finding { line, pictures: vec![] }).collect()
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// The first few of them.
fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    let first = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len() > NAMED {
        true => format!("{first}, …"),
        false => first,
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
