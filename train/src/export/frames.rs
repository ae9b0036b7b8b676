// SPDX-License-Identifier: MIT OR Apache-2.0

//! Frames for calibrating and checking variants of a generator.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use cyclegan_contract::Metadata;
use tch::Tensor;

use crate::{
    data::{decode, folder::Domain, view::View},
    onnx_generator::{OnnxGenerator, OnnxOutput},
    pixels,
};

/// Default short side of the frames, pixels.
pub const SHORT_SIDE: u32 = 256;

/// An image as generator input.
#[derive(Clone, Debug)]
pub struct Frame {
    /// 1×3×H×W.
    pub shape: Vec<i64>,
    /// In [−1, 1].
    pub values: Vec<f32>,
}

/// Frames, and the float32 generator's output for them.
#[derive(Debug)]
pub struct References {
    /// The frames.
    pub frames: Vec<Frame>,
    made: Vec<OnnxOutput>,
}

/// Difference of a variant's output from the float32 generator's, grey levels.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// Mean over all frames.
    pub mean: f64,
    /// Mean weighted by the generator's mask, or over all pixels without a mask. An unchanged background, which is
    /// most of many frames, does not hide differences in this value.
    pub inside: f64,
    /// The largest of all.
    pub largest: f64,
}

/// Takes `count` evenly spaced images of `trainA` or `trainB`, whole and at the size that the generator was
/// trained for.
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
    // `train` reports images that cannot be read.
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

impl References {
    /// Runs the float32 generator on the frames.
    pub fn by(float32: &mut OnnxGenerator, frames: Vec<Frame>) -> Result<Self> {
        let made = frames.iter().map(|frame| float32.generate(&frame.tensor()));
        let made = made.collect::<Result<_>>()?;
        Ok(Self { frames, made })
    }

    /// Compares a variant on the first `count` frames with it.
    pub fn difference(&self, variant: &mut OnnxGenerator, count: usize) -> Result<Difference> {
        let mut sums = Sums::default();
        for (frame, float32) in self.frames.iter().zip(&self.made).take(count) {
            sums.add(&variant.generate(&frame.tensor())?.image, float32);
        }
        sums.difference()
    }
}

/// Sums of differences.
#[derive(Debug, Default)]
struct Sums {
    all: f64,
    values: f64,
    inside: f64,
    weights: f64,
    largest: f64,
}

impl Sums {
    fn add(&mut self, image: &Tensor, float32: &OnnxOutput) {
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
        // `max` ignores NaN, a sum does not.
        ensure!(self.all.is_finite(), "it gives values that are NaN or infinite");
        let mean = self.all / self.values.max(1.0);
        // A mask of less than one pixel is empty.
        let inside = if self.weights < 1.0 { mean } else { self.inside / self.weights };
        Ok(Difference { mean, inside, largest: self.largest })
    }
}

#[cfg(test)]
mod tests {
    use tch::kind::FLOAT_CPU;

    use super::*;

    #[test]
    fn an_unchanged_background_hides_no_difference() {
        let full = |value: f64| Tensor::full([1, 3, 4, 4], value, FLOAT_CPU);
        let mask = Tensor::zeros([1, 1, 4, 4], FLOAT_CPU);
        let _ = mask.narrow(2, 0, 1).fill_(1.0);
        let found = |mask: Option<&Tensor>| {
            let float32 = OnnxOutput { image: full(0.0), mask: mask.map(Tensor::shallow_clone) };
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
