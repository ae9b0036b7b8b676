// SPDX-License-Identifier: MIT OR Apache-2.0

//! Loading and warm-up before the first frame, so that the first frame is as fast as later ones.

use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_video::VideoFormat;

use crate::{
    generators::{self, Models},
    rig::{self, Rig},
    video,
};

/// Type and code of each PROGRESS message of the filter, and its text.
fn progress(messages: &[gst::Message]) -> Vec<(String, String)> {
    let of = messages.iter().filter_map(|message| match message.view() {
        gst::MessageView::Progress(progress) => {
            let (kind, code, text) = progress.get();
            Some((format!("{code} {kind:?}").to_lowercase(), text.to_owned()))
        }
        _ => None,
    });
    of.collect()
}

fn kinds(progress: &[(String, String)]) -> Vec<&str> {
    progress.iter().map(|(kind, _)| kind.as_str()).collect()
}

#[test]
fn loading_and_warm_up_post_progress() {
    let models = Models::new();
    let pair = models.add_pair("pair", &generators::invert(), &generators::identity());
    let filter = rig::new_filter();
    filter.set_property("model", pair.to_str().unwrap());
    let bus = gst::Bus::new();
    filter.set_bus(Some(&bus));
    filter.set_state(gst::State::Ready).unwrap();
    let told = progress(&rig::said(&bus));
    assert_eq!(kinds(&told), ["load start", "load complete"]);
    assert!(told[0].1.contains("pair") && told[1].1.contains("cpu"), "{told:?}");

    let mut rig = Rig::with_filter(filter);
    let info = video::info(VideoFormat::I420, 64, 48);
    rig.set_info(&info);
    let told = progress(&rig.said());
    assert_eq!(kinds(&told), ["warm-up start", "warm-up continue", "warm-up complete"]);
    assert!(told[2].1.contains("64×48"), "{told:?}");
}

#[test]
fn caps_that_need_no_warm_up_post_no_progress() {
    let models = Models::new();
    let mut rig = Rig::new(&models.add("identity.onnx", &generators::identity()));
    let info = video::info(VideoFormat::I420, 64, 48);
    rig.set_info(&info);
    assert_eq!(kinds(&progress(&rig.said())).len(), 5);
    let mut caps = info.to_caps().unwrap();
    caps.make_mut().set("view", 1);
    rig.harness.set_src_caps(caps);
    assert_eq!(kinds(&progress(&rig.said())), [""; 0]);
    rig.set_info(&video::info(VideoFormat::I420, 96, 48));
    assert_eq!(kinds(&progress(&rig.said())).len(), 3);
}

#[test]
fn preloading_warms_up_both_directions() {
    let models = Models::new();
    let pair = models.add_pair("pair", &generators::invert(), &generators::identity());
    let filter = rig::new_filter();
    filter.set_property("model", pair.to_str().unwrap());
    filter.set_property("preload", true);
    let mut rig = Rig::with_filter(filter);
    rig.said();
    rig.set_info(&video::info(VideoFormat::I420, 64, 48));
    let expected = ["warm-up start", "warm-up continue", "warm-up continue", "warm-up complete"];
    assert_eq!(kinds(&progress(&rig.said())), expected);
}

#[test]
fn a_model_set_while_playing_posts_progress() {
    let models = Models::new();
    let mut rig = Rig::new(&models.add("identity.onnx", &generators::identity()));
    rig.set_info(&video::info(VideoFormat::I420, 64, 48));
    rig.said();
    let mut told = Vec::new();
    let mut swap = |model: &str, last: &str| {
        told.clear();
        rig.filter.set_property("model", model);
        rig::wait_until(last, || {
            told.extend(progress(&rig.said()));
            told.last().is_some_and(|(kind, _)| kind == last)
        });
        told.iter().map(|(kind, _)| kind.clone()).collect::<Vec<_>>()
    };
    let invert = models.add("invert.onnx", &generators::invert());
    let expected = ["load start", "load continue", "load complete"];
    assert_eq!(swap(invert.to_str().unwrap(), "load complete"), expected);
    assert_eq!(swap("/nowhere.onnx", "load error"), ["load start", "load error"]);
}

#[test]
fn a_failed_load_posts_progress_error() {
    let filter = rig::new_filter();
    filter.set_property("model", "/nowhere.onnx");
    let bus = gst::Bus::new();
    filter.set_bus(Some(&bus));
    assert!(filter.set_state(gst::State::Ready).is_err());
    assert_eq!(kinds(&progress(&rig::said(&bus))), ["load start", "load error"]);
    filter.set_state(gst::State::Null).unwrap();
}

/// Takes the best of five elements, since other processes may delay the first frame of some.
#[test]
fn the_first_frame_is_as_fast_as_the_hundredth() {
    let models = Models::new();
    let model = models.add("slow.onnx", &generators::slow_invert(1));
    let info = video::info(VideoFormat::I420, 320, 240);
    let ratios = (0..5).map(|_| {
        let filter = rig::new_filter();
        filter.set_property("model", model.to_str().unwrap());
        filter.set_property("inference-size", 64);
        let mut rig = Rig::with_filter(filter);
        rig.set_info(&info);
        let mut times: Vec<Duration> = (0..100)
            .map(|seed| {
                let frame = video::random(&info, seed);
                let start = Instant::now();
                rig.translate(frame);
                start.elapsed()
            })
            .collect();
        let first = times[0];
        times[50..].sort_unstable();
        first.as_secs_f64() / times[75].as_secs_f64()
    });
    let ratios: Vec<_> = ratios.collect();
    let best = ratios.iter().copied().fold(f64::MAX, f64::min);
    assert!(best < 1.5, "the first frame takes {ratios:.1?} times as long as later ones");
}

/// A session that was warmed up by another element or for earlier caps is not warmed up again.
#[test]
fn a_session_is_warmed_up_once_per_size() {
    let models = Models::new();
    let model = models.add("slow.onnx", &generators::slow_invert(6));
    let warm_up = |rig: &mut Rig, format| {
        let start = Instant::now();
        rig.set_info(&video::info(format, 320, 240));
        start.elapsed()
    };
    let [mut first, mut second] = [Rig::new(&model), Rig::new(&model)];
    let cold = warm_up(&mut first, VideoFormat::I420);
    for warm in [warm_up(&mut second, VideoFormat::I420), warm_up(&mut first, VideoFormat::Rgb)] {
        assert!(warm < cold / 3, "{warm:?} where the first time took {cold:?}");
    }
}
