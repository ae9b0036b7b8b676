// SPDX-License-Identifier: MIT OR Apache-2.0

//! The measurements of one generator.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use image::RgbImage;
use indicatif::ProgressBar;
use serde::Serialize;
use tch::{Kind, Tensor};

use super::{
    Candidate, EvalArgs,
    features::FeatureNetwork,
    flicker::Motion,
    kid::{Kid, kid},
};
use crate::{
    data::{
        decode,
        folder::{self, Domain},
        picture::mask_of,
        view::View,
    },
    onnx_generator::OnnxGenerator,
    pixels, progress,
    video::{Patience, Video},
};

/// Number of images of each generator on the page.
const SHOWN: usize = 8;

/// Least visible change of a pixel, grey levels, mean over the channels.
const VISIBLE: f64 = 16.0;
/// Share of visibly changed pixels from which an image counts as changed.
const VISIBLE_SHARE: f64 = 0.01;

/// The measurements of a generator; missing ones are `None`.
#[derive(Debug, Default, Serialize)]
pub struct Score {
    /// File or run.
    pub model: String,
    /// `A2B` or `B2A`.
    pub direction: String,
    /// Number of translated images.
    pub images: usize,
    /// KID×100 of the translated images against those of the target domain.
    pub kid_x100: Option<f64>,
    /// Its standard error.
    pub kid_x100_error: Option<f64>,
    /// Its difference from the first generator of this direction, on the same images.
    pub kid_x100_above_first: Option<f64>,
    /// The standard error of that difference.
    pub kid_x100_above_first_error: Option<f64>,
    /// Share of images whose most probable class is the target's.
    pub target_class: Option<f64>,
    /// Share of images still classified as the source class.
    pub source_class: Option<f64>,
    /// Cycle error: mean absolute error after both generators, grey levels.
    pub cycle: Option<f64>,
    /// Mean absolute change inside the masks, grey levels.
    pub change_inside: Option<f64>,
    /// The same outside.
    pub change_outside: Option<f64>,
    /// Warping error of the translated clip, grey levels.
    pub warping_error: Option<f64>,
    /// Warping error of the clip itself.
    pub warping_error_of_input: Option<f64>,
    /// The difference of the two.
    pub warping_error_above_input: Option<f64>,
    /// Mean absolute change of images of neither domain, grey levels.
    pub negatives_change: Option<f64>,
    /// Share of their pixels that change visibly.
    pub negatives_pixels: Option<f64>,
    /// Share of these images of which more than 1 % changes visibly.
    pub negatives_changed: Option<f64>,
    /// The KID for the differences between generators.
    #[serde(skip)]
    pub kid: Option<Kid>,
    /// Pairs of input and output.
    #[serde(skip)]
    pub pictures: Vec<[RgbImage; 2]>,
}

/// The data and networks for the scores.
pub struct Scorer<'a> {
    args: &'a EvalArgs,
    /// Multiple of the images' sides that every candidate accepts.
    multiple_of: u32,
    network: Option<FeatureNetwork>,
    domains: [Domain; 2],
    masked: [Option<Domain>; 2],
}

impl<'a> Scorer<'a> {
    /// Finds the images, for candidates whose sides are multiples of `multiple_of` pixels.
    pub fn new(
        args: &'a EvalArgs,
        network: Option<FeatureNetwork>,
        multiple_of: u32,
    ) -> Result<Self> {
        let open = |letter: &str| -> Result<(Domain, Option<Domain>)> {
            let open = |name: &str| Domain::open(&args.data, &format!("{name}{letter}"), None);
            let test = || Domain::open_if_there(&args.data, &format!("test{letter}"));
            let domain = match &args.folder {
                Some(name) => open(name)?,
                None => test()?.map_or_else(|| open("train"), Ok)?,
            };
            // Test sets seldom have masks; training images are as good for measuring change.
            let train = Domain::open_if_there(&args.data, &format!("train{letter}"))?;
            let masked = [Some(domain.clone()), train].into_iter().flatten();
            let masked = masked.into_iter().find(|d| !d.masks.is_empty());
            Ok((domain, masked))
        };
        let ((a, masked_a), (b, masked_b)) = (open("A")?, open("B")?);
        Ok(Self { args, multiple_of, network, domains: [a, b], masked: [masked_a, masked_b] })
    }

