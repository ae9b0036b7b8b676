// SPDX-License-Identifier: MIT OR Apache-2.0

//! Both directions in parallel on two threads train the same as one after the other. The binary has only this test,
//! because libtorch has one random state for all threads.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their functions, not their helpers")]

use cyclegan_train::{cyclegan::CycleGan, data::batch::Batch, options::TrainOptions};
use tch::{Device, Tensor};

/// The weights of G and F after two iterations with `threads` threads.
fn trained(threads: i32) -> [Tensor; 2] {
    tch::set_num_threads(threads);
    let options = TrainOptions {
        ngf: Some(4),
        width: 4,
        blocks: 1,
        ndf: 4,
        lambda_flow: 1.0,
        ..TrainOptions::default()
    };
    let mut model = CycleGan::new(&options, Device::Cpu).unwrap();
    let noise = || {
        let images = Tensor::rand([1, 3, 64, 64], tch::kind::FLOAT_CPU) * 2.0 - 1.0;
        Batch { images, ..Batch::default() }
    };
    let batches = [noise(), noise()];
    for _ in 0..2 {
        model.train_step(&batches, &options, 1e-3);
    }
    assert_eq!(tch::get_num_threads(), threads);
    model.generators.each_ref().map(|state| state.params.flat().copy())
}

#[test]
fn parallel_directions_match_sequential_ones() {
    let (one, two, again) = (trained(1), trained(2), trained(2));
    for i in 0..2 {
        let difference = (&one[i] - &two[i]).abs().max().double_value(&[]);
        assert!(difference < 1e-4, "{difference}");
        assert_eq!(two[i], again[i], "not the same from run to run");
    }
}
