// SPDX-License-Identifier: MIT OR Apache-2.0

//! The values of the element's properties.

mod values;

use std::{sync::Arc, time::Duration};

use cyclegan_contract as contract;
use cyclegan_frame as frame;
use cyclegan_runtime::{LoadOptions, ProviderOptions};
use gst::glib;

pub use values::{Direction, ExecutionProvider, LateFrames, Output, Precision, Regions, Upscale};

/// The values of all writable properties; the properties themselves stand at the element.
#[derive(Clone, Debug)]
pub struct Settings {
    pub model: Option<String>,
    /// How often `model` was set: each time it is loaded again.
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

/// The part of a frame that the generator sees, and its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewSettings {
    /// 0 for the model's own, −1 for the frame's, else the short side in pixels.
    pub inference_size: i32,
    /// The part.
    pub regions: Regions,
}

/// What is looked up for each frame.
#[derive(Clone, Debug)]
pub struct PerFrame {
    /// G or F.
    pub direction: contract::Direction,
    /// How the residual is put on the frame.
    pub upscale: frame::Upscale,
    /// Whether the frame passes untouched, at strength 0.
    pub is_off: bool,
    /// How much of the last residual is mixed in, 0 to 1.
    pub smoothing: f32,
    /// The types of boxes that are regions, none for all.
    pub region_types: Arc<[String]>,
    /// One of so many frames is translated.
    pub interval: u32,
    /// By how many grey levels a frame may differ from the last translated one to take its residual;
    /// 0 if none does.
    pub skip_similar: f32,
    /// What happens to late frames.
    pub late_frames: LateFrames,
}

/// What the properties ask of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// A file, a folder or a name.
    pub model: String,
    /// Which setting of `model` this is, see [`Settings::model_serial`].
    pub serial: u64,
    /// How it is loaded.
    pub options: LoadOptions,
    /// The direction that translates.
    pub direction: contract::Direction,
    /// Whether the other direction is prepared as well.
    pub preload: bool,
    /// What the generators see of a frame.
    pub view: ViewSettings,
    /// What goes out.
    pub output: Output,
    /// Threads for conversion, 0 for as many as there are cores.
    pub threads: u32,
}

impl Settings {
    /// The default of `model`.
    pub const MODEL: &'static str = "horse2zebra";

    /// What the next frame needs.
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

    /// Between two `stats` messages, zero for none.
    pub fn stats_interval(&self) -> Duration {
        Duration::from_millis(self.stats_interval.into())
    }

    /// Where compiled engines are kept.
    pub fn cache_dir(&self) -> String {
        let default = || glib::user_cache_dir().join("cycleganfilter").to_string_lossy().into();
        self.cache_dir.clone().unwrap_or_else(default)
    }

    /// What is asked of the model.
    pub fn wanted(&self) -> Wanted {
        Wanted {
            model: self.model.clone().unwrap_or_default(),
            serial: self.model_serial,
            options: LoadOptions {
                provider: self.execution_provider.named(),
                allow_fallback: self.allow_fallback,
                precision: self.precision.named(),
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
