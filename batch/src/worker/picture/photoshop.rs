// SPDX-License-Identifier: MIT OR Apache-2.0

//! Photoshop's segment of a JPEG, with IPTC records and a thumbnail (Adobe Photoshop File Formats Specification,
//! "Image Resource Blocks").

use crate::worker::containers::bytes::Reader;

/// The start of the segment.
pub const START: &[u8] = b"Photoshop 3.0\0";
/// The thumbnails of Photoshop 4 and of later versions.
const THUMBNAILS: [u64; 2] = [0x0409, 0x040C];

/// The segment without thumbnails, which show the image before translation, and whether it had one.
pub fn without_thumbnail(segment: &[u8]) -> (Vec<u8>, bool) {
    let (start, mut rest) = segment.split_at(START.len().min(segment.len()));
    let (mut kept, mut has_thumbnail) = (start.to_vec(), false);
    while let Some((id, block, after)) = next(rest) {
        match THUMBNAILS.contains(&id) {
            true => has_thumbnail = true,
            false => kept.extend(block),
        }
        rest = after;
    }
    // What is not a block, if anything, is kept.
    kept.extend(rest);
    (kept, has_thumbnail)
}

/// The first block: its type, its bytes and those that follow.
fn next(blocks: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let mut fields = Reader(blocks);
    fields.take(4).filter(|signature| *signature == b"8BIM")?;
    let id = fields.big(2)?;
    // With its length, the name has an even number of bytes; so have the data.
    let name = fields.big(1)?;
    fields.take(name + 1 - name % 2)?;
    let length = fields.big(4)?;
    fields.take(length)?;
    fields.take(length % 2)?;
    let (block, after) = blocks.split_at(blocks.len() - fields.0.len());
    Some((id, block, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_thumbnail_is_left_out() {
        let block = |id: u16, data: &[u8]| {
            let length = (data.len() as u32).to_be_bytes();
            let padding = vec![0; data.len() % 2];
            [b"8BIM", &id.to_be_bytes()[..], &[0, 0], &length, data, &padding].concat()
        };
        let (text, thumbnail) = (block(0x0404, b"a caption"), block(0x040C, b"old"));
        let segment = [START, &text, &thumbnail, &text].concat();
        assert_eq!(without_thumbnail(&segment), ([START, &text, &text].concat(), true));
        let cut = &segment[..segment.len() - 9];
        assert!(without_thumbnail(cut).0.ends_with(b"a"), "{:?}", without_thumbnail(cut).0);
        assert_eq!(without_thumbnail(b"Photo"), (b"Photo".to_vec(), false));
    }
}
