// SPDX-License-Identifier: MIT OR Apache-2.0

//! Preprocessing, the first stage: scales a frame and fills the generator's input tensors.

use gst_video::{VideoFrameExt, VideoFrameRef, VideoInfo};

use super::{Request, TranslateError, boxes::Boxes, view::View};
use crate::cycleganfilter::gl;
use cyclegan_frame::{
    Letterbox, PartScalers, Rect, Region, Scaler, ToTensor, UnpackedFrame, Workers, pack,
};
use cyclegan_runtime::{Generator, ValuesMut};

/// Preprocesses frames of one format and size. The next frame overwrites its scaled pictures; the
/// [`Request`] holds what later stages need.
pub struct Preprocess {
    pub(super) view: View,
    boxes: Boxes,
    /// For formats that cannot be cropped.
    unpacked: Option<UnpackedFrame>,
    /// Scales the whole frame.
    pub(super) scaler: Scaler,
    /// Scales regions of it.
    pub(super) part_scalers: PartScalers,
    pub(super) to_tensor: ToTensor,
    pub(super) workers: Workers,
    /// Scales frames in GL memory.
    pub(super) gl_scaler: Option<gl::Scaler>,
}

impl Preprocess {
    /// For frames of `info` of which the generator sees `view`.
    pub fn new(
        generator: &Generator,
        info: &VideoInfo,
        view: View,
        threads: u32,
    ) -> Result<Self, TranslateError> {
        let size = view.content();
        let unpacked = match &view {
            View::Frame(_) => None,
            View::Regions(..) => UnpackedFrame::new(info, threads)?,
        };
        let info = unpacked.as_ref().map_or(info, UnpackedFrame::info).clone();
        let scaler = Scaler::new(&info, size, threads)?;
        let range = generator.contract().metadata.input_range;
        Ok(Self {
            view,
            boxes: Boxes::default(),
            unpacked,
            to_tensor: ToTensor::new(&scaler.color(), range),
            workers: Workers::new(threads)?,
            part_scalers: PartScalers::new(&info),
            scaler,
            gl_scaler: None,
        })
    }

    /// Fills the input tensors of `request` with `frame`, or with its boxes of `region_types` if
    /// the view is of regions. Also fills the luma planes, which smoothing needs, if `is_smoothed`.
    pub fn prepare(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
        request: &mut Request,
        region_types: &[String],
        is_smoothed: bool,
    ) -> Result<(), TranslateError> {
        self.plan(frame.buffer(), request, region_types)?;
        let Self { view, unpacked, scaler, part_scalers, to_tensor, workers, .. } = self;
        let packing = Packing { to_tensor, workers, is_smoothed };
        match view {
            View::Frame(letterbox) => packing.fill(request, 0, scaler, frame, letterbox),
            View::Regions(..) if request.regions.is_empty() => Ok(()),
            View::Regions(..) => {
                let unpacked =
                    unpacked.as_mut().map(|unpacked| unpacked.unpack(frame)).transpose()?;
                let frame = unpacked.as_ref().unwrap_or(frame);
                packing.fill_regions(request, part_scalers, frame, |_, region| region.crop)
            }
        }
    }

    /// Chooses the regions of the frame in `buffer`, if the view is of regions.
    pub(super) fn plan(
        &mut self,
        buffer: &gst::BufferRef,
        request: &mut Request,
        region_types: &[String],
    ) -> Result<(), TranslateError> {
        let Self { view, boxes, .. } = self;
        let View::Regions(planner, _) = view else { return Ok(()) };
        let regions = planner.plan(boxes.of(buffer, region_types));
        request.regions.clear();
        request.regions.extend_from_slice(regions);
        request.resize(regions.len())
    }
}

/// The parameters of filling a tensor.
pub(super) struct Packing<'a> {
    pub to_tensor: &'a ToTensor,
    pub workers: &'a Workers,
    pub is_smoothed: bool,
}

impl Packing<'_> {
    /// Fills a tensor for each region of `request`; `place` says where in `frame` it is.
    pub fn fill_regions(
        &self,
        request: &mut Request,
        scalers: &mut PartScalers,
        frame: &VideoFrameRef<&gst::BufferRef>,
        place: impl Fn(usize, &Region) -> Rect,
    ) -> Result<(), TranslateError> {
        for index in 0..request.regions.len() {
            let region = request.regions[index];
            let scaler = scalers.get(place(index, &region), region.letterbox.content.size)?;
            self.fill(request, index, scaler, frame, &region.letterbox)?;
        }
        Ok(())
    }

    /// Scales `frame` with `scaler`, and packs the result as picture `index` of `request`.
    pub fn fill(
        &self,
        request: &mut Request,
        index: usize,
        scaler: &mut Scaler,
        frame: &VideoFrameRef<&gst::BufferRef>,
        letterbox: &Letterbox,
    ) -> Result<(), TranslateError> {
        let Self { to_tensor, workers, is_smoothed } = *self;
        let luma = scaler.luma();
        let (picture, stride) = scaler.scale(frame)?;
        match request.input_mut(index)? {
            ValuesMut::F32(t) => pack(picture, stride, letterbox, to_tensor, workers, t),
            ValuesMut::F16(t) => pack(picture, stride, letterbox, to_tensor, workers, t),
        }
        if is_smoothed {
            let plane = request.luma_mut(index);
            plane.resize(letterbox.content.size);
            plane.update(picture, stride, luma);
        }
        Ok(())
    }
}
