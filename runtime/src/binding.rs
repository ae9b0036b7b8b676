// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tensors bound to a generator, allocated once and used for every frame.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use cyclegan_contract::Size;
use ort::{
    session::{IoBinding, RunOptions, Session},
    value::DynTensor,
};

use super::{
    error::RunError,
    exit,
    interrupt::{self, Interrupt},
    message::reason,
    session::Generator,
    tensor::{Values, ValuesMut, image_shape, mask_shape, values, values_mut, zeros},
};

/// The shape of a [`Binding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindingOptions {
    /// The size of the images, in pixels.
    pub size: Size,
    /// The batch size: 1, or any number if [`Generator::takes_batches`].
    pub batch: u32,
    /// Whether to read the generator's mask, if it has one.
    pub mask: bool,
}

impl From<Size> for BindingOptions {
    /// One image of that size, without its mask.
    fn from(size: Size) -> Self {
        Self { size, batch: 1, mask: false }
    }
}

/// A generator with input and output tensors of one size.
///
/// ```
/// # use std::sync::Arc;
/// use cyclegan_contract::Size;
/// use cyclegan_runtime::{Binding, BindingOptions, Generator, RunError, Values, ValuesMut};
///
/// /// Translates two images at once, and prints the mean of the second one's mask.
/// fn translate(generator: Arc<Generator>, images: [&[f32]; 2]) -> Result<(), RunError> {
///     let size = Size { width: 256, height: 256 };
///     let mut binding = Binding::new(generator, BindingOptions { size, batch: 2, mask: true })?;
///     for (index, image) in (0..).zip(images) {
///         if let ValuesMut::F32(input) = binding.picture_mut(index)? {
///             input.copy_from_slice(image); // 1×3×256×256
///         }
///     }
///     binding.run()?;
///     if let Some(Values::F32(mask)) = binding.picture_mask(1)? {
///         println!("{}", mask.iter().sum::<f32>() / mask.len() as f32);
///     }
///     Ok(())
/// }
/// ```
pub struct Binding {
    generator: Arc<Generator>,
    options: BindingOptions,
    run_options: interrupt::Options,
    tensors: exit::Owned<Tensors>,
}

struct Tensors {
    /// Made by the first run, as this needs the session.
    binding: Option<IoBinding>,
    input: DynTensor,
    output: DynTensor,
    mask: Option<DynTensor>,
}

impl Binding {
    /// Allocates the tensors, filled with zeros.
    ///
    /// Fails if the generator does not accept the batch size, or if memory runs out.
    pub fn new(
        generator: Arc<Generator>,
        options: impl Into<BindingOptions>,
    ) -> Result<Self, RunError> {
        let options = options.into();
        let BindingOptions { size, batch, mask } = options;
        if batch == 0 || batch > 1 && !generator.takes_batches() {
            return Err(RunError::Batch { batch });
        }
        let failed = |error| failed(size, &error);
        let _inside = exit::enter().ok_or(RunError::Interrupted)?;
        let contract = generator.contract();
        let shape = image_shape(batch, size);
        let input = zeros(contract.input_type, shape).map_err(failed)?;
        let output = zeros(contract.output_type, shape).map_err(failed)?;
        let mask_type = contract.mask.filter(|_| mask);
        let mask = mask_type
            .map(|element| zeros(element, mask_shape(batch, size)))
            .transpose()
            .map_err(failed)?;
        let run_options = Arc::new(RunOptions::new().map_err(failed)?);
        let tensors = Tensors { binding: None, input, output, mask };
        let tensors = exit::Owned::new(tensors, generator.provider());
        Ok(Self { generator, options, run_options, tensors })
    }

