// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is drawn over a frame: residuals and mattes.

use cyclegan_frame::{KEEP_ALL, MAX_REGIONS, Matte, Patch, Rect, Residual, Size};

/// The number of layers that the shader takes.
pub const MOST: usize = 16;
const _: () = assert!(MAX_REGIONS <= MOST, "the arrays in compose.frag are too short");

/// The position of a residual on the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The pixels that it may change.
    pub area: Rect,
    /// The pixels that it is upscaled to.
    pub crop: Rect,
    /// Its own size.
    pub size: Size,
}

/// The layers of one frame, in their order. Its memory is reused for the next frame.
#[derive(Default)]
pub struct Layers {
    /// Their positions.
    pub positions: Vec<Layer>,
    /// Their residuals, one after the other, with the coverage as the fourth component.
    pub pixels: Vec<[i16; 4]>,
    /// Their mattes, one after the other.
    pub mattes: Vec<i16>,
    /// Whether mattes replace the frame's alpha.
    pub has_mattes: bool,
}

impl Layers {
    /// Starts a frame without layers.
    pub fn clear(&mut self, has_mattes: bool) {
        self.positions.clear();
        self.pixels.clear();
        self.mattes.clear();
        self.has_mattes = has_mattes;
    }

    /// Adds a residual for a whole frame of `frame` pixels, which keeps the share `keep` of its own
    /// samples. Has a matte if all layers do.
    pub fn add_whole(
        &mut self,
        frame: Size,
        residual: &Residual,
        keep: f32,
        matte: Option<&Matte>,
    ) {
        let coverage = KEEP_ALL - (keep * KEEP_ALL as f32).round() as i32;
        let whole = Rect { x: 0, y: 0, size: frame };
        self.positions.push(Layer { area: whole, crop: whole, size: residual.size });
        self.add_pixels(residual, std::iter::repeat(coverage as i16));
        if let Some(matte) = matte {
            self.mattes.extend_from_slice(matte.values());
        }
    }

    /// Adds a region's residual. Has a matte if all layers do.
    pub fn add_patch(&mut self, patch: &Patch, matte: Option<&Patch>) {
        let Some(region) = patch.region() else { return };
        let (area, crop) = (region.feathered, region.crop);
        self.positions.push(Layer { area, crop, size: patch.residual.size });
        match patch.coverage() {
            Some(coverage) => self.add_pixels(&patch.residual, coverage.iter().copied()),
            None => self.add_pixels(&patch.residual, std::iter::repeat(0)),
        }
        if let Some(matte) = matte {
            self.mattes.extend_from_slice(&matte.residual.planes[0]);
        }
    }

    fn add_pixels(&mut self, residual: &Residual, coverage: impl Iterator<Item = i16>) {
        let [red, green, blue] = &residual.planes;
        let samples = red.iter().zip(green).zip(blue).zip(coverage);
        self.pixels.extend(
            samples.map(|(((red, green), blue), coverage)| [*red, *green, *blue, coverage]),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_the_frame_is_not_covered() {
        let size = Size { width: 2, height: 1 };
        let mut residual = Residual::new(size);
        residual.planes = [vec![1, 2], vec![3, 4], vec![5, 6]];
        let mut layers = Layers::default();
        for (keep, coverage) in [(1.0, 0), (0.0, 16384), (0.75, 4096)] {
            layers.clear(false);
            layers.add_whole(Size { width: 8, height: 4 }, &residual, keep, None);
            assert_eq!(layers.pixels, [[1, 3, 5, coverage], [2, 4, 6, coverage]]);
            assert_eq!((layers.positions.len(), layers.mattes.len()), (1, 0));
        }
        layers.clear(true);
        layers.add_whole(size, &residual, 1.0, Some(&Matte::new(size)));
        assert!(layers.has_mattes && layers.mattes == [0, 0]);
    }
}
