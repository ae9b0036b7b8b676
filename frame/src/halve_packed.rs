// SPDX-License-Identifier: MIT OR Apache-2.0

//! Halves rows of packed formats to interleaved 8-bit 4:4:4: each pair of pixels has at least one sample of
//! each component.

use gst_video::VideoFormat;

use super::word::Packed;

/// How the samples of a pair of pixels are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// Four bytes, and the positions of Y, Y, U and V.
    Bytes([usize; 4]),
    /// Two 32-bit words, and the bits below each component in a word.
    Words(Packed),
    /// Three pairs in four 32-bit words: Cb Y Cr Y Cb Y Cr Y …
    V210,
}

impl Pairs {
    /// The packing of `format`, if it is packed.
    pub fn of(format: VideoFormat) -> Option<Self> {
        let words = |shifts| Self::Words(Packed { shifts, little_endian: true });
        Some(match format {
            VideoFormat::Yuy2 => Self::Bytes([0, 2, 1, 3]),
            VideoFormat::Yvyu => Self::Bytes([0, 2, 3, 1]),
            VideoFormat::Uyvy => Self::Bytes([1, 3, 0, 2]),
            VideoFormat::Vyuy => Self::Bytes([1, 3, 2, 0]),
            VideoFormat::V210 => Self::V210,
            VideoFormat::Y410 => words([10, 0, 20]),
            VideoFormat::Rgb10a2Le => words([0, 10, 20]),
            VideoFormat::Bgr10a2Le => words([20, 10, 0]),
            VideoFormat::R210 => Self::Words(Packed { shifts: [20, 10, 0], little_endian: false }),
            _ => return None,
        })
    }

    /// The mean of each pair of two rows.
    pub fn halve(self, rows: [&[u8]; 2], target: &mut [u8]) {
        match self {
            Self::Bytes(places) => halve_bytes(places, rows, target),
            Self::Words(packed) if packed.little_endian => {
                halve_words(packed.shifts, u32::from_le_bytes, rows, target);
            }
            Self::Words(packed) => halve_words(packed.shifts, u32::from_be_bytes, rows, target),
            Self::V210 => halve_v210(rows, target),
        }
    }
}

fn halve_bytes([y, z, u, v]: [usize; 4], rows: [&[u8]; 2], target: &mut [u8]) {
    let [upper, lower] = rows.map(|row| row.as_chunks::<4>().0);
    let pixels = target.as_chunks_mut::<3>().0.iter_mut();
    for (pixel, (upper, lower)) in pixels.zip(upper.iter().zip(lower)) {
        let sum = |place: usize| u16::from(upper[place]) + u16::from(lower[place]);
        *pixel = [(sum(y) + sum(z) + 2) >> 2, (sum(u) + 1) >> 1, (sum(v) + 1) >> 1]
            .map(|mean| mean as u8);
    }
}

/// The mean of `1 << bits` 10-bit samples, of which this is the sum, in 8 bits.
#[inline]
fn in_8_bits(sum: u32, bits: u32) -> u8 {
    ((sum + (2 << bits)) >> (bits + 2)).min(255) as u8
}

fn halve_words(
    shifts: [u32; 3],
    word: impl Fn([u8; 4]) -> u32,
    rows: [&[u8]; 2],
    target: &mut [u8],
) {
    let [upper, lower] = rows.map(|row| row.as_chunks::<4>().0.as_chunks::<2>().0);
    let pixels = target.as_chunks_mut::<3>().0.iter_mut();
    for (pixel, (upper, lower)) in pixels.zip(upper.iter().zip(lower)) {
        let words = [upper[0], upper[1], lower[0], lower[1]].map(&word);
        *pixel =
            shifts.map(|shift| in_8_bits(words.iter().map(|word| word >> shift & 0x3ff).sum(), 2));
    }
}

fn halve_v210(rows: [&[u8]; 2], target: &mut [u8]) {
    let [upper, lower] = rows.map(|row| row.as_chunks::<4>().0.as_chunks::<4>().0);
    for (pixels, (upper, lower)) in target.chunks_mut(9).zip(upper.iter().zip(lower)) {
        let sum = |word: usize, sample: u32| {
            let [upper, lower] = [upper, lower].map(|words| u32::from_le_bytes(words[word]));
            (upper >> (10 * sample) & 0x3ff) + (lower >> (10 * sample) & 0x3ff)
        };
        let luma = |a: u32, b: u32| in_8_bits(a + b, 2);
        let chroma = |sum: u32| in_8_bits(sum, 1);
        let group = [
            luma(sum(0, 1), sum(1, 0)),
            chroma(sum(0, 0)),
            chroma(sum(0, 2)),
            luma(sum(1, 2), sum(2, 1)),
            chroma(sum(1, 1)),
            chroma(sum(2, 0)),
            luma(sum(3, 0), sum(3, 2)),
            chroma(sum(2, 2)),
            chroma(sum(3, 1)),
        ];
        pixels.copy_from_slice(&group[..pixels.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Size, halve::Halver, map_readable};
    use gst_video::{VideoFormatInfo, VideoFrameExt, VideoInfo, VideoPackFlags};
    use proptest::prelude::*;

    fn formats() -> Vec<VideoFormat> {
        gst::init().unwrap();
        VideoFormat::iter_raw().filter(|f| Pairs::of(*f).is_some()).collect()
    }

    proptest! {
        /// The reference is the mean of the samples that GStreamer unpacks; they differ by rounding only.
        #[test]
        fn halving_agrees_with_the_mean(
            format in prop::sample::select(formats()),
            width in 1u32..20, height in 1u32..5, seed: u64,
        ) {
            let info = VideoInfo::builder(format, 4 * width, 4 * height).build().unwrap();
            let mut bytes = vec![0; info.size()];
            fastrand::Rng::with_seed(seed).fill(&mut bytes);
            let buffer = gst::Buffer::from_mut_slice(bytes);
            let frame = map_readable(&buffer, &info).unwrap();
            let unpacked = VideoFormatInfo::from_format(info.format_info().unpack_format());
            let bytes = unpacked.pixel_stride()[0] as usize;
            let line = |y: usize| {
                let mut line = vec![0; 4 * width as usize * bytes];
                let planes = &frame.planes_data()[..1];
                let strides = &frame.plane_stride()[..1];
                let (y, width) = (y as i32, 4 * width as i32);
                let format = info.format_info();
                format.unpack(VideoPackFlags::empty(), &mut line, planes, strides, 0, y, width);
                line
            };
            let mut halver = Halver::new(&info, Size { width, height }, 1).unwrap().unwrap();
            let half = halver.halve(&frame).unwrap();
            let stride = half.plane_stride()[0] as usize;
            for y in 0..2 * height as usize {
                let lines = [line(2 * y), line(2 * y + 1)];
                for x in 0..2 * width as usize {
                    for component in 0..3 {
                        // Alpha comes first, and of two bytes the upper one last.
                        let value = |line: &[u8], x: usize| {
                            let sample = &line[x * bytes + (component + 1) * bytes / 4..][..bytes / 4];
                            match *sample {
                                [byte] => f64::from(byte),
                                _ => f64::from(u16::from_le_bytes([sample[0], sample[1]])) / 256.0,
                            }
                        };
                        let pairs = lines.iter().map(|line| value(line, 2 * x) + value(line, 2 * x + 1));
                        let mean = pairs.sum::<f64>() / 4.0;
                        let found = half.planes_data()[0][y * stride + 3 * x + component];
                        prop_assert!((f64::from(found) - mean).abs() <= 1.0, "{:?} {} {}: {} {}", format, x, component, found, mean);
                    }
                }
            }
        }
    }
}
