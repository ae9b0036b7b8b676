// SPDX-License-Identifier: MIT OR Apache-2.0

//! Samples of more than eight bits in words.

/// A sample in some or all of the bits of a 16-bit word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Bits of the sample, 9 to 16.
    pub depth: u32,
    /// Number of bits below the sample.
    pub shift: u32,
    /// Whether the first byte is the lower one.
    pub little_endian: bool,
}

impl Word {
    /// The largest value.
    #[inline]
    pub fn mask(self) -> u16 {
        u16::MAX >> (16 - self.depth)
    }
}

/// Three 10-bit samples in a 32-bit word. The other two bits are alpha or padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Bits below the first, second and third sample.
    pub shifts: [u32; 3],
    /// Whether the first byte is the lowest one.
    pub little_endian: bool,
}

impl Packed {
    /// The bits outside the samples.
    #[inline]
    pub fn others(self) -> u32 {
        !self.shifts.iter().fold(0, |bits, shift| bits | 0x3ff << shift)
    }
}
