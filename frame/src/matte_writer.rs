// SPDX-License-Identifier: MIT OR Apache-2.0

//! Masks as GRAY8 frames.

use cyclegan_contract::Size;
use gst::glib::{BoolError, bool_error};
use gst_video::{VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo};

use super::{
    matte::Matte,
    patch::{Crops, Patch, PatchRows},
    plane::Plane,
    rows::RowsMut,
    upsample::{UpsampledRows, Upsampler, Window},
    workers::Workers,
};

/// Writes mattes as GRAY8 frames, upscaled to the frame's size: 0 for unchanged pixels, 255 for changed
/// ones.
///
/// ```
/// use cyclegan_frame::{Letterbox, Matte, MatteWriter, Rect, Size, map_writable};
/// use gst_video::{VideoFormat, VideoInfo};
///
/// # gst::init()?;
/// let size = Size { width: 64, height: 64 };
/// let letterbox = Letterbox { tensor: size, content: Rect { x: 0, y: 0, size } };
/// let mut matte = Matte::new(size);
/// matte.update(&vec![1.0_f32; 64 * 64], &letterbox)?; // all of it is changed
///
/// let info = VideoInfo::builder(VideoFormat::Gray8, 640, 360).build()?;
/// let mut buffer = gst::Buffer::with_size(info.size())?;
/// let mut frame = map_writable(buffer.make_mut(), &info)?;
/// MatteWriter::new(&info, size, 0)?.write(&matte, &mut frame)?;
/// drop(frame);
/// assert!(buffer.map_readable()?.iter().all(|&value| value == 255));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MatteWriter {
    upsampler: Upsampler,
    window: Window,
    /// A black row, to which the matte is added.
    black: Vec<u8>,
    workers: Workers,
    bands: Vec<Band>,
    crops: Crops,
}

/// Scratch memory for a band of rows.
#[derive(Default)]
struct Band {
    upsampled: UpsampledRows,
    patches: PatchRows,
}

impl MatteWriter {
    /// For mattes of `matte` pixels and GRAY8 frames of `info`, on `threads` threads; 0 for one per
    /// core.
    ///
    /// # Errors
    /// For other formats.
    pub fn new(info: &VideoInfo, matte: Size, threads: u32) -> Result<Self, BoolError> {
        let planes = Plane::all(info).filter(|_| info.format() == VideoFormat::Gray8);
        let Some([plane]) = planes.as_deref() else {
            return Err(bool_error!("a mask is written as GRAY8, not as {:?}", info.format()));
        };
        let workers = Workers::new(threads)?;
        let bands = workers.bands(info.size());
        Ok(Self {
            upsampler: Upsampler::new((matte.width, matte.height), plane),
            window: Window::new(plane, plane),
            black: vec![0; plane.row_length()],
            bands: (0..bands).map(|_| Band::default()).collect(),
            crops: Crops::default(),
            workers,
        })
    }

    /// Writes `matte` to `output`.
    ///
    /// # Errors
    /// If `output` has another format or size, or negative strides.
    pub fn write(
        &mut self,
        matte: &Matte,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), BoolError> {
        let target = self.rows(output)?;
        let Self { upsampler, window, black, workers, bands, .. } = self;
        let total = bands.len();
        workers.in_bands(
            bands,
            target,
            |rows, band| rows.split_band(band, total),
            |Band { upsampled, .. }, mut target| {
                upsampled.restart(window);
                for (y, row) in target.rows(0) {
                    let lerp = upsampled.row(upsampler, window, |_, y| matte.row(y), y);
                    window.part.add(black, row, lerp);
                }
            },
        );
        Ok(())
    }

    /// Writes the mattes of regions, see [`Patch::set_matte`], to `output`, and 0 outside them.
    ///
    /// # Errors
    /// As [`MatteWriter::write`].
    pub fn write_patches(
        &mut self,
        patches: &[Patch],
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), BoolError> {
        let target = self.rows(output)?;
        let Self { window, black, workers, bands, crops, .. } = self;
        crops.fit(patches, std::iter::once(&window.part));
        let (total, crops) = (bands.len(), &*crops);
        workers.in_bands(
            bands,
            target,
            |rows, band| rows.split_band(band, total),
            |Band { patches: rows, .. }, mut target| {
                rows.restart(patches, crops, 0);
                for (y, row) in target.rows(0) {
                    rows.row(patches, crops, y, 0, black, row);
                }
            },
        );
        Ok(())
    }

    /// The rows of `output`.
    fn rows<'a>(
        &self,
        output: &'a mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<RowsMut<'a>, BoolError> {
        let expected = (VideoFormat::Gray8, self.black.len() as u32, self.window.part.height);
        let found = (output.format(), output.width(), output.height());
        if found != expected {
            return Err(bool_error!("the mask's frame is {found:?}, expected {expected:?}"));
        }
        RowsMut::of(output)
    }
}
