// SPDX-License-Identifier: MIT OR Apache-2.0

//! Preprocessing and postprocessing of frames in GL memory.

use cyclegan_frame::map_writable;
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
    /// Whether the GPU processes frames in `memory`. The CPU does what is not implemented on the
    /// GPU; GStreamer then downloads frames in GL memory and uploads the results.
    pub fn is_on_gpu(&self, memory: Memory) -> bool {
        let is_whole = self.view.regions == Regions::Frame;
        memory == Memory::Gl && is_whole && self.output != Output::Alpha
    }
}

impl Preprocess {
    /// For frames of `info` in GL memory. The GPU scales each frame, and the CPU processes the
    /// small picture as if it were the frame.
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

    /// As [`Preprocess::prepare`], for a frame in GL memory.
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
    /// As [`Postprocess::composite`](super::Postprocess::composite), for frames in GL memory.
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
            match &mut postprocess.writer {
                Some(writer) => {
                    writer.write(&masks.matte, &mut map_writable(output, self.output_info())?)?;
                }
                None => postprocess.on_gpu.composite(residual, *keep, input, output)?,
            }
        }
        Ok(true)
    }

    /// As [`Postprocess::pass`](super::Postprocess::pass), for frames in GL memory.
    pub fn pass_on_gpu(
        &self,
        input: &gl::Frame,
        output: &mut gst::BufferRef,
    ) -> Result<(), TranslateError> {
        let mut postprocess = lock(self.postprocess());
        let postprocess = &mut *postprocess;
        if let Some(writer) = &mut postprocess.writer {
            return Ok(writer.write_patches(&[], &mut map_writable(output, self.output_info())?)?);
        }
        Ok(postprocess.on_gpu.copy(input, output)?)
    }
}
