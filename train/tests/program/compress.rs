// SPDX-License-Identifier: MIT OR Apache-2.0

//! Students learn from a teacher, and their run is an ordinary run.

use std::{fs, path::Path};

use cyclegan_contract::onnx::{Message, ModelProto};
use cyclegan_train::{
    checkpoint,
    costs::Costs,
    net::{
        build::Norm,
        cost::macs,
        generator::{Generator, GeneratorShape, NetG, Pruned},
        inception::Widths,
    },
    onnx_generator::OnnxGenerator,
    options::TrainOptions,
    run_folder::RunFolder,
};
use safetensors::SafeTensors;
use serde_json::{Map, Value};

use crate::common::{Case, SMALL, fails, program, run};

impl Case {
    /// Trains a pair of `more` in `name` and exports it to `name.pair`.
    fn teacher(&self, name: &str, more: &[&str]) {
        let (data, out, pair) =
            (self.path("data"), self.path(name), self.path(&format!("{name}.pair")));
        let arguments = ["train", "--data", &data, "--out", &out, "--max-iters", "2"];
        let domains = ["--domain-a", "disc", "--domain-b", "stripes"];
        run(&[&arguments[..], &domains, SMALL, more].concat());
        run(&["export", "--run", &out, "--out", &pair]);
    }

    /// The last line of a run's metrics.
    fn last_metrics(&self, name: &str) -> Map<String, Value> {
        let text = fs::read_to_string(Path::new(&self.path(name)).join("metrics.jsonl")).unwrap();
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    }
}

#[test]
fn an_onnx_teacher_teaches_its_direction_and_the_run_resumes() {
    let case = Case::new();
    case.teacher("big", &["--net-g", "resnet_6blocks"]);
    let (data, g, out) = (case.path("data"), case.path("big.pair/G.onnx"), case.path("small"));
    let arguments = ["compress", "--teacher", &g, "--data", &data, "--out", &out];
    let more = ["--mask-head", "--print-freq", "1", "--max-iters", "2", "--lambda-inverse", "1"];
    run(&[&arguments, SMALL, &more].concat());

    let teacher = Path::new(&out).join("teacher");
    let folders: Vec<_> = fs::read_dir(teacher).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    let generated: Vec<_> = fs::read_dir(&folders[0]).unwrap().collect();
    assert_eq!(generated.len(), 3, "{generated:?}");
    let measured = |name: &str| case.last_metrics("small").get(name).and_then(Value::as_f64);
    assert!(measured("recon_A").unwrap() > 0.0 && measured("inverse_A").unwrap() > 0.0);
    assert_eq!(measured("recon_B"), None, "F has no teacher");

    run(&["train", "--resume", "--out", &out, "--max-iters", "3"]);
    assert_eq!(measured("step"), Some(3.0));
    assert!(measured("recon_A").unwrap() > 0.0, "the teacher is gone after --resume");
    let pair = case.path("small.pair");
    run(&["export", "--run", &out, "--out", &pair]);
    let card = fs::read_to_string(Path::new(&pair).join("README.md")).unwrap();
    assert!(card.contains("disc ⇄ stripes"), "{card}");
}

#[test]
fn two_files_teach_both_directions() {
    let case = Case::new();
    case.teacher("big", &[]);
    let (data, out) = (case.path("data"), case.path("small"));
    let (g, f) = (case.path("big.pair/G.onnx"), case.path("big.pair/F.onnx"));
    let arguments = ["compress", "--teacher", &g, &f, "--data", &data, "--out", &out];
    run(&[&arguments, SMALL, &["--print-freq", "1", "--max-iters", "1"]].concat());
    let measured = case.last_metrics("small");
    assert!(measured.contains_key("recon_A") && measured.contains_key("recon_B"), "{measured:?}");
}

/// The files of other projects have no metadata.
#[test]
fn a_teacher_without_metadata_has_the_direction_of_its_name() {
    let case = Case::new();
    case.teacher("big", &[]);
    let (data, out, f) = (case.path("data"), case.path("small"), case.path("big.pair/F.onnx"));
    let mut model = ModelProto::decode(fs::read(&f).unwrap().as_slice()).unwrap();
    model.metadata_props.clear();
    fs::write(&f, model.encode_to_vec()).unwrap();
    let arguments = ["compress", "--teacher", &f, "--data", &data, "--out", &out];
    run(&[&arguments[..], SMALL, &["--print-freq", "1", "--max-iters", "1"]].concat());
    let measured = case.last_metrics("small");
    assert!(measured.contains_key("recon_B") && !measured.contains_key("recon_A"), "{measured:?}");
}

