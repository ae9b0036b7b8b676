// SPDX-License-Identifier: MIT OR Apache-2.0

//! The inner loops that add a residual to a row of samples.
//!
//! Each kernel reads a source row and writes a target row once, so that a target in uncached memory
//! costs no more than a copy. The loops have no branches and no bounds checks, so that the compiler
//! vectorises them. `reference` in the tests is the plain definition that they all match exactly.

use super::word::{Packed, Word};

/// The weight 1 of a lerp, in fixed point.
pub const WEIGHT_ONE: i32 = 256;
/// Fractional bits of a residual times a weight: 6 of the residual, 8 of the weight.
pub const FRACTION: u32 = 14;
/// The weight of a frame's sample that is kept unchanged.
pub const KEEP_ALL: i32 = 1 << FRACTION;
/// Added before the fraction is cut off, to round.
pub const HALF: i32 = 1 << (FRACTION - 1);

/// Two rows whose lerp is a row of the plane: before + (after − before) · weight. One entry per byte,
/// word or packed sample of the plane's row, 0 for entries that are not samples.
#[derive(Clone, Copy)]
pub struct RowLerp<'a> {
    /// The row before.
    pub before: &'a [i16],
    /// The row after.
    pub after: &'a [i16],
    /// The share of `after`, in parts of `WEIGHT_ONE`.
    pub weight: i32,
}

impl<'a> RowLerp<'a> {
    /// The entries of one of three samples in each packed word, of `words` words.
    #[inline]
    fn sample(&self, sample: usize, words: usize) -> Self {
        let part = |row: &'a [i16]| &row[sample * words..][..words];
        Self { before: part(self.before), after: part(self.after), weight: self.weight }
    }

    /// The lerp of one entry, in parts of `WEIGHT_ONE`.
    pub fn at(&self, entry: usize) -> i32 {
        lerp(self.before[entry], self.after[entry], self.weight)
    }

    /// For a coverage: the share of one entry that remains, in parts of [`KEEP_ALL`].
    pub fn kept_at(&self, entry: usize) -> i32 {
        kept(self.before[entry], self.after[entry], self.weight)
    }

    /// All entries in order.
    #[inline]
    fn pairs(self) -> impl Iterator<Item = (&'a i16, &'a i16)> {
        self.before.iter().zip(self.after)
    }
}

/// The lerp, in parts of `WEIGHT_ONE`.
#[inline]
fn lerp(before: i16, after: i16, weight: i32) -> i32 {
    let (before, after) = (i32::from(before), i32::from(after));
    before * WEIGHT_ONE + (after - before) * weight
}

/// The share of a sample that remains under a coverage, in parts of [`KEEP_ALL`].
#[inline]
fn kept(before: i16, after: i16, weight: i32) -> i32 {
    KEEP_ALL - (lerp(before, after, weight) >> 8)
}

/// target = source + residual, in bytes.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub fn add_bytes(source: &[u8], target: &mut [u8], residual: RowLerp<'_>) {
    let samples = target.iter_mut().zip(source);
    for ((target, &source), (&before, &after)) in samples.zip(residual.pairs()) {
        let residual = (lerp(before, after, residual.weight) + HALF) >> FRACTION;
        *target = (i32::from(source) + residual).clamp(0, 255) as u8;
    }
}

/// target = keep · source + residual, in bytes. `is_sample` is −1 for samples and 0 for other entries,
/// which are kept.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub fn blend_bytes(
    source: &[u8],
    target: &mut [u8],
    residual: RowLerp<'_>,
    keep: i32,
    is_sample: &[i16],
) {
    let samples = target.iter_mut().zip(source).zip(is_sample);
    for (((target, &source), &is_sample), (&before, &after)) in samples.zip(residual.pairs()) {
        let keep = KEEP_ALL + (i32::from(is_sample) & (keep - KEEP_ALL));
        let sum = i32::from(source) * keep + lerp(before, after, residual.weight) + HALF;
        *target = (sum >> FRACTION).clamp(0, 255) as u8;
    }
}

/// target = (1 − coverage) · source + residual, in bytes.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub fn cover_bytes(source: &[u8], target: &mut [u8], residual: RowLerp<'_>, coverage: RowLerp<'_>) {
    let samples = target.iter_mut().zip(source).zip(coverage.pairs());
    for (((target, &source), (&cover_before, &cover_after)), (&before, &after)) in
        samples.zip(residual.pairs())
    {
        let keep = kept(cover_before, cover_after, coverage.weight);
        let sum = i32::from(source) * keep + lerp(before, after, residual.weight) + HALF;
        *target = (sum >> FRACTION).clamp(0, 255) as u8;
    }
}

