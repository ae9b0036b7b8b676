// SPDX-License-Identifier: MIT OR Apache-2.0

//! Frames of any format, size and strides with any residuals: nothing panics, and bytes that must not change
//! are unchanged.

#![no_main]

use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};
use cyclegan_frame::{
    Bounds, Compositor, PartScalers, Patch, Region, RegionPlanner, Residual, Size, UnpackedFrame,
    Upscale, coarsest_sample, copy, map_writable,
};
use gst_video::{
    VideoFormat, VideoFormatInfo, VideoFrameExt, VideoFrameFlags, VideoFrameRef, VideoInfo,
    VideoMeta,
};
use libfuzzer_sys::fuzz_target;

static FORMATS: LazyLock<Vec<VideoFormat>> = LazyLock::new(|| {
    gst::init().expect("GStreamer");
    let is_unpacked =
        |f: &VideoFormat| VideoFormatInfo::from_format(*f).unpack_format() != VideoFormat::Unknown;
    VideoFormat::iter_raw().filter(is_unpacked).collect()
});

/// Formats whose samples are changed in place, so that all other bytes stay unchanged.
const IN_PLACE: [VideoFormat; 12] = [
    VideoFormat::I420,
    VideoFormat::Nv12,
    VideoFormat::Rgba,
    VideoFormat::Bgr,
    VideoFormat::I42010le,
    VideoFormat::P01010be,
    VideoFormat::Yuy2,
    VideoFormat::Ayuv,
    VideoFormat::Gray8,
    VideoFormat::A420,
    VideoFormat::Yuv9,
    VideoFormat::Argb64,
];

#[derive(Debug)]
struct Input {
    info: VideoInfo,
    /// Padding after each row of each plane, in bytes.
    padding: [u8; 4],
    samples: Vec<u8>,
    tensor: Size,
    threads: u32,
    boxes: Vec<(u8, u8, u8, u8)>,
    steps: Vec<i16>,
    upscale: Upscale,
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let format = *u.choose(&FORMATS)?;
        let (width, height) = (u.int_in_range(1..=80)?, u.int_in_range(1..=60)?);
        let info = VideoInfo::builder(format, width, height).build();
        let strength = f32::from(u8::arbitrary(u)?) / 255.0;
        Ok(Self {
            info: info.map_err(|_| arbitrary::Error::IncorrectFormat)?,
            padding: <[u8; 4]>::arbitrary(u)?.map(|padding| padding % 32),
            samples: Vec::arbitrary(u)?,
            tensor: Size { width: u.int_in_range(1..=48)?, height: u.int_in_range(1..=48)? },
            threads: u.int_in_range(1..=3)?,
            boxes: Vec::arbitrary(u)?,
            steps: Vec::arbitrary(u)?,
            upscale: match bool::arbitrary(u)? {
                true => Upscale::Residual { strength },
                false => Upscale::Plain { strength },
            },
        })
    }
}

impl Input {
    /// A frame with the input's strides, filled by repeating its samples.
    fn buffer(&self) -> Option<gst::Buffer> {
        let (info, format) = (&self.info, self.info.format_info());
        let planes = info.n_planes() as usize;
        let mut strides: Vec<i32> = info.stride()[..planes].to_vec();
        let mut offsets = Vec::new();
        let mut size = info.size();
        // The strides of others count tiles, or there is a palette behind the last row.
        if !(format.is_complex() || format.is_tiled() || format.has_palette()) {
            size = 0;
            for plane in 0..planes {
                strides[plane] += i32::from(self.padding[plane]) * 2;
                offsets.push(size);
                let of_plane = |c: &usize| format.plane()[*c] as usize == plane;
                let component = (0..format.n_components() as usize).find(of_plane)?;
                let rows = format.scale_height(component as u8, info.height()) as usize;
                size += strides[plane] as usize * rows;
            }
        }
        let filler = if self.samples.is_empty() { &[0][..] } else { &self.samples };
        let bytes: Vec<u8> = filler.iter().copied().cycle().take(size).collect();
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        if !offsets.is_empty() {
            let (flags, target) = (VideoFrameFlags::empty(), buffer.get_mut()?);
            let (width, height) = (info.width(), info.height());
            VideoMeta::add_full(target, flags, info.format(), width, height, &offsets, &strides)
                .ok()?;
        }
        Some(buffer)
    }

