// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files that are not generators give exactly one clear message each.

use std::path::PathBuf;

use cyclegan_contract::onnx::Message;
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};

use crate::{
    generators::{self, Models},
    rig::{self, Rig},
    video,
};

/// A file that is refused, and parts of its message.
struct Case {
    file: PathBuf,
    says: &'static [&'static str],
}

fn cases(models: &Models) -> Vec<Case> {
    let invert = generators::invert().encode_to_vec();
    let noise: Vec<u8> = {
        let mut random = fastrand::Rng::with_seed(11);
        std::iter::repeat_with(|| random.u8(..)).take(10_000).collect()
    };
    models.add_bytes("outside.weights", &[0; 4]);
    let mut unknown_operator = generators::invert();
    unknown_operator.graph.as_mut().unwrap().node[0].op_type = "NoSuchOperator".to_owned();
    let mut wrong_metadata = generators::with_metadata(generators::invert(), &Default::default());
    for entry in &mut wrong_metadata.metadata_props {
        if entry.key == "cyclegan.input_range" {
            entry.value = "-2,2".to_owned();
        }
    }
    let external = generators::with_external_data;
    vec![
        Case { file: models.folder().join("missing.onnx"), says: &["not found"] },
        Case { file: models.add_bytes("empty.onnx", &[]), says: &["empty", "expected"] },
        Case {
            file: models.add_bytes("truncated.onnx", &invert[..invert.len() / 2]),
            says: &["not an ONNX model"],
        },
        Case { file: models.add_bytes("noise.onnx", &noise), says: &["not an ONNX model"] },
        Case {
            file: models.add_bytes("pointer.onnx", b"version https://git-lfs.github.com/spec/v1\n"),
            says: &["Git LFS pointer", "git lfs pull"],
        },
        Case {
            file: models.add_bytes("page.onnx", b"<!DOCTYPE html>\n<html>"),
            says: &["not an ONNX model but an HTML page"],
        },
        Case {
            file: models.add("classifier.onnx", &generators::classifier(1000)),
            says: &["1×1000", "expected exactly one image output", "looks like a classifier"],
        },
        Case {
            file: models.add("grey.onnx", &generators::with_channels(generators::invert(), 1)),
            says: &["×1×", "expected one image input"],
        },
        Case {
            file: models.add("rgba.onnx", &generators::with_channels(generators::invert(), 4)),
            says: &["×4×", "expected one image input"],
        },
        Case {
            file: models.add("half.onnx", &generators::half_size()),
            says: &["[1, 3, 128, 128]", "expected the same shape"],
        },
        Case {
            file: models.add("nan.onnx", &generators::linear(f32::NAN, 0.0)),
            says: &["not finite", "expected"],
        },
        Case {
            file: models.add("infinite.onnx", &generators::linear(1.0, f32::INFINITY)),
            says: &["not finite", "expected"],
        },
        Case {
            file: models.add("inside/G.onnx", &external("../outside.weights")),
            says: &["offset", "expected a file inside the model's folder"],
        },
        Case {
            file: models.add("absolute.onnx", &external("/etc/hostname")),
            says: &["/etc/hostname", "expected a file inside the model's folder"],
        },
        Case {
            file: models.add("elsewhere.onnx", &external("missing.weights")),
            says: &["missing.weights", "cannot be read"],
        },
        Case {
            file: models.add("operator.onnx", &unknown_operator),
            says: &["ONNX Runtime cannot load it", "NoSuchOperator"],
        },
        Case {
            file: models.add("metadata.onnx", &wrong_metadata),
            says: &["cyclegan.input_range", "-2,2", "expected"],
        },
        Case { file: models.folder().to_path_buf(), says: &["neither G.onnx nor F.onnx"] },
    ]
}

impl Case {
    #[track_caller]
    fn assert_said_once(&self, messages: &[String]) {
        assert_eq!(messages.len(), 1, "{}: {messages:#?}", self.file.display());
        let name = self.file.to_str().unwrap();
        for words in self.says.iter().chain([&name]) {
            assert!(messages[0].contains(words), "`{}` does not say `{words}`", messages[0]);
        }
    }
}

fn info() -> VideoInfo {
    video::info(VideoFormat::Rgb, 32, 32)
}