/// Reads a word of either byte order.
#[inline]
fn load<const BIG_ENDIAN: bool>(bytes: [u8; 2]) -> i32 {
    i32::from(if BIG_ENDIAN { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
}

/// Writes a word of either byte order.
#[inline]
fn store<const BIG_ENDIAN: bool>(word: i32) -> [u8; 2] {
    let word = word as u16;
    if BIG_ENDIAN { word.to_be_bytes() } else { word.to_le_bytes() }
}

/// The position of a sample in its word, for sums of a sample and a residual in i32.
///
/// A sample of 16 bits times [`KEEP_ALL`] takes 30 bits and the residual less than 30 more, so an
/// i32 holds the sum.
#[derive(Clone, Copy)]
struct Bits {
    shift: u32,
    max: i32,
    /// The bits of the word outside the sample.
    others: i32,
    /// Residuals are in steps of 8-bit samples.
    scale: u32,
}

impl From<Word> for Bits {
    fn from(word: Word) -> Self {
        let max = i32::from(word.mask());
        Self {
            shift: word.shift,
            max,
            others: 0xffff & !(max << word.shift),
            scale: word.depth - 8,
        }
    }
}

impl Bits {
    #[inline]
    fn value(self, word: i32) -> i32 {
        word >> self.shift & self.max
    }

    /// The word with another sample in it.
    #[inline]
    fn with_value(self, word: i32, value: i32) -> i32 {
        word & self.others | value.clamp(0, self.max) << self.shift
    }

    /// The word with a sample that is `sum`, in parts of [`KEEP_ALL`].
    #[inline]
    fn with_sum(self, word: i32, sum: i32) -> i32 {
        self.with_value(word, (sum + HALF) >> FRACTION)
    }
}

/// As [`add_bytes`], in 16-bit words.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub fn add_words<const BIG_ENDIAN: bool>(
    word: Word,
    source: &[u8],
    target: &mut [u8],
    residual: RowLerp<'_>,
) {
    let bits = Bits::from(word);
    // One shift instead of two.
    let (half, fraction) = (HALF >> bits.scale, FRACTION - bits.scale);
    let samples = target.as_chunks_mut().0.iter_mut().zip(source.as_chunks().0);
    for ((target, &source), (&before, &after)) in samples.zip(residual.pairs()) {
        let word = load::<BIG_ENDIAN>(source);
        let residual = (lerp(before, after, residual.weight) + half) >> fraction;
        *target = store::<BIG_ENDIAN>(bits.with_value(word, bits.value(word) + residual));
    }
}

/// As [`blend_bytes`], in 16-bit words.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub fn blend_words<const BIG_ENDIAN: bool>(
    word: Word,
    source: &[u8],
    target: &mut [u8],
    residual: RowLerp<'_>,
    keep: i32,
    is_sample: &[i16],
) {
    let bits = Bits::from(word);
    let samples = target.as_chunks_mut().0.iter_mut().zip(source.as_chunks().0).zip(is_sample);
    for (((target, &source), &is_sample), (&before, &after)) in samples.zip(residual.pairs()) {
        let word = load::<BIG_ENDIAN>(source);
        let keep = KEEP_ALL + (i32::from(is_sample) & (keep - KEEP_ALL));
        let residual = lerp(before, after, residual.weight) << bits.scale;
        *target = store::<BIG_ENDIAN>(bits.with_sum(word, bits.value(word) * keep + residual));
    }
}

/// As [`cover_bytes`], in 16-bit words.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub fn cover_words<const BIG_ENDIAN: bool>(
    word: Word,
    source: &[u8],
    target: &mut [u8],
    residual: RowLerp<'_>,
    coverage: RowLerp<'_>,
) {
    let bits = Bits::from(word);
    let samples = target.as_chunks_mut().0.iter_mut().zip(source.as_chunks().0);
    for (((target, &source), (&cover_before, &cover_after)), (&before, &after)) in
        samples.zip(coverage.pairs()).zip(residual.pairs())
    {
        let word = load::<BIG_ENDIAN>(source);
        let keep = kept(cover_before, cover_after, coverage.weight);
        let residual = lerp(before, after, residual.weight) << bits.scale;
        *target = store::<BIG_ENDIAN>(bits.with_sum(word, bits.value(word) * keep + residual));
    }
}

/// The largest 10-bit sample.
const MAX_10: i32 = 0x3ff;
/// Residuals are in steps of 8-bit samples; packed samples have two more bits.
const SCALE_10: u32 = 2;

