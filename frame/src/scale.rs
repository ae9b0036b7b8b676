// SPDX-License-Identifier: MIT OR Apache-2.0

//! Scales a frame of any raw format down to the generator's image.

use cyclegan_contract::Size;
use gst::glib::{BoolError, bool_error, translate::Borrowed};
use gst_video::{
    VideoChromaMode, VideoConverterConfig, VideoFormat, VideoFrame, VideoFrameExt, VideoFrameRef,
    VideoInfo, VideoResamplerMethod, video_frame::Writable,
};

use super::{
    color::ColorTransform,
    converter::{Converter, with_exact_taps},
    geometry::Rect,
    halve::Halver,
    overread::own_frame,
    plane::Plane,
    recent::Recent,
    rows::check_strides,
    tone::ToneMap,
    workers::Workers,
};

/// Scales frames, or a part of each, with GStreamer's converter into an image that it owns.
pub struct Scaler {
    /// The part as a frame.
    part_info: VideoInfo,
    part: Rect,
    /// Halves frames first, if they are much larger than the image.
    halvers: Vec<Halver>,
    converter: Converter,
    picture: VideoFrame<Writable>,
    /// The map from components to R'G'B' for HDR images, which are mapped to SDR in place.
    tone: Option<(ColorTransform, &'static ToneMap)>,
    workers: Workers,
}

/// Maximum number of threads per image.
const MAX_BANDS: usize = 64;

impl Scaler {
    /// A scaler from frames of `info` to `size`, on `threads` threads.
    pub fn new(info: &VideoInfo, size: Size, threads: u32) -> Result<Self, BoolError> {
        let whole = Size { width: info.width(), height: info.height() };
        let mut halvers: Vec<Halver> = Vec::new();
        loop {
            let halved = halvers.last().map_or(info, Halver::info);
            match Halver::new(halved, size, threads)? {
                Some(halver) => halvers.push(halver),
                None => break,
            }
        }
        let part = Rect { x: 0, y: 0, size: whole };
        Self::of_part(info, part, halvers, size, threads)
    }

    /// A scaler from `part` of frames of `info` to `size`, on `threads` threads. The whole of a frame may go through `halvers`
    /// first.
    fn of_part(
        info: &VideoInfo,
        part: Rect,
        halvers: Vec<Halver>,
        size: Size,
        threads: u32,
    ) -> Result<Self, BoolError> {
        let whole = Size { width: info.width(), height: info.height() };
        let part_info = match part.size == whole {
            true => info.clone(),
            false => VideoInfo::builder(info.format(), part.size.width, part.size.height)
                .fps(info.fps())
                .colorimetry(&info.colorimetry())
                .chroma_site(info.chroma_site())
                .build()?,
        };
        let picture_info = picture_info(&part_info, size)?;
        let halved = halvers.last().map_or(&part_info, Halver::info);
        Ok(Self {
            part,
            converter: converter(halved, &picture_info, threads)?,
            halvers,
            tone: ColorTransform::new(&picture_info).with_tone_map(),
            workers: Workers::new(threads)?,
            picture: own_frame(&picture_info)?,
            part_info,
        })
    }

    /// Moves to another part of the same size.
    fn move_to(&mut self, part: Rect) {
        debug_assert_eq!(part.size, self.part.size);
        self.part = part;
    }

    /// The size of the image.
    pub fn size(&self) -> Size {
        let info = self.picture.info();
        Size { width: info.width(), height: info.height() }
    }

    /// The colours of the image: those of the frame, or sRGB if the frame is HDR.
    pub fn color(&self) -> ColorTransform {
        match self.tone {
            Some(_) => ColorTransform::SRGB,
            None => ColorTransform::new(self.picture.info()),
        }
    }

    /// The component of the image that serves as luma: Y, or G of RGB.
    pub fn luma(&self) -> usize {
        usize::from(self.tone.is_some() || self.picture.format_info().is_rgb())
    }