#[test]
fn a_bad_model_is_one_error_on_the_way_to_ready() {
    let models = Models::new();
    for case in cases(&models) {
        let filter = rig::new_filter();
        let bus = gst::Bus::new();
        filter.set_bus(Some(&bus));
        filter.set_property("model", case.file.to_str().unwrap());
        assert!(filter.set_state(gst::State::Ready).is_err(), "{}", case.file.display());
        let messages = rig::said(&bus);
        case.assert_said_once(&rig::errors_in(&messages));
        assert!(rig::warnings_in(&messages).is_empty());
    }
}

#[test]
fn output_far_outside_of_its_range_is_one_warning() {
    use cyclegan_contract::ValueRange::{MinusOneToOne, ZeroTo255, ZeroToOne};
    let models = Models::new();
    let model = generators::linear;
    let declared = |input, output, scale| generators::with_ranges(model(scale, 0.0), input, output);
    for (name, generator, range) in [
        ("up-to-255.onnx", model(127.5, 127.5), Some("-1 to 1")),
        ("declared-0-1.onnx", declared(ZeroToOne, ZeroToOne, 255.0), Some("0 to 1")),
        ("declared-255.onnx", declared(ZeroToOne, ZeroTo255, 255.0), None),
        ("unsaturated.onnx", declared(MinusOneToOne, MinusOneToOne, 3.0), None),
    ] {
        let mut rig = Rig::new(&models.add(name, &generator));
        // A change of size prepares the generator again.
        for info in [info(), video::info(VideoFormat::Rgb, 48, 32)] {
            rig.set_info(&info);
            for seed in 0..3 {
                rig.translate(video::random(&info, seed));
            }
        }
        let warnings = rig::warnings_in(&rig.said());
        assert_eq!(warnings.len(), usize::from(range.is_some()), "{name}: {warnings:?}");
        for part in range.into_iter().flat_map(|range| [range, name, "cyclegan.output_range"]) {
            assert!(warnings[0].contains(part), "{}", warnings[0]);
        }
    }
}

#[test]
fn a_bad_model_set_while_playing_is_one_warning_and_the_old_one_stays() {
    let models = Models::new();
    let good = models.add("good/G.onnx", &generators::invert());
    let mut rig = Rig::new(&good);
    rig.set_info(&info());
    for case in cases(&models) {
        rig.filter.set_property("model", case.file.to_str().unwrap());
        let mut messages = Vec::new();
        rig::wait_until("it is refused", || {
            let output = rig.translate(video::flat(&info(), [255; 3]));
            assert_eq!(video::to_rgb(&output, &info())[0], [0; 3], "{}", case.file.display());
            messages.extend(rig.said());
            !rig::warnings_in(&messages).is_empty()
        });
        std::thread::sleep(std::time::Duration::from_millis(20));
        messages.extend(rig.said());
        case.assert_said_once(&rig::warnings_in(&messages));
        assert!(rig::errors_in(&messages).is_empty());
        assert_eq!(rig.filter.property::<String>("model"), good.to_str().unwrap());
    }
}

/// A generator that fails on some images only is an error at the first of them.
#[test]
fn an_output_of_nan_is_one_error() {
    let models = Models::new();
    let model = models.add("root.onnx", &generators::root());
    let mut rig = Rig::new(&model);
    rig.set_info(&info());
    rig.translate(video::flat(&info(), [255; 3]));
    let pushed = rig.harness.push(video::flat(&info(), [0; 3]));
    assert_eq!(pushed, Err(gst::FlowError::Error));
    let case = Case { file: model, says: &["not finite"] };
    case.assert_said_once(&rig::errors_in(&rig.said()));
}

/// A valid ONNX file that is not a generator.
#[test]
fn a_real_classifier_is_refused() {
    let Some(model) = rig::shared("models/efficientnet_lite0.onnx") else { return };
    let filter = rig::new_filter();
    let bus = gst::Bus::new();
    filter.set_bus(Some(&bus));
    filter.set_property("model", model.to_str().unwrap());
    assert!(filter.set_state(gst::State::Ready).is_err());
    let case = Case { file: model, says: &["expected exactly one image"] };
    case.assert_said_once(&rig::errors_in(&rig::said(&bus)));
}

/// In a whole pipeline, the element's error is the first one and is posted once.
#[test]
fn a_bad_model_stops_a_pipeline_with_one_error() {
    let models = Models::new();
    for case in cases(&models) {
        let pipeline =
            rig::pipeline("videotestsrc ! cycleganfilter {model} ! fakesink", &case.file);
        let messages = rig::run_to_end(&pipeline);
        case.assert_said_once(&rig::errors_in(&messages));
    }
}
