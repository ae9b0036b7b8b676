// SPDX-License-Identifier: MIT OR Apache-2.0

//! Mosaics of four crops (YOLOv4, arXiv 2004.10934, section 3.3): small animals at the full resolution of
//! their photographs.

use image::{GenericImage, ImageBuffer, Pixel};

use super::picture::Picture;

/// Four crops of the same size in two rows of two.
///
/// The result has a mask, a next frame or a teacher's output only if all four have one.
pub fn mosaic(tiles: &[Picture; 4]) -> Picture {
    Picture {
        rgb: joined(tiles.each_ref().map(|t| &t.rgb)),
        real: tiles
            .iter()
            .any(|t| t.real.is_some())
            .then(|| joined(tiles.each_ref().map(|t| t.real.as_ref().unwrap_or(&t.rgb)))),
        mask: all(tiles.each_ref().map(|t| t.mask.as_ref())),
        next: all(tiles.each_ref().map(|t| t.next.as_ref())),
        generated: all(tiles.each_ref().map(|t| t.generated.as_ref())),
    }
}

type Image<P> = ImageBuffer<P, Vec<u8>>;

fn all<P: Pixel<Subpixel = u8>>(tiles: [Option<&Image<P>>; 4]) -> Option<Image<P>> {
    let [Some(a), Some(b), Some(c), Some(d)] = tiles else {
        return None;
    };
    Some(joined([a, b, c, d]))
}

fn joined<P: Pixel<Subpixel = u8>>(tiles: [&Image<P>; 4]) -> Image<P> {
    let (width, height) = tiles[0].dimensions();
    let mut whole = Image::new(2 * width, 2 * height);
    let places = [(0, 0), (width, 0), (0, height), (width, height)];
    for (tile, (x, y)) in tiles.into_iter().zip(places) {
        whole.copy_from(tile, x, y).expect("the tiles have the same size");
    }
    whole
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma, Rgb, RgbImage};

    use super::*;

    fn tile(level: u8, masked: bool) -> Picture {
        Picture {
            rgb: RgbImage::from_pixel(4, 2, Rgb([level; 3])),
            real: None,
            mask: masked.then(|| GrayImage::from_pixel(4, 2, Luma([level]))),
            next: None,
            generated: None,
        }
    }

    #[test]
    fn tiles_keep_their_places_in_the_image_and_in_the_mask() {
        let whole = mosaic(&[1, 2, 3, 4].map(|level| tile(level, true)));
        assert_eq!(whole.rgb.dimensions(), (8, 4));
        let mask = whole.mask.unwrap();
        for ((x, y), level) in [((3, 1), 1), ((4, 1), 2), ((3, 2), 3), ((4, 2), 4)] {
            assert_eq!(whole.rgb.get_pixel(x, y).0, [level; 3]);
            assert_eq!(mask.get_pixel(x, y).0, [level]);
        }
    }

    #[test]
    fn a_mosaic_with_a_tile_without_a_mask_has_none() {
        let whole = mosaic(&[true, true, false, true].map(|masked| tile(9, masked)));
        assert!(whole.mask.is_none());
    }
}
