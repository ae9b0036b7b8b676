// SPDX-License-Identifier: MIT OR Apache-2.0

//! The header of ASF files, as WMV and WMA are. VLC states one object too many in it, and `asfdemux` then fails.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use crate::worker::pads::probes::Replacement;

/// The identifier of the header object (Advanced Systems Format, section 3.1).
pub const HEADER: [u8; 16] = [
    0x30, 0x26, 0xB2, 0x75, 0x8E, 0x66, 0xCF, 0x11, 0xA6, 0xD9, 0x00, 0xAA, 0x00, 0x62, 0xCE, 0x6C,
];
/// The identifier and the size of an object.
pub const OBJECT: usize = 24;
/// The offset of the number of objects in the header, and that of the first object.
const COUNT: u64 = 24;
pub const FIRST: u64 = 30;

/// The true number of objects in the header of `file`, if it states more.
pub fn count(file: &Path) -> Option<Replacement> {
    let mut file = File::open(file).ok()?;
    let mut header = [0; FIRST as usize];
    file.read_exact(&mut header).ok()?;
    let size = size(&header).filter(|_| header.starts_with(&HEADER))?;
    let stated = u32::from_le_bytes(*header.last_chunk::<6>()?.first_chunk()?);
    let (mut count, mut at) = (0, FIRST);
    while count < stated && at < size {
        let mut object = [0; OBJECT];
        file.seek(SeekFrom::Start(at)).ok()?;
        file.read_exact(&mut object).ok()?;
        at = at.checked_add(self::size(&object)?)?;
        count += 1;
    }
    (count < stated && at == size).then(|| (COUNT, count.to_le_bytes()))
}

/// The size of an object, which is at least that of its own header.
pub fn size(object: &[u8]) -> Option<u64> {
    let size = u64::from_le_bytes(*object.get(16..OBJECT)?.first_chunk()?);
    (size >= OBJECT as u64).then_some(size)
}
