// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tone mapping of HDR frames for generators trained on SDR images, and back.
//!
//! R'G'B' of PQ or HLG → linear light in cd/m² (ITU-R BT.2100-2, tables 4 and 5) → BT.709 primaries
//! (ITU-R BT.2407, annex 2) → the EETF of ITU-R BT.2390-10, section 5.4.1, from a peak of 1000 cd/m² to
//! 203, which is SDR's white (ITU-R BT.2408) → sRGB. The way back is its inverse.

use std::sync::LazyLock;

use gst_video::{VideoColorimetry, VideoTransferFunction};

/// Transfer functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transfer {
    /// Close to sRGB: passed to the generator unchanged.
    #[default]
    Sdr,
    /// SMPTE ST 2084, absolute light.
    Pq,
    /// ARIB STD-B67, scene light.
    Hlg,
}

impl Transfer {
    /// The transfer function of `colorimetry`.
    pub fn of(colorimetry: &VideoColorimetry) -> Self {
        match colorimetry.transfer() {
            VideoTransferFunction::Smpte2084 => Self::Pq,
            VideoTransferFunction::AribStdB67 => Self::Hlg,
            _ => Self::Sdr,
        }
    }

    /// The map to SDR and back, or `None` for SDR.
    pub fn tone_map(self) -> Option<&'static ToneMap> {
        static PQ: LazyLock<ToneMap> = LazyLock::new(|| ToneMap::new(Transfer::Pq));
        static HLG: LazyLock<ToneMap> = LazyLock::new(|| ToneMap::new(Transfer::Hlg));
        match self {
            Self::Sdr => None,
            Self::Pq => Some(&PQ),
            Self::Hlg => Some(&HLG),
        }
    }
}

/// The brightest light that is distinguished, in cd/m²; an HLG display's peak.
const PEAK: f64 = 1000.0;
/// The light of SDR's white, in cd/m².
const WHITE: f64 = 203.0;
/// An HLG display's gamma at that peak.
const HLG_GAMMA: f64 = 1.2;
/// BT.2020's luma weights.
const LUMA: [f32; 3] = [0.2627, 0.678, 0.0593];

const BT2020_TO_BT709: [[f32; 3]; 3] = [
    [1.660_491, -0.587_641, -0.072_85],
    [-0.124_55, 1.132_9, -0.008_349],
    [-0.018_151, -0.100_579, 1.118_73],
];
const BT709_TO_BT2020: [[f32; 3]; 3] = [
    [0.627_404, 0.329_283, 0.043_313],
    [0.069_097, 0.919_54, 0.011_362],
    [0.016_391, 0.088_013, 0.895_595],
];

/// Maps R'G'B' of an HDR frame to SDR and back. Both are in grey levels, 0 to 255.
#[derive(Debug)]
pub struct ToneMap {
    transfer: Transfer,
    /// From a code value to light, as the fourth root of a fraction of [`PEAK`].
    code_to_light: Table,
    light_to_sdr: Table,
    sdr_to_light: Table,
    light_to_code: Table,
}

/// A piecewise linear function on 0 to 1. Light is stored as its fourth root, which is about as fine as
/// the eye at all levels.
#[derive(Debug)]
struct Table(Vec<f32>);

impl Table {
    const STEPS: usize = 1024;

    fn new(function: impl Fn(f64) -> f64) -> Self {
        let at = |i: usize| function(i as f64 / Self::STEPS as f64) as f32;
        Self((0..=Self::STEPS).map(at).collect())
    }

    #[inline]
    fn at(&self, x: f32) -> f32 {
        let place = x.clamp(0.0, 1.0) * Self::STEPS as f32;
        let before = (place as usize).min(Self::STEPS - 1);
        self.0[before] + (self.0[before + 1] - self.0[before]) * (place - before as f32)
    }
}

#[inline]
fn root(light: f32) -> f32 {
    light.max(0.0).sqrt().sqrt()
}

#[inline]
fn fourth_power(root: f32) -> f32 {
    let square = root * root;
    square * square
}

#[inline]
fn dot(weights: &[f32; 3], values: [f32; 3]) -> f32 {
    weights[0] * values[0] + weights[1] * values[1] + weights[2] * values[2]
}

#[inline]
fn times(matrix: &[[f32; 3]; 3], values: [f32; 3]) -> [f32; 3] {
    [dot(&matrix[0], values), dot(&matrix[1], values), dot(&matrix[2], values)]
}

/// `map` of R, G and B. The method of arrays would not be inlined here.
#[inline]
fn each([red, green, blue]: [f32; 3], map: impl Fn(f32) -> f32) -> [f32; 3] {
    [map(red), map(green), map(blue)]
}

