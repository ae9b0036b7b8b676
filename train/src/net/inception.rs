// SPDX-License-Identifier: MIT OR Apache-2.0

//! The generator with inception-based residual blocks (CAT, arXiv 2103.03467;
//! docs/compress.md, 1): each block sums branches of kernels 1, 3 and 5, regular and depthwise, so that pruning
//! may choose among operators and not only among channels.

use serde::{Deserialize, Serialize};

use super::{
    build::{Builder, Window},
    layer::Layer,
};

/// Sides of the branches' kernels, pixels.
const KERNELS: [i64; 3] = [1, 3, 5];
/// The branches share this part of a block's channels.
const REDUCTION: i64 = 6;
/// Residual blocks.
const BLOCKS: usize = 9;
const DOWN: Window = Window { kernel: 3, stride: 2, padding: [1; 2] };

/// A value for each layer or branch whose channels can be pruned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places<T> {
    /// The stem and the two downsampling layers. All blocks have the channels of the last.
    pub down: [T; 3],
    /// The two upsampling layers.
    pub up: [T; 2],
    /// The branches of each block.
    pub blocks: Vec<Branches<T>>,
}

/// A value for each branch of a block, with kernels 1, 3 and 5.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branches<T> {
    /// k×k to the hidden channels and k×k back.
    pub res: [T; 3],
    /// 1×1 to the hidden channels, depthwise k×k, 1×1 back.
    pub dw: [T; 3],
}

/// The channels of each layer and branch. A branch with 0 channels is omitted, and so is a block without branches.
pub type Widths = Places<i64>;

impl Widths {
    /// The unpruned channels; as in the paper's teacher at `ngf` 64: 64, 128, 256 down, 128, 64 up, six branches
    /// of 256 / 6 = 42.
    pub fn whole(ngf: i64) -> Self {
        let hidden = (ngf * 4 / REDUCTION).max(1);
        let block = Branches { res: [hidden; 3], dw: [hidden; 3] };
        Self { down: [ngf, ngf * 2, ngf * 4], up: [ngf * 2, ngf], blocks: vec![block; BLOCKS] }
    }
}

impl<T> Places<T> {
    /// Maps all values: `sampling` for down- and upsampling layers, `branch` for branches.
    pub fn map<U>(
        &self,
        mut sampling: impl FnMut(&T) -> U,
        mut branch: impl FnMut(&T) -> U,
    ) -> Places<U> {
        let mut block = |b: &Branches<T>| Branches {
            res: b.res.each_ref().map(&mut branch),
            dw: b.dw.each_ref().map(&mut branch),
        };
        Places {
            blocks: self.blocks.iter().map(&mut block).collect(),
            down: self.down.each_ref().map(&mut sampling),
            up: self.up.each_ref().map(&mut sampling),
        }
    }

    /// All values.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let branches = self.blocks.iter().flat_map(|b| b.res.iter().chain(&b.dw));
        self.down.iter().chain(&self.up).chain(branches)
    }
}

/// The names of the normalisations whose scales decide the pruning: the only one of each down- and upsampling layer,
/// and the first one of each branch.
pub fn norms() -> Places<String> {
    let block = |i: usize| {
        let name = |kind: &str| KERNELS.map(|k| format!("block{i}.{kind}{k}.norm1"));
        Branches { res: name("res"), dw: name("dw") }
    };
    Places {
        down: ["stem", "down1", "down2"].map(|n| format!("{n}.norm")),
        up: ["up1", "up2"].map(|n| format!("{n}.norm")),
        blocks: (1..=BLOCKS).map(block).collect(),
    }
}

/// The layers, and the numbers of layers before the first block and up to the end of each.
pub fn inception(b: &mut Builder, widths: &Widths, outs: i64) -> (Vec<Layer>, Vec<usize>) {
    let [stem, down1, down2] = widths.down;
    let [up1, up2] = widths.up;
    let mut layers = vec![Layer::ReflectPad(3)];
    layers.push(b.conv("stem", 3, stem, Window::valid(7)));
    normalised(b, &mut layers, "stem.norm", stem);
    for (name, ins, outs) in [("down1", stem, down1), ("down2", down1, down2)] {
        layers.push(b.conv(name, ins, outs, DOWN));
        normalised(b, &mut layers, &format!("{name}.norm"), outs);
    }
    let mut after = vec![layers.len()];
    for (i, hidden) in widths.blocks.iter().enumerate() {
        layers.extend(block(b, &format!("block{}", i + 1), down2, hidden));
        after.push(layers.len());
    }
    for (name, ins, outs) in [("up1", down2, up1), ("up2", up1, up2)] {
        layers.push(b.conv_transpose(name, ins, outs, DOWN, 1));
        normalised(b, &mut layers, &format!("{name}.norm"), outs);
    }
    layers.push(Layer::ReflectPad(3));
    layers.push(b.conv("head", up2, outs, Window::valid(7)));
    (layers, after)
}

/// y = x + Norm(Σ res_k(x) + Σ dw_k(x)).
fn block(b: &mut Builder, name: &str, channels: i64, hidden: &Branches<i64>) -> Option<Layer> {
    let mut branches = Vec::new();
    for (k, m) in KERNELS.into_iter().zip(hidden.res).filter(|(_, m)| *m > 0) {
        branches.push(res(b, &format!("{name}.res{k}"), channels, m, k));
    }
    for (k, m) in KERNELS.into_iter().zip(hidden.dw).filter(|(_, m)| *m > 0) {
        branches.push(dw(b, &format!("{name}.dw{k}"), channels, m, k));
    }
    if branches.is_empty() {
        return None;
    }
    let mut body = vec![Layer::Sum(branches)];
    body.extend(b.affine_norm(&format!("{name}.norm"), channels));
    Some(Layer::Residual(body))
}

fn res(b: &mut Builder, name: &str, channels: i64, hidden: i64, kernel: i64) -> Vec<Layer> {
    let mut layers = padded(kernel);
    layers.push(b.conv(&format!("{name}.1"), channels, hidden, Window::valid(kernel)));
    normalised(b, &mut layers, &format!("{name}.norm1"), hidden);
    layers.extend(padded(kernel));
    layers.push(b.conv(&format!("{name}.2"), hidden, channels, Window::valid(kernel)));
    layers
}

fn dw(b: &mut Builder, name: &str, channels: i64, hidden: i64, kernel: i64) -> Vec<Layer> {
    let mut layers = vec![b.conv(&format!("{name}.1"), channels, hidden, Window::valid(1))];
    normalised(b, &mut layers, &format!("{name}.norm1"), hidden);
    layers.extend(padded(kernel));
    layers.push(b.depthwise(&format!("{name}.2"), hidden, Window::valid(kernel)));
    normalised(b, &mut layers, &format!("{name}.norm2"), hidden);
    layers.push(b.conv(&format!("{name}.3"), hidden, channels, Window::valid(1)));
    layers
}

fn padded(kernel: i64) -> Vec<Layer> {
    let pad = Layer::ReflectPad(kernel / 2);
    if kernel > 1 { vec![pad] } else { Vec::new() }
}

fn normalised(b: &mut Builder, layers: &mut Vec<Layer>, name: &str, channels: i64) {
    layers.extend(b.affine_norm(name, channels));
    layers.push(Layer::Relu);
}
