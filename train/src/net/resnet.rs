// SPDX-License-Identifier: MIT OR Apache-2.0

//! The paper's generator (arXiv 1703.10593, appendix 7.2; after Johnson et al. 2016).

use super::{
    build::{Builder, Window},
    layer::Layer,
};

const DOWN: Window = Window { kernel: 3, stride: 2, padding: [1; 2] };

/// A 7×7 stem of `ngf` channels, two downsampling layers, `blocks` residual blocks, two transposed
/// convolutions for upsampling and a 7×7 head of `outs` channels.
pub fn resnet(b: &mut Builder, ngf: i64, blocks: usize, dropout: bool, outs: i64) -> Vec<Layer> {
    let mut layers = vec![Layer::ReflectPad(3)];
    layers.push(b.conv("stem", 3, ngf, Window::valid(7)));
    normalised(b, &mut layers);
    for (name, ins) in [("down1", ngf), ("down2", ngf * 2)] {
        layers.push(b.conv(name, ins, ins * 2, DOWN));
        normalised(b, &mut layers);
    }
    for i in 1..=blocks {
        layers.push(block(b, &format!("block{i}"), ngf * 4, dropout));
    }
    for (name, ins) in [("up1", ngf * 4), ("up2", ngf * 2)] {
        layers.push(b.conv_transpose(name, ins, ins / 2, DOWN, 1));
        normalised(b, &mut layers);
    }
    layers.push(Layer::ReflectPad(3));
    layers.push(b.conv("head", ngf, outs, Window::valid(7)));
    layers
}

fn normalised(b: &mut Builder, layers: &mut Vec<Layer>) {
    b.norm(layers);
    layers.push(Layer::Relu);
}

fn block(b: &mut Builder, name: &str, channels: i64, dropout: bool) -> Layer {
    let mut body = vec![Layer::ReflectPad(1)];
    body.push(b.conv(&format!("{name}.1"), channels, channels, Window::valid(3)));
    normalised(b, &mut body);
    if dropout {
        body.push(Layer::Dropout(0.5));
    }
    body.push(Layer::ReflectPad(1));
    body.push(b.conv(&format!("{name}.2"), channels, channels, Window::valid(3)));
    b.norm(&mut body);
    Layer::Residual(body)
}
