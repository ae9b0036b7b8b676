// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is told at the end.

use std::{fmt, time::Duration};

use gst::prelude::*;

/// How a translation went.
pub struct Summary {
    stats: gst::Structure,
    provider: String,
    elapsed: Duration,
}

impl Summary {
    /// Reads what the filter says of itself, while it still runs; `elapsed` since the first frame.
    pub fn read(filter: &gst::Element, elapsed: Duration) -> Self {
        Self {
            stats: filter.property("stats"),
            provider: filter.property("active-provider"),
            elapsed,
        }
    }

    fn count(&self, field: &str) -> u64 {
        self.stats.get(field).unwrap_or_default()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let translated = self.count("frames-translated");
        let seconds = self.elapsed.as_secs_f64();
        writeln!(
            f,
            "{} frames in, {translated} translated, in {seconds:.1} s: {:.1} frames/s",
            self.count("frames-in"),
            translated as f64 / seconds.max(0.001),
        )?;
        write!(
            f,
            "generator: {} at {}×{}, {:.1} ms a frame, on {}",
            self.stats.get::<String>("model").unwrap_or_default(),
            self.stats.get::<u32>("width").unwrap_or_default(),
            self.stats.get::<u32>("height").unwrap_or_default(),
            self.count("inference-p50-us") as f64 / 1000.0,
            self.provider,
        )
    }
}
