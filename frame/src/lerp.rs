// SPDX-License-Identifier: MIT OR Apache-2.0

//! Upsamples a row by linear interpolation.

use std::ops::Range;

use super::kernel::WEIGHT_ONE;

/// The position of one output between two inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tap {
    /// The input position before it.
    pub before: u32,
    /// The input position after it, or the same one if the input has one position.
    pub after: u32,
    /// The share of `after`, in parts of `WEIGHT_ONE`.
    pub weight: u16,
}

/// The taps that upsample `input` positions to `output` positions, with aligned centres.
pub fn taps(input: u32, output: u32) -> impl Iterator<Item = Tap> {
    let last = input - 1;
    (0..output).map(move |x| {
        let centre = (f64::from(x) + 0.5) * f64::from(input) / f64::from(output) - 0.5;
        let centre = centre.clamp(0.0, f64::from(last));
        // The last position has no successor, so it is `after` of the previous one, with weight 1.
        let before = (centre.floor() as u32).min(last.saturating_sub(1));
        let weight = ((centre - f64::from(before)) * f64::from(WEIGHT_ONE)).round() as u16;
        Tap { before, after: (before + 1).min(last), weight }
    })
}

/// The taps of a row.
#[derive(Clone, Debug)]
pub struct RowTaps {
    taps: Vec<Tap>,
    /// Blocks of eight, if each block needs at most eight input positions.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(dead_code, reason = "portable code takes the taps")
    )]
    blocks: Vec<Block>,
}

/// Outputs per block, and input positions per block.
const BLOCK: usize = 8;

/// Eight neighbouring taps in the layout of vector instructions.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "portable code takes the taps"))]
struct Block {
    /// The first of eight input positions.
    start: usize,
    /// For each tap the bytes of its two inputs among these.
    places: [u8; 4 * BLOCK],
    /// For each tap the weights of its two inputs.
    weights: [i16; 2 * BLOCK],
}

impl Block {
    fn new(taps: &[Tap], input: u32) -> Option<Self> {
        let start = taps[0].before.min(input.checked_sub(BLOCK as u32)?);
        let mut block = Self { start: start as usize, places: [0; 32], weights: [0; 16] };
        for (i, tap) in taps.iter().enumerate() {
            for (j, position) in [tap.before, tap.after].into_iter().enumerate() {
                let place = position.checked_sub(start).filter(|place| *place < BLOCK as u32)?;
                block.places[4 * i + 2 * j] = 2 * place as u8;
                block.places[4 * i + 2 * j + 1] = 2 * place as u8 + 1;
            }
            let weight = tap.weight as i16;
            block.weights[2 * i] = WEIGHT_ONE as i16 - weight;
            block.weights[2 * i + 1] = weight;
        }
        Some(block)
    }
}

impl RowTaps {
    /// Upsamples `input` positions to `output` positions.
    pub fn new(input: u32, output: u32) -> Self {
        let taps: Vec<_> = taps(input, output).collect();
        let blocks = taps.chunks_exact(BLOCK).map(|taps| Block::new(taps, input));
        Self { blocks: blocks.collect::<Option<_>>().unwrap_or_default(), taps }
    }

    /// Computes the positions `range` of the output from `source`: before + (after − before) · weight.
    pub fn stretch(&self, source: &[i16], range: Range<usize>, target: &mut [i16]) {
        #[cfg(target_arch = "x86_64")]
        if !self.blocks.is_empty() && is_x86_feature_detected!("avx2") {
            // A range may start and end within a block.
            let first = range.start.div_ceil(BLOCK).min(self.blocks.len());
            let last = (range.end / BLOCK).clamp(first, self.blocks.len());
            let (start, end) = (first * BLOCK, last * BLOCK);
            if range.start <= start && end <= range.end && start < end {
                let (head, rest) = target.split_at_mut(start - range.start);
                let (body, tail) = rest.split_at_mut(end - start);
                stretch(source, &self.taps[range.start..start], head);
                // SAFETY: the processor has AVX2.
                unsafe { stretch_blocks(source, &self.blocks[first..last], body) };
                return stretch(source, &self.taps[end..range.end], tail);
            }
        }
        stretch(source, &self.taps[range], target);
    }
}

/// The reference, one tap at a time.
fn stretch(source: &[i16], taps: &[Tap], target: &mut [i16]) {
    for (sample, tap) in target.iter_mut().zip(taps) {
        let before = i32::from(source[tap.before as usize]);
        let after = i32::from(source[tap.after as usize]);
        *sample = (before + (((after - before) * i32::from(tap.weight)) >> 8)) as i16;
    }
}

/// Eight taps at a time: a shuffle puts the two inputs of each tap side by side, and a dot product
/// weights them.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn stretch_blocks(source: &[i16], blocks: &[Block], target: &mut [i16]) {
    use std::arch::x86_64::{
        _mm_loadu_si128, _mm_packs_epi32, _mm_storeu_si128, _mm256_broadcastsi128_si256,
        _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_madd_epi16,
        _mm256_shuffle_epi8, _mm256_srai_epi32,
    };
    for (target, block) in target.as_chunks_mut::<BLOCK>().0.iter_mut().zip(blocks) {
        let Some(inputs) = source[block.start..].first_chunk::<BLOCK>() else { return };
        // SAFETY: each pointer is that of an array of as many bytes as are read or written.
        let (inputs, places, weights) = unsafe {
            (
                _mm_loadu_si128(inputs.as_ptr().cast()),
                _mm256_loadu_si256(block.places.as_ptr().cast()),
                _mm256_loadu_si256(block.weights.as_ptr().cast()),
            )
        };
        let pairs = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(inputs), places);
        let sums = _mm256_srai_epi32::<8>(_mm256_madd_epi16(pairs, weights));
        let low = _mm256_castsi256_si128(sums);
        let samples = _mm_packs_epi32(low, _mm256_extracti128_si256::<1>(sums));
        // SAFETY: as above.
        unsafe { _mm_storeu_si128(target.as_mut_ptr().cast(), samples) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn doubling_blends_a_quarter_and_three_quarters() {
        let weights: Vec<_> = taps(2, 4).map(|tap| (tap.before, tap.weight)).collect();
        assert_eq!(weights, [(0, 0), (0, 64), (0, 192), (0, 256)]);
    }

    #[test]
    fn halving_is_the_mean_of_two() {
        assert!(taps(8, 4).all(|tap| tap.weight == 128 && tap.after == tap.before + 1));
    }

    #[test]
    fn one_sample_fills_the_row() {
        assert!(taps(1, 5).all(|tap| tap == Tap { before: 0, after: 0, weight: 0 }));
    }

    #[test]
    fn upsampling_uses_blocks() {
        for (input, output) in [(8, 16), (455, 1920), (455, 960), (256, 300)] {
            assert_eq!(RowTaps::new(input, output).blocks.len(), output as usize / BLOCK);
        }
        assert!(RowTaps::new(7, 64).blocks.is_empty() && RowTaps::new(64, 32).blocks.is_empty());
    }

    proptest! {
        #[test]
        fn stretching_agrees_with_the_definition(
            source in prop::collection::vec(any::<i16>(), 1..60), output in 1usize..300,
            start in 0usize..300, length in 1usize..300,
        ) {
            let row = RowTaps::new(source.len() as u32, output as u32);
            let start = start % output;
            let range = start..(start + length).min(output);
            let mut expected = vec![0; range.len()];
            stretch(&source, &row.taps[range.clone()], &mut expected);
            let mut found = vec![0; range.len()];
            row.stretch(&source, range, &mut found);
            prop_assert_eq!(found, expected);
        }
    }
}
