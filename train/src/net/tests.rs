// SPDX-License-Identifier: MIT OR Apache-2.0

//! Compares the networks with the published ones.

use tch::{Device, Kind, Tensor};

use crate::noise::noise;

use super::{
    build::Norm,
    cost::{macs, macs_at_output_size},
    discriminator::{Discriminator, DiscriminatorShape, NetD},
    generator::{Generator, GeneratorShape, NetG, Pruned},
    inception::{Branches, Widths},
    init::InitType,
    layer::Layer,
    params::{Params, Weights},
};

fn generator(net: NetG, mask_head: bool) -> Generator {
    with_norm(net, Norm::Instance, mask_head)
}

fn with_norm(net: NetG, norm: Norm, mask_head: bool) -> Generator {
    Generator::new(GeneratorShape {
        net,
        ngf: 64,
        width: 64,
        blocks: 6,
        norm,
        dropout: false,
        mask_head,
        context: false,
        backbone: false,
        skip: false,
        blur: false,
        pruned: None,
    })
}

fn discriminator(net: NetD, n_layers: u32) -> Discriminator {
    Discriminator::new(DiscriminatorShape { net, ins: 3, ndf: 64, n_layers, norm: Norm::Instance })
}

#[test]
fn generators_have_the_published_number_of_parameters() {
    for (net, norm, millions) in [
        (NetG::Resnet9Blocks, Norm::Instance, 11.378),
        (NetG::Resnet6Blocks, Norm::Instance, 7.838),
        // By hand: see `an_inception_generator_matches_the_paper`.
        (NetG::Inception9Blocks, Norm::Instance, 8.154255),
        (NetG::Unet128, Norm::Batch, 41.829),
        (NetG::Unet256, Norm::Batch, 54.414),
        // Minus one scale per normalised channel.
        (NetG::Unet128, Norm::Instance, 41.8257),
        (NetG::Unet256, Norm::Instance, 54.4096),
    ] {
        let found = with_norm(net, norm, false).layout.weights() as f64 / 1e6;
        assert!((found - millions).abs() < 6e-4, "{net:?} {norm:?}: {found} M");
    }
}

#[test]
fn discriminators_have_the_published_number_of_parameters() {
    for (net, n, parameters) in
        [(NetD::Basic, 3, 2_764_737), (NetD::NLayers, 3, 2_764_737), (NetD::Pixel, 3, 8_705)]
    {
        assert_eq!(discriminator(net, n).layout.weights(), parameters, "{net:?}");
    }
}

#[test]
fn the_papers_generator_has_the_published_macs() {
    let giga = macs(&generator(NetG::Resnet9Blocks, false).layers, 256, 256) as f64 / 1e9;
    assert!((giga - 49.55).abs() < 0.05, "{giga} GMAC");
}

#[test]
fn generators_keep_the_size_and_the_range() {
    for net in [NetG::Fast, NetG::Resnet6Blocks, NetG::Inception9Blocks, NetG::Unet128] {
        for mask_head in [false, true] {
            let generator = generator(net, mask_head);
            tch::manual_seed(1);
            let params = Params::new(&generator.layout, InitType::Normal, 0.02, Device::Cpu);
            let x = Tensor::rand([2, 3, 128, 256], tch::kind::FLOAT_CPU) * 2.0 - 1.0;
            let weights = params.weights(Kind::Float);
            let generated = tch::no_grad(|| generator.forward(&weights, &x, Kind::Float, false));
            assert_eq!(generated.image.size(), [2, 3, 128, 256]);
            assert!(generated.image.abs().max().double_value(&[]) <= 1.0);
            let mask = generated.mask_logits.map(|m| m.size());
            assert_eq!(mask, mask_head.then(|| vec![2, 1, 128, 256]), "{net:?}");
        }
    }
}

#[test]
fn a_patchgan_scores_patches() {
    for (net, n, side) in [(NetD::Basic, 3, 14), (NetD::NLayers, 2, 30), (NetD::Pixel, 0, 128)] {
        let discriminator = discriminator(net, n);
        let params = Params::new(&discriminator.layout, InitType::Normal, 0.02, Device::Cpu);
        let x = Tensor::zeros([1, 3, 128, 128], tch::kind::FLOAT_CPU);
        let scores = discriminator.forward(&params.weights(Kind::Float), &x, Kind::Float);
        assert_eq!(scores.size(), [1, 1, side, side], "{net:?}");
    }
}

