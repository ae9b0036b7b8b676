// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where the colour samples of a frame stand, plane by plane, and adding a change to a row of them.

use gst_video::{VideoFormat, VideoFormatInfo, VideoInfo};

use super::{
    geometry::Rect,
    upsample::{RowLerp, WEIGHT_ONE},
    word::Word,
};

/// Bits below the point of a change times a weight: 6 of the change, 8 of the weight.
const FRACTION: u32 = 14;
/// The whole of a frame's sample is kept.
const KEEP_ALL: i32 = 1 << FRACTION;
/// The whole of a frame's sample is covered, see [`Plane::cover`].
pub const COVER_ALL: f32 = KEEP_ALL as f32;

/// The colour samples of one plane, or of a part of it. A row is taken as a run of bytes or of
/// 16-bit words, some of which are samples; alpha and padding are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plane {
    /// Which plane of the frame.
    pub index: usize,
    /// The row of the frame's plane that it begins with.
    pub first_row: u32,
    /// Rows.
    pub height: u32,
    /// The bytes or words of the frame's row that stand before it.
    pub start: usize,
    /// The components that stand in it.
    pub components: Vec<Component>,
    /// How many times the frame's height is halved.
    halvings: u32,
    sample: Sample,
}

/// The samples of one component in a row of a plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// 0 for Y or R, 1 for U or G, 2 for V or B.
    pub number: usize,
    /// The sample of the frame's row that it begins with.
    pub first: u32,
    /// Bytes or words from the plane's start to the first sample.
    pub offset: usize,
    /// Bytes or words from one sample to the next.
    pub stride: usize,
    /// Samples in a row.
    pub width: u32,
    /// How many times the frame's width is halved.
    halvings: u32,
}

/// How a sample is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sample {
    /// A byte, all of it.
    Byte,
    /// Some or all bits of a 16-bit word.
    Word(Word),
}

impl Plane {
    /// The planes of frames of `info` that hold colour, or `None` if not each sample stands in a
    /// byte or a 16-bit word of its own.
    pub fn all(info: &VideoInfo) -> Option<Vec<Self>> {
        let format = info.format_info();
        if format.is_complex() || format.is_tiled() || format.has_palette() {
            return None;
        }
        let colors = (format.n_components() as usize).min(if format.is_gray() { 1 } else { 3 });
        let mut planes: Vec<Self> = Vec::new();
        for number in 0..colors {
            let sample = Sample::of(&format, number)?;
            let component = Component {
                number,
                first: 0,
                offset: offset(&format, number) / sample.bytes(),
                stride: usize::try_from(format.pixel_stride()[number]).ok()? / sample.bytes(),
                width: format.scale_width(number as u8, info.width()),
                halvings: format.w_sub()[number],
            };
            let index = format.plane()[number] as usize;
            let height = format.scale_height(number as u8, info.height());
            match planes.iter_mut().find(|plane| plane.index == index) {
                None => planes.push(Self {
                    index,
                    first_row: 0,
                    height,
                    start: 0,
                    components: vec![component],
                    halvings: format.h_sub()[number],
                    sample,
                }),
                Some(plane) => {
                    // GStreamer describes the components of RGB10A2 and its like as one place.
                    let is_taken =
                        plane.components.iter().any(|other| other.offset == component.offset);
                    if is_taken || (plane.height, plane.sample) != (height, sample) {
                        return None;
                    }
                    plane.components.push(component);
                }
            }
        }
        Some(planes)
    }

    /// The part that shows `rect`, which is in pixels of the frame and lies in it.
    pub fn part(&self, rect: &Rect) -> Self {
        let span = |start: u32, length: u32, halvings: u32| {
            let first = start >> halvings;
            (first, (start + length).div_ceil(1 << halvings) - first)
        };
        let (first_row, height) = span(rect.y, rect.size.height, self.halvings);
        let components = self.components.iter().map(|component| {
            let (first, width) = span(rect.x, rect.size.width, component.halvings);
            Component {
                first,
                width,
                offset: component.offset + first as usize * component.stride,
                ..*component
            }
        });
        let mut components: Vec<_> = components.collect();
        let start = components.iter().map(|component| component.offset).min().unwrap_or(0);
        components.iter_mut().for_each(|component| component.offset -= start);
        Self { first_row, height, start, components, ..*self }
    }

