// SPDX-License-Identifier: MIT OR Apache-2.0

//! Maps frames and gives the rows of their planes.

use gst::glib::{BoolError, bool_error, translate::ToGlibPtr};
use std::ops::Range;

use super::plane::packed;
use gst_video::{
    VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo, VideoMeta, ffi as gst_video_ffi,
};

/// Maps `buffer` for reading as a frame of `info`.
///
/// # Errors
/// If the buffer is not such a frame, see [`check_room`], or its rows are upside down or overlap, see
/// [`check_strides`].
pub fn map_readable<'a>(
    buffer: &'a gst::BufferRef,
    info: &VideoInfo,
) -> Result<VideoFrameRef<&'a gst::BufferRef>, BoolError> {
    check_room(buffer, info)?;
    let frame = VideoFrameRef::from_buffer_ref_readable(buffer, info)
        .map_err(|_| bool_error!("cannot map a frame of {} bytes for reading", buffer.size()))?;
    check_strides(&frame)?;
    Ok(frame)
}

/// Maps `buffer` for writing only, as a frame of `info`.
///
/// The bindings also map for reading, which first copies memory of a GPU or another device to the CPU.
///
/// # Errors
/// As [`map_readable`].
pub fn map_writable<'a>(
    buffer: &'a mut gst::BufferRef,
    info: &VideoInfo,
) -> Result<VideoFrameRef<&'a mut gst::BufferRef>, BoolError> {
    check_room(buffer, info)?;
    let size = buffer.size();
    let mut frame = std::mem::MaybeUninit::uninit();
    // SAFETY: `info` and `buffer` are valid, and the buffer is borrowed for as long as the frame. The
    // call fills `frame` where it returns true; the frame unmaps itself when it is dropped.
    let frame = unsafe {
        let is_mapped = gst_video_ffi::gst_video_frame_map(
            frame.as_mut_ptr(),
            info.to_glib_none().0.cast_mut(),
            buffer.as_mut_ptr(),
            gst_video_ffi::GST_VIDEO_FRAME_MAP_FLAG_NO_REF | gst::ffi::GST_MAP_WRITE,
        );
        if is_mapped == gst::glib::ffi::GFALSE {
            return Err(bool_error!("cannot map a frame of {size} bytes for writing"));
        }
        VideoFrameRef::from_glib_full_mut(frame.assume_init())
    };
    check_strides(&frame)?;
    Ok(frame)
}

/// Checks that `buffer` has room for a frame of `info` in the layout of its `GstVideoMeta`, or in the
/// default layout without one: GStreamer maps planes without checking where they end.
///
/// # Errors
/// If the buffer is too small, or its meta describes another kind of frame.
pub fn check_room(buffer: &gst::BufferRef, info: &VideoInfo) -> Result<(), BoolError> {
    let mut needed = info.size();
    if let Some(meta) = buffer.meta::<VideoMeta>() {
        let (size, expected) = ((meta.width(), meta.height()), (info.width(), info.height()));
        if meta.format() != info.format() || size != expected {
            return Err(bool_error!(
                "{} of {}×{}, expected {} of {}×{}",
                meta.format().to_str(),
                size.0,
                size.1,
                info.format().to_str(),
                expected.0,
                expected.1
            ));
        }
        if !has_rows(info) {
            return Ok(());
        }
        needed = end_of_planes(info, meta.offset(), meta.stride());
    }
    if buffer.size() < needed {
        return Err(bool_error!("{} bytes, expected {needed}", buffer.size()));
    }
    Ok(())
}

/// The end of the last sample, in bytes, of planes at `offsets` with rows `strides` bytes apart.
fn end_of_planes(info: &VideoInfo, offsets: &[usize], strides: &[i32]) -> usize {
    let format = info.format_info();
    let mut rows = [0; 4];
    for component in 0..format.n_components() as usize {
        let height = format.scale_height(component as u8, info.height()) as usize;
        let plane = &mut rows[format.plane()[component] as usize];
        *plane = height.max(*plane);
    }
    let planes = offsets.iter().zip(strides).zip(rows).zip(row_bytes(info));
    let ends = planes.map(|(((&offset, &stride), rows), length)| match rows {
        0 => 0,
        // `check_strides` refuses negative strides.
        _ => offset + (rows - 1) * stride.max(0) as usize + length,
    });
    ends.max().unwrap_or(0)
}

/// Refuses frames whose rows are upside down or overlap: the bindings assume positive strides, and planes
/// of stride times height bytes.
pub fn check_strides<T>(frame: &VideoFrameRef<T>) -> Result<(), BoolError> {
    // In other formats a stride counts tiles, or a plane is a palette.
    let lengths = if has_rows(frame.info()) { row_bytes(frame.info()) } else { [1; 4] };
    for (plane, (&stride, length)) in frame.plane_stride().iter().zip(lengths).enumerate() {
        let is_long = usize::try_from(stride).is_ok_and(|stride| stride >= length);
        if !is_long && plane < frame.n_planes() as usize {
            return Err(bool_error!(
                "the rows of plane {plane} are {stride} bytes apart, expected at least {length}; \
                 copy the frame to one with plain strides before this element, or turn it with \
                 videoflip"
            ));
        }
    }
    Ok(())
}

