// SPDX-License-Identifier: MIT OR Apache-2.0

//! EBML elements (RFC 8794) and their positions in a Matroska file. GStreamer has no library for them.

use std::{
    borrow::Cow,
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
};

use anyhow::{Context, Result, ensure};

const SEGMENT: u32 = 0x1853_8067;
const SEEK_HEAD: u32 = 0x114D_9B74;
const SEEK: u32 = 0x4DBB;
const SEEK_ID: u32 = 0x53AB;
const SEEK_POSITION: u32 = 0x53AC;
const CLUSTER: u32 = 0x1F43_B675;
const TIMESTAMP: u32 = 0xE7;
const SIMPLE_BLOCK: u32 = 0xA3;
const BLOCK_GROUP: u32 = 0xA0;
const BLOCK: u32 = 0xA1;
const CRC_32: u32 = 0xBF;
/// An element without meaning.
pub const VOID: u32 = 0xEC;

/// Largest size of an element that is read whole.
const LARGEST: u64 = 1 << 30;

/// An element in memory.
#[derive(Clone, Copy, Debug)]
pub struct Element {
    /// Its id, including the length marker.
    pub id: u32,
    /// Offset of its start.
    pub start: usize,
    /// Offset of its data.
    pub data: usize,
    /// Offset of its end.
    pub end: usize,
}

/// The variable-length integer at the start of `bytes`, of at most 8 bytes, including its marker if `keeps_marker`, and
/// its length.
fn vint(bytes: &[u8], keeps_marker: bool) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    (length <= 8).then_some(())?;
    let rest = bytes.get(1..length)?;
    let head = if keeps_marker { first } else { first & (0xff_u16 >> length) as u8 };
    Some((rest.iter().fold(u64::from(head), |number, &byte| number << 8 | u64::from(byte)), length))
}

/// The elements of `bytes` in `start..end`.
pub fn elements(bytes: &[u8], start: usize, end: usize) -> impl Iterator<Item = Element> + '_ {
    let mut at = start;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..end)?;
        let (id, id_length) = vint(rest, true)?;
        let (size, size_length) = vint(rest.get(id_length..)?, false)?;
        let data = at + id_length + size_length;
        let element = Element {
            id: u32::try_from(id).ok()?,
            start: at,
            data,
            end: data.checked_add(usize::try_from(size).ok()?)?,
        };
        (element.end <= end).then(|| at = element.end)?;
        Some(element)
    })
}

/// The children of `of` with this id.
pub fn children(bytes: &[u8], of: Element, id: u32) -> impl Iterator<Item = Element> + '_ {
    elements(bytes, of.data, of.end).filter(move |element| element.id == id)
}

/// The descendants of `of` along this path of ids.
pub fn nested(bytes: &[u8], of: Element, path: &[u32]) -> Vec<Element> {
    path.iter().fold(vec![of], |all, &id| {
        all.into_iter().flat_map(|element| children(bytes, element, id)).collect()
    })
}

/// The unsigned integer in an element.
pub fn number(bytes: &[u8], element: Element) -> u64 {
    bytes[element.data..element.end].iter().fold(0, |n, &byte| n << 8 | u64::from(byte))
}

/// The floating-point number of 4 or 8 bytes in an element.
pub fn float(bytes: &[u8], element: Element) -> Option<f64> {
    match bytes[element.data..element.end] {
        [a, b, c, d] => Some(f32::from_be_bytes([a, b, c, d]).into()),
        [a, b, c, d, e, f, g, h] => Some(f64::from_be_bytes([a, b, c, d, e, f, g, h])),
        _ => None,
    }
}

/// The text in an element.
pub fn text(bytes: &[u8], element: Element) -> Cow<'_, str> {
    let end = bytes[element.data..element.end].split(|&byte| byte == 0).next();
    String::from_utf8_lossy(end.unwrap_or_default())
}

/// An element with this id and content.
pub fn wrapped(id: u32, content: &[u8]) -> Vec<u8> {
    // An id begins at its first byte that is not 0; the size has a marker and seven bytes.
    let id = id.to_be_bytes();
    let id = &id[id.iter().position(|&byte| byte != 0).unwrap_or(0)..];
    let size = (content.len() as u64 | 1 << 56).to_be_bytes();
    [id, &size, content].concat()
}

