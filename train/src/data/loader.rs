// SPDX-License-Identifier: MIT OR Apache-2.0

//! Loading and augmenting on threads of their own.

use std::{
    collections::HashSet,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

use anyhow::{Context, Result, bail};
use image::GrayImage;
use rand::{Rng, RngExt};

use super::{
    batch::Crops,
    folder::Domain,
    order::{Purpose, order_of_epoch, random},
    picture::Picture,
    shade::Shade,
    view::{Preprocess, Sizes, View},
};

/// Batches that each thread makes ahead.
const AHEAD: usize = 2;
/// Tries at a crop with enough of the foreground.
const TRIES: usize = 8;
/// How many images are tried in place of one that cannot be read.
const STAND_INS: usize = 100;

/// What the loader needs to know.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Domains A and B.
    pub domains: [Domain; 2],
    /// Images of the same place belong together and are cropped alike.
    pub paired: bool,
    /// How pictures become crops.
    pub preprocess: Preprocess,
    /// Sizes of that.
    pub sizes: Sizes,
    /// Mirror half of the images.
    pub flip: bool,
    /// Share of a crop that should lie inside the mask.
    pub min_foreground: f64,
    /// Range of the random gamma of each domain's foreground, powers of two.
    pub gamma: [f64; 2],
    /// Only images whose mask is known and not empty.
    pub need_mask: bool,
    /// Images a step, over all processes.
    pub batch: usize,
    /// Which of them this process loads.
    pub own: Range<usize>,
    /// Seed of the run.
    pub seed: u64,
    /// Fail on what cannot be read.
    pub strict: bool,
}

impl Plan {
    /// Images in an epoch.
    pub fn epoch(&self) -> usize {
        let [a, b] = &self.domains;
        a.images.len().max(b.images.len())
    }

    /// Steps in an epoch; a rest that fills no batch goes to the next one.
    pub fn steps(&self) -> u64 {
        (self.epoch() / self.batch).max(1) as u64
    }
}

/// Hands out the batches of a run in order.
#[derive(Debug)]
pub struct Loader {
    queues: Vec<Receiver<Result<[Crops; 2]>>>,
    next: u64,
    peeked: Option<[Crops; 2]>,
    skipped: Skipped,
}

/// Images that could not be used, each named once.
type Skipped = Arc<Mutex<HashSet<PathBuf>>>;

impl Loader {
    /// Starts `threads` threads that load from step `first` on.
    pub fn start(plan: Plan, first: u64, threads: u32) -> Self {
        let (plan, skipped) = (Arc::new(plan), Skipped::default());
        let stride = u64::from(threads);
        let queue = |k: u64| {
            let (sender, queue) = sync_channel(AHEAD);
            let (plan, skipped) = (plan.clone(), skipped.clone());
            thread::spawn(move || {
                let mut worker = Worker::new(&plan, &skipped);
                let mut step = first + k;
                // An error to send means that the run is over.
                while sender.send(worker.step(step)).is_ok() {
                    step += stride;
                }
            });
            queue
        };
        Self { queues: (0..stride).map(queue).collect(), next: 0, peeked: None, skipped }
    }

    /// The crops of the next step, domains A and B.
    pub fn next_crops(&mut self) -> Result<[Crops; 2]> {
        if let Some(peeked) = self.peeked.take() {
            return Ok(peeked);
        }
        let queue = &self.queues[(self.next % self.queues.len() as u64) as usize];
        self.next += 1;
        queue.recv().context("a loader thread ended early")?
    }

    /// Waits for the first crops, so that data that cannot work is told before a run begins.
    pub fn peek(&mut self) -> Result<()> {
        self.peeked = Some(self.next_crops()?);
        Ok(())
    }

    /// How many images could not be used so far.
    pub fn skipped(&self) -> usize {
        self.skipped.lock().map_or(0, |s| s.len())
    }
}

struct Worker<'a> {
    plan: &'a Plan,
    skipped: &'a Skipped,
    /// An epoch and its order of domain A.
    order: Option<(u64, Vec<usize>)>,
}

impl<'a> Worker<'a> {
    fn new(plan: &'a Plan, skipped: &'a Skipped) -> Self {
        Self { plan, skipped, order: None }
    }

    fn step(&mut self, step: u64) -> Result<[Crops; 2]> {
        let (epoch, in_epoch) = (step / self.plan.steps(), step % self.plan.steps());
        let mut crops = [Crops::default(), Crops::default()];
        for k in self.plan.own.clone() {
            let place = in_epoch as usize * self.plan.batch + k;
            let position = epoch * self.plan.epoch() as u64 + place as u64;
            let a = self.index_a(epoch, place % self.plan.epoch());
            if self.plan.paired {
                self.add(&mut crops, &[0, 1], a, Purpose::ViewA, position)?;
                continue;
            }
            let mut pick = random(self.plan.seed, Purpose::PickB, position);
            let b = pick.random_range(0..self.plan.domains[1].images.len());
            self.add(&mut crops, &[0], a, Purpose::ViewA, position)?;
            self.add(&mut crops, &[1], b, Purpose::ViewB, position)?;
        }
        Ok(crops)
    }

