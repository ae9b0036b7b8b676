// SPDX-License-Identifier: MIT OR Apache-2.0

//! Encrypted files, which are whole.

use std::path::Path;

use crate::common::{
    Place, edit,
    ffmpeg::{BARS, H264, TONE, make},
    find,
};

#[test]
fn encrypted_files_are_not_called_damaged() {
    let Some(place) = Place::of_ffmpeg("encrypted files") else { return };
    let source = [BARS, TONE, H264, "-c:a aac"].join(" ");
    let common = "-encryption_scheme cenc-aes-ctr -encryption_key 76a6c65c5ea762046bd749a2e632ccbb \
                  -encryption_kid a7e61c373e219033c21091fa607bf3b8";
    make(&place.input("a.mp4"), &[&source, common].join(" "));
    make(&place.input("b.ts"), &source);
    scramble(&place.input("b.ts"));
    let named = "-metadata:s:v title=".to_owned() + NAME;
    make(&place.input("c.mkv"), &[&*source, &named].join(" "));
    make(&place.input("d.webm"), &[BARS, "-c:v libvpx", &named].join(" "));
    for name in ["c.mkv", "d.webm"] {
        state_encryption(&place.input(name));
    }
    let said = place.said(&["in"]);
    for name in ["a.mp4", "b.ts", "c.mkv", "d.webm"] {
        let error = format!("error: in/{name}: is encrypted (DRM) and cannot be decoded");
        assert!(said.contains(&error), "{said}");
    }
}

/// Marks the payloads of the PES packets of a transport stream as scrambled, and makes them unreadable.
fn scramble(path: &Path) {
    edit(path, |bytes| {
        for packet in bytes.chunks_mut(188) {
            let id = u16::from_be_bytes([packet[1], packet[2]]) & 0x1FFF;
            if (0x100..0x1000).contains(&id) {
                let fields = if packet[3] & 0x20 == 0 { 0 } else { 1 + usize::from(packet[4]) };
                packet[3] |= 0x80;
                packet[4 + fields..]
                    .iter_mut()
                    .for_each(|byte| *byte = byte.wrapping_mul(91) ^ 0xA5);
            }
        }
    });
}

/// A name of a track, which gives room for the encryption.
const NAME: &str = "a-name-of-a-track-that-is-as-long-as-the-header-of-encryption";

/// Replaces the name of a track in Matroska by the header of encryption (RFC 9559, section 5.1.4.1.31).
fn state_encryption(path: &Path) {
    let element = |id: u16, content: &[u8]| {
        [&id.to_be_bytes()[..], &[0x80 | content.len() as u8], content].concat()
    };
    let key = [element(0x47E1, &[5]), element(0x47E2, &[7; 16])].concat();
    let encoding = [element(0x5033, &[1]), element(0x5035, &key)].concat();
    let encodings = element(0x6D80, &element(0x6240, &encoding));
    let name = element(0x536E, NAME.as_bytes());
    let room = name.len() - encodings.len() - 2;
    let instead = [&encodings[..], &[0xEC, 0x80 | room as u8], &vec![0; room]].concat();
    edit(path, |bytes| {
        let at = find(bytes, &name);
        bytes[at..at + name.len()].copy_from_slice(&instead);
    });
}
