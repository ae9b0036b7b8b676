// SPDX-License-Identifier: MIT OR Apache-2.0

//! Warps images along a flow.

use tch::{Kind, Tensor};

/// `image` backward-warped by `flow`, N×2×H×W, right and down, pixels: the result at p is `image` at
/// p + flow(p). Positions outside repeat the edge.
pub fn warp(image: &Tensor, flow: &Tensor) -> Tensor {
    image.grid_sampler(&targets(flow), 0, 1, true)
}

/// The end of each pixel's flow, N×H×W×2, in the coordinates of `grid_sampler`: −1 and 1 are the centres of the
/// outermost pixels.
pub fn targets(flow: &Tensor) -> Tensor {
    let (h, w) = (flow.size()[2], flow.size()[3]);
    let options = (Kind::Float, flow.device());
    let column = Tensor::arange(w, options).view([1, 1, w]);
    let row = Tensor::arange(h, options).view([1, h, 1]);
    let unit = |at: Tensor, side: i64| at * (2.0 / (side - 1).max(1) as f64) - 1.0;
    let x = unit(column + flow.select(1, 0), w);
    let y = unit(row + flow.select(1, 1), h);
    Tensor::stack(&[x, y], -1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warping_undoes_a_shift() {
        let a = Tensor::rand([1, 3, 96, 96], tch::kind::FLOAT_CPU);
        let b = a.roll([0, 3], [2, 3]);
        let shift = Tensor::from_slice(&[3.0f32, 0.0]).view([1, 2, 1, 1]);
        let shift = shift.expand([1, 2, 96, 96], false);
        let inner = |x: &Tensor| x.narrow(3, 8, 80);
        let difference = (inner(&warp(&b, &shift)) - inner(&a)).abs().max().double_value(&[]);
        assert!(difference < 1e-4, "{difference}");
    }
}