/// A packet of a track, with times in units of the file.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// The number of its track.
    pub track: u64,
    /// The time of its cluster.
    pub cluster: i64,
    /// Its time.
    pub time: i64,
}

/// An open file and the start of the data of its segment.
pub struct Segment {
    /// The file.
    pub file: File,
    /// Offset of the data of the segment.
    pub data: u64,
    /// Offset of their end; `None` if the file was written as a stream.
    pub end: Option<u64>,
}

impl Segment {
    /// The segment of a file; fails if there is none.
    pub fn open(mut file: File) -> Result<Self> {
        let mut at = 0;
        loop {
            let (id, data, size) = head(&mut file, at)?;
            if id == SEGMENT {
                return Ok(Self { file, data, end: size.map(|size| data + size) });
            }
            ensure!(at < 1 << 16, "no Matroska");
            at = data + size.context("no Matroska")?;
        }
    }

    /// The top-level elements before the first cluster: id and offset.
    pub fn top(&mut self) -> Vec<(u32, u64)> {
        let (mut at, mut found) = (self.data, Vec::new());
        while let Ok((id, data, size)) = head(&mut self.file, at) {
            if id == CLUSTER {
                break;
            }
            found.push((id, at));
            let Some(size) = size else { break };
            at = data.saturating_add(size);
        }
        found
    }

    /// The packets in the clusters.
    pub fn packets(&mut self) -> impl Iterator<Item = Packet> {
        let (mut at, mut cluster) = (self.data, 0);
        std::iter::from_fn(move || {
            loop {
                let (id, data, size) = head(&mut self.file, at).ok()?;
                at = match id {
                    CLUSTER | BLOCK_GROUP => data,
                    _ => data.checked_add(size?)?,
                };
                if ![TIMESTAMP, SIMPLE_BLOCK, BLOCK].contains(&id) {
                    continue;
                }
                let mut bytes = Vec::new();
                self.file.seek(SeekFrom::Start(data)).ok()?;
                (&self.file).take(size?.min(12)).read_to_end(&mut bytes).ok()?;
                if id == TIMESTAMP {
                    cluster = bytes.iter().fold(0, |n, &byte| n << 8 | i64::from(byte));
                    continue;
                }
                let (track, length) = vint(&bytes, false)?;
                let relative = i16::from_be_bytes(*bytes.get(length..)?.first_chunk()?);
                return Some(Packet { track, cluster, time: cluster + i64::from(relative) });
            }
        })
    }

    /// The number of clusters with a wrong checksum (RFC 8794, section 11.3.1). Ends at the first cluster without one.
    pub fn damaged_clusters(&mut self) -> u64 {
        let (mut at, mut damaged) = (self.data, 0);
        while let Ok((id, data, Some(size))) = head(&mut self.file, at) {
            at = data.saturating_add(size);
            if id != CLUSTER {
                continue;
            }
            match self.checksums(data, size) {
                Some((said, found)) => damaged += u64::from(said != found),
                None => break,
            }
        }
        damaged
    }

    /// The checksum at the start of the data of an element, and the one computed from the rest; `None` if there is none
    /// or the file is truncated.
    fn checksums(&mut self, data: u64, size: u64) -> Option<(u32, u32)> {
        const LENGTH: u64 = 6;
        let (CRC_32, _, Some(4)) = head(&mut self.file, data).ok()? else { return None };
        let mut said = [0; 4];
        self.file.seek(SeekFrom::Start(data + LENGTH - 4)).ok()?;
        self.file.read_exact(&mut said).ok()?;
        let mut rest =
            BufReader::with_capacity(1 << 20, &self.file).take(size.checked_sub(LENGTH)?);
        let mut found = crc32fast::Hasher::new();
        while let Some(bytes) = rest.fill_buf().ok().filter(|bytes| !bytes.is_empty()) {
            found.update(bytes);
            let length = bytes.len();
            rest.consume(length);
        }
        // A truncated cluster does not count as damaged.
        (rest.limit() == 0).then(|| (u32::from_le_bytes(said), found.finalize()))
    }

