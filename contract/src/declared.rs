// SPDX-License-Identifier: MIT OR Apache-2.0

//! The inputs and outputs that a file declares.

use std::fmt;

use crate::{
    ContractError,
    onnx::{DataType, ValueInfoProto, dimension::Value},
};

/// The length of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    /// Fixed.
    Fixed(u32),
    /// Dynamic: known at run time.
    Dynamic,
}

impl Dim {
    pub(crate) fn may_be(self, length: u32) -> bool {
        self == Self::Dynamic || self == Self::Fixed(length)
    }

    /// This length if it is fixed, otherwise `other`.
    pub(crate) fn or(self, other: Self) -> Self {
        if self == Self::Dynamic { other } else { self }
    }

    pub(crate) fn agrees(self, other: Self) -> bool {
        self == Self::Dynamic || other == Self::Dynamic || self == other
    }
}

/// The element types that a generator's tensors may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElementType {
    /// float32.
    F32,
    /// float16.
    F16,
}

/// A declared input or output.
pub(crate) struct Declared {
    pub name: String,
    /// `None` for types outside the contract.
    pub element: Option<ElementType>,
    /// `None` if the file gives no shape, which is usual for outputs.
    pub shape: Option<Vec<Dim>>,
    /// The type's name in the file, for messages.
    type_name: String,
}

impl Declared {
    pub fn of(value: &ValueInfoProto) -> Self {
        let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
        let data_type = tensor.and_then(|t| DataType::try_from(t.elem_type).ok());
        let (element, type_name) = match data_type {
            Some(DataType::Float) => (Some(ElementType::F32), "float32".to_owned()),
            Some(DataType::Float16) => (Some(ElementType::F16), "float16".to_owned()),
            Some(other) => (None, format!("{other:?}").to_lowercase()),
            None => (None, "no tensor".to_owned()),
        };
        let shape = tensor.and_then(|t| t.shape.as_ref()).map(|shape| {
            let dims = shape.dim.iter().map(|dim| match dim.value {
                // Some exporters write -1 or 0 for a dynamic axis.
                Some(Value::DimValue(length)) => match u32::try_from(length) {
                    Ok(0) | Err(_) => Dim::Dynamic,
                    Ok(length) => Dim::Fixed(length),
                },
                _ => Dim::Dynamic,
            });
            dims.collect()
        });
        Self { name: value.name.clone(), element, shape, type_name }
    }

    /// The length of axis `index` of N×C×H×W.
    pub fn axis(&self, index: usize) -> Dim {
        let dim = self.shape.as_ref().and_then(|shape| shape.get(index));
        dim.copied().unwrap_or(Dim::Dynamic)
    }

    /// Whether it can be N×`channels`×H×W with one image at a time.
    pub fn is_image(&self, channels: u32) -> bool {
        let rank_fits = self.shape.as_ref().is_none_or(|shape| shape.len() == 4);
        rank_fits && self.axis(0).may_be(1) && self.axis(1).may_be(channels)
    }

    /// Whether it is N×H×W×3, which is usual in TensorFlow.
    pub fn has_channels_last(&self) -> bool {
        let rank_fits = self.shape.as_ref().is_some_and(|shape| shape.len() == 4);
        rank_fits && self.axis(1) != Dim::Fixed(3) && self.axis(3) == Dim::Fixed(3)
    }

    /// What the user can do about a layout or a type that other exporters write, or nothing.
    fn remedy(&self) -> String {
        let mut remedy = String::new();
        if self.has_channels_last() {
            remedy.push_str(
                "; its channels come last: export it with channels first, as `--inputs-as-nchw` and \
                 `--outputs-as-nchw` of tf2onnx do, or add a Transpose as docs/models.md shows",
            );
        }
        if self.element.is_none() && self.shape.is_some() {
            remedy.push_str(&format!(
                "; export it with float32 instead of {}, or add a Cast as docs/models.md shows",
                self.type_name
            ));
        }
        if let Dim::Fixed(batch @ 2..) = self.axis(0)
            && self.shape.as_ref().is_some_and(|shape| shape.len() == 4)
        {
            remedy.push_str(&format!(
                "; its batch is {batch}: export it for one image, or with a dynamic batch axis as \
                 docs/models.md shows"
            ));
        }
        remedy
    }

    /// The same for an output.
    fn output_remedy(&self) -> String {
        match self.shape.as_deref() {
            Some([_, _]) => "; this looks like a classifier, not an image generator".to_owned(),
            _ => self.remedy(),
        }
    }

    pub fn refused(&self) -> ContractError {
        ContractError::Input { found: format!("input is {self}"), remedy: self.remedy() }
    }

    pub fn refused_as_output(&self, input: &Self) -> ContractError {
        ContractError::Output {
            found: format!("output is {self}"),
            expected: input.to_string(),
            remedy: self.output_remedy(),
        }
    }
}

impl fmt::Display for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({}", self.name, self.type_name)?;
        for (axis, dim) in self.shape.iter().flatten().enumerate() {
            f.write_str(if axis == 0 { " " } else { "×" })?;
            match dim {
                Dim::Fixed(length) => write!(f, "{length}")?,
                Dim::Dynamic => f.write_str("?")?,
            }
        }
        f.write_str(")")
    }
}
