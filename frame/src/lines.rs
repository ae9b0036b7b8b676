// SPDX-License-Identifier: MIT OR Apache-2.0

//! Lines of formats that no kernel supports: GStreamer unpacks and packs them.

use gst::glib::{
    BoolError, bool_error,
    translate::{IntoGlib, ToGlibPtr},
};
use gst_video::{
    VideoFlags, VideoFormatInfo, VideoFrameExt, VideoFrameRef, VideoInfo, VideoPackFlags,
    ffi as gst_video_ffi,
};

use super::{overread::OverreadGuard, rows::check_strides};

/// Converts frames losslessly, line by line, to the format that GStreamer unpacks to and back.
pub struct LinePacker {
    format: VideoFormatInfo,
    width: i32,
    height: usize,
    chroma_site: gst_video::VideoChromaSite,
    /// Copies of the input and the output, for formats that need them.
    overread: Option<[OverreadGuard; 2]>,
    /// An input line and an output line.
    unpacked: [Vec<u8>; 2],
}

impl LinePacker {
    /// For frames of `info`; also returns the info of unpacked frames.
    pub fn new(info: &VideoInfo) -> Result<(Self, VideoInfo), BoolError> {
        let format = info.format_info();
        // SAFETY: GStreamer's description of a format lives as long as the process.
        let has_functions = unsafe {
            let format: *const gst_video_ffi::GstVideoFormatInfo = format.to_glib_none().0;
            (*format).unpack_func.is_some() && (*format).pack_func.is_some()
        };
        if !has_functions || format.pack_lines() != 1 {
            return Err(bool_error!(
                "GStreamer cannot unpack frames of {:?} line by line",
                info.format()
            ));
        }
        let (width, height) = (info.width(), info.height());
        let unpacked = VideoInfo::builder(format.unpack_format(), width, height)
            .colorimetry(&info.colorimetry())
            .flags(info.flags() & VideoFlags::PREMULTIPLIED_ALPHA)
            .build()?;
        let line = || vec![0; unpacked.stride()[0] as usize + SPARE];
        let packer = Self {
            format,
            width: width as i32,
            height: height as usize,
            chroma_site: info.chroma_site(),
            overread: OverreadGuard::new(info)?.zip(OverreadGuard::new(info)?).map(Into::into),
            unpacked: [line(), line()],
        };
        Ok((packer, unpacked))
    }

    /// Writes `input` to `output`; `change` computes each output line from the input line.
    pub fn run(
        &mut self,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
        change: impl FnMut(usize, &[u8], &mut [u8]),
    ) -> Result<(), BoolError> {
        self.check(input)?;
        self.check(output)?;
        let Some([mut source, mut target]) = self.overread.take() else {
            self.convert(input, output, change);
            return Ok(());
        };
        let result = source.copy_of(input).and_then(|input| {
            target.write_to(output, |output| self.convert(&input, output, change))
        });
        self.overread = Some([source, target]);
        result
    }

    /// Whether `frame` has the expected format and size.
    fn check<T>(&self, frame: &VideoFrameRef<T>) -> Result<(), BoolError> {
        let found = (frame.format(), frame.width() as i32, frame.height() as usize);
        let expected = (self.format.format(), self.width, self.height);
        if found != expected {
            return Err(bool_error!("the frame is {found:?}, expected {expected:?}"));
        }
        check_strides(frame)
    }

    fn convert(
        &mut self,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
        mut change: impl FnMut(usize, &[u8], &mut [u8]),
    ) {
        self.write_palette(output);
        let length = self.unpacked[0].len() - SPARE;
        for y in 0..self.height {
            self.unpack(input, y);
            let [source, target] = &mut self.unpacked;
            change(y, &source[..length], &mut target[..length]);
            self.pack(output, y);
        }
    }

    /// Writes the palette that GStreamer packs for, if the format has one.
    fn write_palette(&self, frame: &mut VideoFrameRef<&mut gst::BufferRef>) {
        if !self.format.has_palette() {
            return;
        }
        let mut size = 0;
        // SAFETY: the palette is constant and of `size` bytes, and plane 1 of a frame of such a format,
        // which `check` has seen, holds as many.
        unsafe {
            let format = self.format.format().into_glib();
            let palette = gst_video_ffi::gst_video_format_get_palette(format, &mut size);
            let target = (*frame.as_mut_ptr()).data[1];
            if !palette.is_null() {
                std::ptr::copy_nonoverlapping(palette.cast::<u8>(), target.cast::<u8>(), size);
            }
        }
    }

    fn unpack(&mut self, frame: &VideoFrameRef<&gst::BufferRef>, y: usize) {
        let format: *const gst_video_ffi::GstVideoFormatInfo = self.format.to_glib_none().0;
        // SAFETY: the frame is mapped for reading, `check` has compared its format and size, and the
        // line holds `width` unpacked pixels and more.
        unsafe {
            let frame = &*frame.as_ptr();
            if let Some(unpack) = (*format).unpack_func {
                unpack(
                    format,
                    VideoPackFlags::empty().into_glib(),
                    self.unpacked[0].as_mut_ptr().cast(),
                    frame.data.as_ptr(),
                    frame.info.stride.as_ptr(),
                    0,
                    y as i32,
                    self.width,
                );
            }
        }
    }

    fn pack(&mut self, frame: &mut VideoFrameRef<&mut gst::BufferRef>, y: usize) {
        let format: *const gst_video_ffi::GstVideoFormatInfo = self.format.to_glib_none().0;
        let stride = (self.unpacked[1].len() - SPARE) as i32;
        // SAFETY: as for `unpack`; the frame is mapped for writing.
        unsafe {
            let frame = &mut *frame.as_mut_ptr();
            if let Some(pack) = (*format).pack_func {
                pack(
                    format,
                    VideoPackFlags::empty().into_glib(),
                    self.unpacked[1].as_mut_ptr().cast(),
                    stride,
                    frame.data.as_mut_ptr(),
                    frame.info.stride.as_ptr(),
                    self.chroma_site.into_glib(),
                    y as i32,
                    self.width,
                );
            }
        }
    }
}

/// More bytes than GStreamer writes past the end of an unpacked line, in formats that pack groups of pixels.
const SPARE: usize = 512;
