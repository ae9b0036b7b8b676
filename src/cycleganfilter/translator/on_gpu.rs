// SPDX-License-Identifier: MIT OR Apache-2.0

//! Preprocessing and postprocessing of frames in GL memory.

use cyclegan_frame::{Rect, map_writable};
use cyclegan_runtime::Generator;
use gst::glib::bool_error;
use gst_video::VideoInfo;

use super::{
    Preprocess, Request, TranslateError, Translator, View,
    postprocess::{Postprocess, Residuals},
    preprocess::Packing,
};
use crate::cycleganfilter::{gl, lock, settings::Output};

impl Preprocess {
    /// For frames of `info` in GL memory. The GPU scales each frame or its regions, and the CPU
    /// processes the small pictures as if they were the frame.
    pub fn on_gpu(
        generator: &Generator,
        info: &VideoInfo,
        view: View,
        threads: u32,
    ) -> Result<Self, TranslateError> {
        let scaler = gl::Scaler::new(info, view.content())?;
        let mut preprocess = Self::new(generator, &scaler.picture_info()?, view, threads)?;
        preprocess.gl_scaler = Some(scaler);
        Ok(preprocess)
    }

    /// As [`Preprocess::prepare`], for a frame in GL memory.
    pub fn prepare_on_gpu(
        &mut self,
        frame: &gl::Frame,
        request: &mut Request,
        region_types: &[String],
        is_smoothed: bool,
    ) -> Result<(), TranslateError> {
        self.plan(frame.buffer(), request, region_types)?;
        let Self { view, scaler, part_scalers, to_tensor, workers, gl_scaler, .. } = self;
        let Some(gl_scaler) = gl_scaler else {
            return Err(bool_error!("it is in GL memory, expected system memory").into());
        };
        let packing = Packing { to_tensor, workers, is_smoothed };
        match view {
            View::Frame(letterbox) => {
                packing.fill(request, 0, scaler, &gl_scaler.scale(frame)?, letterbox)
            }
            View::Regions(..) if request.regions.is_empty() => Ok(()),
            View::Regions(_, tensor) => {
                let parts = request.regions.iter();
                let parts = parts.map(|region| (region.crop, region.letterbox.content.size));
                let pictures = gl_scaler.scale_parts(frame, parts)?;
                packing.fill_regions(request, part_scalers, &pictures, |index, region| Rect {
                    x: 0,
                    y: index as u32 * tensor.height,
                    size: region.letterbox.content.size,
                })
            }
        }
    }
}

impl Translator {
    /// As [`Postprocess::composite`], for frames in GL memory.
    pub fn composite_on_gpu(
        &self,
        input: &gl::Frame,
        output: &mut gst::BufferRef,
    ) -> Result<bool, TranslateError> {
        let mut postprocess = lock(self.postprocess());
        if !postprocess.has_residual {
            return Ok(false);
        }
        if postprocess.output == Output::Mask {
            postprocess.write_mask(&mut map_writable(output, self.output_info())?)?;
            return Ok(true);
        }
        let Postprocess { residuals, on_gpu, output: kind, .. } = &mut *postprocess;
        let is_alpha = *kind == Output::Alpha;
        match residuals {
            Residuals::Frame { residual, masks, keep, .. } => {
                let matte = is_alpha.then_some(&masks.matte);
                on_gpu.composite(residual, *keep, matte, input, output)?;
            }
            Residuals::Regions(regions) => {
                let mattes = is_alpha.then(|| regions.mattes());
                on_gpu.composite_patches(regions.patches(), mattes, input, output)?;
            }
        }
        Ok(true)
    }

    /// As [`Postprocess::pass`], for frames in GL memory.
    pub fn pass_on_gpu(
        &self,
        input: &gl::Frame,
        output: &mut gst::BufferRef,
    ) -> Result<(), TranslateError> {
        let mut postprocess = lock(self.postprocess());
        let Postprocess { on_gpu, output: kind, .. } = &mut *postprocess;
        match *kind {
            Output::Mask => {
                postprocess.write_empty_mask(&mut map_writable(output, self.output_info())?)?;
            }
            Output::Alpha => on_gpu.composite_patches(&[], Some(&[]), input, output)?,
            Output::Video => on_gpu.copy(input, output)?,
        }
        Ok(())
    }
}