    /// The input tensor, N×3×H×W. Fill it before [`Binding::run`].
    pub fn input_mut(&mut self) -> Result<ValuesMut<'_>, RunError> {
        let size = self.options.size;
        let element = self.generator.contract().input_type;
        values_mut(&mut self.tensors.input, element).map_err(|error| failed(size, &error))
    }

    /// The input tensor of image `index` of the batch, 1×3×H×W. Fill it before [`Binding::run`]. Fails if
    /// there is no such image.
    pub fn picture_mut(&mut self, index: u32) -> Result<ValuesMut<'_>, RunError> {
        let BindingOptions { size, batch, .. } = self.options;
        let picture = range(index, batch, image_shape(1, size))?;
        Ok(match self.input_mut()? {
            ValuesMut::F32(values) => ValuesMut::F32(&mut values[picture]),
            ValuesMut::F16(values) => ValuesMut::F16(&mut values[picture]),
        })
    }

    /// Translates the images in the input tensor.
    pub fn run(&mut self) -> Result<(), RunError> {
        self.run_until(&Interrupt::default()).map(drop)
    }

    /// The same, until `interrupt` is set: then fails with [`RunError::Interrupted`]. Returns how long it took,
    /// without the wait for other users of the session.
    pub fn run_until(&mut self, interrupt: &Interrupt) -> Result<Duration, RunError> {
        let size = self.options.size;
        let failed = |error| failed(size, &error);
        let Self { generator, run_options, tensors, .. } = self;
        let run_options = &*run_options;
        let _inside = exit::enter().ok_or(RunError::Interrupted)?;
        let Tensors { binding, input, output, mask } = &mut **tensors;
        // Before the input is bound, as a GPU copies it then.
        let mut session = generator.session(interrupt)?;
        let start = Instant::now();
        let binding = match binding {
            Some(binding) => binding,
            None => {
                let name = &generator.contract().output;
                binding.insert(bind(&session, name, output, mask).map_err(failed)?)
            }
        };
        binding.bind_input(&generator.contract().input, input).map_err(failed)?;
        binding.synchronize_inputs().map_err(failed)?;
        let run = || {
            let run = session.run_binding_with_options(binding, run_options);
            run.map(drop).map_err(|error| generator.failed_at(size, &error))
        };
        exit::guard(run_options, || interrupt.guard(run_options, run))?;
        Ok(start.elapsed())
    }

    /// Input and output of the last run, N×3×H×W.
    pub fn input_and_output(&self) -> Result<(Values<'_>, Values<'_>), RunError> {
        let contract = self.generator.contract();
        let failed = |error| failed(self.options.size, &error);
        Ok((
            values(&self.tensors.input, contract.input_type).map_err(failed)?,
            values(&self.tensors.output, contract.output_type).map_err(failed)?,
        ))
    }

    /// Input and output of image `index` of the last run, 1×3×H×W. Fails if there is no such image.
    pub fn picture(&self, index: u32) -> Result<(Values<'_>, Values<'_>), RunError> {
        let BindingOptions { size, batch, .. } = self.options;
        let picture = range(index, batch, image_shape(1, size))?;
        let (input, output) = self.input_and_output()?;
        Ok((input.part(picture.clone()), output.part(picture)))
    }

    /// The masks of the last run, N×1×H×W: how much of each pixel was changed, from 0 to 1. `None` if
    /// the generator has no mask, or it was not requested.
    pub fn mask(&self) -> Result<Option<Values<'_>>, RunError> {
        let element = self.generator.contract().mask;
        let mask = self.tensors.mask.as_ref().zip(element);
        let values = mask.map(|(mask, element)| values(mask, element));
        values.transpose().map_err(|error| failed(self.options.size, &error))
    }

    /// The mask of image `index` of the last run, 1×1×H×W, see [`Binding::mask`].
    pub fn picture_mask(&self, index: u32) -> Result<Option<Values<'_>>, RunError> {
        let BindingOptions { size, batch, .. } = self.options;
        let picture = range(index, batch, mask_shape(1, size))?;
        Ok(self.mask()?.map(|mask| mask.part(picture)))
    }
}

/// Binds the outputs.
fn bind(
    session: &Session,
    name: &str,
    output: &mut DynTensor,
    mask: &mut Option<DynTensor>,
) -> ort::Result<IoBinding> {
    let mut binding = session.create_binding()?;
    binding.bind_output(name, output)?;
    if let Some(mask) = mask {
        binding.bind_output(cyclegan_contract::Generator::MASK, mask)?;
    }
    Ok(binding)
}

/// The values of image `index` of `batch`; each image has the shape `one`.
fn range(index: u32, batch: u32, one: [i64; 4]) -> Result<Range<usize>, RunError> {
    if index >= batch {
        return Err(RunError::Picture { index, batch });
    }
    let (one, index) = (one.iter().product::<i64>() as usize, index as usize);
    Ok(index * one..(index + 1) * one)
}

fn failed(size: Size, error: &ort::Error) -> RunError {
    RunError::Failed { size, reason: reason(error) }
}
