// SPDX-License-Identifier: MIT OR Apache-2.0

//! The element's properties: what they are, and their values.

use std::{sync::LazyLock, time::Duration};

use cyclegan_contract::{Direction as ModelDirection, Precision as ModelPrecision};
use gst::{glib, prelude::*};

use crate::{
    frame,
    generator::{LoadOptions, Provider, ProviderOptions},
};

/// Which of the two generators translates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCycleGanFilterDirection")]
pub enum Direction {
    /// G, from domain A to domain B.
    #[default]
    #[enum_value(name = "G: from domain A to B, for example horse to zebra", nick = "forward")]
    Forward,
    /// F, from domain B to domain A.
    #[enum_value(name = "F: from domain B to A, for example zebra to horse", nick = "reverse")]
    Reverse,
}

impl Direction {
    /// The direction as the model contract has it.
    pub fn of_model(self) -> ModelDirection {
        match self {
            Self::Forward => ModelDirection::AToB,
            Self::Reverse => ModelDirection::BToA,
        }
    }

    /// The value's nick.
    pub fn nick(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Reverse => "reverse",
        }
    }
}

/// What ONNX Runtime runs the generators on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCycleGanFilterExecutionProvider")]
pub enum ExecutionProvider {
    /// The first that works of cuda, migraphx, directml, coreml, openvino, cpu.
    #[default]
    #[enum_value(name = "The first that really works here", nick = "auto")]
    Auto,
    /// Any processor.
    #[enum_value(name = "Any processor", nick = "cpu")]
    Cpu,
    /// NVIDIA GPUs.
    #[enum_value(name = "NVIDIA GPUs, through cuDNN", nick = "cuda")]
    Cuda,
    /// NVIDIA GPUs, with engines built for the model.
    #[enum_value(name = "NVIDIA GPUs, through TensorRT", nick = "tensorrt")]
    TensorRt,
    /// Intel processors and GPUs.
    #[enum_value(name = "Intel processors and GPUs, through OpenVINO", nick = "openvino")]
    OpenVino,
    /// Any GPU.
    #[enum_value(name = "Any GPU, through WebGPU", nick = "webgpu")]
    WebGpu,
    /// AMD GPUs.
    #[enum_value(name = "AMD GPUs, through MIGraphX", nick = "migraphx")]
    MiGraphX,
    /// GPUs on Windows.
    #[enum_value(name = "GPUs on Windows, through DirectML", nick = "directml")]
    DirectMl,
    /// Apple processors.
    #[enum_value(name = "Apple processors, through Core ML", nick = "coreml")]
    CoreMl,
}

impl ExecutionProvider {
    fn named(self) -> Option<Provider> {
        match self {
            Self::Auto => None,
            Self::Cpu => Some(Provider::Cpu),
            Self::Cuda => Some(Provider::Cuda),
            Self::TensorRt => Some(Provider::TensorRt),
            Self::OpenVino => Some(Provider::OpenVino),
            Self::WebGpu => Some(Provider::WebGpu),
            Self::MiGraphX => Some(Provider::MiGraphX),
            Self::DirectMl => Some(Provider::DirectMl),
            Self::CoreMl => Some(Provider::CoreMl),
        }
    }
}

/// Which variant of a model is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCycleGanFilterPrecision")]
pub enum Precision {
    /// int8 on the CPU, fp16 on a GPU, fp32 where the model has no such variant.
    #[default]
    #[enum_value(name = "The variant that suits the provider, where there is one", nick = "auto")]
    Auto,
    /// G.onnx, F.onnx.
    #[enum_value(name = "32-bit floats: G.onnx, F.onnx", nick = "fp32")]
    Fp32,
    /// G.fp16.onnx, F.fp16.onnx.
    #[enum_value(name = "16-bit floats: G.fp16.onnx, F.fp16.onnx", nick = "fp16")]
    Fp16,
    /// G.int8.onnx, F.int8.onnx.
    #[enum_value(name = "8-bit integers: G.int8.onnx, F.int8.onnx", nick = "int8")]
    Int8,
}

impl Precision {
    fn named(self) -> Option<ModelPrecision> {
        match self {
            Self::Auto => None,
            Self::Fp32 => Some(ModelPrecision::Fp32),
            Self::Fp16 => Some(ModelPrecision::Fp16),
            Self::Int8 => Some(ModelPrecision::Int8),
        }
    }
}

/// How the generator's picture is brought to the frame's size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCycleGanFilterUpscale")]
pub enum Upscale {
    /// The change is enlarged and added to the frame.
    #[default]
    #[enum_value(name = "Enlarge the change and add it to the sharp frame", nick = "residual")]
    Residual,
    /// The translated picture is enlarged.
    #[enum_value(name = "Enlarge the translated picture", nick = "plain")]
    Plain,
}

/// What of a frame is translated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCycleGanFilterRegions")]
pub enum Regions {
    /// The whole frame at once.
    #[default]
    #[enum_value(name = "The whole frame", nick = "frame")]
    Frame,
    /// Each box that a `GstVideoRegionOfInterestMeta` names.
    #[enum_value(name = "Each region of interest that the buffer names", nick = "meta")]
    Meta,
}

/// What happens to a frame that is late already when it comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCycleGanFilterLateFrames")]
pub enum LateFrames {
    /// It is translated all the same.
    #[default]
    #[enum_value(name = "Translate all the same", nick = "translate")]
    Translate,
    /// It goes out as it came in.
    #[enum_value(name = "Pass the original", nick = "pass")]
    Pass,
    /// It gets the change of the frame that was translated last.
    #[enum_value(name = "Apply the change of the last translated frame", nick = "hold")]
    Hold,
    /// It is dropped.
    #[enum_value(name = "Drop", nick = "drop")]
    Drop,
}