    /// Of a row of the frame's plane, what stands in this part of it.
    pub fn of_row<'a>(&self, row: &'a mut [u8]) -> &'a mut [u8] {
        let bytes = self.sample.bytes();
        &mut row[self.start * bytes..][..self.row_length() * bytes]
    }

    /// Bytes or words from the first to the last sample of a row, both included.
    pub fn row_length(&self) -> usize {
        let end = |component: &Component| {
            component.offset + (component.width as usize - 1) * component.stride + 1
        };
        self.components.iter().map(end).max().unwrap_or(0)
    }

    /// Adds `change` to a row: sample = keep · sample + change, within the sample's range.
    ///
    /// `row` begins with the plane's row and holds at least [`Plane::row_length`].
    pub fn add(&self, row: &mut [u8], change: &RowLerp<'_>, keep: f32) {
        let keep = (keep * KEEP_ALL as f32).round() as i32;
        match (self.sample, keep) {
            (Sample::Byte, KEEP_ALL) => add_bytes(row, change),
            (Sample::Byte, _) => blend_bytes(row, change, keep),
            (Sample::Word(word), _) => add_words(word, row, change, keep),
        }
    }

    /// Covers a row: sample = (1 − cover) · sample + change, within the sample's range.
    ///
    /// `cover` is in parts of [`COVER_ALL`]; `row` is as for [`Plane::add`].
    pub fn cover(&self, row: &mut [u8], change: &RowLerp<'_>, cover: &RowLerp<'_>) {
        match self.sample {
            Sample::Byte => cover_bytes(row, change, cover),
            Sample::Word(word) => cover_words(word, row, change, cover),
        }
    }
}

impl Sample {
    fn of(format: &VideoFormatInfo, component: usize) -> Option<Self> {
        let (depth, shift) = (format.depth()[component], format.shift()[component]);
        let pixel_stride = format.pixel_stride()[component];
        match depth {
            8 if shift == 0 && pixel_stride >= 1 => Some(Self::Byte),
            9..=16 if depth + shift <= 16 && pixel_stride >= 2 && pixel_stride % 2 == 0 => {
                Some(Self::Word(Word { depth, shift, little_endian: is_little_endian(format) }))
            }
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Word(_) => 2,
        }
    }
}

/// Bytes before the first sample of `component`. GStreamer 1.22 describes two kinds of formats
/// otherwise than it reads and writes them.
fn offset(format: &VideoFormatInfo, component: usize) -> usize {
    let described = format.poffset()[component] as usize;
    match format.format() {
        VideoFormat::Vyuy => [1, 2, 0][component],
        // P010 and its like: the second word of a pair, counted in words.
        _ if format.depth()[component] > 8 && described == 1 => 2,
        _ => described,
    }
}

/// Whether words are little-endian; v216 is, whatever GStreamer's description says.
fn is_little_endian(format: &VideoFormatInfo) -> bool {
    format.is_le() || format.format() == VideoFormat::V216
}

/// Adds a change of 0 to everything that is no sample.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn add_bytes(row: &mut [u8], change: &RowLerp<'_>) {
    let RowLerp { before, after, weight, .. } = *change;
    for (sample, (&before, &after)) in row.iter_mut().zip(before.iter().zip(after)) {
        let change = (weighted(before, after, weight) + HALF) >> FRACTION;
        *sample = (i32::from(*sample) + change).clamp(0, 255) as u8;
    }
}

/// Keeps a part of each sample, and the whole of everything else.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn blend_bytes(row: &mut [u8], change: &RowLerp<'_>, keep: i32) {
    let RowLerp { before, after, weight, is_sample } = *change;
    let changes = before.iter().zip(after).zip(is_sample);
    for (sample, ((&before, &after), &is_sample)) in row.iter_mut().zip(changes) {
        let keep = if is_sample { keep } else { KEEP_ALL };
        let sum = i32::from(*sample) * keep + weighted(before, after, weight) + HALF;
        *sample = (sum >> FRACTION).clamp(0, 255) as u8;
    }
}

