// SPDX-License-Identifier: MIT OR Apache-2.0

//! Frames with bytes to spare, for formats that GStreamer reads and writes past the end of.

use gst_video::{VideoFrame, VideoFrameRef, VideoInfo, video_frame::Writable};

/// More than GStreamer reads and writes past the end of a frame, in bytes: less than a tile of
/// NV12_10BE_8L128, which has 1024.
const SPARE: usize = 2048;

/// A frame of our own that stays mapped, with some bytes to spare behind its end.
pub fn own_frame(info: &VideoInfo) -> Result<VideoFrame<Writable>, gst::glib::BoolError> {
    // Zeros, since what GStreamer reads behind the end goes into padding that it writes.
    let buffer = gst::Buffer::from_mut_slice(vec![0u8; info.size() + SPARE]);
    VideoFrame::from_buffer_writable(buffer, info)
        .map_err(|_| gst::glib::bool_error!("cannot map a {} byte frame", info.size()))
}

/// The place of frames while GStreamer reads or writes them.
pub struct OverreadGuard(VideoFrame<Writable>);

impl OverreadGuard {
    /// For frames of `info`; `None` if GStreamer leaves alone what is behind them.
    ///
    /// Of formats that pack pixels in groups GStreamer 1.22 makes the rows of an odd width too short
    /// for the last group, and reads and writes it all the same: UYVP, NV12_10LE32, NV16_10LE32 and
    /// NV12_10BE_8L128.
    pub fn new(info: &VideoInfo) -> Result<Option<Self>, gst::glib::BoolError> {
        // No number of bytes is a pixel's own.
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
    fn formats_of_groups_need_it_where_the_last_one_is_not_full() {
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