    /// Scales `frame`; returns the rows of the image, with three interleaved 8-bit components, and their
    /// stride in bytes.
    pub fn scale(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
    ) -> Result<(&[u8], usize), BoolError> {
        let part = self.part;
        let is_whole = part.size == Size { width: frame.width(), height: frame.height() };
        let mut picture = self.picture.as_mut_video_frame_ref();
        if let [first, others @ ..] = self.halvers.as_mut_slice() {
            let mut half = first.halve(frame)?;
            for halver in others {
                half = halver.halve(&half)?;
            }
            self.converter.convert(&half, &mut picture)?;
        } else if is_whole {
            self.converter.convert(frame, &mut picture)?;
        } else {
            let part = cut_out(frame, &part, &self.part_info)?;
            self.converter.convert(&part, &mut picture)?;
        }
        drop(picture);
        let stride = self.picture.plane_stride()[0] as usize;
        if let Some((to_rgb, tone)) = &self.tone {
            let Size { width, height } = self.size();
            let (length, height) = (3 * width as usize, height as usize);
            let bands = self.workers.bands(16 * length * height).min(MAX_BANDS);
            let first_row = |band: usize| height * band / bands;
            let rows = &mut self.picture.plane_data_mut(0)?[..stride * height];
            self.workers.in_bands(
                &mut [(); MAX_BANDS][..bands],
                rows,
                |rows, band| rows.split_at_mut((first_row(band + 1) - first_row(band)) * stride),
                |(), rows| {
                    rows.chunks_mut(stride).for_each(|row| {
                        tone.map_row(&to_rgb.matrix, to_rgb.offset, &mut row[..length]);
                    });
                },
            );
        }
        Ok((self.picture.planes_data()[0], stride))
    }
}

/// `part` of `frame` as a frame of `info` in the same memory.
fn cut_out<'a>(
    frame: &'a VideoFrameRef<&gst::BufferRef>,
    part: &Rect,
    info: &VideoInfo,
) -> Result<Borrowed<VideoFrameRef<&'a gst::BufferRef>>, BoolError> {
    check_strides(frame)?;
    let Rect { x, y, size } = *part;
    let format = frame.format_info();
    let is_inside = x + size.width <= frame.width() && y + size.height <= frame.height();
    if !is_inside || frame.format() != info.format() || format.pixel_stride()[0] == 0 {
        let (width, height) = (frame.width(), frame.height());
        let found = frame.format();
        return Err(bool_error!("cannot crop {part:?} from {found:?} of {width}×{height}"));
    }
    // SAFETY: it is a description of a mapped frame, which outlives the copy.
    let mut cut = unsafe { std::ptr::read(frame.as_ptr()) };
    (cut.info.width, cut.info.height) = (size.width as i32, size.height as i32);
    for component in 0..format.n_components() as usize {
        let plane = format.plane()[component] as usize;
        let column = (x >> format.w_sub()[component]) as usize;
        let row = (y >> format.h_sub()[component]) as usize;
        let stride = frame.plane_stride()[plane] as usize;
        let place = row * stride + column * format.pixel_stride()[component] as usize;
        // SAFETY: the part lies inside of the frame, so its first sample lies in the plane.
        cut.data[plane] = unsafe { (*frame.as_ptr()).data[plane].byte_add(place) };
    }
    // SAFETY: each row of the part is a piece of a row of the frame, and the strides are the frame's.
    Ok(unsafe { VideoFrameRef::from_glib_borrow(&cut) })
}

/// Number of part sizes to keep.
const KEPT_SCALERS: usize = 48;

/// Scalers for parts of frames: one for each recently used size, so that a moving part costs nothing.
pub struct PartScalers {
    info: VideoInfo,
    /// By the sizes of the part and of the image.
    scalers: Recent<(Size, Size), Scaler>,
}

