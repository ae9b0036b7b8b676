// SPDX-License-Identifier: MIT OR Apache-2.0

//! Quantised weights of convolutions.

/// The largest weight: 7 bits instead of 8, because CPUs with AVX2 or AVX-512 but no VNNI add two products
/// of 8 bits into 16, which may overflow with weights beyond 64.
const LARGEST: f32 = 63.0;
/// The limit of biases, far below that of 32 bits.
const LARGEST_BIAS: f32 = (1 << 30) as f32;

/// A convolution's weight and bias as integers, each output channel with a scale of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerWeights {
    /// round(w / scale), −63 to 63.
    pub weight: Vec<i8>,
    /// The scale of each output channel.
    pub scale: Vec<f32>,
    /// round(b / bias_scale); empty without a bias.
    pub bias: Vec<i32>,
    /// The scale of the input times that of the channel, so that the bias can be added to the products.
    pub bias_scale: Vec<f32>,
}

impl IntegerWeights {
    /// Rounds a weight of out×in×k×k and its bias (empty for none) for inputs of `input_scale`.
    pub fn of(weight: &[f32], outs: usize, bias: &[f32], input_scale: f32) -> Self {
        let per_channel = weight.len() / outs.max(1);
        let channels = weight.chunks_exact(per_channel.max(1));
        let mut rounded = Self {
            weight: Vec::with_capacity(weight.len()),
            scale: Vec::with_capacity(outs),
            bias: Vec::with_capacity(bias.len()),
            bias_scale: Vec::with_capacity(bias.len()),
        };
        for (out, channel) in channels.enumerate() {
            let largest = channel.iter().fold(0f32, |largest, v| largest.max(v.abs()));
            // A channel of tiny weights must not make its bias overflow.
            let for_bias = bias.get(out).map_or(0.0, |b| b.abs() / input_scale / LARGEST_BIAS);
            let scale = (largest / LARGEST).max(for_bias);
            let scale = if scale > f32::MIN_POSITIVE { scale } else { 1.0 };
            let round = |v: &f32| (v / scale).round_ties_even().clamp(-LARGEST, LARGEST) as i8;
            rounded.weight.extend(channel.iter().map(round));
            rounded.scale.push(scale);
            if let Some(b) = bias.get(out) {
                let bias_scale = scale * input_scale;
                rounded.bias.push((b / bias_scale).round_ties_even() as i32);
                rounded.bias_scale.push(bias_scale);
            }
        }
        rounded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_uses_all_of_its_seven_bits() {
        let weight = [0.6, -1.0, 0.25, 100.0, 3.0, -50.0];
        let rounded = IntegerWeights::of(&weight, 2, &[2.0, -1.0], 0.1);
        assert_eq!(rounded.weight, [38, -63, 16, 63, 2, -32]);
        assert_eq!(rounded.scale, [1.0 / 63.0, 100.0 / 63.0]);
        assert_eq!(rounded.bias, [1260, -6]);
    }

    #[test]
    fn zero_channels_and_large_biases_stay_in_range() {
        let rounded = IntegerWeights::of(&[0.0, 1e-30], 2, &[0.0, 1e6], 1e-4);
        assert_eq!(rounded.scale[0], 1.0);
        assert!(rounded.bias[1] > 1 << 29 && rounded.bias[1] <= 1 << 30, "{rounded:?}");
        let bias = rounded.bias[1] as f32 * rounded.bias_scale[1];
        assert!((bias / 1e6 - 1.0).abs() < 1e-5, "{bias}");
    }
}
