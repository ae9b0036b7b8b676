// SPDX-License-Identifier: MIT OR Apache-2.0

//! The element as GObject sees it: its properties.

mod allocation;
mod element;
mod launch;
mod model;
mod outlet;
mod report;
mod transform;

use std::sync::{LazyLock, Mutex};

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::prelude::*;

use super::{
    Direction, ExecutionProvider, LateFrames, Output, Precision, Regions, Upscale, gl,
    loader::Loader, lock, settings::Settings, state::State,
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "cycleganfilter",
        gst::DebugColorFlags::empty(),
        Some("CycleGAN picture translation"),
    )
});

/// The element's private side. Neither lock is taken while the other is held.
#[derive(Default, glib::Properties)]
#[properties(wrapper_type = super::CycleGanFilter)]
pub struct CycleGanFilter {
    #[property(name = "model", type = Option<String>, get, set = Self::set_model, member = model,
        default = Some(Settings::MODEL), mutable_playing, nick = "Model",
        blurb = "The generator: an ONNX file, a folder with G.onnx and F.onnx, or the name of such a \
                 folder on the search path (CYCLEGAN_MODEL_PATH, the user's data folder, the \
                 install's data folder). While playing a new one is loaded in the background")]
    #[property(name = "direction", type = Direction, get, set, member = direction,
        mutable_playing, nick = "Direction",
        blurb = "Which generator of the pair translates. One that is prepared takes over with the \
                 next frame, else it is prepared in the background first",
        builder(Direction::default()))]
    #[property(name = "preload", type = bool, get, set, member = preload, default = false,
        mutable_playing, nick = "Preload both directions",
        blurb = "Prepare the generator of the other direction as well, so that the first change of \
                 direction needs no time either; takes its memory and time at the start")]
    #[property(name = "execution-provider", type = ExecutionProvider, get, set,
        member = execution_provider, mutable_ready,
        nick = "Execution provider",
        blurb = "What ONNX Runtime runs the generator on. auto takes the first that really works; \
                 one that is named either works or is an error",
        builder(ExecutionProvider::default()))]
    #[property(name = "allow-fallback", type = bool, get, set, member = allow_fallback,
        default = false, mutable_ready, nick = "Allow fallback",
        blurb = "Let the CPU step in, with a warning, for a named provider that cannot run")]
    #[property(name = "device-id", type = i32, get, set, member = device_id, minimum = 0,
        default = 0, mutable_ready, nick = "Device", blurb = "Which GPU, where there are several")]
    #[property(name = "threads", type = u32, get, set, member = threads, maximum = 1024,
        default = 0, mutable_ready, nick = "Threads",
        blurb = "Threads for the generator and for conversion, 0 for as many as there are cores")]
    #[property(name = "precision", type = Precision, get, set, member = precision,
        mutable_ready, nick = "Precision",
        blurb = "Which variant of a pair is loaded; a single file is taken as it is",
        builder(Precision::default()))]
    #[property(name = "cache-dir", type = Option<String>, get = Self::cache_dir, set,
        member = cache_dir, mutable_ready, nick = "Cache folder",
        blurb = "Where compiled engines are kept; null for the user's cache folder")]
    #[property(name = "inference-size", type = i32, get, set, member = inference_size,
        minimum = -1, maximum = 8192, default = 0, mutable_playing, nick = "Inference size",
        blurb = "Short side of the picture that the generator sees, in pixels, the frame's aspect \
                 kept; 0 for the model's own, -1 for the frame's. Models of a fixed size keep it")]
    #[property(name = "upscale", type = Upscale, get, set, member = upscale,
        mutable_playing, nick = "Upscaling",
        blurb = "How the generator's picture is brought to the frame's size",
        builder(Upscale::default()))]
    #[property(name = "strength", type = f64, get, set = Self::set_strength, member = strength,
        minimum = 0.0, maximum = 1.0, default = 1.0, mutable_playing, controllable,
        nick = "Strength",
        blurb = "How much of the translation is mixed in: 0 passes the input, untouched")]
    #[property(name = "smoothing", type = f64, get, set = Self::set_smoothing, member = smoothing,
        minimum = 0.0, maximum = 1.0, default = 0.0, mutable_playing, controllable,
        nick = "Smoothing",
        blurb = "How much of the last frame's residual is mixed in, moved along with the picture, \
                 against flicker; starts over at scene cuts, seeks and gaps")]
    #[property(name = "regions", type = Regions, get, set, member = regions,
        mutable_playing, nick = "Regions",
        blurb = "What of a frame is translated: all of it, or only the boxes that its \
                 GstVideoRegionOfInterestMeta and the object detections of its \
                 GstAnalyticsRelationMeta name, each at the generator's own size. Beyond a quarter \
                 of a box's size around it nothing is touched. The 16 largest are translated",
        builder(Regions::default()))]
    #[property(name = "region-types", type = gst::Array, get = Self::region_types,
        set = Self::set_region_types, element_spec = &*REGION_TYPE, mutable_playing,
        nick = "Types of regions",
        blurb = "Which boxes regions=meta translates, by the names that detectors give to what they \
                 find; empty for all. Regions of interest that are hints for encoders never count")]
    #[property(name = "output", type = Output, get, set, member = output, mutable_ready,
        nick = "Output",
        blurb = "What goes out: the translated frame, or how much of each pixel the generator has \
                 repainted, as GRAY8 frames or as the alpha of the translated ones. The mask is one of \
                 the whole frame, for generators that have an output `mask`",
        builder(Output::default()))]
    #[property(name = "interval", type = u32, get, set, member = interval, minimum = 1, default = 1,
        mutable_playing, nick = "Interval",
        blurb = "Translate one of this many frames; those in between take its residual. A new \
                 model, direction or stream is translated at once")]
    #[property(name = "skip-similar", type = f64, get, set = Self::set_skip_similar,
        member = skip_similar, minimum = 0.0, maximum = 255.0, default = 0.0, mutable_playing,
        nick = "Skip similar frames",
        blurb = "A frame that differs from the last translated one by less than this takes its \
                 residual: the mean difference, in grey levels, of that block of 16×16 pixels of the \
                 generator's picture that differs most. 0 translates all")]
    #[property(name = "late-frames", type = LateFrames, get, set, member = late_frames,
        mutable_playing, nick = "Late frames",
        blurb = "What happens to a frame that is too late already when it comes in. In a live \
                 pipeline set max-in-flight to 2 or more, or put a queue behind the filter, so \
                 that sinks do not hold it up",
        builder(LateFrames::default()))]
    #[property(name = "max-in-flight", type = u32, get, set, member = max_in_flight, minimum = 1,
        maximum = 16, default = 1, mutable_ready, nick = "Frames in flight",
        blurb = "Frames in the generator at once, their order kept: the next is converted and the \
                 last one composited meanwhile. At 1 each frame is finished before the next comes \
                 in. Each takes memory for two tensors and two frames; in a live pipeline more \
                 frames wait for the time at which the sink shows them, at most 256 MiB")]
    #[property(name = "stats-interval", type = u32, get, set, member = stats_interval, default = 0,
        mutable_playing, nick = "Statistics interval",
        blurb = "Milliseconds between two element messages with `stats`, 0 for none")]
    settings: Mutex<Settings>,
    #[property(name = "active-model", type = Option<String>, get = Self::active_model,
        nick = "Active model", blurb = "The file of the generator that runs now; null before READY")]
    #[property(name = "active-provider", type = Option<String>, get = Self::active_provider,
        nick = "Active provider",
        blurb = "The provider that runs now, read back from ONNX Runtime; null before READY")]
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

/// What the derive cannot know: a property of a boxed type.
static STATS: LazyLock<glib::ParamSpec> = LazyLock::new(|| {
    glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
        .nick("Statistics")
        .blurb(
            "Counters since the element started, and times of the last 128 translated frames; the \
             total is from a frame's coming in to its being ready to go out",
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
        // The element drops late frames itself, see `late-frames`.
        self.obj().set_qos(false);
        self.explain_interlacing();
    }

    /// Called once for all that one `g_object_set` sets, so it is judged together.
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
        .blurb("The name that a detector gives to what it finds, for example horse")
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
        let mut open =
            [direction, Direction::Forward.to_contract(), Direction::Reverse.to_contract()]
                .into_iter()
                .filter_map(|direction| pair.generator(direction));
        let generator = open.next()?;
        Some(generator.path().to_string_lossy().into_owned())
    }

    fn active_provider(&self) -> Option<String> {
        let state = lock(&self.state);
        state.model.running().map(|running| running.pair.provider().name().to_owned())
    }
}
