// SPDX-License-Identifier: MIT OR Apache-2.0

//! Builds layers and their parameters.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{
    layer::{AffineNorm, BatchNorm, Conv, ConvTranspose, Layer},
    params::{Layout, ParamId, Start},
};

/// Normalisation between a convolution and its activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Instance normalisation without learnt scales, as published.
    Instance,
    /// Batch normalisation (Ioffe and Szegedy 2015); exported with its running statistics, folded
    /// into the convolutions.
    Batch,
    /// None.
    None,
    /// Spectral normalisation of the convolutions' weights (Miyato et al. 2018, arXiv 1802.05957), without
    /// statistics of the image; for discriminators.
    Spectral,
    /// Instance normalisation with fixed statistics: `--resume --norm frozen` continues a run with
    /// `instance`. Folded into the convolutions on export.
    Frozen,
}

impl Norm {
    /// Whether an image's result depends on the other images of the batch.
    pub fn mixes_images(self) -> bool {
        self == Self::Batch
    }

    /// Whether generators trained with this may continue with `next`. Layouts do not tell: neither instance
    /// normalisation nor none has parameters.
    pub fn may_become(self, next: Self) -> bool {
        next == self || (self, next) == (Self::Instance, Self::Frozen)
    }

    /// The name of the option's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Batch => "batch",
            Self::None => "none",
            Self::Spectral => "spectral",
            Self::Frozen => "frozen",
        }
    }
}

/// Geometry of a convolution, pixels.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Side of the kernel.
    pub kernel: i64,
    /// Stride.
    pub stride: i64,
    /// Padding above and left, below and right.
    pub padding: [i64; 2],
}

impl Window {
    /// A window of stride 1 with no padding.
    pub fn valid(kernel: i64) -> Self {
        Self { kernel, stride: 1, padding: [0; 2] }
    }

    /// A window of odd size whose output has a `stride`-th of the input's sides.
    pub fn same(kernel: i64, stride: i64) -> Self {
        Self { kernel, stride, padding: [kernel / 2; 2] }
    }

    /// A window of odd size that halves even sides like TensorFlow, with one pixel less padding before. Odd
    /// sides are rounded up.
    pub fn halved(kernel: i64) -> Self {
        Self { kernel, stride: 2, padding: [kernel / 2 - 1, kernel / 2 + 1] }
    }
}

/// Creates layers and collects their parameters.
#[derive(Debug)]
pub struct Builder {
    /// What was collected.
    pub layout: Layout,
    norm: Norm,
}

impl Builder {
    /// A builder without parameters, whose layers have this normalisation.
    pub fn new(norm: Norm) -> Self {
        Self { layout: Layout::default(), norm }
    }

    /// A convolution with bias.
    pub fn conv(&mut self, name: &str, ins: i64, outs: i64, window: Window) -> Layer {
        self.conv_scaled(name, ins, outs, window, 1.0)
    }

    /// A convolution with bias whose initial weights are scaled by `factor`.
    pub fn conv_scaled(
        &mut self,
        name: &str,
        ins: i64,
        outs: i64,
        window: Window,
        factor: f64,
    ) -> Layer {
        self.conv_from(name, ins, outs, window, Start::Weight(factor))
    }

    fn conv_from(
        &mut self,
        name: &str,
        ins: i64,
        outs: i64,
        window: Window,
        start: Start,
    ) -> Layer {
        Layer::Conv(self.convolution(name, (ins, outs), window, 1, start))
    }

    /// A grouped convolution with bias.
    fn convolution(
        &mut self,
        name: &str,
        channels: (i64, i64),
        window: Window,
        groups: i64,
        start: Start,
    ) -> Conv {
        let Window { kernel, stride, padding } = window;
        let (ins, outs) = channels;
        let shape = [outs, ins / groups, kernel, kernel];
        let weight = self.layout.add(format!("{name}.weight"), &shape, start);
        if self.norm == Norm::Spectral {
            self.layout.normalise(weight);
        }
        let bias = match start {
            Start::Pretrained => self.layout.add(format!("{name}.bias"), &[outs], start),
            _ => self.bias(name, outs),
        };
        Conv { weight, bias: Some(bias), channels, kernel, stride, padding, groups }
    }

    /// A depthwise convolution with bias: each channel by itself.
    pub fn depthwise(&mut self, name: &str, channels: i64, window: Window) -> Layer {
        let start = Start::Weight(1.0);
        Layer::Conv(self.convolution(name, (channels, channels), window, channels, start))
    }

    /// A depthwise low-pass filter with fixed weights.
    pub fn low_pass(&mut self, name: &str, channels: i64, kernel: i64) -> Layer {
        let shape = [channels, 1, kernel, kernel];
        let weight = self.layout.add(format!("{name}.weight"), &shape, Start::Binomial);
        let padding = [kernel / 2; 2];
        let channels = (channels, channels);
        Layer::Conv(Conv {
            weight,
            bias: None,
            channels,
            kernel,
            stride: 1,
            padding,
            groups: channels.0,
        })
    }

