// SPDX-License-Identifier: MIT OR Apache-2.0

//! Scaling a frame of any raw format down to the picture that the generator sees.

use cyclegan_contract::Size;
use gst_video::{
    VideoChromaMode, VideoConverter, VideoConverterConfig, VideoFormat, VideoFrame, VideoFrameExt,
    VideoFrameRef, VideoInfo, VideoResamplerMethod, video_frame::Writable,
};

use super::{
    color::ColorTransform,
    geometry::Rect,
    overread::{OverreadGuard, own_frame},
    plane::Plane,
};

/// Scales frames, or a part of each, with GStreamer's converter into a picture that it owns.
pub struct Scaler {
    info: VideoInfo,
    part: Rect,
    /// Where frames are read, if not where they are.
    overread: Option<OverreadGuard>,
    converter: VideoConverter,
    picture: VideoFrame<Writable>,
}

impl Scaler {
    /// A scaler from frames of `info` to `size`, on `threads` threads.
    pub fn new(info: &VideoInfo, size: Size, threads: u32) -> Result<Self, gst::glib::BoolError> {
        let whole = Size { width: info.width(), height: info.height() };
        Self::of_part(info, Rect { x: 0, y: 0, size: whole }, size, threads)
    }

    /// A scaler from `part` of frames of `info` to `size`, on `threads` threads. The part begins
    /// where a sample of each component does; see [`UnpackedFrame`] for the formats that it needs.
    pub fn of_part(
        info: &VideoInfo,
        part: Rect,
        size: Size,
        threads: u32,
    ) -> Result<Self, gst::glib::BoolError> {
        let picture_info = picture_info(info, size)?;
        Ok(Self {
            info: info.clone(),
            part,
            overread: OverreadGuard::new(info)?,
            converter: converter(info, &picture_info, &part, threads)?,
            picture: own_frame(&picture_info)?,
        })
    }

    /// Moves to another part of the frame, to be scaled to the same size on one thread.
    pub fn set_part(&mut self, part: Rect) -> Result<(), gst::glib::BoolError> {
        if part != self.part {
            self.converter = converter(&self.info, self.picture.info(), &part, 1)?;
            self.part = part;
        }
        Ok(())
    }

    /// The size of the picture.
    pub fn size(&self) -> Size {
        let info = self.picture.info();
        Size { width: info.width(), height: info.height() }
    }

    /// The colours of the picture.
    pub fn color(&self) -> ColorTransform {
        ColorTransform::new(self.picture.info())
    }

    /// Which component of the picture tells light from dark: Y, or G of RGB.
    pub fn luma(&self) -> usize {
        usize::from(self.picture.format_info().is_rgb())
    }

    /// Scales `frame`; returns the rows of the picture, three interleaved components of 8 bits, and
    /// their stride in bytes.
    pub fn scale(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
    ) -> Result<(&[u8], usize), gst::glib::BoolError> {
        convert(&self.converter, &mut self.overread, frame, &mut self.picture)?;
        let stride = self.picture.plane_stride()[0] as usize;
        Ok((self.picture.planes_data()[0], stride))
    }
}

/// Frames in a format that parts can be cut out of.
pub struct UnpackedFrame {
    /// As in [`Scaler`].
    overread: Option<OverreadGuard>,
    converter: VideoConverter,
    frame: VideoFrame<Writable>,
}

impl UnpackedFrame {
    /// From frames of `info`, on `threads` threads; `None` if parts can be cut out of those
    /// themselves. GStreamer 1.22 reads some formats from the beginning of a row only: those whose
    /// samples share words, and those of 16-bit R, G, B and alpha.
    pub fn new(info: &VideoInfo, threads: u32) -> Result<Option<Self>, gst::glib::BoolError> {
        if Plane::all(info).is_some() && info.format_info().pixel_stride()[0] < 8 {
            return Ok(None);
        }
        let size = Size { width: info.width(), height: info.height() };
        let unpacked_info = picture_info(info, size)?;
        let mut config = VideoConverterConfig::new();
        config.set_threads(threads);
        Ok(Some(Self {
            overread: OverreadGuard::new(info)?,
            converter: VideoConverter::new(info, &unpacked_info, Some(config))?,
            frame: own_frame(&unpacked_info)?,
        }))
    }

    /// What the frames are now.
    pub fn info(&self) -> &VideoInfo {
        self.frame.info()
    }

    /// Converts `frame`.
    pub fn unpack(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
    ) -> Result<VideoFrameRef<&gst::BufferRef>, gst::glib::BoolError> {
        convert(&self.converter, &mut self.overread, frame, &mut self.frame)?;
        Ok(self.frame.as_video_frame_ref())
    }
}

/// Three interleaved components of 8 bits. Colours stay as they are: GStreamer's 8-bit matrices are
/// off by up to 3 grey levels.
fn picture_info(info: &VideoInfo, size: Size) -> Result<VideoInfo, gst::glib::BoolError> {
    let format = match info.format_info().is_rgb() {
        true => VideoFormat::Rgb,
        false => VideoFormat::V308,
    };
    VideoInfo::builder(format, size.width, size.height)
        .fps(info.fps())
        .colorimetry(&info.colorimetry())
        .build()
}

fn converter(
    info: &VideoInfo,
    picture: &VideoInfo,
    part: &Rect,
    threads: u32,
) -> Result<VideoConverter, gst::glib::BoolError> {
    let mut config = VideoConverterConfig::new();
    config.set_threads(threads);
    config.set_src_x(part.x as i32);
    config.set_src_y(part.y as i32);
    config.set_src_width(Some(part.size.width as i32));
    config.set_src_height(Some(part.size.height as i32));
    // Linear taps widen with the ratio, so shrinking does not alias; cubic ones, the default, cost
    // twice the time and ring at edges, which a generator takes for texture.
    config.set_resampler_method(VideoResamplerMethod::Linear);
    // Chroma that is to be shrunk by half or more need not be enlarged to luma's size first.
    if 2 * picture.width() <= part.size.width {
        config.set_chroma_mode(VideoChromaMode::None);
    }
    VideoConverter::new(info, picture, Some(config))
}

/// Converts `frame`, or a copy of it where there is room for one, to `target`.
fn convert(
    converter: &VideoConverter,
    overread: &mut Option<OverreadGuard>,
    frame: &VideoFrameRef<&gst::BufferRef>,
    target: &mut VideoFrame<Writable>,
) -> Result<(), gst::glib::BoolError> {
    let target = &mut target.as_mut_video_frame_ref();
    match overread {
        None => converter.frame_ref(frame, target),
        Some(overread) => converter.frame_ref(&overread.copy_of(frame)?, target),
    }
    Ok(())
}
