// SPDX-License-Identifier: MIT OR Apache-2.0

//! ONNX Runtime alone.

use std::{error::Error, path::Path, time::Instant};

use half::f16;
use ort::{
    session::Session,
    value::{DynTensor, Tensor, TensorElementType},
};

/// A plain session with tensors that are already filled.
pub struct Bare {
    session: Session,
    input: DynTensor,
}

impl Bare {
    /// Loads a generator for images of a size, on all cores.
    pub fn new(model: &Path, width: u32, height: u32) -> Result<Self, Box<dyn Error>> {
        let threads = std::thread::available_parallelism()?.get();
        let environment = cyclegan_runtime::environment()?;
        let session = Session::builder(environment)?
            .with_intra_threads(threads)?
            // Otherwise its threads would still spin during the element's turn.
            .with_config_entry("session.force_spinning_stop", "1")?
            .commit_from_file(model)?;
        let shape = [1, 3, height as usize, width as usize];
        let values = vec![0.1; shape.iter().product()];
        let input = match session.inputs()[0].dtype().tensor_type() {
            Some(TensorElementType::Float16) => {
                let values: Vec<f16> = values.into_iter().map(f16::from_f32).collect();
                Tensor::from_array((shape, values))?.upcast()
            }
            _ => Tensor::from_array((shape, values))?.upcast(),
        };
        Ok(Self { session, input })
    }

    /// Runs it once; returns milliseconds.
    pub fn run(&mut self) -> Result<f64, Box<dyn Error>> {
        let start = Instant::now();
        self.session.run(ort::inputs![&self.input])?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }
}
