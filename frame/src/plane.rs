// SPDX-License-Identifier: MIT OR Apache-2.0

//! The layout of a frame's colour samples, plane by plane.

use gst_video::{VideoFlags, VideoFormat, VideoFormatInfo, VideoInfo};

use super::{
    geometry::Rect,
    kernel::{self, KEEP_ALL, RowLerp},
    premultiplied::Pixels,
    word::{Packed, Word},
};

/// Full coverage of a frame's sample, see [`Plane::cover`].
pub const COVER_ALL: f32 = KEEP_ALL as f32;

/// The colour samples of one plane, or of a part of it. A row is a run of entries, which are bytes,
/// 16-bit words, or the three samples of each 32-bit word; some of them are colour samples, the
/// others are alpha or padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane {
    /// Which plane of the frame.
    pub index: usize,
    /// Its first row in the frame's plane.
    pub first_row: u32,
    /// Rows.
    pub height: u32,
    /// The number of entries of the frame's row before it.
    pub start: usize,
    /// Its components: the first `count` of these.
    components: [Component; 3],
    count: usize,
    /// How many times the frame's height is halved.
    halvings: u32,
    storage: Storage,
    /// Entries from the start to the first alpha, in premultiplied formats.
    alpha: Option<usize>,
}

/// The samples of one component in a row of a plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Component {
    /// 0 for Y or R, 1 for U or G, 2 for V or B.
    pub number: usize,
    /// Its first sample in the frame's row.
    pub first: u32,
    /// Entries from the plane's start to the first sample.
    pub offset: usize,
    /// Entries from one sample to the next.
    pub stride: usize,
    /// Samples in a row.
    pub width: u32,
    /// How many times the frame's width is halved.
    halvings: u32,
}

/// How samples are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// A byte, all of it.
    Bytes,
    /// Some or all of the bits of a 16-bit word.
    Words(Word),
    /// Ten bits of a 32-bit word that holds three samples.
    Packed(Packed),
}

impl Plane {
    /// The colour planes of frames of `info`, or `None` if a sample is neither a byte, nor part of its own
    /// 16-bit word, nor one of three in a 32-bit word; or if colours are premultiplied with an alpha in
    /// another plane.
    pub fn all(info: &VideoInfo) -> Option<Vec<Self>> {
        let format = info.format_info();
        let is_premultiplied =
            format.has_alpha() && info.flags().contains(VideoFlags::PREMULTIPLIED_ALPHA);
        if let Some((packed, places)) = packed(info.format()).filter(|_| !is_premultiplied) {
            return Some(vec![Self::of_packed(info, packed, places)]);
        }
        if format.is_complex() || format.is_tiled() || format.has_palette() {
            return None;
        }
        let colors = (format.n_components() as usize).min(if format.is_gray() { 1 } else { 3 });
        let mut planes: Vec<Self> = Vec::new();
        for number in 0..colors {
            let storage = Storage::of(&format, number)?;
            let component = Component {
                number,
                first: 0,
                offset: offset(&format, number) / storage.bytes(),
                stride: usize::try_from(format.pixel_stride()[number]).ok()? / storage.bytes(),
                width: format.scale_width(number as u8, info.width()),
                halvings: format.w_sub()[number],
            };
            let index = format.plane()[number] as usize;
            let height = format.scale_height(number as u8, info.height());
            match planes.iter_mut().find(|plane| plane.index == index) {
                None => planes.push(Self {
                    index,
                    first_row: 0,
                    height,
                    start: 0,
                    components: [component; 3],
                    count: 1,
                    halvings: format.h_sub()[number],
                    storage,
                    alpha: None,
                }),
                Some(plane) => {
                    // GStreamer describes the components of some packed formats as one place.
                    let is_taken =
                        plane.components().iter().any(|other| other.offset == component.offset);
                    if is_taken || (plane.height, plane.storage) != (height, storage) {
                        return None;
                    }
                    plane.components[plane.count] = component;
                    plane.count += 1;
                }
            }
        }
        if is_premultiplied {
            let [plane] = planes.as_mut_slice() else { return None };
            let is_pixel = plane.count == 3 && format.is_rgb();
            let shares_plane = format.plane()[ALPHA] as usize == plane.index;
            if !is_pixel || !shares_plane || Storage::of(&format, ALPHA)? != plane.storage {
                return None;
            }
            plane.alpha = Some(offset(&format, ALPHA) / plane.storage.bytes());
        }
        Some(planes)
    }

