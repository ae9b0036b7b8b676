// SPDX-License-Identifier: MIT OR Apache-2.0

//! Folds normalisation with fixed statistics into the convolution before it.

use tch::Kind;

use super::{
    layer::{BatchNorm, Layer, NORM_EPS},
    params::{ParamId, Weights},
};

/// Returns layers without batch normalisation, and changes `weights`, so that the result is the same as that of
/// `layers` outside training: W′ = W·s and b′ = b·s + shift − mean·s, s = scale/√(variance + ε), for each output
/// channel of the convolution.
pub fn fold(layers: &[Layer], weights: &mut Weights) -> Vec<Layer> {
    let mut folded: Vec<Layer> = Vec::new();
    for layer in layers {
        match (layer, folded.last_mut()) {
            (Layer::BatchNorm(norm), Some(Layer::Conv(c))) => {
                c.bias = Some(into(norm, c.weight, c.bias, [-1, 1, 1, 1], weights));
            }
            (Layer::BatchNorm(norm), Some(Layer::ConvTranspose(c))) => {
                c.bias = Some(into(norm, c.weight, c.bias, [1, -1, 1, 1], weights));
            }
            (Layer::Residual(body), _) => folded.push(Layer::Residual(fold(body, weights))),
            (Layer::Skip(body), _) => folded.push(Layer::Skip(fold(body, weights))),
            (other, _) => folded.push(other.clone()),
        }
    }
    folded
}

/// Scales a kernel and returns the new bias. `along` is the shape that broadcasts over its output channels.
fn into(
    norm: &BatchNorm,
    weight: ParamId,
    bias: Option<ParamId>,
    along: [i64; 4],
    w: &mut Weights,
) -> ParamId {
    let scale = (w[norm.variance].to_kind(Kind::Double) + NORM_EPS).rsqrt();
    let scale = norm.scale.map_or(scale.shallow_clone(), |id| scale * &w[id]);
    let mean = match bias {
        Some(bias) => &w[norm.mean] - &w[bias],
        None => w[norm.mean].shallow_clone(),
    };
    let shift = norm.shift.map_or(mean.zeros_like(), |id| w[id].shallow_clone());
    let new_bias = (shift - mean * &scale).to_kind(Kind::Float);
    let kernel = (&w[weight] * scale.view(along)).to_kind(Kind::Float);
    let bias_name = w.name(weight).replace(".weight", ".bias");
    w.replace(weight, kernel);
    let known = bias.or(norm.shift);
    match known {
        Some(id) => {
            w.replace(id, new_bias);
            id
        }
        None => w.push(bias_name, new_bias),
    }
}