    /// The bytes of the element at offset `at`, and its position in them.
    pub fn read(&mut self, at: u64) -> Result<(Vec<u8>, Element)> {
        let (_, data, size) = head(&mut self.file, at)?;
        let size = size.context("an element of unknown size")?;
        ensure!(size < LARGEST, "an element of {size} bytes");
        let mut bytes = vec![0; (data - at + size) as usize];
        self.file.seek(SeekFrom::Start(at))?;
        self.file.read_exact(&mut bytes)?;
        let element = elements(&bytes, 0, bytes.len()).next().context("a damaged element")?;
        Ok((bytes, element))
    }

    /// The offset of the element `id`, found before the first cluster or by the index there.
    pub fn find(&mut self, id: u32) -> Result<Option<u64>> {
        let top = self.top();
        if let Some((_, at)) = top.iter().find(|(found, _)| *found == id) {
            return Ok(Some(*at));
        }
        let Some((_, at)) = top.iter().find(|(found, _)| *found == SEEK_HEAD) else {
            return Ok(None);
        };
        let (bytes, seek_head) = self.read(*at)?;
        let wanted = children(&bytes, seek_head, SEEK).find(|seek| {
            children(&bytes, *seek, SEEK_ID).any(|found| number(&bytes, found) == u64::from(id))
        });
        let position = wanted.and_then(|seek| children(&bytes, seek, SEEK_POSITION).next());
        Ok(position.map(|position| self.data + number(&bytes, position)))
    }

    /// Replaces the bytes at `at`.
    pub fn write(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.file.seek(SeekFrom::Start(at))?;
        Ok(self.file.write_all(bytes)?)
    }

    /// Appends an `element` with this `id`. Its index entry replaces the one for `instead`, an element before the first
    /// cluster, which is found without an entry.
    pub fn append(&mut self, id: u32, element: &[u8], instead: u32) -> Result<()> {
        let end = self.file.seek(SeekFrom::End(0))?;
        self.set_position(instead, id, end)?;
        self.write(end, element)?;
        let size = end + element.len() as u64 - self.data;
        // The size of the segment has eight bytes: a marker and seven.
        let data = self.data;
        self.write(data - 8, &(size | 1 << 56).to_be_bytes())
    }

    /// Makes the index entry for `old` one for the element `id` at offset `at`.
    pub fn set_position(&mut self, old: u32, id: u32, at: u64) -> Result<()> {
        let head = self.find(SEEK_HEAD)?.context("no index")?;
        let (bytes, seek_head) = self.read(head)?;
        let entry = children(&bytes, seek_head, SEEK).find(|seek| {
            children(&bytes, *seek, SEEK_ID).any(|found| number(&bytes, found) == u64::from(old))
        });
        let entry = entry.context("no entry in the index")?;
        let name = children(&bytes, entry, SEEK_ID).next().context("no id")?;
        let position = children(&bytes, entry, SEEK_POSITION).next().context("no position")?;
        ensure!(position.end - position.data == 8, "a short position");
        self.write(head + name.data as u64, &id.to_be_bytes())?;
        self.write(head + position.data as u64, &(at - self.data).to_be_bytes())
    }
}

/// The id of the element at offset `at`, the offset of its data, and their size if it is known (RFC 8794, section 6.2).
fn head(file: &mut File, at: u64) -> Result<(u32, u64, Option<u64>)> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    file.take(12).read_to_end(&mut bytes)?;
    let (id, id_length) = vint(&bytes, true).context("no element")?;
    let (size, size_length) = vint(&bytes[id_length..], false).context("no element")?;
    let is_unknown = size == (1 << (7 * size_length)) - 1;
    let data = at + (id_length + size_length) as u64;
    Ok((u32::try_from(id)?, data, (!is_unknown).then_some(size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_size_with_all_its_bits_set_is_unknown() {
        let end_of = |size: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&[&SEGMENT.to_be_bytes()[..], size].concat()).unwrap();
            Segment::open(file).unwrap().end
        };
        assert_eq!(end_of(&[0xFF]), None);
        assert_eq!(end_of(&[0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]), None);
        assert_eq!(end_of(&[0x01, 0, 0, 0, 0, 0, 0, 0x7F]), Some(12 + 127));
        assert_eq!(end_of(&[0x40, 0x7F]), Some(6 + 127));
    }

    /// Its length would overflow, and it would be read again and again.
    #[test]
    fn an_element_of_more_than_eight_bytes_of_length_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"\x80\x00\xff\xff\xff\xff\xff\xff\xff\xf6").unwrap();
        assert!(Segment::open(file).is_err());
    }
}
