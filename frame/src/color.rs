// SPDX-License-Identifier: MIT OR Apache-2.0

//! Conversion between the generator's RGB and the colour components of a frame.

use gst_video::{VideoColorMatrix, VideoFormatInfo, VideoInfo};

use super::tone::{ToneMap, Transfer};

/// BT.601's luma weights (ITU-R BT.601-7, section 2.5.1), for frames without a colour matrix.
const BT601: (f64, f64) = (0.299, 0.114);

/// The linear map from R'G'B' in grey levels (0 to 255) to the first three components of a frame,
/// in steps of an 8-bit frame for any depth: Y'CbCr as in ITU-R BT.601 and BT.709, or R'G'B'.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColorTransform {
    /// One row per component.
    pub matrix: [[f32; 3]; 3],
    /// The value of black for each component.
    pub offset: [f32; 3],
    /// The transfer function of R'G'B'. HDR is tone-mapped for the generator.
    pub transfer: Transfer,
}

impl ColorTransform {
    /// R'G'B' unchanged.
    pub const SRGB: Self = Self {
        matrix: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        offset: [0.0; 3],
        transfer: Transfer::Sdr,
    };

    /// The map from components to R'G'B', and from HDR to SDR.
    pub(crate) fn with_tone_map(&self) -> Option<(Self, &'static ToneMap)> {
        self.transfer.tone_map().map(|tone| (self.inverse(), tone))
    }

    /// The map for frames of `info`, from its colour matrix and range.
    pub fn new(info: &VideoInfo) -> Self {
        // Palettes and 5-bit colours are unpacked before a residual is added.
        let format = match info.format_info() {
            small if small.has_palette() || small.depth()[0] < 8 => {
                VideoFormatInfo::from_format(small.unpack_format())
            }
            format => format,
        };
        let colorimetry = info.colorimetry();
        let unit = |matrix: [[f64; 3]; 3]| -> Self {
            let (offsets, scales) = format.range_offsets(colorimetry.range());
            let to_8_bit = |component: usize, value: i32| {
                let depth = format.depth().get(component).copied().unwrap_or(8);
                f64::from(value) / f64::from(depth).exp2() * 256.0
            };
            Self {
                matrix: std::array::from_fn(|c| {
                    matrix[c].map(|weight| (weight * to_8_bit(c, scales[c]) / 255.0) as f32)
                }),
                offset: std::array::from_fn(|c| to_8_bit(c, offsets[c]) as f32),
                transfer: Transfer::of(&colorimetry),
            }
        };
        if format.is_rgb() {
            return unit([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);
        }
        let (kr, kb) = match colorimetry.matrix() {
            VideoColorMatrix::Unknown | VideoColorMatrix::Rgb => BT601,
            matrix => matrix.kr_kb().unwrap_or(BT601),
        };
        let kg = 1.0 - kr - kb;
        let (to_cb, to_cr) = (0.5 / (1.0 - kb), 0.5 / (1.0 - kr));
        unit([[kr, kg, kb], [-kr * to_cb, -kg * to_cb, 0.5], [0.5, -kg * to_cr, -kb * to_cr]])
    }

    /// The map from components back to R'G'B': rgb = matrix · component + offset.
    pub fn inverse(&self) -> Self {
        let m = self.matrix;
        // Cofactors of the transposed matrix over the determinant.
        let minor = |r: usize, c: usize| {
            let ([r1, r2], [c1, c2]) = ([(r + 1) % 3, (r + 2) % 3], [(c + 1) % 3, (c + 2) % 3]);
            m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
        };
        let determinant: f32 = (0..3).map(|c| m[0][c] * minor(0, c)).sum();
        let matrix: [[f32; 3]; 3] =
            std::array::from_fn(|r| std::array::from_fn(|c| minor(c, r) / determinant));
        let offset =
            matrix.map(|row| -row.iter().zip(self.offset).map(|(a, b)| a * b).sum::<f32>());
        Self { matrix, offset, transfer: self.transfer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gst_video::VideoFormat;

    fn transform(format: VideoFormat, colorimetry: &str) -> ColorTransform {
        gst::init().unwrap();
        let colorimetry = colorimetry.parse().unwrap();
        let info = VideoInfo::builder(format, 16, 16).colorimetry(&colorimetry).build();
        ColorTransform::new(&info.unwrap())
    }

    fn apply(transform: &ColorTransform, rgb: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|c| {
            let row = transform.matrix[c];
            transform.offset[c] + row.iter().zip(rgb).map(|(a, b)| a * b).sum::<f32>()
        })
    }

    fn assert_near(found: [f32; 3], expected: [f32; 3]) {
        let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.6);
        assert!(near, "{found:?} should be {expected:?}");
    }

    #[test]
    fn limited_range_bt709_primaries_match_the_standard() {
        let transform = transform(VideoFormat::I420, "bt709");
        assert_near(apply(&transform, [0.0; 3]), [16.0, 128.0, 128.0]);
        assert_near(apply(&transform, [255.0; 3]), [235.0, 128.0, 128.0]);
        assert_near(apply(&transform, [255.0, 0.0, 0.0]), [63.0, 102.0, 240.0]);
    }

    #[test]
    fn high_depth_is_expressed_in_8_bit_steps() {
        let transform = transform(VideoFormat::I42010le, "bt709");
        assert_near(apply(&transform, [255.0; 3]), [235.0, 128.0, 128.0]);
    }

    #[test]
    fn inverse_undoes_the_transform() {
        for (format, colorimetry) in [(VideoFormat::V308, "bt709"), (VideoFormat::Rgb, "2:1:5:1")] {
            let transform = transform(format, colorimetry);
            let inverse = transform.inverse();
            for rgb in [[0.0; 3], [255.0; 3], [200.0, 60.0, 90.0]] {
                let back = apply(&inverse, apply(&transform, rgb));
                assert!(back.iter().zip(rgb).all(|(a, b)| (a - b).abs() < 1e-3), "{back:?}");
            }
        }
    }

    #[test]
    fn full_range_rgb_is_unchanged() {
        let transform = transform(VideoFormat::Rgb, "sRGB");
        assert_near(apply(&transform, [1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]);
    }
}
