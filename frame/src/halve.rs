// SPDX-License-Identifier: MIT OR Apache-2.0

//! Halves frames before they are scaled, by the mean of 2×2 samples, in 8 bits.
//!
//! A generator's image often has a quarter of the frame's sides or less, and a scaler spends most of its
//! time on full rows with filters of many taps. Halving leaves it a quarter of the samples.

use cyclegan_contract::Size;
use gst::glib::BoolError;
use gst_video::{
    VideoFormat, VideoFrame, VideoFrameExt, VideoFrameRef, VideoInfo, video_frame::Writable,
};

use super::{
    geometry::coarsest_sample,
    halve_packed::Pairs,
    overread::own_frame,
    plane::{Plane, Storage},
    rows::{Rows, RowsMut},
    workers::Workers,
};

/// Halves frames of one kind into a frame that it owns.
pub struct Halver {
    planes: Vec<Plane>,
    /// For formats with packed samples in one plane.
    pairs: Option<Pairs>,
    half: VideoFrame<Writable>,
    workers: Workers,
    bands: usize,
}

/// Minimum ratio of the frame's sides to the image's, so that the scaler still scales by half or less
/// and its taps decide the quality.
const LEAST_RATIO: u32 = 4;

impl Halver {
    /// For frames of `info` that are scaled to `size`; `None` if there is no gain, and for formats and
    /// sizes whose samples do not come in pairs.
    pub fn new(info: &VideoInfo, size: Size, threads: u32) -> Result<Option<Self>, BoolError> {
        let samples = coarsest_sample(info);
        let is_even = info.width().is_multiple_of(2 * samples.width)
            && info.height().is_multiple_of(2 * samples.height);
        let is_large =
            info.width() >= LEAST_RATIO * size.width && info.height() >= LEAST_RATIO * size.height;
        let pairs = Pairs::of(info.format());
        let format = match pairs {
            Some(_) if info.format_info().is_rgb() => Some(VideoFormat::Rgb),
            Some(_) => Some(VideoFormat::V308),
            None => in_8_bits(info.format()),
        };
        let is_supported =
            |planes: &Vec<Plane>| pairs.is_some() || planes.iter().all(Plane::has_uniform_spacing);
        let planes = Plane::all(info).filter(is_supported);
        let (Some(planes), Some(format), true) = (planes, format, is_even && is_large) else {
            return Ok(None);
        };
        let half = VideoInfo::builder(format, info.width() / 2, info.height() / 2)
            .fps(info.fps())
            .colorimetry(&info.colorimetry())
            .chroma_site(info.chroma_site())
            .build()?;
        let workers = Workers::new(threads)?;
        Ok(Some(Self {
            planes,
            pairs,
            half: own_frame(&half)?,
            bands: workers.bands(info.size()).min(MAX_BANDS),
            workers,
        }))
    }

    /// The info of halved frames.
    pub fn info(&self) -> &VideoInfo {
        self.half.info()
    }

    /// Halves `frame`.
    pub fn halve(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
    ) -> Result<VideoFrameRef<&gst::BufferRef>, BoolError> {
        let Self { planes, half, workers, bands, .. } = self;
        let pairs = self.pairs;
        let source = Rows::of(frame)?;
        let mut target = half.as_mut_video_frame_ref();
        workers.in_bands(
            &mut [(); MAX_BANDS][..*bands],
            RowsMut::of(&mut target)?,
            |rows, band| rows.split_band(band, *bands),
            |(), mut target| {
                for plane in planes.iter() {
                    for (y, row) in target.rows(plane.index) {
                        let rows = [2 * y, 2 * y + 1].map(|y| source.row(plane.index, y));
                        match pairs {
                            Some(pairs) => pairs.halve(rows, row),
                            None => halve_rows(plane, rows, row),
                        }
                    }
                }
            },
        );
        drop(target);
        Ok(self.half.as_video_frame_ref())
    }
}

/// Maximum number of threads per frame.
const MAX_BANDS: usize = 64;

/// The 8-bit format with the same planes.
fn in_8_bits(format: VideoFormat) -> Option<VideoFormat> {
    use VideoFormat as F;
    Some(match format {
        F::I42010le | F::I42010be | F::I42012le | F::I42012be => F::I420,
        F::I42210le | F::I42210be | F::I42212le | F::I42212be => F::Y42b,
        F::Y44410le | F::Y44410be | F::Y44412le | F::Y44412be | F::Y44416le | F::Y44416be => {
            F::Y444
        }
        F::P01010le | F::P01010be | F::P012Le | F::P012Be | F::P016Le | F::P016Be => F::Nv12,
        F::Gbr10le | F::Gbr10be | F::Gbr12le | F::Gbr12be => F::Gbr,
        F::Gray16Le | F::Gray16Be => F::Gray8,
        F::I420 | F::Yv12 | F::Y42b | F::Y444 | F::Nv12 | F::Nv21 | F::Nv16 | F::Nv24 => format,
        F::Gbr | F::Gray8 | F::Rgb | F::Bgr | F::V308 => format,
        F::Rgba | F::Bgra | F::Argb | F::Abgr | F::Rgbx | F::Bgrx | F::Xrgb | F::Xbgr => format,
        _ => return None,
    })
}