    /// Scores all candidates.
    pub fn score(mut self, candidates: &mut [Candidate]) -> Result<Vec<Score>> {
        let real = [self.real(0)?, self.real(1)?];
        let clip = self.args.clip.as_deref().map(|path| self.clip(path)).transpose()?;
        let mut scores = Vec::new();
        for k in 0..candidates.len() {
            let way = candidates[k].direction as usize;
            let mut score = self.outputs(candidates, k, real[1 - way].as_ref())?;
            self.changes(&mut candidates[k].onnx, way, &mut score)?;
            if let Some((frames, motion)) = clip.as_ref().filter(|_| way == 0) {
                let generated = generate_clip(&mut candidates[k].onnx, frames)?;
                let (error, of_input) =
                    (motion.warping_error(&generated), motion.warping_error(frames));
                score.warping_error = Some(error);
                score.warping_error_of_input = Some(of_input);
                score.warping_error_above_input = Some(error - of_input);
            }
            self.negatives(&mut candidates[k].onnx, &mut score)?;
            scores.push(score);
        }
        compare(&mut scores);
        Ok(scores)
    }

    /// The features of domain `i`, K×D, if there is a network for them.
    fn real(&mut self, i: usize) -> Result<Option<Tensor>> {
        if self.network.is_none() {
            return Ok(None);
        }
        let (count, mut seen) = (self.count(i), Seen::default());
        let bar = bar(count, "real images");
        for k in 0..count {
            let picture = self.picture(i, k)?;
            seen.look(&mut self.network, &picture)?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        seen.features().map(Some)
    }

    /// Translates the domain of candidate `k`, compares it with the features `target` of the other domain and, if the
    /// candidates include the other direction of the same model, translates it back. Image by image: a whole domain
    /// would fill the memory.
    fn outputs(
        &mut self,
        candidates: &mut [Candidate],
        k: usize,
        target: Option<&Tensor>,
    ) -> Result<Score> {
        let (name, direction) = (candidates[k].name.clone(), candidates[k].direction);
        let other = |c: &Candidate| c.name == name && c.direction != direction;
        let back = candidates.iter().position(other);
        let way = direction as usize;
        let count = self.count(way);
        let mut score = Score {
            model: name,
            direction: direction.to_string(),
            images: count,
            ..Score::default()
        };
        let bar = bar(count, &format!("{} {}", score.direction, score.model));
        let every = (count / SHOWN).max(1);
        let (mut seen, mut cycle) = (Seen::default(), 0.0);
        for i in 0..count {
            let picture = self.picture(way, i)?;
            let path = || self.domains[way].images[i].display().to_string();
            let image = candidates[k].onnx.generate(&picture).with_context(path)?.image;
            if i.is_multiple_of(every) && score.pictures.len() < SHOWN {
                score.pictures.push([pixels::to_picture(&picture), pixels::to_picture(&image)]);
            }
            if target.is_some() {
                seen.look(&mut self.network, &image)?;
            }
            if let Some(back) = back {
                let cycled = candidates[back].onnx.generate(&image)?.image;
                cycle += (cycled - picture).abs().mean(Kind::Float).double_value(&[]) * 127.5;
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        score.cycle = back.map(|_| cycle / count as f64);
        if let Some(target) = target {
            let kid = kid(&seen.features()?, target);
            score.kid_x100 = Some(kid.value * 100.0);
            score.kid_x100_error = Some(kid.error * 100.0);
            score.kid = Some(kid);
            let classes = [self.args.class_b, self.args.class_a];
            score.target_class = seen.share(classes[way]);
            score.source_class = seen.share(classes[1 - way]);
        }
        Ok(score)
    }

    /// A generator's change inside and outside masks.
    fn changes(&self, onnx: &mut OnnxGenerator, way: usize, score: &mut Score) -> Result<()> {
        let Some(domain) = &self.masked[way] else {
            return Ok(());
        };
        let (mut inside, mut outside) = ((0.0, 0.0), (0.0, 0.0));
        let pairs = domain.images.iter().zip(&domain.masks);
        let masked = pairs.filter_map(|(i, m)| Some((i, m.as_ref()?)));
        for (image, mask) in masked.take(self.args.max_images.min(100)) {
            let picture = decode::rgb(image)?;
            let mask = mask_of(image, &picture, mask)?;
            let view = self.view(picture.dimensions());
            let picture = pixels::to_tensor(&view.of_rgb(&picture));
            let mask = pixels::mask_to_tensor(&view.of_mask(&mask));
            let generated =
                onnx.generate(&picture).with_context(|| image.display().to_string())?.image;
            let change = (generated - picture).abs().mean_dim([1i64].as_slice(), true, Kind::Float);
            let change = change * 127.5;
            let sum = |t: Tensor| t.sum(Kind::Float).double_value(&[]);
            inside.0 += sum(&change * &mask);
            inside.1 += sum(mask.shallow_clone());
            outside.0 += sum(&change * (1.0 - &mask));
            outside.1 += sum(1.0 - &mask);
        }
        let mean = |(sum, weight): (f64, f64)| (weight > 0.0).then(|| sum / weight);
        (score.change_inside, score.change_outside) = (mean(inside), mean(outside));
        Ok(())
    }

    /// A generator's change of images of neither domain.
    fn negatives(&self, onnx: &mut OnnxGenerator, score: &mut Score) -> Result<()> {
        let Some(folder) = &self.args.negatives else {
            return Ok(());
        };
        let images = folder::pictures_for("--negatives", folder)?;
        // Evenly spaced, because names often start with the image's subject.
        let count = images.len().min(self.args.max_images);
        let images: Vec<_> = (0..count).map(|i| &images[i * images.len() / count]).collect();
        let bar = bar(images.len(), &format!("negatives {}", score.model));
        let (mut change, mut pixels, mut changed) = (0.0, 0.0, 0);
        for image in &images {
            let picture = decode::rgb(image)?;
            let picture = pixels::to_tensor(&self.view(picture.dimensions()).of_rgb(&picture));
            let generated =
                onnx.generate(&picture).with_context(|| image.display().to_string())?.image;
            let difference = (generated - picture).abs() * 127.5;
            let levels = difference.mean_dim([1i64].as_slice(), true, Kind::Float);
            let share = levels.gt(VISIBLE).to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
            change += levels.mean(Kind::Float).double_value(&[]);
            pixels += share;
            changed += usize::from(share > VISIBLE_SHARE);
            bar.inc(1);
        }
        bar.finish_and_clear();
        let count = images.len() as f64;
        score.negatives_change = Some(change / count);
        score.negatives_pixels = Some(pixels / count);
        score.negatives_changed = Some(changed as f64 / count);
        Ok(())
    }

    /// The number of images of domain `i` that are scored.
    fn count(&self, i: usize) -> usize {
        self.domains[i].images.len().min(self.args.max_images)
    }

    /// Image `k` of domain `i`.
    fn picture(&self, i: usize, k: usize) -> Result<Tensor> {
        let picture = decode::rgb(&self.domains[i].images[k])?;
        let view = self.view(picture.dimensions());
        Ok(pixels::to_tensor(&view.of_rgb(&picture)))
    }

    fn clip(&self, path: &Path) -> Result<(Vec<Tensor>, Motion)> {
        let mut video = Video::open(path, Patience::default())?;
        let mut frames = Vec::new();
        while let Some(frame) = video.next_frame()? {
            let view = self.view(frame.picture.dimensions());
            frames.push(pixels::to_tensor(&view.of_rgb(&frame.picture)));
            if frames.len() == self.args.clip_frames {
                break;
            }
        }
        ensure!(frames.len() > 1, "{}: fewer than two frames", path.display());
        let motion = Motion::of(&frames);
        Ok((frames, motion))
    }

    /// The whole image at the scoring size.
    fn view(&self, size: (u32, u32)) -> View {
        View::whole(size, self.args.size, self.multiple_of)
    }
}

/// What a feature network says of images.
#[derive(Default)]
struct Seen {
    features: Vec<Tensor>,
    /// The most probable class of each, if the network has classes.
    classes: Vec<usize>,
}

impl Seen {
    /// Runs the network on another image.
    fn look(&mut self, network: &mut Option<FeatureNetwork>, picture: &Tensor) -> Result<()> {
        let output = network.as_mut().context("no feature network")?.run(picture)?;
        self.features.push(output.features);
        self.classes.extend(output.class);
        Ok(())
    }

    /// Features K×D.
    fn features(&self) -> Result<Tensor> {
        ensure!(
            self.features.len() > 2,
            "too few images for KID, expected at least three of each domain"
        );
        Ok(Tensor::stack(&self.features, 0))
    }

    /// The share of images classified as `class`.
    fn share(&self, class: Option<usize>) -> Option<f64> {
        let hits = self.classes.iter().filter(|&&best| Some(best) == class).count();
        (class.is_some() && !self.classes.is_empty())
            .then(|| hits as f64 / self.classes.len() as f64)
    }
}

/// Compares each score with the first of its direction.
fn compare(scores: &mut [Score]) {
    for i in 0..scores.len() {
        let (before, rest) = scores.split_at_mut(i);
        let score = &mut rest[0];
        let first = before.iter().find(|first| first.direction == score.direction);
        let kids = first.and_then(|first| first.kid.as_ref()).zip(score.kid.as_ref());
        if let Some((first, own)) = kids {
            let (difference, error) = own.minus(first);
            score.kid_x100_above_first = Some(difference * 100.0);
            score.kid_x100_above_first_error = Some(error * 100.0);
        }
    }
}

fn generate_clip(onnx: &mut OnnxGenerator, frames: &[Tensor]) -> Result<Vec<Tensor>> {
    frames.iter().map(|frame| Ok(onnx.generate(frame)?.image)).collect()
}

fn bar(length: usize, what: &str) -> ProgressBar {
    progress::bar(length, "{msg} {bar:30} {pos}/{len}").with_message(what.to_owned())
}
