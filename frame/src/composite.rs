// SPDX-License-Identifier: MIT OR Apache-2.0

//! Adds a [`Residual`] to a full-size frame of any raw format.

use cyclegan_contract::Size;
use gst::glib::{BoolError, bool_error};
use gst_video::{VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo};

use super::{
    lines::LinePacker,
    matte::Matte,
    overlay::{Band, ColorPlane, Overlay, PatchMattes, Patches, WholeFrame, WholeMatte},
    patch::{Crops, Patch},
    plane::Plane,
    residual::Residual,
    rows::{Rows, RowsMut, copy},
    workers::Workers,
};

/// Adds residuals to frames of one kind. Each row is read from the input and written to the output
/// once. Alpha, padding and samples with a zero residual are unchanged.
pub struct Compositor {
    planes: Vec<ColorPlane>,
    /// The plane of alpha, which may be one of `planes`.
    alpha: Option<ColorPlane>,
    /// For formats that no kernel supports.
    packer: Option<LinePacker>,
    workers: Workers,
    /// Scratch memory for each band of rows.
    bands: Vec<Band>,
    crops: Crops,
    /// The same for patches in the plane of alpha.
    alpha_crops: Crops,
    /// A row of zeros for alpha.
    zeros: Vec<i16>,
}

/// Whether [`Compositor`] can write a mask to the alpha of frames of `format`.
pub fn takes_mask(format: VideoFormat) -> bool {
    let info = VideoInfo::builder(format, 16, 16).build();
    info.is_ok_and(|info| Plane::alpha(&info).is_some() && Plane::all(&info).is_some())
}

impl Compositor {
    /// A compositor for frames of `info` and residuals of `residual` pixels, on `threads` threads; 0
    /// for one per core.
    ///
    /// # Errors
    /// For formats that GStreamer cannot unpack, and for premultiplied Y'CbCr.
    pub fn new(info: &VideoInfo, residual: Size, threads: u32) -> Result<Self, BoolError> {
        let workers = Workers::new(threads)?;
        let bands = workers.bands(info.size());
        Self::with_bands(info, residual, workers, bands)
    }

    fn with_bands(
        info: &VideoInfo,
        residual: Size,
        workers: Workers,
        bands: usize,
    ) -> Result<Self, BoolError> {
        let (planes, packer) = match Plane::all(info) {
            Some(planes) => (planes, None),
            None => {
                let (packer, unpacked) = LinePacker::new(info)?;
                let planes = Plane::all(&unpacked).ok_or_else(|| {
                    bool_error!(
                        "the colours of {:?} are multiplied by alpha, which is supported for R, G and B \
                         only; convert the frames before with videoconvert ! \
                         video/x-raw,format=RGBA",
                        info.format()
                    )
                })?;
                (planes, Some(packer))
            }
        };
        // GStreamer packs some formats from several lines, so one thread processes them all.
        let bands = if packer.is_some() { 1 } else { bands };
        let planes = planes.iter().map(|plane| ColorPlane::new(plane, residual));
        let planes: Vec<_> = planes.collect();
        let alpha = Plane::alpha(info).filter(|_| packer.is_none());
        let alpha = alpha.map(|plane| ColorPlane::new(&plane, residual));
        let mut bands: Vec<Band> = (0..bands).map(|_| Band::default()).collect();
        // Allocates now, so that no frame has to.
        for band in &mut bands {
            planes.iter().for_each(|plane| band.upsampled.restart(&plane.window));
        }
        let zeros = alpha.as_ref().map_or(0, |alpha| alpha.window.part.row_length());
        let (crops, alpha_crops) = (Crops::default(), Crops::default());
        let zeros = vec![0; zeros];
        Ok(Self { planes, alpha, packer, workers, bands, crops, alpha_crops, zeros })
    }

    /// Writes `keep` · `input` + `residual` to `output`, with `matte` as its alpha if there is one.
    ///
    /// # Errors
    /// For frames with negative strides; with a matte also for formats without alpha, and for
    /// premultiplied formats.
    pub fn composite(
        &mut self,
        residual: &Residual,
        keep: f32,
        matte: Option<&Matte>,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), BoolError> {
        if matte.is_some() {
            self.require_alpha(output)?;
        }
        let matte = matte.map(WholeMatte);
        let matte = matte.as_ref().map(|matte| matte as &dyn Overlay);
        self.overlay(&WholeFrame { residual, keep }, matte, input, output)
    }

