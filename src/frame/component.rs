// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reaching the samples of one colour component inside a frame, and adding a change to them.

use gst_video::VideoInfo;

use super::upsample::{Between, WEIGHT_ONE};

/// Bits below the point of a change times a weight: 6 of the change, 8 of the weight.
const FRACTION: u32 = 14;

/// Where the samples of a component stand, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// The plane that holds it.
    pub plane: usize,
    /// Bytes from the start of a row to the first sample.
    pub offset: usize,
    /// Samples in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from one sample to the next.
    pixel_stride: usize,
    layout: Layout,
}

/// How a sample is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// One byte, all of it.
    Byte,
    /// Some or all bits of a 16-bit word.
    Word(Word),
}

/// `depth` bits of a 16-bit word, `shift` bits up from the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    depth: u32,
    shift: u32,
    little_endian: bool,
}

impl Component {
    /// The colour components of frames of `info`, alpha left out, or `None` if not each sample
    /// stands in a byte or a 16-bit word of its own.
    pub fn all(info: &VideoInfo) -> Option<Vec<Self>> {
        let format = info.format_info();
        if format.is_complex() || format.is_tiled() || format.has_palette() {
            return None;
        }
        let colors = (format.n_components() as usize).min(if format.is_gray() { 1 } else { 3 });
        let component = |c: usize| {
            let pixel_stride = usize::try_from(format.pixel_stride()[c]).ok()?;
            Some(Self {
                plane: format.plane()[c] as usize,
                offset: format.poffset()[c] as usize,
                width: format.scale_width(c as u8, info.width()),
                height: format.scale_height(c as u8, info.height()),
                pixel_stride,
                layout: match (format.depth()[c], format.shift()[c]) {
                    (8, 0) if pixel_stride >= 1 => Layout::Byte,
                    (depth @ 9..=16, shift) if depth + shift <= 16 && pixel_stride >= 2 => {
                        Layout::Word(Word { depth, shift, little_endian: format.is_le() })
                    }
                    _ => return None,
                },
            })
        };
        let components: Vec<_> = (0..colors).map(component).collect::<Option<_>>()?;
        // GStreamer describes the components of RGB10A2 and its like as all in one place.
        let share = |a: &Self, b: &Self| (a.plane, a.offset) == (b.plane, b.offset);
        let are_apart = components.windows(2).all(|pair| !share(&pair[0], &pair[1]));
        are_apart.then_some(components)
    }
}

/// Adds a change to one row: sample = keep · sample + change, within the sample's range.
///
/// `samples` begins with the component's first sample of that row.
pub fn add_row(component: &Component, samples: &mut [u8], change: &Between<'_>, keep: f32) {
    let keep = (keep * (1 << FRACTION) as f32).round() as i32;
    match (component.layout, component.pixel_stride) {
        (Layout::Byte, 1) => add_bytes::<1>(samples, change, keep),
        (Layout::Byte, 2) => add_bytes::<2>(samples, change, keep),
        (Layout::Byte, 3) => add_bytes::<3>(samples, change, keep),
        (Layout::Byte, 4) => add_bytes::<4>(samples, change, keep),
        (Layout::Word(word), 2) => add_words::<2>(word, samples, change, keep),
        (Layout::Word(word), 4) => add_words::<4>(word, samples, change, keep),
        (Layout::Word(word), 8) => add_words::<8>(word, samples, change, keep),
        (layout, stride) => add_each(layout, samples, stride, change, keep),
    }
}

/// Bytes, `STRIDE` apart.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn add_bytes<const STRIDE: usize>(samples: &mut [u8], change: &Between<'_>, keep: i32) {
    let Between { before, after, weight } = *change;
    let row = samples.chunks_mut(STRIDE).zip(before.iter().zip(after));
    for (sample, (&before, &after)) in row {
        let change = weighted(before, after, weight);
        let sum = i32::from(sample[0]) * keep + change + (1 << (FRACTION - 1));
        sample[0] = (sum >> FRACTION).clamp(0, 255) as u8;
    }
}

/// 16-bit words, `STRIDE` bytes apart.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn add_words<const STRIDE: usize>(word: Word, samples: &mut [u8], change: &Between<'_>, keep: i32) {
    let Between { before, after, weight } = *change;
    let row = samples.chunks_mut(STRIDE).zip(before.iter().zip(after));
    for (sample, (&before, &after)) in row {
        // 2³⁰ of the sample and less than 2³⁰ of the change: an i32 holds both.
        let change = weighted(before, after, weight) << (word.depth - 8);
        let sum = i32::from(word.load(sample)) * keep + change + (1 << (FRACTION - 1));
        word.store(sample, (sum >> FRACTION).clamp(0, i32::from(word.mask())) as u16);
    }
}