impl PartScalers {
    /// For parts of frames of `info`.
    pub fn new(info: &VideoInfo) -> Self {
        Self { info: info.clone(), scalers: Recent::default() }
    }

    /// The scaler from `part` to `size`. The part must start at a sample of each component; see
    /// [`UnpackedFrame`] for the supported formats.
    pub fn get(&mut self, part: Rect, size: Size) -> Result<&mut Scaler, BoolError> {
        self.scalers.evict(KEPT_SCALERS);
        // A thread costs more than it saves on an image of this size.
        let new = || Scaler::of_part(&self.info, part, Vec::new(), size, 1);
        let index = self.scalers.index((part.size, size), new)?;
        let scaler = self.scalers.get_mut(index);
        scaler.move_to(part);
        Ok(scaler)
    }
}

/// Frames in a format that supports cropping.
pub struct UnpackedFrame {
    converter: Converter,
    frame: VideoFrame<Writable>,
}

impl UnpackedFrame {
    /// From frames of `info`, on `threads` threads; `None` if these can be cropped themselves. GStreamer
    /// 1.22 reads some formats only from the start of a row: those whose samples share words, and those
    /// of 16-bit R, G, B and alpha.
    pub fn new(info: &VideoInfo, threads: u32) -> Result<Option<Self>, BoolError> {
        let can_be_cut = |planes: Vec<Plane>| !planes.iter().any(Plane::is_packed);
        if Plane::all(info).is_some_and(can_be_cut) && info.format_info().pixel_stride()[0] < 8 {
            return Ok(None);
        }
        let size = Size { width: info.width(), height: info.height() };
        let unpacked_info = picture_info(info, size)?;
        let config = VideoConverterConfig::new();
        Ok(Some(Self {
            converter: Converter::new(info, &unpacked_info, config, threads)?,
            frame: own_frame(&unpacked_info)?,
        }))
    }

    /// The info of the converted frames.
    pub fn info(&self) -> &VideoInfo {
        self.frame.info()
    }

    /// Converts `frame`.
    pub fn unpack(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
    ) -> Result<VideoFrameRef<&gst::BufferRef>, BoolError> {
        self.converter.convert(frame, &mut self.frame.as_mut_video_frame_ref())?;
        Ok(self.frame.as_video_frame_ref())
    }
}

/// Three interleaved 8-bit components. Colours are not converted: GStreamer's 8-bit matrices are off by up
/// to 3 grey levels.
fn picture_info(info: &VideoInfo, size: Size) -> Result<VideoInfo, BoolError> {
    let format = match info.format_info().is_rgb() {
        true => VideoFormat::Rgb,
        false => VideoFormat::V308,
    };
    VideoInfo::builder(format, size.width, size.height)
        .fps(info.fps())
        .colorimetry(&info.colorimetry())
        .build()
}

