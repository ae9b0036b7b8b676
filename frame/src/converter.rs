// SPDX-License-Identifier: MIT OR Apache-2.0

//! GStreamer's converter of frames, without its faults.

use gst::glib::BoolError;
use gst_video::{
    VideoConverter, VideoConverterConfig, VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo,
};

use super::overread::{OverreadGuard, own_frame};

/// A thread of GStreamer's converter that has no more rows than this may convert the rows of the frame before.
const STALE_ROWS: u32 = 2;
/// It uses one thread for each of so many rows, at most.
const ROWS_PER_THREAD: u32 = 200;
/// A grey that can become both lighter and darker.
const GREY: u8 = 128;

/// Converts frames to another format or size.
pub struct Converter {
    from: VideoInfo,
    to: VideoInfo,
    config: VideoConverterConfig,
    converter: VideoConverter,
    /// Whether it is made anew for each frame: GStreamer 1.22 empties its caches of rows only if they do not start with the first
    /// row of a frame.
    is_renewed: bool,
    /// A copy of the frame, for formats that need one.
    overread: Option<OverreadGuard>,
}

impl Converter {
    /// From frames of `from` to frames of `to`, on `threads` threads.
    pub fn new(
        from: &VideoInfo,
        to: &VideoInfo,
        mut config: VideoConverterConfig,
        threads: u32,
    ) -> Result<Self, BoolError> {
        config.set_threads(threads);
        let (least, most) = (from.height().min(to.height()), from.height().max(to.height()));
        let threads = if threads == 1 { 1 } else { most.div_ceil(ROWS_PER_THREAD) };
        Ok(Self {
            converter: VideoConverter::new(from, to, Some(config.clone()))?,
            is_renewed: least <= STALE_ROWS * threads,
            overread: OverreadGuard::new(from)?,
            from: from.clone(),
            to: to.clone(),
            config,
        })
    }

    /// Converts `frame` to `target`.
    pub fn convert(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
        target: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), BoolError> {
        if self.is_renewed {
            self.converter = VideoConverter::new(&self.from, &self.to, Some(self.config.clone()))?;
        }
        match &mut self.overread {
            None => self.converter.frame_ref(frame, target),
            Some(overread) => self.converter.frame_ref(&overread.copy_of(frame)?, target),
        }
        Ok(())
    }
}

/// `config` with as many taps as keep flat areas flat when frames of `from` are scaled to `to`.
///
/// GStreamer 1.22 rounds the taps of 8-bit samples to 64ths. From 756 rows to 256, for example, the six taps of a row may add
/// up to 65 of them, and white gets bands.
pub fn with_exact_taps(
    from: &VideoInfo,
    to: &VideoInfo,
    config: VideoConverterConfig,
) -> Result<VideoConverterConfig, BoolError> {
    let ratio = |from: u32, to: u32| (2 * from).div_ceil(to.max(1));
    let taps = ratio(from.width(), to.width()).max(ratio(from.height(), to.height()));
    let others = [taps + 1, taps.saturating_sub(1), taps + 2, taps.saturating_sub(2)];
    let others = others.into_iter().filter(|taps| *taps >= 2).map(|taps| {
        let mut config = config.clone();
        config.set_resampler_taps(taps);
        config
    });
    for candidate in std::iter::once(config.clone()).chain(others) {
        if keeps_flat(from, to, &candidate)? {
            return Ok(candidate);
        }
    }
    Ok(config)
}

/// Whether a flat frame of the size of `from` stays flat when it is scaled to the size of `to`.
fn keeps_flat(
    from: &VideoInfo,
    to: &VideoInfo,
    config: &VideoConverterConfig,
) -> Result<bool, BoolError> {
    let grey = |size: &VideoInfo| {
        VideoInfo::builder(VideoFormat::Gray8, size.width(), size.height()).build()
    };
    let (from, to) = (grey(from)?, grey(to)?);
    let [mut frame, mut scaled] = [own_frame(&from)?, own_frame(&to)?];
    frame.plane_data_mut(0)?.fill(GREY);
    let converter = VideoConverter::new(&from, &to, Some(config.clone()))?;
    converter.frame_ref(&frame.as_video_frame_ref(), &mut scaled.as_mut_video_frame_ref());
    let (stride, width) = (scaled.plane_stride()[0] as usize, scaled.width() as usize);
    let mut rows = scaled.plane_data(0)?.chunks(stride);
    Ok(rows.all(|row| row.iter().take(width).all(|sample| *sample == GREY)))
}
