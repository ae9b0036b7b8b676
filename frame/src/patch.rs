// SPDX-License-Identifier: MIT OR Apache-2.0

//! The residual of one region, added to its part of a frame with a feathered edge.

use std::convert::Infallible;

use cyclegan_contract::Size;

use super::{
    feather::FeatherWeights,
    kernel::RowLerp,
    matte::Matte,
    plane::{COVER_ALL, Plane},
    recent::Recent,
    region::Region,
    residual::{Residual, Upscale},
    upsample::{UpsampledRows, Upsampler, Window},
};

/// A region's residual and position. Its memory is reused for the next region.
///
/// ```
/// use cyclegan_frame::{
///     Bounds, Compositor, Patch, RegionPlanner, Residual, Size, Upscale, coarsest_sample, map_readable,
///     map_writable,
/// };
/// use gst_video::{VideoFormat, VideoInfo};
///
/// # gst::init()?;
/// let info = VideoInfo::builder(VideoFormat::I420, 640, 360).build()?;
/// let (frame, tensor) = (Size { width: 640, height: 360 }, Size { width: 256, height: 256 });
/// let mut planner = RegionPlanner::new(frame, 1.0, coarsest_sample(&info), tensor);
/// let regions = planner.plan([Bounds { x: 300, y: 100, width: 100, height: 100 }]);
///
/// let mut patch = Patch::default();
/// patch.residual = Residual::new(regions[0].letterbox.content.size);
/// patch.residual.planes[0].fill(50 * 64); // 50 grey levels brighter
/// patch.feather(0, regions, Upscale::Residual { strength: 1.0 });
///
/// let input = gst::Buffer::from_mut_slice(vec![128; info.size()]); // grey
/// let mut output = gst::Buffer::with_size(info.size())?;
/// let mut written = map_writable(output.make_mut(), &info)?;
/// let mut compositor = Compositor::new(&info, tensor, 0)?;
/// compositor.composite_patches(&[patch], None, &map_readable(&input, &info)?, &mut written)?;
/// drop(written);
/// let luma = output.map_readable()?;
/// assert_eq!((luma[0], luma[150 * 640 + 350]), (128, 178)); // outside of the box, and its centre
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Patch {
    /// The residual at strength 1.
    pub residual: Residual,
    region: Option<Region>,
    weights: FeatherWeights,
    /// Coverage of the frame's samples, for [`Upscale::Plain`].
    coverage: Vec<i16>,
    is_covering: bool,
}

impl Default for Patch {
    fn default() -> Self {
        Self {
            residual: Residual::new(Size { width: 1, height: 1 }),
            region: None,
            weights: FeatherWeights::default(),
            coverage: Vec::new(),
            is_covering: false,
        }
    }
}

impl Patch {
    /// Applies the feathered edge of `regions[index]` and the strength of `upscale` to the residual.
    pub fn feather(&mut self, index: usize, regions: &[Region], upscale: Upscale) {
        self.region = Some(regions[index]);
        self.weights.update(index, regions, upscale);
        let weights = self.weights.values();
        for plane in &mut self.residual.planes {
            for (step, weight) in plane.iter_mut().zip(weights) {
                *step = (f32::from(*step) * weight) as i16;
            }
        }
        self.is_covering = matches!(upscale, Upscale::Plain { .. });
        if self.is_covering {
            self.coverage.clear();
            self.coverage.extend(weights.iter().map(|weight| (weight * COVER_ALL) as i16));
        }
    }

    /// Takes `matte` in place of a residual, for [`MatteWriter`](super::MatteWriter) and the alpha of
    /// [`Compositor`](super::Compositor).
    pub fn set_matte(&mut self, matte: &Matte) {
        self.residual.resize(matte.size());
        self.residual.planes[0].copy_from_slice(matte.values());
    }

    /// The region that it was feathered for.
    pub fn region(&self) -> Option<&Region> {
        self.region.as_ref()
    }

    /// How much of the frame's samples it covers, row by row, in parts of [`KEEP_ALL`](super::KEEP_ALL);
    /// `None` if they are kept.
    pub fn coverage(&self) -> Option<&[i16]> {
        self.is_covering.then_some(&self.coverage)
    }

    fn coverage_row(&self, y: usize) -> &[i16] {
        let width = self.residual.size.width as usize;
        &self.coverage[y * width..][..width]
    }
}

/// Number of crop sizes to keep. Moving boxes keep their crop size, see
/// [`RegionPlanner`](super::RegionPlanner).
const KEPT_SIZES: usize = 64;

/// The positions of patches in the planes of a frame.
#[derive(Default)]
pub struct Crops {
    /// The upsamplers for the planes of recently used crops, by the sizes of the crop and of the residual.
    upsamplers: Recent<(Size, Size), Vec<Upsampler>>,
    /// One per patch and plane.
    windows: Vec<PatchWindow>,
}

/// A patch in one plane of the frame.
#[derive(Clone, Copy)]
struct PatchWindow {
    patch: usize,
    /// Which of the sizes, and which plane of it.
    upsampler: (usize, usize),
    window: Window,
}

