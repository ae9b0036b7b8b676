// SPDX-License-Identifier: MIT OR Apache-2.0

//! The discriminators: PatchGAN of any depth, and of one pixel (arXiv 1611.07004, section 6.1.2).

use super::{
    build::{Builder, Window},
    layer::Layer,
};

const SLOPE: f64 = 0.2;

/// `n` strided convolutions, one more and the score: n = 3 sees 70×70 pixels.
pub fn patchgan(b: &mut Builder, ins: i64, ndf: i64, n: u32) -> Vec<Layer> {
    let window = |stride| Window { kernel: 4, stride, padding: [1; 2] };
    let width = |layer: u32| ndf * i64::from(2u32.pow(layer.min(3)));
    let mut layers = vec![b.conv("conv1", ins, ndf, window(2)), Layer::LeakyRelu(SLOPE)];
    for i in 1..=n {
        let stride = if i < n { 2 } else { 1 };
        let name = format!("conv{}", i + 1);
        layers.push(b.conv(&name, width(i - 1), width(i), window(stride)));
        b.norm(&mut layers);
        layers.push(Layer::LeakyRelu(SLOPE));
    }
    layers.push(b.conv("score", width(n), 1, window(1)));
    layers
}

/// A score for every pixel by itself.
pub fn pixel(b: &mut Builder, ins: i64, ndf: i64) -> Vec<Layer> {
    let one = Window::valid(1);
    let mut layers = vec![b.conv("conv1", ins, ndf, one), Layer::LeakyRelu(SLOPE)];
    layers.push(b.conv("conv2", ndf, ndf * 2, one));
    b.norm(&mut layers);
    layers.push(Layer::LeakyRelu(SLOPE));
    layers.push(b.conv("score", ndf * 2, 1, one));
    layers
}
