// SPDX-License-Identifier: MIT OR Apache-2.0

//! The header of ASF files, as WMV and WMA are (Advanced Systems Format): what `asfdemux` does not read of it. VLC writes a
//! number of objects that is one too high, and `asfdemux` then fails.

use super::{bytes::Reader, chapters::Chapter};
use crate::worker::pads::probes::Replacement;

/// Identifiers of objects (section 10.1): the header, and in it the file properties, the markers and the extended content
/// description.
pub const HEADER: [u8; 16] = 0x3026_B275_8E66_CF11_A6D9_00AA_0062_CE6C_u128.to_be_bytes();
const PROPERTIES: [u8; 16] = 0xA1DC_AB8C_47A9_CF11_8EE4_00C0_0C20_5365_u128.to_be_bytes();
const MARKERS: [u8; 16] = 0x01CD_87F4_51A9_CF11_8EE6_00C0_0C20_5365_u128.to_be_bytes();
const DESCRIPTIONS: [u8; 16] = 0x40A4_D0D2_07E3_D211_97F0_00A0_C95E_A850_u128.to_be_bytes();
/// Identifiers of objects that say how the file is encrypted (sections 3.14, 3.15 and 4.11).
const ENCRYPTION: [[u8; 16]; 3] = [
    0xFBB3_1122_23BD_D211_B4B7_00A0_C955_FC6E_u128.to_be_bytes(),
    0x14E6_8A29_2226_174C_B935_DAE0_7EE9_289C_u128.to_be_bytes(),
    0x3385_0543_8169_E649_9B74_AD12_CB86_D58C_u128.to_be_bytes(),
];
/// Length of the identifier and the size of an object.
const OBJECT: u64 = 24;
/// The offset of the number of objects in the header, and that of the first object.
const COUNT: usize = 24;
const FIRST: usize = 30;

/// The size of the header of a file that starts with `head`.
fn header_size(head: &[u8]) -> Option<u64> {
    Reader::at(head, 16).little(8).filter(|size| head.starts_with(&HEADER) && *size >= OBJECT)
}

/// The objects in the header, as identifier and content.
fn objects(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let size = header_size(head).and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
    let mut rest = Reader::at(&head[..size.min(head.len())], FIRST);
    std::iter::from_fn(move || {
        let (id, size) = (rest.take(16)?, rest.little(8)?);
        Some((id, rest.take(size.checked_sub(OBJECT)?)?))
    })
}

/// The first object with this identifier.
fn object<'a>(head: &'a [u8], id: &[u8; 16]) -> Option<Reader<'a>> {
    objects(head).find(|(found, _)| found == id).map(|(_, content)| Reader(content))
}

/// The true number of objects in the header, if it states more.
pub fn count(head: &[u8]) -> Option<Replacement> {
    let stated = Reader::at(head, COUNT).little(4)? as u32;
    let size =
        objects(head).fold(FIRST as u64, |size, (_, content)| size + OBJECT + content.len() as u64);
    let count = objects(head).count() as u32;
    (header_size(head)? == size && count < stated).then(|| (COUNT as u64, count.to_le_bytes()))
}

/// Whether the file is encrypted.
pub fn is_encrypted(head: &[u8]) -> bool {
    head.starts_with(&HEADER)
        && head.windows(16).any(|id| ENCRYPTION.iter().any(|object| id == object))
}

/// The number of `size` bytes at `at` in the file properties object (section 3.2).
fn property(head: &[u8], at: usize, size: u64) -> Option<u64> {
    Reader::at(object(head, &PROPERTIES)?.0, at).little(size)
}

/// The length of the file, unless it is a broadcast.
pub fn stated_length(head: &[u8]) -> Option<u64> {
    let is_broadcast = property(head, 64, 4)? & 1 != 0;
    property(head, 16, 8).filter(|length| !is_broadcast && *length > 0)
}

/// When the first packet is sent. Its time is 0 for `asfdemux`.
pub fn start(head: &[u8]) -> gst::ClockTime {
    gst::ClockTime::from_mseconds(send_time(head).unwrap_or(0))
}

/// The send time of the first packet, ms (section 5.2), if it is in `head`.
fn send_time(head: &[u8]) -> Option<u64> {
    /// The header of the data object.
    const DATA: u64 = 50;
    let mut packet = Reader(head);
    packet.take(header_size(head)?)?;
    packet.take(DATA)?;
    // Error correction data come first, if a flag says so; then the lengths of three fields, and a byte of other flags.
    let mut lengths = packet.big(1)?;
    if lengths & 0x80 != 0 {
        packet.take(lengths & 0xF)?;
        lengths = packet.big(1)?;
    }
    let length = |shift: u8| [0, 1, 2, 4][(lengths >> shift & 3) as usize];
    packet.take(1 + length(5) + length(1) + length(3))?;
    packet.little(4)
}

/// The chapters in the marker object (section 3.7), whose times have units of 100 ns.
pub fn chapters(head: &[u8]) -> Option<Vec<Chapter>> {
    let mut rest = object(head, &MARKERS)?;
    // What is added to all times, ms.
    let preroll = property(head, 56, 8).unwrap_or(0);
    rest.take(16)?;
    let count = rest.little(4)?;
    rest.take(2)?;
    let name = rest.little(2)?;
    rest.take(name)?;
    let mut chapters = Vec::new();
    for _ in 0..count {
        rest.take(8)?;
        let time = (rest.little(8)? / 10_000).saturating_sub(preroll);
        rest.take(10)?;
        let units = rest.little(4)?;
        let title = text(rest.take(units.checked_mul(2)?)?);
        chapters.push(Chapter { start: gst::ClockTime::MSECOND.saturating_mul(time), title });
    }
    Some(chapters)
}

/// The texts in the extended content description (section 3.11), as name and text.
pub fn texts(head: &[u8]) -> Option<Vec<(String, String)>> {
    let mut rest = object(head, &DESCRIPTIONS)?;
    let mut texts = Vec::new();
    for _ in 0..rest.little(2)? {
        let length = rest.little(2)?;
        let name = text(rest.take(length)?);
        let (kind, length) = (rest.little(2)?, rest.little(2)?);
        let value = rest.take(length)?;
        // Others are numbers and images.
        if kind == 0 {
            texts.push((name, text(value)));
        }
    }
    Some(texts)
}

/// A text in UTF-16, which ends at a zero.
fn text(bytes: &[u8]) -> String {
    let units = bytes.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit));
    let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    String::from_utf16_lossy(&units)
}
