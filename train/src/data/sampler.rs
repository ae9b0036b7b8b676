// SPDX-License-Identifier: MIT OR Apache-2.0

//! Draws, crops and augments the images of a batch.

use std::{
    collections::HashSet,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result, bail};
use image::{GrayImage, RgbImage};
use rand::{Rng, RngExt};

use super::{
    batch::{Crops, Pixels},
    decode,
    folder::Domain,
    jitter::JitterRange,
    letterbox::Bars,
    mosaic::mosaic,
    order::{Purpose, order_of_epoch, random},
    picture::{Picture, share},
    view::{Preprocess, Sizes, View},
};

/// Number of random crops tried for enough foreground.
const TRIES: usize = 8;
/// Number of further tries, each around a foreground pixel.
const AIMED_TRIES: usize = 4;
/// Number of images tried instead of an unusable one.
const MAX_REPLACEMENTS: usize = 100;
/// Least foreground share of a crop with --look-at foreground.
const LEAST: f64 = 0.01;

/// What the batches of a run contain.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Domains A and B.
    pub domains: [Domain; 2],
    /// Images with the same index are partners and are cropped alike.
    pub paired: bool,
    /// How images are resized and cropped.
    pub preprocess: Preprocess,
    /// Its sizes.
    pub sizes: Sizes,
    /// Mirror half of the images.
    pub flip: bool,
    /// Desired foreground share of a crop.
    pub min_foreground: f64,
    /// How far the colours of each domain's foreground are changed.
    pub jitter: [JitterRange; 2],
    /// Use only crops with some foreground.
    pub need_mask: bool,
    /// Images of neither domain.
    pub negatives: Vec<PathBuf>,
    /// Their number per image of a domain.
    pub negative_share: f64,
    /// Images of A and of B for their generator only.
    pub extra: [Vec<PathBuf>; 2],
    /// Their number per image of their domain.
    pub extra_share: f64,
    /// Share of the crops with black bars.
    pub letterbox: f64,
    /// Share of the crops that are mosaics of four.
    pub mosaic: f64,
    /// Share of the crops whose foreground is pasted onto a negative.
    pub paste: f64,
    /// Images per iteration, over all ranks.
    pub batch: usize,
    /// The part of them that this process loads.
    pub own: Range<usize>,
    /// Seed of the run.
    pub seed: u64,
    /// Fail on unreadable images.
    pub strict: bool,
}

impl Plan {
    /// Images in an epoch.
    pub fn epoch(&self) -> u64 {
        let [a, b] = &self.domains;
        a.images.len().max(b.images.len()) as u64
    }
}

/// Unusable images, each reported once.
pub type Skipped = Arc<Mutex<HashSet<PathBuf>>>;

/// Makes the batches of a run.
pub struct Sampler<'a> {
    plan: &'a Plan,
    skipped: &'a Skipped,
    /// An epoch and its order of domain A.
    order: Option<(u64, Vec<usize>)>,
}

impl<'a> Sampler<'a> {
    /// Unusable images are reported once and added to `skipped`.
    pub fn new(plan: &'a Plan, skipped: &'a Skipped) -> Self {
        Self { plan, skipped, order: None }
    }

    /// This rank's images of the batch that starts with image `first` of the run. An image depends only on
    /// its position in the run, not on the batch size.
    pub fn batch(&mut self, first: u64) -> Result<[Crops; 2]> {
        let mut crops = [Crops::default(), Crops::default()];
        let positions = self.plan.own.clone().map(|k| first + k as u64);
        for position in positions.clone() {
            let epoch = self.plan.epoch();
            let a = self.index_a(position / epoch, (position % epoch) as usize);
            if self.plan.paired {
                self.add(&mut crops, &[0, 1], a, Purpose::ViewA, position)?;
                continue;
            }
            let mut pick = random(self.plan.seed, Purpose::PickB, position);
            let b = pick.random_range(0..self.plan.domains[1].images.len());
            self.add(&mut crops, &[0], a, Purpose::ViewA, position)?;
            self.add(&mut crops, &[1], b, Purpose::ViewB, position)?;
        }
        for position in positions {
            let plan = self.plan;
            let [a, b] = &mut crops;
            let negatives = ("--negatives", plan.negatives.as_slice(), plan.negative_share);
            self.add_other(&mut a.negatives, negatives, Purpose::NegativeA, position)?;
            self.add_other(&mut b.negatives, negatives, Purpose::NegativeB, position)?;
            let [of_a, of_b] = &plan.extra;
            let extra = ("--extra-a", of_a.as_slice(), plan.extra_share);
            self.add_other(&mut a.extra, extra, Purpose::ExtraA, position)?;
            let extra = ("--extra-b", of_b.as_slice(), plan.extra_share);
            self.add_other(&mut b.extra, extra, Purpose::ExtraB, position)?;
        }
        Ok(crops)
    }