/// Two images give the same output in one batch as one by one.
#[test]
fn a_batch_gives_the_same_output_as_single_images() {
    let generator = generator(NetG::Resnet6Blocks, true);
    tch::manual_seed(1);
    let params = Params::new(&generator.layout, InitType::Normal, 0.02, Device::Cpu);
    let x = Tensor::rand([2, 3, 32, 32], tch::kind::FLOAT_CPU) * 2.0 - 1.0;
    let weights = params.weights(Kind::Float);
    let run = |x: &Tensor| generator.forward(&weights, x, Kind::Float, true).image;
    let one_by_one = Tensor::cat(&[run(&x.narrow(0, 0, 1)), run(&x.narrow(0, 1, 1))], 0);
    let difference = (run(&x) - one_by_one).abs().max().double_value(&[]);
    assert!(difference < 1e-5, "{difference}");
}

#[test]
fn running_statistics_follow_the_images_and_are_used_outside_training() {
    let generator = with_norm(NetG::Fast, Norm::Batch, false);
    tch::manual_seed(1);
    let params = Params::new(&generator.layout, InitType::Kaiming, 0.02, Device::Cpu);
    let weights = params.weights(Kind::Float);
    let x = Tensor::rand([4, 3, 32, 32], tch::kind::FLOAT_CPU) * 2.0 - 1.0;
    let run = |x: &Tensor, train: bool| {
        tch::no_grad(|| generator.forward(&weights, x, Kind::Float, train).image)
    };
    let difference = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
    let before = run(&x, false);
    for _ in 0..200 {
        let _ = run(&x, true);
    }
    let after = run(&x, false);
    assert!(difference(&before, &after) > 0.05, "the statistics stood still");
    assert!(difference(&run(&x, true), &after) < 0.02, "the statistics are not the images'");
    let first = x.narrow(0, 0, 1);
    assert!(difference(&run(&first, false), &after.narrow(0, 0, 1)) < 1e-4);
}

/// Counts the layers one by one: stem, two downsampling layers, nine blocks of six branches, two upsampling layers,
/// head.
#[test]
fn an_inception_generator_matches_the_paper() {
    let (c, m) = (256u64, 42u64);
    let conv = |ins: u64, outs: u64, k: u64| ins * outs * k * k;
    let res = |k: u64| conv(c, m, k) + m + 2 * m + conv(m, c, k) + c;
    let dw = |k: u64| conv(c, m, 1) + m + 2 * m + m * k * k + m + 2 * m + conv(m, c, 1) + c;
    let block = [1, 3, 5].map(|k| res(k) + dw(k)).iter().sum::<u64>() + 2 * c;
    let ends = conv(3, 64, 7) + 3 * 64 + conv(64, 3, 7) + 3;
    let down = conv(64, 128, 3) + 3 * 128 + conv(128, 256, 3) + 3 * 256;
    let up = conv(256, 128, 3) + 3 * 128 + conv(128, 64, 3) + 3 * 64;
    let generator = generator(NetG::Inception9Blocks, false);
    assert_eq!(generator.layout.numel() as u64, 9 * block + ends + down + up);

    let quarter = 64 * 64;
    // The convolutions of a branch are padded, so both are at the size of the block.
    let res = |k: u64| 2 * conv(c, m, k) * quarter;
    let dw = |k: u64| (2 * conv(c, m, 1) + m * k * k) * quarter;
    let blocks = 9 * [1, 3, 5].map(|k| res(k) + dw(k)).iter().sum::<u64>();
    let ends = 2 * conv(3, 64, 7) * 256 * 256;
    let down = conv(64, 128, 3) * 128 * 128 + conv(128, 256, 3) * quarter;
    let up = conv(256, 128, 3) * quarter + conv(128, 64, 3) * 128 * 128;
    assert_eq!(macs(&generator.layers, 256, 256), blocks + ends + down + up);
    let literature = macs_at_output_size(&generator.layers, 256, 256);
    assert_eq!(literature, blocks + ends + down + 4 * up);
}

/// The literature's figure for the paper's generator counts upsampling layers at their output's size.
#[test]
fn macs_at_output_size_match_the_literature() {
    let layers = generator(NetG::Resnet9Blocks, false).layers;
    let giga = macs_at_output_size(&layers, 256, 256) as f64 / 1e9;
    assert!((giga - 56.8).abs() < 0.05, "{giga} GMAC");
}

