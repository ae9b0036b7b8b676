// SPDX-License-Identifier: MIT OR Apache-2.0

//! Detects cuts between shots.

use image::RgbImage;

/// Bins per channel of a histogram.
const LEVELS: usize = 8;
/// Share of pixels that must change their bin for a cut.
const CUT: f64 = 0.5;

/// Counts the shots of a video.
#[derive(Debug, Default)]
pub struct Shots {
    /// Number of shots so far.
    pub count: usize,
    last: Option<Vec<f64>>,
}

impl Shots {
    /// Whether this frame is the first of a shot: its colours differ from those before.
    pub fn begins(&mut self, picture: &RgbImage) -> bool {
        let histogram = histogram(picture);
        let moved = self.last.as_ref().map(|last| {
            let difference = last.iter().zip(&histogram).map(|(a, b)| (a - b).abs());
            difference.sum::<f64>() / 2.0
        });
        let cut = moved.is_none_or(|moved| moved > CUT);
        self.count += usize::from(cut);
        self.last = Some(histogram);
        cut
    }
}

/// Whether `b` may follow `a` without a cut.
pub fn same_shot(a: &RgbImage, b: &RgbImage) -> bool {
    let mut shots = Shots::default();
    shots.begins(a);
    !shots.begins(b)
}

/// The share of pixels in each of 8×8×8 bins of the RGB cube.
fn histogram(picture: &RgbImage) -> Vec<f64> {
    let mut cells = vec![0.0; LEVELS.pow(3)];
    let share = 1.0 / f64::from(picture.width() * picture.height()).max(1.0);
    for pixel in picture.pixels() {
        let cell = pixel.0.iter().fold(0, |cell, &v| cell * LEVELS + usize::from(v) * LEVELS / 256);
        cells[cell] += share;
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_begins_a_shot_and_motion_does_not() {
        let frame = |colour: [u8; 3], left: u32| {
            RgbImage::from_fn(64, 32, |x, _| {
                image::Rgb(if (left..left + 10).contains(&x) { [255; 3] } else { colour })
            })
        };
        let mut shots = Shots::default();
        let begins: Vec<bool> = [
            frame([200, 30, 30], 0),
            frame([200, 30, 30], 20),
            frame([20, 90, 200], 20),
            frame([20, 90, 200], 25),
        ]
        .iter()
        .map(|f| shots.begins(f))
        .collect();
        assert_eq!(begins, [true, false, true, false]);
        assert_eq!(shots.count, 2);
        assert!(!same_shot(&frame([200, 30, 30], 0), &frame([20, 90, 200], 0)));
    }
}
