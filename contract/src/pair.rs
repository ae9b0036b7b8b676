// SPDX-License-Identifier: MIT OR Apache-2.0

//! Directions, precisions and file names of a generator pair.

use std::fmt;

/// The direction of a generator: G maps domain A to B, F maps B to A (arXiv 1703.10593, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// G: A→B.
    AToB,
    /// F: B→A.
    BToA,
}

impl Direction {
    /// Both directions, G first.
    pub const BOTH: [Self; 2] = [Self::AToB, Self::BToA];

    /// The generator's letter in the paper and in file names.
    pub fn letter(self) -> char {
        match self {
            Self::AToB => 'G',
            Self::BToA => 'F',
        }
    }

    /// Its name in the element's property `direction`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AToB => "forward",
            Self::BToA => "reverse",
        }
    }

    /// The other direction.
    pub fn other(self) -> Self {
        match self {
            Self::AToB => Self::BToA,
            Self::BToA => Self::AToB,
        }
    }

    /// The value of `cyclegan.direction`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AToB => "A2B",
            Self::BToA => "B2A",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The arithmetic of a model file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32-bit floats.
    Fp32,
    /// 16-bit floats.
    Fp16,
    /// 8-bit integers (quantise-dequantise nodes around float32 tensors).
    Int8,
}

impl Precision {
    /// All precisions.
    pub const ALL: [Self; 3] = [Self::Fp32, Self::Fp16, Self::Int8];

    /// Its name in properties, messages and file names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The file of one generator of a pair: `G.onnx`, `F.fp16.onnx`, `G.int8.onnx` and so on.
pub fn file_name(direction: Direction, precision: Precision) -> String {
    let letter = direction.letter();
    match precision {
        Precision::Fp32 => format!("{letter}.onnx"),
        Precision::Fp16 | Precision::Int8 => format!("{letter}.{precision}.onnx"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_have_the_letter_and_the_precision() {
        assert_eq!(file_name(Direction::AToB, Precision::Fp32), "G.onnx");
        assert_eq!(file_name(Direction::AToB, Precision::Int8), "G.int8.onnx");
        assert_eq!(file_name(Direction::BToA, Precision::Fp16), "F.fp16.onnx");
    }
}