    /// A 3×3 convolution of stride 1 with bias before a pixel shuffle of 2. It is initialised so that the four
    /// pixels are equal (ICNR, arXiv 1707.02937), without a checkerboard pattern.
    pub fn conv_shuffled(&mut self, name: &str, ins: i64, outs: i64, factor: f64) -> Layer {
        self.conv_from(name, ins, outs, Window::same(3, 1), Start::Shuffled(factor, 4))
    }

    /// A layer that adds the stored value times one weight per channel; the weights start at 0.
    pub fn add_stored(&mut self, name: &str, channels: i64) -> Layer {
        let shape = [channels, 1, 1, 1];
        let weight = self.layout.add(format!("{name}.weight"), &shape, Start::Constant(0.0));
        Layer::AddStored(Conv {
            weight,
            bias: None,
            channels: (channels, channels),
            kernel: 1,
            stride: 1,
            padding: [0; 2],
            groups: channels,
        })
    }

    /// A convolution with bias whose weights come from a file and are not trained.
    pub fn pretrained(
        &mut self,
        name: &str,
        channels: (i64, i64),
        window: Window,
        groups: i64,
    ) -> Layer {
        Layer::Conv(self.convolution(name, channels, window, groups, Start::Pretrained))
    }

    /// A layer that adds a 1×1 convolution of the stored value.
    pub fn conv_of_stored(&mut self, name: &str, ins: i64, outs: i64) -> Layer {
        let start = Start::Weight(1.0);
        Layer::AddStored(self.convolution(name, (ins, outs), Window::valid(1), 1, start))
    }

    /// A transposed convolution with bias that doubles the sides.
    pub fn conv_transpose(
        &mut self,
        name: &str,
        ins: i64,
        outs: i64,
        window: Window,
        output_padding: i64,
    ) -> Layer {
        let shape = [ins, outs, window.kernel, window.kernel];
        let start = Start::Weight(1.0);
        let weight = self.layout.add(format!("{name}.weight"), &shape, start);
        Layer::ConvTranspose(ConvTranspose {
            weight,
            bias: Some(self.bias(name, outs)),
            channels: (ins, outs),
            kernel: window.kernel,
            stride: window.stride,
            padding: window.padding[0],
            output_padding,
        })
    }

    /// Adds the normalisation of this network, if it has one, to `layers`, which end with a
    /// convolution.
    pub fn norm(&mut self, layers: &mut Vec<Layer>) {
        let (weight, bias, channels) = match layers.last_mut() {
            Some(Layer::Conv(c)) => (c.weight, &mut c.bias, c.channels.1),
            Some(Layer::ConvTranspose(c)) => (c.weight, &mut c.bias, c.channels.1),
            _ => return,
        };
        match self.norm {
            Norm::None | Norm::Spectral => {}
            Norm::Instance => layers.push(Layer::InstanceNorm(channels)),
            Norm::Batch => {
                // It subtracts the mean, with the convolution's bias, so the bias belongs after it.
                let shift = bias.take();
                let scale = Some(self.of_norm(weight, "scale", channels, Start::Constant(1.0)));
                let norm = BatchNorm { scale, shift, ..self.statistics(weight, channels) };
                layers.push(Layer::BatchNorm(norm));
            }
            Norm::Frozen => layers.push(Layer::BatchNorm(self.statistics(weight, channels))),
        }
    }

    /// Instance normalisation with a learnt scale and shift per channel, if the network has it.
    pub fn affine_norm(&mut self, name: &str, channels: i64) -> Option<Layer> {
        if self.norm != Norm::Instance {
            return None;
        }
        let scale = self.layout.add(format!("{name}.scale"), &[channels], Start::Scale);
        let shift = self.layout.add(format!("{name}.shift"), &[channels], Start::Constant(0.0));
        Some(Layer::AffineInstanceNorm(AffineNorm { scale, shift }))
    }

    /// Fixed statistics of the channels after the convolution of `weight`.
    fn statistics(&mut self, weight: ParamId, channels: i64) -> BatchNorm {
        let mean = self.of_norm(weight, "mean", channels, Start::Statistic(0.0));
        let variance = self.of_norm(weight, "variance", channels, Start::Statistic(1.0));
        let running = self.norm == Norm::Batch;
        BatchNorm { scale: None, shift: None, mean, variance, running }
    }

    fn of_norm(&mut self, weight: ParamId, what: &str, channels: i64, start: Start) -> ParamId {
        let conv = self.layout.name(weight).trim_end_matches(".weight");
        let name = format!("{conv}.norm.{what}");
        self.layout.add(name, &[channels], start)
    }

    fn bias(&mut self, name: &str, outs: i64) -> ParamId {
        let start = Start::Constant(0.0);
        self.layout.add(format!("{name}.bias"), &[outs], start)
    }
}
