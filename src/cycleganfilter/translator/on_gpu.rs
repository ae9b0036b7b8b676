// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pre- and postprocessing of frames that stay on the GPU.

use cyclegan_frame::{Matte, map_writable};
use cyclegan_runtime::Generator;
use gst::glib::bool_error;
use gst_video::VideoInfo;

use super::{Kind, Preprocess, Request, TranslateError, Translator, View, postprocess::Residuals};
use crate::cycleganfilter::{
    gl, lock,
    memory::Memory,
    settings::{Output, Regions},
};

impl Kind {
    /// Whether frames in `memory` are worked on by the GPU. What it cannot do yet is done by the CPU,
    /// for which GStreamer downloads frames in GL memory and uploads them again.
    pub fn is_on_gpu(&self, memory: Memory) -> bool {
        let is_whole = self.view.regions == Regions::Frame;
        memory == Memory::Gl && is_whole && self.output != Output::Alpha
    }
}

impl Preprocess {
    /// For frames of `info` in GL memory that are seen as `view` says. The GPU scales them, and the rest is
    /// done to the small picture as if that were the frame.
    pub fn on_gpu(
        generator: &Generator,
        info: &VideoInfo,
        view: View,
        threads: u32,
    ) -> Result<Self, TranslateError> {
        let size = view.content();
        let shrinker = gl::Shrinker::new(info, size)?;
        let mut preprocess = Self::new(generator, shrinker.picture_info(), view, threads)?;
        preprocess.shrinker = Some(shrinker);
        Ok(preprocess)
    }

    /// As [`Preprocess::prepare`], of a frame in GL memory.
    pub fn prepare_on_gpu(
        &mut self,
        frame: &gl::Frame,
        request: &mut Request,
        region_types: &[String],
        is_smoothed: bool,
    ) -> Result<(), TranslateError> {
        let Some(mut shrinker) = self.shrinker.take() else {
            return Err(bool_error!("it is in GL memory, expected system memory").into());
        };
        let prepared = match shrinker.shrink(frame) {
            Ok(picture) => self.prepare(&picture, request, region_types, is_smoothed),
            Err(error) => Err(error.into()),
        };
        self.shrinker = Some(shrinker);
        prepared
    }
}

impl Translator {
    /// Puts the last residual on `input`, or writes the last mask. Returns whether there is one.
    pub fn composite_on_gpu(
        &self,
        input: &gl::Frame,
        output: &mut gst::BufferRef,
    ) -> Result<bool, TranslateError> {
        let mut postprocess = lock(self.postprocess());
        let postprocess = &mut *postprocess;
        if !postprocess.has_residual {
            return Ok(false);
        }
        if let Residuals::Frame { residual, masks, keep, .. } = &mut postprocess.residuals {
            match &mut masks.writer {
                Some(writer) => {
                    writer.write(&masks.matte, &mut map_writable(output, self.output_info())?)?;
                }
                None => postprocess.on_gpu.composite(residual, *keep, input, output)?,
            }
        }
        Ok(true)
    }

    /// Writes what stands for an untouched frame: `input` itself, or a mask of nothing.
    pub fn pass_on_gpu(
        &self,
        input: &gl::Frame,
        output: &mut gst::BufferRef,
    ) -> Result<(), TranslateError> {
        let mut postprocess = lock(self.postprocess());
        let postprocess = &mut *postprocess;
        if let Residuals::Frame { letterbox, masks, .. } = &mut postprocess.residuals
            && let Some(writer) = &mut masks.writer
        {
            let nothing = Matte::new(letterbox.content.size);
            return Ok(writer.write(&nothing, &mut map_writable(output, self.output_info())?)?);
        }
        Ok(postprocess.on_gpu.copy(input, output)?)
    }
}