/// Any layout, one sample after the other.
fn add_each(layout: Layout, samples: &mut [u8], stride: usize, change: &Between<'_>, keep: i32) {
    let Between { before, after, weight } = *change;
    let row = samples.chunks_mut(stride).zip(before.iter().zip(after));
    for (sample, (&before, &after)) in row {
        let change = i64::from(weighted(before, after, weight));
        let (value, depth) = match layout {
            Layout::Byte => (u16::from(sample[0]), 8),
            Layout::Word(word) => (word.load(sample), word.depth),
        };
        let change = change << (depth - 8);
        let sum = i64::from(value) * i64::from(keep) + change + (1 << (FRACTION - 1));
        let value = (sum >> FRACTION).clamp(0, (1 << depth) - 1) as u16;
        match layout {
            Layout::Byte => sample[0] = value as u8,
            Layout::Word(word) => word.store(sample, value),
        }
    }
}

#[inline]
fn weighted(before: i16, after: i16, weight: i32) -> i32 {
    i32::from(before) * (WEIGHT_ONE - weight) + i32::from(after) * weight
}

impl Word {
    #[inline]
    fn mask(self) -> u16 {
        u16::MAX >> (16 - self.depth)
    }

    /// The sample that `bytes` begins with.
    #[inline]
    fn load(self, bytes: &[u8]) -> u16 {
        self.word(bytes) >> self.shift & self.mask()
    }

    /// Stores `value`, all other bits of the word kept.
    #[inline]
    fn store(self, bytes: &mut [u8], value: u16) {
        let word = self.word(bytes) & !(self.mask() << self.shift) | value << self.shift;
        let word = if self.little_endian { word.to_le_bytes() } else { word.to_be_bytes() };
        bytes[..2].copy_from_slice(&word);
    }

    #[inline]
    fn word(self, bytes: &[u8]) -> u16 {
        let word = [bytes[0], bytes[1]];
        if self.little_endian { u16::from_le_bytes(word) } else { u16::from_be_bytes(word) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gst_video::VideoFormat;
    use proptest::prelude::*;

    fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
        gst::init().unwrap();
        VideoInfo::builder(format, width, height).build().unwrap()
    }

    #[test]
    fn odd_sizes_round_sub_sampled_planes_up() {
        let components = Component::all(&info(VideoFormat::I420, 5, 3)).unwrap();
        let sizes: Vec<_> = components.iter().map(|c| (c.width, c.height)).collect();
        assert_eq!(sizes, [(5, 3), (3, 2), (3, 2)]);
    }

    #[test]
    fn alpha_is_no_color_component() {
        for format in [VideoFormat::Rgba, VideoFormat::Ayuv, VideoFormat::A420] {
            assert_eq!(Component::all(&info(format, 4, 4)).unwrap().len(), 3);
        }
    }

    #[test]
    fn samples_that_share_words_are_not_reached_in_place() {
        for format in [VideoFormat::V210, VideoFormat::Rgb16, VideoFormat::Rgb10a2Le] {
            assert_eq!(Component::all(&info(format, 4, 4)), None);
        }
    }

    #[test]
    fn a_word_keeps_the_bits_that_are_not_its_own() {
        let word = Word { depth: 10, shift: 6, little_endian: true };
        let mut bytes = 0x5a6b_u16.to_le_bytes();
        word.store(&mut bytes, 0x3ff);
        assert_eq!(u16::from_le_bytes(bytes), 0xffeb);
        assert_eq!(word.load(&bytes), 0x3ff);
    }

    proptest! {
        #[test]
        fn fast_rows_agree_with_the_plain_one(
            samples in proptest::collection::vec(any::<u8>(), 8..200),
            change in proptest::collection::vec((-16_383i16..16_384, -16_383i16..16_384), 200),
            weight in 0..=WEIGHT_ONE, keep in 0i32..=(1 << FRACTION),
            stride in prop::sample::select(vec![1usize, 2, 3, 4, 8]),
            word in prop::option::of((9u32..=16, any::<bool>(), any::<bool>())),
        ) {
            let layout = match word {
                Some((depth, high, little_endian)) if stride % 2 == 0 => {
                    Layout::Word(Word { depth, shift: u32::from(high) * (16 - depth), little_endian })
                }
                _ => Layout::Byte,
            };
            let samples = &samples[..samples.len() / stride * stride];
            let component = Component {
                plane: 0, offset: 0, width: 0, height: 0, pixel_stride: stride, layout,
            };
            let (before, after): (Vec<_>, Vec<_>) =
                change.into_iter().take(samples.len() / stride).unzip();
            let between = Between { before: &before, after: &after, weight };
            let mut fast = samples.to_vec();
            add_row(&component, &mut fast, &between, keep as f32 / (1 << FRACTION) as f32);
            let mut plain = samples.to_vec();
            add_each(layout, &mut plain, stride, &between, keep);
            prop_assert_eq!(fast, plain);
        }
    }
}
