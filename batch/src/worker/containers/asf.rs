// SPDX-License-Identifier: MIT OR Apache-2.0

//! The header of ASF files, as WMV and WMA are: what `asfdemux` does not read of it. VLC states one object too many in
//! it, and `asfdemux` then fails.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use super::chapters::Chapter;
use crate::worker::pads::probes::Replacement;

/// The identifier of the header object (Advanced Systems Format, section 3.1).
pub const HEADER: [u8; 16] = [
    0x30, 0x26, 0xB2, 0x75, 0x8E, 0x66, 0xCF, 0x11, 0xA6, 0xD9, 0x00, 0xAA, 0x00, 0x62, 0xCE, 0x6C,
];
/// The identifier and the size of an object.
const OBJECT: usize = 24;
/// Those of the file properties and of the markers (section 10.1).
const PROPERTIES: [u8; 16] = [
    0xA1, 0xDC, 0xAB, 0x8C, 0x47, 0xA9, 0xCF, 0x11, 0x8E, 0xE4, 0x00, 0xC0, 0x0C, 0x20, 0x53, 0x65,
];
const MARKERS: [u8; 16] = [
    0x01, 0xCD, 0x87, 0xF4, 0x51, 0xA9, 0xCF, 0x11, 0x8E, 0xE6, 0x00, 0xC0, 0x0C, 0x20, 0x53, 0x65,
];
/// How much of a header is read, bytes.
const LONGEST: u64 = 1 << 20;
/// The offset of the number of objects in the header, and that of the first object.
const COUNT: u64 = 24;
const FIRST: u64 = 30;

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

/// What `asfdemux` does not read of a header.
#[derive(Debug, Default)]
pub struct Details {
    /// The length of the file, unless it is a broadcast.
    pub whole_length: Option<u64>,
    pub chapters: Vec<Chapter>,
    /// When the first packet is sent. Its time is 0 for `asfdemux`.
    pub start: gst::ClockTime,
}

/// The details of `file`.
pub fn details(file: &Path) -> Details {
    let mut head = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LONGEST).read_to_end(&mut head));
    if read.is_err() {
        return Details::default();
    }
    let properties = object(&head, &PROPERTIES).and_then(Properties::read);
    let preroll = properties.as_ref().map_or(0, |properties| properties.preroll);
    let chapters = object(&head, &MARKERS).and_then(|markers| markers_in(markers, preroll));
    Details {
        whole_length: properties.and_then(|properties| properties.length),
        chapters: chapters.unwrap_or_default(),
        start: gst::ClockTime::from_mseconds(start(&head).unwrap_or(0)),
    }
}

/// The send time of the first packet, ms (section 5.2), if it is in `head`.
fn start(head: &[u8]) -> Option<u64> {
    /// The header of the data object.
    const DATA: usize = 50;
    let begin = usize::try_from(size(head)?).ok()?;
    let packet = head.get(begin + DATA..)?;
    // Error correction data come first, if a flag says so; then the lengths of three fields, and a byte of other flags.
    let correction = match packet.first()? {
        flags if flags & 0x80 != 0 => 1 + usize::from(flags & 0xF),
        _ => 0,
    };
    let packet = packet.get(correction..)?;
    let lengths = packet.first()?;
    let length = |shift: u8| [0, 1, 2, 4][usize::from(lengths >> shift & 3)];
    number(packet, 2 + length(5) + length(1) + length(3), 4)
}

/// The content of the first object in the header with this identifier.
pub fn object<'a>(head: &'a [u8], id: &[u8; 16]) -> Option<&'a [u8]> {
    let mut rest = head.get(FIRST as usize..).filter(|_| head.starts_with(&HEADER))?;
    loop {
        let object = rest.get(..OBJECT)?;
        let (content, after) = rest.split_at_checked(usize::try_from(size(object)?).ok()?)?;
        if object.starts_with(id) {
            return content.get(OBJECT..);
        }
        rest = after;
    }
}

/// Fields of the file properties object (section 3.2).
struct Properties {
    length: Option<u64>,
    /// What is added to all times, ms.
    preroll: u64,
}

impl Properties {
    fn read(content: &[u8]) -> Option<Self> {
        let is_broadcast = number(content, 64, 4)? & 1 != 0;
        let length = number(content, 16, 8).filter(|length| !is_broadcast && *length > 0);
        Some(Self { length, preroll: number(content, 56, 8)? })
    }
}

/// The marker object (section 3.7): its chapters, with times in units of 100 ns.
fn markers_in(content: &[u8], preroll: u64) -> Option<Vec<Chapter>> {
    let name = usize::try_from(number(content, 22, 2)?).ok()?;
    let mut rest = content.get(24 + name..)?;
    let mut chapters = Vec::new();
    for _ in 0..number(content, 16, 4)? {
        let (time, units) = (number(rest, 8, 8)?, usize::try_from(number(rest, 26, 4)?).ok()?);
        let (marker, after) = rest.split_at_checked(units.checked_mul(2)?.checked_add(30)?)?;
        let time = (time / 10_000).saturating_sub(preroll);
        chapters
            .push(Chapter { start: time.saturating_mul(1_000_000), title: text(&marker[30..]) });
        rest = after;
    }
    Some(chapters)
}

/// The number of `length` bytes at `at`, little-endian.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + length)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// A text in UTF-16, which ends at a zero.
pub fn text(bytes: &[u8]) -> String {
    let units = bytes.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit));
    let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    String::from_utf16_lossy(&units)
}

/// The size of an object, which is at least that of its own header.
fn size(object: &[u8]) -> Option<u64> {
    let size = u64::from_le_bytes(*object.get(16..OBJECT)?.first_chunk()?);
    (size >= OBJECT as u64).then_some(size)
}
