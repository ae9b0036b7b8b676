// SPDX-License-Identifier: MIT OR Apache-2.0

//! Held-out images for validation.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use sha2::{Digest, Sha256};

use super::{decode, folder::Domain};
use crate::terminal;

/// Least number of images of a domain for a meaningful score.
const LEAST: usize = 3;
/// Most validation images of each domain.
const MOST: usize = 200;

/// Validation images.
#[derive(Clone, Debug, Default)]
pub struct HeldOut {
    /// Of domains A and B.
    pub domains: [Vec<PathBuf>; 2],
    /// Of neither.
    pub negatives: Vec<PathBuf>,
}

impl HeldOut {
    /// Reports images that cannot be read and leaves them out; with `strict` they are an error.
    pub fn readable(self, strict: bool) -> Result<Self> {
        let readable = |images: Vec<PathBuf>| -> Result<Vec<PathBuf>> {
            let mut left = Vec::new();
            for path in images {
                match decode::rgb(&path) {
                    Ok(_) => left.push(path),
                    Err(error) if strict => return Err(error.into()),
                    Err(error) => say_error!("skipped: {error}"),
                }
            }
            Ok(left)
        };
        let [a, b] = self.domains;
        let domains = [readable(a)?, readable(b)?];
        for (name, images) in ["A", "B"].into_iter().zip(&domains) {
            let count = images.len();
            ensure!(
                count >= LEAST,
                "--eval-every: {} of {name}, expected at least {LEAST}",
                terminal::count(count, "readable validation image")
            );
        }
        Ok(Self { domains, negatives: readable(self.negatives)? })
    }
}

/// `valA` and `valB` of a data set, else a share of the training images, which are removed from `domains`;
/// and the same share of `negatives`. Only the names decide, so that pairs stay together and an extended data
/// set holds out mostly the same images.
pub fn hold_out(
    data: &Path,
    share: f64,
    domains: &mut [Domain; 2],
    negatives: &mut Vec<PathBuf>,
) -> Result<HeldOut> {
    let mut held_out = HeldOut::default();
    let folders = ["valA", "valB"].map(|name| Domain::open_if_there(data, name));
    let [a, b] = folders;
    match [a?, b?] {
        [Some(a), Some(b)] => held_out.domains = [a.images, b.images],
        [None, None] => {
            for (domain, held_out) in domains.iter_mut().zip(&mut held_out.domains) {
                let names: Vec<_> = domain.images.iter().map(|i| domain.base_name(i)).collect();
                let chosen = chosen(&names, share);
                let place = domain.root.display().to_string();
                ensure_some_left(&place, names.len(), chosen.len(), share)?;
                *held_out = chosen.iter().map(|&i| domain.images[i].clone()).collect();
                let rest: Vec<_> = (0..names.len()).filter(|i| !chosen.contains(i)).collect();
                *domain = domain.only(&rest);
            }
        }
        _ => anyhow::bail!(
            "{}: has only one of valA and valB, expected both or neither",
            data.display()
        ),
    }
    if negatives.len() > LEAST {
        let names = negatives.iter().map(|path| path.with_extension(""));
        let names: Vec<PathBuf> =
            names.map(|n| n.file_name().map_or(n.clone(), Into::into)).collect();
        let chosen = chosen(&names, share);
        ensure_some_left("--negatives", names.len(), chosen.len(), share)?;
        held_out.negatives = chosen.iter().map(|&i| negatives[i].clone()).collect();
        let mut i = 0;
        negatives.retain(|_| {
            i += 1;
            !chosen.contains(&(i - 1))
        });
    }
    // valA and valB may have more.
    for pictures in &mut held_out.domains {
        let count = pictures.len().min(MOST);
        *pictures = (0..count).map(|i| pictures[i * pictures.len() / count].clone()).collect();
    }
    Ok(held_out)
}

/// Fails if all of `count` images at `place` are held out, as `share` demands.
fn ensure_some_left(place: &str, count: usize, held_out: usize, share: f64) -> Result<()> {
    ensure!(
        count > LEAST,
        "{place}: {}, expected more than the {LEAST} that --eval-every holds out",
        terminal::count(count, "image")
    );
    ensure!(
        held_out < count,
        "{place}: --val-share {share} holds out all {count} images, expected a smaller share"
    );
    Ok(())
}

