// SPDX-License-Identifier: MIT OR Apache-2.0

//! Recipes: training in several stages.

use std::{collections::HashMap, fs, path::Path};

use cyclegan_contract::onnx::{Message, ModelProto};
use cyclegan_train::{
    checkpoint,
    recipe::{self, Recipe},
    run_folder::{RunFolder, Stage},
};
use serde_json::Value;
use tch::Device;

use crate::common::{data_set, fails, program, run};

/// Small networks; two stages, the second with larger batches and another learning rate.
const RECIPE: &str = r#"
data = "data"
out = "run"
device = "cpu"
threads = 1
mask-head = true
seed = 5
ngf = 4
width = 8
blocks = 1
ndf = 4
net-d = "n_layers"
n-layers-d = 1
load-size = 40
crop-size = 32
print-freq = 2
display-freq = 1000
pool-size = 4
n-epochs-decay = 0
warmup = 0

[[stage]]
name = "first"
images = 8
lr = 1e-3
discriminators-first = 2

[[stage]]
name = "second"
images = 12
batch-size = 2
n-epochs = 1
n-epochs-decay = 1
lambda-a = 2

[export]
variants = ["fp16"]
calibration-images = 2
"#;

/// The recipe without its last step.
fn without_export() -> String {
    RECIPE[..RECIPE.find("[export]").unwrap()].to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder with data and a recipe.
fn recipe_folder(recipe: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    data_set(&folder.path().join("data"), 4);
    fs::write(folder.path().join("recipe.toml"), recipe).unwrap();
    folder
}

fn rates(run: &Path) -> Vec<(u64, f64)> {
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let rate = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        (line["images"].as_u64().unwrap(), line["lr"].as_f64().unwrap())
    };
    metrics.lines().map(rate).collect()
}

#[test]
fn stages_follow_each_other_and_a_run_resumes_in_any_of_them() {
    let folder = recipe_folder(RECIPE);
    let recipe = folder.path().join("recipe.toml");
    let path = |name: &str| folder.path().join(name);
    let output = run(&["train", "--recipe", text(&recipe)]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("stage 1 of 2: first\n") && said.contains("stage 2 of 2: second\n"),
        "{said}"
    );
    assert!(said.contains("trained 14 iterations, 20 images"), "{said}");

    // The first stage keeps its learning rate; the second starts with its own, which falls to 0.
    let rates = rates(&path("run"));
    // While only the discriminators train, the generators' learning rate is 0.
    assert_eq!(rates[..4], [(2, 0.0), (4, 1e-3), (6, 1e-3), (8, 1e-3)]);
    let expected = [1.0, 1.0, 1.0, 1.0, 2.0 / 3.0, 1.0 / 3.0].map(|part| part * 2e-4);
    for (found, (k, expected)) in rates[4..].iter().zip(expected.iter().enumerate()) {
        assert!(found.0 == 10 + 2 * k as u64 && (found.1 - expected).abs() < 1e-9, "{rates:?}");
    }
    let config = fs::read_to_string(path("run/config.toml")).unwrap();
    let config: toml::Table = toml::from_str(&config).unwrap();
    let began = |i: usize| config["stages"][i]["began"]["images"].as_integer().unwrap();
    assert_eq!((began(0), began(1)), (0, 8));
    assert_eq!(config["train"]["batch-size"].as_integer(), Some(2));
    for file in ["G.onnx", "F.onnx", "G.fp16.onnx", "README.md"] {
        assert!(path("run/export").join(file).is_file(), "no {file}");
    }

    // Stopped within the first stage, at its end, and within the second.
    for most in ["5", "8", "11"] {
        let parts = path(most);
        run(&["train", "--recipe", text(&recipe), "--out", text(&parts), "--max-iters", most]);
        run(&["train", "--resume", "--out", text(&parts), "--max-iters", "1000"]);
        let last = |run: &Path| fs::read(run.join("checkpoints/00000020.safetensors")).unwrap();
        assert!(last(&parts) == last(&path("run")), "stopped after {most}: another checkpoint");
        let files = ["G.onnx", "F.onnx"].map(|file| {
            let read = |run: &Path| fs::read(run.join("export").join(file)).unwrap();
            read(&parts) == read(&path("run"))
        });
        assert_eq!(files, [true, true], "stopped after {most}: another pair");
    }
}

