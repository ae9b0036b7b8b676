// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reads the boxes in a frame's metadata.

use std::ffi::CStr;

use cyclegan_frame::Bounds;
use gst::glib;
use gst_video::VideoRegionOfInterestMeta;

/// Structures whose name starts with this are hints for encoders.
const ENCODER_HINT: &str = "roi/";

/// Reads the boxes of each frame. Keeps its memory, so that frames allocate nothing.
#[derive(Default)]
pub struct Boxes(Vec<Bounds>);

impl Boxes {
    /// The boxes of `buffer` whose type is in `types`, or all if that is empty.
    pub fn of(
        &mut self,
        buffer: &gst::BufferRef,
        types: &[String],
    ) -> impl Iterator<Item = Bounds> {
        let is_wanted = |name: &str| types.is_empty() || types.iter().any(|wanted| wanted == name);
        self.0.clear();
        let regions = buffer.iter_meta::<VideoRegionOfInterestMeta>();
        let regions = regions.filter(|meta| is_wanted(roi_type(meta)) && !is_encoder_hint(meta));
        self.0.extend(regions.map(|meta| Bounds::from(meta.rect())));
        #[cfg(feature = "analytics")]
        for meta in buffer.iter_meta::<gst_analytics::AnalyticsRelationMeta>() {
            self.0.extend(detections(&meta, &is_wanted));
        }
        self.0.iter().copied()
    }
}

/// The type of the box in `meta`; empty if it has none, or one that is not UTF-8. The binding requires
/// both.
fn roi_type(meta: &gst::MetaRef<'_, VideoRegionOfInterestMeta>) -> &'static str {
    // SAFETY: the reference keeps the meta valid.
    let quark = unsafe { (*meta.as_ptr()).roi_type };
    // SAFETY: takes any number, and returns null for those that are no quark.
    let name = unsafe { glib::ffi::g_quark_to_string(quark) };
    if name.is_null() {
        return "";
    }
    // SAFETY: the string of a quark ends with NUL and is never freed.
    unsafe { CStr::from_ptr(name) }.to_str().unwrap_or_default()
}

fn is_encoder_hint(meta: &gst::MetaRef<'_, VideoRegionOfInterestMeta>) -> bool {
    let is_hint = |name: &str| name.starts_with(ENCODER_HINT);
    is_hint(roi_type(meta)) || meta.params().any(|structure| is_hint(structure.name()))
}

/// The object detections in `meta` whose type `is_wanted`, except those whose track is lost, as
/// they show where the object was.
#[cfg(feature = "analytics")]
fn detections<'a>(
    meta: &'a gst::MetaRef<'a, gst_analytics::AnalyticsRelationMeta>,
    is_wanted: &'a impl Fn(&str) -> bool,
) -> impl Iterator<Item = Bounds> + 'a {
    use gst_analytics::{AnalyticsMetaRefExt, AnalyticsODMtd, AnalyticsTrackingMtd, RelTypes};

    let is_related = |a: u32, b: u32| {
        meta.relation(a, b) != RelTypes::NONE || meta.relation(b, a) != RelTypes::NONE
    };
    let is_lost = move |id: u32| {
        let mut tracks = meta.iter::<AnalyticsTrackingMtd>();
        tracks.any(|track| track.info().3 && is_related(id, track.id()))
    };
    meta.iter::<AnalyticsODMtd>().filter_map(move |object| {
        let is_wanted = match object.obj_type() {
            Some(name) => is_wanted(name.as_str()),
            None => is_wanted(""),
        };
        let location = object.location().ok().filter(|_| is_wanted && !is_lost(object.id()))?;
        Some(Bounds {
            x: location.x.into(),
            y: location.y.into(),
            width: u32::try_from(location.w).unwrap_or(0),
            height: u32::try_from(location.h).unwrap_or(0),
        })
    })
}