impl Crops {
    /// Prepares for `patches` in frames with the colour planes `planes`.
    pub fn fit<'a>(&mut self, patches: &[Patch], planes: impl Iterator<Item = &'a Plane> + Clone) {
        self.windows.clear();
        self.upsamplers.evict(KEPT_SIZES);
        for (index, patch) in patches.iter().enumerate() {
            let Some(region) = patch.region else { continue };
            let size = self.upsamplers_for(&region, patch.residual.size, planes.clone());
            self.windows.extend(planes.clone().enumerate().map(|(i, plane)| {
                let (crop, part) = (plane.part(&region.crop), plane.part(&region.feathered));
                PatchWindow {
                    patch: index,
                    upsampler: (size, i),
                    window: Window::new(&crop, &part),
                }
            }));
        }
    }

    /// The index of the upsamplers for a region; creates them if necessary.
    fn upsamplers_for<'a>(
        &mut self,
        region: &Region,
        residual: Size,
        planes: impl Iterator<Item = &'a Plane>,
    ) -> usize {
        let input = (residual.width, residual.height);
        let upsampler = |plane: &Plane| Upsampler::new(input, &plane.part(&region.crop));
        let new = || Ok::<_, Infallible>(planes.map(upsampler).collect());
        let Ok(index) = self.upsamplers.index((region.crop.size, residual), new);
        index
    }

    fn upsampler(&self, window: &PatchWindow) -> &Upsampler {
        let (size, plane) = window.upsampler;
        &self.upsamplers.get(size)[plane]
    }
}

/// Scratch memory for a band of rows.
#[derive(Default)]
pub struct PatchRows {
    /// The upsampled residual and coverage of each window.
    windows: Vec<[UpsampledRows; 2]>,
    /// Which windows lie in the plane.
    in_plane: Vec<usize>,
    /// The current row: the output's memory may be slow to read.
    row: Vec<u8>,
    /// The row under a patch.
    below: Vec<u8>,
}

impl PatchRows {
    /// Starts the rows of another plane.
    pub fn restart(&mut self, patches: &[Patch], crops: &Crops, plane: usize) {
        self.windows.resize_with(self.windows.len().max(crops.windows.len()), Default::default);
        self.in_plane.clear();
        let all = crops.windows.iter().enumerate().zip(&mut self.windows);
        for ((i, PatchWindow { patch, window, .. }), [residual, coverage]) in all {
            if window.part.index == plane {
                self.in_plane.push(i);
                residual.restart(window);
                if patches[*patch].is_covering {
                    coverage.restart(window);
                }
            }
        }
    }

    /// Writes row `y` of `target` from that of `source`; both start at byte `start` of the plane's row.
    pub fn row(
        &mut self,
        patches: &[Patch],
        crops: &Crops,
        y: usize,
        start: usize,
        source: &[u8],
        target: &mut [u8],
    ) {
        let Self { windows, in_plane, row, below } = self;
        let mut is_copied = false;
        for &i in in_plane.iter() {
            let (this, [residual, coverage]) = (&crops.windows[i], &mut windows[i]);
            let (part, patch) = (&this.window.part, &patches[this.patch]);
            let Some(y) = y.checked_sub(part.first_row as usize) else { continue };
            if y >= part.height as usize {
                continue;
            }
            if !is_copied {
                row.clear();
                row.extend_from_slice(source);
                is_copied = true;
            }
            let bytes = part.bytes();
            let samples = &mut row[bytes.start - start..bytes.end - start];
            below.clear();
            below.extend_from_slice(samples);
            let (upsampler, window) = (crops.upsampler(this), &this.window);
            let steps = |component: usize, y: usize| patch.residual.row(component, y);
            let residual: RowLerp = residual.row(upsampler, window, steps, y);
            if patch.is_covering {
                let coverage = coverage.row(upsampler, window, |_, y| patch.coverage_row(y), y);
                part.cover(below, samples, residual, coverage);
            } else {
                part.add(below, samples, residual);
            }
        }
        target.copy_from_slice(if is_copied { row } else { source });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coarsest_sample;
    use crate::{
        Compositor,
        region::{Bounds, RegionPlanner},
    };
    use gst_video::{VideoFormat, VideoFrameRef, VideoInfo};
    use proptest::prelude::*;

    const TENSOR: Size = Size { width: 32, height: 32 };
    const FULL: Upscale = Upscale::Residual { strength: 1.0 };

    fn regions(info: &VideoInfo, boxes: &[(u32, u32, u32, u32)]) -> Vec<Region> {
        let frame = Size { width: info.width(), height: info.height() };
        let mut planner = RegionPlanner::new(frame, 1.0, coarsest_sample(info), TENSOR);
        planner.plan(boxes.iter().map(|&rect| Bounds::from(rect))).to_vec()
    }

    /// Patches whose residual is `step` everywhere.
    fn patches(regions: &[Region], step: i16, upscale: Upscale) -> Vec<Patch> {
        let patch = |(index, region): (usize, &Region)| {
            let mut patch = Patch::default();
            patch.residual.resize(region.letterbox.content.size);
            patch.residual.planes.iter_mut().for_each(|plane| plane.fill(step));
            patch.feather(index, regions, upscale);
            patch
        };
        regions.iter().enumerate().map(patch).collect()
    }

    fn composite(info: &VideoInfo, patches: &[Patch], input: &[u8]) -> Vec<u8> {
        let input = gst::Buffer::from_slice(input.to_vec());
        let mut output = gst::Buffer::from_slice(vec![0; info.size()]);
        {
            let input = VideoFrameRef::from_buffer_ref_readable(&input, info).unwrap();
            let output = output.get_mut().unwrap();
            let mut output = VideoFrameRef::from_buffer_ref_writable(output, info).unwrap();
            let mut compositor = Compositor::new(info, TENSOR, 1).unwrap();
            compositor.composite_patches(patches, None, &input, &mut output).unwrap();
        }
        output.map_readable().unwrap().to_vec()
    }

    fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
        gst::init().unwrap();
        VideoInfo::builder(format, width, height).build().unwrap()
    }

