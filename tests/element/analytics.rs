// SPDX-License-Identifier: MIT OR Apache-2.0

//! Boxes of `GstAnalyticsRelationMeta`, as detectors of GStreamer 1.24 or later write them.

use gst::{glib::Quark, prelude::*};
use gst_analytics::{
    AnalyticsMetaRefExt, AnalyticsMetaRefMutExt, AnalyticsODMtd, AnalyticsRelationMeta,
    AnalyticsRelationMetaODExt, AnalyticsRelationMetaTrackingExt, AnalyticsTrackingMtd, RelTypes,
};
use gst_video::{VideoFormat, VideoInfo, VideoRegionOfInterestMeta};

use crate::{
    generators::{self, Models},
    rig::{self, Rig},
    video,
};

/// Left, top, width, height.
type Rectangle = (i32, i32, i32, i32);

const BOX: Rectangle = (40, 30, 48, 40);
/// A box far from the first.
const OTHER: Rectangle = (400, 30, 48, 40);

fn info() -> VideoInfo {
    video::info(VideoFormat::Rgb, 640, 120)
}

/// An element with the inverting generator and `regions=meta`.
fn rig(properties: &[(&str, &str)]) -> (Models, Rig) {
    let models = Models::new();
    let filter = rig::new_filter();
    filter.set_property("model", models.add("G.onnx", &generators::invert()).to_str());
    filter.set_property_from_str("regions", "meta");
    for (name, value) in properties {
        filter.set_property_from_str(name, value);
    }
    let mut rig = Rig::with_filter(filter);
    rig.set_info(&info());
    (models, rig)
}

/// A frame of one grey level with `detections`, as a detector attaches them.
fn detected(objects: &[(&str, Rectangle)]) -> gst::Buffer {
    let mut buffer = video::flat(&info(), [100; 3]);
    let mut meta = AnalyticsRelationMeta::add(buffer.make_mut());
    for (name, (x, y, width, height)) in objects {
        meta.add_od_mtd(Quark::from_str(*name), *x, *y, *width, *height, 0.9).unwrap();
    }
    buffer
}

/// Whether the middle of a rectangle is translated.
fn is_translated(buffer: &gst::Buffer, (x, y, width, height): Rectangle) -> bool {
    let place = (y + height / 2) as u32 * info().width() + (x + width / 2) as u32;
    match video::to_rgb(buffer, &info())[place as usize] {
        [155, 155, 155] => true,
        [100, 100, 100] => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_detection_is_translated_like_a_region_of_interest() {
    let (_models, mut rig) = rig(&[]);
    let from_detection = rig.translate(detected(&[("horse", BOX), ("horse", OTHER)]));
    assert!(is_translated(&from_detection, BOX) && is_translated(&from_detection, OTHER));
    assert!(!is_translated(&from_detection, (200, 30, 48, 40)));
    let mut regions = video::flat(&info(), [100; 3]);
    for (x, y, width, height) in [BOX, OTHER] {
        let rectangle = (x as u32, y as u32, width as u32, height as u32);
        VideoRegionOfInterestMeta::add(regions.make_mut(), "horse", rectangle);
    }
    let from_regions = rig.translate(regions);
    let bytes = |buffer: &gst::Buffer| buffer.map_readable().unwrap().to_vec();
    assert!(bytes(&from_detection) == bytes(&from_regions));
}

#[test]
fn both_kinds_of_meta_are_read() {
    let (_models, mut rig) = rig(&[]);
    let mut frame = detected(&[("horse", BOX)]);
    VideoRegionOfInterestMeta::add(frame.make_mut(), "horse", (400, 30, 48, 40));
    let output = rig.translate(frame);
    assert!(is_translated(&output, BOX) && is_translated(&output, OTHER));
    // Boxes of the same object are merged.
    let once = rig.translate(detected(&[("horse", BOX)]));
    let mut frame = detected(&[("horse", BOX)]);
    VideoRegionOfInterestMeta::add(frame.make_mut(), "horse", (40, 30, 48, 40));
    let twice = rig.translate(frame);
    let bytes = |buffer: &gst::Buffer| buffer.map_readable().unwrap().to_vec();
    assert!(bytes(&once) == bytes(&twice));
}

#[test]
fn the_types_of_detections_can_be_chosen() {
    for (types, expected) in [
        ("<>", [true, true]),
        ("<zebra>", [false, true]),
        ("<dog, horse>", [true, false]),
        ("<dog>", [false, false]),
    ] {
        let (_models, mut rig) = rig(&[("region-types", types)]);
        let output = rig.translate(detected(&[("horse", BOX), ("zebra", OTHER)]));
        let found = [BOX, OTHER].map(|rectangle| is_translated(&output, rectangle));
        assert_eq!(found, expected, "{types}");
    }
}

/// A tracker relates its tracks to detections. The detection of a lost track is the last known position.
#[test]
fn a_detection_whose_track_is_lost_is_ignored() {
    let (_models, mut rig) = rig(&[]);
    for is_from_track in [false, true] {
        let mut frame = video::flat(&info(), [100; 3]);
        let mut meta = AnalyticsRelationMeta::add(frame.make_mut());
        let mut last = 0;
        for (id, (x, y, width, height)) in (0..).zip([BOX, OTHER]) {
            let horse = Quark::from_str("horse");
            let object = meta.add_od_mtd(horse, x, y, width, height, 0.9).unwrap().id();
            let track = meta.add_tracking_mtd(id, gst::ClockTime::ZERO).unwrap().id();
            let (first, second) = if is_from_track { (track, object) } else { (object, track) };
            meta.set_relation(RelTypes::RELATE_TO, first, second).unwrap();
            last = track;
        }
        meta.mtd_mut::<AnalyticsTrackingMtd>(last).unwrap().set_lost().unwrap();
        let output = rig.translate(frame);
        assert!(is_translated(&output, BOX), "{is_from_track}");
        assert!(!is_translated(&output, OTHER), "{is_from_track}");
    }
}

#[test]
fn boxes_are_clipped_to_the_frame_and_empty_ones_ignored() {
    let (_models, mut rig) = rig(&[]);
    let output = rig.translate(detected(&[("horse", (-20, -10, 60, 80))]));
    assert!(is_translated(&output, (0, 0, 40, 70)));
    for rectangle in [(40, 30, 0, 40), (40, 30, -48, 40), (i32::MAX, 0, 9, 9), (700, 0, 48, 40)] {
        let output = rig.translate(detected(&[("horse", rectangle)]));
        assert!(!is_translated(&output, BOX), "{rectangle:?}");
    }
    assert_eq!(rig.stat::<u64>("frames-passed"), 4);
}

#[test]
fn the_detections_are_kept() {
    let (_models, mut rig) = rig(&[]);
    let output = rig.translate(detected(&[("horse", BOX)]));
    let meta = output.meta::<AnalyticsRelationMeta>().expect("no detections");
    let object = meta.iter::<AnalyticsODMtd>().next().unwrap();
    let location = object.location().unwrap();
    assert_eq!((location.x, location.y, location.w, location.h), BOX);
    assert_eq!(object.obj_type(), Some(Quark::from_str("horse")));
}