    /// The alpha plane of frames of `info`, with alpha as its only component; `None` if there is none, if
    /// alpha is not a byte or word of its own, or if colours are premultiplied.
    pub fn alpha(info: &VideoInfo) -> Option<Self> {
        let format = info.format_info();
        let is_premultiplied = info.flags().contains(VideoFlags::PREMULTIPLIED_ALPHA);
        let is_plain = !(format.is_complex() || format.is_tiled() || format.has_palette());
        if !format.has_alpha() || is_premultiplied || !is_plain || packed(info.format()).is_some() {
            return None;
        }
        let storage = Storage::of(&format, ALPHA)?;
        let component = Component {
            number: 0,
            first: 0,
            offset: offset(&format, ALPHA) / storage.bytes(),
            stride: usize::try_from(format.pixel_stride()[ALPHA]).ok()? / storage.bytes(),
            width: format.scale_width(ALPHA as u8, info.width()),
            halvings: format.w_sub()[ALPHA],
        };
        Some(Self {
            index: format.plane()[ALPHA] as usize,
            first_row: 0,
            height: format.scale_height(ALPHA as u8, info.height()),
            start: 0,
            components: [component; 3],
            count: 1,
            halvings: format.h_sub()[ALPHA],
            storage,
            alpha: None,
        })
    }

    fn of_packed(info: &VideoInfo, packed: Packed, places: [PackedPlace; 3]) -> Self {
        let component = |number: usize| {
            let (offset, stride, halvings) = places[number];
            let width = info.width().div_ceil(1 << halvings);
            Component { number, first: 0, offset, stride, width, halvings }
        };
        Self {
            index: 0,
            first_row: 0,
            height: info.height(),
            start: 0,
            components: [0, 1, 2].map(component),
            count: 3,
            halvings: 0,
            storage: Storage::Packed(packed),
            alpha: None,
        }
    }

    /// Its components.
    pub fn components(&self) -> &[Component] {
        &self.components[..self.count]
    }

    /// How the samples are stored.
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// Whether each pixel has one sample of each component, and up to four entries.
    pub fn has_uniform_spacing(&self) -> bool {
        let [Component { stride, halvings, .. }, ..] = self.components;
        let is_same = |other: &Component| (other.stride, other.halvings) == (stride, halvings);
        !self.is_packed() && stride <= 4 && self.components().iter().all(is_same)
    }

    /// Whether a 32-bit word holds three samples.
    pub fn is_packed(&self) -> bool {
        matches!(self.storage, Storage::Packed(_))
    }

    /// The part for `rect`, in pixels of the frame and inside it.
    pub fn part(&self, rect: &Rect) -> Self {
        let span = |start: u32, length: u32, halvings: u32| {
            let first = start >> halvings;
            (first, (start + length).div_ceil(1 << halvings) - first)
        };
        let (first_row, height) = span(rect.y, rect.size.height, self.halvings);
        let mut components = self.components;
        for component in &mut components {
            let (first, width) = span(rect.x, rect.size.width, component.halvings);
            component.offset += first as usize * component.stride;
            (component.first, component.width) = (first, width);
        }
        let [Component { first, stride, .. }, ..] = components;
        let alpha = self.alpha.map(|alpha| alpha + first as usize * stride);
        let used = &mut components[..self.count];
        let first = used.iter().map(|component| component.offset).chain(alpha).min().unwrap_or(0);
        let start = first - first % self.storage.per_unit();
        used.iter_mut().for_each(|component| component.offset -= start);
        let alpha = alpha.map(|alpha| alpha - start);
        Self { first_row, height, start, components, alpha, ..*self }
    }