    fn require_alpha(&self, output: &VideoFrameRef<&mut gst::BufferRef>) -> Result<(), BoolError> {
        if self.alpha.is_some() {
            return Ok(());
        }
        Err(bool_error!(
            "no mask can be written to the alpha of {:?}; convert the frames before with \
             videoconvert ! video/x-raw,format=RGBA",
            output.format()
        ))
    }

    /// Writes `input` to `output` and adds `patches` one after the other. Everything outside the
    /// feathered boxes of their regions is unchanged. With `mattes`, see [`Patch::set_matte`], these are
    /// the alpha of `output`, which is 0 outside them.
    ///
    /// # Errors
    /// As [`Compositor::composite`].
    pub fn composite_patches(
        &mut self,
        patches: &[Patch],
        mattes: Option<&[Patch]>,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), BoolError> {
        match mattes {
            Some(_) => self.require_alpha(output)?,
            None if patches.is_empty() => return copy(input, output),
            None => {}
        }
        let mut crops = std::mem::take(&mut self.crops);
        let mut alpha_crops = std::mem::take(&mut self.alpha_crops);
        let zeros = std::mem::take(&mut self.zeros);
        crops.fit(patches, self.planes.iter().map(|plane| &plane.window.part));
        if let Some(mattes) = mattes {
            alpha_crops.fit(mattes, self.alpha.iter().map(|plane| &plane.window.part));
        }
        let overlay = Patches { patches, crops: &crops };
        let alpha = mattes.map(|mattes| PatchMattes { mattes, crops: &alpha_crops, zeros: &zeros });
        let alpha = alpha.as_ref().map(|alpha| alpha as &dyn Overlay);
        let result = self.overlay(&overlay, alpha, input, output);
        (self.crops, self.alpha_crops, self.zeros) = (crops, alpha_crops, zeros);
        result
    }

    fn overlay(
        &mut self,
        overlay: &dyn Overlay,
        matte: Option<&dyn Overlay>,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), BoolError> {
        let Self { planes, alpha, packer, workers, bands, .. } = self;
        if let Some(packer) = packer {
            let [band, ..] = bands.as_mut_slice() else { return Ok(()) };
            // Unpacked pixels have all components in one plane.
            let [plane, ..] = planes.as_slice() else { return Ok(()) };
            overlay.start(band, plane);
            return packer.run(input, output, |y, source, target| {
                overlay_row(overlay, band, plane, y, source, target);
            });
        }
        let count = output.n_planes() as usize;
        let (source, target) = (Rows::of(input)?, RowsMut::of(output)?);
        let total = bands.len();
        workers.in_bands(
            bands,
            target,
            |rows, band| rows.split_band(band, total),
            |band, mut target| {
                for index in 0..count {
                    let plane = planes.iter().find(|plane| plane.window.part.index == index);
                    if let Some(plane) = plane {
                        overlay.start(band, plane);
                    }
                    let alpha = alpha.as_ref().zip(matte);
                    let alpha = alpha.filter(|(alpha, _)| alpha.window.part.index == index);
                    if let Some((alpha, matte)) = alpha {
                        matte.start(band, alpha);
                    }
                    for (y, target) in target.rows(index) {
                        let source = source.row(index, y);
                        match (plane, alpha) {
                            (Some(plane), None) => {
                                overlay_row(overlay, band, plane, y, source, target);
                            }
                            (None, None) => target.copy_from_slice(source),
                            (None, Some((alpha, matte))) => {
                                overlay_row(matte, band, alpha, y, source, target);
                            }
                            (Some(plane), Some((alpha, matte))) => {
                                let mut row = std::mem::take(&mut band.row);
                                row.resize(source.len(), 0);
                                overlay_row(overlay, band, plane, y, source, &mut row);
                                overlay_row(matte, band, alpha, y, &row, target);
                                band.row = row;
                            }
                        }
                    }
                }
            },
        );
        Ok(())
    }
}

