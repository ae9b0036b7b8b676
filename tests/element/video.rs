// SPDX-License-Identifier: MIT OR Apache-2.0

//! Creates frames of any format and reads their samples.

use gst::{glib::translate::IntoGlib, prelude::*};
use gst_video::{
    VideoAlignment, VideoChromaMode, VideoColorimetry, VideoConverter, VideoConverterConfig,
    VideoDitherMethod, VideoFormat, VideoFormatInfo, VideoFrame, VideoFrameExt, VideoFrameFlags,
    VideoFrameRef, VideoInfo, VideoMeta,
};

/// Frames of `format` at 25 fps with the format's default colorimetry.
pub fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
    // This may be the first call of a test.
    crate::rig::init();
    VideoInfo::builder(format, width, height).fps((25, 1)).build().unwrap()
}

/// The same with another colorimetry, for example `bt709` or `1:4:0:0`, which is full-range BT.601.
pub fn with_colorimetry(info: &VideoInfo, colorimetry: &str) -> VideoInfo {
    let colorimetry: VideoColorimetry = colorimetry.parse().unwrap();
    VideoInfo::builder(info.format(), info.width(), info.height())
        .fps(info.fps())
        .colorimetry(&colorimetry)
        .build()
        .unwrap()
}

/// Every format of the element's pad templates.
pub fn formats() -> Vec<VideoFormat> {
    let caps = super::rig::new_filter().static_pad("sink").unwrap().pad_template_caps();
    let formats = caps.structure(0).unwrap().get::<gst::List>("format").unwrap();
    formats.iter().map(|name| name.get::<&str>().unwrap().parse().unwrap()).collect()
}

/// More bytes than GStreamer 1.22 reads and writes past the end of frames of some formats and odd
/// widths.
const SPARE: usize = 2048;

/// A frame of random samples, the same for the same seed. Bits outside the samples are as GStreamer writes
/// them.
pub fn random(info: &VideoInfo, seed: u64) -> gst::Buffer {
    let mut buffer = random_bytes(info.size(), seed);
    let mut samples = samples(&buffer, info);
    samples.write(&mut buffer, info);
    buffer
}

fn random_bytes(size: usize, seed: u64) -> gst::Buffer {
    let mut bytes = vec![0; size + SPARE];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    buffer.get_mut().unwrap().set_size(size);
    buffer
}

/// A frame of one colour, converted from R, G and B by GStreamer.
pub fn flat(info: &VideoInfo, rgb: [u8; 3]) -> gst::Buffer {
    picture(info, |_, _| rgb)
}

/// A frame with the colour `pixel(x, y)` at each pixel, converted by GStreamer.
pub fn picture(info: &VideoInfo, pixel: impl Fn(u32, u32) -> [u8; 3]) -> gst::Buffer {
    let rgb = self::info(VideoFormat::Xrgb, info.width(), info.height());
    let rows = (0..info.height()).flat_map(|y| (0..info.width()).map(move |x| (x, y)));
    let bytes: Vec<u8> = rows
        .flat_map(|(x, y)| {
            let [r, g, b] = pixel(x, y);
            [255, r, g, b]
        })
        .collect();
    convert(&gst::Buffer::from_slice(bytes), &rgb, info)
}

/// R, G and B of each pixel, row by row, converted by GStreamer.
pub fn to_rgb(buffer: &gst::Buffer, info: &VideoInfo) -> Vec<[u8; 3]> {
    let rgb = self::info(VideoFormat::Xrgb, info.width(), info.height());
    let converted = convert(buffer, info, &rgb);
    let map = converted.map_readable().unwrap();
    map.chunks_exact(4).map(|pixel| [pixel[1], pixel[2], pixel[3]]).collect()
}

/// Converts `buffer` to another format of the same size, without dithering.
pub fn convert(buffer: &gst::Buffer, from: &VideoInfo, to: &VideoInfo) -> gst::Buffer {
    let mut config = VideoConverterConfig::new();
    config.set_dither_method(VideoDitherMethod::None);
    config.set_chroma_mode(VideoChromaMode::None);
    let converter = VideoConverter::new(from, to, Some(config)).unwrap();
    let mut converted = gst::Buffer::with_size(to.size() + SPARE).unwrap();
    converted.get_mut().unwrap().set_size(to.size());
    {
        let input = VideoFrameRef::from_buffer_ref_readable(buffer, from).unwrap();
        let output = converted.get_mut().unwrap();
        let mut output = VideoFrameRef::from_buffer_ref_writable(output, to).unwrap();
        converter.frame_ref(&input, &mut output);
    }
    converted
}

/// The samples of a frame as GStreamer unpacks them: four components per pixel, alpha first, each of 8 or
/// 16 bits. Padding and bits outside the samples are left out.
pub struct Samples {
    /// 8 or 16.
    depth: u32,
    width: usize,
    /// The bytes of each pixel: alpha, then R, G and B or Y, U and V.
    rows: Vec<Vec<u64>>,
}

/// A copy with spare bytes after its end, where GStreamer may read.
fn with_spare_bytes(buffer: &gst::Buffer) -> gst::Buffer {
    let mut copy = gst::Buffer::with_size(buffer.size() + SPARE).unwrap();
    let target = copy.get_mut().unwrap();
    target.copy_from_slice(0, &buffer.map_readable().unwrap()).unwrap();
    target.set_size(buffer.size());
    // GStreamer does not copy metas that describe the memory.
    if let Some(meta) = buffer.meta::<VideoMeta>() {
        let (format, width, height) = (meta.format(), meta.width(), meta.height());
        let flags = meta.video_frame_flags();
        VideoMeta::add_full(target, flags, format, width, height, meta.offset(), meta.stride())
            .unwrap();
    }
    copy
}

