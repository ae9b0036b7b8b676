// SPDX-License-Identifier: MIT OR Apache-2.0

use clap::{Args, FromArgMatches};
use tch::Device;

use super::*;
use crate::{
    cyclegan::{
        distill::{DistillOptions as Distilling, Distillation},
        teacher::Teacher,
    },
    noise::noise,
    options::GeneratorName,
};

/// Options of small networks.
fn small() -> TrainOptions {
    TrainOptions { ngf: Some(4), width: 4, blocks: 1, ndf: 4, ..TrainOptions::default() }
}

/// Compares an iteration's gradients with those of its reported losses times their weights.
#[test]
fn the_gradients_are_those_of_the_reported_losses() {
    let options = TrainOptions { mask_head: true, lambda_init: 2.0, ..small() };
    let mut model = CycleGan::new(&options, Device::Cpu).unwrap();
    let other = TrainOptions { seed: 7, ..options.clone() };
    model.initial = Some(Teacher::new(CycleGan::new(&other, Device::Cpu).unwrap()));
    let image = |seed| noise(seed, &[1, 3, 32, 32]);
    let batch = |seed| Batch {
        images: image(seed),
        negatives: Some(image(seed + 10)),
        extra: Some(image(seed + 20)),
        ..Batch::default()
    };
    let batches = [batch(1), batch(2)];
    let weight = |name: &str| {
        let (term, i) = Term::of(name).unwrap();
        term.weight(Scope { options: &options, distill: None, i })
    };
    let iteration = Iteration { model: &model, batches: &batches, options: &options };
    let loss = || -> f64 {
        let shares = iteration.generator_shares();
        let losses = shares.iter().flatten().flat_map(|share| &share.losses);
        losses.map(|(name, value)| weight(name) * value.double_value(&[])).sum()
    };
    let shares = iteration.generator_shares();
    for (i, state) in model.generators.iter().enumerate() {
        let gradient = sum_of_gradients(&shares, i).unwrap();
        let length = gradient.norm().double_value(&[]);
        let by = |far: f64| {
            no_grad(|| {
                let _ = state.params.flat().shallow_clone().g_add_(&(&gradient * far / length));
            });
        };
        let far = 1e-3;
        by(far);
        let above = loss();
        by(-2.0 * far);
        let below = loss();
        by(far);
        let slope = (above - below) / (2.0 * far);
        assert!((slope / length - 1.0).abs() < 0.05, "{slope} {length}");
    }
}

/// The weight of a share of negatives does not depend on how many images a batch or a process has.
#[test]
fn each_negative_has_the_weight_of_an_image_of_the_batch() {
    let options = TrainOptions { lambda_gan: 0.0, lambda_a: 0.0, lambda_b: 0.0, ..small() };
    let model = CycleGan::new(&options, Device::Cpu).unwrap();
    let length = |count: i64| {
        let batch = || Batch {
            images: noise(1, &[2, 3, 32, 32]),
            negatives: Some(noise(2, &[1, 3, 32, 32]).repeat([count, 1, 1, 1])),
            ..Batch::default()
        };
        let batches = [batch(), batch()];
        let iteration = Iteration { model: &model, batches: &batches, options: &options };
        let shares = iteration.generator_shares();
        sum_of_gradients(&shares, 0).unwrap().norm().double_value(&[])
    };
    let (one, two) = (length(1), length(2));
    assert!(one > 0.0 && (two / one - 2.0).abs() < 1e-3, "{one} {two}");
}

#[test]
fn learn_trains_only_the_named_parameters() {
    let options = TrainOptions {
        mask_head: true,
        lambda_gan: 0.0,
        learn: vec!["head".to_owned()],
        ..small()
    };
    let mut model = CycleGan::new(&options, Device::Cpu).unwrap();
    let batch = |seed| Batch { images: noise(seed, &[1, 3, 32, 32]), ..Batch::default() };
    // All parameters have moments from before.
    model.train_step(&[batch(3), batch(4)], &options, 1e-3);
    for generator in &mut model.generators {
        generator.params.learn_only(&options.learn);
    }
    let values = |model: &CycleGan| {
        let all = model.generators.iter().chain(&model.discriminators);
        let flat = |s: &NetworkState| [s.params.flat(), &s.adam.m, &s.adam.v].map(Tensor::copy);
        all.map(flat).collect::<Vec<_>>()
    };
    let before = values(&model);
    let losses = model.train_step(&[batch(1), batch(2)], &options, 1e-3);
    assert!(losses.iter().all(|(name, _)| !name.starts_with(['G', 'D'])), "{losses:?}");
    let after = values(&model);
    for i in 0..2 {
        let layout = model.generators[i].params.layout();
        for (old, new) in before[i].iter().zip(&after[i]) {
            let [old, new] = [old, new].map(|flat| Params::from_flat(layout, flat.copy()));
            for id in layout.ids() {
                let name = layout.name(id);
                let same = old.get(name).unwrap().equal(new.get(name).unwrap());
                assert_eq!(same, !name.starts_with("head"), "{name}");
            }
        }
        assert_eq!(before[2 + i], after[2 + i], "discriminators");
    }
}

