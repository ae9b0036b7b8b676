// SPDX-License-Identifier: MIT OR Apache-2.0

//! Overlays on the rows of a frame: residuals and mattes, of the whole frame or of regions.

use cyclegan_contract::Size;

use super::{
    kernel::RowLerp,
    matte::Matte,
    patch::{Crops, Patch, PatchRows},
    plane::Plane,
    residual::Residual,
    upsample::{UpsampledRows, Upsampler, Window, scatter},
};

/// A plane of the frame with colour or alpha, and the upsampling of the residual to it.
pub struct ColorPlane {
    pub window: Window,
    upsampler: Upsampler,
    /// −1 for each entry of a row that is a sample, 0 for the others.
    is_sample: Vec<i16>,
}

impl ColorPlane {
    /// For `plane` and residuals of `residual` pixels.
    pub fn new(plane: &Plane, residual: Size) -> Self {
        let mut is_sample = vec![0; plane.row_length()];
        for component in plane.components() {
            scatter(plane, component, &vec![-1; component.width as usize], &mut is_sample);
        }
        Self {
            window: Window::new(plane, plane),
            upsampler: Upsampler::new((residual.width, residual.height), plane),
            is_sample,
        }
    }
}

/// Scratch memory for the rows of a band.
#[derive(Default)]
pub struct Band {
    pub upsampled: UpsampledRows,
    patches: PatchRows,
    matte: UpsampledRows,
    matte_patches: PatchRows,
    /// A row with colours, before it gets its alpha.
    pub row: Vec<u8>,
    /// A row whose alpha is 0, before the patches' mattes are written to it.
    clear: Vec<u8>,
}

/// An overlay on a frame.
pub trait Overlay: Sync {
    /// Starts the rows of another plane.
    fn start(&self, band: &mut Band, plane: &ColorPlane);
    /// Writes row `y` of `target` from that of `source`.
    fn row(&self, band: &mut Band, plane: &ColorPlane, y: usize, source: &[u8], target: &mut [u8]);
}

/// A residual for the whole frame.
pub struct WholeFrame<'a> {
    pub residual: &'a Residual,
    /// The share of the frame's own samples.
    pub keep: f32,
}

impl Overlay for WholeFrame<'_> {
    fn start(&self, band: &mut Band, plane: &ColorPlane) {
        band.upsampled.restart(&plane.window);
    }

    fn row(&self, band: &mut Band, plane: &ColorPlane, y: usize, source: &[u8], target: &mut [u8]) {
        let ColorPlane { window, upsampler, is_sample } = plane;
        let rows = |component: usize, y: usize| self.residual.row(component, y);
        let residual = band.upsampled.row(upsampler, window, rows, y);
        window.part.blend(source, target, residual, self.keep, is_sample);
    }
}

/// Residuals for regions of a frame.
pub struct Patches<'a> {
    pub patches: &'a [Patch],
    pub crops: &'a Crops,
}

impl Overlay for Patches<'_> {
    fn start(&self, band: &mut Band, plane: &ColorPlane) {
        band.patches.restart(self.patches, self.crops, plane.window.part.index);
    }

    fn row(&self, band: &mut Band, plane: &ColorPlane, y: usize, source: &[u8], target: &mut [u8]) {
        let start = plane.window.part.bytes().start;
        band.patches.row(self.patches, self.crops, y, start, source, target);
    }
}

/// The alpha of the whole frame.
pub struct WholeMatte<'a>(pub &'a Matte);

impl Overlay for WholeMatte<'_> {
    fn start(&self, band: &mut Band, plane: &ColorPlane) {
        band.matte.restart(&plane.window);
    }

    fn row(&self, band: &mut Band, plane: &ColorPlane, y: usize, source: &[u8], target: &mut [u8]) {
        let ColorPlane { window, upsampler, is_sample } = plane;
        let alpha = band.matte.row(upsampler, window, |_, y| self.0.row(y), y);
        window.part.blend(source, target, alpha, 0.0, is_sample);
    }
}

/// The alpha of regions, and 0 outside them.
pub struct PatchMattes<'a> {
    pub mattes: &'a [Patch],
    pub crops: &'a Crops,
    /// As many as a row of the plane has entries.
    pub zeros: &'a [i16],
}

impl Overlay for PatchMattes<'_> {
    fn start(&self, band: &mut Band, plane: &ColorPlane) {
        band.matte_patches.restart(self.mattes, self.crops, plane.window.part.index);
    }

    fn row(&self, band: &mut Band, plane: &ColorPlane, y: usize, source: &[u8], target: &mut [u8]) {
        let (part, zeros) = (&plane.window.part, self.zeros);
        let zero = RowLerp { before: zeros, after: zeros, weight: 0 };
        band.clear.resize(source.len(), 0);
        part.blend(source, &mut band.clear, zero, 0.0, &plane.is_sample);
        let start = part.bytes().start;
        band.matte_patches.row(self.mattes, self.crops, y, start, &band.clear, target);
    }
}
