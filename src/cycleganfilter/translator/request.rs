// SPDX-License-Identifier: MIT OR Apache-2.0

//! Inference, the second stage of a frame: from the input tensors to the output tensors.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::TranslateError;
use cyclegan_frame::{LumaPlane, Region, Size};
use cyclegan_runtime::{Binding, BindingOptions, Generator};

/// The tensors of one frame in flight. Whoever holds it may use it: no stage waits for another.
pub struct Request {
    generator: Arc<Generator>,
    tensor: Size,
    /// What the generator sees of the frame. Those that this frame does not use stay for another.
    parts: Vec<Part>,
    used: usize,
    /// The regions that the parts show, where they do not show the frame.
    pub(super) regions: Vec<Region>,
}

/// A part of a frame, or all of it, on its way through the generator.
pub(super) struct Part {
    /// The tensors.
    pub binding: Binding,
    /// The part as the generator sees it, for smoothing.
    pub grey: LumaPlane,
}

impl Request {
    /// Tensors of the size `tensor` for one part.
    pub fn new(generator: Arc<Generator>, tensor: Size) -> Result<Self, TranslateError> {
        let mut request =
            Self { generator, tensor, parts: Vec::new(), used: 0, regions: Vec::new() };
        request.resize(1)?;
        Ok(request)
    }

    /// Makes it one for a frame of `count` parts.
    pub(super) fn resize(&mut self, count: usize) -> Result<(), TranslateError> {
        while self.parts.len() < count {
            let (size, mask) = (self.tensor, true);
            let options = BindingOptions { size, batch: 1, mask };
            let binding = Binding::new(self.generator.clone(), options)?;
            self.parts.push(Part { binding, grey: LumaPlane::new(self.tensor) });
        }
        self.used = count;
        Ok(())
    }

    /// The parts of the frame.
    pub(super) fn parts(&mut self) -> &mut [Part] {
        &mut self.parts[..self.used]
    }

    /// The regions, and the parts that show them.
    pub(super) fn regions(&mut self) -> (&[Region], &mut [Part]) {
        (&self.regions, &mut self.parts[..self.used])
    }

    /// Runs the generator on each part; returns how long that took, including the time in which
    /// another binding ran it.
    pub fn infer(&mut self) -> Result<Duration, TranslateError> {
        let start = Instant::now();
        for part in self.parts() {
            part.binding.run()?;
        }
        Ok(start.elapsed())
    }
}