#[test]
fn the_command_line_overrides_the_recipe_and_the_recipe_can_change() {
    let folder = recipe_folder(RECIPE);
    let (recipe, out) = (folder.path().join("recipe.toml"), folder.path().join("other"));
    let begin = ["train", "--recipe", text(&recipe), "--out", text(&out), "--lr", "5e-4"];
    run(&[&begin[..], &["--max-iters", "9"]].concat());
    assert!(!out.join("export").exists(), "exported before its end");
    let rates = |from: usize| rates(&out)[from..].iter().map(|r| r.1).collect::<Vec<_>>();
    assert_eq!(rates(0)[1..], [5e-4; 4]);
    let third = "\n[[stage]]\nimages = 2\nlr = 1e-5\n\n[export]";
    fs::write(&recipe, RECIPE.replace("[export]", third)).unwrap();
    let resume = ["train", "--resume", "--recipe", text(&recipe), "--out", text(&out)];
    let output = run(&[&resume[..], &["--max-iters", "1000"]].concat());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("stage 2 of 3: second") && said.contains("stage 3 of 3: stage 3"),
        "{said}"
    );
    assert!(said.contains("trained 16 iterations, 22 images"), "{said}");
    assert_eq!(rates(10)[0], 1e-5);
}

#[test]
fn a_removed_stage_is_not_trained() {
    let two = without_export();
    let short = &two[..two.find("[[stage]]\nname = \"second\"").unwrap()];
    let folder = recipe_folder(&two);
    let file = folder.path().join("recipe.toml");
    for (most, says) in [("5", "trained 8 iterations, 8 images"), ("9", "nothing to train")] {
        let out = folder.path().join(most);
        fs::write(&file, &two).unwrap();
        let begin = ["train", "--recipe", text(&file), "--out", text(&out), "--max-iters", most];
        run(&begin);
        fs::write(&file, short).unwrap();
        let resume = ["train", "--resume", "--recipe", text(&file), "--out", text(&out)];
        let said = run(&[&resume[..], &["--max-iters", "1000"]].concat()).stdout;
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("stage 1 of 1: first\n") && said.contains(says), "{said}");
    }
}

/// Another stage has another loss.
#[test]
fn a_plateau_does_not_outlive_its_stage() {
    let plateau = "lr-policy = \"plateau\"\nlr = 1e-3";
    let recipe = without_export().replace("lr = 1e-3", plateau).replace("lambda-a = 2", plateau);
    let folder = recipe_folder(&recipe);
    let file = folder.path().join("recipe.toml");
    run(&["train", "--recipe", text(&file), "--max-iters", "8"]);
    let out = RunFolder::open(&folder.path().join("run")).unwrap();
    let (_, mut model) = checkpoint::open_newest(&out, Device::Cpu).unwrap();
    model.plateau.factor = 0.2;
    checkpoint::save(&out.checkpoints(), &model, 1).unwrap();
    run(&["train", "--recipe", text(&file), "--resume", "--max-iters", "10"]);
    assert_eq!(rates(&out.join(""))[4..], [(10, 1e-3), (12, 1e-3)]);
}

/// A generator that only an earlier stage has trained is exported too.
#[test]
fn a_stage_may_train_one_generator() {
    let second = "name = \"second\"\nonly = \"g\"\nlambda-a = 0\nlambda-b = 0";
    let recipe = RECIPE.replace("name = \"second\"", second).replace("\nlambda-a = 2", "");
    let average = "average-with = \"run/stages/1\"\naverage-a = 0.25\naverage-b = 0";
    let recipe = recipe.replace("[export]", &format!("[export]\n{average}"));
    let folder = recipe_folder(&recipe);
    run(&["train", "--recipe", text(&folder.path().join("recipe.toml"))]);
    let metrics = fs::read_to_string(folder.path().join("run/metrics.jsonl")).unwrap();
    let last = metrics.lines().last().unwrap();
    assert!(last.contains("\"D_A\"") && !last.contains("\"D_B\""), "{last}");
    for name in ["G.onnx", "F.onnx", "G.fp16.onnx", "F.fp16.onnx"] {
        assert!(folder.path().join("run/export").join(name).is_file(), "{name}");
    }
    // The later stage has changed G and not F.
    let same = |name: &str| {
        let file = |place: &str| fs::read(folder.path().join(place).join(name)).unwrap();
        file("run/stages/1") == file("run/export")
    };
    assert_eq!([same("G.onnx"), same("F.onnx")], [false, true]);
}