    /// A residual of the repeated steps, or of zeros if there are none.
    fn fill(&self, change: &mut Residual, is_zero: bool) {
        let steps = if self.steps.is_empty() || is_zero { &[0][..] } else { &self.steps };
        // Residuals of generator outputs that are within their range.
        let mut steps = steps.iter().cycle().map(|step| step / 2);
        change.planes.iter_mut().flatten().for_each(|step| *step = steps.next().unwrap_or(0));
    }

    fn patches(&self, regions: &[Region], is_zero: bool) -> Vec<Patch> {
        let patch = |index: usize| {
            let mut patch = Patch::default();
            patch.residual.resize(regions[index].letterbox.content.size);
            self.fill(&mut patch.residual, is_zero);
            patch.feather(index, regions, self.upscale);
            patch
        };
        (0..regions.len()).map(patch).collect()
    }
}

/// The frame after `work`, which starts with other bytes than the input.
fn written(
    input: &Input,
    buffer: &gst::Buffer,
    work: impl FnOnce(&VideoFrameRef<&gst::BufferRef>, &mut VideoFrameRef<&mut gst::BufferRef>),
) -> Vec<u8> {
    let mut output = buffer.copy_deep().expect("memory");
    {
        let target = output.get_mut().expect("our own");
        target.map_writable().expect("our own").fill(0xa5);
        let frame = VideoFrameRef::from_buffer_ref_readable(buffer, &input.info).expect("a frame");
        let mut target = map_writable(target, &input.info).expect("a frame");
        work(&frame, &mut target);
    }
    output.map_readable().expect("our own").to_vec()
}

fuzz_target!(|input: Input| {
    let info = &input.info;
    let Some(buffer) = input.buffer() else { return };
    let frame_size = Size { width: info.width(), height: info.height() };
    let grid = coarsest_sample(info);
    let mut planner = RegionPlanner::new(frame_size, 1.0, grid, input.tensor);
    let boxes = input.boxes.iter().map(|&(x, y, width, height)| Bounds {
        x: x.into(),
        y: y.into(),
        width: width.into(),
        height: height.into(),
    });
    let regions = planner.plan(boxes).to_vec();
    let Ok(mut compositor) = Compositor::new(info, input.tensor, input.threads) else { return };

    // The whole frame.
    let mut change = Residual::new(input.tensor);
    input.fill(&mut change, false);
    written(&input, &buffer, |frame, target| {
        compositor.composite(&change, input.upscale.keep(), None, frame, target).expect("a frame");
    });

    // Regions.
    let patches = input.patches(&regions, false);
    written(&input, &buffer, |frame, target| {
        let mut unpacked = UnpackedFrame::new(info, 1).expect("a converter");
        let unpacked = unpacked.as_mut().map(|unpacked| unpacked.unpack(frame).expect("a frame"));
        let seen = unpacked.as_ref().unwrap_or(frame);
        let mut scalers = PartScalers::new(seen.info());
        for region in &regions {
            let size = region.letterbox.content.size;
            let scaler = scalers.get(region.crop, size).expect("a scaler");
            let (picture, stride) = scaler.scale(seen).expect("a frame");
            assert!(picture.len() >= stride * (size.height as usize - 1));
        }
        compositor.composite_patches(&patches, None, frame, target).expect("a frame");
    });

    // A zero residual.
    if matches!(input.upscale, Upscale::Residual { .. }) && IN_PLACE.contains(&info.format()) {
        let copied = written(&input, &buffer, |frame, target| {
            copy(frame, target).expect("a frame");
        });
        let nothing = input.patches(&regions, true);
        let composited = written(&input, &buffer, |frame, target| {
            compositor.composite_patches(&nothing, None, frame, target).expect("a frame");
        });
        assert!(copied == composited, "{info:?}");
    }
});
