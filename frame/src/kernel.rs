// SPDX-License-Identifier: MIT OR Apache-2.0

//! Adding a residual to a row of samples: the inner loops.
//!
//! Each kernel reads a source row and writes a target row once, so that a target in uncached memory
//! costs no more than a copy. The loops have no branches and no bounds checks, so that the compiler
//! makes vector code of them. `reference` in the tests is the plain definition that they all meet
//! bit for bit.

use super::word::{Packed, Word};

/// Parts of a lerp's weight: 256 is the whole.
pub const WEIGHT_ONE: i32 = 256;
/// Fractional bits of a residual times a weight: 6 of the residual, 8 of the weight.
const FRACTION: u32 = 14;
/// The weight of a frame's sample that is kept as it is.
pub const KEEP_ALL: i32 = 1 << FRACTION;
/// Rounds when the fraction is cut off.
const HALF: i32 = 1 << (FRACTION - 1);

/// Two rows of numbers between which a row of the plane lies: before + (after − before) · weight.
/// One entry for each byte, word or packed sample of the plane's row, 0 where no sample stands.
#[derive(Clone, Copy)]
pub struct RowLerp<'a> {
    /// The row before.
    pub before: &'a [i16],
    /// The row after.
    pub after: &'a [i16],
    /// The share of `after`, in parts of [`WEIGHT_ONE`].
    pub weight: i32,
}

impl<'a> RowLerp<'a> {
    /// The entries of one of three samples in each packed word, of `words` words.
    #[inline]
    fn lane(&self, lane: usize, words: usize) -> Self {
        let part = |row: &'a [i16]| &row[lane * words..][..words];
        Self { before: part(self.before), after: part(self.after), weight: self.weight }
    }

    /// The entries one after the other.
    #[inline]
    fn pairs(self) -> impl Iterator<Item = (&'a i16, &'a i16)> {
        self.before.iter().zip(self.after)
    }
}

/// The lerp, in parts of [`WEIGHT_ONE`].
#[inline]
fn lerp(before: i16, after: i16, weight: i32) -> i32 {
    let (before, after) = (i32::from(before), i32::from(after));
    before * WEIGHT_ONE + (after - before) * weight
}

/// What a coverage leaves of a sample, in parts of [`KEEP_ALL`].
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

/// target = keep · source + residual, in bytes. `is_sample` is −1 where a sample stands and 0
/// elsewhere, where the source is kept.
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

/// How a sample lies in its word, as the loops need it: a sum of a sample and a residual in i32.
///
/// A sample of 16 bits times [`KEEP_ALL`] takes 30 bits and the residual less than 30 more, so an
/// i32 holds the sum.
#[derive(Clone, Copy)]
struct Bits {
    shift: u32,
    max: i32,
    /// The bits of the word that are not the sample's.
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
    // One shift in place of one up and one down.
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
/// Residuals are in steps of 8-bit samples, packed ones have two bits more.
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
    let [first, second, third] = [0, 1, 2].map(|lane| residual.lane(lane, words).pairs());
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
    let [first, second, third] = [0, 1, 2]
        .map(|lane| residual.lane(lane, words).pairs().zip(&is_sample[lane * words..][..words]));
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
    let lanes = [0, 1, 2]
        .map(|lane| residual.lane(lane, words).pairs().zip(coverage.lane(lane, words).pairs()));
    let [first, second, third] = lanes;
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition of all kernels, a sample at a time and in floating point.
    fn reference(value: u32, depth: u32, residual: f64, keep: f64) -> u32 {
        let residual = residual / 64.0 * f64::from(depth - 8).exp2();
        let max = f64::from((1u32 << depth) - 1);
        (f64::from(value) * keep + residual + 0.5).floor().clamp(0.0, max) as u32
    }

    /// One entry of the rows that a kernel lerps: before and after.
    type Pair = (i16, i16);

    fn lerp_reference((before, after): Pair, weight: i32) -> f64 {
        let weight = f64::from(weight) / f64::from(WEIGHT_ONE);
        f64::from(before) * (1.0 - weight) + f64::from(after) * weight
    }

