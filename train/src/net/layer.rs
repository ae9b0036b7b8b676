// SPDX-License-Identifier: MIT OR Apache-2.0

//! The layers of networks. One description is used for training (here), for export to ONNX and to count
//! multiply-accumulates.

use tch::{Kind, Tensor};

use super::params::{ParamId, Weights};

/// ε of every normalisation.
pub const NORM_EPS: f64 = 1e-5;

/// A layer of a network; the tensors are N×C×H×W.
#[derive(Clone, Debug)]
pub enum Layer {
    /// Mirrors this many pixels on each side.
    ReflectPad(i64),
    /// A convolution.
    Conv(Conv),
    /// A transposed convolution.
    ConvTranspose(ConvTranspose),
    /// Instance normalisation (Ulyanov et al. 2016) of this many channels, without parameters.
    InstanceNorm(i64),
    /// Normalisation by running or fixed statistics.
    BatchNorm(BatchNorm),
    /// Instance normalisation, then γ·x + β with a learnt γ and β per channel.
    AffineInstanceNorm(AffineNorm),
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
    /// max(x, slope·x).
    LeakyRelu(f64),
    /// Average pooling with this side.
    AveragePool(i64),
    /// The mean over the whole image, N×C×1×1.
    GlobalMean,
    /// C·r²×H×W to C×H·r×W·r (Shi et al. 2016).
    PixelShuffle(i64),
    /// Zeroes a share of the values while training.
    Dropout(f64),
    /// x + body(x); body(x) may be a single pixel.
    Residual(Vec<Layer>),
    /// x and body(x), stacked along the channels.
    Skip(Vec<Layer>),
    /// The sum of at least one branch of x.
    Sum(Vec<Vec<Layer>>),
    /// x, kept for an [`Layer::AddStored`] that follows in the same list.
    Store,
    /// x plus the convolution of the last stored value, which has the size of x.
    AddStored(Conv),
    /// x at the size of the last stored value.
    EnlargeToStored,
    /// Adds body(input), one channel at x's size, to the last channel of x, where input is the network's input. No
    /// gradient flows to the input.
    AddToMask(Vec<Layer>),
}

/// Parameters of a normalisation that learns.
#[derive(Clone, Debug)]
pub struct AffineNorm {
    /// γ, one per channel.
    pub scale: ParamId,
    /// β, one per channel.
    pub shift: ParamId,
}

/// Parameters of a convolution with zero padding.
#[derive(Clone, Debug)]
pub struct Conv {
    /// Out×(in / groups)×k×k.
    pub weight: ParamId,
    /// Out.
    pub bias: Option<ParamId>,
    /// Channels in and out.
    pub channels: (i64, i64),
    /// Side of the kernel, pixels.
    pub kernel: i64,
    /// Stride, pixels.
    pub stride: i64,
    /// Zero padding above and left, below and right, pixels.
    pub padding: [i64; 2],
    /// Groups of channels; depthwise if there are as many as channels.
    pub groups: i64,
}

/// Parameters of a transposed convolution.
#[derive(Clone, Debug)]
pub struct ConvTranspose {
    /// In×out×k×k.
    pub weight: ParamId,
    /// Out.
    pub bias: Option<ParamId>,
    /// Channels in and out.
    pub channels: (i64, i64),
    /// Side of the kernel, pixels.
    pub kernel: i64,
    /// Stride, pixels.
    pub stride: i64,
    /// Padding taken off each side, pixels.
    pub padding: i64,
    /// Rows and columns added at the end.
    pub output_padding: i64,
}

/// Parameters of a batch normalisation, each as long as there are channels.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm {
    /// The learnt scale; 1 if it is `None`.
    pub scale: Option<ParamId>,
    /// The learnt shift; 0 if it is `None`.
    pub shift: Option<ParamId>,
    /// Mean.
    pub mean: ParamId,
    /// Variance.
    pub variance: ParamId,
    /// Whether training uses the statistics of the batch and updates these running statistics.
    pub running: bool,
}

/// The weight of a batch in the update of running statistics.
const MOMENTUM: f64 = 0.1;

/// Runs layers one after another.
pub fn forward(layers: &[Layer], weights: &Weights, x: &Tensor, train: bool) -> Tensor {
    Pass { weights, train, picture: x, see: &mut |_| {} }.run(layers, x, &mut None)
}

/// Mean and variance per channel of the input of every instance normalisation of `layers`, averaged over the images of
/// `x`, in the order of the layers.
pub fn statistics(layers: &[Layer], weights: &Weights, x: &Tensor) -> Vec<[Tensor; 2]> {
    let mut found = Vec::new();
    let mut see = |x: &Tensor| {
        let within = [2i64, 3];
        let mean = x.mean_dim(within.as_slice(), false, Kind::Float);
        let variance = x.var_dim(within.as_slice(), false, false);
        found.push([mean, variance].map(|t| t.mean_dim([0i64].as_slice(), false, Kind::Float)));
    };
    let _ = Pass { weights, train: false, picture: x, see: &mut see }.run(layers, x, &mut None);
    found
}

