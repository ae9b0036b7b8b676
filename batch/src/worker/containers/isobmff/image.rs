// SPDX-License-Identifier: MIT OR Apache-2.0

//! AVIF and HEIF images (ISO/IEC 23008-12): what they have besides pixels.

use super::{boxes, find, index::brand};
use crate::worker::containers::bytes::Reader;

/// Major brands of images and of image sequences.
const BRANDS: [&[u8]; 10] =
    [b"avif", b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"avis", b"hevc", b"msf1"];
/// Those of image sequences.
const SEQUENCES: &[&[u8]] = BRANDS.split_at(7).1;

/// The properties of all images in a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// Primaries and transfer function (ITU-T H.273), unless they are those of sRGB.
    pub color: Option<[u8; 2]>,
    /// Bits per component.
    pub depth: u8,
    /// Whether they are shown turned by 90° or 270°.
    pub is_turned: bool,
    /// Whether there are images besides the main one and its alpha, such as a gain map.
    pub has_others: bool,
}

impl Properties {
    pub fn of(file: &[u8]) -> Self {
        let meta = find(file, &[b"meta"]).and_then(|meta| meta.get(4..)).unwrap_or_default();
        let mut found = Self::default();
        for (kind, property) in boxes(find(meta, &[b"iprp", b"ipco"]).unwrap_or_default()) {
            match kind {
                b"pixi" => found.depth = found.depth.max(property.get(5).copied().unwrap_or(0)),
                b"irot" => found.is_turned |= property.first().is_some_and(|turns| turns & 1 == 1),
                b"auxC" => {
                    let mut name = property.get(4..).unwrap_or_default().split(|byte| *byte == 0);
                    found.has_others |= !name.next().is_some_and(is_alpha);
                }
                b"colr" if property.starts_with(b"nclx") => {
                    let mut fields = Reader::at(property, 4);
                    let color = [fields.big(2), fields.big(2)].map(|code| code.unwrap_or(2) as u8);
                    found.color = found.color.or(Some(color).filter(|color| !is_srgb(*color)));
                }
                _ => {}
            }
        }
        found
    }
}

/// Whether a file that starts with `head` is an AVIF or HEIF image.
pub fn is_image(head: &[u8]) -> bool {
    brand(head).is_some_and(|brand| BRANDS.contains(&brand))
}

/// Whether it has several images that are shown one after another.
pub fn is_sequence(head: &[u8]) -> bool {
    brand(head).is_some_and(|brand| SEQUENCES.contains(&brand))
}

/// Whether this is the name of alpha, for HEVC or for any codec (ISO/IEC 23000-22).
fn is_alpha(name: &[u8]) -> bool {
    name.ends_with(b":hevc:2015:auxid:1") || name.ends_with(b":auxiliary:alpha")
}

/// Whether these are primaries and transfer function of sRGB. BT.709's are taken for them, and so are unknown ones.
fn is_srgb([primaries, transfer]: [u8; 2]) -> bool {
    matches!(primaries, 1 | 2) && matches!(transfer, 1 | 2 | 6 | 13)
}

#[cfg(test)]
mod tests {
    use super::{super::boxed, *};

    #[test]
    fn properties_are_those_of_the_images() {
        let color = |codes: [u8; 2]| {
            boxed(b"colr", &[b"nclx\0", &codes[..1], &[0], &codes[1..], &[0, 9, 128]].concat())
        };
        let file = |properties: &[Vec<u8>]| {
            let list = boxed(b"iprp", &boxed(b"ipco", &properties.concat()));
            [boxed(b"ftyp", b"heic\0\0\0\0"), boxed(b"meta", &[&[0; 4][..], &list].concat())]
                .concat()
        };
        let pixi = boxed(b"pixi", &[0, 0, 0, 0, 3, 10, 10, 10]);
        let auxiliary = |name: &[u8]| boxed(b"auxC", &[&[0; 4], name, &[0, 1]].concat());
        let alpha = auxiliary(b"urn:mpeg:hevc:2015:auxid:1");
        let found = Properties::of(&file(&[color([9, 16]), pixi, alpha]));
        let deep = Properties { color: Some([9, 16]), depth: 10, ..Properties::default() };
        assert_eq!(found, deep);
        let gain_map = auxiliary(b"urn:com:apple:photo:2020:aux:hdrgainmap");
        let found = Properties::of(&file(&[color([1, 13]), gain_map, boxed(b"irot", &[3])]));
        let turned = Properties { is_turned: true, has_others: true, ..Properties::default() };
        assert_eq!(found, turned);
        assert_eq!(Properties::of(b"\0\0\0\x08meta"), Properties::default());
    }
}
