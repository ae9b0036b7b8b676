// SPDX-License-Identifier: MIT OR Apache-2.0

//! Preprocessing, the first stage of a frame: from the frame to a generator's input tensors.

use gst_video::{VideoFrameExt, VideoFrameRef, VideoInfo, VideoRegionOfInterestMeta};

use super::{Request, TranslateError, request::Part, view::View};
use cyclegan_frame::{Bounds, Letterbox, Rect, Scaler, Size, ToTensor, UnpackedFrame, pack};
use cyclegan_runtime::{Generator, ValuesMut};

/// Scales and packs frames of one kind. It owns the scaled pictures, which the next frame
/// overwrites: what later stages need of them goes along in the [`Request`].
pub struct Preprocess {
    /// What the scalers scale.
    info: VideoInfo,
    view: View,
    /// Where regions cannot be cut out of the frames themselves.
    unpacked: Option<UnpackedFrame>,
    /// One for the frame, or for each region that a frame had so far.
    scalers: Vec<Scaler>,
    to_tensor: ToTensor,
}

impl Preprocess {
    /// For frames of `info` that are seen as `view` says.
    pub fn new(
        generator: &Generator,
        info: &VideoInfo,
        view: View,
        threads: u32,
    ) -> Result<Self, TranslateError> {
        let size = match &view {
            View::Frame(letterbox) => letterbox.content.size,
            View::Regions(_, tensor) => *tensor,
        };
        let unpacked = match &view {
            View::Frame(_) => None,
            View::Regions(..) => UnpackedFrame::new(info, threads)?,
        };
        let info = unpacked.as_ref().map_or(info, UnpackedFrame::info).clone();
        let scaler = Scaler::new(&info, size, threads)?;
        let range = generator.contract().metadata.input_range;
        Ok(Self {
            info,
            view,
            unpacked,
            to_tensor: ToTensor::new(&scaler.color(), range),
            scalers: vec![scaler],
        })
    }

    /// Fills the input tensors of `request` with what the generator sees of `frame`; and the luma
    /// planes, which only smoothing needs, if `is_smoothed`.
    pub fn prepare(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
        request: &mut Request,
        is_smoothed: bool,
    ) -> Result<(), TranslateError> {
        let Self { info, view, unpacked, scalers, to_tensor } = self;
        let planner = match view {
            View::Frame(letterbox) => {
                let parts = request.parts().iter_mut().zip(scalers);
                for (part, scaler) in parts {
                    fill(part, scaler, frame, letterbox, to_tensor, is_smoothed)?;
                }
                return Ok(());
            }
            View::Regions(planner, _) => planner,
        };
        let boxes = frame.buffer().iter_meta::<VideoRegionOfInterestMeta>();
        let regions = planner.plan(boxes.map(|meta| Bounds::from(meta.rect())));
        request.regions.clear();
        request.regions.extend_from_slice(regions);
        request.resize(regions.len())?;
        if regions.is_empty() {
            return Ok(());
        }
        let unpacked = unpacked.as_mut().map(|unpacked| unpacked.unpack(frame)).transpose()?;
        let frame = unpacked.as_ref().unwrap_or(frame);
        for (index, (region, part)) in regions.iter().zip(request.parts()).enumerate() {
            let scaler = look_at(scalers, index, info, region.crop, &region.letterbox)?;
            fill(part, scaler, frame, &region.letterbox, to_tensor, is_smoothed)?;
        }
        Ok(())
    }
}

/// The scaler number `index`, made to show `crop`.
fn look_at<'a>(
    scalers: &'a mut Vec<Scaler>,
    index: usize,
    info: &VideoInfo,
    crop: Rect,
    letterbox: &Letterbox,
) -> Result<&'a mut Scaler, TranslateError> {
    let size: Size = letterbox.content.size;
    // A thread costs more than it saves on a picture of the generator's size.
    let new = || Scaler::of_part(info, crop, size, 1);
    if index == scalers.len() {
        scalers.push(new()?);
    }
    let scaler = &mut scalers[index];
    if scaler.size() == size {
        scaler.set_part(crop)?;
    } else {
        *scaler = new()?;
    }
    Ok(scaler)
}

/// Scales what `scaler` looks at, and packs it.
fn fill(
    part: &mut Part,
    scaler: &mut Scaler,
    frame: &VideoFrameRef<&gst::BufferRef>,
    letterbox: &Letterbox,
    to_tensor: &ToTensor,
    is_smoothed: bool,
) -> Result<(), TranslateError> {
    let luma = scaler.luma();
    let (picture, stride) = scaler.scale(frame)?;
    match part.binding.input_mut()? {
        ValuesMut::F32(t) => pack(picture, stride, letterbox, to_tensor, t),
        ValuesMut::F16(t) => pack(picture, stride, letterbox, to_tensor, t),
    }
    if is_smoothed {
        part.grey.resize(letterbox.content.size);
        part.grey.update(picture, stride, luma);
    }
    Ok(())
}