/// A pass of an image through a network.
struct Pass<'a> {
    weights: &'a Weights,
    train: bool,
    picture: &'a Tensor,
    /// Called with the input of each instance normalisation.
    see: &'a mut dyn FnMut(&Tensor),
}

impl Pass<'_> {
    /// `stored` is the last stored value.
    fn run(&mut self, layers: &[Layer], x: &Tensor, stored: &mut Option<Tensor>) -> Tensor {
        layers.iter().fold(x.shallow_clone(), |x, layer| layer.forward(self, &x, stored))
    }
}

/// Runs layers one after another. Returns the output, and the values after the numbers of layers in `taps`, which
/// ascend.
pub fn forward_tapped(
    layers: &[Layer],
    weights: &Weights,
    x: &Tensor,
    train: bool,
    taps: &[usize],
) -> (Tensor, Vec<Tensor>) {
    let (mut value, mut done, mut tapped) = (x.shallow_clone(), 0, Vec::new());
    let mut stored = None;
    let mut pass = Pass { weights, train, picture: x, see: &mut |_| {} };
    let mut forward = |layers, x: &Tensor| pass.run(layers, x, &mut stored);
    for &tap in taps {
        value = forward(&layers[done..tap], &value);
        done = tap;
        tapped.push(value.shallow_clone());
    }
    (forward(&layers[done..], &value), tapped)
}

impl BatchNorm {
    /// Computes in float32, which the statistics need.
    fn forward(&self, w: &Weights, x: &Tensor, train: bool) -> Tensor {
        let of = |id: Option<ParamId>| id.map(|id| w[id].to_kind(Kind::Float));
        let (mean, variance) = (Some(&w[self.mean]), Some(&w[self.variance]));
        let (train, x32) = (train && self.running, x.to_kind(Kind::Float));
        let (scale, shift) = (of(self.scale), of(self.shift));
        let y = x32.batch_norm(
            scale.as_ref(),
            shift.as_ref(),
            mean,
            variance,
            train,
            MOMENTUM,
            NORM_EPS,
            true,
        );
        y.to_kind(x.kind())
    }
}

impl Conv {
    fn forward(&self, w: &Weights, x: &Tensor) -> Tensor {
        let (weight, bias) = (&w[self.weight], self.bias.map(|b| &w[b]));
        let conv = |x: &Tensor, padding: i64| {
            x.conv2d(weight, bias, [self.stride; 2], [padding; 2], [1, 1], self.groups)
        };
        match self.padding {
            [before, after] if before == after => conv(x, before),
            [before, after] => conv(&x.constant_pad_nd([before, after, before, after]), 0),
        }
    }
}

impl Layer {
    fn forward(&self, pass: &mut Pass<'_>, x: &Tensor, stored: &mut Option<Tensor>) -> Tensor {
        let w = pass.weights;
        let mut body = |body: &[Self]| pass.run(body, x, &mut None);
        match self {
            Self::ReflectPad(n) => x.reflection_pad2d([*n; 4]),
            Self::Conv(c) => c.forward(w, x),
            Self::ConvTranspose(c) => x.conv_transpose2d(
                &w[c.weight],
                c.bias.map(|b| &w[b]),
                [c.stride; 2],
                [c.padding; 2],
                [c.output_padding; 2],
                1,
                [1, 1],
            ),
            Self::InstanceNorm(_) => {
                (pass.see)(x);
                instance_norm(x, None, None)
            }
            Self::BatchNorm(norm) => norm.forward(w, x, pass.train),
            Self::AffineInstanceNorm(n) => instance_norm(x, Some(&w[n.scale]), Some(&w[n.shift])),
            Self::Relu => x.relu(),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::LeakyRelu(slope) => leaky_relu(x, *slope),
            Self::AveragePool(n) => x.avg_pool2d([*n; 2], [*n; 2], [0, 0], false, true, None),
            Self::GlobalMean => x.mean_dim([2i64, 3].as_slice(), true, x.kind()),
            Self::PixelShuffle(r) => x.pixel_shuffle(*r),
            Self::Dropout(p) => x.dropout(*p, pass.train),
            Self::Residual(layers) => x + body(layers),
            Self::Skip(layers) => Tensor::cat(&[x, &body(layers)], 1),
            Self::Sum(branches) => {
                let ends = branches.iter().map(|branch| body(branch));
                ends.reduce(|a, b| a + b).unwrap_or_else(|| x.zeros_like())
            }
            Self::Store => {
                *stored = Some(x.shallow_clone());
                x.shallow_clone()
            }
            Self::AddStored(conv) => {
                stored.as_ref().map_or_else(|| x.shallow_clone(), |kept| x + conv.forward(w, kept))
            }
            Self::EnlargeToStored => {
                stored.as_ref().map_or_else(|| x.shallow_clone(), |kept| enlarged(x, kept))
            }
            Self::AddToMask(layers) => {
                let picture = pass.picture.detach();
                let mask = enlarged(&pass.run(layers, &picture, &mut None), x);
                x + mask.constant_pad_nd([0, 0, 0, 0, x.size()[1] - 1, 0])
            }
        }
    }
}