fn converter(info: &VideoInfo, picture: &VideoInfo, threads: u32) -> Result<Converter, BoolError> {
    let mut config = VideoConverterConfig::new();
    // Linear taps widen with the ratio, so downscaling does not alias. Cubic taps, the default, take twice
    // the time and ring at edges, which a generator treats as texture.
    config.set_resampler_method(VideoResamplerMethod::Linear);
    // Chroma that is scaled by half or less need not be upscaled to luma's size first.
    if 2 * picture.width() <= info.width() {
        config.set_chroma_mode(VideoChromaMode::None);
    }
    Converter::new(info, picture, with_exact_taps(info, picture, config)?, threads)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Transfer, coarsest_sample, map_readable};
    use gst_video::VideoFormatInfo;
    use proptest::prelude::*;

    fn formats() -> Vec<VideoFormat> {
        gst::init().unwrap();
        let can_be_cut = |format: &VideoFormat| {
            let is_unpacked =
                VideoFormatInfo::from_format(*format).unpack_format() != VideoFormat::Unknown;
            let info = VideoInfo::builder(*format, 16, 16).build();
            // With wider samples, GStreamer 1.22 reads past the last pixel.
            let is_read_exactly = VideoFormatInfo::from_format(*format).depth()[0] == 8;
            is_unpacked
                && is_read_exactly
                && info.is_ok_and(|info| matches!(UnpackedFrame::new(&info, 1), Ok(None)))
        };
        VideoFormat::iter_raw().filter(can_be_cut).collect()
    }

    /// A frame with only the samples of the part.
    fn copied(
        frame: &VideoFrameRef<&gst::BufferRef>,
        part: &Rect,
        info: &VideoInfo,
    ) -> gst::Buffer {
        let mut bytes = vec![0; info.size()];
        let format = frame.format_info();
        for component in 0..format.n_components() as usize {
            let plane = format.plane()[component] as usize;
            let [from, to] = [frame.plane_stride(), info.stride()].map(|s| s[plane] as usize);
            let pixel = format.pixel_stride()[component] as usize;
            let (column, row) =
                (part.x >> format.w_sub()[component], part.y >> format.h_sub()[component]);
            let size = &part.size;
            let width = format.scale_width(component as u8, size.width) as usize * pixel;
            let offset = format.poffset()[component] as usize;
            let width = (width - offset).min(to - offset);
            for y in 0..format.scale_height(component as u8, size.height) as usize {
                let source = (row as usize + y) * from + column as usize * pixel + offset;
                let target = info.offset()[plane] + y * to + offset;
                let row = &frame.planes_data()[plane][source..][..width];
                bytes[target..][..width].copy_from_slice(row);
            }
        }
        gst::Buffer::from_mut_slice(bytes)
    }

    /// HDR's reference white is light grey in the scaled image.
    #[test]
    fn a_generator_sees_an_hdr_frame_in_sdr() {
        gst::init().unwrap();
        for colorimetry in ["bt2100-pq", "bt2100-hlg", "bt709"] {
            let size = Size { width: 16, height: 16 };
            let info = VideoInfo::builder(VideoFormat::Gray16Le, 32, 32)
                .colorimetry(&colorimetry.parse().unwrap());
            let info = info.build().unwrap();
            let code = match colorimetry {
                "bt2100-pq" => 0.581,
                _ => 0.75,
            };
            // Limited range in 16 bits.
            let word = ((16.0 + 219.0 * code) * 256.0) as u16;
            let bytes = word.to_le_bytes().repeat(32 * 32);
            let frame = gst::Buffer::from_mut_slice(bytes);
            let frame = map_readable(&frame, &info).unwrap();
            let mut scaler = Scaler::new(&info, size, 1).unwrap();
            let color = scaler.color();
            let (picture, _) = scaler.scale(&frame).unwrap();
            let pixel = [picture[0], picture[1], picture[2]];
            if colorimetry == "bt709" {
                assert_eq!(color.transfer, Transfer::Sdr);
                assert!(pixel[0].abs_diff(180) <= 1, "{pixel:?}");
            } else {
                assert_eq!(color, ColorTransform::SRGB);
                assert!(pixel.iter().all(|grey| (200..250).contains(grey)), "{pixel:?}");
                assert!(pixel[0].abs_diff(pixel[2]) <= 2, "{pixel:?}");
            }
        }
    }

    /// A frame of one grey.
    fn flat(format: VideoFormat, size: Size, grey: u8) -> (VideoInfo, gst::Buffer) {
        let info = VideoInfo::builder(format, size.width, size.height).build().unwrap();
        let buffer = gst::Buffer::from_mut_slice(vec![grey; info.size()]);
        (info, buffer)
    }

    /// The samples of `frame` as `scaler` scales it.
    fn scaled(scaler: &mut Scaler, info: &VideoInfo, frame: &gst::Buffer) -> Vec<u8> {
        let length = 3 * scaler.size().width as usize;
        let (rows, stride) = scaler.scale(&map_readable(frame, info).unwrap()).unwrap();
        rows.chunks(stride).flat_map(|row| &row[..length]).copied().collect()
    }

    /// From 3024 rows to 256, by way of 756, GStreamer rounds the taps of some rows to 65/64 in all.
    #[test]
    fn flat_areas_stay_flat() {
        gst::init().unwrap();
        for (width, height, inference_size) in
            [(4032, 3024, 256), (640, 480, 16), (640, 480, 32), (640, 480, 64), (1920, 1080, 256)]
        {
            let (info, frame) = flat(VideoFormat::Rgb, Size { width, height }, 235);
            let size = Size { width: inference_size * width / height, height: inference_size };
            let mut scaler = Scaler::new(&info, size, 1).unwrap();
            let samples = scaled(&mut scaler, &info, &frame);
            let worst = samples.iter().map(|sample| sample.abs_diff(235)).max();
            assert_eq!(worst, Some(0), "{width}×{height} to {size:?}");
        }
    }

    #[test]
    fn each_low_frame_is_scaled_anew() {
        gst::init().unwrap();
        for threads in [1, 4] {
            for (rows, scaled_rows) in [(1, 1), (1, 9), (2, 4), (9, 1), (9, 2), (1000, 8)] {
                let size = Size { width: 8, height: rows };
                let to = Size { width: 16, height: scaled_rows };
                let (info, _) = flat(VideoFormat::Rgba, size, 0);
                let mut scaler = Scaler::new(&info, to, threads).unwrap();
                for grey in [20, 200, 90] {
                    let samples =
                        scaled(&mut scaler, &info, &flat(VideoFormat::Rgba, size, grey).1);
                    let worst = samples.iter().map(|sample| sample.abs_diff(grey)).max();
                    assert!(worst < Some(8), "{grey}, {rows} to {scaled_rows} rows: {worst:?}");
                }
            }
        }
    }

    proptest! {
        /// A part is scaled like a separate frame, whichever part the scaler had before.
        #[test]
        fn a_part_is_scaled_like_a_frame(
            format in prop::sample::select(formats()), seed: u64,
            width in 8u32..60, height in 8u32..60, cut in (8u32..60, 8u32..60),
            places in prop::collection::vec((0u32..60, 0u32..60), 1..4),
        ) {
            let info = VideoInfo::builder(format, width, height).build().unwrap();
            let mut bytes = vec![0; info.size()];
            fastrand::Rng::with_seed(seed).fill(&mut bytes);
            let buffer = gst::Buffer::from_mut_slice(bytes);
            let frame = map_readable(&buffer, &info).unwrap();
            let grid = coarsest_sample(&info);
            let size = Size {
                width: (cut.0.min(width) / grid.width * grid.width).max(grid.width).min(width),
                height: (cut.1.min(height) / grid.height * grid.height).max(grid.height).min(height),
            };
            let picture = Size { width: 16, height: 12 };
            let mut scalers = PartScalers::new(&info);
            for (x, y) in places {
                let on_grid = |place: u32, most: u32, grid: u32| place.min(most) / grid * grid;
                let x = on_grid(x, width - size.width, grid.width);
                let y = on_grid(y, height - size.height, grid.height);
                let part = Rect { x, y, size };
                let (found, _) = scalers.get(part, picture).unwrap().scale(&frame).unwrap();
                let found = found.to_vec();
                let alone = VideoInfo::builder(format, size.width, size.height)
                    .colorimetry(&info.colorimetry()).chroma_site(info.chroma_site()).build().unwrap();
                let copy = copied(&frame, &part, &alone);
                let copy = map_readable(&copy, &alone).unwrap();
                let mut scaler = Scaler::new(&alone, picture, 1).unwrap();
                let (expected, _) = scaler.scale(&copy).unwrap();
                prop_assert!(found == expected, "{:?} {:?}", format, part);
            }
            scalers.scalers.index((size, picture), || Err("not kept")).unwrap();
        }
    }
}
