// SPDX-License-Identifier: MIT OR Apache-2.0

//! Lacing of Matroska: several packets in a block, as mkvmerge writes them (RFC 9559, section 10.3).

use super::find;

const SEEK_HEAD: u32 = 0x114D_9B74;
const CUES: u32 = 0x1C53_BB6B;
const TRACKS: u32 = 0x1654_AE6B;
const CLUSTER: u32 = 0x1F43_B675;
const CRC_32: u32 = 0xBF;
const SIMPLE_BLOCK: u32 = 0xA3;
/// The number of packets in a block.
const PACKETS: usize = 8;

/// Puts packets of the second track of a file of ffmpeg into common blocks.
pub fn lace(file: &mut Vec<u8>) {
    let head = find(file, b"\x18\x53\x80\x67");
    let mut new = file[..head].to_vec();
    // A segment of unknown size.
    new.extend(b"\x18\x53\x80\x67\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
    let (_, segment, _) = element(&file[head..]);
    for (id, data, all) in elements(segment) {
        match id {
            // Their positions would be wrong.
            SEEK_HEAD | CUES => {}
            // All tracks may be laced.
            TRACKS => new.extend(replaced(all, b"\x9C\x81\x00", b"\x9C\x81\x01")),
            CLUSTER => new.extend(wrapped(b"\x1F\x43\xB6\x75", &laced_cluster(data))),
            _ => new.extend(all),
        }
    }
    *file = new;
}

fn laced_cluster(cluster: &[u8]) -> Vec<u8> {
    let is_sound = |(id, data, _): &(u32, &[u8], &[u8])| *id == SIMPLE_BLOCK && data[0] == 0x82;
    let mut sound = elements(cluster).filter(is_sound).map(|(_, data, _)| data);
    let mut new = Vec::new();
    let mut count = 0;
    // The checksum would be wrong.
    for each in elements(cluster).filter(|(id, _, _)| *id != CRC_32) {
        if !is_sound(&each) {
            new.extend(each.2);
            continue;
        }
        if count % PACKETS == 0 {
            let packets: Vec<_> = sound.by_ref().take(PACKETS).collect();
            new.extend(wrapped(b"\xA3", &laced_block(&packets)));
        }
        count += 1;
    }
    new
}

/// A block of these blocks, by the lacing of Xiph.
fn laced_block(blocks: &[&[u8]]) -> Vec<u8> {
    let mut new = blocks[0][..4].to_vec();
    new[3] |= 0x02;
    new.push(blocks.len() as u8 - 1);
    for block in &blocks[..blocks.len() - 1] {
        let size = block.len() - 4;
        new.extend(vec![255; size / 255]);
        new.push((size % 255) as u8);
    }
    blocks.iter().for_each(|block| new.extend(&block[4..]));
    new
}

/// The first element: its id, its data and all its bytes.
fn element(bytes: &[u8]) -> (u32, &[u8], &[u8]) {
    let number =
        |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
    let id = bytes[0].leading_zeros() as usize + 1;
    let size = bytes[id].leading_zeros() as usize + 1;
    let start = id + size;
    let length = number(&bytes[id..start]) & !(1 << (7 * size));
    let end = (start + length).min(bytes.len());
    (number(&bytes[..id]) as u32, &bytes[start..end], &bytes[..end])
}

fn elements(mut bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8], &[u8])> {
    std::iter::from_fn(move || {
        (!bytes.is_empty()).then(|| {
            let found = element(bytes);
            bytes = &bytes[found.2.len()..];
            found
        })
    })
}

fn wrapped(id: &[u8], data: &[u8]) -> Vec<u8> {
    [id, &(data.len() as u64 | 1 << 56).to_be_bytes(), data].concat()
}

/// The bytes with `new` in place of each `old`, of the same length.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len().saturating_sub(old.len()) {
        if bytes[at..].starts_with(old) {
            bytes[at..at + new.len()].copy_from_slice(new);
        }
    }
    bytes
}
