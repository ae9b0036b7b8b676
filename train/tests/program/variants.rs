// SPDX-License-Identifier: MIT OR Apache-2.0

//! Every architecture and objective trains, and every architecture exports.

use std::path::Path;

use cyclegan_contract::{Direction, ElementType, Generator, Precision};

use crate::common::{Case, SMALL, fails, run};

impl Case {
    fn train(&self, out: &str, more: &[&str]) {
        let (data, out) = (self.path("data"), self.path(out));
        let arguments = ["train", "--data", &data, "--out", &out, "--max-iters", "2"];
        run(&[&arguments, SMALL, more].concat());
    }
}

/// `export` itself compares each file with libtorch at three sizes, and each variant with the float32 file on
/// images, and fails if they differ.
#[test]
fn every_generator_exports_and_matches_libtorch() {
    let case = Case::new();
    let unet = ["--crop-size", "128", "--load-size", "128"];
    let unet_with_batch_norm = [&unet[..], &["--norm", "batch"]].concat();
    let cases = [
        ("fast", &["--norm", "instance"][..], 4),
        ("fast", &["--mask-head", "--norm", "batch"][..], 4),
        ("fast", &["--mask-head", "--context", "--skip"][..], 4),
        ("resnet_6blocks", &["--mask-head"][..], 4),
        ("resnet_9blocks", &[][..], 4),
        ("unet_128", &unet[..], 128),
        ("unet_128", &unet_with_batch_norm[..], 128),
    ];
    for (i, (net, more, multiple_of)) in cases.into_iter().enumerate() {
        let name = format!("run{i}");
        case.train(&name, &[&["--net-g", net], more].concat());
        let (run_folder, pair) = (case.path(&name), case.path(&format!("{name}.pair")));
        let variants = ["--variants", "fp16,int8", "--calibration-images", "2"];
        let export = ["export", "--run", &run_folder, "--out", &pair];
        let output = run(&[&export[..], &variants].concat());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("F.int8.onnx: differs from F.onnx by "), "{said}");
        let read = |file: &str| Generator::read(&Path::new(&pair).join(file)).unwrap();
        let f = read("F.onnx");
        assert_eq!(f.metadata.direction, Some(Direction::BToA));
        assert_eq!((f.metadata.arch.as_deref(), f.metadata.multiple_of), (Some(net), multiple_of));
        let size = if net.starts_with("unet") { 128 } else { 40 };
        assert_eq!(f.metadata.size, Some(size), "{net}");
        assert_eq!(f.mask.is_some(), more.contains(&"--mask-head"));
        assert_eq!(read("G.fp16.onnx").input_type, ElementType::F16);
        let int8 = read("F.int8.onnx");
        assert_eq!(int8.precision, Precision::Int8);
        let precision = f.precision;
        assert_eq!(Generator { precision, ..int8 }, f, "the int8 file is the float32 one");
    }
}

#[test]
fn the_export_size_can_differ_from_the_training_size() {
    let case = Case::new();
    case.train("run", &[]);
    let (run_folder, pair) = (case.path("run"), case.path("pair"));
    let export = ["export", "--run", &run_folder, "--out", &pair];
    let macs = |more: &[&str], size: u32| {
        run(&[&export[..], more].concat());
        let about = Generator::read(&Path::new(&pair).join("G.onnx")).unwrap().metadata;
        assert_eq!(about.size, Some(size));
        about.macs.unwrap()
    };
    assert_eq!(macs(&[], 40) * 4, macs(&["--size", "80"], 80));
    fails(&[&export[..], &["--size", "50"]].concat(), &["--size", "multiple of 4"]);
}

/// The filter prefers variants, so they must be from the same export as the float32 file.
#[test]
fn variants_of_an_older_export_are_deleted() {
    let case = Case::new();
    case.train("first", &[]);
    case.train("second", &["--seed", "5"]);
    let pair = case.path("pair");
    let export = |name: &str, more: &[&str]| {
        let from = case.path(name);
        let arguments = ["export", "--run", &from, "--out", &pair, "--calibration-images", "2"];
        run(&[&arguments[..], more].concat());
        ["G.int8.onnx", "F.int8.onnx"].map(|file| Path::new(&pair).join(file).is_file())
    };
    assert_eq!(export("first", &["--variants", "int8"]), [true, true]);
    assert_eq!(export("first", &[]), [true, true], "of the same weights");
    assert_eq!(export("second", &[]), [false, false]);
}

#[test]
fn every_objective_policy_and_discriminator_trains() {
    let case = Case::new();
    for (i, more) in [
        ["--gan-mode", "vanilla", "--net-d", "basic"],
        ["--gan-mode", "wgangp", "--net-d", "pixel"],
        ["--lr-policy", "plateau", "--lambda-flow", "10"],
        ["--lr-policy", "cosine", "--look-at", "foreground"],
        ["--preprocess", "none", "--lambda-identity", "0"],
        ["--preprocess", "multi_scale_crop", "--mixed-precision", "bf16"],
        ["--lambda-diff", "10", "--norm-d", "batch"],
    ]
    .iter()
    .enumerate()
    {
        case.train(&format!("run{i}"), more);
    }
}