    /// Adds a crop of a random image from an option's folders, if this image of the batch gets one.
    fn add_other(
        &self,
        pixels: &mut Pixels,
        (option, pictures, share): (&str, &[PathBuf], f64),
        purpose: Purpose,
        position: u64,
    ) -> Result<()> {
        let plan = self.plan;
        let mut rng = random(plan.seed, purpose, position);
        if pictures.is_empty() || !rng.random_bool(share) {
            return Ok(());
        }
        let crop = self.other(option, pictures, &mut rng)?;
        pixels.size = crop.dimensions();
        pixels.bytes.extend_from_slice(&crop);
        Ok(())
    }

    /// A crop of a random image of those of an option's folders.
    fn other(&self, option: &str, pictures: &[PathBuf], rng: &mut impl Rng) -> Result<RgbImage> {
        for _ in 0..MAX_REPLACEMENTS {
            let path = &pictures[rng.random_range(0..pictures.len())];
            match self.unlabelled(path, rng) {
                Ok(crop) => return Ok(crop),
                Err(error) if self.plan.strict => return Err(error),
                Err(error) => self.skip(path, &error),
            }
        }
        bail!("{option}: no usable image in {MAX_REPLACEMENTS} tries, see the messages above")
    }

    fn unlabelled(&self, path: &Path, rng: &mut impl Rng) -> Result<RgbImage> {
        let plan = self.plan;
        let picture = decode::rgb(path)?;
        let view = plan.preprocess.view(picture.dimensions(), plan.sizes, plan.flip, rng);
        let mut crop = view.with_context(|| path.display().to_string())?.of_rgb(&picture);
        if plan.letterbox > 0.0 && rng.random_bool(plan.letterbox) {
            Bars::random(rng).draw(&mut crop);
        }
        Ok(crop)
    }

    fn index_a(&mut self, epoch: u64, place: usize) -> usize {
        let plan = self.plan;
        let known = self.order.take().filter(|(e, _)| *e == epoch);
        let fresh = || {
            let images = plan.domains[0].images.len();
            (epoch, order_of_epoch(plan.seed, epoch, images, plan.epoch() as usize))
        };
        self.order.insert(known.unwrap_or_else(fresh)).1[place]
    }

    /// Adds crops of image `index` of some domains, all with the same view, or of a random other image if it
    /// is unusable.
    fn add(
        &self,
        crops: &mut [Crops; 2],
        domains: &[usize],
        index: usize,
        purpose: Purpose,
        position: u64,
    ) -> Result<()> {
        let mut rng = random(self.plan.seed, purpose, position);
        let images = &self.plan.domains[domains[0]].images;
        let tried = images.len().min(MAX_REPLACEMENTS);
        let mut left: Vec<usize> = (0..images.len()).filter(|&i| i != index).collect();
        let mut index = index;
        for _ in 0..tried {
            match self.crop(domains, index, &mut rng) {
                Ok(Some(cuts)) => {
                    for (cut, &d) in cuts.iter().zip(domains) {
                        push(&mut crops[d], cut, !self.plan.domains[d].masks.is_empty());
                    }
                    return Ok(());
                }
                Ok(None) => {}
                Err(error) if self.plan.strict => return Err(error),
                Err(error) => self.skip(&images[index], &error),
            }
            if left.is_empty() {
                break;
            }
            index = left.swap_remove(rng.random_range(0..left.len()));
        }
        let folder = images[0].parent().unwrap_or(&images[0]).display();
        bail!(
            "{folder}: no usable image among {tried}: each cannot be read (see the messages above) or has \
             too little foreground for a crop"
        );
    }

    fn skip(&self, path: &Path, error: &anyhow::Error) {
        let new = self.skipped.lock().is_ok_and(|mut s| s.insert(path.to_owned()));
        if new {
            say_error!("skipped: {error:#}");
        }
    }

    /// Crops of image `index` of each domain, alone or in a mosaic; `None` if foreground is required and a
    /// crop has none.
    fn crop(
        &self,
        domains: &[usize],
        index: usize,
        rng: &mut impl Rng,
    ) -> Result<Option<Vec<Picture>>> {
        let Plan { mosaic, paste, letterbox, need_mask, sizes, .. } = *self.plan;
        let mut cuts = if mosaic > 0.0 && rng.random_bool(mosaic) {
            self.mosaics(domains, index, rng)?
        } else {
            self.cuts(domains, index, sizes, rng)?
        };
        if paste > 0.0 && rng.random_bool(paste) {
            for cut in cuts.iter_mut().filter(|cut| cut.can_be_pasted()) {
                cut.paste_onto(self.other("--negatives", &self.plan.negatives, rng)?, rng);
            }
        }
        if letterbox > 0.0 && rng.random_bool(letterbox) {
            let bars = Bars::random(rng);
            let seen = |p: &Picture| p.mask.as_ref().is_none_or(|m| bars.leaves(m) >= LEAST);
            if !need_mask || cuts.iter().all(seen) {
                cuts.iter_mut().for_each(|cut| cut.letterbox(&bars));
            }
        }
        let inside = |p: &Picture| p.mask.as_ref().is_some_and(|m| share(m) >= LEAST);
        Ok((!need_mask || cuts.iter().all(inside)).then_some(cuts))
    }

