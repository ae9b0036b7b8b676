// SPDX-License-Identifier: MIT OR Apache-2.0

//! A pruned student begins with the values of the channels that it keeps.

use anyhow::{Context, Result};
use tch::Tensor;

use super::prune::Kept;
use crate::net::params::Params;

/// Which channels of a module are kept; none means all.
type Channels<'a> = Option<&'a [i64]>;

/// Fills `student`, which has the widths of `kept`, from its teacher.
pub fn inherit(student: &Params, teacher: &Params, kept: &Kept) -> Result<()> {
    student.fill(|name| {
        let whole = teacher.get(name).with_context(|| format!("the teacher has no {name}"))?;
        let (module, what) = name.rsplit_once('.').unwrap_or((name, ""));
        let (outs, ins) = channels(module, kept);
        let dimensions = match (what, module.starts_with("up")) {
            ("weight", false) => [outs, ins],
            // A transposed convolution's weights are in×out.
            ("weight", true) => [ins, outs],
            _ => [outs, None],
        };
        Ok(dimensions.into_iter().enumerate().fold(whole.detach(), |value, (dim, channels)| {
            match channels {
                Some(c) => {
                    value.index_select(dim as i64, &Tensor::from_slice(c).to_device(value.device()))
                }
                None => value,
            }
        }))
    })
}

/// The channels that a module (`block3.dw5.norm2`) puts out and takes in.
fn channels<'a>(module: &str, kept: &'a Kept) -> (Channels<'a>, Channels<'a>) {
    let [stem, down1, down2] = kept.down.each_ref().map(|c| Some(c.as_slice()));
    let [up1, up2] = kept.up.each_ref().map(|c| Some(c.as_slice()));
    let (place, rest) = module.split_once('.').unwrap_or((module, ""));
    match place {
        "stem" => (stem, None),
        "down1" => (down1, stem),
        "down2" => (down2, down1),
        "up1" => (up1, down2),
        "up2" => (up2, up1),
        "head" => (None, up2),
        _ => match hidden(place, rest, kept) {
            // The last convolution of a branch goes back to the channels between the blocks.
            Some((hidden, "res", "2") | (hidden, "dw", "3")) => (down2, hidden),
            // One depthwise filter a channel.
            Some((hidden, "dw", "2")) => (hidden, None),
            Some((hidden, _, "1")) => (hidden, down2),
            Some((hidden, ..)) => (hidden, None),
            None => (down2, None),
        },
    }
}

/// The hidden channels of a module inside a branch (`block3`, `dw5.norm2`), the branch's kind, and
/// the module's name within it.
fn hidden<'a, 'n>(
    block: &str,
    rest: &'n str,
    kept: &'a Kept,
) -> Option<(Channels<'a>, &'n str, &'n str)> {
    let block =
        kept.blocks.get(block.strip_prefix("block")?.parse::<usize>().ok()?.checked_sub(1)?)?;
    let (branch, layer) = rest.split_once('.')?;
    let (kind, kernel) = branch.split_at_checked(branch.len().checked_sub(1)?)?;
    let branches = if kind == "res" { &block.res } else { &block.dw };
    let hidden = branches.get(kernel.parse::<usize>().ok()? / 2)?;
    Some((Some(hidden), kind, layer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compress::prune::{Scales, widths},
        net::{
            build::Norm,
            generator::{Generator, GeneratorShape, NetG},
            inception::Widths,
            init::InitType,
        },
    };
    use tch::{Device, Kind, no_grad};

    fn generator(widths: Option<Widths>) -> Generator {
        Generator::new(GeneratorShape {
            net: NetG::Inception9Blocks,
            ngf: 20,
            width: 0,
            blocks: 0,
            norm: Norm::Instance,
            dropout: false,
            mask_head: true,
            inception: widths,
        })
    }

    fn params(generator: &Generator) -> Params {
        tch::manual_seed(6);
        Params::new(&generator.layout, InitType::Kaiming, 1.0, Device::Cpu)
    }

    /// Channels that scale by nothing may go without a trace.
    #[test]
    fn channels_that_do_nothing_leave_the_picture_as_it_is() {
        let teacher = generator(None);
        let whole = params(&teacher);
        no_grad(|| {
            for (name, from) in [
                ("stem.norm", 17),
                ("up1.norm", 30),
                ("block1.res3.norm1", 2),
                ("block2.dw5.norm1", 0),
                ("block4.res1.norm1", 0),
            ] {
                for what in ["scale", "shift"] {
                    let value = whole.get(&format!("{name}.{what}")).unwrap().detach();
                    let rest = value.size()[0] - from;
                    let _ = value.narrow(0, from, rest).zero_();
                }
            }
        });
        let kept = Scales::read(|name| whole.get(name)).unwrap().keep(1e-9);
        let pruned = widths(&kept);
        assert_eq!((pruned.down[0], pruned.up[0]), (17, 30));
        assert_eq!((pruned.blocks[0].res[1], pruned.blocks[1].dw[2]), (2, 0));
        let student = generator(Some(pruned));
        let small = params(&student);
        inherit(&small, &whole, &kept).unwrap();
        let x = Tensor::rand([2, 3, 32, 48], tch::kind::FLOAT_CPU) * 2.0 - 1.0;
        let paint = |g: &Generator, p: &Params| {
            no_grad(|| g.forward(&p.weights(Kind::Float), &x, Kind::Float, false).image)
        };
        let difference = (paint(&teacher, &whole) - paint(&student, &small)).abs().max();
        assert!(difference.double_value(&[]) < 1e-4, "{difference:?}");
    }
}
