// SPDX-License-Identifier: MIT OR Apache-2.0

//! The element's properties.

mod allocation;
mod alpha;
mod buffers;
mod element;
mod launch;
mod model;
mod outlet;
mod report;
mod transform;

use std::{
    iter,
    sync::{LazyLock, Mutex},
};

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::prelude::*;

use super::{
    CAT, Direction, ExecutionProvider, LateFrames, Output, Precision, Regions, Upscale, gl,
    loader::Loader, lock, settings::Settings, state::State,
};

/// The element's private data. Neither lock is taken while the other is held.
#[derive(Default, glib::Properties)]
#[properties(wrapper_type = super::CycleGanFilter)]
pub struct CycleGanFilter {
    #[property(name = "model", type = Option<String>, get, set = Self::set_model, member = model,
        default = Some(Settings::MODEL), mutable_playing, nick = "Model",
        blurb = "The generator: an ONNX file, a folder with G.onnx and F.onnx, or the name of such a \
                 folder on the search path (CYCLEGAN_MODEL_PATH, then the data folders of the user \
                 and of the installation). If set while playing, the model is loaded in the \
                 background")]
    #[property(name = "direction", type = Direction, get, set, member = direction,
        mutable_playing, nick = "Direction",
        blurb = "Which generator of the pair to use. While playing, a change takes effect on the next \
                 frame if that generator is loaded; if not, it is loaded in the background first",
        builder(Direction::default()))]
    #[property(name = "preload", type = bool, get, set, member = preload, default = false,
        mutable_playing, nick = "Preload both directions",
        blurb = "Also load the generator of the other direction, so that the first change of \
                 direction takes effect at once; takes more memory, and more time at startup")]
    #[property(name = "execution-provider", type = ExecutionProvider, get, set,
        member = execution_provider, mutable_ready,
        nick = "Execution provider",
        blurb = "Execution provider of ONNX Runtime. Without allow-fallback, it is an error if the \
                 provider that is set cannot run. auto never selects tensorrt or webgpu",
        builder(ExecutionProvider::default()))]
    #[property(name = "allow-fallback", type = bool, get, set, member = allow_fallback,
        default = false, mutable_ready, nick = "Allow fallback",
        blurb = "If the selected execution provider cannot run, post a warning and use the CPU")]
    #[property(name = "device-id", type = i32, get, set, member = device_id, minimum = 0,
        default = 0, mutable_ready, nick = "Device", blurb = "Number of the GPU to use, from 0")]
    #[property(name = "threads", type = u32, get, set, member = threads, maximum = 1024,
        default = 0, mutable_ready, nick = "Threads",
        blurb = "Number of threads for the generator and for conversion, 0 for one per core")]
    #[property(name = "precision", type = Precision, get, set, member = precision,
        mutable_ready, nick = "Precision",
        blurb = "Which variant of a pair to load; ignored if the model is a single file",
        builder(Precision::default()))]
    #[property(name = "cache-dir", type = Option<String>, get = Self::cache_dir, set,
        member = cache_dir, mutable_ready, doc_show_default, nick = "Cache folder",
        blurb = "Folder for compiled engines; null for one in the user's cache folder")]
    #[property(name = "inference-size", type = i32, get, set, member = inference_size,
        minimum = -1, maximum = 8192, default = 0, mutable_playing, nick = "Inference size",
        blurb = "Short side of the picture that the generator gets, in pixels; 0 for the size that \
                 the model was trained for, -1 for the size of the frame. The aspect ratio of the \
                 frame is kept. Without effect on models with a fixed input size. Filters with the \
                 same model take turns, so a run at a large size delays the others")]
    #[property(name = "upscale", type = Upscale, get, set, member = upscale,
        mutable_playing, nick = "Upscaling",
        blurb = "How to bring the generator's output to the size of the frame",
        builder(Upscale::default()))]
    #[property(name = "strength", type = f64, get, set = Self::set_strength, member = strength,
        minimum = 0.0, maximum = 1.0, default = 1.0, mutable_playing, controllable,
        nick = "Strength",
        blurb = "How much of the translation to mix into the frame; 0 passes frames through unchanged")]
    #[property(name = "smoothing", type = f64, get, set = Self::set_smoothing, member = smoothing,
        minimum = 0.0, maximum = 1.0, default = 0.0, mutable_playing, controllable,
        nick = "Smoothing",
        blurb = "How much of the previous frame's motion-compensated residual to mix in, to reduce \
                 flicker; starts afresh at scene cuts, seeks and gaps, and when upscale changes")]
    #[property(name = "regions", type = Regions, get, set, member = regions,
        mutable_playing, nick = "Regions",
        blurb = "Which part of a frame to translate: all of it, or only the boxes in its \
                 GstVideoRegionOfInterestMeta and the object detections in its \
                 GstAnalyticsRelationMeta, each scaled to the generator's own size. The residual \
                 fades out in a margin around each box. At most the 16 largest boxes are translated",
        builder(Regions::default()))]
    #[property(name = "region-types", type = gst::Array, get = Self::region_types,
        set = Self::set_region_types, element_spec = &*REGION_TYPE, mutable_playing,
        nick = "Region types",
        blurb = "Types of the boxes that regions=meta translates, for example <horse, zebra>; empty for all. \
                 Regions of interest that are hints for encoders are always ignored")]
    #[property(name = "output", type = Output, get, set, member = output, mutable_ready,
        nick = "Output",
        blurb = "What to output: the translated frame, the generator's mask as GRAY8, or the \
                 translated frame with the mask as its alpha. The mask says how much of each pixel \
                 the generator changed; mask and alpha need a generator with an output `mask`. \
                 Frames without alpha are converted to a format with alpha. With regions=meta the mask is 0 outside the boxes",
        builder(Output::default()))]
    #[property(name = "interval", type = u32, get, set, member = interval, minimum = 1, default = 1,
        mutable_playing, nick = "Interval",
        blurb = "Translate every Nth frame, and apply its residual (output minus input of the \
                 generator) to the frames in between. The first frame of a new model, direction or \
                 stream is always translated")]
    #[property(name = "skip-similar", type = f64, get, set = Self::set_skip_similar,
        member = skip_similar, minimum = 0.0, maximum = 255.0, default = 0.0, mutable_playing,
        nick = "Skip similar frames",
        blurb = "Reuse the last residual for frames that differ from the last translated one by less \
                 than this many grey levels, measured as the mean difference of the most different \
                 16×16 block of the generator's input. 0 translates every frame")]
    #[property(name = "late-frames", type = LateFrames, get, set, member = late_frames,
        mutable_playing, nick = "Late frames",
        blurb = "What to do with a frame that is already late when it arrives. In a live pipeline, \
                 set max-in-flight to 2 or more or put a queue after the filter, so that it keeps \
                 working while the sink waits",
        builder(LateFrames::default()))]
    #[property(name = "max-in-flight", type = u32, get, set, member = max_in_flight, minimum = 1,
        maximum = 16, default = 1, mutable_ready, nick = "Frames in flight",
        blurb = "Number of frames to process in parallel: one is in the generator while the next is \
                 converted and the previous one composited. With 1, each frame is finished before \
                 the next is accepted. Each one takes the memory of two tensors and two frames. In \
                 a live pipeline, finished frames also wait for the sink: up to 256 MiB, but at \
                 least 4 frames")]
    #[property(name = "stats-interval", type = u32, get, set, member = stats_interval, default = 0,
        mutable_playing, nick = "Statistics interval",
        blurb = "Interval between element messages with `stats`, in milliseconds; 0 for none")]
    settings: Mutex<Settings>,
    #[property(name = "active-model", type = Option<String>, get = Self::active_model,
        nick = "Active model", blurb = "File of the current generator; null before READY")]
    #[property(name = "active-provider", type = Option<String>, get = Self::active_provider,
        nick = "Active provider",
        blurb = "Execution provider that runs the generator, as verified by ONNX Runtime; null \
                 before READY")]
    state: Mutex<State>,
    loader: Loader,
    contexts: gl::Contexts,
}