/// The values of all writable properties.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A file, a folder or a name.
    pub model: String,
    /// G or F.
    pub direction: Direction,
    execution_provider: ExecutionProvider,
    allow_fallback: bool,
    device_id: i32,
    /// Threads of the CPU, 0 for all cores.
    pub threads: u32,
    precision: Precision,
    cache_dir: Option<String>,
    /// 0 for the model's own, −1 for the frame's, else the short side in pixels.
    pub inference_size: i32,
    upscale: Upscale,
    /// 0 is the input, 1 the translation.
    pub strength: f64,
    smoothing: f64,
    /// What of a frame is translated.
    pub regions: Regions,
    /// What happens to late frames.
    pub late_frames: LateFrames,
    /// Frames that may be in the generator at once, at least 1.
    pub max_in_flight: u32,
    stats_interval: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: "horse2zebra".to_owned(),
            direction: Direction::default(),
            execution_provider: ExecutionProvider::default(),
            allow_fallback: false,
            device_id: 0,
            threads: 0,
            precision: Precision::default(),
            cache_dir: None,
            inference_size: 0,
            upscale: Upscale::default(),
            strength: 1.0,
            smoothing: 0.0,
            regions: Regions::default(),
            late_frames: LateFrames::default(),
            max_in_flight: 1,
            stats_interval: 0,
        }
    }
}

/// What is looked up for each frame.
#[derive(Clone, Copy, Debug)]
pub struct PerFrame {
    /// G or F.
    pub direction: Direction,
    /// How the change is put on the frame.
    pub upscale: frame::Upscale,
    /// How much of the last change is mixed in, 0 to 1.
    pub smoothing: f32,
    /// What happens to late frames.
    pub late_frames: LateFrames,
}

impl Settings {
    /// What the next frame needs.
    pub fn per_frame(&self) -> PerFrame {
        PerFrame {
            direction: self.direction,
            upscale: self.upscale(),
            smoothing: self.smoothing as f32,
            late_frames: self.late_frames,
        }
    }

    /// Between two `stats` messages, zero for none.
    pub fn stats_interval(&self) -> Duration {
        Duration::from_millis(self.stats_interval.into())
    }

    /// How models are loaded.
    pub fn load_options(&self) -> LoadOptions {
        let default_dir = || glib::user_cache_dir().join("cycleganfilter");
        LoadOptions {
            provider: self.execution_provider.named(),
            allow_fallback: self.allow_fallback,
            precision: self.precision.named(),
            provider_options: ProviderOptions {
                device_id: self.device_id,
                threads: self.threads,
                cache_dir: self.cache_dir.as_ref().map_or_else(default_dir, Into::into),
            },
        }
    }

    /// How a change is put on a frame.
    fn upscale(&self) -> frame::Upscale {
        let strength = self.strength as f32;
        match self.upscale {
            Upscale::Residual => frame::Upscale::Residual { strength },
            Upscale::Plain => frame::Upscale::Plain { strength },
        }
    }

    /// Sets the property `name`.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        match name {
            "model" => self.model = get::<Option<String>>(value).unwrap_or_default(),
            "direction" => self.direction = get(value),
            "execution-provider" => self.execution_provider = get(value),
            "allow-fallback" => self.allow_fallback = get(value),
            "device-id" => self.device_id = get(value),
            "threads" => self.threads = get(value),
            "precision" => self.precision = get(value),
            "cache-dir" => self.cache_dir = get(value),
            "inference-size" => self.inference_size = get(value),
            "upscale" => self.upscale = get(value),
            "strength" => {
                self.strength = Some(get(value)).filter(|s: &f64| !s.is_nan()).unwrap_or(1.0)
            }
            "smoothing" => {
                self.smoothing = Some(get(value)).filter(|s: &f64| !s.is_nan()).unwrap_or(0.0);
            }
            "regions" => self.regions = get(value),
            "late-frames" => self.late_frames = get(value),
            "max-in-flight" => self.max_in_flight = get(value),
            "stats-interval" => self.stats_interval = get(value),
            _ => unreachable!("no writable property {name}"),
        }
    }

    /// The value of the writable property `name`.
    pub fn get(&self, name: &str) -> glib::Value {
        match name {
            "model" => self.model.to_value(),
            "direction" => self.direction.to_value(),
            "execution-provider" => self.execution_provider.to_value(),
            "allow-fallback" => self.allow_fallback.to_value(),
            "device-id" => self.device_id.to_value(),
            "threads" => self.threads.to_value(),
            "precision" => self.precision.to_value(),
            "cache-dir" => self.load_options().provider_options.cache_dir.to_value(),
            "inference-size" => self.inference_size.to_value(),
            "upscale" => self.upscale.to_value(),
            "strength" => self.strength.to_value(),
            "smoothing" => self.smoothing.to_value(),
            "regions" => self.regions.to_value(),
            "late-frames" => self.late_frames.to_value(),
            "max-in-flight" => self.max_in_flight.to_value(),
            "stats-interval" => self.stats_interval.to_value(),
            _ => unreachable!("no writable property {name}"),
        }
    }
}

/// The value that GLib has checked against the property's type and range already.
fn get<'v, T: glib::value::FromValue<'v>>(value: &'v glib::Value) -> T {
    value.get().unwrap_or_else(|error| unreachable!("GLib checks the type: {error}"))
}

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
            .default_value(default.inference_size)
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
        glib::ParamSpecEnum::builder_with_default("regions", default.regions)
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
