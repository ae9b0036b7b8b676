// SPDX-License-Identifier: MIT OR Apache-2.0

//! All kernels against one plain reference.

use super::*;
use proptest::prelude::*;

/// The reference of all kernels, one sample at a time in floating point.
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

/// A row of samples in any storage: its bytes, and the depth and place of each entry's sample.
struct Row {
    bytes: Vec<u8>,
    depth: u32,
    places: Vec<Place>,
}

/// The place of an entry's sample: the bytes of an integer, and the bits below the sample.
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

/// The kernels to test, by the storage of the samples.
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
                let sample =
                    |shift| (0..words).map(move |i| place(all(i), shift, packed.little_endian));
                packed.shifts.into_iter().flat_map(sample).collect()
            }
        };
        Row { bytes, depth, places }
    }

    fn add(self, source: &[u8], target: &mut [u8], residual: RowLerp<'_>) {
        match self {
            Self::Bytes => add_bytes(source, target, residual),
            Self::Words(w) if w.little_endian => add_words::<false>(w, source, target, residual),
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

    fn cover(self, source: &[u8], target: &mut [u8], residual: RowLerp<'_>, coverage: RowLerp<'_>) {
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
        // Entries that are not samples have no residual and no coverage.
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