    /// The byte range of this part in a row of the frame's plane.
    pub fn bytes(&self) -> std::ops::Range<usize> {
        let unit = |entries: usize| entries / self.storage.per_unit() * self.storage.bytes();
        let start = unit(self.start);
        start..start + unit(self.row_length())
    }

    /// Entries of a row, up to and including the byte or word of the last sample.
    pub fn row_length(&self) -> usize {
        let [Component { width, stride, .. }, ..] = self.components;
        let end = |component: &Component| {
            component.offset + (component.width as usize - 1) * component.stride + 1
        };
        let alpha = self.alpha.map(|alpha| alpha + (width as usize - 1) * stride + 1);
        let length = self.components().iter().map(end).chain(alpha).max().unwrap_or(0);
        length.next_multiple_of(self.storage.per_unit())
    }

    /// target = source + residual, within the samples' range.
    ///
    /// Rows hold [`Plane::bytes`], those of the residual [`Plane::row_length`].
    pub fn add(&self, source: &[u8], target: &mut [u8], residual: RowLerp<'_>) {
        if let Some(alpha) = self.alpha {
            return self.pixels(alpha, |pixels| {
                pixels.blend(source, target, residual, |_| KEEP_ALL);
            });
        }
        match self.storage {
            Storage::Bytes => kernel::add_bytes(source, target, residual),
            Storage::Words(word) if word.little_endian => {
                kernel::add_words::<false>(word, source, target, residual);
            }
            Storage::Words(word) => kernel::add_words::<true>(word, source, target, residual),
            Storage::Packed(packed) if packed.little_endian => {
                kernel::add_packed::<false>(packed, source, target, residual);
            }
            Storage::Packed(packed) => kernel::add_packed::<true>(packed, source, target, residual),
        }
    }

    /// target = keep · source + residual, within the samples' range.
    ///
    /// `is_sample` is −1 for samples and 0 for other entries; rows are as for [`Plane::add`].
    pub fn blend(
        &self,
        source: &[u8],
        target: &mut [u8],
        residual: RowLerp<'_>,
        keep: f32,
        is_sample: &[i16],
    ) {
        let keep = (keep * KEEP_ALL as f32).round() as i32;
        if let Some(alpha) = self.alpha {
            return self.pixels(alpha, |pixels| {
                pixels.blend(source, target, residual, |_| keep);
            });
        }
        match self.storage {
            _ if keep == KEEP_ALL => self.add(source, target, residual),
            Storage::Bytes => kernel::blend_bytes(source, target, residual, keep, is_sample),
            Storage::Words(word) if word.little_endian => {
                kernel::blend_words::<false>(word, source, target, residual, keep, is_sample);
            }
            Storage::Words(word) => {
                kernel::blend_words::<true>(word, source, target, residual, keep, is_sample);
            }
            Storage::Packed(packed) if packed.little_endian => {
                kernel::blend_packed::<false>(packed, source, target, residual, keep, is_sample);
            }
            Storage::Packed(packed) => {
                kernel::blend_packed::<true>(packed, source, target, residual, keep, is_sample);
            }
        }
    }

