// SPDX-License-Identifier: MIT OR Apache-2.0

//! A training image with everything that is cropped alike: its mask, the next frame and a teacher's output.

use std::path::Path;

use anyhow::{Result, ensure};
use image::{GrayImage, RgbImage};

use super::{decode, folder::Domain, jitter::Jitter, letterbox::Bars, shot::same_shot, view::View};

/// An image, or a crop of one.
#[derive(Debug)]
pub struct Picture {
    /// RGB for the generators.
    pub rgb: RgbImage,
    /// The original RGB, if it differs.
    pub real: Option<RgbImage>,
    /// The mask, 255 inside, if there is one.
    pub mask: Option<GrayImage>,
    /// The next frame of the shot, if there is one.
    pub next: Option<RgbImage>,
    /// A teacher's output, possibly at another size.
    pub generated: Option<RgbImage>,
}

/// Reads the mask of the image `rgb` in file `path`; fails if it has another size.
pub fn mask_of(path: &Path, rgb: &RgbImage, mask: &Path) -> Result<GrayImage> {
    let mask = decode::mask(mask)?;
    let ((mw, mh), (w, h)) = (mask.dimensions(), rgb.dimensions());
    ensure!(
        (mw, mh) == (w, h),
        "{}: is {w}×{h}, but its mask is {mw}×{mh}, expected the same size",
        path.display()
    );
    Ok(mask)
}

impl Picture {
    /// Reads image `index` of a domain.
    pub fn open(domain: &Domain, index: usize) -> Result<Self> {
        let path = &domain.images[index];
        let rgb = decode::rgb(path)?;
        let mask = domain.masks.get(index).and_then(Option::as_ref);
        let mask = mask.map(|mask| mask_of(path, &rgb, mask)).transpose()?;
        // An unreadable next frame is reported when it is loaded itself.
        let next = domain.next.get(index).copied().flatten();
        let next = next.and_then(|n| decode::rgb(&domain.images[n]).ok());
        let next = next.filter(|n| n.dimensions() == rgb.dimensions() && same_shot(&rgb, n));
        let generated = domain.generated.as_ref().map(|folder| domain.output(folder, path));
        let generated = generated.map(|p| decode::rgb(&p)).transpose()?;
        Ok(Self { rgb, real: None, mask, next, generated })
    }

    /// Its crop by a view.
    pub fn cut(&self, view: &View) -> Self {
        Self {
            rgb: view.of_rgb(&self.rgb),
            real: self.real.as_ref().map(|r| view.of_rgb(r)),
            mask: self.mask.as_ref().map(|m| view.of_mask(m)),
            next: self.next.as_ref().map(|n| view.of_rgb(n)),
            generated: self
                .generated
                .as_ref()
                .map(|p| view.moved(self.rgb.dimensions(), p.dimensions()).of_rgb(p)),
        }
    }

    /// Changes the colours of the foreground for the generators; the discriminator sees the original.
    /// The next frame uses the same mask.
    pub fn jitter(&mut self, jitter: &Jitter) {
        self.real.get_or_insert_with(|| self.rgb.clone());
        for picture in [Some(&mut self.rgb), self.next.as_mut()].into_iter().flatten() {
            jitter.apply(picture, self.mask.as_ref());
        }
    }
    /// Draws black bars over all of it.
    pub fn letterbox(&mut self, bars: &Bars) {
        let others = [self.real.as_mut(), self.next.as_mut(), self.generated.as_mut()];
        for picture in [Some(&mut self.rgb)].into_iter().chain(others).flatten() {
            bars.draw(picture);
        }
        if let Some(mask) = &mut self.mask {
            bars.clear(mask);
        }
    }
}

/// The foreground share of a mask.
pub fn share(mask: &GrayImage) -> f64 {
    let sum: u64 = mask.as_raw().iter().map(|&v| u64::from(v)).sum();
    sum as f64 / (255.0 * mask.as_raw().len() as f64)
}
