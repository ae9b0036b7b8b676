// SPDX-License-Identifier: MIT OR Apache-2.0

//! Colours that are multiplied by the alpha that stands beside them.

use super::{
    kernel::{FRACTION, HALF, RowLerp},
    word::Word,
};

/// Where alpha and colours stand in a row of pixels.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    /// Entries from pixel to pixel.
    pub stride: usize,
    /// The entry of the first pixel's alpha.
    pub alpha: usize,
    /// The entries of the first pixel's colours.
    pub colors: &'a [usize],
    /// The words that the entries are, or `None` for bytes.
    pub word: Option<Word>,
}

impl Pixels<'_> {
    /// target = keep · source + alpha · residual, no brighter than alpha. `keep` gives the share of an
    /// entry in parts of [`KEEP_ALL`](super::kernel::KEEP_ALL).
    pub fn blend(
        &self,
        source: &[u8],
        target: &mut [u8],
        residual: RowLerp<'_>,
        keep: impl Fn(usize) -> i32,
    ) {
        target.copy_from_slice(source);
        let depth = self.word.map_or(8, |word| word.depth);
        let max = i64::from((1 << depth) - 1);
        let entries = residual.before.len();
        for pixel in (0..entries).step_by(self.stride) {
            if pixel + self.alpha >= entries {
                return;
            }
            let alpha = self.get(source, pixel + self.alpha);
            for entry in self.colors.iter().map(|color| pixel + color) {
                let value = self.get(source, entry);
                let step = i64::from(residual.at(entry)) << (depth - 8);
                let sum = value * i64::from(keep(entry)) + step * alpha / max;
                let changed = (sum + i64::from(HALF)) >> FRACTION;
                // What is brighter than its alpha already is not made brighter.
                self.set(target, entry, changed.clamp(0, alpha.max(value)));
            }
        }
    }

    fn get(&self, row: &[u8], entry: usize) -> i64 {
        let Some(word) = self.word else { return i64::from(row[entry]) };
        let bytes = [row[2 * entry], row[2 * entry + 1]];
        let stored =
            if word.little_endian { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) };
        i64::from(stored >> word.shift & word.mask())
    }

    fn set(&self, row: &mut [u8], entry: usize, value: i64) {
        let Some(word) = self.word else {
            row[entry] = value as u8;
            return;
        };
        let bytes = &mut row[2 * entry..2 * entry + 2];
        let stored = [bytes[0], bytes[1]];
        let (own, order) = ((value as u16) << word.shift, word.little_endian);
        let stored = if order { u16::from_le_bytes(stored) } else { u16::from_be_bytes(stored) };
        let stored = stored & !(word.mask() << word.shift) | own;
        bytes.copy_from_slice(&if order { stored.to_le_bytes() } else { stored.to_be_bytes() });
    }
}
