// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tensors of images and masks in CPU memory.

use std::ops::Range;

use cyclegan_contract::{ElementType, Size};
use half::f16;
use ort::{
    memory::Allocator,
    value::{DynTensor, DynValue, TensorElementType},
};

/// Values of a tensor, N×C×H×W.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// float32.
    F32(&'a [f32]),
    /// float16.
    F16(&'a [f16]),
}

impl<'a> Values<'a> {
    /// Some of them.
    pub(super) fn part(self, range: Range<usize>) -> Values<'a> {
        match self {
            Self::F32(values) => Self::F32(&values[range]),
            Self::F16(values) => Self::F16(&values[range]),
        }
    }
}

/// Mutable values of a tensor, N×C×H×W.
#[derive(Debug)]
pub enum ValuesMut<'a> {
    /// float32.
    F32(&'a mut [f32]),
    /// float16.
    F16(&'a mut [f16]),
}

/// The shape of `batch` images, N×3×H×W.
pub fn image_shape(batch: u32, size: Size) -> [i64; 4] {
    [i64::from(batch), 3, i64::from(size.height), i64::from(size.width)]
}

/// The shape of the masks of `batch` images, N×1×H×W.
pub fn mask_shape(batch: u32, size: Size) -> [i64; 4] {
    [i64::from(batch), 1, i64::from(size.height), i64::from(size.width)]
}

/// A tensor filled with zeros.
pub fn zeros(element: ElementType, shape: [i64; 4]) -> ort::Result<DynTensor> {
    let allocator = Allocator::default();
    match element {
        ElementType::F32 => {
            let mut tensor = DynTensor::new(&allocator, TensorElementType::Float32, shape)?;
            tensor.try_extract_tensor_mut::<f32>()?.1.fill(0.0);
            Ok(tensor)
        }
        ElementType::F16 => {
            let mut tensor = DynTensor::new(&allocator, TensorElementType::Float16, shape)?;
            tensor.try_extract_tensor_mut::<f16>()?.1.fill(f16::ZERO);
            Ok(tensor)
        }
    }
}

/// The values of `tensor`.
pub fn values(tensor: &DynTensor, element: ElementType) -> ort::Result<Values<'_>> {
    Ok(match element {
        ElementType::F32 => Values::F32(tensor.try_extract_tensor()?.1),
        ElementType::F16 => Values::F16(tensor.try_extract_tensor()?.1),
    })
}

/// The mutable values of `tensor`.
pub fn values_mut(tensor: &mut DynTensor, element: ElementType) -> ort::Result<ValuesMut<'_>> {
    Ok(match element {
        ElementType::F32 => ValuesMut::F32(tensor.try_extract_tensor_mut()?.1),
        ElementType::F16 => ValuesMut::F16(tensor.try_extract_tensor_mut()?.1),
    })
}

/// Whether all values of a tensor are finite.
pub fn is_finite(tensor: &DynValue, element: ElementType) -> ort::Result<bool> {
    Ok(match element {
        ElementType::F32 => tensor.try_extract_tensor::<f32>()?.1.iter().all(|v| v.is_finite()),
        ElementType::F16 => tensor.try_extract_tensor::<f16>()?.1.iter().all(|v| v.is_finite()),
    })
}
