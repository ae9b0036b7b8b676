// SPDX-License-Identifier: MIT OR Apache-2.0

//! Models loaded and run by ONNX Runtime on the CPU.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::{
    fs,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use cyclegan_contract::{
    Direction, Metadata, Precision, Size,
    onnx::{ModelProto, StringStringEntryProto},
};
use cyclegan_runtime::{
    Binding, BindingOptions, Interrupt, LoadError, LoadOptions, Pair, Provider, ProviderOptions,
    RunError, Values, ValuesMut, Warning,
};
use cyclegan_test_support::generators::{self, Models};

const SIZE: Size = Size { width: 8, height: 4 };

fn options(provider: Option<Provider>) -> LoadOptions {
    LoadOptions {
        provider,
        allow_fallback: false,
        precision: None,
        provider_options: ProviderOptions {
            device_id: 0,
            threads: 0,
            cache_dir: std::env::temp_dir(),
        },
    }
}

fn load(model: &Path) -> Result<Pair, LoadError> {
    Pair::load(model.to_str().unwrap(), &options(Some(Provider::Cpu)))
}

fn invert_of(direction: Direction) -> ModelProto {
    let metadata = Metadata { direction: Some(direction), size: Some(16), ..Default::default() };
    generators::with_metadata(generators::invert(), &metadata)
}

/// Fills picture `index` with `value`.
fn fill(binding: &mut Binding, index: u32, value: f32) {
    match binding.picture_mut(index).unwrap() {
        ValuesMut::F32(values) => values.fill(value),
        ValuesMut::F16(_) => panic!("the model is float32"),
    }
}

fn f32s(values: Values<'_>) -> &[f32] {
    match values {
        Values::F32(values) => values,
        Values::F16(_) => panic!("the model is float32"),
    }
}

#[test]
fn the_other_direction_is_opened_on_demand() {
    let models = Models::new();
    let pair = models.add_pair(
        "pair",
        &invert_of(Direction::AToB),
        // This generator would fail, but it is not opened.
        &generators::half_size(),
    );
    let model = pair.to_str().unwrap();
    let cpu = options(Some(Provider::Cpu));
    assert!(matches!(Pair::load(model, &cpu), Err(LoadError::Run { .. })));

    let loaded = Pair::load_direction(model, &cpu, Direction::AToB).unwrap();
    assert!(loaded.generator(Direction::AToB).is_some());
    assert!(loaded.generator(Direction::BToA).is_none());
    loaded.require(Direction::BToA).unwrap();
    assert!(matches!(loaded.open(Direction::BToA), Err(LoadError::Run { .. })));

    models.add("pair/F.onnx", &invert_of(Direction::BToA));
    let opened = loaded.open(Direction::BToA).unwrap().clone();
    assert!(Arc::ptr_eq(&opened, loaded.generator(Direction::BToA).unwrap()));
    assert!(loaded.take_warnings().is_empty());
}

#[test]
fn a_missing_direction_is_an_error_at_once() {
    let models = Models::new();
    let model = models.add("pair/G.onnx", &invert_of(Direction::AToB));
    let cpu = options(Some(Provider::Cpu));
    for model in [model.as_path(), model.parent().unwrap()] {
        let model = model.to_str().unwrap();
        let error = Pair::load_direction(model, &cpu, Direction::BToA).err().unwrap();
        assert!(matches!(error, LoadError::NoDirection { .. }), "{error}");
        let pair = Pair::load(model, &cpu).unwrap();
        assert!(pair.require(Direction::BToA).is_err());
        assert!(pair.open(Direction::BToA).is_err());
    }
}

#[test]
fn a_direction_that_contradicts_the_file_name_is_a_warning() {
    let models = Models::new();
    let f = invert_of(Direction::BToA);
    let pair = load(&models.add_pair("pair", &f, &f)).unwrap();
    let warnings = pair.take_warnings();
    let [warning @ Warning::Direction { path, .. }] = &warnings[..] else {
        panic!("{warnings:?}");
    };
    assert!(path.ends_with("G.onnx"));
    let text = warning.to_string();
    assert!(text.contains("`B2A`") && text.contains("expected `A2B`"), "{text}");
    assert!(pair.take_warnings().is_empty(), "each is returned once");

    // A single file may have any direction.
    let single = load(&models.add("F.onnx", &f)).unwrap();
    assert!(single.take_warnings().is_empty());
}