impl ToneMap {
    fn new(transfer: Transfer) -> Self {
        let to_light = |code| match transfer {
            Transfer::Hlg => hlg_inverse_oetf(code),
            _ => pq_eotf(code) / PEAK,
        };
        let to_code = |light| match transfer {
            Transfer::Hlg => hlg_oetf(light),
            _ => pq_inverse_eotf(light * PEAK),
        };
        Self {
            transfer,
            code_to_light: Table::new(|code| to_light(code).powf(0.25)),
            light_to_sdr: Table::new(|root| srgb_oetf(eetf(root.powi(4) * PEAK) / WHITE)),
            sdr_to_light: Table::new(|sdr| {
                (inverse_eetf(srgb_eotf(sdr) * WHITE) / PEAK).powf(0.25)
            }),
            light_to_code: Table::new(|root| to_code(root.powi(4))),
        }
    }

    /// Maps R'G'B' of the frame to SDR's.
    #[inline]
    pub fn to_sdr(&self, code: [f32; 3]) -> [f32; 3] {
        let light = each(code, |code| fourth_power(self.code_to_light.at(code / 255.0)));
        let light = match self.transfer {
            // The OOTF: from scene light to display light.
            Transfer::Hlg => {
                let gain = dot(&LUMA, light).max(0.0).powf(HLG_GAMMA as f32 - 1.0);
                each(light, |light| light * gain)
            }
            _ => light,
        };
        let light = times(&BT2020_TO_BT709, light);
        each(light, |light| 255.0 * self.light_to_sdr.at(root(light)))
    }

    /// Maps SDR's R'G'B' to the frame's.
    #[inline]
    pub fn from_sdr(&self, sdr: [f32; 3]) -> [f32; 3] {
        let light = each(sdr, |sdr| fourth_power(self.sdr_to_light.at(sdr / 255.0)));
        let light = times(&BT709_TO_BT2020, light);
        let light = match self.transfer {
            Transfer::Hlg => {
                let luma = dot(&LUMA, light).max(f32::MIN_POSITIVE);
                let gain = luma.powf(1.0 / HLG_GAMMA as f32 - 1.0);
                each(light, |light| light * gain)
            }
            _ => light,
        };
        each(light, |light| 255.0 * self.light_to_code.at(root(light)))
    }

    /// Maps a row of pixels of three components, of which `matrix` and `offset` make R'G'B', to SDR's
    /// R, G and B, in place.
    pub fn map_row(&self, matrix: &[[f32; 3]; 3], offset: [f32; 3], row: &mut [u8]) {
        for pixel in row.as_chunks_mut::<3>().0 {
            let [a, b, c] = times(matrix, [pixel[0].into(), pixel[1].into(), pixel[2].into()]);
            let [red, green, blue] = self.to_sdr([a + offset[0], b + offset[1], c + offset[2]]);
            *pixel = [(red + 0.5) as u8, (green + 0.5) as u8, (blue + 0.5) as u8];
        }
    }

    /// [`ToneMap::from_sdr`] of rows of R, G and B.
    pub fn rows_from_sdr(&self, [red, green, blue]: [&mut [f32]; 3]) {
        for (r, (g, b)) in red.iter_mut().zip(green.iter_mut().zip(blue)) {
            [*r, *g, *b] = self.from_sdr([*r, *g, *b]);
        }
    }
}

/// The constants of ST 2084.
const M1: f64 = 2610.0 / 16384.0;
const M2: f64 = 2523.0 / 4096.0 * 128.0;
const C1: f64 = 3424.0 / 4096.0;
const C2: f64 = 2413.0 / 4096.0 * 32.0;
const C3: f64 = 2392.0 / 4096.0 * 32.0;

/// Light in cd/m² of a code value from 0 to 1.
fn pq_eotf(code: f64) -> f64 {
    let root = code.powf(1.0 / M2);
    10_000.0 * ((root - C1).max(0.0) / (C2 - C3 * root)).powf(1.0 / M1)
}

/// The code value of light in cd/m².
fn pq_inverse_eotf(light: f64) -> f64 {
    let power = (light / 10_000.0).powf(M1);
    ((C1 + C2 * power) / (1.0 + C3 * power)).powf(M2)
}

/// The constants of HLG.
const A: f64 = 0.178_832_77;
const B: f64 = 0.284_668_92;
const C: f64 = 0.559_910_73;

/// The scene's light of a code value, both from 0 to 1.
fn hlg_inverse_oetf(code: f64) -> f64 {
    if code <= 0.5 { code * code / 3.0 } else { (((code - C) / A).exp() + B) / 12.0 }
}

/// The code value of the scene's light, both from 0 to 1.
fn hlg_oetf(light: f64) -> f64 {
    if light <= 1.0 / 12.0 { (3.0 * light).sqrt() } else { A * (12.0 * light - B).ln() + C }
}