/// The indices of a share of names, but at least [`LEAST`] and at most [`MOST`]: those with the smallest hashes.
fn chosen(names: &[PathBuf], share: f64) -> Vec<usize> {
    let count = ((names.len() as f64 * share).round() as usize).clamp(LEAST, MOST);
    let hash = |name: &PathBuf| Sha256::digest(name.to_string_lossy().as_bytes()).to_vec();
    let mut hashed: Vec<_> = names.iter().enumerate().map(|(i, n)| (hash(n), i)).collect();
    hashed.sort();
    let mut places: Vec<usize> = hashed.into_iter().take(count).map(|(_, i)| i).collect();
    places.sort_unstable();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(root: &str, count: usize) -> Domain {
        let images = (0..count).map(|i| Path::new(root).join(format!("{i:03}.png"))).collect();
        Domain { root: root.into(), images, ..Domain::default() }
    }

    #[test]
    fn held_out_images_are_removed_from_training() {
        let data = tempfile::tempdir().unwrap();
        let split = |count: usize, share: f64| {
            let mut domains = [domain("trainA", count), domain("trainB", count)];
            let mut negatives = domain("neither", 40).images;
            let held_out = hold_out(data.path(), share, &mut domains, &mut negatives).unwrap();
            assert_eq!(held_out.negatives.len() + negatives.len(), 40);
            let names = |d: usize| {
                held_out.domains[d]
                    .iter()
                    .map(|p| p.file_name().unwrap().to_owned())
                    .collect::<Vec<_>>()
            };
            assert_eq!(names(0), names(1), "pairs are split");
            assert!(held_out.domains[0].iter().all(|p| !domains[0].images.contains(p)));
            assert_eq!(domains[0].images.len() + held_out.domains[0].len(), count);
            names(0)
        };
        assert_eq!(split(100, 0.05).len(), 5);
        assert_eq!(split(100, 0.001).len(), 3);
        // The images held out of a larger set include most of those held out of a smaller one.
        let (few, many) = (split(100, 0.1), split(110, 0.1));
        assert!(few.iter().filter(|name| many.contains(name)).count() >= 8);
        // No more images than are scored.
        let (few, many) = (split(1000, 0.5), split(1010, 0.5));
        assert_eq!((few.len(), many.len()), (200, 200));
        assert!(few.iter().filter(|name| many.contains(name)).count() >= 190);
        let fails = |count: usize, share: f64| {
            let mut domains = [domain("trainA", count), domain("trainB", 9)];
            hold_out(data.path(), share, &mut domains, &mut vec![]).unwrap_err().to_string()
        };
        let error = fails(3, 0.1);
        assert!(error.contains("trainA") && error.contains("more than the 3"), "{error}");
        let error = fails(20, 1.0);
        assert!(error.contains("trainA") && error.contains("--val-share 1"), "{error}");
    }

    #[test]
    fn val_folders_leave_the_training_images_alone() {
        let data = tempfile::tempdir().unwrap();
        std::fs::create_dir(data.path().join("valA")).unwrap();
        std::fs::write(data.path().join("valA/1.png"), "").unwrap();
        let mut domains = [domain("trainA", 9), domain("trainB", 9)];
        let error = hold_out(data.path(), 0.1, &mut domains, &mut vec![]).unwrap_err();
        assert!(error.to_string().contains("both or neither"), "{error}");
        std::fs::create_dir(data.path().join("valB")).unwrap();
        std::fs::write(data.path().join("valB/2.png"), "").unwrap();
        let held_out = hold_out(data.path(), 0.1, &mut domains, &mut vec![]).unwrap();
        assert_eq!(held_out.domains.map(|d| d.len()), [1, 1]);
        assert_eq!(domains.each_ref().map(|d| d.images.len()), [9, 9]);
        let mut negatives = domain("neither", 9).images;
        let error = hold_out(data.path(), 1.0, &mut domains, &mut negatives).unwrap_err();
        assert!(error.to_string().contains("--negatives: --val-share 1"), "{error}");
    }
}