/// For a single image, batch normalisation with the batch's own statistics is instance normalisation. With
/// channels-last tensors it is faster than libtorch's instance and group normalisation, which convert to
/// channels-first. The 70×70 PatchGAN at 256 pixels, forward and backward, takes 189 ms instead of 216 and 204, in
/// bfloat16 51 ms instead of 73 and 132.
fn instance_norm(x: &Tensor, scale: Option<&Tensor>, shift: Option<&Tensor>) -> Tensor {
    let none = None::<&Tensor>;
    let norm = |x: &Tensor| x.batch_norm(scale, shift, none, none, true, MOMENTUM, NORM_EPS, true);
    match x.size()[0] {
        1 => norm(x),
        _ => Tensor::cat(&x.split(1, 0).iter().map(norm).collect::<Vec<_>>(), 0),
    }
}

/// `x` resized bilinearly to the size of `like`, without aligned corners.
fn enlarged(x: &Tensor, like: &Tensor) -> Tensor {
    let size = like.size();
    x.upsample_bilinear2d([size[2], size[3]], false, None, None)
}

/// tch fixes the slope of `leaky_relu` at 0.01. `leaky_relu_backward` has a slope; it multiplies a gradient by 1 or by
/// the slope, depending on the sign of x, and is used here with x itself as the gradient.
fn leaky_relu(x: &Tensor, slope: f64) -> Tensor {
    x.detach().leaky_relu_backward(x, slope, false)
}

/// An N×C×H×W tensor of kind `kind` in channels-last memory format, like the parameters.
pub fn ready(x: &Tensor, kind: Kind) -> Tensor {
    let x = x.to_kind(kind).permute([0, 2, 3, 1]).contiguous();
    x.permute([0, 3, 1, 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::noise;

    /// Group normalisation with one channel per group is instance normalisation.
    #[test]
    fn instance_normalisation_matches_group_normalisation() {
        for shape in [[1, 4, 8, 6], [3, 4, 8, 6], [2, 4, 1, 1]] {
            let x = ready(&noise(1, &shape), Kind::Float).set_requires_grad(true);
            let [scale, shift] = [2, 3].map(|seed| noise(seed, &[4]).set_requires_grad(true));
            let gradient = noise(4, &shape);
            let learn = |y: &Tensor| {
                let leaves = [&x, &scale, &shift];
                Tensor::run_backward(&[(y * &gradient).sum(Kind::Float)], &leaves, false, false)
            };
            let found = instance_norm(&x, Some(&scale), Some(&shift));
            let expected = x.group_norm(4, Some(&scale), Some(&shift), NORM_EPS, false);
            let far = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
            assert!(far(&found, &expected) < 1e-5, "{shape:?}");
            for (found, expected) in learn(&found).iter().zip(learn(&expected)) {
                assert!(far(found, &expected) < 1e-4, "{shape:?}");
            }
        }
    }

    #[test]
    fn leaky_relu_and_its_gradients_have_the_slope() {
        let x = Tensor::from_slice(&[-2.0f32, -0.5, 0.5, 2.0]).set_requires_grad(true);
        let y = leaky_relu(&x, 0.2);
        assert!(
            (&y - Tensor::from_slice(&[-0.4f32, -0.1, 0.5, 2.0])).abs().max().double_value(&[])
                < 1e-6
        );
        let gradient = Tensor::run_backward(&[y.sum(Kind::Float)], &[&x], false, false).remove(0);
        let expected = Tensor::from_slice(&[0.2f32, 0.2, 1.0, 1.0]);
        assert!((gradient - &expected).abs().max().double_value(&[]) < 1e-6);
        // The second derivative, as in a gradient penalty: d/dw (w·slope)² = 2w·slope².
        let w = Tensor::from_slice(&[3.0f32]).set_requires_grad(true);
        let score = (leaky_relu(&x, 0.2) * &w).sum(Kind::Float);
        let gradient = Tensor::run_backward(&[score], &[&x], true, true).remove(0);
        let penalty = gradient.square().sum(Kind::Float);
        let gradient = Tensor::run_backward(&[penalty], &[&w], false, false).remove(0);
        let expected = expected.square().sum(Kind::Float).double_value(&[]) * 6.0;
        assert!((gradient.double_value(&[0]) - expected).abs() < 1e-4);
    }
}