    fn index_a(&mut self, epoch: u64, place: usize) -> usize {
        let plan = self.plan;
        let known = self.order.take().filter(|(e, _)| *e == epoch);
        let fresh = || {
            let images = plan.domains[0].images.len();
            (epoch, order_of_epoch(plan.seed, epoch, images, plan.epoch()))
        };
        self.order.insert(known.unwrap_or_else(fresh)).1[place]
    }

    /// Adds crops of image `index` of some domains, all in one view, or of the next one that can be
    /// used.
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
        let tried = images.len().min(STAND_INS);
        for k in 0..tried {
            let index = (index + k) % images.len();
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
        }
        let folder = images[0].parent().unwrap_or(&images[0]).display();
        bail!("{folder}: no usable picture among {tried}, see the messages above");
    }

    fn skip(&self, path: &Path, error: &anyhow::Error) {
        let new = self.skipped.lock().is_ok_and(|mut s| s.insert(path.to_owned()));
        if new {
            eprintln!("skipped: {error:#}");
        }
    }

    /// Crops of image `index` of each domain; `None` when a mask is needed and there is none.
    fn crop(
        &self,
        domains: &[usize],
        index: usize,
        rng: &mut impl Rng,
    ) -> Result<Option<Vec<Picture>>> {
        let gamma = domains.iter().map(|&d| self.plan.gamma[d]);
        let domains: Vec<&Domain> = domains.iter().map(|&d| &self.plan.domains[d]).collect();
        let masked = |d: &&Domain| d.masks.get(index).is_some_and(Option::is_some);
        if self.plan.need_mask && !domains.iter().all(masked) {
            return Ok(None);
        }
        let open = |d: &&Domain| Picture::open(d, index);
        let pictures: Vec<Picture> = domains.iter().map(open).collect::<Result<_>>()?;
        let path = &domains[0].images[index];
        let (w, h) = pictures[0].rgb.dimensions();
        if let Some(other) = pictures.iter().map(|p| p.rgb.dimensions()).find(|&s| s != (w, h)) {
            bail!("{}: is {w}×{h}, but its partner {}×{}", path.display(), other.0, other.1);
        }
        let view = self.best_view((w, h), pictures[0].mask.as_ref(), rng);
        let view = view.with_context(|| path.display().to_string())?;
        let mut cuts: Vec<Picture> = pictures.iter().map(|p| p.cut(&view)).collect();
        for (cut, range) in cuts.iter_mut().zip(gamma).filter(|(_, range)| *range > 0.0) {
            cut.shade(&Shade::random(range, rng));
        }
        let empty = |p: &Picture| p.mask.as_ref().is_some_and(|m| share(m) < 0.01);
        Ok((!self.plan.need_mask || !cuts.iter().any(empty)).then_some(cuts))
    }

    /// A random view, drawn again while too little of it lies inside the mask.
    fn best_view(
        &self,
        size: (u32, u32),
        mask: Option<&GrayImage>,
        rng: &mut impl Rng,
    ) -> Result<View> {
        let plan = self.plan;
        let mut draw = || plan.preprocess.view(size, plan.sizes, plan.flip, rng);
        let mut view = draw()?;
        if let Some(mask) = mask.filter(|_| plan.min_foreground > 0.0) {
            for _ in 1..TRIES {
                if share(&view.of_mask(mask)) >= plan.min_foreground {
                    break;
                }
                view = draw()?;
            }
        }
        Ok(view)
    }
}

/// The share of a mask that is inside.
fn share(mask: &GrayImage) -> f64 {
    let sum: u64 = mask.as_raw().iter().map(|&v| u64::from(v)).sum();
    sum as f64 / (255.0 * mask.as_raw().len() as f64)
}

fn push(crops: &mut Crops, cut: &Picture, masked: bool) {
    let place = crops.known.len() as i64;
    crops.size = cut.rgb.dimensions();
    crops.pixels.extend_from_slice(&cut.rgb);
    crops.known.push(if cut.mask.is_some() { 1.0 } else { 0.0 });
    if masked {
        let masks = crops.masks.get_or_insert_default();
        match &cut.mask {
            Some(mask) => masks.extend_from_slice(mask),
            None => masks.resize(masks.len() + (cut.rgb.len() / 3), 0),
        }
    }
    if let Some(painted) = &cut.painted {
        crops.painted.get_or_insert_default().extend_from_slice(painted);
    }
    if let Some(next) = &cut.next {
        crops.next.extend_from_slice(next);
        crops.followed.push(place);
    }
}
