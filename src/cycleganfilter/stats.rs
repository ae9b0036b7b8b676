// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the element counts and measures.

use std::time::{Duration, Instant};

use cyclegan_contract::Direction;

use super::translator::Cost;
use cyclegan_frame::Size;
use cyclegan_runtime::Pair;

/// How many frames the times are taken over.
const WINDOW: usize = 128;
/// After this long without one, a frame is translated though it is late.
const STARVED: Duration = Duration::from_secs(1);
/// The latency is looked at again after this many frames.
const LATENCY_EVERY: u64 = 16;

/// The last [`WINDOW`] values of a time.
#[derive(Debug, Clone)]
struct Window {
    micros: [u64; WINDOW],
    count: usize,
}

impl Window {
    const EMPTY: Self = Self { micros: [0; WINDOW], count: 0 };

    fn push(&mut self, duration: Duration) {
        self.micros[self.count % WINDOW] = duration.as_micros() as u64;
        self.count += 1;
    }

    /// The value that `percent` of all lie at or under, 0 where there is none.
    fn percentile(&self, percent: usize) -> u64 {
        let mut sorted = self.micros;
        let sorted = &mut sorted[..self.count.min(WINDOW)];
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    }
}

/// What runs, for the `stats` structure.
#[derive(Debug, Default, Clone)]
pub struct Running {
    /// Name of the provider.
    pub provider: &'static str,
    /// The model, as the user named it.
    pub model: String,
    /// `forward` or `reverse`.
    pub direction: &'static str,
    /// Width of the generator's input, in pixels.
    pub width: u32,
    /// Height of the generator's input, in pixels.
    pub height: u32,
}

impl Running {
    /// Takes over what has just run; allocates only when the model has changed.
    pub fn update(&mut self, pair: &Pair, direction: Direction, size: Size) {
        if self.model != pair.model() {
            pair.model().clone_into(&mut self.model);
        }
        self.provider = pair.provider().name();
        self.direction = match direction {
            Direction::AToB => "forward",
            Direction::BToA => "reverse",
        };
        (self.width, self.height) = (size.width, size.height);
    }
}

/// What a frame has taken.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// The generator alone.
    pub inference: Duration,
    /// All stages.
    pub work: Duration,
    /// From coming in to being ready to go out: all stages, and waiting for those before.
    pub total: Duration,
}

/// Counters and times since the element started.
#[derive(Debug, Clone)]
pub struct Stats {
    /// Frames that came in.
    pub frames_in: u64,
    /// Frames that went through a generator.
    pub frames_translated: u64,
    /// Frames that went out as they came in.
    pub frames_passed: u64,
    /// Late frames that got the residual of an earlier one.
    pub frames_held: u64,
    /// Frames that got the residual of an earlier one by choice.
    pub frames_skipped: u64,
    /// Frames that were dropped as too late.
    pub frames_dropped: u64,
    /// Bytes of frames in GL memory that crossed the bus: down from the GPU, and up to it.
    pub gl_bytes: (u64, u64),
    /// What runs.
    pub running: Running,
    inference: Window,
    work: Window,
    total: Window,
    /// When the structure was last posted, or the element started.
    posted: Instant,
    /// When a frame was last translated, or the element started.
    translated: Instant,
    /// When the frames of the window were done, a ring.
    done: [Option<Instant>; WINDOW],
    latency: Duration,
    /// What a frame took when the generator was warmed up.
    cost: Cost,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            frames_in: 0,
            frames_translated: 0,
            frames_passed: 0,
            frames_held: 0,
            frames_skipped: 0,
            frames_dropped: 0,
            gl_bytes: (0, 0),
            running: Running::default(),
            inference: Window::EMPTY,
            work: Window::EMPTY,
            total: Window::EMPTY,
            posted: Instant::now(),
            translated: Instant::now(),
            done: [None; WINDOW],
            latency: Duration::ZERO,
            cost: Cost::default(),
        }
    }
}

impl Stats {
    /// Counts a translated frame.
    pub fn translated(&mut self, times: Times) {
        self.translated = Instant::now();
        self.done[self.frames_translated as usize % WINDOW] = Some(self.translated);
        self.frames_translated += 1;
        self.inference.push(times.inference);
        self.work.push(times.work);
        self.total.push(times.total);
    }

    /// Takes what a frame took when the generator was warmed up, for as long as none is measured.
    pub fn set_cost(&mut self, cost: Cost) {
        self.cost = cost;
    }

    /// How long the next frame will probably take: the medians. `ahead` frames are in the generator
    /// before it, which has room for `depth`. If there is room it is a little less than the latency that
    /// sinks wait for, since then a frame that comes in on time is never late.
    pub fn expected(&self, ahead: usize, depth: usize) -> Duration {
        let measured = |window: &Window, warmed_up| match window.percentile(50) {
            0 => warmed_up,
            micros => Duration::from_micros(micros),
        };
        let inference = measured(&self.inference, self.cost.inference);
        let expected = measured(&self.work, self.cost.work) + inference * ahead as u32;
        if ahead < depth { expected.min(self.latency * 9 / 10) } else { expected }
    }