/// The weights of an exported generator, by name.
fn tensors(file: &Path) -> HashMap<String, Vec<u8>> {
    let graph = ModelProto::decode(&*fs::read(file).unwrap()).unwrap().graph.unwrap();
    graph.initializer.into_iter().map(|t| (t.name, t.raw_data)).collect()
}

/// G alone gets it, in the stage that trains G alone, and keeps it in a run that starts from the pair.
#[test]
fn a_stage_may_add_a_low_pass_filter() {
    let second = "only = \"g\"\nblur = [\"g\"]\nlambda-a = 0\nlambda-b = 0";
    let folder = recipe_folder(&RECIPE.replace("lambda-a = 2", second));
    let path = |name: &str| folder.path().join(name);
    let file = path("recipe.toml");
    run(&["train", "--recipe", text(&file), "--max-iters", "11"]);
    run(&["train", "--recipe", text(&file), "--resume"]);
    let has = |file: &str| tensors(&path(file)).contains_key("blur.weight");
    assert_eq!(["run/stages/1/G.onnx", "run/export/G.onnx"].map(has), [false, true]);
    let [f, before] = ["run/export/F.onnx", "run/stages/1/F.onnx"].map(|f| tensors(&path(f)));
    assert!(f == before);

    // A later stage adds that of F; their order does not matter.
    let third = "[[stage]]\nimages = 4\nblur = [\"f\", \"g\"]\n\n[export]";
    let both = RECIPE.replace("lambda-a = 2", second).replace("[export]", third);
    fs::write(&file, both.replace("out = \"run\"", "out = \"both\"")).unwrap();
    run(&["train", "--recipe", text(&file)]);
    assert_eq!(["both/export/G.onnx", "both/export/F.onnx"].map(has), [true, true]);
    let stage = tensors(&path("both/stages/2/F.onnx"));
    assert!(!stage.contains_key("blur.weight"));

    let continued = RECIPE.replace("out = \"run\"", "init-from = \"run/export\"\nout = \"more\"");
    fs::write(&file, continued).unwrap();
    run(&["train", "--recipe", text(&file)]);
    assert_eq!(["more/export/G.onnx", "more/export/F.onnx"].map(has), [true, false]);

    fs::write(&file, RECIPE.replace("lr = 1e-3", second)).unwrap();
    fails(&["train", "--recipe", text(&file)], &["stage 2 (second)", "`blur`"]);
}

