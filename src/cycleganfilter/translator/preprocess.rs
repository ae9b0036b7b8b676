// SPDX-License-Identifier: MIT OR Apache-2.0

//! Preprocessing, the first stage: scales a frame and fills the generator's input tensors.

use gst_video::{VideoFrameExt, VideoFrameRef, VideoInfo};

use super::{Request, TranslateError, boxes::Boxes, view::View};
use crate::cycleganfilter::gl;
use cyclegan_frame::{Letterbox, PartScalers, Scaler, ToTensor, UnpackedFrame, Workers, pack};
use cyclegan_runtime::{Generator, ValuesMut};

/// Preprocesses frames of one format and size. The next frame overwrites its scaled pictures; the
/// [`Request`] holds what later stages need.
pub struct Preprocess {
    view: View,
    boxes: Boxes,
    /// For formats that cannot be cropped.
    unpacked: Option<UnpackedFrame>,
    /// Scales the whole frame.
    scaler: Scaler,
    /// Scales regions of it.
    part_scalers: PartScalers,
    to_tensor: ToTensor,
    workers: Workers,
    /// Scales frames in GL memory, if the GPU processes them.
    pub(super) shrinker: Option<gl::Shrinker>,
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
            shrinker: None,
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
        let Self { view, boxes, unpacked, scaler, part_scalers, to_tensor, workers, .. } = self;
        let packing = Packing { to_tensor, workers, is_smoothed };
        let planner = match view {
            View::Frame(letterbox) => {
                return packing.fill(request, 0, scaler, frame, letterbox);
            }
            View::Regions(planner, _) => planner,
        };
        let regions = planner.plan(boxes.of(frame.buffer(), region_types));
        request.regions.clear();
        request.regions.extend_from_slice(regions);
        request.resize(regions.len())?;
        if regions.is_empty() {
            return Ok(());
        }
        let unpacked = unpacked.as_mut().map(|unpacked| unpacked.unpack(frame)).transpose()?;
        let frame = unpacked.as_ref().unwrap_or(frame);
        for (index, region) in regions.iter().enumerate() {
            let scaler = part_scalers.get(region.crop, region.letterbox.content.size)?;
            packing.fill(request, index, scaler, frame, &region.letterbox)?;
        }
        Ok(())
    }
}

/// The parameters of filling a tensor.
struct Packing<'a> {
    to_tensor: &'a ToTensor,
    workers: &'a Workers,
    is_smoothed: bool,
}

impl Packing<'_> {
    /// Scales `frame` with `scaler`, and packs the result as picture `index` of `request`.
    fn fill(
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
