// SPDX-License-Identifier: MIT OR Apache-2.0

//! The second stage of a frame: from the input tensor to the output tensor.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::TranslateError;
use crate::{
    frame::{Grey, Placement},
    generator::{Generator, Stream},
};

/// What a frame takes along from stage to stage. Each frame that is under way has one of its own,
/// and whoever holds it may touch it: no stage waits for another.
pub struct Slot {
    /// The tensors.
    pub(super) stream: Stream,
    /// The frame as the generator sees it, for smoothing.
    pub(super) grey: Grey,
}

impl Slot {
    /// Tensors and picture of `placement`.
    pub fn new(generator: Arc<Generator>, placement: &Placement) -> Result<Self, TranslateError> {
        Ok(Self {
            stream: Stream::new(generator, placement.tensor)?,
            grey: Grey::new(placement.content.size),
        })
    }

    /// Runs the generator; returns the time that it took, with the time that another stream ran it.
    pub fn infer(&mut self) -> Result<Duration, TranslateError> {
        let start = Instant::now();
        self.stream.run()?;
        Ok(start.elapsed())
    }
}