/// The stage starts with the averaged weights of the stage before, and continues when it is stopped.
#[test]
fn a_stage_may_add_a_backbone() {
    let backbone = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/horse2zebra/G.onnx");
    let second = format!("learn = [\"seen\"]\nbackbone = \"{}\"", text(&backbone));
    let recipe = RECIPE.replace("lambda-a = 2", &second);
    let folder = recipe_folder(&recipe);
    let file = folder.path().join("recipe.toml");
    for most in ["1000", "11"] {
        let out = folder.path().join(most);
        run(&["train", "--recipe", text(&file), "--out", text(&out), "--max-iters", most]);
    }
    let parts = folder.path().join("11");
    run(&["train", "--resume", "--out", text(&parts), "--max-iters", "1000"]);
    let tensors = |file: &str| tensors(&folder.path().join(file));
    let (before, after) = (tensors("1000/stages/1/G.onnx"), tensors("1000/export/G.onnx"));
    assert!(after.len() > before.len() && after.keys().any(|name| name.starts_with("seen")));
    assert!(before.iter().all(|(name, values)| after[name] == *values));
    assert!(after == tensors("11/export/G.onnx"));

    // The same in a run that begins with a pair, and whose recipe is read again.
    fs::write(&file, format!("init-from = \"1000/stages/1\"\n{recipe}")).unwrap();
    let again = folder.path().join("again");
    let command = ["train", "--recipe", text(&file), "--out", text(&again), "--max-iters"];
    run(&[&command[..], &["11"]].concat());
    run(&[&command[..], &["1000", "--resume"]].concat());
    assert!(tensors("again/export/G.onnx").keys().any(|name| name.starts_with("seen")));

    // The pair has the mask head and the backbone.
    let of_pair = RECIPE.replace("mask-head = true\n", "learn = [\"seen\"]\n");
    let of_pair = of_pair.replace("ngf = 4\nwidth = 8\nblocks = 1\n", "");
    fs::write(&file, format!("init-from = \"1000/export\"\n{of_pair}")).unwrap();
    let out = folder.path().join("of-pair");
    run(&["train", "--recipe", text(&file), "--out", text(&out), "--max-iters", "1"]);

    let dropped = RECIPE.replace("lr = 1e-3", &second);
    fs::write(&file, dropped).unwrap();
    fails(&["train", "--recipe", text(&file)], &["stage 2 (second)", "`backbone`"]);
}

#[test]
fn a_stage_may_freeze_the_normalisation_for_good() {
    let stages = "norm = \"instance\"\n\n[[stage]]\nimages = 4\nnorm = \"frozen\"\n";
    let recipe = RECIPE.replace("discriminators-first = 2", stages);
    let folder = recipe_folder(&recipe);
    let file = folder.path().join("recipe.toml");
    fails(&["train", "--recipe", text(&file)], &["stage 3 (second)", "`norm`", "frozen"]);
    let frozen = recipe.replace("lambda-a = 2", "norm = \"frozen\"");
    fs::write(&file, &frozen).unwrap();
    let froze = |more: &[&str]| {
        let said = run(&[&["train", "--recipe", text(&file)], more].concat()).stdout;
        String::from_utf8_lossy(&said).matches("froze the normalisation").count()
    };
    assert_eq!(froze(&[]), 1);
    // The same in a run that begins with a pair, and whose recipe is read again.
    let from_pair = "init-from = \"run/stages/1\"\nout = \"more\"";
    let from_pair = frozen.replace("out = \"run\"", from_pair);
    fs::write(&file, &from_pair).unwrap();
    assert_eq!(froze(&["--max-iters", "5"]), 0);
    assert_eq!(froze(&["--max-iters", "1000", "--resume"]), 1);
    // The recipe's own options count more than the files'.
    fs::write(&file, from_pair.replace("width = 8", "width = 16")).unwrap();
    let again = folder.path().join("again");
    let command = ["train", "--recipe", text(&file), "--out", text(&again)];
    fails(&command, &["G.onnx", "another architecture"]);
}

/// The student has its own folder, and a second run of the command continues it.
#[test]
fn a_recipe_may_end_with_a_student() {
    let student =
        "[compress]\nimages = 6\nmax-macs = 8e6\nsize = 64\nlambda-recon-a = 20\n\n[export]";
    let networks = RECIPE.replace("width = 8\nblocks = 1", "width = 32\nblocks = 2");
    let folder = recipe_folder(&networks.replace("[export]", student));
    let file = folder.path().join("recipe.toml");
    let out = folder.path().join("run");
    let said = run(&["train", "--recipe", text(&file)]).stdout;
    assert!(String::from_utf8_lossy(&said).contains("| G student |"));
    let config = fs::read_to_string(out.join("student/config.toml")).unwrap();
    assert!(config.contains("lambda-recon-a = 20.0") && config.contains("pruned"), "{config}");
    let size = |pair: &str| fs::metadata(out.join(pair).join("G.onnx")).unwrap().len();
    assert!(size("export") < size("stages/1"));
    assert!(out.join("export/G.fp16.onnx").is_file());

    fs::remove_dir_all(out.join("export")).unwrap();
    let said = run(&["train", "--recipe", text(&file), "--resume"]).stdout;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("student, continued") && !said.contains("| G student |"), "{said}");
    assert!(size("export") < size("stages/1"));

    // As if it had been killed before its first checkpoint.
    for name in ["export", "student/checkpoints"] {
        fs::remove_dir_all(out.join(name)).unwrap();
    }
    let said = run(&["train", "--recipe", text(&file), "--resume"]).stdout;
    assert!(String::from_utf8_lossy(&said).contains("student of the last stage"));
    assert!(size("export") < size("stages/1"));
}

