// SPDX-License-Identifier: MIT OR Apache-2.0

//! Frames with spare bytes, for formats in which GStreamer reads and writes past the end.

use gst_video::{VideoFrame, VideoFrameRef, VideoInfo, video_frame::Writable};

/// More bytes than GStreamer reads and writes past the end of a frame: that is less than a tile of
/// NV12_10BE_8L128, which has 1024.
const SPARE: usize = 2048;

/// A mapped frame that owns its memory, with spare bytes after its end.
pub fn own_frame(info: &VideoInfo) -> Result<VideoFrame<Writable>, gst::glib::BoolError> {
    // Zeros, since GStreamer copies bytes from past the end to the padding that it writes.
    let buffer = gst::Buffer::from_mut_slice(vec![0u8; info.size() + SPARE]);
    VideoFrame::from_buffer_writable(buffer, info)
        .map_err(|_| gst::glib::bool_error!("cannot map a {} byte frame", info.size()))
}

/// A copy of a frame for GStreamer to read or write past the end of.
pub struct OverreadGuard(VideoFrame<Writable>);

impl OverreadGuard {
    /// For frames of `info`; `None` if GStreamer stays within frames of this format.
    ///
    /// In formats that pack groups of pixels, GStreamer 1.22 makes rows of an odd width too short for the
    /// last group, but reads and writes all of it: UYVP, NV12_10LE32, NV16_10LE32 and NV12_10BE_8L128.
    pub fn new(info: &VideoInfo) -> Result<Option<Self>, gst::glib::BoolError> {
        // A pixel stride of 0: pixels share bytes.
        let packs_groups = info.format_info().pixel_stride()[0] == 0;
        let is_needed = packs_groups && !info.width().is_multiple_of(2);
        is_needed.then(|| own_frame(info).map(Self)).transpose()
    }

    /// A copy of `frame` to be read.
    pub fn copy_of(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
    ) -> Result<VideoFrameRef<&gst::BufferRef>, gst::glib::BoolError> {
        frame.copy(&mut self.0.as_mut_video_frame_ref())?;
        Ok(self.0.as_video_frame_ref())
    }

    /// Copies to `output` what `write` has written.
    pub fn write_to(
        &mut self,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
        write: impl FnOnce(&mut VideoFrameRef<&mut gst::BufferRef>),
    ) -> Result<(), gst::glib::BoolError> {
        write(&mut self.0.as_mut_video_frame_ref());
        self.0.as_video_frame_ref().copy(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gst_video::VideoFormat;

    #[test]
    fn formats_of_pixel_groups_need_it_at_odd_widths() {
        gst::init().unwrap();
        let needs = |format, width| {
            let info = VideoInfo::builder(format, width, 5).build().unwrap();
            OverreadGuard::new(&info).unwrap().is_some()
        };
        for format in [VideoFormat::Uyvp, VideoFormat::Nv1210le32, VideoFormat::Nv1610le32] {
            assert!(needs(format, 5) && !needs(format, 6), "{format:?}");
        }
        assert!(!needs(VideoFormat::I420, 5) && !needs(VideoFormat::Rgb, 5));
    }
}