#[glib::object_subclass]
impl ObjectSubclass for CycleGanFilter {
    const NAME: &'static str = "GstCycleGanFilter";
    type Type = super::CycleGanFilter;
    type ParentType = gst_video::VideoFilter;
}

/// The derive macro does not support properties of a boxed type.
static STATS: LazyLock<glib::ParamSpec> = LazyLock::new(|| {
    glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
        .nick("Statistics")
        .blurb(
            "Counters since the element started, and times over the last 128 translated frames; the \
             total time is from a frame's arrival until its output is ready, without the wait for room \
             among the frames in flight",
        )
        .read_only()
        .build()
});

impl ObjectImpl for CycleGanFilter {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let derived = CycleGanFilter::derived_properties().iter().cloned();
            derived.chain([STATS.clone()]).collect()
        });
        &PROPERTIES
    }

    fn set_property(&self, id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        // Other elements do the same, for example x265enc.
        let is_fixed = !pspec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING);
        if is_fixed && lock(&self.state).stream.is_some() {
            gst::warning!(
                CAT,
                imp = self,
                "{} can be changed only in NULL and READY, so {value:?} is ignored",
                pspec.name()
            );
            return;
        }
        gst::debug!(CAT, imp = self, "{} = {value:?}", pspec.name());
        self.derived_set_property(id, value, pspec);
    }

    fn property(&self, id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "stats" => lock(&self.state).stats.to_structure().to_value(),
            _ => self.derived_property(id, pspec),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        // The element handles late frames itself, see `late-frames`.
        self.obj().set_qos(false);
        self.explain_interlacing();
    }

    /// Called once for all properties of one `g_object_set`, so that they take effect together.
    fn dispatch_properties_changed(&self, properties: &[glib::ParamSpec]) {
        self.parent_dispatch_properties_changed(properties);
        let has_changed = |names: &[&str]| properties.iter().any(|p| names.contains(&p.name()));
        if has_changed(&["model", "direction", "preload", "inference-size", "regions"]) {
            self.decide();
        }
        if has_changed(&["direction"]) {
            self.obj().notify("active-model");
        }
    }
}

