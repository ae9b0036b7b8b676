// SPDX-License-Identifier: MIT OR Apache-2.0

//! AVIF and HEIF images (ISO/IEC 23008-12): what they have besides pixels.

use super::{
    boxes::find,
    index::brand,
    items::{Item, Items},
};
use crate::worker::containers::bytes::Reader;

/// Major brands of images and of image sequences.
const BRANDS: [&[u8]; 10] =
    [b"avif", b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"avis", b"hevc", b"msf1"];
/// Brands of image sequences.
const SEQUENCES: &[&[u8]] = BRANDS.split_at(7).1;

/// The image that a file shows, without its pixels, and what else is in the file.
#[derive(Debug)]
pub struct HeifImage {
    /// Primaries and transfer function (ITU-T H.273), unless they are those of sRGB.
    pub color: Option<[u8; 2]>,
    /// Bits per component; 0 if the file does not say.
    pub depth: u8,
    /// Whether it is shown turned by 90° or 270°.
    pub is_turned: bool,
    /// Whether it describes its mastering display or its light levels.
    pub is_hdr: bool,
    pub exif: Result<Option<Vec<u8>>, Unreadable>,
    pub xmp: Result<Option<Vec<u8>>, Unreadable>,
    /// Whether there are other images, such as a gain map or a depth map.
    pub has_others: bool,
    /// Whether there is a video of the moment.
    pub has_video: bool,
    /// Whether there are further frames.
    pub has_frames: bool,
}

/// Metadata that are compressed, damaged or in another file.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable;

impl HeifImage {
    pub fn read(file: &[u8]) -> Self {
        let items = Items::of(file);
        let metadata = |is_such: fn(&Item<'_>) -> bool| {
            let items = items.as_ref()?;
            items.describing(is_such).map(|item| items.data(item).ok_or(Unreadable))
        };
        let exif = metadata(|item| item.kind == b"Exif").transpose();
        let mut image = Self {
            color: None,
            depth: 0,
            is_turned: false,
            is_hdr: false,
            exif: exif.and_then(|exif| exif.map(after_offset).transpose()),
            xmp: metadata(|item| item.content == b"application/rdf+xml").transpose(),
            has_others: items.as_ref().is_some_and(Items::has_others),
            has_video: find(file, &[b"mpvd"]).is_some(),
            has_frames: brand(file).is_some_and(|brand| SEQUENCES.contains(&brand)),
        };
        items.iter().for_each(|items| image.read_properties(items));
        image
    }

    fn read_properties(&mut self, items: &Items<'_>) {
        // Its own come after those of its parts, which may have some that it lacks.
        let parts = items.tile().into_iter().chain([items.primary]);
        for (kind, property) in parts.flat_map(|id| items.properties(id)) {
            match kind {
                b"pixi" => self.depth = property.get(5).copied().unwrap_or(0),
                b"irot" => self.is_turned = property.first().is_some_and(|turns| turns & 1 == 1),
                b"clli" | b"mdcv" => self.is_hdr = true,
                b"colr" if property.starts_with(b"nclx") => {
                    let mut fields = Reader::at(property, 4);
                    let color = [fields.big(2), fields.big(2)].map(|code| code.unwrap_or(2) as u8);
                    self.color = Some(color).filter(|color| !is_srgb(*color));
                }
                _ => {}
            }
        }
    }
}

/// EXIF from its offset on, with which the `data` of its item begin.
fn after_offset(data: Vec<u8>) -> Result<Vec<u8>, Unreadable> {
    let offset = Reader(&data).big(4).ok_or(Unreadable)? as usize;
    let exif = offset.checked_add(4).and_then(|start| data.get(start..));
    exif.map(<[u8]>::to_vec).ok_or(Unreadable)
}

/// Whether a file that starts with `head` is an AVIF or HEIF image.
pub fn is_image(head: &[u8]) -> bool {
    brand(head).is_some_and(|brand| BRANDS.contains(&brand))
}

/// Whether these are primaries and transfer function of sRGB. BT.709's are taken for them, and so are unknown ones.
fn is_srgb([primaries, transfer]: [u8; 2]) -> bool {
    matches!(primaries, 1 | 2) && matches!(transfer, 1 | 2 | 6 | 13)
}

#[cfg(test)]
mod tests {
    use super::{super::boxes::boxed, *};