    /// Whether no frame has been translated for so long that a late one is, as sinks show one: what is
    /// known of how long that takes may be wrong.
    pub fn is_starved(&self) -> bool {
        self.translated.elapsed() > STARVED
    }

    /// The latency that was last reported.
    pub fn latency(&self) -> Duration {
        self.latency
    }

    /// Takes `measured` as the latency. Returns whether it moved by more than a quarter of what
    /// was reported before, so that the pipeline should hear of it.
    pub fn set_latency(&mut self, measured: Duration) -> bool {
        let moved = measured.abs_diff(self.latency) > self.latency / 4;
        if moved {
            self.latency = measured;
        }
        moved
    }

    /// Looks now and then at how long frames take, more often at first; returns whether the latency
    /// has moved.
    pub fn update_latency(&mut self) -> bool {
        let frames = self.frames_translated;
        if !frames.is_multiple_of(LATENCY_EVERY) && !frames.is_power_of_two() {
            return false;
        }
        // A little more than what 95 of 100 frames take, so that these are in time.
        let measured = Duration::from_micros(self.total.percentile(95));
        let measured = measured + measured / 20;
        // A few frames may have been lucky.
        if frames < LATENCY_EVERY && measured < self.latency {
            return false;
        }
        self.set_latency(measured)
    }

    /// The structure to be posted, if the last time was an `interval` ago.
    pub fn due(&mut self, interval: Duration) -> Option<gst::Structure> {
        if interval.is_zero() || self.posted.elapsed() < interval {
            return None;
        }
        self.posted = Instant::now();
        Some(self.to_structure())
    }

    /// Frames a second over the window, in wall time.
    fn fps(&self) -> f64 {
        let times = self.done.iter().flatten();
        let (Some(first), Some(last)) = (times.clone().min(), times.clone().max()) else {
            return 0.0;
        };
        let seconds = last.duration_since(*first).as_secs_f64();
        if seconds > 0.0 { (times.count() - 1) as f64 / seconds } else { 0.0 }
    }

    /// The `cyclegan-stats` structure.
    pub fn to_structure(&self) -> gst::Structure {
        gst::Structure::builder("cyclegan-stats")
            .field("frames-in", self.frames_in)
            .field("frames-translated", self.frames_translated)
            .field("frames-passed", self.frames_passed)
            .field("frames-held", self.frames_held)
            .field("frames-skipped", self.frames_skipped)
            .field("frames-dropped", self.frames_dropped)
            .field("gl-bytes-down", self.gl_bytes.0)
            .field("gl-bytes-up", self.gl_bytes.1)
            .field("inference-p50-us", self.inference.percentile(50))
            .field("inference-p95-us", self.inference.percentile(95))
            .field("total-p50-us", self.total.percentile(50))
            .field("total-p95-us", self.total.percentile(95))
            .field("fps", self.fps())
            .field("provider", self.running.provider)
            .field("model", &self.running.model)
            .field("direction", self.running.direction)
            .field("width", self.running.width)
            .field("height", self.running.height)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_taken_over_the_last_frames() {
        let mut window = Window::EMPTY;
        assert_eq!(window.percentile(50), 0);
        for micros in 0..1000 {
            window.push(Duration::from_micros(micros));
        }
        assert_eq!(window.percentile(50), 1000 - WINDOW as u64 / 2 - 1);
        assert_eq!(window.percentile(100), 999);
    }

    /// On time a frame waits for a place in the generator if the sink can wait as well.
    #[test]
    fn a_full_generator_counts_in_full() {
        const MS: Duration = Duration::from_millis(1);
        let mut stats = Stats::default();
        stats.set_cost(Cost { inference: 10 * MS, work: 15 * MS });
        stats.set_latency(20 * MS);
        assert_eq!(stats.expected(0, 2), 15 * MS);
        assert_eq!(stats.expected(1, 2), 18 * MS);
        assert_eq!(stats.expected(2, 2), 35 * MS);
        stats.translated(Times { inference: 20 * MS, work: 30 * MS, total: 30 * MS });
        assert_eq!(stats.expected(2, 2), 70 * MS);
    }

    #[test]
    fn the_latency_is_reported_when_it_moves_by_a_quarter() {
        let mut stats = Stats::default();
        assert!(stats.set_latency(Duration::from_millis(100)));
        assert!(!stats.set_latency(Duration::from_millis(124)));
        assert_eq!(stats.latency(), Duration::from_millis(100));
        assert!(stats.set_latency(Duration::from_millis(126)));
        assert!(stats.set_latency(Duration::from_millis(50)));
    }
}
