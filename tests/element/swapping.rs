// SPDX-License-Identifier: MIT OR Apache-2.0

//! Setting `model` while frames flow.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use cyclegan_contract::Metadata;
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};

use crate::{
    generators::{self, Models},
    rig::{self, Rig},
    video,
};

/// Number of convolutions, so that the generator takes far longer to load than a frame to translate.
const SLOW: usize = 2;

fn info() -> VideoInfo {
    video::info(VideoFormat::Rgb, 64, 48)
}

/// The output level of a dark frame; an identity generator keeps it dark.
fn grey(rig: &mut Rig) -> u8 {
    video::to_rgb(&rig.translate(video::flat(&info(), [10; 3])), &info())[0][0]
}

fn set_model(element: &gst::Element, model: &Path) {
    element.set_property("model", model.to_str().unwrap());
}

fn playing(model: &Path) -> Rig {
    let mut rig = Rig::new(model);
    rig.set_info(&info());
    rig
}

/// The old model translates frames while the new one loads, and does not return after the new one takes
/// over.
#[test]
fn no_frame_waits_for_the_load() {
    let models = Models::new();
    let mut rig = playing(&models.add("identity.onnx", &generators::identity()));
    assert_eq!(grey(&mut rig), 10);
    set_model(&rig.filter, &models.add("slow.onnx", &generators::slow_invert(SLOW)));
    assert_eq!(grey(&mut rig), 10, "the first frame after the change waited for the load");
    let mut frames = 0;
    rig::wait_until("the new model takes over", || {
        frames += 1;
        let grey = grey(&mut rig);
        assert!(grey == 10 || grey.abs_diff(245) <= 1, "{grey} is neither model's");
        grey != 10
    });
    assert!(frames > 1, "no frame passed while the model was loading");
    assert!(grey(&mut rig).abs_diff(245) <= 1, "the old model came back");
    assert!(rig::errors_in(&rig.said()).is_empty());
}

/// Sets ten models in a live pipeline. All frames come out, with increasing timestamps.
#[test]
fn no_frame_is_lost_or_repeated() {
    let models = Models::new();
    let [identity, invert] = [
        models.add("identity.onnx", &generators::identity()),
        models.add("invert.onnx", &generators::invert()),
    ];
    let pipeline = rig::pipeline(
        "videotestsrc is-live=true pattern=black ! \
         video/x-raw,format=RGB,width=64,height=48,framerate=100/1 ! \
         cycleganfilter name=filter {model} ! fakesink sync=false",
        &identity,
    );
    let filter = pipeline.by_name("filter").unwrap();
    let came_in = times(&filter.static_pad("sink").unwrap());
    let went_out = times(&filter.static_pad("src").unwrap());
    pipeline.set_state(gst::State::Playing).unwrap();
    for model in [&invert, &identity].into_iter().cycle().take(10) {
        set_model(&filter, model);
        rig::wait_until("the new model takes over", || {
            let stats = filter.property::<gst::Structure>("stats");
            stats.get::<&str>("model") == Ok(model.to_str().unwrap())
        });
    }
    assert!(filter.send_event(gst::event::Eos::new()));
    pipeline.set_state(gst::State::Null).unwrap();

    let (came_in, went_out) = (came_in.lock().unwrap(), went_out.lock().unwrap());
    assert!(went_out.len() >= 10 && came_in.len() - went_out.len() <= 1);
    assert_eq!(came_in[..went_out.len()], went_out[..]);
    assert!(went_out.is_sorted_by(|earlier, later| earlier < later));
    let messages = rig::said(&pipeline.bus().unwrap());
    assert!(rig::errors_in(&messages).is_empty() && rig::warnings_in(&messages).is_empty());
}

/// The times of the buffers that pass `pad`.
fn times(pad: &gst::Pad) -> Arc<Mutex<Vec<gst::ClockTime>>> {
    let times = Arc::new(Mutex::new(Vec::new()));
    let seen = times.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        seen.lock().unwrap().push(probe.buffer().unwrap().pts().unwrap());
        gst::PadProbeReturn::Ok
    });
    times
}

