// SPDX-License-Identifier: MIT OR Apache-2.0

//! Two domains whose images are paired by name.

use std::{collections::HashMap, path::PathBuf};

use anyhow::{Result, ensure};

use super::folder::Domain;

/// The images of both domains with the same base names, in the same order, at most `max`. Each has one partner: of `1.jpg`
/// and `1.png` in one domain, one is left out.
pub fn matched(a: Domain, b: Domain, max: Option<usize>) -> Result<[Domain; 2]> {
    let mut places: HashMap<_, _> =
        b.images.iter().enumerate().map(|(i, p)| (b.base_name(p), i)).collect();
    let with_b = |(i, path): (usize, &PathBuf)| Some((i, places.remove(&a.base_name(path))?));
    let pairs: Vec<(usize, usize)> = a.images.iter().enumerate().filter_map(with_b).collect();
    let folder = |d: &Domain| d.images[0].parent().unwrap_or(&d.images[0]).display().to_string();
    ensure!(
        !pairs.is_empty(),
        "{} and {}: no two images have the same base name, expected an image and its partner \
         to be named alike",
        folder(&a),
        folder(&b)
    );
    let alone = a.images.len() + b.images.len() - 2 * pairs.len();
    if alone > 0 {
        let images = if alone == 1 { "image" } else { "images" };
        say_error!("left out: {alone} {images} without a partner in the other domain");
    }
    let pairs = &pairs[..pairs.len().min(max.unwrap_or(usize::MAX))];
    let (of_a, of_b): (Vec<usize>, Vec<usize>) = pairs.iter().copied().unzip();
    Ok([a.only(&of_a), b.only(&of_b)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(names: &[&str]) -> Domain {
        let images: Vec<_> = names.iter().map(PathBuf::from).collect();
        Domain {
            root: images[0].ancestors().nth(1).unwrap().to_owned(),
            images,
            ..Domain::default()
        }
    }

    #[test]
    fn an_image_has_one_partner() {
        let (a, b) = (domain(&["a/1.jpeg", "a/1.jpg", "a/2.jpg"]), domain(&["b/1.jpg", "b/2.jpg"]));
        let [a, b] = matched(a, b, None).unwrap();
        assert_eq!(a.images, domain(&["a/1.jpeg", "a/2.jpg"]).images);
        assert_eq!(b.images, domain(&["b/1.jpg", "b/2.jpg"]).images);
    }

    #[test]
    fn partners_are_found_by_base_name() {
        let (a, b) = (domain(&["a/1.jpg", "a/2.jpg", "a/4.jpg"]), domain(&["b/2.png", "b/4.png"]));
        let [a, b] = matched(a, b, None).unwrap();
        assert_eq!(a.images, domain(&["a/2.jpg", "a/4.jpg"]).images);
        assert_eq!(b.images, domain(&["b/2.png", "b/4.png"]).images);
        let error = matched(domain(&["a/1.jpg"]), domain(&["b/2.jpg"]), None).unwrap_err();
        assert!(error.to_string().contains("same base name"), "{error}");
    }
}
