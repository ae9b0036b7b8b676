// SPDX-License-Identifier: MIT OR Apache-2.0

//! What running a network costs.

use super::layer::Layer;

/// Multiply-accumulates of the convolutions for a picture of `height`×`width`, transposed ones
/// counted at their input's size: what is really multiplied.
pub fn macs(layers: &[Layer], height: u64, width: u64) -> u64 {
    count(layers, (height, width), Size::Input)
}

/// The same with transposed convolutions counted at their output's size: what is multiplied when
/// noughts are put between the input's pixels first. The literature's tables count so.
pub fn macs_at_output_size(layers: &[Layer], height: u64, width: u64) -> u64 {
    count(layers, (height, width), Size::Output)
}

/// At which size a transposed convolution is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Input,
    Output,
}

fn count(layers: &[Layer], mut size: (u64, u64), transposed: Size) -> u64 {
    layers.iter().map(|layer| layer_macs(layer, &mut size, transposed)).sum()
}

fn layer_macs(layer: &Layer, (h, w): &mut (u64, u64), transposed: Size) -> u64 {
    match layer {
        Layer::ReflectPad(n) => {
            let n = *n as u64;
            (*h, *w) = (*h + 2 * n, *w + 2 * n);
            0
        }
        Layer::Conv(c) => {
            let out =
                |side: u64| (side + 2 * c.padding as u64 - c.kernel as u64) / c.stride as u64 + 1;
            (*h, *w) = (out(*h), out(*w));
            weights(c.channels, c.kernel) / c.groups as u64 * *h * *w
        }
        Layer::ConvTranspose(c) => {
            let input = *h * *w;
            let grown = (c.kernel + c.output_padding) as u64 - 2 * c.padding as u64;
            let out = |side: u64| (side - 1) * c.stride as u64 + grown;
            (*h, *w) = (out(*h), out(*w));
            let counted = if transposed == Size::Input { input } else { *h * *w };
            weights(c.channels, c.kernel) * counted
        }
        Layer::GlobalMean => {
            (*h, *w) = (1, 1);
            0
        }
        Layer::PixelShuffle(r) => {
            (*h, *w) = (*h * *r as u64, *w * *r as u64);
            0
        }
        Layer::Residual(body) | Layer::Skip(body) => count(body, (*h, *w), transposed),
        Layer::Sum(branches) => branches.iter().map(|b| count(b, (*h, *w), transposed)).sum(),
        Layer::AddStored(c) => weights(c.channels, c.kernel) / c.groups as u64 * *h * *w,
        Layer::Store
        | Layer::InstanceNorm(_)
        | Layer::AffineInstanceNorm(_)
        | Layer::BatchNorm(_)
        | Layer::Relu
        | Layer::LeakyRelu(_)
        | Layer::Dropout(_) => 0,
    }
}

fn weights((ins, outs): (i64, i64), kernel: i64) -> u64 {
    (ins * outs * kernel * kernel) as u64
}
