// SPDX-License-Identifier: MIT OR Apache-2.0

//! The properties as GStreamer sees them.

use std::sync::LazyLock;

use gst::{glib, prelude::*};

use super::Settings;

/// All properties, with their texts, defaults and when they may change.
pub static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
    let default = Settings::default();
    vec![
        glib::ParamSpecString::builder("model")
            .nick("Model")
            .blurb(
                "The generator: an ONNX file, a folder with G.onnx and F.onnx, or the name of such \
                 a folder on the search path (CYCLEGAN_MODEL_PATH, the user's data folder, the \
                 install's data folder). A new one is loaded beside the stream",
            )
            .default_value(Some(default.model.as_str()))
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("direction", default.direction)
            .nick("Direction")
            .blurb("Which generator of the pair translates; takes effect on the next frame")
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("execution-provider", default.execution_provider)
            .nick("Execution provider")
            .blurb(
                "What ONNX Runtime runs the generator on. auto takes the first that really works; \
                 one that is named either works or is an error",
            )
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("allow-fallback")
            .nick("Allow fallback")
            .blurb("Let the CPU step in, with a warning, for a named provider that cannot run")
            .default_value(default.allow_fallback)
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("active-model")
            .nick("Active model")
            .blurb("The file of the generator that runs now; null before READY")
            .read_only()
            .build(),
        glib::ParamSpecString::builder("active-provider")
            .nick("Active provider")
            .blurb("The provider that runs now, read back from ONNX Runtime; null before READY")
            .read_only()
            .build(),
        glib::ParamSpecInt::builder("device-id")
            .nick("Device")
            .blurb("Which GPU, where there are several")
            .minimum(0)
            .default_value(default.device_id)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("threads")
            .nick("Threads")
            .blurb("Threads for the generator and for conversion, 0 for as many as there are cores")
            .maximum(1024)
            .default_value(default.threads)
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("precision", default.precision)
            .nick("Precision")
            .blurb("Which variant of a pair is loaded; a single file is taken as it is")
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("cache-dir")
            .nick("Cache folder")
            .blurb("Where compiled engines are kept; null for the user's cache folder")
            .mutable_ready()
            .build(),
        glib::ParamSpecInt::builder("inference-size")
            .nick("Inference size")
            .blurb(
                "Short side of the picture that the generator sees, in pixels, the frame's aspect \
                 kept; 0 for the model's own, -1 for the frame's. Models of a fixed size keep it",
            )
            .minimum(-1)
            .maximum(8192)
            .default_value(default.view.inference_size)
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("upscale", default.upscale)
            .nick("Upscaling")
            .blurb("How the generator's picture is brought to the frame's size")
            .mutable_playing()
            .build(),
        glib::ParamSpecDouble::builder("strength")
            .nick("Strength")
            .blurb("How much of the translation is mixed in: 0 passes the input, untouched")
            .minimum(0.0)
            .maximum(1.0)
            .default_value(default.strength)
            .mutable_playing()
            .controllable()
            .build(),
        glib::ParamSpecDouble::builder("smoothing")
            .nick("Smoothing")
            .blurb(
                "How much of the last frame's change is mixed in, moved along with the picture, \
                 against flicker; begins anew at scene cuts, seeks and gaps",
            )
            .minimum(0.0)
            .maximum(1.0)
            .default_value(default.smoothing)
            .mutable_playing()
            .controllable()
            .build(),
        glib::ParamSpecEnum::builder_with_default("regions", default.view.regions)
            .nick("Regions")
            .blurb(
                "What of a frame is translated: all of it, or only where its \
                 GstVideoRegionOfInterestMeta boxes are, each at the generator's own size. Beyond a \
                 quarter of a box's size around it nothing is touched. The 16 largest are translated",
            )
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("late-frames", default.late_frames)
            .nick("Late frames")
            .blurb(
                "What happens to a frame that is too late already when it comes in. In a live \
                 pipeline set max-in-flight to 2 or more, or put a queue behind the filter, so \
                 that sinks do not hold it up",
            )
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("max-in-flight")
            .nick("Frames in flight")
            .blurb(
                "Frames in the generator at once, their order kept: the next is converted and the \
                 last one composited meanwhile. At 1 each frame is finished before the next comes \
                 in. Each takes memory for two tensors and two frames; in a live pipeline up to 30 \
                 frames more wait for the time at which the sink shows them",
            )
            .minimum(1)
            .maximum(16)
            .default_value(default.max_in_flight)
            .mutable_ready()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb(
                "Counters since the element started, and times of the last 128 translated frames; \
                 the total is from a frame's coming in to its being ready to go out",
            )
            .read_only()
            .build(),
        glib::ParamSpecUInt::builder("stats-interval")
            .nick("Statistics interval")
            .blurb("Post `stats` as an element message every so many milliseconds, 0 for never")
            .default_value(default.stats_interval)
            .mutable_playing()
            .build(),
    ]
});
