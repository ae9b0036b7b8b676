// SPDX-License-Identifier: MIT OR Apache-2.0

//! Optical flow between two frames: dense Lucas-Kanade, coarse to fine (Bouguet 2001).

use tch::{Kind, Tensor};

use crate::warp::{targets, warp};

/// Levels of the pyramid, the first at full size.
const LEVELS: u32 = 4;
/// Refinements at each level.
const REFINEMENTS: usize = 4;
/// Side of the window, pixels.
const WINDOW: i64 = 11;
/// Regularisation that keeps flat windows still.
const DAMPING: f64 = 1e-3;
/// A pixel whose forward and backward flow differ by more than this, in pixels, is occluded.
const OCCLUDED: f64 = 1.0;

/// A frame's grey levels at each size, the largest first.
pub struct Pyramid(Vec<Tensor>);

impl Pyramid {
    /// Of a frame 1×C×H×W in [−1, 1].
    pub fn of(frame: &Tensor) -> Self {
        Self(pyramid(frame.mean_dim([1i64].as_slice(), true, Kind::Float)))
    }
}

/// Flow from `a` to `b`: 1×2×H×W, right and down, pixels. A point at p in `a` is at p + flow(p) in `b`.
pub fn flow(Pyramid(a): &Pyramid, Pyramid(b): &Pyramid) -> Tensor {
    let size = |x: &Tensor| (x.size()[2], x.size()[3]);
    let coarsest = &a[a.len() - 1];
    let (h, w) = size(coarsest);
    let mut flow = Tensor::zeros([1, 2, h, w], (Kind::Float, coarsest.device()));
    for (a, b) in a.iter().zip(b).rev() {
        let (h, w) = size(a);
        let scale = h as f64 / flow.size()[2] as f64;
        flow = flow.upsample_bilinear2d([h, w], false, None, None) * scale;
        let slopes = Slopes::of(a);
        for _ in 0..REFINEMENTS {
            flow = slopes.refine(a, b, &flow);
        }
    }
    flow
}

/// 1 where the flow stays in the frame and the backward flow returns to the start, 1×1×H×W.
pub fn visible(there: &Tensor, back: &Tensor) -> Tensor {
    let miss = there + warp(back, there);
    let distance = miss.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Float).sqrt();
    let farthest = targets(there).abs().amax([-1i64].as_slice(), false).unsqueeze(1);
    distance.le(OCCLUDED).logical_and(&farthest.le(1.0)).to_kind(Kind::Float)
}

fn pyramid(full: Tensor) -> Vec<Tensor> {
    let mut levels = vec![full];
    for _ in 1..LEVELS {
        let finer = &levels[levels.len() - 1];
        if finer.size()[2].min(finer.size()[3]) < 4 * WINDOW {
            break;
        }
        levels.push(finer.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None));
    }
    levels
}

/// The slopes of an image, and their products over the window of each pixel.
struct Slopes {
    gx: Tensor,
    gy: Tensor,
    xx: Tensor,
    xy: Tensor,
    yy: Tensor,
    determinant: Tensor,
}

impl Slopes {
    fn of(a: &Tensor) -> Self {
        let (gx, gy) = (slope(a, 3), slope(a, 2));
        let (xx, xy, yy) = (window(&gx * &gx), window(&gx * &gy), window(&gy * &gy));
        let (xx, yy) = (xx + DAMPING, yy + DAMPING);
        let determinant = &xx * &yy - &xy * &xy;
        Self { gx, gy, xx, xy, yy, determinant }
    }

    /// One Gauss-Newton update of the flow of every window from `a`, whose slopes these are, to `b`.
    fn refine(&self, a: &Tensor, b: &Tensor, flow: &Tensor) -> Tensor {
        let Self { gx, gy, xx, xy, yy, determinant } = self;
        let error = warp(b, flow) - a;
        let (xe, ye) = (window(gx * &error), window(gy * &error));
        let u = (xy * &ye - yy * &xe) / determinant;
        let v = (xy * &xe - xx * &ye) / determinant;
        flow + Tensor::cat(&[u, v], 1).clamp(-2.0, 2.0)
    }
}

/// The mean over the window of each pixel.
fn window(x: Tensor) -> Tensor {
    x.avg_pool2d([WINDOW; 2], [1, 1], [WINDOW / 2; 2], false, false, None)
}

/// Central differences along an axis.
fn slope(x: &Tensor, axis: i64) -> Tensor {
    let n = x.size()[axis as usize];
    let padding = if axis == 3 { [1, 1, 0, 0] } else { [0, 0, 1, 1] };
    let padded = x.replication_pad2d(padding);
    (padded.narrow(axis, 2, n) - padded.narrow(axis, 0, n)) * 0.5
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::scene;

    #[test]
    fn a_shift_is_found() {
        let a = scene(0, 96, 96);
        for (dx, dy) in [(3, 0), (0, -5), (6, 4)] {
            let b = a.roll([dy, dx], [2, 3]);
            let found =
                flow(&Pyramid::of(&a), &Pyramid::of(&b)).narrow(2, 24, 48).narrow(3, 24, 48);
            let mean = |i| found.select(1, i).mean(Kind::Float).double_value(&[]);
            assert!((mean(0) - dx as f64).abs() < 0.2, "{dx} {dy}: {}", mean(0));
            assert!((mean(1) - dy as f64).abs() < 0.2, "{dx} {dy}: {}", mean(1));
        }
    }
}
