// SPDX-License-Identifier: MIT OR Apache-2.0

//! A generator's mask.

use cyclegan_contract::Size;

use super::{
    geometry::Letterbox,
    plane::COVER_ALL,
    residual::{NotFinite, Residual},
    tensor::Element,
};

/// How much of each pixel a generator has changed, at the generator's size.
#[derive(Clone, Debug)]
pub struct Matte {
    /// Width and height.
    size: Size,
    /// The rows, in parts of [`COVER_ALL`].
    values: Vec<i16>,
}

impl Matte {
    /// A zero matte of `size`.
    pub fn new(size: Size) -> Self {
        Self { size, values: vec![0; size.width as usize * size.height as usize] }
    }

    /// Changes the size. The values are undefined until it is updated.
    pub fn resize(&mut self, size: Size) {
        self.size = size;
        self.values.resize(size.width as usize * size.height as usize, 0);
    }

    /// The generator's image size.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The rows, in parts of [`KEEP_ALL`](super::KEEP_ALL): as a residual they turn 0 into 255.
    pub fn values(&self) -> &[i16] {
        &self.values
    }

    /// Row `y`.
    pub(super) fn row(&self, y: usize) -> &[i16] {
        let width = self.size.width as usize;
        &self.values[y * width..][..width]
    }

    /// Takes the frame's part of `mask`, a tensor 1×1×H×W of values from 0 to 1, and clamps its values.
    ///
    /// # Errors
    /// If a value is NaN or infinite.
    pub fn update<T: Element>(
        &mut self,
        mask: &[T],
        letterbox: &Letterbox,
    ) -> Result<(), NotFinite> {
        debug_assert_eq!(self.size, letterbox.content.size);
        let (width, content) = (letterbox.tensor.width as usize, letterbox.content);
        let mut is_finite = true;
        let rows = self.values.chunks_exact_mut(content.size.width as usize).enumerate();
        for (y, row) in rows {
            let first = (content.y as usize + y) * width + content.x as usize;
            T::for_each_block(&mask[first..][..row.len()], |x, values| {
                for (part, value) in row[x..].iter_mut().zip(values) {
                    is_finite &= value.is_finite();
                    *part = (value.clamp(0.0, 1.0) * COVER_ALL).round() as i16;
                }
            });
        }
        if is_finite { Ok(()) } else { Err(NotFinite) }
    }

    /// Multiplies `residual`, of the same size, by the matte: this removes small changes outside the mask.
    pub fn apply_to(&self, residual: &mut Residual) {
        debug_assert_eq!(self.size, residual.size);
        for plane in &mut residual.planes {
            for (step, &part) in plane.iter_mut().zip(&self.values) {
                *step = ((i32::from(*step) * i32::from(part)) >> COVER_BITS) as i16;
            }
        }
    }
}

