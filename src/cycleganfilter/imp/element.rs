// SPDX-License-Identifier: MIT OR Apache-2.0

//! The virtual methods of GstElement: pad templates and state changes.

use std::{iter, sync::LazyLock};

use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_video::{
    CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION, VideoFormat, VideoFormatInfo, VideoInfo,
    VideoInterlaceMode,
};

use super::CycleGanFilter;
use crate::cycleganfilter::{gl, lock};

/// Every format that GStreamer can unpack.
pub(super) fn formats() -> impl Iterator<Item = VideoFormat> {
    VideoFormat::iter_raw().filter(|format| {
        VideoFormatInfo::from_format(*format).unpack_format() != VideoFormat::Unknown
    })
}

impl GstObjectImpl for CycleGanFilter {}

impl ElementImpl for CycleGanFilter {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "CycleGAN filter",
                "Filter/Effect/Video",
                "Translates video from one domain to another, for example horses to zebras",
                "The cycleganfilter developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let mut caps = gst_video::VideoCapsBuilder::new()
                .format_list(formats())
                .field("interlace-mode", VideoInterlaceMode::Progressive.to_str())
                .build();
            // Overlays pass through and are drawn on the translated frame.
            let mut with_overlays = caps.clone();
            with_overlays.make_mut().set_features_simple(Some(gst::CapsFeatures::new([
                gst::CAPS_FEATURE_MEMORY_SYSTEM_MEMORY.as_str(),
                CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION.as_str(),
            ])));
            caps.make_mut().append(with_overlays);
            let caps: gst::Caps = [Some(caps), gl::caps()].into_iter().flatten().collect();
            [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)]
                .into_iter()
                .filter_map(|(name, direction)| {
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).ok()
                })
                .collect()
        });
        &TEMPLATES
    }

    fn set_context(&self, context: &gst::Context) {
        self.contexts.set_context(&*self.obj(), context);
        self.parent_set_context(context);
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::NullToReady | gst::StateChange::ReadyToPaused => {
                self.load_what_is_set().map_err(|error| {
                    self.post_load_error(&error);
                    gst::StateChangeError
                })?;
                if transition == gst::StateChange::ReadyToPaused {
                    self.check_downstream()?;
                }
            }
            gst::StateChange::PausedToReady => {
                // Downstream no longer accepts frames, so drop those in flight.
                if let Some(queue) = self.queue() {
                    self.flush(&queue);
                }
                if let Some(stream) = &lock(&self.state).stream {
                    stream.stop.set();
                }
            }
            _ => {}
        }
        let success = self.parent_change_state(transition)?;
        match transition {
            gst::StateChange::PausedToReady => self.cancel_requests(),
            gst::StateChange::ReadyToNull => {
                self.unload();
                self.contexts.release();
            }
            _ => {}
        }
        Ok(success)
    }
}

impl CycleGanFilter {
    /// Posts an error that says what to do if upstream sends interlaced caps, which the pad
    /// template excludes.
    pub(super) fn explain_interlacing(&self) {
        let element = self.obj().downgrade();
        self.obj().sink_pad().add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, probe| {
            if let Some(gst::EventView::Caps(caps)) = probe.event().map(|event| event.view())
                && let Ok(info) = VideoInfo::from_caps(caps.caps())
                && let Some(element) = element.upgrade()
            {
                element.imp().refuse_interlaced(&info);
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// The same if upstream only asks for interlaced caps while an interlaced stream arrives: converters
    /// send no caps that downstream does not accept. What can also make progressive frames asks for both.
    pub(super) fn explain_refused_query(&self, query: &gst::query::Caps) {
        if query.filter().is_some_and(is_interlaced_only) {
            let arriving = formats_upstream(self.obj().sink_pad()).find(VideoInfo::is_interlaced);
            if let Some(info) = arriving {
                self.refuse_interlaced(&info);
            }
        }
    }

    fn refuse_interlaced(&self, info: &VideoInfo) {
        if info.is_interlaced() {
            let reason = format!(
                "Interlaced video ({}) is not supported, expected progressive; put `deinterlace` before \
                 cycleganfilter",
                info.interlace_mode().to_str()
            );
            self.refuse_frames(info, gst::CoreError::Negotiation, &reason);
        }
    }
}

/// The formats of raw video upstream of `sink`, the nearest first. Those near by may be of an earlier stream.
fn formats_upstream(sink: &gst::Pad) -> impl Iterator<Item = VideoInfo> {
    let pads = iter::successors(sink.peer(), |pad| {
        let inside = pad.iterate_internal_links().next().ok().flatten();
        inside?.peer()
    });
    let caps = pads.filter_map(|pad| pad.current_caps());
    caps.map_while(|caps| VideoInfo::from_caps(&caps).ok())
}

/// Whether caps allow frames, but only interlaced ones.
fn is_interlaced_only(caps: &gst::CapsRef) -> bool {
    let progressive = VideoInterlaceMode::Progressive.to_str();
    let progressive = gst::Structure::builder("video/x-raw").field("interlace-mode", progressive);
    let progressive = progressive.build();
    let is_interlaced = |structure: &gst::StructureRef| {
        structure.has_field("interlace-mode") && !structure.can_intersect(&progressive)
    };
    !caps.is_any() && !caps.is_empty() && caps.iter().all(is_interlaced)
}
