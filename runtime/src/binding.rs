// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tensors bound to a generator, made once and used for each frame.

use std::sync::Arc;

use half::f16;
use ort::{session::IoBinding, value::DynTensor};

use super::{
    error::{RunError, reason},
    session::{Generator, black},
};
use cyclegan_contract::Size;

/// Values of an image tensor, 1×3×H×W.
#[derive(Clone, Copy)]
pub enum Values<'a> {
    /// float32.
    F32(&'a [f32]),
    /// float16.
    F16(&'a [f16]),
}

/// Values of an image tensor, 1×3×H×W, to be written.
pub enum ValuesMut<'a> {
    /// float32.
    F32(&'a mut [f32]),
    /// float16.
    F16(&'a mut [f16]),
}

/// A generator with an input and an output tensor of one size.
pub struct Binding {
    generator: Arc<Generator>,
    size: Size,
    binding: IoBinding,
    input: DynTensor,
    output: DynTensor,
}

impl Binding {
    /// Makes the tensors for pictures of `size`, the input black.
    pub fn new(generator: Arc<Generator>, size: Size) -> Result<Self, RunError> {
        let failed = |error| failed(size, &error);
        let contract = generator.contract();
        let input = black(contract.input_type, size).map_err(failed)?;
        let mut output = black(contract.output_type, size).map_err(failed)?;
        let mut binding = generator.session().create_binding().map_err(failed)?;
        binding.bind_output(&contract.output, &mut output).map_err(failed)?;
        Ok(Self { generator, size, binding, input, output })
    }

    /// The generator that it runs.
    pub fn generator(&self) -> &Arc<Generator> {
        &self.generator
    }

    /// The input tensor, to be filled before [`Binding::run`].
    pub fn input_mut(&mut self) -> Result<ValuesMut<'_>, RunError> {
        let size = self.size;
        let values = match self.generator.contract().input_type {
            cyclegan_contract::ElementType::F32 => {
                self.input.try_extract_tensor_mut().map(|(_, values)| ValuesMut::F32(values))
            }
            cyclegan_contract::ElementType::F16 => {
                self.input.try_extract_tensor_mut().map(|(_, values)| ValuesMut::F16(values))
            }
        };
        values.map_err(|error| failed(size, &error))
    }

    /// Translates the picture in the input tensor.
    pub fn run(&mut self) -> Result<(), RunError> {
        let size = self.size;
        let failed = |error| failed(size, &error);
        let name = &self.generator.contract().input;
        // A GPU takes its copy of the input when it is bound.
        self.binding.bind_input(name, &self.input).map_err(failed)?;
        self.generator.session().run_binding(&self.binding).map_err(failed)?;
        Ok(())
    }

    /// Input and output of the last run.
    pub fn input_and_output(&self) -> Result<(Values<'_>, Values<'_>), RunError> {
        let contract = self.generator.contract();
        let failed = |error| failed(self.size, &error);
        Ok((
            values(&self.input, contract.input_type).map_err(failed)?,
            values(&self.output, contract.output_type).map_err(failed)?,
        ))
    }
}

fn values(tensor: &DynTensor, element: cyclegan_contract::ElementType) -> ort::Result<Values<'_>> {
    match element {
        cyclegan_contract::ElementType::F32 => {
            Ok(Values::F32(tensor.try_extract_tensor::<f32>()?.1))
        }
        cyclegan_contract::ElementType::F16 => {
            Ok(Values::F16(tensor.try_extract_tensor::<f16>()?.1))
        }
    }
}

fn failed(size: Size, error: &ort::Error) -> RunError {
    RunError::Failed { size, reason: reason(error) }
}