#[test]
fn averages_wait_while_their_generators_do_not_learn() {
    let both = TrainOptions { lambda_a: 0.0, lambda_b: 0.0, ..small() };
    let mut model = CycleGan::new(&both, Device::Cpu).unwrap();
    let batch = |seed| Batch { images: noise(seed, &[1, 3, 32, 32]), ..Batch::default() };
    let batches = [batch(1), batch(2)];
    // From here on, the averages differ from the weights.
    model.train_step(&batches, &both, 1e-3);
    let mut moved = |options: &TrainOptions| {
        let before = model.generators.each_ref().map(|g| g.averaged().flat().copy());
        model.train_step(&batches, options, 1e-3);
        [0, 1].map(|i| !before[i].equal(model.generators[i].averaged().flat()))
    };
    assert_eq!(moved(&both), [true, true]);
    let only = |only| TrainOptions { only: Some(only), ..both.clone() };
    assert_eq!(moved(&only(GeneratorName::G)), [true, false]);
    assert_eq!(moved(&only(GeneratorName::F)), [false, true]);
    let waiting = TrainOptions { discriminators_first: 1000, ..both.clone() };
    assert_eq!(moved(&waiting), [false, false]);
}

#[test]
fn losses_without_a_weight_are_not_computed() {
    let small = small();
    let names = |options: TrainOptions| -> Vec<&str> {
        let model = CycleGan::new(&options, Device::Cpu).unwrap();
        let batch = |seed| Batch {
            images: noise(seed, &[1, 3, 32, 32]),
            negatives: Some(noise(seed + 10, &[1, 3, 32, 32])),
            ..Batch::default()
        };
        let batches = [batch(1), batch(2)];
        let iteration = Iteration { model: &model, batches: &batches, options: &options };
        let shares = iteration.generator_shares();
        let names = shares.iter().flatten().flat_map(|share| &share.losses);
        let optional = ["cycle", "idt", "negative"];
        names.map(|(name, _)| *name).filter(|n| optional.iter().any(|o| n.starts_with(o))).collect()
    };
    let all = ["cycle_A", "idt_A", "negative_A", "cycle_B", "idt_B", "negative_B"];
    assert_eq!(names(small.clone()), all);
    // The weight of the identity loss is relative to the cycle loss of the other direction.
    let one = TrainOptions { lambda_a: 0.0, lambda_negative: 0.0, ..small.clone() };
    assert_eq!(names(one), ["idt_A", "cycle_B"]);
    let none = TrainOptions { lambda_a: 0.0, lambda_b: 0.0, ..small.clone() };
    assert_eq!(names(none), ["negative_A", "negative_B"]);
    // The masks of images of neither domain have a weight of their own.
    let masks = TrainOptions { mask_head: true, lambda_negative: 0.0, ..small };
    assert!(names(masks).contains(&"negative_mask_A"));
}

/// libtorch would end the process.
#[test]
fn a_direction_without_a_loss_changes_nothing() {
    let options = TrainOptions {
        lambda_a: 0.0,
        lambda_b: 0.0,
        lambda_identity: 0.0,
        lambda_gan: 0.0,
        ..small()
    };
    let mut model = CycleGan::new(&options, Device::Cpu).unwrap();
    let before = model.generators.each_ref().map(|state| state.params.flat().copy());
    let batch = |seed| Batch { images: noise(seed, &[1, 3, 32, 32]), ..Batch::default() };
    model.train_step(&[batch(1), batch(2)], &options, 1e-3);
    assert_eq!(before.each_ref(), model.generators.each_ref().map(|s| s.params.flat()));
}

/// Where the teacher disagrees with the annotation, here everywhere, the target is the teacher's output.
#[test]
fn a_teacher_with_a_mask_is_not_masked_by_the_annotation() {
    let options = TrainOptions { mask_head: true, ..small() };
    let mut model = CycleGan::new(&options, Device::Cpu).unwrap();
    let teacher = || {
        let other = TrainOptions { seed: 7, ..options.clone() };
        Teacher::new(CycleGan::new(&other, Device::Cpu).unwrap())
    };
    let arguments = Distilling::augment_args(clap::Command::new("compress"));
    let weights = Distilling::from_arg_matches(&arguments.get_matches_from(["compress"])).unwrap();
    model.distill =
        Some(Distillation { options: weights, teacher: Some(teacher()), masked: [false; 2] });
    let batch = |seed| {
        let truth = Tensor::zeros([1, 1, 32, 32], tch::kind::FLOAT_CPU);
        let known = Tensor::ones([1, 1, 1, 1], tch::kind::FLOAT_CPU);
        let masks = Some(Masks { truth, known });
        Batch { images: noise(seed, &[1, 3, 32, 32]), masks, ..Batch::default() }
    };
    let batches = [batch(1), batch(2)];
    let iteration = Iteration { model: &model, batches: &batches, options: &options };
    let shares = iteration.generator_shares();
    let mut losses = shares.iter().flatten().flat_map(|share| &share.losses);
    let recon = losses.find(|(name, _)| *name == "recon_A").unwrap();
    let teacher_output = teacher().generate(0, &batches[0].images, Kind::Float);
    let weights = model.generators[0].params.weights(Kind::Float);
    let student = model.networks[0].forward(&weights, &batches[0].images, Kind::Float, true);
    let expected = l1(&student.image, &teacher_output.image).double_value(&[]);
    assert!(expected > 1e-3 && (recon.1.double_value(&[]) - expected).abs() < 1e-6);
}