/// An element of `region-types`.
static REGION_TYPE: LazyLock<glib::ParamSpec> = LazyLock::new(|| {
    glib::ParamSpecString::builder("region-type")
        .nick("Type")
        .blurb("Name of a class of a detector, for example horse")
        .build()
});

impl CycleGanFilter {
    fn set_model(&self, model: Option<String>) {
        let mut settings = lock(&self.settings);
        settings.model = model;
        settings.model_serial += 1;
    }

    fn set_strength(&self, strength: f64) {
        lock(&self.settings).strength = if strength.is_nan() { 1.0 } else { strength };
    }

    fn set_smoothing(&self, smoothing: f64) {
        lock(&self.settings).smoothing = if smoothing.is_nan() { 0.0 } else { smoothing };
    }

    fn set_skip_similar(&self, levels: f64) {
        lock(&self.settings).skip_similar = if levels.is_nan() { 0.0 } else { levels };
    }

    fn region_types(&self) -> gst::Array {
        gst::Array::new(lock(&self.settings).region_types.iter())
    }

    fn set_region_types(&self, types: gst::Array) {
        let types = types.iter().filter_map(|name| name.get::<Option<String>>().ok().flatten());
        lock(&self.settings).region_types = types.collect();
    }

    fn cache_dir(&self) -> Option<String> {
        Some(lock(&self.settings).cache_dir())
    }

    fn active_model(&self) -> Option<String> {
        let wanted = lock(&self.settings).direction.to_contract();
        let state = lock(&self.state);
        let negotiated = state.stream.as_ref().and_then(|stream| stream.negotiated.as_ref());
        let direction = negotiated.map_or(wanted, |negotiated| negotiated.direction(wanted));
        let pair = &state.model.running()?.pair;
        let mut directions = iter::once(direction).chain(cyclegan_contract::Direction::BOTH);
        let generator = directions.find_map(|direction| pair.generator(direction))?;
        Some(generator.path().to_string_lossy().into_owned())
    }

    fn active_provider(&self) -> Option<String> {
        let state = lock(&self.state);
        state.model.running().map(|running| running.pair.provider().name().to_owned())
    }
}