/// The same for 16-bit words.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn add_words(word: Word, row: &mut [u8], change: &RowLerp<'_>, keep: i32) {
    let RowLerp { before, after, weight, is_sample } = *change;
    let changes = before.iter().zip(after).zip(is_sample);
    for (bytes, ((&before, &after), &is_sample)) in row.chunks_exact_mut(2).zip(changes) {
        let stored = word.stored(bytes);
        // 2³⁰ of the sample and less than 2³⁰ of the change: an i32 holds both.
        let change = weighted(before, after, weight) << (word.depth - 8);
        let sum = i32::from(word.value(stored)) * keep + change + HALF;
        let value = (sum >> FRACTION).clamp(0, i32::from(word.mask())) as u16;
        let changed = word.with_value(stored, value);
        word.store(bytes, if is_sample { changed } else { stored });
    }
}

/// Keeps of each sample what is not covered; what is no sample has no cover and no change.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn cover_bytes(row: &mut [u8], change: &RowLerp<'_>, cover: &RowLerp<'_>) {
    let changes = change.before.iter().zip(change.after);
    let covers = cover.before.iter().zip(cover.after);
    for (sample, ((&before, &after), (&cover_before, &cover_after))) in
        row.iter_mut().zip(changes.zip(covers))
    {
        let keep = kept(cover_before, cover_after, cover.weight);
        let sum = i32::from(*sample) * keep + weighted(before, after, change.weight) + HALF;
        *sample = (sum >> FRACTION).clamp(0, 255) as u8;
    }
}

/// The same for 16-bit words.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn cover_words(word: Word, row: &mut [u8], change: &RowLerp<'_>, cover: &RowLerp<'_>) {
    let changes = change.before.iter().zip(change.after);
    let covers = cover.before.iter().zip(cover.after);
    for (bytes, ((&before, &after), (&cover_before, &cover_after))) in
        row.chunks_exact_mut(2).zip(changes.zip(covers))
    {
        let stored = word.stored(bytes);
        let keep = kept(cover_before, cover_after, cover.weight);
        // As in `add_words`, an i32 holds the sum.
        let change = weighted(before, after, change.weight) << (word.depth - 8);
        let sum = i32::from(word.value(stored)) * keep + change + HALF;
        let value = (sum >> FRACTION).clamp(0, i32::from(word.mask())) as u16;
        word.store(bytes, word.with_value(stored, value));
    }
}

/// What a cover leaves of a sample, in parts of [`KEEP_ALL`].
#[inline]
fn kept(before: i16, after: i16, weight: i32) -> i32 {
    KEEP_ALL - weighted(before, after, weight) / WEIGHT_ONE
}

/// Rounds when the fraction is cut off.
const HALF: i32 = 1 << (FRACTION - 1);

