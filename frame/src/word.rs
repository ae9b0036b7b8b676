// SPDX-License-Identifier: MIT OR Apache-2.0

//! Samples that take some or all bits of a 16-bit word.

/// `depth` bits of a 16-bit word, `shift` bits up from the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Bits of the sample.
    pub depth: u32,
    /// Bits below it that are none of its.
    pub shift: u32,
    /// Whether the byte that comes first is the lower one.
    pub little_endian: bool,
}

impl Word {
    /// The largest value.
    #[inline]
    pub fn mask(self) -> u16 {
        u16::MAX >> (16 - self.depth)
    }

    /// The word in two bytes.
    #[inline]
    pub fn stored(self, bytes: &[u8]) -> u16 {
        let bytes = [bytes[0], bytes[1]];
        if self.little_endian { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
    }

    /// The sample in a word.
    #[inline]
    pub fn value(self, stored: u16) -> u16 {
        stored >> self.shift & self.mask()
    }

    /// `stored` with another value in its bits, all others kept.
    #[inline]
    pub fn with_value(self, stored: u16, value: u16) -> u16 {
        stored & !(self.mask() << self.shift) | value << self.shift
    }

    /// Puts a word into two bytes.
    #[inline]
    pub fn store(self, bytes: &mut [u8], stored: u16) {
        let stored = if self.little_endian { stored.to_le_bytes() } else { stored.to_be_bytes() };
        bytes.copy_from_slice(&stored);
    }
}
