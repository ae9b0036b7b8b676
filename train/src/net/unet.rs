// SPDX-License-Identifier: MIT OR Apache-2.0

//! The U-Net generators of pix2pix (arXiv 1611.07004, section 6.1.1).

use super::{
    build::{Builder, Window},
    layer::Layer,
};

const HALF: Window = Window { kernel: 4, stride: 2, padding: [1; 2] };

/// `halvings` downsampling layers to the bottleneck and as many upsampling layers, with a skip at each size:
/// 7 for `unet_128`, 8 for `unet_256`.
pub fn unet(b: &mut Builder, ngf: i64, halvings: usize, dropout: bool, outs: i64) -> Vec<Layer> {
    let mut layers = vec![b.conv("down1", 3, ngf, HALF)];
    layers.push(inner(b, ngf, 2, halvings, dropout));
    layers.push(Layer::Relu);
    layers.push(b.conv_transpose("up1", ngf * 2, outs, HALF, 0));
    layers
}

/// The layers below a size with `ins` channels, with the skip past them. Widths double up to 8·`ngf`.
fn inner(b: &mut Builder, ins: i64, depth: usize, halvings: usize, dropout: bool) -> Layer {
    let innermost = depth == halvings;
    let wide = depth > 4;
    let outs = if wide { ins } else { ins * 2 };
    let mut body = vec![Layer::LeakyRelu(0.2)];
    body.push(b.conv(&format!("down{depth}"), ins, outs, HALF));
    if !innermost {
        b.norm(&mut body);
        body.push(inner(b, outs, depth + 1, halvings, dropout));
    }
    body.push(Layer::Relu);
    let below = if innermost { outs } else { outs * 2 };
    body.push(b.conv_transpose(&format!("up{depth}"), below, ins, HALF, 0));
    b.norm(&mut body);
    if dropout && wide && !innermost {
        body.push(Layer::Dropout(0.5));
    }
    Layer::Skip(body)
}
