// SPDX-License-Identifier: MIT OR Apache-2.0

//! Frames that variants of a generator are made and judged by.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use cyclegan_contract::Metadata;
use tch::Tensor;

use crate::{
    data::{decode, folder::Domain, view::View},
    onnx_generator::{OnnxGenerator, Painted as Generated},
    pixels,
};

/// The short side of frames where the generator says nothing, pixels.
pub const SHORT_SIDE: u32 = 256;

/// A picture as a generator takes it.
#[derive(Clone, Debug)]
pub struct Frame {
    /// 1×3×H×W.
    pub shape: Vec<i64>,
    /// In [−1, 1].
    pub values: Vec<f32>,
}

/// Frames, and what the float32 generator makes of them.
#[derive(Debug)]
pub struct Painted {
    /// The frames.
    pub frames: Vec<Frame>,
    made: Vec<Generated>,
}

/// How far a variant's pictures are from the float32 generator's, grey levels.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// Mean over all frames.
    pub mean: f64,
    /// Mean over the pixels that the generator changes, as its mask weighs them; of a generator
    /// without a mask over all. An untouched background, most of many frames, hides nothing here.
    pub inside: f64,
    /// The largest of all.
    pub largest: f64,
}

/// Takes `count` pictures spread evenly over `trainA` or the like of a data set, whole and at the
/// size that the generator was trained for.
pub fn read(data: &Path, domain: &str, count: usize, metadata: &Metadata) -> Result<Vec<Frame>> {
    ensure!(count > 0, "--calibration-images is 0, expected at least 1");
    let images = Domain::open(data, domain, None)
        .context("no images to calibrate on; name a data set with --calibrate")?
        .images;
    let short = metadata.size.unwrap_or(SHORT_SIDE);
    let pick = |i: usize| &images[i * images.len() / count.min(images.len())];
    let read = |path: &Path| {
        let picture = decode::rgb(path).ok()?;
        let view = View::whole(picture.dimensions(), short, metadata.multiple_of);
        Some(Frame::of(&pixels::to_tensor(&view.of_rgb(&picture))))
    };
    // `train` reports a picture that cannot be read.
    let frames = (0..count.min(images.len())).filter_map(|i| read(pick(i)));
    let frames: Vec<Frame> = frames.collect();
    ensure!(
        !frames.is_empty(),
        "{}: no readable image to calibrate on; name a data set with --calibrate",
        data.join(domain).display()
    );
    Ok(frames)
}

impl Frame {
    /// 1×3×H×W in [−1, 1].
    pub fn of(picture: &Tensor) -> Self {
        Self { shape: picture.size(), values: pixels::floats(picture) }
    }

    fn tensor(&self) -> Tensor {
        Tensor::from_slice(&self.values).view(self.shape.as_slice())
    }
}

impl Painted {
    /// Has the float32 generator paint the frames.
    pub fn by(float32: &mut OnnxGenerator, frames: Vec<Frame>) -> Result<Self> {
        let made = frames.iter().map(|frame| float32.paint(&frame.tensor()));
        let made = made.collect::<Result<_>>()?;
        Ok(Self { frames, made })
    }

    /// What a variant makes of the first `count` frames beside that.
    pub fn difference(&self, variant: &mut OnnxGenerator, count: usize) -> Result<Difference> {
        let mut sums = Sums::default();
        for (frame, float32) in self.frames.iter().zip(&self.made).take(count) {
            sums.add(&variant.paint(&frame.tensor())?.image, float32);
        }
        sums.difference()
    }
}

/// Differences of pictures so far, summed up.
#[derive(Debug, Default)]
struct Sums {
    all: f64,
    values: f64,
    inside: f64,
    weights: f64,
    largest: f64,
}

impl Sums {
    fn add(&mut self, image: &Tensor, float32: &Generated) {
        let sum = |t: Tensor| t.sum(tch::Kind::Double).double_value(&[]);
        let difference = (image - &float32.image).abs() * 127.5;
        let mask = float32
            .mask
            .as_ref()
            .map_or_else(|| Tensor::ones_like(&difference), |mask| mask.expand_as(&difference));
        self.largest = self.largest.max(difference.max().double_value(&[]));
        self.values += difference.numel() as f64;
        self.weights += sum(mask.shallow_clone());
        self.inside += sum(&difference * mask);
        self.all += sum(difference);
    }

    fn difference(&self) -> Result<Difference> {
        // `max` passes over NaN, a sum does not.
        ensure!(self.all.is_finite(), "it gives values that are NaN or infinite");
        let mean = self.all / self.values.max(1.0);
        // Less than a pixel in all is no mask.
        let inside = if self.weights < 1.0 { mean } else { self.inside / self.weights };
        Ok(Difference { mean, inside, largest: self.largest })
    }
}

#[cfg(test)]
mod tests {
    use tch::kind::FLOAT_CPU;

    use super::*;

    #[test]
    fn a_background_that_no_generator_touches_hides_no_difference() {
        let full = |value: f64| Tensor::full([1, 3, 4, 4], value, FLOAT_CPU);
        let mask = Tensor::zeros([1, 1, 4, 4], FLOAT_CPU);
        let _ = mask.narrow(2, 0, 1).fill_(1.0);
        let found = |mask: Option<&Tensor>| {
            let float32 = Generated { image: full(0.0), mask: mask.map(Tensor::shallow_clone) };
            let image = full(0.08) * mask.unwrap_or(&Tensor::from(1.0f32));
            let mut sums = Sums::default();
            sums.add(&image, &float32);
            let found = sums.difference().unwrap();
            [found.mean, found.inside, found.largest].map(|v| (v * 100.0).round())
        };
        // 0.08 of a range of 2 is 10.2 grey levels, in a quarter of the frame.
        assert_eq!(found(Some(&mask)), [255.0, 1020.0, 1020.0]);
        assert_eq!(found(None), [1020.0; 3]);
    }
}
