// SPDX-License-Identifier: MIT OR Apache-2.0

//! Setting the model's properties, alone and together, in every state.

use std::time::{Duration, Instant};

use gst::{glib, prelude::*};
use gst_video::{VideoFormat, VideoInfo};

use crate::{
    generators::{self, Models},
    rig::{self, Rig},
    video,
};

fn info() -> VideoInfo {
    video::info(VideoFormat::Rgb, 64, 48)
}

fn level(rig: &mut Rig) -> u8 {
    video::to_rgb(&rig.translate(video::flat(&info(), [10; 3])), &info())[0][0]
}

/// A single file with an identity generator, and a pair whose F inverts.
fn single_and_pair(models: &Models) -> [String; 2] {
    let single = models.add("single.onnx", &generators::identity());
    let pair = models.add_pair("pair", &generators::identity(), &generators::invert());
    [single, pair].map(|path| path.to_str().unwrap().to_owned())
}

fn direction(filter: &gst::Element) -> String {
    let value = filter.property_value("direction");
    value.serialize().unwrap().to_string()
}

/// Sets model and direction in one call, in the order of `names`.
fn set_together(filter: &gst::Element, names: [&str; 2], model: &str) {
    let class = filter.find_property("direction").unwrap().value_type();
    let reverse = glib::EnumClass::with_type(class).unwrap().to_value_by_nick("reverse").unwrap();
    let values = names.map(|name| match name {
        "model" => (name, model.to_value()),
        _ => (name, reverse.clone()),
    });
    let values: Vec<_> =
        values.iter().map(|(name, value)| (*name, value as &dyn ToValue)).collect();
    filter.set_properties(&values);
}

/// A program may hold the notification of a property back until the first caps have arrived.
#[test]
fn a_direction_that_the_model_lacks_does_not_end_the_stream() {
    let models = Models::new();
    let [single, _] = single_and_pair(&models);
    let filter = rig::new_filter();
    filter.set_property("model", &single);
    let mut rig = Rig::with_filter(filter.clone());
    let held = filter.freeze_notify();
    filter.set_property_from_str("direction", "reverse");
    rig.set_info(&info());
    assert_eq!(level(&mut rig), 10);
    drop(held);
    assert_eq!(direction(&filter), "forward");
    assert_eq!(rig::warnings_in(&rig.said()).len(), 1);
}

#[test]
fn a_model_set_in_ready_translates_the_first_frame() {
    let models = Models::new();
    let filter = rig::new_filter();
    let [identity, invert] = [
        models.add("identity.onnx", &generators::identity()),
        models.add("slow.onnx", &generators::slow_invert(4)),
    ];
    filter.set_property("model", identity.to_str().unwrap());
    filter.set_state(gst::State::Ready).unwrap();
    filter.set_property("model", invert.to_str().unwrap());
    let mut rig = Rig::with_filter(filter);
    rig.set_info(&info());
    assert!(level(&mut rig) > 200, "the old model translated the first frame");
    assert_eq!(rig.filter.property::<String>("active-model"), invert.to_str().unwrap());
}

#[test]
fn a_bad_model_set_in_ready_is_an_error() {
    let models = Models::new();
    let filter = rig::new_filter();
    let good = models.add("identity.onnx", &generators::identity());
    filter.set_property("model", good.to_str().unwrap());
    let bus = gst::Bus::new();
    filter.set_bus(Some(&bus));
    filter.set_state(gst::State::Ready).unwrap();
    filter.set_property("model", "/nowhere.onnx");
    assert!(filter.set_state(gst::State::Paused).is_err());
    let errors = rig::errors_in(&rig::said(&bus));
    assert_eq!(errors.len(), 1, "{errors:?}");
    // A model that works can be set afterwards.
    filter.set_property("model", good.to_str().unwrap());
    filter.set_state(gst::State::Paused).unwrap();
    filter.set_state(gst::State::Null).unwrap();
}