    #[test]
    fn the_residual_is_added_inside_the_box_only() {
        let info = info(VideoFormat::Gray8, 200, 100);
        let regions = regions(&info, &[(60, 30, 40, 40)]);
        let stride = info.stride()[0] as usize;
        for (upscale, expected) in [
            (FULL, 140),
            (Upscale::Residual { strength: 0.5 }, 120),
            (Upscale::Plain { strength: 1.0 }, 40),
            (Upscale::Plain { strength: 0.5 }, 70),
        ] {
            let patches = patches(&regions, 40 * 64, upscale);
            let output = composite(&info, &patches, &vec![100; info.size()]);
            for (y, row) in output.chunks(stride).enumerate() {
                for (x, &found) in row.iter().enumerate().take(200) {
                    match ((60..100).contains(&x), (30..70).contains(&y)) {
                        (true, true) => assert!(found.abs_diff(expected) <= 1, "{x} {y}: {found}"),
                        _ if x < 50 || y < 20 || x >= 110 || y >= 80 => assert_eq!(found, 100),
                        _ => {}
                    }
                }
            }
        }
    }

    /// Two boxes side by side get the residual once, not twice, where they overlap.
    #[test]
    fn overlapping_boxes_get_the_residual_once() {
        let info = info(VideoFormat::Gray8, 200, 100);
        let regions = regions(&info, &[(40, 30, 60, 40), (80, 30, 60, 40)]);
        assert_eq!(regions.len(), 2);
        for upscale in [FULL, Upscale::Plain { strength: 1.0 }] {
            let step = if upscale == FULL { 40 * 64 } else { 140 * 64 };
            let patches = patches(&regions, step, upscale);
            let output = composite(&info, &patches, &vec![100; info.size()]);
            let row = &output[50 * info.stride()[0] as usize..][40..140];
            assert!(row.iter().all(|value| value.abs_diff(140) <= 2), "{upscale:?} {row:?}");
        }
    }

    const FORMATS: [VideoFormat; 12] = [
        VideoFormat::I420,
        VideoFormat::Nv12,
        VideoFormat::Rgba,
        VideoFormat::I42010le,
        VideoFormat::P01010be,
        VideoFormat::Yuy2,
        VideoFormat::Yuv9,
        VideoFormat::Y41b,
        VideoFormat::A420,
        VideoFormat::Argb64,
        VideoFormat::V210,
        VideoFormat::Rgb16,
    ];

    proptest! {
        #[test]
        fn pixels_outside_the_regions_are_unchanged(
            format in prop::sample::select(FORMATS.as_slice()),
            width in 1u32..120, height in 1u32..90, seed: u64, step: i16, is_plain: bool,
            boxes in prop::collection::vec((0u32..120, 0u32..90, 0u32..60, 0u32..60), 0..6),
        ) {
            let info = info(format, width, height);
            let mut input = vec![0; info.size()];
            fastrand::Rng::with_seed(seed).fill(&mut input);
            let upscale = if is_plain { Upscale::Plain { strength: 1.0 } } else { FULL };
            let regions = regions(&info, &boxes);
            let untouched = composite(&info, &[], &input);
            let step = step >> 2;
            let output = composite(&info, &patches(&regions, step, upscale), &input);
            // 1 for the bytes of the regions, 0 for all others.
            let mut may_change = vec![0; info.size()];
            match Plane::all(&info) {
                None => return Ok(()), // GStreamer may write the bits outside the samples.
                Some(planes) => for plane in planes {
                    let (offset, stride) = (info.offset()[plane.index], info.stride()[plane.index]);
                    for part in regions.iter().map(|region| plane.part(&region.feathered)) {
                        let rows = may_change[offset..].chunks_mut(stride as usize);
                        for row in rows.skip(part.first_row as usize).take(part.height as usize) {
                            row[part.bytes()].fill(1u8);
                        }
                    }
                }
            }
            for (i, may_change) in may_change.iter().enumerate() {
                prop_assert!(*may_change == 1 || output[i] == untouched[i], "byte {}", i);
            }
        }
    }
}
