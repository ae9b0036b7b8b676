// SPDX-License-Identifier: MIT OR Apache-2.0

//! Inspects each image of a folder.

use std::{path::PathBuf, thread};

use image::RgbImage;
use indicatif::ProgressBar;

use crate::data::{decode, folder::Domain, hash::Hash};

/// The largest mean difference between the channels of a grey image, in grey levels: JPEG causes some.
const GREY: f64 = 2.0;

/// The least value of a mask that counts as inside.
pub const INSIDE: u8 = 128;

/// Facts about an image.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The file.
    pub path: PathBuf,
    /// Width and height, pixels.
    pub size: (u32, u32),
    /// Whether it is greyscale.
    pub is_grey: bool,
    /// Its perceptual hash, which near-duplicates nearly share.
    pub hash: Hash,
    /// Its mask, if it has one.
    pub mask: Option<Mask>,
}

/// Facts about a mask.
#[derive(Clone, Debug, PartialEq)]
pub enum Mask {
    /// Its white share, 0 to 1.
    Inside(f64),
    /// It has values, but none that counts as inside.
    Dark,
    /// It cannot be used.
    Unusable(String),
}

/// Facts about a folder.
#[derive(Debug, Default)]
pub struct Folder {
    /// `trainA` or the like.
    pub name: String,
    /// Its readable images.
    pub pictures: Vec<Facts>,
    /// The unreadable ones, with reasons.
    pub unreadable: Vec<String>,
    /// Whether there is a folder of masks.
    pub has_masks: bool,
}

impl Folder {
    /// Inspects every image of a domain, on all cores.
    pub fn inspect(name: &str, domain: &Domain, bar: &ProgressBar) -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let mut seen: Vec<(usize, Result<Facts, String>)> = thread::scope(|scope| {
            let share = |first: usize| {
                let places = (first..domain.images.len()).step_by(threads);
                let inspect = move |i: usize| {
                    bar.inc(1);
                    (i, facts(domain, i))
                };
                scope.spawn(move || places.map(inspect).collect::<Vec<_>>())
            };
            let shares: Vec<_> = (0..threads).map(share).collect();
            // The images of a thread that panicked are missing; the panic was printed.
            shares.into_iter().filter_map(|share| share.join().ok()).flatten().collect()
        });
        seen.sort_by_key(|(i, _)| *i);
        let has_masks = !domain.masks.is_empty();
        let mut folder = Self { name: name.to_owned(), has_masks, ..Self::default() };
        for (_, facts) in seen {
            match facts {
                Ok(facts) => folder.pictures.push(facts),
                Err(problem) => folder.unreadable.push(problem),
            }
        }
        folder
    }
}

fn facts(domain: &Domain, i: usize) -> Result<Facts, String> {
    let path = &domain.images[i];
    let picture = decode::rgb(path).map_err(|error| error.to_string())?;
    let size = picture.dimensions();
    let mask = domain.masks.get(i).and_then(Option::as_ref);
    let mask = mask.map(|mask| match decode::mask(mask) {
        Err(error) => Mask::Unusable(error.to_string()),
        Ok(mask) if mask.dimensions() != size => {
            let ((mw, mh), (w, h)) = (mask.dimensions(), size);
            Mask::Unusable(format!("{}: is {w}×{h}, but its mask {mw}×{mh}", path.display()))
        }
        Ok(mask) if (1..INSIDE).contains(&mask.iter().copied().max().unwrap_or(0)) => Mask::Dark,
        Ok(mask) => {
            let inside = mask.iter().map(|&v| f64::from(v) / 255.0).sum::<f64>();
            Mask::Inside(inside / mask.len().max(1) as f64)
        }
    });
    let (is_grey, hash) = (is_grey(&picture), Hash::of(&picture));
    Ok(Facts { path: path.clone(), size, is_grey, hash, mask })
}

fn is_grey(picture: &RgbImage) -> bool {
    let spread = |pixel: &image::Rgb<u8>| {
        let [r, g, b] = pixel.0;
        f64::from(r.max(g).max(b) - r.min(g).min(b))
    };
    let sum = picture.pixels().map(spread).sum::<f64>();
    sum / f64::from(picture.width() * picture.height()).max(1.0) < GREY
}
