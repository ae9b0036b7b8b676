// SPDX-License-Identifier: MIT OR Apache-2.0

//! Putting a [`Residual`] on a full-size frame of any raw format.

use cyclegan_contract::Size;
use gst_video::{
    VideoConverter, VideoConverterConfig, VideoDitherMethod, VideoFrame, VideoFrameExt,
    VideoFrameRef, VideoInfo, video_frame::Writable,
};

use super::{
    overread::{OverreadGuard, own_frame},
    patch::Patch,
    plane::Plane,
    residual::Residual,
    upsample::Upsampler,
};

/// Adds changes to frames of one kind. Alpha, padding and every sample that a change leaves at
/// zero come out bit for bit.
pub struct Compositor {
    planes: Vec<(Plane, Upsampler)>,
    /// Formats whose samples cannot be reached in place take a detour.
    detour: Option<Detour>,
}

/// Conversion without loss to the format that GStreamer itself unpacks to, and back.
struct Detour {
    unpack: VideoConverter,
    unpacked: VideoFrame<Writable>,
    pack: VideoConverter,
    /// Where frames are read and written, if not where they are.
    overread: Option<OverreadGuard>,
}

impl Compositor {
    /// A compositor for frames of `info` and changes of `change` pixels.
    pub fn new(info: &VideoInfo, change: Size, threads: u32) -> Result<Self, gst::glib::BoolError> {
        let (planes, detour) = match Plane::all(info) {
            Some(planes) => (planes, None),
            None => {
                let detour = Detour::new(info, threads)?;
                let planes = Plane::all(detour.unpacked.info());
                let planes = planes.ok_or_else(|| {
                    gst::glib::bool_error!("no way into the samples of {:?}", info.format())
                })?;
                (planes, Some(detour))
            }
        };
        let upsampled = |plane: Plane| {
            let upsampler = Upsampler::new((change.width, change.height), &plane, &plane);
            (plane, upsampler)
        };
        Ok(Self { planes: planes.into_iter().map(upsampled).collect(), detour })
    }

    /// Writes `keep` · `input` + `change` to `output`.
    pub fn composite(
        &mut self,
        change: &Residual,
        keep: f32,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), gst::glib::BoolError> {
        match &mut self.detour {
            None => add(&mut self.planes, change, keep, Some(input), output),
            Some(detour) => detour.take(input, output, |unpacked| {
                add(&mut self.planes, change, keep, None, unpacked);
            })?,
        }
        Ok(())
    }

    /// Writes `input` to `output`, with `patches` painted one after the other. Everything beyond
    /// what their regions name as painted comes out bit for bit.
    pub fn composite_patches(
        &mut self,
        patches: &mut [Patch],
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), gst::glib::BoolError> {
        for patch in patches.iter_mut() {
            patch.fit(self.planes.iter().map(|(plane, _)| plane));
        }
        match &mut self.detour {
            Some(detour) if !patches.is_empty() => {
                detour.take(input, output, |unpacked| paint(patches, unpacked))?;
            }
            _ => {
                copy(input, output)?;
                paint(patches, output);
            }
        }
        Ok(())
    }
}

fn paint(patches: &mut [Patch], frame: &mut VideoFrameRef<&mut gst::BufferRef>) {
    let lengths = row_bytes(frame.info());
    for (plane, length) in lengths.into_iter().enumerate().take(frame.n_planes() as usize) {
        let stride = frame.plane_stride()[plane] as usize;
        let data = frame.planes_data_mut();
        for patch in patches.iter_mut() {
            patch.paint(plane, data[plane], stride, length);
        }
    }
}

impl Detour {
    /// Writes `input` to `output`, unpacked and changed on the way.
    fn take(
        &mut self,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
        change: impl FnOnce(&mut VideoFrameRef<&mut gst::BufferRef>),
    ) -> Result<(), gst::glib::BoolError> {
        let mut unpacked = self.unpacked.as_mut_video_frame_ref();
        match &mut self.overread {
            None => {
                self.unpack.frame_ref(input, &mut unpacked);
                change(&mut unpacked);
                self.pack.frame_ref(&unpacked, output);
            }
            Some(overread) => {
                self.unpack.frame_ref(&overread.copy_of(input)?, &mut unpacked);
                change(&mut unpacked);
                overread.write_to(output, |packed| self.pack.frame_ref(&unpacked, packed))?;
            }
        }
        Ok(())
    }

    fn new(info: &VideoInfo, threads: u32) -> Result<Self, gst::glib::BoolError> {
        let format = info.format_info().unpack_format();
        let unpacked_info = VideoInfo::builder(format, info.width(), info.height())
            .fps(info.fps())
            .colorimetry(&info.colorimetry())
            .chroma_site(info.chroma_site())
            .build()?;
        let config = || {
            let mut config = VideoConverterConfig::new();
            config.set_threads(threads);
            // What was replicated on the way in is dropped on the way out, and nothing else.
            config.set_chroma_mode(gst_video::VideoChromaMode::None);
            config.set_dither_method(VideoDitherMethod::None);
            config
        };
        Ok(Self {
            unpack: VideoConverter::new(info, &unpacked_info, Some(config()))?,
            unpacked: own_frame(&unpacked_info)?,
            pack: VideoConverter::new(&unpacked_info, info, Some(config()))?,
            overread: OverreadGuard::new(info)?,
        })
    }
}