/// The samples of a frame, without loss.
pub fn samples(buffer: &gst::Buffer, info: &VideoInfo) -> Samples {
    let format = info.format_info();
    let depth = VideoFormatInfo::from_format(format.unpack_format()).depth()[0];
    let buffer = with_spare_bytes(buffer);
    let frame = VideoFrameRef::from_buffer_ref_readable(&buffer, info).unwrap();
    let width = info.width() as usize;
    let unpack = |y: u32| {
        // Some formats unpack several pixels at a time, past the end of an odd row.
        let mut row = vec![0u64; width + 64];
        // SAFETY: the frame is mapped, y lies inside it, and the row is longer than `width` pixels
        // of four 16-bit components. The binding's safe wrapper refuses frames with sub-sampled
        // planes, whose rows it counts as if they were not.
        unsafe {
            let frame = &*frame.as_ptr();
            let finfo = frame.info.finfo;
            let (data, stride) = (frame.data.as_ptr().cast(), frame.info.stride.as_ptr());
            let unpack = (*finfo).unpack_func.unwrap();
            unpack(finfo, 0, row.as_mut_ptr().cast(), data, stride, 0, y as i32, width as i32);
        }
        row
    };
    Samples { depth, width, rows: (0..info.height()).map(unpack).collect() }
}

impl Samples {
    /// Writes the samples into a frame of their format.
    fn write(&mut self, buffer: &mut gst::Buffer, info: &VideoInfo) {
        let site = info.chroma_site().into_glib();
        let buffer = buffer.get_mut().unwrap();
        let frame = VideoFrameRef::from_buffer_ref_writable(buffer, info).unwrap();
        for (y, row) in self.rows.iter_mut().enumerate() {
            // SAFETY: as in `samples`, and the frame is mapped for writing.
            unsafe {
                let frame = &*frame.as_ptr();
                let (finfo, width) = (frame.info.finfo, self.width as i32);
                let (data, stride) = (frame.data.as_ptr(), frame.info.stride.as_ptr());
                let pack = (*finfo).pack_func.unwrap();
                let row = row.as_mut_ptr().cast();
                pack(finfo, 0, row, 0, data.cast_mut().cast(), stride, site, y as i32, width);
            }
        }
    }

    /// Alpha and colours of each pixel.
    fn pixels(&self) -> impl Iterator<Item = [u16; 4]> {
        self.rows.iter().flat_map(|row| (0..self.width).map(|x| self.pixel(row, x)))
    }

    fn pixel(&self, row: &[u64], x: usize) -> [u16; 4] {
        match self.depth {
            8 => {
                let pair = row[x / 2].to_ne_bytes();
                std::array::from_fn(|component| u16::from(pair[x % 2 * 4 + component]))
            }
            _ => {
                let bytes = row[x].to_ne_bytes();
                let (words, _) = bytes.as_chunks();
                std::array::from_fn(|component| u16::from_ne_bytes(words[component]))
            }
        }
    }

    /// The largest difference of a component, in steps of 8 bits, rounded up.
    pub fn distance(&self, other: &Self) -> u32 {
        assert_eq!((self.depth, self.width), (other.depth, other.width));
        let pairs = self.pixels().flatten().zip(other.pixels().flatten());
        let largest = pairs.map(|(a, b)| u32::from(a.abs_diff(b))).max().unwrap_or(0);
        largest.div_ceil(1 << (self.depth - 8))
    }

    /// x and y of each pixel in which the two differ.
    pub fn differing(&self, other: &Self) -> Vec<(u32, u32)> {
        let pairs = self.pixels().zip(other.pixels()).enumerate();
        let place = |i: usize| ((i % self.width) as u32, (i / self.width) as u32);
        pairs.filter(|(_, (a, b))| a != b).map(|(i, _)| place(i)).collect()
    }

    /// The alpha of each pixel.
    pub fn alpha(&self) -> Vec<u16> {
        self.pixels().map(|pixel| pixel[0]).collect()
    }
}

/// The same frame with random padding before, between and after its rows and a `VideoMeta`, or `None` for formats
/// whose rows GStreamer cannot pad.
pub fn padded(buffer: &gst::Buffer, info: &VideoInfo, seed: u64) -> Option<gst::Buffer> {
    if info.format_info().is_complex() {
        return None; // GStreamer does not know how many bytes a pixel of padding takes.
    }
    let mut padded_info = info.clone();
    padded_info.align(&mut VideoAlignment::new(4, 0, 8, 12, &[15; 4])).ok()?;
    let mut padded = random_bytes(padded_info.size(), seed);
    let target = padded.get_mut().unwrap();
    VideoMeta::add_full(
        target,
        VideoFrameFlags::empty(),
        info.format(),
        info.width(),
        info.height(),
        padded_info.offset(),
        padded_info.stride(),
    )
    .unwrap();
    let mut target = VideoFrame::from_buffer_writable(padded, info).unwrap();
    let source = VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap();
    source.copy(&mut target.as_mut_video_frame_ref()).ok()?;
    Some(target.into_buffer())
}
