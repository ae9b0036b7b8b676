// SPDX-License-Identifier: MIT OR Apache-2.0

//! The pruned channels of exported files, from the shapes of their weights.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, Result};
use cyclegan_contract::{
    Direction, Precision, file_name,
    onnx::{GraphProto, TensorProto},
};

use super::read_back::graph;
use crate::net::{
    generator::{FastWidths, GeneratorShape, NetG, Pruned},
    inception::norms,
};

/// The channels that pruning left in the pair in `folder`, whose unpruned shape is `whole`. `None` if nothing was
/// pruned, or if the files do not show it.
pub fn of_pair(folder: &Path, whole: &GeneratorShape) -> Result<Option<[Pruned; 2]>> {
    let left = match whole.net {
        NetG::Fast => fast,
        NetG::Inception9Blocks => widths,
        _ => return Ok(None),
    };
    let [g, f] = Direction::BOTH.map(|direction| {
        let path = folder.join(file_name(direction, Precision::Fp32));
        graph(&path).with_context(|| path.display().to_string())
    });
    Ok(left(&[g?, f?], whole))
}

fn fast(graphs: &[GraphProto; 2], whole: &GeneratorShape) -> Option<[Pruned; 2]> {
    let found = graphs.each_ref().map(hidden);
    let blocks = 1..=whole.blocks;
    // If neither generator has the last block, there may have been fewer blocks.
    let last = found.iter().flat_map(HashMap::keys).max();
    let fits = last == Some(&whole.blocks);
    let [g, f] = [0, 1].map(|i| {
        let blocks = blocks.clone().map(|n| found[i].get(&n).copied().unwrap_or(0)).collect();
        Some(FastWidths { blocks, up: up(&graphs[i])? })
    });
    let widths = [g?, f?];
    let whole = FastWidths { blocks: whole.hidden(), up: whole.up() };
    (fits && widths.iter().any(|widths| *widths != whole)).then(|| widths.map(Pruned::Fast))
}

fn widths(graphs: &[GraphProto; 2], whole: &GeneratorShape) -> Option<[Pruned; 2]> {
    let widths = graphs.each_ref().map(|graph| {
        let channels = |norm: &String| {
            let name = format!("{norm}.scale");
            let scale = graph.initializer.iter().find(|weight| weight.name == name);
            scale.and_then(|scale| scale.dims.first().copied()).unwrap_or(0)
        };
        norms().map(channels, channels)
    });
    let fits = widths.iter().all(|widths| !widths.down.contains(&0) && !widths.up.contains(&0));
    let differs = widths.iter().any(|widths| *widths != whole.widths());
    (fits && differs).then(|| widths.map(Pruned::Inception))
}

/// The input channels of the last convolution of `fast`.
fn up(graph: &GraphProto) -> Option<i64> {
    graph.initializer.iter().find(|weight| weight.name == "head.weight")?.dims.get(1).copied()
}

/// The channels inside each block of `fast` by its number.
fn hidden(graph: &GraphProto) -> HashMap<usize, i64> {
    let of = |weight: &TensorProto| {
        let number = weight.name.strip_prefix("block")?.strip_suffix(".1.weight")?;
        Some((number.parse().ok()?, *weight.dims.first()?))
    };
    graph.initializer.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use cyclegan_contract::{Metadata, onnx::Message};
    use tch::{Device, Kind};

    use super::*;
    use crate::{
        export::{graph::Element, model},
        net::{
            build::Norm, generator::Generator, inception::Branches, init::InitType, params::Params,
        },
    };

    fn shape(net: NetG, blocks: usize, pruned: Option<Pruned>) -> GeneratorShape {
        GeneratorShape {
            net,
            ngf: 4,
            width: 16,
            blocks,
            norm: if net == NetG::Fast { Norm::None } else { Norm::Instance },
            dropout: false,
            mask_head: false,
            context: false,
            backbone: false,
            skip: false,
            blur: false,
            pruned,
        }
    }

    /// The channels that are read from files of such generators, with options for `whole`.
    fn seen_in(files: [GeneratorShape; 2], whole: &GeneratorShape) -> Option<[Pruned; 2]> {
        let folder = tempfile::tempdir().unwrap();
        for (direction, shape) in Direction::BOTH.into_iter().zip(files) {
            let generator = Generator::new(shape);
            let params = Params::new(&generator.layout, InitType::Kaiming, 1.0, Device::Cpu);
            let weights = params.weights(Kind::Float);
            let model = model::build(&generator, &weights, &Metadata::default(), Element::F32);
            let name = file_name(direction, Precision::Fp32);
            fs::write(folder.path().join(name), model.encode_to_vec()).unwrap();
        }
        of_pair(folder.path(), whole).unwrap()
    }

    fn pruned(blocks: &[i64], up: i64) -> Pruned {
        Pruned::Fast(FastWidths { blocks: blocks.to_vec(), up })
    }

    /// The same for `fast` generators with so many inner channels, with options for `blocks` blocks.
    fn seen(blocks: usize, inside: [&[i64]; 2], up: i64) -> Option<[Pruned; 2]> {
        let file = |hidden: &[i64]| shape(NetG::Fast, hidden.len(), Some(pruned(hidden, up)));
        seen_in(inside.map(file), &shape(NetG::Fast, blocks, None))
    }

    #[test]
    fn pruned_channels_of_fast_are_read_from_weight_shapes() {
        let left = |inside: [&[i64]; 2], up| Some(inside.map(|blocks| pruned(blocks, up)));
        for inside in [[&[16, 8][..], &[16, 16]], [&[16, 0], &[0, 16]], [&[0, 8], &[8, 8]]] {
            assert_eq!(seen(2, inside, 4), left(inside, 4));
        }
        let whole = [&[16, 16][..], &[16, 16]];
        assert_eq!(seen(2, whole, 3), left(whole, 3));
        assert_eq!(seen(2, whole, 4), None);
        // The files could come from one, two or three blocks.
        assert_eq!(seen(2, [&[16, 0], &[16, 0]], 4), None);
        assert_eq!(seen(2, [&[16, 16, 16], &[16, 16, 16]], 4), None);
    }

    #[test]
    fn pruned_channels_of_inception_are_read_from_weight_shapes() {
        let whole = shape(NetG::Inception9Blocks, 9, None);
        let (mut g, f) = (whole.widths(), whole.widths());
        g.down[2] = 5;
        g.up[0] = 3;
        g.blocks[0].dw[1] = 0;
        g.blocks[3] = Branches { res: [0; 3], dw: [0; 3] };
        g.blocks[8].res[2] = 1;
        let left = [g, f].map(Pruned::Inception);
        let files = left.clone().map(|left| shape(NetG::Inception9Blocks, 9, Some(left)));
        assert_eq!(seen_in(files, &whole), Some(left));
        assert_eq!(seen_in([whole.clone(), whole.clone()], &whole), None);
        // These files do not show it.
        assert_eq!(seen_in([0, 1].map(|_| shape(NetG::Fast, 2, None)), &whole), None);
    }
}