#[test]
fn unusable_teachers_are_refused_and_leave_no_run() {
    let case = Case::new();
    case.teacher("big", &[]);
    let (data, out, g) = (case.path("data"), case.path("small"), case.path("big.pair/G.onnx"));
    let picture = case.path("data/trainA/000.png");
    let compress = |more: &[&str], parts: &[&str]| {
        let arguments = ["compress", "--data", &data, "--out", &out];
        fails(&[&arguments[..], SMALL, more].concat(), parts);
        assert!(!Path::new(&out).exists(), "a run that never began left a folder");
    };
    compress(&["--teacher", &g, &g], &[&g, "A2B", "`cyclegan.direction`"]);
    compress(&["--teacher", &picture], &[&picture]);
    compress(&["--teacher", &g, "--lambda-recon-a=-1"], &["--lambda-recon-a", "-1"]);
    compress(&["--teacher", &g, "--random-gamma-a", "1"], &["--random-gamma-a is 1", "teacher"]);
    compress(&["--teacher", &g, "--random-saturation-a", "1"], &["--random-saturation-a is 1"]);
    // A student twice as wide as its teacher is not smaller.
    fails(&["compress", "--data", &data, "--out", &out, "--teacher", &g], &["no budget"]);
    let none = program().args(["compress", "--data", &data, "--out", &out]).output().unwrap();
    assert!(String::from_utf8_lossy(&none.stderr).contains("--teacher"));
}

/// A budget halfway between the cost of a teacher and its cost without blocks, as an option's value.
fn half_of(run: &str) -> String {
    let run = RunFolder::open(Path::new(run)).unwrap();
    let whole = run.config().unwrap().train.generator(0);
    let mut widths = Widths::whole(whole.ngf);
    widths.blocks.clear();
    let bare = GeneratorShape { pruned: Some(Pruned::Inception(widths)), ..whole.clone() };
    let cost = |shape: GeneratorShape| macs(&Generator::new(shape).layers, 32, 32);
    ((cost(whole) + cost(bare)) / 2).to_string()
}

#[test]
fn an_inception_run_is_pruned_distilled_exported_and_plays() {
    let case = Case::new();
    case.teacher("big", &["--net-g", "inception_9blocks"]);
    let (big, out, pair) = (case.path("big"), case.path("small"), case.path("small.pair"));
    let budget = half_of(&big);
    let arguments = ["compress", "--run", &big, "--out", &out, "--max-macs", &budget];
    let more = ["--size", "32", "--max-iters", "2", "--print-freq", "1"];
    let output = run(&[&arguments[..], &more].concat());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("| G teacher |") && said.contains("| F student |"), "{said}");

    let measured = case.last_metrics("small");
    for name in ["recon_A", "recon_B", "alignment_A", "alignment_B", "G_A", "G_B"] {
        assert!(measured.contains_key(name), "no {name} in {measured:?}");
    }
    assert!(!measured.contains_key("cycle_A"), "{measured:?}");
    let costs = Costs::read_if_there(&Path::new(&out).join("compress.json")).unwrap().unwrap();
    for generator in &costs.generators {
        let (before, after) = (generator.teacher.clone().unwrap(), &generator.student);
        assert!(after.macs.unwrap() <= budget.parse::<u64>().unwrap(), "{costs:?}");
        assert!(after.parameters < before.parameters && after.macs < after.macs_at_output_size);
    }
    let report = fs::read_to_string(Path::new(&out).join("report/index.html")).unwrap();
    assert!(report.contains("F student"));

    // The teacher's run is no longer needed.
    fs::remove_dir_all(&big).unwrap();
    run(&["train", "--resume", "--out", &out, "--max-iters", "3"]);
    run(&["export", "--run", &out, "--out", &pair]);
    for (i, file) in ["G.onnx", "F.onnx"].iter().enumerate() {
        let mut onnx = OnnxGenerator::open(&Path::new(&pair).join(file), 1).unwrap();
        assert_eq!(onnx.about.metadata.arch.as_deref(), Some("inception_9blocks"));
        assert_eq!(onnx.about.metadata.parameters, costs.generators[i].student.parameters);
        let x = tch::Tensor::rand([1, 3, 32, 64], tch::kind::FLOAT_CPU);
        assert_eq!(onnx.generate(&x).unwrap().image.size(), [1, 3, 32, 64]);
    }
}

