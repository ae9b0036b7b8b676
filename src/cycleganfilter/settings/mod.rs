// SPDX-License-Identifier: MIT OR Apache-2.0

//! The element's properties: what they are, and their values.

mod properties;
mod values;

use std::time::Duration;

use gst::{glib, prelude::*};

use cyclegan_frame as frame;
use cyclegan_runtime::{LoadOptions, ProviderOptions};

pub use properties::PROPERTIES;
pub use values::{Direction, ExecutionProvider, LateFrames, Precision, Regions, Upscale};

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
    /// What the generator sees of a frame.
    pub view: ViewSettings,
    upscale: Upscale,
    /// 0 is the input, 1 the translation.
    pub strength: f64,
    smoothing: f64,
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
            view: ViewSettings::default(),
            upscale: Upscale::default(),
            strength: 1.0,
            smoothing: 0.0,
            late_frames: LateFrames::default(),
            max_in_flight: 1,
            stats_interval: 0,
        }
    }
}

/// What the generator sees of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewSettings {
    /// 0 for the model's own, −1 for the frame's, else the short side in pixels.
    pub inference_size: i32,
    /// What of a frame is translated.
    pub regions: Regions,
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
            "inference-size" => self.view.inference_size = get(value),
            "upscale" => self.upscale = get(value),
            "strength" => {
                self.strength = Some(get(value)).filter(|s: &f64| !s.is_nan()).unwrap_or(1.0)
            }
            "smoothing" => {
                self.smoothing = Some(get(value)).filter(|s: &f64| !s.is_nan()).unwrap_or(0.0);
            }
            "regions" => self.view.regions = get(value),
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
            "inference-size" => self.view.inference_size.to_value(),
            "upscale" => self.upscale.to_value(),
            "strength" => self.strength.to_value(),
            "smoothing" => self.smoothing.to_value(),
            "regions" => self.view.regions.to_value(),
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
