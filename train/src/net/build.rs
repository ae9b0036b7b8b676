// SPDX-License-Identifier: MIT OR Apache-2.0

//! Putting layers together.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{
    layer::{Conv, ConvTranspose, Layer},
    params::{Layout, Start},
};

/// Normalisation between a convolution and its activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Instance normalisation with no learnt scale, as published.
    Instance,
    /// None.
    None,
}

/// Geometry of a convolution, pixels.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Side of the kernel.
    pub kernel: i64,
    /// Stride.
    pub stride: i64,
    /// Padding on each side.
    pub padding: i64,
}

impl Window {
    /// A window of stride 1 with no padding.
    pub fn valid(kernel: i64) -> Self {
        Self { kernel, stride: 1, padding: 0 }
    }

    /// A window of odd size whose output has a `stride`-th of the input's sides.
    pub fn same(kernel: i64, stride: i64) -> Self {
        Self { kernel, stride, padding: kernel / 2 }
    }
}

/// Collects the parameters of the layers it makes.
#[derive(Debug)]
pub struct Builder {
    /// What was collected.
    pub layout: Layout,
    norm: Norm,
}

impl Builder {
    /// Nothing yet.
    pub fn new(norm: Norm) -> Self {
        Self { layout: Layout::default(), norm }
    }

    /// A convolution with bias.
    pub fn conv(&mut self, name: &str, ins: i64, outs: i64, window: Window) -> Layer {
        self.conv_scaled(name, ins, outs, window, 1.0)
    }

    /// A convolution with bias whose weights begin `factor` times as large as usual.
    pub fn conv_scaled(
        &mut self,
        name: &str,
        ins: i64,
        outs: i64,
        window: Window,
        factor: f64,
    ) -> Layer {
        let shape = [outs, ins, window.kernel, window.kernel];
        let start = Start::Weight(factor);
        let weight = self.layout.add(format!("{name}.weight"), &shape, start);
        Layer::Conv(Conv {
            weight,
            bias: Some(self.bias(name, outs)),
            channels: (ins, outs),
            kernel: window.kernel,
            stride: window.stride,
            padding: window.padding,
        })
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
            padding: window.padding,
            output_padding,
        })
    }

    /// The normalisation of this network, if it has one.
    pub fn norm(&mut self, channels: i64) -> Option<Layer> {
        (self.norm == Norm::Instance).then_some(Layer::InstanceNorm(channels))
    }

    fn bias(&mut self, name: &str, outs: i64) -> super::params::ParamId {
        let start = Start::Constant(0.0);
        self.layout.add(format!("{name}.bias"), &[outs], start)
    }
}