/// [`COVER_ALL`] is this power of two.
const COVER_BITS: u32 = (COVER_ALL as u32).ilog2();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Compositor, MatteWriter, Rect, map_readable, map_writable};
    use gst_video::{VideoFormat, VideoInfo};

    const SIZE: Size = Size { width: 2, height: 2 };
    const LETTERBOX: Letterbox = Letterbox {
        tensor: Size { width: 4, height: 4 },
        content: Rect { x: 1, y: 1, size: SIZE },
    };

    /// A matte of these four values, from a tensor with other values in its margins.
    fn matte(values: [f32; 4]) -> Matte {
        let mut mask = [0.77f32; 16];
        [5, 6, 9, 10].into_iter().zip(values).for_each(|(i, value)| mask[i] = value);
        let mut matte = Matte::new(SIZE);
        matte.update(&mask, &LETTERBOX).unwrap();
        let half: Vec<_> = mask.map(half::f16::from_f32).to_vec();
        let mut again = Matte::new(SIZE);
        again.update(&half, &LETTERBOX).unwrap();
        assert!(matte.values.iter().zip(&again.values).all(|(a, b)| a.abs_diff(*b) <= 8));
        matte
    }

    fn frame(format: VideoFormat, width: u32, height: u32) -> (VideoInfo, Vec<u8>) {
        gst::init().unwrap();
        let info = VideoInfo::builder(format, width, height).build().unwrap();
        let mut bytes = vec![0; info.size()];
        fastrand::Rng::with_seed(5).fill(&mut bytes);
        (info, bytes)
    }

    #[test]
    fn the_mask_is_cropped_to_the_content_and_clamped() {
        assert_eq!(matte([0.0, 0.5, 1.0, 1.7]).values, [0, 8192, 16384, 16384]);
        let mut matte = Matte::new(SIZE);
        assert_eq!(matte.update(&[f32::NAN; 16], &LETTERBOX), Err(NotFinite));
    }

    #[test]
    fn a_residual_is_multiplied_by_the_mask() {
        let mut residual = Residual::new(SIZE);
        residual.planes.iter_mut().for_each(|plane| plane.fill(-1000));
        matte([0.0, 0.5, 1.0, 0.25]).apply_to(&mut residual);
        assert!(residual.planes.iter().all(|plane| plane == &[0, -500, -1000, -250]));
    }

    #[test]
    fn a_mask_is_written_as_gray8() {
        let (info, bytes) = frame(VideoFormat::Gray8, 8, 2);
        let mut output = gst::Buffer::from_mut_slice(bytes);
        {
            let mut output = map_writable(output.get_mut().unwrap(), &info).unwrap();
            let mut writer = MatteWriter::new(&info, SIZE, 1).unwrap();
            writer.write(&matte([0.0, 1.0, 0.5, 0.5]), &mut output).unwrap();
        }
        let bytes = output.map_readable().unwrap();
        assert_eq!(bytes[..8], [0, 0, 32, 96, 160, 224, 255, 255]);
        assert_eq!(bytes[8..16], [128; 8]);
        let (info, _) = frame(VideoFormat::I420, 8, 2);
        assert!(MatteWriter::new(&info, SIZE, 1).is_err());
    }

    /// The formats have interleaved alpha in bytes and in words, and alpha in its own plane.
    #[test]
    fn a_mask_becomes_the_alpha_of_the_frame() {
        for format in [VideoFormat::Rgba, VideoFormat::Argb64Le, VideoFormat::A420] {
            let (info, bytes) = frame(format, 8, 4);
            let mut residual = Residual::new(SIZE);
            residual.planes.iter_mut().for_each(|plane| plane.fill(20 * 64));
            let input = gst::Buffer::from_mut_slice(bytes);
            let input = map_readable(&input, &info).unwrap();
            let mut outputs = [true, false].map(|has_alpha| {
                let mut output = gst::Buffer::from_mut_slice(vec![0; info.size()]);
                {
                    let mut output = map_writable(output.get_mut().unwrap(), &info).unwrap();
                    let mut compositor = Compositor::new(&info, SIZE, 1).unwrap();
                    let matte = has_alpha.then(|| matte([0.0, 1.0, 0.0, 1.0]));
                    compositor
                        .composite(&residual, 1.0, matte.as_ref(), &input, &mut output)
                        .unwrap();
                }
                output.map_readable().unwrap().to_vec()
            });
            let format = info.format_info();
            let (offset, stride) = (info.comp_offset(3), info.comp_pstride(3) as usize);
            let bytes = if format.depth()[3] > 8 { 2 } else { 1 };
            for y in 0..4 {
                for x in 0..8 {
                    let place = offset + y * info.comp_stride(3) as usize + x * stride;
                    let alpha = &mut outputs[0][place..][..bytes];
                    let expected = [0u8, 0, 32, 96, 160, 224, 255, 255][x];
                    let high = alpha[bytes - 1];
                    assert!(high.abs_diff(expected) <= 1, "{format:?} {x} {y}: {high}");
                    alpha.fill(0);
                    outputs[1][place..][..bytes].fill(0);
                }
            }
            assert_eq!(outputs[0], outputs[1], "{format:?}");
        }
    }
}