/// F is the one of the stages.
#[test]
fn a_student_of_one_generator_joins_the_other() {
    let student = "[compress]\nimages = 4\nmax-macs = 8e6\nsize = 64\nonly = \"g\"\nlambda-a = 0\nlambda-b = 0\n\n[export]";
    let averaged = format!("{student}\naverage-with = \"run/stages/1\"\naverage-b = 1");
    let recipe = RECIPE.replace("width = 8\nblocks = 1", "width = 32\nblocks = 2");
    let folder = recipe_folder(&recipe.replace("[export]", &averaged));
    run(&["train", "--recipe", text(&folder.path().join("recipe.toml"))]);
    let size = |name: &str| fs::metadata(folder.path().join("run").join(name)).unwrap().len();
    assert!(size("export/G.onnx") < size("stages/1/G.onnx"));
    // F is averaged.
    let f = |name: &str| tensors(&folder.path().join("run").join(name));
    assert!(f("export/F.onnx") == f("stages/1/F.onnx"));
    assert!(size("export/F.fp16.onnx") > size("export/G.fp16.onnx"));
    let card = fs::read_to_string(folder.path().join("run/export/README.md")).unwrap();
    for name in ["G.onnx", "F.onnx", "G.fp16.onnx", "F.fp16.onnx"] {
        assert_eq!(card.matches(&format!("| `{name}` |")).count(), 1, "{name}: {card}");
    }
    for sentence in ["G translates A to B", "F translates B to A"] {
        assert_eq!(card.matches(sentence).count(), 1, "{card}");
    }
}

/// Each stage ends with an export, which needs ONNX Runtime.
#[test]
fn a_recipe_without_onnx_runtime_fails_before_it_trains() {
    let folder = recipe_folder(RECIPE);
    let file = folder.path().join("recipe.toml");
    let arguments = ["train", "--recipe", text(&file)];
    let output = program().args(arguments).env("ORT_DYLIB_PATH", "/missing.so").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains("cannot load ONNX Runtime"), "{stderr}");
    assert!(!folder.path().join("run/metrics.jsonl").exists());
    // Nothing is in the way of a second try.
    run(&arguments);
}

#[test]
fn the_recipes_of_the_shipped_pairs_are_valid() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    for pair in ["horse2zebra", "summer2autumn", "apple2orange"] {
        let mut recipe = Recipe::read(&models.join(pair).join("recipe.toml")).unwrap();
        for Stage { train, given, .. } in &mut recipe.stages {
            train.set_defaults_of_fast(|name| given.contains(name));
        }
        recipe::check(&recipe.stages).unwrap();
        let export = recipe.export.unwrap();
        assert!(export.contains(&"int8,fp16".to_owned()), "{export:?}");
    }
}

