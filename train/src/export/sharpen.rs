// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sharpens a mask: its logits times a gain, plus a shift.
//!
//! Cross-entropy makes the mask a probability. Where it is 0.7, three tenths of the input remain in the output,
//! which looks half translated.

use anyhow::{Context, Result, ensure};
use tch::{Tensor, no_grad};

use crate::net::{
    generator::Generator,
    layer::{Conv, Layer},
    params::Params,
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
    let head = last(&generator.layers).context("no convolution")?;
    // The channels of R, G and B come first. The pixel shuffle turns four channels into one.
    let mask = |of: &Tensor| of.narrow(0, head.channels.1 / 4 * 3, head.channels.1 / 4);
    scale(generator, params, head, &mask, gain, shift)?;
    for layer in &generator.layers {
        if let Layer::AddToMask(body) = layer {
            let seen = last(body).context("no convolution")?;
            scale(generator, params, seen, &Tensor::shallow_clone, gain, 0.0)?;
        }
    }
    Ok(())
}

fn last(layers: &[Layer]) -> Option<&Conv> {
    layers.iter().rev().find_map(|layer| match layer {
        Layer::Conv(conv) => Some(conv),
        _ => None,
    })
}

fn scale(
    generator: &Generator,
    params: &Params,
    conv: &Conv,
    part: &dyn Fn(&Tensor) -> Tensor,
    gain: f64,
    shift: f64,
) -> Result<()> {
    let value = |id| {
        let name = generator.layout.name(id);
        Ok::<_, anyhow::Error>(part(&params.get(name).context("a parameter")?.detach()))
    };
    let (mut weight, bias) = (value(conv.weight)?, conv.bias.context("a bias of the mask")?);
    let mut bias = value(bias)?;
    no_grad(|| {
        let _ = weight.g_mul_scalar_(gain);
        let _ = bias.g_mul_scalar_(gain).g_add_scalar_(shift);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

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
        for (net, backbone) in
            [(NetG::Fast, false), (NetG::Fast, true), (NetG::Resnet6Blocks, false)]
        {
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
            let x = noise(3, &[1, 3, 64, 64]);
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