fn halve_rows(plane: &Plane, rows: [&[u8]; 2], target: &mut [u8]) {
    let pixel = plane.components()[0].stride;
    match (plane.storage(), pixel) {
        (Storage::Bytes, 1) => halve_bytes::<1, 2>(rows, target),
        (Storage::Bytes, 2) => halve_bytes::<2, 4>(rows, target),
        (Storage::Bytes, 3) => halve_bytes::<3, 6>(rows, target),
        (Storage::Bytes, _) => halve_bytes::<4, 8>(rows, target),
        (Storage::Words(word), 1) if word.little_endian => {
            halve_words::<1, 2, false>(word.shift, word.depth, rows, target);
        }
        (Storage::Words(word), _) if word.little_endian => {
            halve_words::<2, 4, false>(word.shift, word.depth, rows, target);
        }
        (Storage::Words(word), 1) => {
            halve_words::<1, 2, true>(word.shift, word.depth, rows, target);
        }
        (Storage::Words(word), _) => {
            halve_words::<2, 4, true>(word.shift, word.depth, rows, target);
        }
        (Storage::Packed(_), _) => {}
    }
}

/// The mean of two pixels of two rows, of `N` bytes each; `PAIR` is twice that.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn halve_bytes<const N: usize, const PAIR: usize>(rows: [&[u8]; 2], target: &mut [u8]) {
    let [upper, lower] = rows.map(|row| row.as_chunks::<PAIR>().0);
    let pixels = target.as_chunks_mut::<N>().0.iter_mut();
    for (pixel, (upper, lower)) in pixels.zip(upper.iter().zip(lower)) {
        for i in 0..N {
            let sum = [upper[i], upper[N + i], lower[i], lower[N + i]].map(u16::from);
            pixel[i] = ((sum[0] + sum[1] + sum[2] + sum[3] + 2) >> 2) as u8;
        }
    }
}

/// The same for 16-bit samples, rounded to 8 bits.
#[inline]
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn halve_words<const N: usize, const PAIR: usize, const BIG_ENDIAN: bool>(
    shift: u32,
    depth: u32,
    rows: [&[u8]; 2],
    target: &mut [u8],
) {
    let max = (1 << depth) - 1;
    let value = |bytes: [u8; 2]| {
        let word = if BIG_ENDIAN { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
        u32::from(word) >> shift & max
    };
    // The sum of four, down to 8 bits.
    let bits = depth - 8 + 2;
    let [upper, lower] = rows.map(|row| row.as_chunks::<2>().0.as_chunks::<PAIR>().0);
    let pixels = target.as_chunks_mut::<N>().0.iter_mut();
    for (pixel, (upper, lower)) in pixels.zip(upper.iter().zip(lower)) {
        for i in 0..N {
            let sum = value(upper[i]) + value(upper[N + i]) + value(lower[i]) + value(lower[N + i]);
            pixel[i] = ((sum + (1 << (bits - 1))) >> bits).min(255) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map_readable;
    use proptest::prelude::*;

    /// Sample `x`, `y` of a component by GStreamer's description of the format, scaled to 0 to 256.
    fn sample(frame: &VideoFrameRef<&gst::BufferRef>, component: u8, x: usize, y: usize) -> f64 {
        let (info, format) = (frame.info(), frame.format_info());
        let plane = format.plane()[component as usize] as usize;
        let (depth, shift) =
            (format.depth()[component as usize], format.shift()[component as usize]);
        let mut offset = info.comp_poffset(component) as usize;
        // GStreamer 1.22 counts the second word of P010 and similar formats in words.
        if depth > 8 && offset == 1 {
            offset = 2;
        }
        let place = y * info.stride()[plane] as usize + x * info.comp_pstride(component) as usize;
        let bytes = &frame.planes_data()[plane][place + offset..];
        let word = match (depth > 8, format.is_le()) {
            (false, _) => u16::from(bytes[0]),
            (true, true) => u16::from_le_bytes([bytes[0], bytes[1]]),
            (true, false) => u16::from_be_bytes([bytes[0], bytes[1]]),
        };
        f64::from(word >> shift & (u16::MAX >> (16 - depth))) / f64::from(depth).exp2() * 256.0
    }

    fn formats() -> Vec<VideoFormat> {
        gst::init().unwrap();
        VideoFormat::iter_raw().filter(|f| in_8_bits(*f).is_some()).collect()
    }

    proptest! {
        #[test]
        fn halving_agrees_with_the_mean(
            format in prop::sample::select(formats()),
            width in 1u32..20, height in 1u32..10, seed: u64, bands in 1usize..4,
        ) {
            let info = VideoInfo::builder(format, 4 * width, 4 * height).build().unwrap();
            let mut bytes = vec![0; info.size()];
            fastrand::Rng::with_seed(seed).fill(&mut bytes);
            let buffer = gst::Buffer::from_mut_slice(bytes);
            let frame = map_readable(&buffer, &info).unwrap();
            let mut halver = Halver::new(&info, Size { width, height }, 3).unwrap().unwrap();
            halver.bands = bands;
            let half = halver.halve(&frame).unwrap();
            for component in 0..info.n_components().min(3) as u8 {
                let format = half.format_info();
                for y in 0..format.scale_height(component, 2 * height) as usize {
                    for x in 0..format.scale_width(component, 2 * width) as usize {
                        let at = |i: usize, j: usize| sample(&frame, component, 2 * x + i, 2 * y + j);
                        let mean = (at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / 4.0;
                        let expected = (mean + 0.5).floor().min(255.0);
                        prop_assert_eq!(sample(&half, component, x, y), expected);
                    }
                }
            }
        }
    }
}