#[test]
fn a_fast_run_is_pruned_and_its_student_starts_another_run() {
    let case = Case::new();
    case.teacher("big", &["--width", "32", "--blocks", "3", "--mask-head"]);
    let (big, out, pair) = (case.path("big"), case.path("small"), case.path("small.pair"));
    let whole = RunFolder::open(Path::new(&big)).unwrap().config().unwrap().train.generator(0);
    let halves = GeneratorShape { pruned: Some(Pruned::Blocks(vec![16; 3])), ..whole };
    let budget = macs(&Generator::new(halves).layers, 32, 32).to_string();
    let arguments = ["compress", "--run", &big, "--out", &out, "--max-macs", &budget];
    run(&[&arguments[..], &["--size", "32", "--max-iters", "2", "--print-freq", "1"]].concat());
    assert!(case.last_metrics("small").contains_key("alignment_A"));
    let pruned = |run: &str| {
        let config = RunFolder::open(Path::new(run)).unwrap().config().unwrap();
        config.train.pruned.unwrap().map(|left| match left {
            Pruned::Fast(widths) => widths.blocks,
            other => panic!("{other:?}"),
        })
    };
    for hidden in pruned(&out) {
        let kept: i64 = hidden.iter().sum();
        assert!(kept <= 48 && hidden.iter().all(|h| h % 16 == 0), "{hidden:?}");
    }

    run(&["train", "--resume", "--out", &out, "--max-iters", "3"]);
    run(&["export", "--run", &out, "--out", &pair, "--variants", "int8"]);
    let (data, again) = (case.path("data"), case.path("again"));
    let arguments = ["train", "--data", &data, "--out", &again, "--init-from", &pair];
    let shape = ["--width", "32", "--blocks", "3", "--mask-head", "--max-iters", "1"];
    run(&[&arguments[..], SMALL, &shape].concat());
    assert_eq!(pruned(&again), pruned(&out));
}

/// A student that keeps all channels starts identical to its teacher.
#[test]
fn a_student_starts_with_its_teachers_weights_unless_fresh() {
    let case = Case::new();
    case.teacher("inception", &["--net-g", "inception_9blocks", "--save-latest-freq", "1"]);
    case.teacher("fast", &[]);
    // Otherwise nothing would be compressed.
    let taken = ["--max-ms", "1e6", "--dropout"];
    let fresh = ["--max-macs", "1e15", "--fresh-student"];
    for (teacher, name, more, same) in [
        ("inception", "taken", &taken[..], true),
        ("inception", "fresh", &fresh[..], false),
        ("fast", "taken-fast", &taken[..], true),
        ("fast", "fresh-fast", &fresh[..], false),
    ] {
        let (big, out) = (case.path(teacher), case.path(name));
        let arguments = ["compress", "--run", &big, "--out", &out, "--size", "32"];
        run(&[&arguments[..], &["--max-iters", "0"], more].concat());
        let weights = |run: &str| {
            let run = RunFolder::open(Path::new(run)).unwrap();
            let (_, model) = checkpoint::open_newest(&run, tch::Device::Cpu).unwrap();
            let discriminators = model.discriminators.map(|d| d.params.flat().copy());
            (model.generators.map(|g| g.averaged().flat().copy()), discriminators)
        };
        let (teacher, student) = (weights(&big), weights(&out));
        assert_eq!(teacher.0 == student.0, same, "{name}");
        assert_eq!(teacher.1, student.1, "{name}");
    }
}