/// Copies all samples. GStreamer's own copy leaves out what stands behind the last luma sample in a
/// row of YUY2 and its like when the width is odd; and behind the last row no padding may follow.
pub fn copy(
    input: &VideoFrameRef<&gst::BufferRef>,
    output: &mut VideoFrameRef<&mut gst::BufferRef>,
) -> Result<(), gst::glib::BoolError> {
    let format = input.format_info();
    // The stride of a tiled plane counts tiles, not bytes.
    if format.is_complex() || format.is_tiled() || format.has_palette() {
        return input.copy(output);
    }
    for plane in 0..input.n_planes() as usize {
        for_each_row(plane, Some(input), output, |_, _| {});
    }
    Ok(())
}

/// Goes through the rows of one plane of `frame`, each with its number, after copying it from
/// `source` if there is one.
fn for_each_row(
    plane: usize,
    source: Option<&VideoFrameRef<&gst::BufferRef>>,
    frame: &mut VideoFrameRef<&mut gst::BufferRef>,
    mut change: impl FnMut(usize, &mut [u8]),
) {
    let length = row_bytes(frame.info())[plane];
    let stride = frame.plane_stride()[plane] as usize;
    let mut source = source.map(|source| {
        let stride = source.plane_stride()[plane] as usize;
        source.planes_data()[plane].chunks(stride)
    });
    let data = frame.planes_data_mut();
    for (y, row) in data[plane].chunks_mut(stride).enumerate() {
        let row = &mut row[..length];
        if let Some(source) = source.as_mut().and_then(Iterator::next) {
            row.copy_from_slice(&source[..length]);
        }
        change(y, row);
    }
}

/// Bytes that the samples of a row of each plane span, without padding. Where components share a
/// plane the widest counts: a row of YUY2 ends with a whole pair of pixels, however odd its width.
fn row_bytes(info: &VideoInfo) -> [usize; 4] {
    let format = info.format_info();
    let mut bytes = [0; 4];
    for component in 0..format.n_components() as usize {
        let width = format.scale_width(component as u8, info.width()) as usize;
        let span = width * format.pixel_stride()[component].unsigned_abs() as usize;
        let plane = &mut bytes[format.plane()[component] as usize];
        *plane = span.max(*plane);
    }
    bytes
}

/// Adds `change` to `frame`, or to the samples of `source` while they are copied there.
fn add(
    planes: &mut [(Plane, Upsampler)],
    change: &Residual,
    keep: f32,
    source: Option<&VideoFrameRef<&gst::BufferRef>>,
    frame: &mut VideoFrameRef<&mut gst::BufferRef>,
) {
    for index in 0..frame.n_planes() as usize {
        match planes.iter_mut().find(|(plane, _)| plane.index == index) {
            Some((plane, upsampler)) => {
                upsampler.restart();
                for_each_row(index, source, frame, |y, row| {
                    plane.add(
                        row,
                        &upsampler.row(|component, y| change.row(component, y), y),
                        keep,
                    );
                });
            }
            // Alpha may have a plane of its own.
            None => for_each_row(index, source, frame, |_, _| {}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gst_video::{VideoFormat, VideoFrameFlags, VideoMeta};

    /// Memory for two rows of five RGB pixels, three bytes of padding before each row, and behind
    /// the last row at once what is not the frame's.
    fn buffer(fill: u8) -> gst::Buffer {
        const SIZE: usize = 2 * (3 + 15) + 8;
        let mut buffer = gst::Buffer::from_mut_slice(vec![fill; SIZE]);
        let (flags, format) = (VideoFrameFlags::empty(), VideoFormat::Rgb);
        VideoMeta::add_full(buffer.make_mut(), flags, format, 5, 2, &[3], &[18]).unwrap();
        buffer
    }

    #[test]
    fn nothing_beside_the_samples_is_written() {
        gst::init().unwrap();
        let info = VideoInfo::builder(VideoFormat::Rgb, 5, 2).build().unwrap();
        let size = Size { width: 5, height: 2 };
        let (input, mut output) = (buffer(1), buffer(2));
        {
            let input = VideoFrameRef::from_buffer_ref_readable(&input, &info).unwrap();
            let output = output.get_mut().unwrap();
            let mut output = VideoFrameRef::from_buffer_ref_writable(output, &info).unwrap();
            let mut compositor = Compositor::new(&info, size, 1).unwrap();
            compositor.composite(&Residual::new(size), 1.0, &input, &mut output).unwrap();
        }
        let expected = [[2; 3].as_slice(), &[1; 15], &[2; 3], &[1; 15], &[2; 8]].concat();
        assert_eq!(output.map_readable().unwrap().as_slice(), expected);
    }
}