/// Whether the planes of frames of `info` consist of rows of known length.
fn has_rows(info: &VideoInfo) -> bool {
    let format = info.format_info();
    let is_plain = !(format.is_complex() || format.is_tiled() || format.has_palette());
    is_plain || packed(info.format()).is_some()
}

/// Bytes of a row's samples in each plane, without padding. If components share a plane, the widest
/// counts: a row of YUY2 ends with a whole pair of pixels even if the width is odd.
pub fn row_bytes(info: &VideoInfo) -> [usize; 4] {
    let format = info.format_info();
    let mut bytes = [0; 4];
    for component in 0..format.n_components() as usize {
        let width = format.scale_width(component as u8, info.width()) as usize;
        let span = width * format.pixel_stride()[component].unsigned_abs() as usize;
        let plane = &mut bytes[format.plane()[component] as usize];
        *plane = span.max(*plane);
    }
    if info.format() == VideoFormat::V210 {
        // Groups of six pixels in four words.
        bytes[0] = info.width().div_ceil(6) as usize * 16;
    }
    bytes
}

/// The rows of a readable frame.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    planes: [&'a [u8]; 4],
    strides: [usize; 4],
    lengths: [usize; 4],
}

impl<'a> Rows<'a> {
    /// The rows of `frame`, whose format has no tiles.
    pub fn of(frame: &'a VideoFrameRef<&gst::BufferRef>) -> Result<Self, BoolError> {
        check_strides(frame)?;
        Ok(Self {
            planes: frame.planes_data(),
            strides: strides(frame),
            lengths: row_bytes(frame.info()),
        })
    }

    /// Row `y` of `plane`, without padding.
    pub fn row(&self, plane: usize, y: usize) -> &'a [u8] {
        &self.planes[plane][y * self.strides[plane]..][..self.lengths[plane]]
    }
}

/// The rows of a writable frame, or of a band of it.
pub struct RowsMut<'a> {
    planes: [&'a mut [u8]; 4],
    /// The first row of each plane and the row after the last.
    rows: [Range<usize>; 4],
    strides: [usize; 4],
    lengths: [usize; 4],
}

impl<'a> RowsMut<'a> {
    /// The rows of `frame`, whose format has no tiles.
    pub fn of(frame: &'a mut VideoFrameRef<&mut gst::BufferRef>) -> Result<Self, BoolError> {
        check_strides(frame)?;
        let (strides, lengths) = (strides(frame), row_bytes(frame.info()));
        let planes = frame.planes_data_mut();
        let heights: [usize; 4] = std::array::from_fn(|plane| match planes[plane].len() {
            0 => 0,
            bytes => bytes / strides[plane],
        });
        Ok(Self { planes, rows: heights.map(|height| 0..height), strides, lengths })
    }

    /// Splits off band `i` of `bands`, after all bands before it.
    pub fn split_band(self, i: usize, bands: usize) -> (Self, Self) {
        let Self { planes, rows, strides, lengths } = self;
        let mut upper: [&mut [u8]; 4] = Default::default();
        let mut lower: [&mut [u8]; 4] = Default::default();
        let mut ends = [0; 4];
        for (plane, bytes) in planes.into_iter().enumerate() {
            let Range { start, end } = rows[plane].clone();
            // The remaining bands share the remaining rows.
            let count = (end - start).div_ceil(bands - i);
            ends[plane] = start + count;
            let middle = (count * strides[plane]).min(bytes.len());
            (upper[plane], lower[plane]) = bytes.split_at_mut(middle);
        }
        let upper_rows = std::array::from_fn(|plane| rows[plane].start..ends[plane]);
        let lower_rows = std::array::from_fn(|plane| ends[plane]..rows[plane].end);
        (
            Self { planes: upper, rows: upper_rows, strides, lengths },
            Self { planes: lower, rows: lower_rows, strides, lengths },
        )
    }

    /// The rows of `plane`, each with its number and without padding.
    pub fn rows(&mut self, plane: usize) -> impl Iterator<Item = (usize, &mut [u8])> {
        let length = self.lengths[plane];
        // A missing plane has no stride.
        let rows = self.planes[plane].chunks_mut(self.strides[plane].max(1));
        self.rows[plane].clone().zip(rows.map(move |row| &mut row[..length]))
    }
}

fn strides<T>(frame: &VideoFrameRef<T>) -> [usize; 4] {
    let mut strides = frame.plane_stride().iter();
    std::array::from_fn(|_| strides.next().map_or(0, |&stride| stride.max(0) as usize))
}

/// Copies all samples.
///
/// GStreamer's own copy omits the bytes after the last luma sample in a row of YUY2 and similar formats
/// with odd widths, and writes padding after the last row that may not exist.
pub fn copy(
    input: &VideoFrameRef<&gst::BufferRef>,
    output: &mut VideoFrameRef<&mut gst::BufferRef>,
) -> Result<(), BoolError> {
    if !has_rows(input.info()) {
        check_strides(input)?;
        check_strides(output)?;
        return input.copy(output);
    }
    let planes = input.n_planes() as usize;
    let (source, mut target) = (Rows::of(input)?, RowsMut::of(output)?);
    for plane in 0..planes {
        for (y, row) in target.rows(plane) {
            row.copy_from_slice(source.row(plane, y));
        }
    }
    Ok(())
}
