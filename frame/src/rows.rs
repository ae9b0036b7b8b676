// SPDX-License-Identifier: MIT OR Apache-2.0

//! Mapping frames, and the rows of their planes.

use gst::glib::{BoolError, bool_error, translate::ToGlibPtr};
use std::ops::Range;

use super::plane::packed;
use gst_video::{VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo, ffi as gst_video_ffi};

/// Maps `buffer` as a frame of `info` to be read.
///
/// # Errors
/// Where the buffer is not such a frame, and where rows stand upside down or overlap, see
/// [`check_strides`].
pub fn map_readable<'a>(
    buffer: &'a gst::BufferRef,
    info: &VideoInfo,
) -> Result<VideoFrameRef<&'a gst::BufferRef>, BoolError> {
    let frame = VideoFrameRef::from_buffer_ref_readable(buffer, info)
        .map_err(|_| bool_error!("cannot map a frame of {} bytes for reading", buffer.size()))?;
    check_strides(&frame)?;
    Ok(frame)
}

/// Maps `buffer` as a frame of `info` to be written and never read.
///
/// The bindings map for reading as well, for which memory of a GPU or of another device is first
/// copied to the processor's.
///
/// # Errors
/// As [`map_readable`].
pub fn map_writable<'a>(
    buffer: &'a mut gst::BufferRef,
    info: &VideoInfo,
) -> Result<VideoFrameRef<&'a mut gst::BufferRef>, BoolError> {
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

/// Refuses frames whose rows stand upside down or overlap: the bindings take a stride for a positive
/// number, and a plane for so many bytes times its rows.
pub fn check_strides<T>(frame: &VideoFrameRef<T>) -> Result<(), BoolError> {
    // Elsewhere a stride counts tiles, or a plane is a palette.
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

/// Whether the planes of frames of `info` are rows of known numbers of bytes.
fn has_rows(info: &VideoInfo) -> bool {
    let format = info.format_info();
    let is_plain = !(format.is_complex() || format.is_tiled() || format.has_palette());
    is_plain || packed(info.format()).is_some()
}

/// Bytes that the samples of a row of each plane span, without padding. Where components share a
/// plane the widest counts: a row of YUY2 ends with a whole pair of pixels, however odd its width.
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

/// The rows of a frame that is read.
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

/// The rows of a frame that is written, or of a band of it.
pub struct RowsMut<'a> {
    planes: [&'a mut [u8]; 4],
    /// The first row of each plane and the one behind the last.
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

    /// Takes band `i` of `bands` off, where all bands before it are gone.
    pub fn split_band(self, i: usize, bands: usize) -> (Self, Self) {
        let Self { planes, rows, strides, lengths } = self;
        let mut upper: [&mut [u8]; 4] = Default::default();
        let mut lower: [&mut [u8]; 4] = Default::default();
        let mut ends = [0; 4];
        for (plane, bytes) in planes.into_iter().enumerate() {
            let Range { start, end } = rows[plane].clone();
            // The bands that are left share the rows that are left.
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
        // A plane that is not there has no stride.
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
/// GStreamer's own copy leaves out what stands behind the last luma sample in a row of YUY2 and its
/// like when the width is odd, and writes padding behind the last row that may not be there.
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