    const GAIN_MAP: &[u8] = b"urn:com:apple:photo:2020:aux:hdrgainmap";
    const ALPHA: &[u8] = b"urn:mpeg:hevc:2015:auxid:1";

    fn color([primaries, transfer]: [u8; 2]) -> Vec<u8> {
        boxed(b"colr", &[b'n', b'c', b'l', b'x', 0, primaries, 0, transfer, 0, 9, 128])
    }

    fn full(kind: &[u8], content: &[u8]) -> Vec<u8> {
        boxed(kind, &[&[0; 4], content].concat())
    }

    /// A photograph, item 2, of the tile 3; 1 is an auxiliary image of this kind, 4 its XMP and 5 that of the photograph.
    /// The properties are an auxiliary type, a colour, a rotation, a depth and the colour of HDR.
    fn photograph(auxiliary: &[u8]) -> Vec<u8> {
        let entry = |id: u8, kind: &[u8], more: &[u8]| {
            let fields = [&[2, 0, 0, 0, 0, id, 0, 0], kind, b"\0", more].concat();
            boxed(b"infe", &fields)
        };
        let entries = [
            entry(1, b"hvc1", b""),
            entry(2, b"grid", b""),
            entry(3, b"hvc1", b""),
            entry(4, b"mime", b"application/rdf+xml\0"),
            entry(5, b"mime", b"application/rdf+xml\0"),
        ];
        let reference = |kind: &[u8], from: u8, to: u8| boxed(kind, &[0, from, 0, 1, 0, to]);
        let references = [
            reference(b"auxl", 1, 2),
            reference(b"dimg", 2, 3),
            reference(b"cdsc", 4, 1),
            reference(b"cdsc", 5, 2),
        ];
        let properties = [
            full(b"auxC", &[auxiliary, &[0, 1]].concat()),
            color([1, 13]),
            boxed(b"irot", &[3]),
            full(b"pixi", &[3, 10, 10, 10]),
            color([9, 16]),
        ];
        let associations = [0, 0, 0, 3, 0, 1, 2, 1, 5, 0, 2, 2, 0x82, 3, 0, 3, 1, 4];
        let locations = [0x44, 0, 0, 2, 0, 4, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3];
        let more = [0, 5, 0, 1, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 4];
        let lists = [boxed(b"ipco", &properties.concat()), full(b"ipma", &associations)];
        let meta = [
            full(b"pitm", &[0, 2]),
            boxed(b"iloc", &[&[1, 0, 0, 0], &locations[..], &more].concat()),
            full(b"iinf", &[&[0, 5], &entries.concat()[..]].concat()),
            full(b"iref", &references.concat()),
            boxed(b"iprp", &lists.concat()),
            boxed(b"idat", b"mapours"),
        ];
        [boxed(b"ftyp", b"heic\0\0\0\0"), full(b"meta", &meta.concat())].concat()
    }

    #[test]
    fn properties_and_metadata_are_those_of_the_photograph() {
        let file = photograph(GAIN_MAP);
        let image = HeifImage::read(&file);
        assert_eq!((image.color, image.depth, image.is_turned), (None, 10, true));
        assert!(!image.is_hdr);
        assert_eq!((image.exif, image.xmp), (Ok(None), Ok(Some(b"ours".to_vec()))));
        let cut = HeifImage::read(&file[..file.len() - 5]);
        assert_eq!((cut.depth, cut.is_turned, cut.xmp), (0, false, Ok(None)));
    }

    #[test]
    fn exif_that_is_cut_is_unreadable() {
        let exif = |data: &[u8]| after_offset(data.to_vec());
        assert_eq!(exif(b"\0\0\0\x02..MM"), Ok(b"MM".to_vec()));
        assert_eq!((exif(b"\0\0\0\x09.."), exif(b"\0")), (Err(Unreadable), Err(Unreadable)));
    }

    #[test]
    fn alpha_belongs_to_the_photograph_and_a_gain_map_does_not() {
        assert!(HeifImage::read(&photograph(GAIN_MAP)).has_others);
        let others = |file: &[u8]| {
            let image = HeifImage::read(file);
            (image.has_others, image.has_video, image.has_frames)
        };
        assert_eq!(others(&photograph(ALPHA)), (false, false, false));
        let with_video = [photograph(ALPHA), boxed(b"mpvd", b"video")].concat();
        assert_eq!(others(&with_video), (false, true, false));
    }
}