/// Copies the bytes between the samples; `overlay` writes the samples.
fn overlay_row(
    overlay: &dyn Overlay,
    band: &mut Band,
    plane: &ColorPlane,
    y: usize,
    source: &[u8],
    target: &mut [u8],
) {
    let samples = plane.window.part.bytes();
    target[..samples.start].copy_from_slice(&source[..samples.start]);
    target[samples.end..].copy_from_slice(&source[samples.end..]);
    overlay.row(band, plane, y, &source[samples.clone()], &mut target[samples]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bounds, RegionPlanner, Upscale, coarsest_sample, map_readable, map_writable};
    use gst_video::{VideoFormatInfo, VideoFrameFlags, VideoMeta};
    use proptest::prelude::*;

    /// Memory for two rows of five RGB pixels with three bytes of padding before each row. Bytes that do
    /// not belong to the frame follow the last row without padding.
    fn buffer(fill: u8) -> gst::Buffer {
        const SIZE: usize = 2 * (3 + 15) + 8;
        let mut buffer = gst::Buffer::from_mut_slice(vec![fill; SIZE]);
        let (flags, format) = (VideoFrameFlags::empty(), VideoFormat::Rgb);
        VideoMeta::add_full(buffer.make_mut(), flags, format, 5, 2, &[3], &[18]).unwrap();
        buffer
    }

    #[test]
    fn bytes_outside_the_samples_are_not_written() {
        gst::init().unwrap();
        let info = VideoInfo::builder(VideoFormat::Rgb, 5, 2).build().unwrap();
        let size = Size { width: 5, height: 2 };
        let (input, mut output) = (buffer(1), buffer(2));
        {
            let input = map_readable(&input, &info).unwrap();
            let mut output = map_writable(output.get_mut().unwrap(), &info).unwrap();
            let mut compositor = Compositor::new(&info, size, 1).unwrap();
            compositor.composite(&Residual::new(size), 1.0, None, &input, &mut output).unwrap();
        }
        let expected = [[2; 3].as_slice(), &[1; 15], &[2; 3], &[1; 15], &[2; 8]].concat();
        assert_eq!(output.map_readable().unwrap().as_slice(), expected);
    }

    #[test]
    fn negative_and_overlapping_strides_are_refused() {
        gst::init().unwrap();
        let info = VideoInfo::builder(VideoFormat::Rgb, 4, 2).build().unwrap();
        for (offset, stride) in [(12, -12), (0, 9)] {
            let mut buffer = gst::Buffer::from_mut_slice(vec![0; 24]);
            let (flags, format) = (VideoFrameFlags::empty(), VideoFormat::Rgb);
            VideoMeta::add_full(buffer.make_mut(), flags, format, 4, 2, &[offset], &[stride])
                .unwrap();
            let error = map_readable(&buffer, &info).unwrap_err().to_string();
            assert!(error.contains(&format!("{stride} bytes apart")), "{error}");
            assert!(map_writable(buffer.get_mut().unwrap(), &info).is_err());
            // The compositor also refuses frames that other code has mapped.
            let input = VideoFrameRef::from_buffer_ref_readable(&buffer, &info).unwrap();
            let mut output = gst::Buffer::with_size(info.size()).unwrap();
            let mut output = map_writable(output.get_mut().unwrap(), &info).unwrap();
            let size = Size { width: 4, height: 2 };
            let mut compositor = Compositor::new(&info, size, 1).unwrap();
            let residual = Residual::new(size);
            assert!(compositor.composite(&residual, 1.0, None, &input, &mut output).is_err());
            assert!(copy(&input, &mut output).is_err());
        }
    }

    /// The output has the palette that GStreamer packs for, and its indices point to the input's colours.
    #[test]
    fn the_output_gets_the_palette_of_its_format() {
        gst::init().unwrap();
        let info = VideoInfo::builder(VideoFormat::Rgb8p, 4, 2).build().unwrap();
        let mut bytes = vec![0; info.size()];
        let palette = info.offset()[1];
        // Entry 7 is white, and so are all pixels.
        bytes[..palette].fill(7);
        bytes[palette + 28..][..4].fill(255);
        let input = gst::Buffer::from_mut_slice(bytes);
        let mut output = gst::Buffer::from_mut_slice(vec![0; info.size()]);
        {
            let input = map_readable(&input, &info).unwrap();
            let mut output = map_writable(output.get_mut().unwrap(), &info).unwrap();
            let size = Size { width: 4, height: 2 };
            let mut compositor = Compositor::new(&info, size, 1).unwrap();
            compositor.composite(&Residual::new(size), 1.0, None, &input, &mut output).unwrap();
        }
        let bytes = output.map_readable().unwrap();
        let entry = usize::from(bytes[0]);
        assert_eq!(bytes[palette + 4 * entry..][..4], [255; 4]);
    }

    fn formats() -> Vec<VideoFormat> {
        gst::init().unwrap();
        let is_unpacked = |format: &VideoFormat| {
            VideoFormatInfo::from_format(*format).unpack_format() != VideoFormat::Unknown
        };
        VideoFormat::iter_raw().filter(is_unpacked).collect()
    }

    /// A frame of random samples and a random residual.
    struct Case {
        info: VideoInfo,
        size: Size,
        seed: u64,
        upscale: Upscale,
        boxes: Vec<(u32, u32, u32, u32)>,
    }

    impl Case {
        /// The output of the whole frame or of boxes, processed in `bands` bands.
        fn output(&self, bands: usize, is_whole: bool) -> Vec<u8> {
            let Self { info, size, seed, upscale, .. } = self;
            let mut random = fastrand::Rng::with_seed(*seed);
            let mut bytes = vec![0; info.size()];
            random.fill(&mut bytes);
            let input = gst::Buffer::from_mut_slice(bytes);
            let mut output = gst::Buffer::from_mut_slice(vec![0xa5; info.size()]);
            let fill = |residual: &mut Residual, random: &mut fastrand::Rng| {
                residual.planes.iter_mut().flatten().for_each(|step| *step = random.i16(..) / 2);
            };
            let mut compositor =
                Compositor::with_bands(info, *size, Workers::new(3).unwrap(), bands).unwrap();
            {
                let input = map_readable(&input, info).unwrap();
                let mut output = map_writable(output.get_mut().unwrap(), info).unwrap();
                if is_whole {
                    let mut residual = Residual::new(*size);
                    fill(&mut residual, &mut random);
                    let keep = upscale.keep();
                    compositor.composite(&residual, keep, None, &input, &mut output).unwrap();
                } else {
                    let frame = Size { width: info.width(), height: info.height() };
                    let mut planner = RegionPlanner::new(frame, 1.0, coarsest_sample(info), *size);
                    let boxes = self.boxes.iter().map(|&rect| Bounds::from(rect));
                    let regions = planner.plan(boxes).to_vec();
                    let patch = |index: usize| {
                        let mut patch = Patch::default();
                        patch.residual.resize(regions[index].letterbox.content.size);
                        fill(&mut patch.residual, &mut random);
                        patch.feather(index, &regions, *upscale);
                        patch
                    };
                    let patches: Vec<_> = (0..regions.len()).map(patch).collect();
                    compositor.composite_patches(&patches, None, &input, &mut output).unwrap();
                }
            }
            output.map_readable().unwrap().to_vec()
        }
    }

    proptest! {
        #[test]
        fn the_result_does_not_depend_on_the_number_of_bands(
            format in prop::sample::select(formats()), width in 1u32..90, height in 1u32..70,
            residual in (1u32..40, 1u32..40), seed: u64, bands in 2usize..9,
            upscale in prop_oneof![
                (0f32..=1.0).prop_map(|strength| Upscale::Residual { strength }),
                (0f32..=1.0).prop_map(|strength| Upscale::Plain { strength }),
            ],
            boxes in prop::collection::vec((0u32..90, 0u32..70, 1u32..60, 1u32..60), 0..5),
        ) {
            let info = VideoInfo::builder(format, width, height).build().unwrap();
            let size = Size { width: residual.0, height: residual.1 };
            let case = Case { info, size, seed, upscale, boxes };
            for is_whole in [true, false] {
                prop_assert!(case.output(1, is_whole) == case.output(bands, is_whole));
            }
        }
    }
}
