// SPDX-License-Identifier: MIT OR Apache-2.0

//! Frames that variants of a generator are made and judged by.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use cyclegan_contract::Metadata;
use tch::Tensor;

use crate::{
    data::{decode, folder::Domain, view::View},
    onnx_generator::OnnxGenerator,
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
    images: Vec<Tensor>,
}

/// How far a variant's pictures are from the float32 generator's, grey levels.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// Mean over all frames.
    pub mean: f64,
    /// The largest of all.
    pub largest: f64,
}

/// Takes `count` pictures spread evenly over `trainA` or the like of a data set, whole and at the
/// size that the generator was trained for.
pub fn read(data: &Path, domain: &str, count: usize, metadata: &Metadata) -> Result<Vec<Frame>> {
    ensure!(count > 0, "--calibration-images is 0, expected at least 1");
    let images = Domain::open(data, domain, None)
        .context("no pictures to calibrate on; name a data set with --calibrate")?
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
        "{}: no readable picture to calibrate on; name a data set with --calibrate",
        data.join(domain).display()
    );
    Ok(frames)
}

impl Frame {
    /// 1×3×H×W in [−1, 1].
    pub fn of(picture: &Tensor) -> Self {
        let mut values = vec![0f32; picture.numel()];
        picture.contiguous().copy_data(&mut values, picture.numel());
        Self { shape: picture.size(), values }
    }

    fn tensor(&self) -> Tensor {
        Tensor::from_slice(&self.values).view(self.shape.as_slice())
    }
}

impl Painted {
    /// Has the float32 generator paint the frames.
    pub fn by(float32: &mut OnnxGenerator, frames: Vec<Frame>) -> Result<Self> {
        let images = frames.iter().map(|frame| Ok(float32.paint(&frame.tensor())?.image));
        let images = images.collect::<Result<_>>()?;
        Ok(Self { frames, images })
    }

    /// What a variant makes of the first `count` frames beside that.
    pub fn difference(&self, variant: &mut OnnxGenerator, count: usize) -> Result<Difference> {
        let (mut sum, mut values, mut largest) = (0.0, 0, 0.0f64);
        for (frame, image) in self.frames.iter().zip(&self.images).take(count) {
            let painted = variant.paint(&frame.tensor())?.image;
            let difference = (painted - image).abs() * 127.5;
            sum += difference.sum(tch::Kind::Double).double_value(&[]);
            values += difference.numel();
            largest = largest.max(difference.max().double_value(&[]));
        }
        // `max` passes over what is no number, a sum does not.
        ensure!(sum.is_finite(), "it gives values that are no numbers");
        Ok(Difference { mean: sum / values.max(1) as f64, largest })
    }
}
