// SPDX-License-Identifier: MIT OR Apache-2.0

//! Warm-up: does before the first frame what takes long only once, and measures how long a frame
//! takes.

use std::time::{Duration, Instant};

use gst_video::{
    VideoFrame, VideoInfo, VideoRegionOfInterestMeta,
    video_frame::{Readable, Writable},
};

use super::{Kind, Postprocess, Preprocess, TranslateError, Translator, View};
use crate::cycleganfilter::memory::zeros;
use cyclegan_frame::Upscale;
use cyclegan_runtime::Interrupt;

/// How long a frame takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The generator alone.
    pub inference: Duration,
    /// All stages.
    pub processing: Duration,
}

impl Cost {
    /// The maximum of each time.
    pub fn max(self, other: Self) -> Self {
        Self {
            inference: self.inference.max(other.inference),
            processing: self.processing.max(other.processing),
        }
    }
}

impl Translator {
    /// Runs the generator at this size and takes a scratch frame through all stages. Returns how
    /// long a frame takes. With `regions=meta`, the scratch frame has one region. Setting `interrupt`
    /// ends it.
    pub fn warm_up(&mut self, kind: Kind, interrupt: &Interrupt) -> Result<Cost, TranslateError> {
        let mut request = self.request()?;
        let inference = self.generator.warm_up(self.tensor, || request.infer(interrupt))?;
        if let View::Regions(..) = View::new(&self.generator, &self.info, kind.view) {
            self.largest_batch = request.warm_up_batches(interrupt)?;
        }
        // Separate from those that frames use: for frames of one or two lines, GStreamer's
        // converter would return the scratch frame again for the first real one.
        let view = || View::new(&self.generator, &self.info, kind.view);
        let mut postprocess = Postprocess::new(&self.info, &view(), kind)?;
        let mut preprocess = Preprocess::new(&self.generator, &self.info, view(), kind.threads)?;
        let (input, mut output) = scratch(&self.info, &self.output_info)?;
        let mut conversion = Duration::MAX;
        // The first run is slower, as it touches new memory.
        for _ in 0..2 {
            let start = Instant::now();
            preprocess.prepare(&input.as_video_frame_ref(), &mut request, &[], false)?;
            // A generator that fails on an image of zeros may work on real ones.
            let upscale = Upscale::Residual { strength: 1.0 };
            match postprocess.update(&mut request, upscale, 0.0) {
                Err(TranslateError::NotFinite(_)) => {}
                updated => updated?,
            }
            let mut output = output.as_mut_video_frame_ref();
            postprocess.composite(&input.as_video_frame_ref(), &mut output)?;
            conversion = conversion.min(start.elapsed());
        }
        self.give_back(request);
        Ok(Cost { inference, processing: inference + conversion })
    }
}

/// An input frame of zeros with one region, and an output frame.
fn scratch(
    info: &VideoInfo,
    output_info: &VideoInfo,
) -> Result<(VideoFrame<Readable>, VideoFrame<Writable>), gst::glib::BoolError> {
    let unusable = |_| gst::glib::bool_error!("cannot map a frame of {:?}", info.format());
    let buffer = |info: &VideoInfo| {
        let mut buffer = zeros(info)?;
        let size = (info.width(), info.height());
        VideoRegionOfInterestMeta::add(buffer.make_mut(), "scratch", (0, 0, size.0, size.1));
        Ok::<_, gst::glib::BoolError>(buffer)
    };
    let input = VideoFrame::from_buffer_readable(buffer(info)?, info).map_err(unusable)?;
    let output =
        VideoFrame::from_buffer_writable(buffer(output_info)?, output_info).map_err(unusable)?;
    Ok((input, output))
}