#[test]
fn errors_name_the_file_the_stage_and_the_option() {
    let change = |from: &str, to: &str| {
        assert!(RECIPE.contains(from));
        RECIPE.replace(from, to)
    };
    for (recipe, parts) in [
        (
            change("lambda-a = 2", "lamda-a = 2"),
            &["stage 2 (second)", "`lamda-a`", "`lambda-a`"][..],
        ),
        (change("lambda-a = 2", "lambda-a = -2"), &["stage 2 (second)", "--lambda-a is -2"]),
        (change("lr = 1e-3", "lr = 'high'"), &["stage 1 (first)", "`lr` is", "expected a number"]),
        (
            change("lr = 1e-3", "batch-size = -1"),
            &["stage 1 (first)", "`batch-size` is -1: expected a whole number"],
        ),
        (
            change("lr = 1e-3", "mask-head = 1"),
            &["stage 1 (first)", "`mask-head` is 1: expected true or false"],
        ),
        (
            change("lr = 1e-3", "negatives = 'x'"),
            &["stage 1 (first)", "`negatives` is", "expected a list"],
        ),
        (
            change("lr = 1e-3", "minutes = 3"),
            &["stage 1 (first)", "both `images` and `minutes`, expected either of them"],
        ),
        (change("[export]", "[export]\nbest = true"), &["[export]", "`best`", "`eval-every`"]),
        (
            change("[export]", "[compress]\nimages = 2\nmax-macs = 1e3\n[export]"),
            &["[compress]", "1.0000e3 MACs", "smallest possible student needs"],
        ),
        (change("lr = 1e-3", "norm-d = 'bach'"), &["stage 1 (first)", "`norm-d`", "batch"]),
        (change("images = 12", ""), &["stage 2 (second)", "`images` or `minutes`"]),
        (change("images = 12", "images = 12\nminutes = 1"), &["stage 2 (second)", "either"]),
        (change("images = 12", "max-images = 12"), &["stage 2 (second)", "`max-images`"]),
        (change("images = 12", "images = 0"), &["stage 2 (second)", "--max-images is 0"]),
        (
            change(
                "lambda-a = 2",
                "lambda-a = 0\nlambda-b = 0\nlambda-gan = 0\nlambda-mask = 0\nlambda-flow = 0",
            ),
            &["stage 2 (second)", "G has no loss"],
        ),
        (change("lambda-a = 2", "blocks = 2"), &["stage 2 (second)", "generators"]),
        (change("lambda-a = 2", "ndf = 8"), &["stage 2 (second)", "discriminators"]),
        (change("ngf = 4", "ngff = 4"), &["no option `ngff`", "`ngf`"]),
        (change("variants =", "variant ="), &["[export]", "`variant`", "`variants`"]),
        (change("\"fp16\"", "\"fp17\""), &["[export]", "fp17"]),
        (change("[export]", "[compress]\nimages = 2\n[export]"), &["[compress]", "`max-macs`"]),
        (change("[export]", "[compress]\nmax-macs = 2.4e7\n[export]"), &["[compress]", "`images`"]),
        (
            change("[export]", "[compress]\nimages = 2\nmax-macs = 2.4e7\ndata = 'a'\n[export]"),
            &["[compress]", "`data`"],
        ),
        (
            change("[export]", "[compress]\nimages = 2\nmax-macs = 2.4e7\nlr = 'x'\n[export]"),
            &["[compress]", "--lr"],
        ),
        (
            change(
                "[export]",
                "[compress]\nimages = 2\nmax-macs = 2.4e7\nlambda-init = 1\n[export]",
            ),
            &["[compress]", "--lambda-init is 1"],
        ),
        (
            change(
                "[export]",
                "[compress]\nimages = 2\nmax-macs = 2.4e7\ncrop-size = 48\n[export]",
            ),
            &["[compress]", "--crop-size 48", "--load-size 40"],
        ),
        (
            change(
                "[export]",
                "[compress]\nimages = 2\nmax-macs = 2.4e7\n[export]\naverage-with = 'run/stages/1'",
            ),
            &["[export]", "`average-with`", "[compress]"],
        ),
        (change("[export]", "[export]\nmask-gain = 0"), &["[export]", "--mask-gain is 0"]),
        (change("[export]", "[export]\nfloat-share = 2"), &["[export]", "--float-share is 2"]),
        ("data = 'data'".to_owned(), &["no stage"]),
        ("[[stages]]\nimages = 2".to_owned(), &["`stages`", "`stage`"]),
        (change("out = \"run\"", "out = "), &["line 3"]),
    ] {
        let folder = recipe_folder(&recipe);
        let file = folder.path().join("recipe.toml");
        fails(&["train", "--recipe", text(&file)], &[parts, &["recipe.toml"]].concat());
        assert!(!folder.path().join("run").exists(), "it began: {parts:?}");
    }
    let folder = recipe_folder(RECIPE);
    let file = folder.path().join("recipe.toml");
    let command = ["train", "--recipe", text(&file), "--max-images", "7"];
    fails(&command, &["--max-images", "stage"]);
}
