// SPDX-License-Identifier: MIT OR Apache-2.0

//! Findings and advice: one line for each.

use std::path::{Path, PathBuf};

use super::look::{Facts, Folder, INSIDE, Mask};
use crate::{data::view::Preprocess, options::Mode, terminal::count};

/// The number of images of a domain below which a pair is seldom good.
const MIN_IMAGES: usize = 200;
/// The largest aspect ratio at which images that are squashed to a square still look right.
const MAX_ASPECT: f64 = 2.0;
/// The ratio of median sizes from which domains can be distinguished by sharpness.
const MAX_SIZE_RATIO: f64 = 1.5;
/// A mask whose white share is below this is empty, above 1 minus this it is full.
const EMPTY_SHARE: f64 = 0.001;
/// The most files that a line names.
const MAX_NAMED: usize = 3;

/// What the options expect of the images.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Side that images are resized to, pixels.
    pub load_size: u32,
    /// Images whose hashes differ in fewer bits are near-duplicates.
    pub distance: u32,
    /// Whether the domains are pairs, which may look alike.
    pub mode: Mode,
    /// What happens to images that are not square.
    pub preprocess: Preprocess,
}

/// A finding and its images.
#[derive(Debug, PartialEq)]
pub struct Finding {
    /// What was found, and what to do.
    pub line: String,
    /// The images; for duplicates, one pair after another.
    pub pictures: Vec<PathBuf>,
}

/// All findings about a data set's folders.
pub fn findings(folders: &[Folder], expected: Expected) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        folders.iter().flat_map(|folder| of_folder(folder, expected)).collect();
    findings.extend(duplicates(folders, expected));
    let train = |letter: char| folders.iter().find(|f| f.name == format!("train{letter}"));
    if let (Some(a), Some(b)) = (train('A'), train('B')) {
        findings.extend(between(a, b));
    }
    findings
}

fn of_folder(folder: &Folder, expected: Expected) -> Vec<Finding> {
    let mut findings = vec![
        unreadable(folder),
        too_few(folder),
        small(folder, expected.load_size),
        long(folder, expected.preprocess),
        without_colour(folder, expected.mode),
    ];
    if folder.has_masks {
        findings.extend([
            without_mask(folder),
            empty_mask(folder),
            dark_mask(folder),
            full_mask(folder),
            unusable_mask(folder),
        ]);
    }
    findings.into_iter().flatten().collect()
}

fn is_train(folder: &Folder) -> bool {
    folder.name.starts_with("train")
}

fn unreadable(folder: &Folder) -> Option<Finding> {
    let Folder { name, unreadable, .. } = folder;
    let n = count(unreadable.len(), "file");
    let named = listed(unreadable.iter().cloned());
    let line = format!("{name}: {n} cannot be read and will be skipped: {named}");
    (!unreadable.is_empty()).then_some(Finding { line, pictures: vec![] })
}

fn too_few(folder: &Folder) -> Option<Finding> {
    let Folder { name, pictures, .. } = folder;
    let line = format!(
        "{name}: only {}; several hundred give a better pair, `cyclegan-train extract` takes \
         them from videos",
        count(pictures.len(), "image")
    );
    (is_train(folder) && pictures.len() < MIN_IMAGES).then_some(Finding { line, pictures: vec![] })
}

fn small(folder: &Folder, load_size: u32) -> Option<Finding> {
    about(
        folder,
        |p| p.size.0.min(p.size.1) < load_size,
        &format!("with a short side below {load_size}"),
        "such images are upscaled and look blurred: use a smaller --load-size and --crop-size, or remove them",
    )
}

fn long(folder: &Folder, preprocess: Preprocess) -> Option<Finding> {
    let squashes = preprocess == Preprocess::ResizeAndCrop;
    about(
        folder,
        |p| {
            squashes
                && f64::from(p.size.0.max(p.size.1))
                    > MAX_ASPECT * f64::from(p.size.0.min(p.size.1))
        },
        "with one side more than twice as long as the other",
        "--preprocess resize_and_crop squashes such images: use multi_scale_crop, or crop them first",
    )
}

fn without_colour(folder: &Folder, mode: Mode) -> Option<Finding> {
    about(
        folder,
        // pix2pix may learn to colour images.
        |p| is_train(folder) && p.is_grey && mode == Mode::Unpaired,
        "without colour",
        "the generators learn to remove colours from such images: remove them",
    )
}

fn without_mask(folder: &Folder) -> Option<Finding> {
    about(
        folder,
        |p| p.mask.is_none(),
        "without a mask",
        "with --look-at foreground such images are not used: add masks, or remove them",
    )
}