    /// A row of some storage: bytes of words, and the depth and place of each entry's sample.
    struct Row {
        bytes: Vec<u8>,
        depth: u32,
        places: Vec<Place>,
    }

    /// Where an entry's sample stands: bits of an integer of some bytes.
    struct Place {
        bytes: std::ops::Range<usize>,
        shift: u32,
        little_endian: bool,
    }

    impl Row {
        fn word(&self, place: &Place) -> u32 {
            let bytes = self.bytes[place.bytes.clone()].iter().enumerate();
            let count = place.bytes.len();
            bytes.fold(0, |word, (i, &byte)| {
                let i = if place.little_endian { i } else { count - 1 - i };
                word | u32::from(byte) << (8 * i)
            })
        }

        /// The row with each sample set to `sample(entry, value)`.
        fn map(&self, sample: impl Fn(usize, u32) -> u32) -> Vec<u8> {
            let mut row = Self { bytes: self.bytes.clone(), depth: self.depth, places: vec![] };
            for (entry, place) in self.places.iter().enumerate() {
                let mask = ((1 << self.depth) - 1) << place.shift;
                let word = row.word(place);
                let value = sample(entry, (word & mask) >> place.shift);
                let word = word & !mask | value << place.shift;
                let bytes = match place.little_endian {
                    true => word.to_le_bytes()[..place.bytes.len()].to_vec(),
                    false => word.to_be_bytes()[4 - place.bytes.len()..].to_vec(),
                };
                row.bytes[place.bytes.clone()].copy_from_slice(&bytes);
            }
            row.bytes
        }
    }

    /// Which kernels are tried, and how samples lie.
    #[derive(Clone, Copy, Debug)]
    enum Storage {
        Bytes,
        Words(Word),
        Packed(Packed),
    }

    impl Storage {
        fn row(self, mut bytes: Vec<u8>) -> Row {
            let place = |bytes, shift, little_endian| Place { bytes, shift, little_endian };
            let (unit, depth) = match self {
                Self::Bytes => (1, 8),
                Self::Words(word) => (2, word.depth),
                Self::Packed(_) => (4, 10),
            };
            bytes.truncate(bytes.len() / unit * unit);
            let words = bytes.len() / unit;
            let all = |word: usize| word * unit..(word + 1) * unit;
            let places = match self {
                Self::Bytes => (0..words).map(|i| place(all(i), 0, true)).collect(),
                Self::Words(word) => {
                    (0..words).map(|i| place(all(i), word.shift, word.little_endian)).collect()
                }
                Self::Packed(packed) => {
                    let lane =
                        |shift| (0..words).map(move |i| place(all(i), shift, packed.little_endian));
                    packed.shifts.into_iter().flat_map(lane).collect()
                }
            };
            Row { bytes, depth, places }
        }

        fn add(self, source: &[u8], target: &mut [u8], residual: RowLerp<'_>) {
            match self {
                Self::Bytes => add_bytes(source, target, residual),
                Self::Words(w) if w.little_endian => {
                    add_words::<false>(w, source, target, residual)
                }
                Self::Words(w) => add_words::<true>(w, source, target, residual),
                Self::Packed(p) if p.little_endian => {
                    add_packed::<false>(p, source, target, residual);
                }
                Self::Packed(p) => add_packed::<true>(p, source, target, residual),
            }
        }

        fn blend(
            self,
            source: &[u8],
            target: &mut [u8],
            residual: RowLerp<'_>,
            keep: i32,
            mask: &[i16],
        ) {
            match self {
                Self::Bytes => blend_bytes(source, target, residual, keep, mask),
                Self::Words(w) if w.little_endian => {
                    blend_words::<false>(w, source, target, residual, keep, mask);
                }
                Self::Words(w) => blend_words::<true>(w, source, target, residual, keep, mask),
                Self::Packed(p) if p.little_endian => {
                    blend_packed::<false>(p, source, target, residual, keep, mask);
                }
                Self::Packed(p) => blend_packed::<true>(p, source, target, residual, keep, mask),
            }
        }

