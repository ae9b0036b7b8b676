// SPDX-License-Identifier: MIT OR Apache-2.0

//! The values of the element's properties.

mod values;

use std::{sync::Arc, time::Duration};

use cyclegan_contract as contract;
use cyclegan_frame as frame;
use cyclegan_runtime::{LoadOptions, ProviderOptions};
use gst::glib;

pub use values::{Direction, ExecutionProvider, LateFrames, Output, Precision, Regions, Upscale};

/// The values of all writable properties. The properties themselves are declared in `imp.rs`.
#[derive(Clone, Debug)]
pub struct Settings {
    pub model: Option<String>,
    /// How often `model` was set. Setting it loads the model again, even under the same name.
    pub model_serial: u64,
    pub direction: Direction,
    pub preload: bool,
    pub execution_provider: ExecutionProvider,
    pub allow_fallback: bool,
    pub device_id: i32,
    pub threads: u32,
    pub precision: Precision,
    pub cache_dir: Option<String>,
    pub inference_size: i32,
    pub upscale: Upscale,
    pub strength: f64,
    pub smoothing: f64,
    pub regions: Regions,
    pub region_types: Arc<[String]>,
    pub output: Output,
    pub interval: u32,
    pub skip_similar: f64,
    pub late_frames: LateFrames,
    pub max_in_flight: u32,
    pub stats_interval: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: Some(Self::MODEL.to_owned()),
            model_serial: 0,
            direction: Direction::default(),
            preload: false,
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
            region_types: Arc::default(),
            output: Output::default(),
            interval: 1,
            skip_similar: 0.0,
            late_frames: LateFrames::default(),
            max_in_flight: 1,
            stats_interval: 0,
        }
    }
}

/// Which part of a frame the generator sees, and at what size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewSettings {
    /// 0 for the model's own size, −1 for the frame's, otherwise the short side in pixels.
    pub inference_size: i32,
    /// The whole frame or regions of it.
    pub regions: Regions,
}

/// The properties that are read for each frame.
#[derive(Clone, Debug)]
pub struct PerFrame {
    /// G or F.
    pub direction: contract::Direction,
    /// How the residual is added to the frame.
    pub upscale: frame::Upscale,
    /// Whether frames pass through unchanged, because `strength` is 0.
    pub is_off: bool,
    /// How much of the last residual is mixed in, 0 to 1.
    pub smoothing: f32,
    /// Which types of boxes are translated; empty for all.
    pub region_types: Arc<[String]>,
    /// Translate one frame out of this many.
    pub interval: u32,
    /// A frame that differs from the last translated one by less than this many grey levels reuses
    /// its residual; 0 to translate every frame.
    pub skip_similar: f32,
    /// What happens to late frames.
    pub late_frames: LateFrames,
}

/// Which model the properties ask for, and how to load it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// A file, a folder or the name of a folder.
    pub model: String,
    /// See [`Settings::model_serial`].
    pub serial: u64,
    /// How to load it.
    pub options: LoadOptions,
    /// The direction to translate in.
    pub direction: contract::Direction,
    /// Whether to prepare the other direction as well.
    pub preload: bool,
    /// Which part of a frame the generators see.
    pub view: ViewSettings,
    /// What the element outputs.
    pub output: Output,
    /// Threads for conversion, 0 for one per core.
    pub threads: u32,
}

impl Settings {
    /// The default value of `model`.
    pub const MODEL: &'static str = "horse2zebra";

    /// The properties for the next frame.
    pub fn per_frame(&self) -> PerFrame {
        let strength = self.strength as f32;
        PerFrame {
            direction: self.direction.to_contract(),
            upscale: match self.upscale {
                Upscale::Residual => frame::Upscale::Residual { strength },
                Upscale::Plain => frame::Upscale::Plain { strength },
            },
            is_off: self.strength == 0.0,
            smoothing: self.smoothing as f32,
            region_types: self.region_types.clone(),
            interval: self.interval,
            skip_similar: self.skip_similar as f32,
            late_frames: self.late_frames,
        }
    }

    /// The time between two `stats` messages, zero for none.
    pub fn stats_interval(&self) -> Duration {
        Duration::from_millis(self.stats_interval.into())
    }

    /// The folder for compiled engines.
    pub fn cache_dir(&self) -> String {
        let default = || glib::user_cache_dir().join("cycleganfilter").to_string_lossy().into();
        self.cache_dir.clone().unwrap_or_else(default)
    }

    /// Which model the properties ask for, and how to load it.
    pub fn wanted(&self) -> Wanted {
        Wanted {
            model: self.model.clone().unwrap_or_default(),
            serial: self.model_serial,
            options: LoadOptions {
                provider: self.execution_provider.to_provider(),
                allow_fallback: self.allow_fallback,
                precision: self.precision.to_precision(),
                provider_options: ProviderOptions {
                    device_id: self.device_id,
                    threads: self.threads,
                    cache_dir: self.cache_dir().into(),
                },
            },
            direction: self.direction.to_contract(),
            preload: self.preload,
            view: ViewSettings { inference_size: self.inference_size, regions: self.regions },
            output: self.output,
            threads: self.threads,
        }
    }
}