/// One of three samples in a packed word, in its place.
#[inline]
fn packed_sum(word: u32, shift: u32, keep: i32, residual: i32) -> u32 {
    let value = (word >> shift & MAX_10 as u32) as i32;
    let sum = value * keep + (residual << SCALE_10) + HALF;
    ((sum >> FRACTION).clamp(0, MAX_10) as u32) << shift
}

/// As [`add_bytes`], in 32-bit words of three 10-bit samples each. The rows of the lerp hold the
/// first samples of all words, then the second ones, then the third.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub fn add_packed<const BIG_ENDIAN: bool>(
    packed: Packed,
    source: &[u8],
    target: &mut [u8],
    residual: RowLerp<'_>,
) {
    let words = source.len() / 4;
    let samples = target.as_chunks_mut::<4>().0.iter_mut().zip(source.as_chunks::<4>().0);
    let [first, second, third] = [0, 1, 2].map(|sample| residual.sample(sample, words).pairs());
    let (half, fraction) = (HALF >> SCALE_10, FRACTION - SCALE_10);
    let others = packed.others();
    for ((target, &source), (a, (b, c))) in samples.zip(first.zip(second.zip(third))) {
        let word = load_packed::<BIG_ENDIAN>(source);
        let at = |shift: u32, (before, after): (&i16, &i16)| {
            let value = (word >> shift & MAX_10 as u32) as i32;
            let residual = (lerp(*before, *after, residual.weight) + half) >> fraction;
            ((value + residual).clamp(0, MAX_10) as u32) << shift
        };
        let [x, y, z] = packed.shifts;
        *target = store_packed::<BIG_ENDIAN>(word & others | at(x, a) | at(y, b) | at(z, c));
    }
}

/// As [`blend_bytes`], in 32-bit words as in [`add_packed`].
#[inline]
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub fn blend_packed<const BIG_ENDIAN: bool>(
    packed: Packed,
    source: &[u8],
    target: &mut [u8],
    residual: RowLerp<'_>,
    keep: i32,
    is_sample: &[i16],
) {
    let words = source.len() / 4;
    let samples = target.as_chunks_mut::<4>().0.iter_mut().zip(source.as_chunks::<4>().0);
    let [first, second, third] = [0, 1, 2].map(|sample| {
        residual.sample(sample, words).pairs().zip(&is_sample[sample * words..][..words])
    });
    let others = packed.others();
    for ((target, &source), (a, (b, c))) in samples.zip(first.zip(second.zip(third))) {
        let word = load_packed::<BIG_ENDIAN>(source);
        let at = |shift: u32, ((before, after), is_sample): ((&i16, &i16), &i16)| {
            let keep = KEEP_ALL + (i32::from(*is_sample) & (keep - KEEP_ALL));
            packed_sum(word, shift, keep, lerp(*before, *after, residual.weight))
        };
        let [x, y, z] = packed.shifts;
        *target = store_packed::<BIG_ENDIAN>(word & others | at(x, a) | at(y, b) | at(z, c));
    }
}

/// As [`cover_bytes`], in 32-bit words as in [`add_packed`].
#[inline]
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub fn cover_packed<const BIG_ENDIAN: bool>(
    packed: Packed,
    source: &[u8],
    target: &mut [u8],
    residual: RowLerp<'_>,
    coverage: RowLerp<'_>,
) {
    let samples = target.as_chunks_mut::<4>().0.iter_mut().zip(source.as_chunks::<4>().0);
    let words = source.len() / 4;
    let [first, second, third] = [0, 1, 2].map(|sample| {
        residual.sample(sample, words).pairs().zip(coverage.sample(sample, words).pairs())
    });
    let others = packed.others();
    for ((target, &source), (a, (b, c))) in samples.zip(first.zip(second.zip(third))) {
        let word = load_packed::<BIG_ENDIAN>(source);
        let at = |shift: u32, (change, cover): ((&i16, &i16), (&i16, &i16))| {
            let keep = kept(*cover.0, *cover.1, coverage.weight);
            packed_sum(word, shift, keep, lerp(*change.0, *change.1, residual.weight))
        };
        let [x, y, z] = packed.shifts;
        *target = store_packed::<BIG_ENDIAN>(word & others | at(x, a) | at(y, b) | at(z, c));
    }
}

#[inline]
fn load_packed<const BIG_ENDIAN: bool>(bytes: [u8; 4]) -> u32 {
    if BIG_ENDIAN { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}

#[inline]
fn store_packed<const BIG_ENDIAN: bool>(word: u32) -> [u8; 4] {
    if BIG_ENDIAN { word.to_be_bytes() } else { word.to_le_bytes() }
}

#[cfg(test)]
mod tests;
