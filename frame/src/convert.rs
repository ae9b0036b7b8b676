// SPDX-License-Identifier: MIT OR Apache-2.0

//! Converts frames to another format of the same size.

use gst::glib::BoolError;
use gst_video::{
    VideoChromaMode, VideoConverterConfig, VideoDitherMethod, VideoFrameRef, VideoInfo,
};

use super::{converter::Converter, geometry::subsampling};

/// Converts frames to another format of the same size, with GStreamer's converter.
pub struct FormatConverter(Converter);

impl FormatConverter {
    /// From frames of `info` to frames of `target`, on `threads` threads.
    ///
    /// # Errors
    /// If GStreamer cannot convert between these.
    pub fn new(info: &VideoInfo, target: &VideoInfo, threads: u32) -> Result<Self, BoolError> {
        let mut config = VideoConverterConfig::new();
        // Otherwise GStreamer scales chroma up and down again, which blurs it.
        if subsampling(&info.format_info()) == subsampling(&target.format_info()) {
            config.set_chroma_mode(VideoChromaMode::None);
        }
        // It also dithers where no bits are lost.
        if info.comp_depth(0) <= target.comp_depth(0) {
            config.set_dither_method(VideoDitherMethod::None);
        }
        Ok(Self(Converter::new(info, target, config, threads)?))
    }

    /// Converts `frame` to `target`.
    ///
    /// # Errors
    /// If the frame cannot be copied, which some formats need.
    pub fn convert(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
        target: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), BoolError> {
        self.0.convert(frame, target)
    }
}

#[cfg(test)]
mod tests {
    use gst_video::VideoFormat;

    use super::*;
    use crate::{map_readable, map_writable};

    /// Chroma is not blurred between formats that subsample it alike.
    #[test]
    fn samples_are_kept_where_the_format_has_them() {
        gst::init().unwrap();
        let info = |format| VideoInfo::builder(format, 34, 18).build().unwrap();
        let pairs = [
            (VideoFormat::I420, VideoFormat::A420),
            (VideoFormat::Nv12, VideoFormat::A420),
            (VideoFormat::Rgb, VideoFormat::Bgra),
            (VideoFormat::I42010le, VideoFormat::A42010le),
        ];
        for (from, to) in pairs {
            let (from, to) = (info(from), info(to));
            let bytes = (0..from.size()).map(|at| if at % 7 == 0 { 1 } else { (at % 4) as u8 });
            let before = gst::Buffer::from_mut_slice(bytes.collect::<Vec<_>>());
            let convert = |buffer: &gst::Buffer, from: &VideoInfo, to: &VideoInfo| {
                let mut converted = gst::Buffer::with_size(to.size()).unwrap();
                let mut target = map_writable(converted.make_mut(), to).unwrap();
                let frame = map_readable(buffer, from).unwrap();
                FormatConverter::new(from, to, 1).unwrap().convert(&frame, &mut target).unwrap();
                drop(target);
                converted
            };
            let after = convert(&convert(&before, &from, &to), &to, &from);
            let (before, after) =
                [before, after].map(|buffer| buffer.into_mapped_buffer_readable().unwrap()).into();
            assert_same_rows(&before, &after, &from);
        }
    }

    fn assert_same_rows(before: &[u8], after: &[u8], info: &VideoInfo) {
        let lengths = crate::rows::row_bytes(info);
        for (plane, &length) in lengths.iter().enumerate().take(info.n_planes() as usize) {
            let (offset, stride) = (info.offset()[plane], info.stride()[plane] as usize);
            let end = info.offset().get(plane + 1).copied().unwrap_or(info.size());
            for start in (offset..end).step_by(stride) {
                let row = start..start + length;
                assert_eq!(before[row.clone()], after[row], "{:?} {plane}", info.format());
            }
        }
    }
}
