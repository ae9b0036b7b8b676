// SPDX-License-Identifier: MIT OR Apache-2.0

//! Premultiplied formats with alpha beside the colours.

use super::{
    kernel::{FRACTION, HALF, RowLerp},
    word::Word,
};

/// The positions of alpha and colours in a row of pixels.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    /// Entries from pixel to pixel.
    pub stride: usize,
    /// The entry of the first pixel's alpha.
    pub alpha: usize,
    /// The entries of the first pixel's colours.
    pub colors: &'a [usize],
    /// The words of the entries, or `None` for bytes.
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
                // A colour that already exceeds its alpha is not increased.
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

#[cfg(test)]
mod tests {
    use crate::{Compositor, Residual, Size, map_readable, map_writable};
    use gst_video::{VideoFlags, VideoFormat, VideoInfo};

    /// One pixel of premultiplied `format` after a residual of `steps` in each component.
    fn premultiplied(format: VideoFormat, pixel: &[u8], steps: i16, keep: f32) -> Vec<u8> {
        let flags = VideoFlags::PREMULTIPLIED_ALPHA;
        let info = VideoInfo::builder(format, 1, 1).flags(flags).build().unwrap();
        let size = Size { width: 1, height: 1 };
        let mut residual = Residual::new(size);
        residual.planes.iter_mut().for_each(|plane| plane.fill(steps));
        let mut bytes = vec![0; info.size()];
        let planes = info.n_planes() as usize;
        for (plane, pixel) in pixel.chunks(pixel.len() / planes).enumerate() {
            bytes[info.offset()[plane]..][..pixel.len()].copy_from_slice(pixel);
        }
        let input = gst::Buffer::from_mut_slice(bytes);
        let mut output = gst::Buffer::from_mut_slice(vec![0; info.size()]);
        {
            let input = map_readable(&input, &info).unwrap();
            let mut output = map_writable(output.get_mut().unwrap(), &info).unwrap();
            let mut compositor = Compositor::new(&info, size, 1).unwrap();
            compositor.composite(&residual, keep, None, &input, &mut output).unwrap();
        }
        let bytes = output.map_readable().unwrap();
        let length = pixel.len() / planes;
        (0..planes).flat_map(|plane| bytes[info.offset()[plane]..][..length].to_vec()).collect()
    }

    #[test]
    fn premultiplied_colours_do_not_exceed_their_alpha() {
        gst::init().unwrap();
        let add = |format, pixel: &[u8], grey: i16| premultiplied(format, pixel, grey * 64, 1.0);
        // The residual is multiplied by alpha: a half, 0 and 1.
        assert_eq!(add(VideoFormat::Rgba, &[10, 20, 30, 128], 100), [60, 70, 80, 128]);
        assert_eq!(add(VideoFormat::Argb, &[128, 10, 20, 30], -30), [128, 0, 5, 15]);
        assert_eq!(add(VideoFormat::Bgra, &[0, 0, 0, 0], 200), [0, 0, 0, 0]);
        assert_eq!(add(VideoFormat::Rgba, &[10, 20, 30, 255], 100), [110, 120, 130, 255]);
        assert_eq!(add(VideoFormat::Rgba, &[100, 120, 128, 128], 255), [128, 128, 128, 128]);
        // A colour that already exceeds its alpha is unchanged.
        assert_eq!(add(VideoFormat::Rgba, &[200, 0, 0, 100], 0), [200, 0, 0, 100]);
        // Alpha in its own plane, and in words.
        assert_eq!(add(VideoFormat::Gbra, &[20, 30, 10, 128], 100), [70, 80, 60, 128]);
        let words = [128u16 << 8, 10 << 8, 20 << 8, 30 << 8].map(u16::to_le_bytes).concat();
        let found = add(VideoFormat::Argb64Le, &words, 100);
        let found: Vec<_> = found.as_chunks().0.iter().map(|&w| u16::from_le_bytes(w)).collect();
        assert!(found[0] == 128 << 8 && found[1].abs_diff(60 << 8) < 100, "{found:?}");
        // Plain upscaling at half strength.
        let plain = premultiplied(VideoFormat::Rgba, &[100, 50, 0, 128], 100 * 64, 0.5);
        assert_eq!(plain, [100, 75, 50, 128]);
    }

    #[test]
    fn premultiplied_luma_is_refused() {
        gst::init().unwrap();
        for format in [VideoFormat::A420, VideoFormat::Ayuv] {
            let flags = VideoFlags::PREMULTIPLIED_ALPHA;
            let info = VideoInfo::builder(format, 4, 4).flags(flags).build().unwrap();
            let size = Size { width: 4, height: 4 };
            let error = Compositor::new(&info, size, 1).err().unwrap().to_string();
            assert!(error.contains("multiplied by alpha"), "{error}");
        }
    }
}