/// A block with one branch computes y = x + Norm(branch(x)), and a block without branches is omitted.
#[test]
fn pruned_branches_and_blocks_are_removed() {
    let mut widths = Widths::whole(16);
    let none = Branches { res: [0; 3], dw: [0; 3] };
    widths.blocks = vec![none.clone(); 9];
    widths.blocks[4] = Branches { dw: [0, 5, 0], ..none };
    let whole = generator(NetG::Inception9Blocks, false);
    let shape = GeneratorShape { pruned: Some(Pruned::Inception(widths)), ..whole.shape };
    let pruned = Generator::new(shape);
    let blocks: Vec<_> = pruned.layers.iter().filter(|l| matches!(l, Layer::Residual(_))).collect();
    assert_eq!(blocks.len(), 1);
    let names = pruned.layout.signature();
    let of_blocks: Vec<&str> = names.lines().filter(|n| n.starts_with("block")).collect();
    assert!(of_blocks.iter().all(|n| n.starts_with("block5.dw3.") || n.starts_with("block5.norm")));
    tch::manual_seed(1);
    let params = Params::new(&pruned.layout, InitType::Normal, 0.02, Device::Cpu);
    let weights = params.weights(Kind::Float);
    let x = Tensor::rand([1, 3, 32, 32], tch::kind::FLOAT_CPU);
    let (_, features) = pruned.forward_with_features(&weights, &x, Kind::Float, false);
    assert_eq!(features.len(), 4);
    assert_eq!(features[0], features[1], "the first three blocks are gone");
    assert_ne!(features[1], features[2], "the fifth block is there");
    assert_eq!(features[2], features[3], "the last three blocks are gone");
}

/// The largest singular value of the weights in a forward pass is 1, and stays 1 while the stored weights
/// change.
#[test]
fn spectral_normalisation_divides_by_the_largest_singular_value() {
    let shape = DiscriminatorShape { norm: Norm::Spectral, ..discriminator(NetD::Basic, 3).shape };
    let network = Discriminator::new(DiscriminatorShape { ndf: 8, ..shape });
    tch::manual_seed(1);
    let params = Params::new(&network.layout, InitType::Normal, 0.02, Device::Cpu);
    // Twice the gain gives the same network.
    let x = Tensor::rand([1, 3, 64, 64], tch::kind::FLOAT_CPU);
    let scores = || network.forward(&params.weights(Kind::Float), &x, Kind::Float);
    let before = scores();
    tch::no_grad(|| {
        for id in network.layout.ids().filter(|&id| network.layout.name(id).ends_with(".weight")) {
            let value = params.get(network.layout.name(id)).unwrap();
            let _ = value.detach().g_mul_scalar_(3.0);
        }
    });
    (0..200).for_each(|_| params.iterate_power());
    let after = scores();
    assert!((before - &after).abs().max().double_value(&[]) < 0.05);
    let weights = params.weights(Kind::Float);
    for id in network.layout.ids().filter(|&id| network.layout.name(id).ends_with(".weight")) {
        let (_, singular, _) = Tensor::svd(&weights[id].flatten(1, -1).detach(), true, false);
        let largest = singular.max().double_value(&[]);
        assert!((largest - 1.0).abs() < 1e-3, "{}: {largest}", network.layout.name(id));
    }
    // The gradient through σ is orthogonal to the weight, whose length does not matter.
    let leaf = params.get("conv2.weight").unwrap();
    let loss = scores().square().sum(Kind::Float);
    let gradient = Tensor::run_backward(&[loss], &[leaf], false, false).remove(0);
    let along = (&gradient * leaf).sum(Kind::Float).double_value(&[]);
    let across = (gradient.norm() * leaf.norm()).double_value(&[]);
    assert!(across > 0.0 && along.abs() < across * 1e-3, "{along} of {across}");
}