    /// Mosaics of image `index` of each domain and three random other ones, each at half its size.
    fn mosaics(&self, domains: &[usize], index: usize, rng: &mut impl Rng) -> Result<Vec<Picture>> {
        let sizes = self.plan.sizes.halved();
        let images = &self.plan.domains[domains[0]].images;
        let first = self.cuts(domains, index, sizes, rng)?;
        let mut tiles: Vec<Vec<Picture>> = first.into_iter().map(|cut| vec![cut]).collect();
        for _ in 0..MAX_REPLACEMENTS {
            if tiles[0].len() == 4 {
                break;
            }
            let other = rng.random_range(0..images.len());
            match self.cuts(domains, other, sizes, rng) {
                Ok(cuts) => tiles.iter_mut().zip(cuts).for_each(|(tiles, cut)| tiles.push(cut)),
                Err(error) if self.plan.strict => return Err(error),
                Err(error) => self.skip(&images[other], &error),
            }
        }
        let of_domain = |tiles: Vec<Picture>| {
            let tiles: Option<[Picture; 4]> = tiles.try_into().ok();
            let tiles = tiles.context("--mosaic: too few usable images, see the messages above")?;
            Ok(mosaic(&tiles))
        };
        tiles.into_iter().map(of_domain).collect()
    }

    /// Crops of image `index` of each domain, all with the same view.
    fn cuts(
        &self,
        domains: &[usize],
        index: usize,
        sizes: Sizes,
        rng: &mut impl Rng,
    ) -> Result<Vec<Picture>> {
        let jitter = domains.iter().map(|&d| self.plan.jitter[d]);
        let domains: Vec<&Domain> = domains.iter().map(|&d| &self.plan.domains[d]).collect();
        let open = |d: &&Domain| Picture::open(d, index);
        let pictures: Vec<Picture> = domains.iter().map(open).collect::<Result<_>>()?;
        let path = &domains[0].images[index];
        let (w, h) = pictures[0].rgb.dimensions();
        if let Some(other) = pictures.iter().map(|p| p.rgb.dimensions()).find(|&s| s != (w, h)) {
            bail!(
                "{}: is {w}×{h}, but its partner is {}×{}, expected the same size",
                path.display(),
                other.0,
                other.1
            );
        }
        let view = self.best_view((w, h), pictures[0].mask.as_ref(), sizes, rng);
        let view = view.with_context(|| path.display().to_string())?;
        let mut cuts: Vec<Picture> = pictures.iter().map(|p| p.cut(&view)).collect();
        for (cut, range) in cuts.iter_mut().zip(jitter) {
            if let Some(jitter) = range.random(rng) {
                cut.jitter(&jitter);
            }
        }
        Ok(cuts)
    }

    /// A random view, redrawn while it has too little foreground, at last around a foreground pixel.
    fn best_view(
        &self,
        size: (u32, u32),
        mask: Option<&GrayImage>,
        sizes: Sizes,
        rng: &mut impl Rng,
    ) -> Result<View> {
        let plan = self.plan;
        let view = plan.preprocess.view(size, sizes, plan.flip, rng)?;
        let least =
            if plan.need_mask { plan.min_foreground.max(LEAST) } else { plan.min_foreground };
        let Some(mask) = mask.filter(|_| least > 0.0) else {
            return Ok(view);
        };
        let mut best = (share(&view.of_mask(mask)), view);
        let mut points = None;
        for k in 1..TRIES + AIMED_TRIES {
            if best.0 >= least {
                break;
            }
            let mut view = plan.preprocess.view(size, sizes, plan.flip, rng)?;
            if k >= TRIES {
                let points = points.get_or_insert_with(|| foreground(mask));
                if points.is_empty() {
                    break;
                }
                view = view.around(points[rng.random_range(0..points.len())], size, rng);
            }
            let share = share(&view.of_mask(mask));
            if share > best.0 {
                best = (share, view);
            }
        }
        Ok(best.1)
    }
}

/// The foreground pixels of a mask.
fn foreground(mask: &GrayImage) -> Vec<(u32, u32)> {
    let inside = mask.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[0] >= 128);
    inside.map(|(x, y, _)| (x, y)).collect()
}

fn push(crops: &mut Crops, cut: &Picture, masked: bool) {
    let place = crops.known.len() as i64;
    crops.size = cut.rgb.dimensions();
    crops.images.push(&cut.rgb, cut.real.as_ref());
    crops.known.push(if cut.mask.is_some() { 1.0 } else { 0.0 });
    if masked {
        let masks = crops.masks.get_or_insert_default();
        match &cut.mask {
            Some(mask) => masks.extend_from_slice(mask),
            None => masks.resize(masks.len() + (cut.rgb.len() / 3), 0),
        }
    }
    if let Some(generated) = &cut.generated {
        crops.generated.get_or_insert_default().extend_from_slice(generated);
    }
    if let Some(next) = &cut.next {
        crops.next.extend_from_slice(next);
        crops.followed.push(place);
    }
}