#[test]
fn a_misspelt_key_of_the_metadata_is_a_warning() {
    let models = Models::new();
    let mut model = generators::invert();
    for key in ["cyclegan.inputrange", "author"] {
        let (key, value) = (key.to_owned(), "0,1".to_owned());
        model.metadata_props.push(StringStringEntryProto { key, value });
    }
    let warnings = load(&models.add("misspelt.onnx", &model)).unwrap().take_warnings();
    let [warning @ Warning::UnknownMetadata { keys, .. }] = &warnings[..] else {
        panic!("{warnings:?}");
    };
    assert_eq!(keys, &["cyclegan.inputrange"]);
    let text = warning.to_string();
    assert!(text.contains("misspelt.onnx") && text.contains("`cyclegan.inputrange`"), "{text}");
}

#[test]
fn a_single_file_ignores_the_requested_precision() {
    let models = Models::new();
    let fp16 = models.add("fp16.onnx", &generators::in_float16(generators::invert()));
    let fp32 = models.add("fp32.onnx", &generators::invert());
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/horse2zebra");
    let int8 = shipped.join("G.int8.onnx");
    for (model, precision) in
        [(fp16, Precision::Fp16), (fp32, Precision::Fp32), (int8, Precision::Int8)]
    {
        let pair = load(&model).unwrap();
        let generator = pair.generator(Direction::AToB).unwrap();
        assert_eq!(generator.precision(), precision, "{}", model.display());
    }
}

#[test]
fn a_batch_gives_the_same_images_as_single_runs() {
    let models = Models::new();
    let pair = load(&models.add("G.onnx", &generators::invert())).unwrap();
    let generator = pair.generator(Direction::AToB).unwrap();
    assert!(generator.takes_batches());
    let batch = BindingOptions { size: SIZE, batch: 3, mask: false };
    let mut binding = Binding::new(generator.clone(), batch).unwrap();
    for index in 0..3 {
        fill(&mut binding, index, index as f32 / 4.0);
    }
    binding.run().unwrap();
    for index in 0..3 {
        let (input, output) = binding.picture(index).unwrap();
        let value = index as f32 / 4.0;
        assert_eq!(f32s(input), [value; 96]);
        assert_eq!(f32s(output), [-value; 96]);
    }
    assert!(matches!(binding.picture(3), Err(RunError::Picture { index: 3, batch: 3 })));
    assert!(binding.picture_mut(3).is_err());
}

#[test]
fn a_generator_with_a_fixed_batch_axis_refuses_a_batch() {
    let models = Models::new();
    let fixed = generators::with_size(generators::invert(), 8, 4);
    let pair = load(&models.add("G.onnx", &fixed)).unwrap();
    let generator = pair.generator(Direction::AToB).unwrap();
    assert!(!generator.takes_batches());
    let batch = BindingOptions { size: SIZE, batch: 2, mask: false };
    let error = Binding::new(generator.clone(), batch).err().unwrap();
    assert!(matches!(error, RunError::Batch { batch: 2 }), "{error}");
}

#[test]
fn the_mask_is_read_if_requested_and_present() {
    let models = Models::new();
    let masked = generators::with_mask(generators::invert());
    let pair = load(&models.add("masked.onnx", &masked)).unwrap();
    let generator = pair.generator(Direction::AToB).unwrap();
    let mut binding =
        Binding::new(generator.clone(), BindingOptions { size: SIZE, batch: 2, mask: true })
            .unwrap();
    fill(&mut binding, 0, 0.25);
    fill(&mut binding, 1, 0.75);
    binding.run().unwrap();
    // The generator's mask is the red channel of its input.
    assert_eq!(f32s(binding.mask().unwrap().unwrap()).len(), 64);
    assert_eq!(f32s(binding.picture_mask(1).unwrap().unwrap()), [0.75; 32]);
    assert_eq!(f32s(binding.picture(1).unwrap().1), [-0.75; 96]);

    let mut plain = Binding::new(generator.clone(), SIZE).unwrap();
    plain.run().unwrap();
    assert!(plain.mask().unwrap().is_none());

    let without = load(&models.add("plain.onnx", &generators::invert())).unwrap();
    let generator = without.generator(Direction::AToB).unwrap().clone();
    let binding = Binding::new(generator, BindingOptions { size: SIZE, batch: 1, mask: true });
    assert!(binding.unwrap().mask().unwrap().is_none());
}

