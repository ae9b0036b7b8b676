// SPDX-License-Identifier: MIT OR Apache-2.0

//! Preprocessing, the first stage of a frame: from the frame to a generator's input tensors.

use gst_video::{VideoFrameExt, VideoFrameRef, VideoInfo};

use super::{Request, TranslateError, boxes::Boxes, view::View};
use crate::cycleganfilter::gl;
use cyclegan_frame::{Letterbox, PartScalers, Scaler, ToTensor, UnpackedFrame, Workers, pack};
use cyclegan_runtime::{Generator, ValuesMut};

/// Scales and packs frames of one kind. It owns the scaled pictures, which the next frame
/// overwrites: what later stages need of them goes along in the [`Request`].
pub struct Preprocess {
    view: View,
    boxes: Boxes,
    /// Where regions cannot be cut out of the frames themselves.
    unpacked: Option<UnpackedFrame>,
    /// For the frame.
    scaler: Scaler,
    /// For its regions.
    part_scalers: PartScalers,
    to_tensor: ToTensor,
    workers: Workers,
    /// What makes small frames of those in GL memory, if these are worked on by the GPU.
    pub(super) shrinker: Option<gl::Shrinker>,
}

impl Preprocess {
    /// For frames of `info` that are seen as `view` says.
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

    /// Fills the input tensors of `request` with what the generator sees of `frame`: of its boxes
    /// those of `region_types`, where it sees those. Fills the luma planes, which only smoothing needs,
    /// if `is_smoothed`.
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

/// How pictures become tensors.
struct Packing<'a> {
    to_tensor: &'a ToTensor,
    workers: &'a Workers,
    is_smoothed: bool,
}

impl Packing<'_> {
    /// Scales what `scaler` looks at, and packs it as picture `index` of `request`.
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
