// SPDX-License-Identifier: MIT OR Apache-2.0

//! The change of one region, painted into its part of a frame with a soft edge.

use super::{
    mask::Mask,
    plane::{COVER_ALL, Plane},
    region::Region,
    residual::{Residual, Upscale},
    upsample::Upsampler,
};
use cyclegan_contract::Size;

/// A region's change and where it goes. Its memory is used again for the next region.
#[derive(Debug)]
pub struct Patch {
    /// What the generator changed, as if all of it were painted: at strength 1.
    pub change: Residual,
    region: Option<Region>,
    mask: Mask,
    /// How much of the frame's samples is covered, for [`Upscale::Plain`].
    cover: Vec<i16>,
    is_covering: bool,
    windows: Vec<Window>,
    /// What the windows were made for.
    windows_for: Option<(Region, bool)>,
}

/// A patch in one plane of the frame.
#[derive(Debug)]
struct Window {
    part: Plane,
    change: Upsampler,
    cover: Option<Upsampler>,
}

impl Default for Patch {
    fn default() -> Self {
        Self {
            change: Residual::new(Size { width: 1, height: 1 }),
            region: None,
            mask: Mask::default(),
            cover: Vec::new(),
            is_covering: false,
            windows: Vec::new(),
            windows_for: None,
        }
    }
}

impl Patch {
    /// Gives the change the soft edge of `regions[index]` and the strength of `upscale`.
    pub fn soften(&mut self, index: usize, regions: &[Region], upscale: Upscale) {
        self.region = Some(regions[index]);
        self.mask.update(index, regions, upscale);
        let weights = self.mask.weights();
        for plane in &mut self.change.planes {
            for (step, weight) in plane.iter_mut().zip(weights) {
                *step = (f32::from(*step) * weight) as i16;
            }
        }
        self.is_covering = matches!(upscale, Upscale::Plain { .. });
        if self.is_covering {
            self.cover.clear();
            self.cover.extend(weights.iter().map(|weight| (weight * COVER_ALL) as i16));
        }
    }

    /// Makes ready for frames whose planes of colour are `planes`.
    pub(super) fn fit<'a>(&mut self, planes: impl Iterator<Item = &'a Plane>) {
        let Some(region) = self.region else { return };
        if self.windows_for == Some((region, self.is_covering)) {
            return;
        }
        let size = (self.change.size.width, self.change.size.height);
        self.windows.clear();
        self.windows.extend(planes.map(|plane| {
            let (whole, part) = (plane.part(&region.crop), plane.part(&region.paint));
            let upsampler = || Upsampler::new(size, &whole, &part);
            Window { change: upsampler(), cover: self.is_covering.then(upsampler), part }
        }));
        self.windows_for = Some((region, self.is_covering));
    }

    /// Paints into the rows of plane `index` of a frame, `stride` bytes apart and `length` long.
    pub(super) fn paint(&mut self, index: usize, data: &mut [u8], stride: usize, length: usize) {
        let width = self.change.size.width as usize;
        for Window { part, change, cover } in &mut self.windows {
            if part.index != index {
                continue;
            }
            change.restart();
            cover.iter_mut().for_each(Upsampler::restart);
            let rows = data.chunks_mut(stride).skip(part.first_row as usize);
            for (y, row) in rows.take(part.height as usize).enumerate() {
                let row = part.of_row(&mut row[..length]);
                let change = change.row(|component, y| self.change.row(component, y), y);
                match cover {
                    None => part.add(row, &change, 1.0),
                    Some(cover) => {
                        let cover = cover.row(|_, y| &self.cover[y * width..][..width], y);
                        part.cover(row, &change, &cover);
                    }
                }
            }
        }
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

    /// Patches whose change is `step` everywhere.
    fn patches(regions: &[Region], step: i16, upscale: Upscale) -> Vec<Patch> {
        let patch = |(index, region): (usize, &Region)| {
            let mut patch = Patch::default();
            patch.change.resize(region.letterbox.content.size);
            patch.change.planes.iter_mut().for_each(|plane| plane.fill(step));
            patch.soften(index, regions, upscale);
            patch
        };
        regions.iter().enumerate().map(patch).collect()
    }

    fn composite(info: &VideoInfo, patches: &mut [Patch], input: &[u8]) -> Vec<u8> {
        let input = gst::Buffer::from_slice(input.to_vec());
        let mut output = gst::Buffer::from_slice(vec![0; info.size()]);
        {
            let input = VideoFrameRef::from_buffer_ref_readable(&input, info).unwrap();
            let output = output.get_mut().unwrap();
            let mut output = VideoFrameRef::from_buffer_ref_writable(output, info).unwrap();
            let mut compositor = Compositor::new(info, TENSOR, 1).unwrap();
            compositor.composite_patches(patches, &input, &mut output).unwrap();
        }
        output.map_readable().unwrap().to_vec()
    }

    fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
        gst::init().unwrap();
        VideoInfo::builder(format, width, height).build().unwrap()
    }

    #[test]
    fn a_box_gets_all_of_the_change_and_its_surroundings_none() {
        let info = info(VideoFormat::Gray8, 200, 100);
        let regions = regions(&info, &[(60, 30, 40, 40)]);
        let stride = info.stride()[0] as usize;
        for (upscale, expected) in [
            (FULL, 140),
            (Upscale::Residual { strength: 0.5 }, 120),
            (Upscale::Plain { strength: 1.0 }, 40),
            (Upscale::Plain { strength: 0.5 }, 70),
        ] {
            let mut patches = patches(&regions, 40 * 64, upscale);
            let output = composite(&info, &mut patches, &vec![100; info.size()]);
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

    /// Two boxes side by side get the change once, not twice, where they overlap.
    #[test]
    fn overlapping_changes_do_not_add_up() {
        let info = info(VideoFormat::Gray8, 200, 100);
        let regions = regions(&info, &[(40, 30, 60, 40), (80, 30, 60, 40)]);
        assert_eq!(regions.len(), 2);
        for upscale in [FULL, Upscale::Plain { strength: 1.0 }] {
            let step = if upscale == FULL { 40 * 64 } else { 140 * 64 };
            let mut patches = patches(&regions, step, upscale);
            let output = composite(&info, &mut patches, &vec![100; info.size()]);
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
        fn nothing_beyond_the_regions_is_touched(
            format in prop::sample::select(FORMATS.as_slice()),
            width in 1u32..120, height in 1u32..90, seed: u64, step: i16, is_plain: bool,
            boxes in prop::collection::vec((0u32..120, 0u32..90, 0u32..60, 0u32..60), 0..6),
        ) {
            let info = info(format, width, height);
            let mut input = vec![0; info.size()];
            fastrand::Rng::with_seed(seed).fill(&mut input);
            let upscale = if is_plain { Upscale::Plain { strength: 1.0 } } else { FULL };
            let regions = regions(&info, &boxes);
            let untouched = composite(&info, &mut [], &input);
            let step = step >> 2;
            let output = composite(&info, &mut patches(&regions, step, upscale), &input);
            // What an empty frame with the regions' planes marked shows as theirs.
            let mut may_change = vec![0; info.size()];
            match Plane::all(&info) {
                None => return Ok(()), // Bits that no sample owns are GStreamer's to write.
                Some(planes) => for plane in planes {
                    let (offset, stride) = (info.offset()[plane.index], info.stride()[plane.index]);
                    for part in regions.iter().map(|region| plane.part(&region.paint)) {
                        let rows = may_change[offset..].chunks_mut(stride as usize);
                        for row in rows.skip(part.first_row as usize).take(part.height as usize) {
                            part.of_row(row).fill(1u8);
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
