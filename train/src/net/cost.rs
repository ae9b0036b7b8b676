// SPDX-License-Identifier: MIT OR Apache-2.0

//! The cost of running a network.

use super::layer::Layer;

/// Multiply-accumulates of the convolutions for an image of `height`×`width`, with transposed ones counted
/// at their input's size, as computed.
pub fn macs(layers: &[Layer], height: u64, width: u64) -> u64 {
    count(layers, (height, width), Size::Input)
}

/// The same with transposed convolutions counted at their output's size, as if zeros were inserted between
/// the input's pixels. Tables in the literature count this way.
pub fn macs_at_output_size(layers: &[Layer], height: u64, width: u64) -> u64 {
    count(layers, (height, width), Size::Output)
}

/// The size at which a transposed convolution is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Input,
    Output,
}

fn count(layers: &[Layer], picture: (u64, u64), transposed: Size) -> u64 {
    Pass { picture, transposed }.count(layers, picture)
}

/// A pass of an image of this height and width.
struct Pass {
    picture: (u64, u64),
    transposed: Size,
}

impl Pass {
    fn count(&self, layers: &[Layer], mut size: (u64, u64)) -> u64 {
        let mut stored = size;
        layers.iter().map(|layer| self.layer(layer, &mut size, &mut stored)).sum()
    }

    fn layer(&self, layer: &Layer, (h, w): &mut (u64, u64), stored: &mut (u64, u64)) -> u64 {
        match layer {
            Layer::ReflectPad(n) => {
                let n = *n as u64;
                (*h, *w) = (*h + 2 * n, *w + 2 * n);
                0
            }
            Layer::Conv(c) => {
                let padding = c.padding.iter().sum::<i64>() as u64;
                let out = |side: u64| (side + padding - c.kernel as u64) / c.stride as u64 + 1;
                (*h, *w) = (out(*h), out(*w));
                weights(c.channels, c.kernel) / c.groups as u64 * *h * *w
            }
            Layer::ConvTranspose(c) => {
                let input = *h * *w;
                let grown = (c.kernel + c.output_padding) as u64 - 2 * c.padding as u64;
                let out = |side: u64| (side - 1) * c.stride as u64 + grown;
                (*h, *w) = (out(*h), out(*w));
                let counted = if self.transposed == Size::Input { input } else { *h * *w };
                weights(c.channels, c.kernel) * counted
            }
            Layer::AveragePool(n) => {
                (*h, *w) = (*h / *n as u64, *w / *n as u64);
                0
            }
            Layer::GlobalMean => {
                (*h, *w) = (1, 1);
                0
            }
            Layer::PixelShuffle(r) => {
                (*h, *w) = (*h * *r as u64, *w * *r as u64);
                0
            }
            Layer::Residual(body) | Layer::Skip(body) => self.count(body, (*h, *w)),
            Layer::Sum(branches) => branches.iter().map(|b| self.count(b, (*h, *w))).sum(),
            Layer::AddToMask(body) => self.count(body, self.picture),
            Layer::Store => {
                *stored = (*h, *w);
                0
            }
            Layer::EnlargeToStored => {
                (*h, *w) = *stored;
                0
            }
            Layer::AddStored(c) => {
                weights(c.channels, c.kernel) / c.groups as u64 * stored.0 * stored.1
            }
            Layer::InstanceNorm(_)
            | Layer::AffineInstanceNorm(_)
            | Layer::BatchNorm(_)
            | Layer::Relu
            | Layer::Relu6
            | Layer::LeakyRelu(_)
            | Layer::Dropout(_) => 0,
        }
    }
}

fn weights((ins, outs): (i64, i64), kernel: i64) -> u64 {
    (ins * outs * kernel * kernel) as u64
}