#[inline]
fn weighted(before: i16, after: i16, weight: i32) -> i32 {
    i32::from(before) * (WEIGHT_ONE - weight) + i32::from(after) * weight
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn planes(format: VideoFormat, width: u32, height: u32) -> Option<Vec<Plane>> {
        gst::init().unwrap();
        Plane::all(&VideoInfo::builder(format, width, height).build().unwrap())
    }

    #[test]
    fn odd_sizes_round_sub_sampled_planes_up() {
        let planes = planes(VideoFormat::I420, 5, 3).unwrap();
        let sizes: Vec<_> = planes.iter().map(|p| (p.row_length(), p.height)).collect();
        assert_eq!(sizes, [(5, 3), (3, 2), (3, 2)]);
    }

    #[test]
    fn packed_components_share_a_plane() {
        let planes = planes(VideoFormat::Yuy2, 4, 2).unwrap();
        let components: Vec<_> =
            planes[0].components.iter().map(|l| (l.offset, l.stride, l.width)).collect();
        assert_eq!((planes.len(), components), (1, vec![(0, 2, 4), (1, 4, 2), (3, 4, 2)]));
    }

    #[test]
    fn a_part_begins_at_its_first_sample() {
        let rect = |x, y, width, height| Rect { x, y, size: crate::Size { width, height } };
        let planes = planes(VideoFormat::I420, 37, 21).unwrap();
        let parts: Vec<_> = planes.iter().map(|plane| plane.part(&rect(8, 6, 29, 4))).collect();
        let places: Vec<_> =
            parts.iter().map(|p| (p.start, p.row_length(), p.first_row, p.height)).collect();
        assert_eq!(places, [(8, 29, 6, 4), (4, 15, 3, 2), (4, 15, 3, 2)]);

        let yuy2 = self::planes(VideoFormat::Yuy2, 16, 4).unwrap()[0].part(&rect(4, 1, 6, 2));
        let components: Vec<_> =
            yuy2.components.iter().map(|l| (l.offset, l.first, l.width)).collect();
        assert_eq!((yuy2.start, components), (8, vec![(0, 4, 6), (1, 2, 3), (3, 2, 3)]));
    }

    #[test]
    fn alpha_is_no_color() {
        for format in [VideoFormat::Rgba, VideoFormat::Ayuv, VideoFormat::A420, VideoFormat::Argb64]
        {
            let planes = planes(format, 4, 4).unwrap();
            assert_eq!(planes.iter().map(|plane| plane.components.len()).sum::<usize>(), 3);
        }
    }

    #[test]
    fn samples_that_share_words_are_not_reached_in_place() {
        for format in [VideoFormat::V210, VideoFormat::Rgb16, VideoFormat::Rgb10a2Le] {
            assert_eq!(planes(format, 4, 4), None);
        }
    }

    /// The definition, a sample at a time and in floating point.
    fn add_reference(
        stored: u16,
        word: Word,
        before: i16,
        after: i16,
        weight: i32,
        keep: f64,
    ) -> u16 {
        let weight = f64::from(weight) / f64::from(WEIGHT_ONE);
        let steps = f64::from(before) * (1.0 - weight) + f64::from(after) * weight;
        let change = steps / 64.0 * f64::from(word.depth - 8).exp2();
        let sum = f64::from(word.value(stored)) * keep + change;
        let value = (sum + 0.5).floor().clamp(0.0, f64::from(word.mask()));
        word.with_value(stored, value as u16)
    }

    proptest! {
        #[test]
        fn rows_agree_with_the_definition(
            stored in proptest::collection::vec(any::<u16>(), 1..100),
            change in proptest::collection::vec((-16_383i16..16_384, -16_383i16..16_384, any::<bool>()), 100),
            weight in 0..=WEIGHT_ONE, keep in prop_oneof![Just(KEEP_ALL), 0..=KEEP_ALL],
            word in prop::option::of((9u32..=16, any::<bool>(), any::<bool>())),
        ) {
            let (is_byte, word) = match word {
                Some((depth, is_high, little_endian)) => {
                    let shift = u32::from(is_high) * (16 - depth);
                    (false, Word { depth, shift, little_endian })
                }
                None => (true, Word { depth: 8, shift: 0, little_endian: true }),
            };
            // What is no sample has no change.
            let change = change.into_iter().map(|(b, a, is)| if is { (b, a, is) } else { (0, 0, is) });
            let (before, (after, is_sample)): (Vec<_>, (Vec<_>, Vec<_>)) =
                change.take(stored.len()).map(|(b, a, is)| (b, (a, is))).unzip();
            let between = RowLerp { before: &before, after: &after, weight, is_sample: &is_sample };
            let sample = if is_byte { Sample::Byte } else { Sample::Word(word) };
            let plane =
                Plane { index: 0, first_row: 0, height: 1, start: 0, components: vec![], halvings: 0, sample };

            let stored: Vec<u16> = stored.into_iter().map(|s| if is_byte { s & 0xff } else { s }).collect();
            let bytes_of = |stored: &[u16]| -> Vec<u8> {
                stored.iter().flat_map(|&stored| {
                    let mut bytes = [0; 2];
                    word.store(&mut bytes, stored);
                    if is_byte { vec![bytes[0]] } else { bytes.to_vec() }
                }).collect()
            };
            let mut row = bytes_of(&stored);
            plane.add(&mut row, &between, keep as f32 / KEEP_ALL as f32);
            let keep = f64::from(keep) / f64::from(KEEP_ALL);
            let expected: Vec<_> = (0..stored.len()).map(|i| {
                if !is_sample[i] { return stored[i] }
                add_reference(stored[i], word, before[i], after[i], weight, keep)
            }).collect();
            prop_assert_eq!(row, bytes_of(&expected));
        }
    }
}
