// SPDX-License-Identifier: MIT OR Apache-2.0

//! The real-time architecture: dense 3×3 convolutions with zero padding at a quarter of the size, and pixel
//! shuffles for upsampling. An inference runtime turns each layer into one fused, blocked kernel, which
//! reflect padding, instance normalisation and depthwise convolutions would prevent.

use super::{
    build::{Builder, Window},
    efficientnet_lite::backbone,
    generator::GeneratorShape,
    layer::Layer,
};

/// Initial scale of a residual branch, so that a stack without normalisation starts near the identity
/// (Zhang et al. 2019, "Fixup"; ESRGAN, arXiv 1809.00219, has 0.2 and 0.1 for the same reason).
const BRANCH: f64 = 0.1;

/// A 5×5 stem to half size with `ngf` channels, a 3×3 convolution to a quarter with `width` channels, a residual block
/// for each of the shape's hidden channels, and two pixel shuffles, to the shape's `up` channels and to `outs`. A block
/// without hidden channels is omitted. `context` adds features of the whole image after two thirds of the blocks;
/// `backbone` adds features of a pretrained network to the mask; `skip` adds the stem's features between the shuffles, so
/// that detail need not pass through a quarter of the size. Also returns the numbers of layers before the first block and
/// up to the end of each block.
pub fn fast(b: &mut Builder, shape: &GeneratorShape, outs: i64) -> (Vec<Layer>, Vec<usize>) {
    let (stem, width, hidden, up) = (shape.ngf, shape.width, shape.hidden(), shape.up());
    let mut layers = Vec::new();
    layers.push(b.conv("stem", 3, stem, Window::same(5, 2)));
    normalised(b, &mut layers);
    if shape.skip {
        layers.push(Layer::Store);
    }
    if shape.blur {
        layers.push(b.low_pass("blur", stem, 5));
    }
    layers.push(b.conv("down", stem, width, Window::same(3, 2)));
    normalised(b, &mut layers);
    let mut after = vec![layers.len()];
    let blocks = hidden.len();
    for (i, &hidden) in hidden.iter().enumerate() {
        if hidden > 0 {
            layers.push(block(b, &format!("block{}", i + 1), width, hidden));
        }
        if shape.context && i + 1 == (blocks * 2).div_ceil(3) {
            layers.push(whole_picture(b, width));
        }
        after.push(layers.len());
    }
    layers.push(b.conv_shuffled("up", width, up * 4, 1.0));
    normalised(b, &mut layers);
    layers.push(Layer::PixelShuffle(2));
    if shape.skip {
        layers.push(b.add_stored("skip", stem));
    }
    layers.push(b.conv_shuffled("head", up, outs * 4, BRANCH));
    layers.push(Layer::PixelShuffle(2));
    if shape.backbone {
        layers.push(backbone(b, width));
    }
    (layers, after)
}

fn normalised(b: &mut Builder, layers: &mut Vec<Layer>) {
    b.norm(layers);
    layers.push(Layer::Relu);
}

fn block(b: &mut Builder, name: &str, width: i64, hidden: i64) -> Layer {
    let window = Window::same(3, 1);
    let mut body = vec![b.conv(&format!("{name}.1"), width, hidden, window)];
    normalised(b, &mut body);
    body.push(b.conv_scaled(&format!("{name}.2"), hidden, width, window, BRANCH));
    b.norm(&mut body);
    Layer::Residual(body)
}

/// Features of the whole image as a bias of all pixels (GCNet, arXiv 1904.11492, with a mean instead of
/// attention). It starts at 0.
fn whole_picture(b: &mut Builder, width: i64) -> Layer {
    let inside = (width / 4).max(1);
    let one = Window::valid(1);
    let mut body = vec![Layer::GlobalMean];
    body.push(b.conv("context.1", width, inside, one));
    // Means differ little between images: a plain ReLU might never activate.
    body.push(Layer::LeakyRelu(0.2));
    body.push(b.conv_scaled("context.2", inside, width, one, 0.0));
    Layer::Residual(body)
}