#[test]
fn the_last_of_several_quick_changes_wins() {
    let models = Models::new();
    let mut rig = playing(&models.add("identity.onnx", &generators::identity()));
    let slow = models.add("slow.onnx", &generators::slow_invert(SLOW));
    let white = models.add("white.onnx", &generators::linear(0.0, 1.0));
    set_model(&rig.filter, &slow);
    // Long enough for the first load to start, far too short for it to end.
    std::thread::sleep(std::time::Duration::from_millis(50));
    for model in [&white, &slow, &white, &slow, &white] {
        set_model(&rig.filter, model);
    }
    rig::wait_until("the last model takes over", || grey(&mut rig) == 255);
    for _ in 0..20 {
        assert_eq!(grey(&mut rig), 255);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(rig.filter.property::<String>("model"), white.to_str().unwrap());
}

#[test]
fn a_model_set_before_playing_is_the_one_that_plays() {
    let models = Models::new();
    let identity = models.add("identity.onnx", &generators::identity());
    let invert = models.add("invert.onnx", &generators::invert());
    for state in [gst::State::Null, gst::State::Ready] {
        let filter = rig::new_filter();
        set_model(&filter, &identity);
        filter.set_state(state).unwrap();
        set_model(&filter, &invert);
        let mut rig = Rig::with_filter(filter);
        rig.set_info(&info());
        rig::wait_until("the model plays", || grey(&mut rig).abs_diff(245) <= 1);
    }
}

#[test]
fn a_model_set_while_paused_takes_over() {
    let models = Models::new();
    let invert = models.add("invert.onnx", &generators::invert());
    let pipeline = rig::pipeline(
        "videotestsrc ! video/x-raw,format=RGB,width=64,height=48 ! \
         cycleganfilter name=filter {model} ! fakesink",
        &models.add("identity.onnx", &generators::identity()),
    );
    let filter = pipeline.by_name("filter").unwrap();
    pipeline.set_state(gst::State::Paused).unwrap();
    pipeline.state(gst::ClockTime::from_seconds(60)).0.unwrap();
    set_model(&filter, &invert);
    pipeline.set_state(gst::State::Playing).unwrap();
    rig::wait_until("the new model takes over", || {
        let stats = filter.property::<gst::Structure>("stats");
        stats.get::<&str>("model") == Ok(invert.to_str().unwrap())
    });
    pipeline.set_state(gst::State::Null).unwrap();
}

/// A value that was refused while playing is not used again with the next caps.
#[test]
fn a_size_that_the_model_fails_at_is_reverted() {
    let models = Models::new();
    let small = Metadata { size: Some(32), ..Metadata::default() };
    let only = generators::with_metadata(generators::identity_at(32), &small);
    let square = |format| video::info(format, 64, 64);
    let mut rig = Rig::new(&models.add("only.onnx", &only));
    rig.set_info(&square(VideoFormat::Rgb));
    rig.filter.set_property("inference-size", 48);
    let mut said = Vec::new();
    rig::wait_until("the size is refused", || {
        said.extend(rig.said());
        !rig::warnings_in(&said).is_empty()
    });
    assert_eq!(rig.filter.property::<i32>("inference-size"), 0);
    rig.set_info(&square(VideoFormat::Bgr));
    rig.translate(video::flat(&square(VideoFormat::Bgr), [10; 3]));
    assert!(rig::errors_in(&rig.said()).is_empty());
}

/// The size changes while new weights load from the same path.
#[test]
fn a_reload_is_not_replaced_by_the_running_model() {
    let models = Models::new();
    let model = models.add("model.onnx", &generators::identity());
    let mut rig = playing(&model);
    assert_eq!(grey(&mut rig), 10);
    models.add("model.onnx", &generators::slow_invert(SLOW));
    set_model(&rig.filter, &model);
    rig.filter.set_property("inference-size", 32);
    rig::wait_until("the new weights take over", || grey(&mut rig) > 200);
    // The same when the new weights are loaded and wait for the next frame.
    models.add("model.onnx", &generators::identity());
    set_model(&rig.filter, &model);
    let mut said = rig.said();
    rig::wait_until("the old weights are ready", || {
        said.extend(rig.said());
        said.iter().any(|message| match message.view() {
            gst::MessageView::Progress(progress) => {
                progress.get().2.contains("takes over with the next")
            }
            _ => false,
        })
    });
    rig.filter.set_property("inference-size", 48);
    rig::wait_until("the old weights take over", || grey(&mut rig) == 10);
}

/// The caps change before the new model, prepared for the old caps, is ready.
#[test]
fn caps_can_change_during_a_load() {
    let models = Models::new();
    let mut rig = playing(&models.add("identity.onnx", &generators::identity()));
    set_model(&rig.filter, &models.add("slow.onnx", &generators::slow_invert(SLOW)));
    let wide = video::info(VideoFormat::I420, 96, 32);
    rig.set_info(&wide);
    rig::wait_until("the new model takes over", || {
        let output = rig.translate(video::flat(&wide, [10; 3]));
        video::to_rgb(&output, &wide)[0][0] > 200
    });
}

#[test]
fn stopping_during_a_load_does_not_hang() {
    let models = Models::new();
    let identity = models.add("identity.onnx", &generators::identity());
    let slow = models.add("slow.onnx", &generators::slow_invert(SLOW));
    for _ in 0..3 {
        let mut rig = playing(&identity);
        assert_eq!(grey(&mut rig), 10);
        set_model(&rig.filter, &slow);
        rig.filter.set_state(gst::State::Null).unwrap();
        // The load is dropped; the model that is set plays next.
        set_model(&rig.filter, &identity);
        rig.filter.set_state(gst::State::Ready).unwrap();
    }
}