/// The feature network is a generator.
#[test]
fn a_student_starts_with_its_teachers_discriminators() {
    let case = Case::new();
    case.teacher("first", &[]);
    let features = case.path("first.pair/G.onnx");
    case.teacher("big", &["--d-features", &features]);
    let (big, out) = (case.path("big"), case.path("small"));
    let arguments = ["compress", "--run", &big, "--out", &out, "--max-macs", "1e15", "--dropout"];
    // The learning rate is too small to change a weight.
    let said = run(&[&arguments[..], &["--max-iters", "1", "--lr", "1e-30"]].concat()).stdout;
    let said = String::from_utf8_lossy(&said);
    assert!(!said.contains("random weights"), "{said}");
    let checkpoint = |name: &str| {
        fs::read(Path::new(&case.path(name)).join("checkpoints/00000002.safetensors")).unwrap()
    };
    let (own, its) = (checkpoint("small"), checkpoint("big"));
    let [own, its] = [&own, &its].map(|bytes| SafeTensors::deserialize(bytes).unwrap());
    for network in ["D_G", "D_F", "P_G", "P_F"] {
        let name = format!("{network}.weights");
        let [own, its] = [&own, &its].map(|file| file.tensor(&name).unwrap().data());
        let values = own.chunks(4).zip(its.chunks(4));
        let same = values.filter(|(own, its)| own == its).count() as f64 / (own.len() / 4) as f64;
        // Spectral normalisation updates its singular vectors at any learning rate.
        assert!(same > 0.8, "{name}: {same}");
    }
}

#[test]
fn another_architecture_teaches_a_fast_student_that_fits_its_budget() {
    let case = Case::new();
    case.teacher("big", &["--net-g", "resnet_6blocks", "--ngf", "8"]);
    let (big, out) = (case.path("big"), case.path("small"));
    let arguments = ["compress", "--run", &big, "--out", &out, "--max-macs", "1e6", "--size", "32"];
    run(&[&arguments[..], &["--max-iters", "1", "--print-freq", "1"]].concat());
    assert!(case.last_metrics("small").contains_key("alignment_A"));
    let options = RunFolder::open(Path::new(&out)).unwrap().config().unwrap().train;
    let cost = |ngf: u32| {
        let options = TrainOptions { ngf: Some(ngf), width: 2 * ngf, ..options.clone() };
        macs(&Generator::new(options.generator(0)).layers, 32, 32)
    };
    assert!(options.net_g() == NetG::Fast && cost(options.ngf()) <= 1_000_000);
    assert!(cost(options.ngf() + 4) > 1_000_000, "{options:?}");
}

#[test]
fn impossible_budgets_and_batch_sizes_say_what_is_possible() {
    let case = Case::new();
    case.teacher("big", &["--net-g", "inception_9blocks"]);
    case.teacher("plain", &["--net-g", "inception_9blocks", "--norm", "none"]);
    case.teacher("fast", &[]);
    case.teacher("unet", &["--net-g", "unet_128", "--crop-size", "128", "--load-size", "128"]);
    let (data, out) = (case.path("data"), case.path("small"));
    let compress = |teacher: &str, more: &[&str], parts: &[&str]| {
        let teacher = case.path(teacher);
        let arguments = ["compress", "--run", &teacher, "--out", &out, "--size", "32"];
        fails(&[&arguments[..], more].concat(), parts);
        assert!(!Path::new(&out).exists(), "a run that never began left a folder");
    };
    compress("big", &["--max-macs", "1000"], &["smallest possible student needs", "MACs"]);
    compress("big", &["--max-ms", "1e-6"], &["smallest possible student needs", "ms"]);
    for budget in [["--max-macs", "1e15"], ["--max-ms", "1e6"]] {
        compress("big", &budget, &["the teacher needs only", "nothing to compress"]);
    }
    compress("big", &["--max-macs=-1"], &["--max-macs", "-1"]);
    compress("big", &[], &["--max-macs", "--max-ms"]);
    compress("fast", &[], &["--max-macs", "--max-ms"]);
    let one = ["--max-macs", "1e9", "--batch-size", "1", "--alignment", "paper"];
    compress("big", &one, &["--batch-size", "2", "--alignment centred"]);
    compress("big", &["--max-macs", "1e9", "--size", "30"], &["--size", "4"]);
    compress("plain", &["--max-macs", "1e5"], &["--norm none"]);
    compress("unet", &[], &["teacher has no residual blocks", "--lambda-distill-a 0"]);
    compress("nowhere", &[], &["no run found"]);
    let (teacher, file) = (case.path("big"), case.path("big.pair/G.onnx"));
    let both = ["compress", "--run", &teacher, "--teacher", &file, "--out", &out, "--data", &data];
    let said = program().args(both).output().unwrap();
    assert!(String::from_utf8_lossy(&said.stderr).contains("cannot be used with"));
}