fn srgb_oetf(light: f64) -> f64 {
    match light {
        ..=0.003_130_8 => 12.92 * light,
        _ => 1.055 * light.min(1.0).powf(1.0 / 2.4) - 0.055,
    }
}

fn srgb_eotf(code: f64) -> f64 {
    if code <= 0.040_45 { code / 12.92 } else { ((code + 0.055) / 1.055).powf(2.4) }
}

/// Compresses light up to [`PEAK`] into [`WHITE`], both in cd/m²; dark parts are unchanged.
fn eetf(light: f64) -> f64 {
    let peak = pq_inverse_eotf(PEAK);
    let most = pq_inverse_eotf(WHITE) / peak;
    let knee = 1.5 * most - 0.5;
    let code = pq_inverse_eotf(light.min(PEAK)) / peak;
    if code < knee {
        return light;
    }
    let t = (code - knee) / (1.0 - knee);
    let (square, cube) = (t * t, t * t * t);
    let spline = (2.0 * cube - 3.0 * square + 1.0) * knee
        + (cube - 2.0 * square + t) * (1.0 - knee)
        + (-2.0 * cube + 3.0 * square) * most;
    pq_eotf(spline * peak)
}

/// The inverse of [`eetf`].
fn inverse_eetf(light: f64) -> f64 {
    let (mut low, mut high) = (0.0, PEAK);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if eetf(middle) < light { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn maps() -> [&'static ToneMap; 2] {
        [Transfer::Pq, Transfer::Hlg].map(|transfer| transfer.tone_map().unwrap())
    }

    fn grey(code: f64) -> [f32; 3] {
        [255.0 * code as f32; 3]
    }

    /// Values of ST 2084 and of BT.2408, table 1.
    #[test]
    fn the_curves_match_the_standards() {
        for (light, code) in
            [(0.0, 0.0), (100.0, 0.508), (203.0, 0.581), (1000.0, 0.7518), (10_000.0, 1.0)]
        {
            assert!((pq_inverse_eotf(light) - code).abs() < 1e-3, "{light}");
            assert!((pq_eotf(pq_inverse_eotf(light)) - light).abs() < 1e-6 * (light + 1.0));
        }
        assert!((hlg_inverse_oetf(0.75).powf(HLG_GAMMA) * PEAK - WHITE).abs() < 1.0);
        for light in [0.0, 0.01, 1.0 / 12.0, 0.3, 1.0] {
            assert!((hlg_inverse_oetf(hlg_oetf(light)) - light).abs() < 1e-6);
        }
    }

    #[test]
    fn dark_values_are_kept_and_the_peak_becomes_white() {
        assert_eq!((eetf(0.0), eetf(50.0)), (0.0, 50.0));
        assert!((eetf(PEAK) - WHITE).abs() < 1e-6);
        let sdr = |light| Transfer::Pq.tone_map().unwrap().to_sdr(grey(pq_inverse_eotf(light)));
        // 50 of 203 cd/m² in sRGB.
        for (light, expected) in [(0.0, 0.0), (50.0, 135.7), (PEAK, 255.0), (5000.0, 255.0)] {
            let found = sdr(light);
            assert!(found.iter().all(|found| (found - expected).abs() < 0.6), "{light} {found:?}");
        }
        // HDR's reference white is light grey, with room for brighter light.
        assert!((200.0..250.0).contains(&sdr(WHITE)[0]));
    }

    #[test]
    fn sdr_is_not_mapped() {
        gst::init().unwrap();
        let of = |name: &str| Transfer::of(&name.parse().unwrap());
        assert_eq!(of("bt709").tone_map().map(|_| ()), None);
        assert_eq!((of("bt2100-pq"), of("bt2100-hlg")), (Transfer::Pq, Transfer::Hlg));
    }

    proptest! {
        /// The round trip gives SDR back, except for light that the frame's format cannot represent.
        #[test]
        fn to_sdr_undoes_from_sdr(sdr in prop::array::uniform3(0f32..=255.0)) {
            for map in maps() {
                let code = map.from_sdr(sdr);
                prop_assert!(code.iter().all(|code| (0.0..=255.0).contains(code)));
                // HLG clips light above its peak.
                if code.iter().all(|code| *code < 254.9) {
                    let again = map.to_sdr(code);
                    let is_near = again.iter().zip(sdr).all(|(a, b)| (a - b).abs() < 1.5);
                    prop_assert!(is_near, "{:?} {:?} {:?}", sdr, code, again);
                }
            }
        }

        #[test]
        fn tone_mapping_is_monotonic(code in 0f32..254.0) {
            for map in maps() {
                prop_assert!(map.to_sdr([code; 3])[1] <= map.to_sdr([code + 1.0; 3])[1]);
                prop_assert!(map.from_sdr([code; 3])[1] <= map.from_sdr([code + 1.0; 3])[1]);
            }
        }
    }
}