    /// target = (1 − coverage) · source + residual, within the samples' range.
    ///
    /// `coverage` is in parts of [`COVER_ALL`] and 0 for entries that are not samples; rows are as for
    /// [`Plane::add`].
    pub fn cover(
        &self,
        source: &[u8],
        target: &mut [u8],
        residual: RowLerp<'_>,
        coverage: RowLerp<'_>,
    ) {
        if let Some(alpha) = self.alpha {
            return self.pixels(alpha, |pixels| {
                pixels.blend(source, target, residual, |entry| coverage.kept_at(entry));
            });
        }
        match self.storage {
            Storage::Bytes => kernel::cover_bytes(source, target, residual, coverage),
            Storage::Words(word) if word.little_endian => {
                kernel::cover_words::<false>(word, source, target, residual, coverage);
            }
            Storage::Words(word) => {
                kernel::cover_words::<true>(word, source, target, residual, coverage);
            }
            Storage::Packed(word) if word.little_endian => {
                kernel::cover_packed::<false>(word, source, target, residual, coverage);
            }
            Storage::Packed(word) => {
                kernel::cover_packed::<true>(word, source, target, residual, coverage);
            }
        }
    }
}

impl Plane {
    /// Calls `work` with the positions of alpha and colours.
    fn pixels(&self, alpha: usize, work: impl FnOnce(Pixels<'_>)) {
        let colors = self.components.map(|component| component.offset);
        let word = match self.storage {
            Storage::Words(word) => Some(word),
            Storage::Bytes | Storage::Packed(_) => None,
        };
        let stride = self.components[0].stride;
        work(Pixels { stride, alpha, colors: &colors[..self.count], word });
    }
}

/// The index of alpha among a format's components.
const ALPHA: usize = 3;

impl Storage {
    fn of(format: &VideoFormatInfo, component: usize) -> Option<Self> {
        let (depth, shift) = (format.depth()[component], format.shift()[component]);
        let pixel_stride = format.pixel_stride()[component];
        match depth {
            8 if shift == 0 && pixel_stride >= 1 => Some(Self::Bytes),
            9..=16 if depth + shift <= 16 && pixel_stride >= 2 && pixel_stride % 2 == 0 => {
                Some(Self::Words(Word { depth, shift, little_endian: is_little_endian(format) }))
            }
            _ => None,
        }
    }

    /// Bytes of a unit of memory.
    fn bytes(self) -> usize {
        match self {
            Self::Bytes => 1,
            Self::Words(_) => 2,
            Self::Packed(_) => 4,
        }
    }

    /// Entries in a unit of memory.
    fn per_unit(self) -> usize {
        match self {
            Self::Bytes | Self::Words(_) => 1,
            Self::Packed(_) => 3,
        }
    }
}

/// The layout of a component of packed samples: the first entry, entries from sample to sample, and how
/// often the width is halved.
pub type PackedPlace = (usize, usize, u32);

/// The packing and layout of the components of `format`, if it packs three samples per word.
pub fn packed(format: VideoFormat) -> Option<(Packed, [PackedPlace; 3])> {
    let little_endian = Packed { shifts: [0, 10, 20], little_endian: true };
    let [first, second, third] = [0, 1, 2].map(|sample| (sample, 3, 0));
    Some(match format {
        // Cb Y Cr Y Cb Y Cr Y …
        VideoFormat::V210 => (little_endian, [(1, 2, 0), (0, 4, 1), (2, 4, 1)]),
        VideoFormat::Y410 => (little_endian, [second, first, third]),
        VideoFormat::Rgb10a2Le => (little_endian, [first, second, third]),
        VideoFormat::Bgr10a2Le => (little_endian, [third, second, first]),
        VideoFormat::R210 => {
            (Packed { shifts: [20, 10, 0], little_endian: false }, [first, second, third])
        }
        _ => return None,
    })
}

/// Bytes before the first sample of `component`. For two kinds of formats, GStreamer 1.22's description
/// differs from how it reads and writes them.
fn offset(format: &VideoFormatInfo, component: usize) -> usize {
    let described = format.poffset()[component] as usize;
    match format.format() {
        VideoFormat::Vyuy => [1, 2, 0][component],
        // P010 and similar formats: the second word of a pair, counted in words.
        _ if format.depth()[component] > 8 && described == 1 => 2,
        _ => described,
    }
}

/// Whether words are little-endian; v216 is, whatever GStreamer's description says.
fn is_little_endian(format: &VideoFormatInfo) -> bool {
    format.is_le() || format.format() == VideoFormat::V216
}
#[cfg(test)]
mod tests {
    use super::*;