#[test]
fn a_skip_carries_detail_past_the_blocks_at_little_cost() {
    for norm in [Norm::None, Norm::Batch] {
        let of = |skip| {
            Generator::new(GeneratorShape { skip, ..with_norm(NetG::Fast, norm, true).shape })
        };
        let (plain, skip) = (of(false), of(true));
        let costs = [&plain, &skip].map(|g| macs(&g.layers, 256, 256));
        assert_eq!(costs[1] - costs[0], skip.shape.ngf as u64 * 128 * 128);
        tch::manual_seed(1);
        let params = Params::new(&skip.layout, InitType::Kaiming, 1.0, Device::Cpu);
        let x = noise(3, &[1, 3, 32, 32]);
        let generated = |g: &Generator, weights: &Weights| {
            tch::no_grad(|| g.forward(weights, &x, Kind::Float, false).image)
        };
        let before = generated(&skip, &params.weights(Kind::Float));
        let scale = params.get("skip.weight").unwrap().detach();
        let _ = tch::no_grad(|| scale.shallow_clone().fill_(0.5));
        let weights = params.weights(Kind::Float);
        let after = generated(&skip, &weights);
        assert!((&before - &after).abs().max().double_value(&[]) > 1e-3);
        // The same for the features, and with folded statistics.
        let tapped = tch::no_grad(|| skip.forward_with_features(&weights, &x, Kind::Float, false));
        assert_eq!(tapped.0.image, after);
        let (folded, weights) = skip.folded(weights);
        let difference = generated(&folded, &weights) - &after;
        assert!(difference.abs().max().double_value(&[]) < 1e-5);
    }
}

#[test]
fn a_low_pass_filter_lets_results_move_with_the_image() {
    let x = noise(3, &[1, 3, 64, 64]);
    // A shift of half the strides of both downsamplings.
    let (here, moved) = (x.narrow(3, 0, 60), x.narrow(3, 2, 60));
    let differences = [false, true].map(|blur| {
        let shape = with_norm(NetG::Fast, Norm::None, false).shape;
        let generator = Generator::new(GeneratorShape { blur, ..shape });
        tch::manual_seed(1);
        let params = Params::new(&generator.layout, InitType::Kaiming, 1.0, Device::Cpu);
        let weights = params.weights(Kind::Float);
        let generated = |x: &Tensor| {
            let image = tch::no_grad(|| generator.forward(&weights, x, Kind::Float, false).image);
            image.slice(2, 16, 44, 1)
        };
        let [here, moved] = [&here, &moved].map(generated);
        let (here, moved) = (here.slice(3, 18, 44, 1), moved.slice(3, 16, 42, 1));
        ((&here - moved).square().mean(Kind::Float) / here.var(true)).double_value(&[])
    });
    assert!(differences[1] < differences[0] / 2.0, "{differences:?}");
}

/// ICNR: neighbouring outputs of a pixel shuffle are initially equal.
#[test]
fn a_new_generator_has_no_checkerboard() {
    let generator = with_norm(NetG::Fast, Norm::None, false);
    tch::manual_seed(1);
    let params = Params::new(&generator.layout, InitType::Kaiming, 1.0, Device::Cpu);
    let weights = params.weights(Kind::Float);
    let x = noise(3, &[1, 3, 32, 32]);
    let image = tch::no_grad(|| generator.forward(&weights, &x, Kind::Float, false).image);
    let corner = |dy: i64, dx: i64| image.slice(2, dy, None, 2).slice(3, dx, None, 2);
    for (dy, dx) in [(0, 1), (1, 0), (1, 1)] {
        assert_eq!(corner(dy, dx), corner(0, 0));
    }
    assert!(image.std(true).double_value(&[]) > 1e-3);
}

/// With the context path, distant pixels affect each other, at the cost of two small convolutions of one pixel.
#[test]
fn a_context_path_sees_the_whole_image_at_little_cost() {
    let of = |context| {
        Generator::new(GeneratorShape { context, ..with_norm(NetG::Fast, Norm::None, true).shape })
    };
    let (plain, context) = (of(false), of(true));
    let costs = [&plain, &context].map(|g| macs(&g.layers, 256, 256));
    assert_eq!(costs[1] - costs[0], 2 * 64 * 16);
    tch::manual_seed(1);
    let params = Params::new(&context.layout, InitType::Kaiming, 1.0, Device::Cpu);
    let x = Tensor::zeros([1, 3, 256, 256], tch::kind::FLOAT_CPU);
    let corner = x.copy();
    let _ = corner.narrow(2, 0, 32).narrow(3, 0, 32).fill_(1.0);
    let far = || {
        let weights = params.weights(Kind::Float);
        let run =
            |x: &Tensor| tch::no_grad(|| context.forward(&weights, x, Kind::Float, false).image);
        let difference = (run(&x) - run(&corner)).abs();
        difference.narrow(2, 192, 64).narrow(3, 192, 64).max().double_value(&[])
    };
    assert!(far() == 0.0, "it starts with no effect");
    let last = params.get("context.2.weight").unwrap().detach();
    let _ = tch::no_grad(|| last.shallow_clone().fill_(0.5));
    assert!(far() > 1e-3, "the other corner has no effect");
}
