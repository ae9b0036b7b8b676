// SPDX-License-Identifier: MIT OR Apache-2.0

//! The tables of the samples of a track: where they are, and when they start.

use std::iter::repeat_n;

use super::{boxes::number, trak::Trak};

/// The offsets and sizes of the samples (ISO/IEC 14496-12, sections 8.7.3 to 8.7.5).
pub fn places(track: Trak<'_>) -> Option<impl Iterator<Item = (u64, u32)>> {
    // A list follows if the sizes vary.
    let (common, count) = track.sizes()?;
    let list = track.table(b"stsz")?.get(12..)?.as_chunks::<4>().0;
    let size = move |i| match common {
        0 => list.get(i).map(|size| u32::from_be_bytes(*size)),
        _ => Some(common),
    };
    let mut chunks = (1..).zip(track.chunks()?);
    // Each run has the number of its first chunk, and how many samples its chunks have.
    let mut runs = track.table(b"stsc")?.get(8..)?.as_chunks::<12>().0.iter().peekable();
    let (mut in_chunk, mut left, mut next) = (0, 0, 0);
    Some((0..count as usize).map_while(move |i| {
        let size = size(i)?;
        while left == 0 {
            let (chunk, start) = chunks.next()?;
            let begins = |run: &&[u8; 12]| number(*run, 0).is_some_and(|first| first <= chunk);
            while let Some(run) = runs.next_if(begins) {
                in_chunk = number(run, 4)?;
            }
            (left, next) = (in_chunk, start);
        }
        let at = next;
        (left, next) = (left - 1, at.checked_add(size.into())?);
        Some((at, size))
    }))
}

/// When the samples start, units of the track (section 8.6.1.2).
pub fn starts(track: Trak<'_>) -> Option<impl Iterator<Item = u64>> {
    let runs = track.table(b"stts")?.get(8..)?.as_chunks::<8>().0;
    let durations = runs.iter().flat_map(|run| {
        let [count, duration] = [0, 4].map(|at| number(run, at).unwrap_or(0));
        repeat_n(u64::from(duration), count as usize)
    });
    Some(durations.scan(0_u64, |next, duration| {
        let start = *next;
        *next = start.saturating_add(duration);
        Some(start)
    }))
}

#[cfg(test)]
mod tests {
    use super::{super::boxes::boxed, *};

    #[test]
    fn samples_follow_each_other_in_chunks() {
        let table = |kind: &[u8; 4], numbers: &[u32]| {
            let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
            boxed(kind, &[&[0; 4][..], &numbers].concat())
        };
        let track = |sizes: &[u32]| {
            let runs = table(b"stsc", &[2, 1, 2, 1, 3, 1, 1]);
            let chunks = table(b"stco", &[3, 100, 200, 300]);
            let times = table(b"stts", &[2, 3, 10, 2, 5]);
            let tables = [runs, chunks, times, table(b"stsz", sizes)].concat();
            boxed(b"mdia", &boxed(b"minf", &boxed(b"stbl", &tables)))
        };
        let varying = track(&[0, 5, 1, 2, 3, 4, 5]);
        let all: Vec<_> = places(Trak(&varying)).unwrap().collect();
        assert_eq!(all, [(100, 1), (101, 2), (200, 3), (203, 4), (300, 5)]);
        let all: Vec<_> = starts(Trak(&varying)).unwrap().collect();
        assert_eq!(all, [0, 10, 20, 30, 35]);
        let equal = track(&[7, 3]);
        let all: Vec<_> = places(Trak(&equal)).unwrap().collect();
        assert_eq!(all, [(100, 7), (107, 7), (200, 7)]);
    }
}
