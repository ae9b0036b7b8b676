// SPDX-License-Identifier: MIT OR Apache-2.0

//! Foreground by colour: leaves are green, oranges are orange.

use std::str::FromStr;

use anyhow::Result;
use clap::Args;
use tch::{Kind, Tensor};

use crate::options::share;

/// Side of the smallest hole and of the smallest speck that remain, as a share of the image's short side.
const GRAIN: f64 = 0.01;

/// Bounds in addition to the hue.
#[derive(Debug, Args)]
pub struct ColourArgs {
    /// --hue: minimum saturation, 0 to 1
    #[arg(long, conflicts_with = "model", default_value_t = 0.15, allow_negative_numbers = true)]
    saturation: f64,
    /// --hue: minimum chroma, the difference between the largest and the smallest of red, green and blue, 0 to 1
    #[arg(long, conflicts_with = "model", default_value_t = 0.05, allow_negative_numbers = true)]
    chroma: f64,
}

/// A range of hues, degrees; if the second is smaller, the range goes through red.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hues(f64, f64);

impl FromStr for Hues {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let degrees = |text: &str| text.parse().ok().filter(|d| (0.0..=360.0).contains(d));
        let ends = text.split_once('-').map(|(from, to)| (degrees(from), degrees(to)));
        match ends {
            Some((Some(from), Some(to))) => Ok(Self(from, to)),
            _ => Err("expected two angles of 0 to 360 degrees, FROM-TO".to_owned()),
        }
    }
}

impl ColourArgs {
    /// Refuses values that no pixel or every pixel has.
    pub fn check(&self) -> Result<()> {
        share("--saturation", self.saturation)?;
        share("--chroma", self.chroma)
    }

    /// The mask, 1×1×H×W, of 1×3×H×W in [−1, 1]: 1 for pixels of such a colour, else 0, with small holes closed and
    /// specks removed.
    pub fn inside(&self, hues: Hues, picture: &Tensor) -> Tensor {
        // A row of pixels has nothing to reflect.
        let padded = match picture.size()[2..].contains(&1) {
            true => picture.replication_pad2d([1; 4]),
            false => picture.reflection_pad2d([1; 4]),
        };
        let smooth = padded.avg_pool2d([3; 2], [1; 2], [0; 2], false, true, None);
        let rgb = (smooth + 1.0) / 2.0;
        let [r, g, b] = [0, 1, 2].map(|c| rgb.narrow(1, c, 1));
        let (most, least) = (rgb.amax([1i64].as_slice(), true), rgb.amin([1i64].as_slice(), true));
        let chroma = &most - least;
        let by = chroma.clamp_min(1e-6);
        let sector = |a: &Tensor, b: &Tensor, at: f64| (a - b) / &by + at;
        let of_red = sector(&g, &b, 0.0).remainder(6.0);
        let of_green = sector(&b, &r, 2.0);
        let of_blue = sector(&r, &g, 4.0);
        let hue = of_red
            .where_self(&r.eq_tensor(&most), &of_green.where_self(&g.eq_tensor(&most), &of_blue))
            * 60.0;
        let Hues(from, to) = hues;
        let (after, before) = (hue.ge(from), hue.le(to));
        let hue = if from <= to { after.logical_and(&before) } else { after.logical_or(&before) };
        let vivid = (&chroma / most.clamp_min(1e-6)).ge(self.saturation);
        let inside =
            hue.logical_and(&vivid).logical_and(&chroma.ge(self.chroma)).to_kind(Kind::Float);
        let size = picture.size();
        let short = size[2].min(size[3]) as f64;
        let reach = ((short * GRAIN / 2.0).round() as i64).max(1);
        let closed = eroded(&dilated(&inside, reach), reach);
        dilated(&eroded(&closed, 1), 1)
    }
}

/// The maximum within `reach` pixels.
fn dilated(x: &Tensor, reach: i64) -> Tensor {
    x.max_pool2d([2 * reach + 1; 2], [1; 2], [reach; 2], [1; 2], false)
}

/// The minimum within `reach` pixels.
fn eroded(x: &Tensor, reach: i64) -> Tensor {
    1.0 - dilated(&(1.0 - x), reach)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image of one colour, 0 to 1, with a square of another colour in the middle.
    fn picture(around: [f64; 3], square: [f64; 3]) -> Tensor {
        let x = Tensor::zeros([1, 3, 32, 32], tch::kind::FLOAT_CPU);
        for c in 0..3 {
            let plane = x.narrow(1, c as i64, 1);
            let _ = plane.shallow_clone().fill_(around[c] * 2.0 - 1.0);
            let _ = plane.narrow(2, 8, 16).narrow(3, 8, 16).fill_(square[c] * 2.0 - 1.0);
        }
        x
    }

    fn share(hues: &str, around: [f64; 3], square: [f64; 3]) -> f64 {
        let bounds = ColourArgs { saturation: 0.15, chroma: 0.05 };
        let inside = bounds.inside(hues.parse().unwrap(), &picture(around, square));
        assert_eq!(inside.size(), [1, 1, 32, 32]);
        inside.mean(Kind::Float).double_value(&[])
    }

    #[test]
    fn pixels_of_the_hues_are_inside() {
        let (grey, green, red, pink) =
            ([0.5; 3], [0.2, 0.6, 0.1], [0.7, 0.1, 0.1], [0.7, 0.1, 0.15]);
        assert!((share("52-175", grey, green) - 0.25).abs() < 0.07);
        assert_eq!(share("52-175", grey, red), 0.0);
        // Through red.
        for colour in [red, pink] {
            assert!((share("340-20", grey, colour) - 0.25).abs() < 0.07);
        }
        assert!(share("340-20", red, green) > 0.68);
        // Almost grey.
        assert_eq!(share("52-175", grey, [0.5, 0.52, 0.5]), 0.0);
    }

    #[test]
    fn specks_are_removed() {
        let x = picture([0.5; 3], [0.5; 3]);
        let _ = x.narrow(1, 1, 1).narrow(2, 4, 1).narrow(3, 4, 1).fill_(1.0);
        let bounds = ColourArgs { saturation: 0.15, chroma: 0.05 };
        let inside = bounds.inside("60-180".parse().unwrap(), &x);
        assert_eq!(inside.sum(Kind::Float).double_value(&[]), 0.0);
    }

    #[test]
    fn images_of_one_pixel_and_of_one_row_have_masks() {
        let bounds = ColourArgs { saturation: 0.15, chroma: 0.05 };
        for (h, w) in [(1, 1), (1, 9), (9, 1)] {
            let green = Tensor::from_slice(&[-1.0f32, 1.0, -1.0]).view([1, 3, 1, 1]);
            let x = green.expand([1, 3, h, w], false);
            let inside = bounds.inside("60-180".parse().unwrap(), &x);
            assert_eq!(inside.size(), [1, 1, h, w]);
            assert_eq!(inside.min().double_value(&[]), 1.0);
        }
    }

    #[test]
    fn invalid_hue_ranges_are_refused() {
        for wrong in ["green", "10", "10-400", "-5-20"] {
            assert!(wrong.parse::<Hues>().is_err(), "{wrong}");
        }
    }
}