    fn planes(format: VideoFormat, width: u32, height: u32) -> Option<Vec<Plane>> {
        gst::init().unwrap();
        Plane::all(&VideoInfo::builder(format, width, height).build().unwrap())
    }

    #[test]
    fn subsampled_planes_of_odd_sizes_round_up() {
        let planes = planes(VideoFormat::I420, 5, 3).unwrap();
        let sizes: Vec<_> = planes.iter().map(|p| (p.row_length(), p.height)).collect();
        assert_eq!(sizes, [(5, 3), (3, 2), (3, 2)]);
    }

    #[test]
    fn packed_components_share_a_plane() {
        let planes = planes(VideoFormat::Yuy2, 4, 2).unwrap();
        let components: Vec<_> =
            planes[0].components().iter().map(|l| (l.offset, l.stride, l.width)).collect();
        assert_eq!((planes.len(), components), (1, vec![(0, 2, 4), (1, 4, 2), (3, 4, 2)]));
    }

    #[test]
    fn a_part_begins_at_its_first_sample() {
        let rect = |x, y, width, height| Rect { x, y, size: crate::Size { width, height } };
        let planes = planes(VideoFormat::I420, 37, 21).unwrap();
        let parts: Vec<_> = planes.iter().map(|plane| plane.part(&rect(8, 6, 29, 4))).collect();
        let places: Vec<_> =
            parts.iter().map(|p| (p.start, p.row_length(), p.first_row, p.height)).collect();
        assert_eq!(places, [(8, 29, 6, 4), (4, 15, 3, 2), (4, 15, 3, 2)]);

        let yuy2 = self::planes(VideoFormat::Yuy2, 16, 4).unwrap()[0].part(&rect(4, 1, 6, 2));
        let components: Vec<_> =
            yuy2.components().iter().map(|l| (l.offset, l.first, l.width)).collect();
        assert_eq!((yuy2.start, components), (8, vec![(0, 4, 6), (1, 2, 3), (3, 2, 3)]));
    }

    #[test]
    fn alpha_is_not_a_colour() {
        for format in [VideoFormat::Rgba, VideoFormat::Ayuv, VideoFormat::A420, VideoFormat::Argb64]
        {
            let planes = planes(format, 4, 4).unwrap();
            assert_eq!(planes.iter().map(|plane| plane.components().len()).sum::<usize>(), 3);
        }
    }

    #[test]
    fn three_samples_share_a_word() {
        let places = |format| {
            let plane = planes(format, 7, 4).unwrap()[0];
            let places = plane.components().iter().map(|c| (c.offset, c.stride, c.width));
            (places.collect::<Vec<_>>(), plane.row_length(), plane.bytes())
        };
        assert_eq!(places(VideoFormat::Y410), (vec![(1, 3, 7), (0, 3, 7), (2, 3, 7)], 21, 0..28));
        assert_eq!(places(VideoFormat::V210), (vec![(1, 2, 7), (0, 4, 4), (2, 4, 4)], 15, 0..20));
    }

    #[test]
    fn a_part_of_packed_samples_begins_with_a_word() {
        let rect = Rect { x: 8, y: 1, size: crate::Size { width: 4, height: 2 } };
        let part = planes(VideoFormat::V210, 48, 4).unwrap()[0].part(&rect);
        // The sample before the first one shares its word.
        assert_eq!((part.start, part.row_length(), part.bytes()), (15, 9, 20..32));
        assert_eq!(part.components()[1].offset, 1);
    }

    #[test]
    fn formats_without_separate_samples_have_no_planes() {
        for format in [VideoFormat::Uyvp, VideoFormat::Rgb16, VideoFormat::Nv1210le32] {
            assert_eq!(planes(format, 4, 4), None);
        }
    }
}