#[test]
fn distillation_weights_change_on_resume_and_need_a_teacher() {
    let case = Case::new();
    case.teacher("big", &[]);
    let (big, out, data) = (case.path("big"), case.path("small"), case.path("data"));
    let compress = ["compress", "--run", &big, "--out", &out, "--max-iters", "1", "--size", "32"];
    run(&[&compress[..], &["--ngf", "8", "--lambda-recon-b", "3"]].concat());
    let resume = ["train", "--resume", "--out", &out, "--max-iters", "2"];
    run(&[&resume[..], &["--lambda-recon-a", "7", "--lambda-ssim", "2"]].concat());
    let config = RunFolder::open(Path::new(&out)).unwrap().config().unwrap();
    let options = config.distill.unwrap().options;
    let weights = [options.lambda_recon_a, options.lambda_recon_b, options.lambda_ssim];
    assert_eq!(weights, [7.0, 3.0, 2.0]);
    fails(&[&resume[..], &["--lambda-ssim=-1"]].concat(), &["--lambda-ssim is -1"]);
    let of_none = ["train", "--resume", "--out", &big, "--lambda-ssim", "1"];
    fails(&of_none, &["--lambda-ssim", "no teacher"]);
    let fresh = ["train", "--data", &data, "--out", &case.path("new"), "--lambda-recon-a", "1"];
    fails(&fresh, &["--lambda-recon-a needs a teacher", "compress"]);
}

/// The losses that the published student does not have: mapped features and SSIM.
#[test]
fn feature_and_ssim_losses_are_optional() {
    let case = Case::new();
    case.teacher("big", &["--net-g", "resnet_6blocks", "--ngf", "8"]);
    let (big, out) = (case.path("big"), case.path("small"));
    let arguments = ["compress", "--run", &big, "--out", &out, "--max-macs", "1e6", "--size", "32"];
    let weights = ["--lambda-feature", "1", "--lambda-channel", "1", "--lambda-ssim", "1"];
    let more = ["--max-iters", "1", "--print-freq", "1", "--batch-size", "1"];
    run(&[&arguments[..], &weights, &more].concat());
    let metrics = case.last_metrics("small");
    for name in ["feature", "channel", "ssim", "alignment"] {
        for letter in ["A", "B"] {
            let value = metrics[&format!("{name}_{letter}")].as_f64().unwrap();
            assert!(value > 0.0 && value < 2.0, "{name}_{letter} {value}");
        }
    }
}

/// Frozen statistics need a resumed run, so the new student has no normalisation.
#[test]
fn a_frozen_teacher_teaches_a_student_without_normalisation() {
    let case = Case::new();
    case.teacher("big", &["--norm", "instance"]);
    let (big, out) = (case.path("big"), case.path("small"));
    run(&["train", "--resume", "--out", &big, "--norm", "frozen", "--max-iters", "7"]);
    let compress = ["compress", "--run", &big, "--out", &out, "--ngf", "4", "--width", "4"];
    run(&[&compress[..], &["--max-iters", "1", "--size", "32"]].concat());
    let options = RunFolder::open(Path::new(&out)).unwrap().config().unwrap().train;
    assert_eq!(options.generator(0).norm, Norm::None);
}

/// Otherwise each process would write the same files.
#[test]
fn compress_refuses_several_processes() {
    let case = Case::new();
    case.teacher("big", &[]);
    let (big, out) = (case.path("big"), case.path("small"));
    let mut compress = program();
    compress.args(["compress", "--run", &big, "--out", &out, "--max-macs", "1e6"]);
    let output = compress.env("OMPI_COMM_WORLD_SIZE", "2").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("mpirun started 2 processes") && said.contains("--resume"), "{said}");
    assert!(!output.status.success() && !Path::new(&out).exists());
}

#[test]
fn inception_blocks_refuse_batch_normalisation() {
    let case = Case::new();
    let (data, out) = (case.path("data"), case.path("big"));
    let arguments = ["train", "--data", &data, "--out", &out, "--net-g", "inception_9blocks"];
    fails(&[&arguments[..], SMALL, &["--norm", "batch"]].concat(), &["--norm instance"]);
}