fn empty_mask(folder: &Folder) -> Option<Finding> {
    about(
        folder,
        |p| matches!(p.mask, Some(Mask::Inside(share)) if share < EMPTY_SHARE),
        "with an empty mask",
        "the generator learns to leave such images unchanged: correct if nothing of \
         the domain is visible, else redraw such masks",
    )
}

fn dark_mask(folder: &Folder) -> Option<Finding> {
    about(
        folder,
        |p| p.mask == Some(Mask::Dark),
        &format!("with a mask whose largest value is below {INSIDE}"),
        "such masks count as nearly empty: expected 255 for the foreground, and not 1 or the number of a class",
    )
}

fn full_mask(folder: &Folder) -> Option<Finding> {
    about(
        folder,
        |p| matches!(p.mask, Some(Mask::Inside(share)) if share > 1.0 - EMPTY_SHARE),
        "with an all-white mask",
        "the generator learns to change everything: expected white for the foreground, black for the rest",
    )
}

fn unusable_mask(folder: &Folder) -> Option<Finding> {
    about(
        folder,
        |p| matches!(p.mask, Some(Mask::Unusable(_))),
        "with a mask that has another size or cannot be read",
        "such images are skipped: expected masks of the size of their images",
    )
}

/// The images of a folder that `which` selects, with advice; `None` without any.
fn about(
    folder: &Folder,
    which: impl Fn(&Facts) -> bool,
    what: &str,
    advice: &str,
) -> Option<Finding> {
    let found: Vec<&Facts> = folder.pictures.iter().filter(|p| which(p)).collect();
    let n = count(found.len(), "image");
    let named = listed(found.iter().map(|p| file_name(&p.path)));
    let line = format!("{}: {n} {what} ({named}); {advice}", folder.name);
    let pictures: Vec<PathBuf> = found.iter().map(|p| p.path.clone()).collect();
    (!pictures.is_empty()).then_some(Finding { line, pictures })
}

/// Near-duplicates between folders: training images in a test or validation set, or an image in both domains. Partners
/// of a paired data set do not count.
fn duplicates(folders: &[Folder], expected: Expected) -> Vec<Finding> {
    let kind = |folder: &Folder| folder.name.trim_end_matches(['A', 'B']).to_owned();
    let distance = expected.distance;
    let mut findings = Vec::new();
    for (i, one) in folders.iter().enumerate() {
        for other in &folders[i + 1..] {
            let same_set = kind(one) == kind(other);
            if same_set && expected.mode == Mode::Paired {
                continue;
            }
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
            let advice = if same_set {
                "an image in both domains teaches nothing: remove one of the two"
            } else if is_train(one) {
                "scores on training images are too good: remove them from one of the two"
            } else {
                "test scores of a checkpoint that such images have chosen are too good: remove them from one of the two"
            };
            findings.push(Finding {
                line: format!(
                    "{} and {}: {} ({named}); {advice}",
                    one.name,
                    other.name,
                    count(pairs.len(), "identical or nearly identical image")
                ),
                pictures: pairs.iter().flatten().map(|p| p.path.clone()).collect(),
            });
        }
    }
    findings
}

/// Differences between the domains.
fn between(a: &Folder, b: &Folder) -> Vec<Finding> {
    let mut lines = Vec::new();
    let typical = |folder: &Folder| {
        let mut sides: Vec<u32> = folder.pictures.iter().map(|p| p.size.0.min(p.size.1)).collect();
        sides.sort_unstable();
        sides.get(sides.len() / 2).copied().unwrap_or(1)
    };
    let (of_a, of_b) = (typical(a), typical(b));
    if f64::from(of_a.max(of_b)) > MAX_SIZE_RATIO * f64::from(of_a.min(of_b)) {
        lines.push(format!(
            "trainA and trainB: the median short sides are {of_a} and {of_b}; the discriminators may \
             distinguish the domains by their sharpness: scale the larger images down"
        ));
    }
    if a.has_masks != b.has_masks {
        let (with, without) = if a.has_masks { ("A", "B") } else { ("B", "A") };
        lines.push(format!(
            "train{with} has masks and train{without} none; --look-at foreground needs both: \
             `cyclegan-train masks` writes them"
        ));
    }
    lines.into_iter().map(|line| Finding { line, pictures: vec![] }).collect()
}

/// The first few of them.
fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    let first = names.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len() > MAX_NAMED {
        true => format!("{first}, …"),
        false => first,
    }
}

/// The name of a file without its folder.
pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
