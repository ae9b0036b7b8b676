// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sharpens a mask: its logits times a gain, plus a shift.
//!
//! Cross-entropy makes the mask a probability. Where it is 0.7, three tenths of the input remain in the output,
//! which looks half translated.

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use tch::no_grad;

use crate::net::{
    generator::Generator,
    layer::Layer,
    params::{ParamId, Params},
};

/// Changes the weights so that the mask is σ(gain·x + shift) instead of σ(x).
///
/// # Errors
/// For a generator without a mask head.
pub fn sharpen(generator: &Generator, params: &Params, gain: f64, shift: f64) -> Result<()> {
    ensure!(
        generator.shape.mask_head,
        "--mask-gain, --mask-shift-a and --mask-shift-b change the mask, and this pair was trained without --mask-head"
    );
    // The channels of R, G and B come first. The pixel shuffle turns four channels into one.
    let rgba = head(&generator.layers)?;
    let part = rgba.outs / 4;
    scale(generator, params, &rgba, 3 * part..4 * part, gain, shift)?;
    for layer in &generator.layers {
        if let Layer::AddToMask(body) = layer {
            let seen = head(body)?;
            scale(generator, params, &seen, 0..seen.outs, gain, 0.0)?;
        }
    }
    Ok(())
}

/// The convolution that computes the result of some layers.
struct Head {
    weight: ParamId,
    bias: ParamId,
    /// Its output channels, and their dimension in the weight.
    outs: i64,
    dimension: i64,
}

/// The last convolution. Fails if layers after it do more than to move its output or to add to it.
fn head(layers: &[Layer]) -> Result<Head> {
    let after = |layer: &&Layer| matches!(layer, Layer::PixelShuffle(_) | Layer::AddToMask(_));
    let (weight, bias, outs, dimension) = match layers.iter().rev().find(|layer| !after(layer)) {
        Some(Layer::Conv(conv)) => (conv.weight, conv.bias, conv.channels.1, 0),
        Some(Layer::ConvTranspose(conv)) => (conv.weight, conv.bias, conv.channels.1, 1),
        _ => bail!("--mask-gain and --mask-shift: this generator does not end with a convolution"),
    };
    let bias = bias.context("--mask-gain and --mask-shift: the last convolution has no bias")?;
    Ok(Head { weight, bias, outs, dimension })
}

fn scale(
    generator: &Generator,
    params: &Params,
    head: &Head,
    channels: Range<i64>,
    gain: f64,
    shift: f64,
) -> Result<()> {
    let part = |id, dimension| {
        let value = params.get(generator.layout.name(id)).context("a parameter")?.detach();
        let count = channels.end - channels.start;
        Ok::<_, anyhow::Error>(value.narrow(dimension, channels.start, count))
    };
    let mut weight = part(head.weight, head.dimension)?;
    let mut bias = part(head.bias, 0)?;
    no_grad(|| {
        let _ = weight.g_mul_scalar_(gain);
        let _ = bias.g_mul_scalar_(gain).g_add_scalar_(shift);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;
    use crate::{
        net::{
            build::Norm,
            generator::{GeneratorShape, NetG},
            init::InitType,
        },
        noise::noise,
    };

    #[test]
    fn only_the_logits_of_the_mask_are_scaled() {
        for (net, backbone) in [
            (NetG::Fast, false),
            (NetG::Fast, true),
            (NetG::Resnet6Blocks, false),
            (NetG::Inception9Blocks, false),
            (NetG::Unet128, false),
        ] {
            let shape = GeneratorShape {
                net,
                ngf: 4,
                width: 8,
                blocks: 1,
                norm: if net == NetG::Fast { Norm::None } else { Norm::Instance },
                dropout: false,
                mask_head: true,
                context: false,
                backbone,
                skip: true,
                blur: false,
                pruned: None,
            };
            let generator = Generator::new(shape);
            tch::manual_seed(1);
            let params = Params::new(&generator.layout, InitType::Kaiming, 1.0, Device::Cpu);
            // The backbone contributes to the mask.
            params
                .fill(|name| {
                    let own = params.get(name).context("a parameter")?.detach();
                    let seen = name.starts_with("seen.") || name.starts_with("backbone.");
                    Ok::<_, anyhow::Error>(if seen {
                        noise(2, &own.size()) * 0.2
                    } else {
                        own.copy()
                    })
                })
                .unwrap();
            let side = i64::from(generator.multiple_of()).max(64);
            let x = noise(3, &[1, 3, side, side]);
            let logits_and_colours = || {
                let weights = params.weights(Kind::Float);
                let generated = no_grad(|| generator.forward(&weights, &x, Kind::Float, false));
                let logits = generated.mask_logits.unwrap();
                let colours = &x + (generated.image - &x) / logits.sigmoid();
                (logits, colours)
            };
            let (before, colours) = logits_and_colours();
            sharpen(&generator, &params, 2.0, 0.5).unwrap();
            let (after, same) = logits_and_colours();
            let far = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
            assert!(far(&after, &(&before * 2.0 + 0.5)) < 1e-4, "{net:?}");
            assert!(far(&colours, &same) < 1e-3, "{net:?}");
        }
    }
}