#[test]
fn model_and_direction_set_together_are_checked_together_before_playing() {
    let models = Models::new();
    let [single, pair] = single_and_pair(&models);
    for state in [gst::State::Null, gst::State::Ready] {
        for names in [["model", "direction"], ["direction", "model"]] {
            for at_once in [true, false] {
                let filter = rig::new_filter();
                filter.set_property("model", &single);
                filter.set_state(state).unwrap();
                if at_once {
                    set_together(&filter, names, &pair);
                } else {
                    for name in names {
                        set_together(&filter, [name; 2], &pair);
                    }
                }
                assert_eq!(direction(&filter), "reverse", "{state:?} {names:?}");
                let mut rig = Rig::with_filter(filter);
                rig.set_info(&info());
                assert!(level(&mut rig) > 200, "{state:?} {names:?}: not F of the pair");
                assert!(rig::warnings_in(&rig.said()).is_empty());
            }
        }
    }
}

#[test]
fn model_and_direction_set_together_are_checked_together_while_playing() {
    let models = Models::new();
    let [single, pair] = single_and_pair(&models);
    for state in [gst::State::Paused, gst::State::Playing] {
        for (names, at_once) in [
            (["model", "direction"], true),
            (["direction", "model"], true),
            (["model", "direction"], false),
        ] {
            let filter = rig::new_filter();
            filter.set_property("model", &single);
            let mut rig = Rig::with_filter(filter.clone());
            rig.set_info(&info());
            assert_eq!(level(&mut rig), 10);
            filter.set_state(state).unwrap();
            if at_once {
                set_together(&filter, names, &pair);
            } else {
                filter.set_property("model", &pair);
                filter.set_property_from_str("direction", "reverse");
            }
            assert_eq!(direction(&filter), "reverse", "{state:?} {names:?}");
            rig::wait_until("F of the pair translates", || level(&mut rig) > 200);
            assert_eq!(direction(&filter), "reverse", "{state:?} {names:?}");
            let warnings = rig::warnings_in(&rig.said());
            assert!(warnings.is_empty(), "{warnings:?}");
        }
    }
}

/// Neither the current model nor one being loaded has the direction, so the current direction stays.
#[test]
fn a_missing_direction_is_reverted() {
    let models = Models::new();
    let [single, _] = single_and_pair(&models);
    let filter = rig::new_filter();
    filter.set_property("model", &single);
    let mut rig = Rig::with_filter(filter.clone());
    rig.set_info(&info());
    filter.set_property_from_str("direction", "reverse");
    assert_eq!(direction(&filter), "forward");
    assert_eq!(level(&mut rig), 10);
    let warnings = rig::warnings_in(&rig.said());
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn a_refused_model_does_not_revert_other_properties() {
    let models = Models::new();
    let [single, _] = single_and_pair(&models);
    let filter = rig::new_filter();
    filter.set_property("model", &single);
    let mut rig = Rig::with_filter(filter.clone());
    rig.set_info(&info());
    filter.set_properties(&[("inference-size", &128i32), ("model", &"/nowhere.onnx")]);
    let mut said = Vec::new();
    rig::wait_until("the model is refused and the size taken", || {
        level(&mut rig);
        said.extend(rig.said());
        !rig::warnings_in(&said).is_empty() && rig.stat::<u32>("height") == 128
    });
    assert_eq!(filter.property::<i32>("inference-size"), 128);
    assert_eq!(filter.property::<String>("model"), single);
    assert_eq!(rig::warnings_in(&said).len(), 1);
}

#[test]
fn going_to_null_does_not_wait_for_a_load() {
    let models = Models::new();
    let identity = models.add("identity.onnx", &generators::identity());
    let slow = models.add("slow.onnx", &generators::slow_invert(60));
    let start = Instant::now();
    drop(Rig::new(&slow));
    let load = start.elapsed();
    let mut rig = Rig::new(&identity);
    rig.set_info(&info());
    level(&mut rig);
    rig.filter.set_property("model", slow.to_str().unwrap());
    std::thread::sleep(load / 10);
    let start = Instant::now();
    rig.filter.set_state(gst::State::Null).unwrap();
    let stop = start.elapsed();
    assert!(stop < (load / 3).max(Duration::from_millis(20)), "{stop:?}, a load takes {load:?}");
}