        fn cover(
            self,
            source: &[u8],
            target: &mut [u8],
            residual: RowLerp<'_>,
            coverage: RowLerp<'_>,
        ) {
            match self {
                Self::Bytes => cover_bytes(source, target, residual, coverage),
                Self::Words(w) if w.little_endian => {
                    cover_words::<false>(w, source, target, residual, coverage);
                }
                Self::Words(w) => cover_words::<true>(w, source, target, residual, coverage),
                Self::Packed(p) if p.little_endian => {
                    cover_packed::<false>(p, source, target, residual, coverage);
                }
                Self::Packed(p) => cover_packed::<true>(p, source, target, residual, coverage),
            }
        }
    }

    fn storages() -> impl Strategy<Value = Storage> {
        let word = (9u32..=16, any::<bool>(), any::<bool>()).prop_map(|(depth, is_high, order)| {
            let shift = u32::from(is_high) * (16 - depth);
            Storage::Words(Word { depth, shift, little_endian: order })
        });
        let packed = any::<(bool, bool)>().prop_map(|(is_high, little_endian)| {
            let shifts = if is_high { [20, 10, 0] } else { [0, 10, 20] };
            Storage::Packed(Packed { shifts, little_endian })
        });
        prop_oneof![Just(Storage::Bytes), word, packed]
    }

    const MOST: usize = 400;

    fn pairs(range: std::ops::RangeInclusive<i16>) -> impl Strategy<Value = Vec<Pair>> {
        proptest::collection::vec((range.clone(), range), MOST)
    }

    proptest! {
        #[test]
        fn rows_agree_with_the_definition(
            storage in storages(), bytes in proptest::collection::vec(any::<u8>(), 4..=MOST),
            residual in pairs(-16_383..=16_383), coverage in pairs(0..=KEEP_ALL as i16),
            is_sample in proptest::collection::vec(any::<bool>(), MOST),
            weights in (0..=WEIGHT_ONE, 0..=WEIGHT_ONE), keep in 0..=KEEP_ALL,
        ) {
            let row = storage.row(bytes);
            let entries = row.places.len();
            // Where no sample stands there is no residual and no coverage.
            let masked = |pairs: Vec<Pair>| -> Vec<Pair> {
                pairs.iter().zip(&is_sample).map(|(&pair, &is)| if is { pair } else { (0, 0) }).collect()
            };
            let (residual, coverage) = (masked(residual), masked(coverage));
            let mask: Vec<i16> = is_sample[..entries].iter().map(|&is| -i16::from(is)).collect();
            let split = |pairs: &[Pair]| -> (Vec<i16>, Vec<i16>) { pairs[..entries].iter().copied().unzip() };
            let (before, after) = split(&residual);
            let lerp = RowLerp { before: &before, after: &after, weight: weights.0 };
            let (cover_before, cover_after) = split(&coverage);
            let cover = RowLerp { before: &cover_before, after: &cover_after, weight: weights.1 };
            let step = |i: usize| lerp_reference(residual[i], weights.0);

            let mut found = vec![0; row.bytes.len()];
            storage.add(&row.bytes, &mut found, lerp);
            prop_assert_eq!(&found, &row.map(|i, value| reference(value, row.depth, step(i), 1.0)));

            storage.blend(&row.bytes, &mut found, lerp, keep, &mask);
            let share = f64::from(keep) / f64::from(KEEP_ALL);
            let expected = row.map(|i, value| {
                reference(value, row.depth, step(i), if is_sample[i] { share } else { 1.0 })
            });
            prop_assert_eq!(&found, &expected);

            storage.cover(&row.bytes, &mut found, lerp, cover);
            let expected = row.map(|i, value| {
                let covered = lerp_reference(coverage[i], weights.1).floor();
                reference(value, row.depth, step(i), 1.0 - covered / f64::from(KEEP_ALL))
            });
            prop_assert_eq!(&found, &expected);
        }
    }
}
