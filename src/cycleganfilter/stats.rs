// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counters and measured times.

use std::time::{Duration, Instant};

use cyclegan_contract::Direction;

use super::translator::Cost;
use cyclegan_frame::Size;
use cyclegan_runtime::Pair;

/// Number of frames that the times are taken over.
const WINDOW: usize = 128;
/// After this long without a translated frame, the next one is translated even if it is late.
const STARVED: Duration = Duration::from_secs(1);
/// Number of frames between two checks of the latency.
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

    /// The smallest value that `percent` of all values do not exceed; 0 if there are none.
    fn percentile(&self, percent: usize) -> u64 {
        let mut sorted = self.micros;
        let sorted = &mut sorted[..self.count.min(WINDOW)];
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    }
}

/// What currently runs, for the `stats` structure.
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
    /// Records what has just run. Allocates only if the model has changed.
    pub fn update(&mut self, pair: &Pair, direction: Direction, size: Size) {
        if self.model != pair.model() {
            pair.model().clone_into(&mut self.model);
        }
        self.provider = pair.provider().name();
        self.direction = direction.name();
        (self.width, self.height) = (size.width, size.height);
    }
}

/// How long a frame took.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// The generator alone.
    pub inference: Duration,
    /// All stages.
    pub processing: Duration,
    /// From arrival until the output is ready: all stages, and the waits for earlier frames and for other
    /// users of the generator, but not that for room in the queue.
    pub total: Duration,
}

/// Counters and times since the element started.
#[derive(Debug, Clone)]
pub struct Stats {
    /// Input frames.
    pub frames_in: u64,
    /// Frames that a generator translated.
    pub frames_translated: u64,
    /// Frames that passed through unchanged.
    pub frames_passed: u64,
    /// Late frames that got the residual of an earlier one.
    pub frames_held: u64,
    /// Frames that got the residual of an earlier one because of `interval` or `skip-similar`.
    pub frames_skipped: u64,
    /// Frames that were dropped because they were late.
    pub frames_dropped: u64,
    /// For frames in GL memory: bytes downloaded from the GPU, and bytes uploaded to it.
    pub gl_bytes: (u64, u64),
    /// What currently runs.
    pub running: Running,
    inference: Window,
    processing: Window,
    total: Window,
    /// The total times that set the latency.
    steady: Window,
    /// When the first frame since the warm-up was finished.
    first_done: Option<Instant>,
    /// When the structure was last posted, or when the element started.
    posted: Instant,
    /// When a frame was last translated, or when the element started.
    translated: Instant,
    /// When each frame of the window was finished; a ring buffer.
    done: [Option<Instant>; WINDOW],
    latency: Duration,
    /// How long a frame took during warm-up.
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
            processing: Window::EMPTY,
            total: Window::EMPTY,
            steady: Window::EMPTY,
            first_done: None,
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
        self.processing.push(times.processing);
        self.total.push(times.total);
        // The first frame in GL memory compiles shaders, and frames that arrived meanwhile waited for it.
        match self.first_done {
            None => self.first_done = Some(self.translated),
            Some(first) if self.translated.duration_since(first) >= times.total => {
                self.steady.push(times.total);
            }
            Some(_) => {}
        }
    }

    /// Sets how long a frame took during warm-up, which is used until a frame has been measured.
    pub fn set_cost(&mut self, cost: Cost) {
        self.cost = cost;
        self.first_done = None;
    }

    /// How long the next frame will probably take, by the medians. `ahead` frames are in the
    /// generator before it, which has room for `depth`. If there is room, the result is at most 90
    /// % of the reported latency, so that a frame that arrives on time is never late.
    pub fn expected(&self, ahead: usize, depth: usize) -> Duration {
        let measured = |window: &Window, warmed_up| match window.percentile(50) {
            0 => warmed_up,
            micros => Duration::from_micros(micros),
        };
        let inference = measured(&self.inference, self.cost.inference);
        let expected = measured(&self.processing, self.cost.processing) + inference * ahead as u32;
        if ahead < depth { expected.min(self.latency * 9 / 10) } else { expected }
    }

    /// Whether no frame has been translated for so long that a late one should be, as video sinks
    /// do: the measured times may be out of date.
    pub fn is_starved(&self) -> bool {
        self.translated.elapsed() > STARVED
    }

    /// The last reported latency.
    pub fn latency(&self) -> Duration {
        self.latency
    }

    /// Sets the latency to `measured` if that differs from the last reported one by more than a
    /// quarter. Returns whether it did, so that the caller posts a LATENCY message.
    pub fn set_latency(&mut self, measured: Duration) -> bool {
        let moved = measured.abs_diff(self.latency) > self.latency / 4;
        if moved {
            self.latency = measured;
        }
        moved
    }

    /// Checks the latency every few frames, more often at first. Returns whether it has changed.
    pub fn update_latency(&mut self) -> bool {
        let frames = self.frames_translated;
        if !frames.is_multiple_of(LATENCY_EVERY) && !frames.is_power_of_two() {
            return false;
        }
        // Slightly more than the 95th percentile, so that 95 of 100 frames are on time.
        let measured = Duration::from_micros(self.steady.percentile(95));
        let measured = measured + measured / 20;
        // The first few frames may be unusually fast.
        let is_short = frames < LATENCY_EVERY && measured < self.latency;
        if self.steady.count == 0 || is_short {
            return false;
        }
        self.set_latency(measured)
    }

    /// The structure to post, if the last one was posted at least `interval` ago.
    pub fn due(&mut self, interval: Duration) -> Option<gst::Structure> {
        if interval.is_zero() || self.posted.elapsed() < interval {
            return None;
        }
        self.posted = Instant::now();
        Some(self.to_structure())
    }

    /// Translated frames per second of wall-clock time, over the window.
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

    /// While there is room in the generator, the expected time stays below the latency.
    #[test]
    fn a_full_generator_counts_in_full() {
        const MS: Duration = Duration::from_millis(1);
        let mut stats = Stats::default();
        stats.set_cost(Cost { inference: 10 * MS, processing: 15 * MS });
        stats.set_latency(20 * MS);
        assert_eq!(stats.expected(0, 2), 15 * MS);
        assert_eq!(stats.expected(1, 2), 18 * MS);
        assert_eq!(stats.expected(2, 2), 35 * MS);
        stats.translated(Times { inference: 20 * MS, processing: 30 * MS, total: 30 * MS });
        assert_eq!(stats.expected(2, 2), 70 * MS);
    }

    #[test]
    fn the_first_frame_does_not_set_the_latency() {
        const MS: Duration = Duration::from_millis(1);
        let times = |total| Times { inference: MS, processing: MS, total };
        let mut stats = Stats::default();
        stats.set_latency(20 * MS);
        for _ in 0..2 {
            stats.set_cost(Cost::default());
            stats.translated(times(200 * MS));
            assert!(!stats.update_latency());
            // It waited for the first one.
            stats.translated(times(190 * MS));
            assert!(!stats.update_latency());
        }
        std::thread::sleep(60 * MS);
        (0..4).for_each(|_| stats.translated(times(50 * MS)));
        assert!(stats.update_latency());
        assert_eq!(stats.latency(), 50 * MS + 50 * MS / 20);
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
