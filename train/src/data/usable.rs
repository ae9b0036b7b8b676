// SPDX-License-Identifier: MIT OR Apache-2.0

//! Selects the images that are usable with --look-at foreground.

use super::{decode, folder::Domain, picture::share};

/// Least foreground share of an image, so that some crop can show it.
const LEAST: f64 = 0.001;

/// The domains without images whose mask is missing or empty (for pairs, without both images); prints how
/// many were left out. The loader reports masks that cannot be read.
pub fn with_masks(domains: [Domain; 2], paired: bool, quiet: bool) -> [Domain; 2] {
    let usable = domains.each_ref().map(usable);
    let kept = [0, 1].map(|d| {
        let keep = |i: &usize| if paired { usable[0][*i] && usable[1][*i] } else { usable[d][*i] };
        (0..domains[d].images.len()).filter(keep).collect::<Vec<_>>()
    });
    let names = ["A", "B"];
    [0, 1].map(|d| {
        let left_out = domains[d].images.len() - kept[d].len();
        if left_out > 0 && !quiet {
            let (name, images) = (names[d], if left_out == 1 { "image" } else { "images" });
            say_error!("left out: {left_out} {images} of {name} whose mask is missing or empty");
        }
        domains[d].only(&kept[d])
    })
}

fn usable(domain: &Domain) -> Vec<bool> {
    let of = |i: usize| {
        let mask = domain.masks.get(i).and_then(Option::as_ref);
        mask.is_some_and(|mask| decode::mask(mask).map_or(true, |mask| share(&mask) >= LEAST))
    };
    (0..domain.images.len()).map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use image::{GrayImage, Luma};

    use super::*;

    #[test]
    fn images_without_foreground_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let mask = |name: &str, inside: u32| {
            let path = folder.path().join(name);
            let pixel = |x, _| Luma([if x < inside { 255 } else { 0 }]);
            GrayImage::from_fn(100, 4, pixel).save(&path).unwrap();
            Some(path)
        };
        let broken = folder.path().join("broken.png");
        std::fs::write(&broken, "nothing").unwrap();
        let domain = Domain {
            images: ["full", "missing", "empty", "broken"].map(PathBuf::from).to_vec(),
            masks: vec![mask("full.png", 50), None, mask("empty.png", 0), Some(broken)],
            ..Domain::default()
        };
        let names =
            |d: &Domain| d.images.iter().map(|p| p.display().to_string()).collect::<Vec<_>>();
        let [a, b] = with_masks([domain.clone(), domain.only(&[0, 1, 2, 3])], false, true);
        assert_eq!((names(&a), names(&b)), (vec!["full".into(), "broken".into()], names(&a)));
        // Both images of a pair are left out.
        let other = domain.only(&[1, 0, 0, 0]);
        let [a, b] = with_masks([domain, other], true, true);
        assert_eq!((names(&a), names(&b)), (vec!["broken".to_owned()], vec!["full".to_owned()]));
    }
}