#[test]
fn an_interrupt_ends_a_run() {
    let models = Models::new();
    let pair = load(&models.add("G.onnx", &generators::slow_invert(40))).unwrap();
    let generator = pair.generator(Direction::AToB).unwrap().clone();
    let size = Size { width: 128, height: 128 };
    let mut binding = Binding::new(generator, size).unwrap();
    let start = Instant::now();
    binding.run().unwrap();
    let inference = start.elapsed();

    let interrupt = Interrupt::default();
    let (running, other) = (interrupt.clone(), Interrupt::default());
    let thread = thread::spawn(move || {
        thread::sleep(inference / 4);
        running.set();
    });
    let ended = binding.run_until(&interrupt);
    assert!(matches!(ended, Err(RunError::Interrupted)), "{ended:?}");
    thread.join().unwrap();
    assert!(interrupt.is_set());
    assert!(matches!(binding.run_until(&interrupt), Err(RunError::Interrupted)));
    // Other runs go on, with the same tensors.
    binding.run_until(&other).unwrap();
}

#[test]
fn changed_external_weights_make_another_generator() {
    let models = Models::new();
    let weights = models.add_bytes("weights", &0_f32.to_le_bytes());
    let model = models.add("G.onnx", &generators::with_external_data("weights"));
    let darkest = |pair: &Pair| {
        let generator = pair.generator(Direction::AToB).unwrap().clone();
        let mut binding = Binding::new(generator, SIZE).unwrap();
        binding.run().unwrap();
        f32s(binding.input_and_output().unwrap().1)[0]
    };
    let first = load(&model).unwrap();
    let same = load(&model).unwrap();
    let g = Direction::AToB;
    assert!(Arc::ptr_eq(first.generator(g).unwrap(), same.generator(g).unwrap()));

    fs::write(&weights, 0.5_f32.to_le_bytes()).unwrap();
    let file = fs::File::options().write(true).open(&weights).unwrap();
    file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(2)).unwrap();
    let second = load(&model).unwrap();
    assert_eq!((darkest(&first), darkest(&second)), (0.0, 0.5));
}

/// ONNX Runtime itself follows the links of some caches only.
#[cfg(unix)]
#[test]
fn weights_linked_from_a_cache_are_loaded() {
    use std::os::unix::fs::symlink;

    let models = Models::new();
    let model = generators::with_external_data("G.onnx.data");
    for (folder, of_model, of_data) in [
        ("hf/snapshots/1", "hf/blobs/a", "hf/blobs/b"),
        ("r/models", "r/.git/annex/objects/A/B/K1/K1", "r/.git/annex/objects/C/D/K2/K2"),
        ("dvc/models", "cache/files/md5/aa/bb", "cache/files/md5/cc/dd"),
    ] {
        let of_model = models.add(of_model, &model);
        let of_data = models.add_bytes(of_data, &0.5_f32.to_le_bytes());
        let folder = models.folder().join(folder);
        fs::create_dir_all(&folder).unwrap();
        symlink(of_model, folder.join("G.onnx")).unwrap();
        symlink(of_data, folder.join("G.onnx.data")).unwrap();
        load(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    }
}

#[test]
fn the_cpu_is_the_last_resort() {
    let models = Models::new();
    let model = models.add("G.onnx", &generators::invert());
    let oom = || RunError::Failed { size: SIZE, reason: "out of memory".to_owned() };
    for provider in [None, Some(Provider::Cpu)] {
        let pair = Pair::load(model.to_str().unwrap(), &options(provider)).unwrap();
        let error = pair.reopen(oom()).err().unwrap();
        let LoadError::Run { path, source } = error else { panic!("{error}") };
        assert_eq!(path, model);
        assert!(source.to_string().contains("out of memory"));
    }
}

#[test]
fn a_fallback_is_a_warning() {
    let models = Models::new();
    let model = models.add("G.onnx", &generators::invert());
    let options = LoadOptions { allow_fallback: true, ..options(Some(Provider::DirectMl)) };
    let pair = Pair::load(model.to_str().unwrap(), &options).unwrap();
    assert_eq!(pair.provider(), Provider::Cpu);
    let warnings = pair.take_warnings();
    let [warning @ Warning::Fallback(_)] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.to_string().contains("`directml`"), "{warning}");
}

/// Runs of one session do not overlap, so their times cannot add up to more than the time that passes.
#[test]
fn the_time_of_a_run_does_not_include_the_wait_for_others() {
    let models = Models::new();
    let pair = load(&models.add("G.onnx", &generators::slow_invert(1))).unwrap();
    let generator = pair.generator(Direction::AToB).unwrap();
    let size = Size { width: 64, height: 64 };
    let run = || -> Duration {
        let mut binding = Binding::new(generator.clone(), size).unwrap();
        (0..10).map(|_| binding.run_until(&Interrupt::default()).unwrap()).sum()
    };
    let start = Instant::now();
    let times: Duration = thread::scope(|scope| {
        let threads = [scope.spawn(run), scope.spawn(run)];
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    });
    assert!(times <= start.elapsed(), "{times:?} of {:?}", start.elapsed());
}
