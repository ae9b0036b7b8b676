// SPDX-License-Identifier: MIT OR Apache-2.0

//! Copies the weights of the kept channels to a pruned student.

use anyhow::{Context, Result};
use tch::Tensor;

use super::prune::Kept;
use crate::net::params::Params;

/// Fills `student`, whose widths are those of `kept`, from its teacher. A low-pass filter that only the student has keeps its
/// fixed weights.
pub fn inherit(student: &Params, teacher: &Params, kept: &dyn Kept) -> Result<()> {
    student.fill(|name| {
        let own = || student.get(name).filter(|_| name.starts_with("blur."));
        let whole = teacher.get(name).or_else(own);
        let whole = whole.with_context(|| format!("the teacher has no {name}"))?;
        let dimensions = kept.of(name).into_iter().enumerate();
        Ok(dimensions.fold(whole.detach(), |value, (dim, channels)| match channels {
            Some(c) => {
                value.index_select(dim as i64, &Tensor::from_slice(c).to_device(value.device()))
            }
            None => value,
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compress::prune::{Scales, fast, inception},
        net::{
            build::Norm,
            generator::{FastWidths, Generator, GeneratorShape, NetG, Pruned},
            init::InitType,
        },
    };
    use tch::{Device, Kind, no_grad};

    fn shape_of_inception() -> GeneratorShape {
        GeneratorShape {
            net: NetG::Inception9Blocks,
            ngf: 20,
            width: 0,
            blocks: 0,
            norm: Norm::Instance,
            dropout: false,
            mask_head: true,
            context: false,
            backbone: false,
            skip: false,
            blur: false,
            pruned: None,
        }
    }

    fn shape_of_fast() -> GeneratorShape {
        let (net, norm) = (NetG::Fast, Norm::None);
        GeneratorShape { net, norm, width: 40, blocks: 3, ..shape_of_inception() }
    }

    fn params(generator: &Generator) -> Params {
        tch::manual_seed(6);
        Params::new(&generator.layout, InitType::Kaiming, 1.0, Device::Cpu)
    }

    /// Prunes the channels of `whole` with a scale of 0; asserts that the student generates the same as its
    /// teacher.
    fn without_idle(shape: GeneratorShape, whole: &Params, scales: &dyn Scales) -> Pruned {
        let kept = scales.keep(1e-9);
        let pruned = kept.pruned();
        let student =
            Generator::new(GeneratorShape { pruned: Some(pruned.clone()), ..shape.clone() });
        let small = params(&student);
        inherit(&small, whole, kept.as_ref()).unwrap();
        let x = Tensor::rand([2, 3, 32, 48], tch::kind::FLOAT_CPU) * 2.0 - 1.0;
        let generate = |g: &Generator, p: &Params| {
            no_grad(|| g.forward(&p.weights(Kind::Float), &x, Kind::Float, false).image)
        };
        let difference =
            (generate(&Generator::new(shape), whole) - generate(&student, &small)).abs().max();
        assert!(difference.double_value(&[]) < 1e-4, "{difference:?}");
        pruned
    }

    /// Sets a parameter to 0 from one channel on.
    fn idle(whole: &Params, name: &str, from: i64) {
        let value = whole.get(name).unwrap().detach();
        let rest = value.size()[0] - from;
        let _ = no_grad(|| value.narrow(0, from, rest).zero_());
    }

    #[test]
    fn removing_zero_channels_does_not_change_the_output() {
        let whole = params(&Generator::new(shape_of_inception()));
        for (name, from) in [
            ("stem.norm", 17),
            ("up1.norm", 30),
            ("block1.res3.norm1", 2),
            ("block2.dw5.norm1", 0),
            ("block4.res1.norm1", 0),
        ] {
            for what in ["scale", "shift"] {
                idle(&whole, &format!("{name}.{what}"), from);
            }
        }
        let scales = inception::Norms::read(|name| whole.get(name)).unwrap();
        let Pruned::Inception(left) = without_idle(shape_of_inception(), &whole, &scales) else {
            panic!("of another architecture");
        };
        assert_eq!((left.down[0], left.up[0]), (17, 30));
        assert_eq!((left.blocks[0].res[1], left.blocks[1].dw[2]), (2, 0));
    }

    #[test]
    fn removing_zero_channels_of_fast_does_not_change_the_output() {
        let shape = shape_of_fast();
        let whole = params(&Generator::new(shape.clone()));
        for (block, from) in [(1, 30), (3, 0)] {
            for what in ["weight", "bias"] {
                idle(&whole, &format!("block{block}.1.{what}"), from);
            }
        }
        // The pixel shuffle makes one channel of each four.
        for what in ["weight", "bias"] {
            idle(&whole, &format!("up.{what}"), 4 * 15);
        }
        let scales = fast::Norms::read(&shape, |name| whole.get(name)).unwrap();
        // Multiples of 16, or all channels.
        let left = FastWidths { blocks: vec![32, 40, 0], up: 16 };
        assert_eq!(without_idle(shape, &whole, &scales), Pruned::Fast(left));
    }
}
