// SPDX-License-Identifier: MIT OR Apache-2.0

//! The segment of a file: its top-level elements, its packets and its checksums.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    ops::Range,
    path::Path,
};

use anyhow::{Context, Result, ensure};

use super::ebml::{Element, nested, start, vint};
use crate::worker::containers::bytes::{big_endian, place, read_at};

const SEGMENT: u32 = 0x1853_8067;
const SEEK_HEAD: u32 = 0x114D_9B74;
const SEEK: u32 = 0x4DBB;
const SEEK_ID: u32 = 0x53AB;
const SEEK_POSITION: u32 = 0x53AC;
pub const INFO: u32 = 0x1549_A966;
pub const TIMESTAMP_SCALE: u32 = 0x2A_D7B1;
pub const ATTACHMENTS: u32 = 0x1941_A469;
const ATTACHED_FILE: u32 = 0x61A7;
const FILE_NAME: u32 = 0x466E;
const CLUSTER: u32 = 0x1F43_B675;
const TIMESTAMP: u32 = 0xE7;
const SIMPLE_BLOCK: u32 = 0xA3;
const BLOCK_GROUP: u32 = 0xA0;
const BLOCK: u32 = 0xA1;
const CRC_32: u32 = 0xBF;

/// Largest size of an element that is read whole.
const LARGEST: u64 = 1 << 30;

/// A top-level element.
#[derive(Debug, Default)]
pub struct Part {
    /// Its offset in the file.
    pub at: u64,
    /// All its bytes.
    pub bytes: Vec<u8>,
    /// Where its data begin.
    start: usize,
}

impl Part {
    pub fn data(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The places of the data of the elements along this path of ids.
    pub fn places(&self, path: &[u32]) -> Vec<Range<usize>> {
        let found = nested(self.data(), path).into_iter();
        found.map(|element| place(&self.bytes, element.data)).collect()
    }
}

/// A packet of a track, with times in units of the file.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// The number of its track.
    pub track: u64,
    /// The time of its cluster.
    pub cluster: i64,
    pub time: i64,
}

/// An open file and the start of the data of its segment.
pub struct Segment {
    pub file: File,
    /// Offset of the data of the segment.
    pub data: u64,
    /// Offset of their end; `None` if the file was written as a stream.
    pub end: Option<u64>,
}

impl Segment {
    /// The segment of a file; fails if there is none.
    pub fn open(file: File) -> Result<Self> {
        let mut at = 0;
        loop {
            let (id, data, size) = head(&file, at)?;
            if id == SEGMENT {
                return Ok(Self { file, data, end: size.map(|size| data + size) });
            }
            ensure!(at < 1 << 16, "not a Matroska file");
            at = data + size.context("not a Matroska file")?;
        }
    }

    /// The offset of the first top-level element `id` before the first cluster.
    fn position(&self, id: u32) -> Option<u64> {
        let mut at = self.data;
        loop {
            let (found, data, size) = head(&self.file, at).ok()?;
            match found {
                _ if found == id => return Some(at),
                CLUSTER => return None,
                _ => at = data.checked_add(size?)?,
            }
        }
    }

    /// The packets in the clusters.
    pub fn packets(&mut self) -> impl Iterator<Item = Packet> {
        // Each call of the system takes time, above all in a network.
        let mut file = BufReader::new(&self.file);
        let begun = file.seek(SeekFrom::Start(self.data)).ok();
        let mut cluster = 0;
        std::iter::from_fn(move || {
            begun?;
            loop {
                let (id, data) = next(&mut file)?;
                match id {
                    TIMESTAMP => cluster = i64::try_from(big_endian(&data)).unwrap_or(i64::MAX),
                    SIMPLE_BLOCK | BLOCK => {
                        let (track, length) = vint(&data, false)?;
                        let relative = i16::from_be_bytes(*data.get(length..)?.first_chunk()?);
                        let time = cluster.saturating_add(relative.into());
                        return Some(Packet { track, cluster, time });
                    }
                    _ => {}
                }
            }
        })
    }

    /// The number of clusters with a wrong checksum (RFC 8794, section 11.3.1). Ends at the first cluster without one.
    /// Calls `progress` after each part that is read.
    pub fn damaged_clusters(&mut self, mut progress: impl FnMut()) -> u64 {
        let (mut at, mut damaged) = (self.data, 0);
        while let Ok((id, data, Some(size))) = head(&self.file, at) {
            at = data.saturating_add(size);
            if id != CLUSTER {
                continue;
            }
            match self.checksums(data, size, &mut progress) {
                Some((said, found)) => damaged += u64::from(said != found),
                None => break,
            }
        }
        damaged
    }

    /// The checksum at the start of the data of an element, and the one computed from the rest; `None` if there is none
    /// or the file is truncated. Calls `progress` after each part that is read.
    fn checksums(
        &mut self,
        data: u64,
        size: u64,
        progress: &mut impl FnMut(),
    ) -> Option<(u32, u32)> {
        const LENGTH: u64 = 6;
        let (CRC_32, _, Some(4)) = head(&self.file, data).ok()? else { return None };
        let said = u32::from_le_bytes(read_at(&self.file, data + LENGTH - 4).ok()?);
        let mut rest =
            BufReader::with_capacity(1 << 20, &self.file).take(size.checked_sub(LENGTH)?);
        let mut found = crc32fast::Hasher::new();
        while let Some(bytes) = rest.fill_buf().ok().filter(|bytes| !bytes.is_empty()) {
            found.update(bytes);
            let length = bytes.len();
            rest.consume(length);
            progress();
        }
        // A truncated cluster does not count as damaged.
        (rest.limit() == 0).then(|| (said, found.finalize()))
    }

    /// The top-level element `id`, found before the first cluster or by the index there; fails if it is damaged.
    pub fn read(&mut self, id: u32) -> Result<Option<Part>> {
        self.find(id)?.map(|at| self.read_at(id, at)).transpose()
    }

    /// The offset of the top-level element `id`, found in the same way.
    fn find(&mut self, id: u32) -> Result<Option<u64>> {
        if let Some(at) = self.position(id) {
            return Ok(Some(at));
        }
        if id == SEEK_HEAD {
            return Ok(None);
        }
        let Some(index) = self.read(SEEK_HEAD)? else { return Ok(None) };
        let position = seek(&index, id).and_then(|seek| seek.field(SEEK_POSITION));
        Ok(position.and_then(|position| position.checked_add(self.data)))
    }

    /// The names of the attached files, which are not read; none if the attachments cannot be read.
    pub fn attached(&mut self) -> Option<Vec<String>> {
        let at = self.find(ATTACHMENTS).ok()??;
        let (ATTACHMENTS, data, Some(size)) = head(&self.file, at).ok()? else { return None };
        let length = self.file.metadata().ok()?.len();
        (size < LARGEST && data.checked_add(size)? <= length).then_some(())?;
        let files = heads(&self.file, data, size).filter(|(id, ..)| *id == ATTACHED_FILE);
        let name = |(_, data, size)| {
            let mut parts = heads(&self.file, data, size);
            let (_, at, size) = parts.find(|(id, ..)| *id == FILE_NAME)?;
            let mut name = Vec::new();
            (&self.file).seek(SeekFrom::Start(at)).ok()?;
            (&self.file).take(size).read_to_end(&mut name).ok()?;
            Some(String::from_utf8_lossy(&name).into_owned())
        };
        Some(files.map(|file| name(file).unwrap_or_default()).collect())
    }

    /// The element at offset `at`, which must be `id`.
    fn read_at(&mut self, id: u32, at: u64) -> Result<Part> {
        let (found, data, size) = head(&self.file, at)?;
        let size = size.context("an element of unknown size")?;
        ensure!(found == id && size < LARGEST, "a damaged index, or an element of {size} bytes");
        let start = (data - at) as usize;
        let mut bytes = vec![0; start + size as usize];
        self.file.seek(SeekFrom::Start(at))?;
        self.file.read_exact(&mut bytes)?;
        Ok(Part { at, bytes, start })
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
        let index = self.read(SEEK_HEAD)?.context("no index")?;
        let entry = seek(&index, old).context("no entry in the index")?;
        let [name, position] = [SEEK_ID, SEEK_POSITION].map(|id| entry.child(id));
        let position = position.filter(|position| position.data.len() == 8);
        let (name, position) = name.zip(position).context("a short entry in the index")?;
        let offset = |field: Element<'_>| index.at + place(&index.bytes, field.data).start as u64;
        self.write(offset(name), &id.to_be_bytes())?;
        self.write(offset(position), &(at - self.data).to_be_bytes())
    }
}

/// The entry for the element `id` in the `index`.
fn seek(index: &Part, id: u32) -> Option<Element<'_>> {
    let mut entries = nested(index.data(), &[SEEK]).into_iter();
    entries.find(|entry| entry.field(SEEK_ID) == Some(id.into()))
}

/// The id of the element at offset `at`, the offset of its data, and their size if it is known.
fn head(mut file: &File, at: u64) -> Result<(u32, u64, Option<u64>)> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    file.take(12).read_to_end(&mut bytes)?;
    let (id, size, length) = start(&bytes).context("no element")?;
    Ok((id, at + length as u64, size))
}

/// The elements in `size` bytes of data at offset `data`: the id of each, and the offset and size of its data.
fn heads(file: &File, data: u64, size: u64) -> impl Iterator<Item = (u32, u64, u64)> {
    let (mut at, end) = (data, data.saturating_add(size));
    std::iter::from_fn(move || {
        let (id, data, size) = head(file, at).ok().filter(|_| at < end)?;
        let size = size.filter(|size| data.saturating_add(*size) <= end)?;
        at = data + size;
        Some((id, data, size))
    })
}

/// The id of the next element and the start of its data. Moves to the end of the element, or into it if it may have
/// blocks.
fn next(file: &mut BufReader<&File>) -> Option<(u32, Vec<u8>)> {
    let mut bytes = Vec::new();
    file.by_ref().take(24).read_to_end(&mut bytes).ok()?;
    let (id, size, data) = start(&bytes)?;
    let end = match id {
        CLUSTER | BLOCK_GROUP => data as u64,
        _ => size?.checked_add(data as u64)?,
    };
    file.seek_relative(i64::try_from(end).ok()? - bytes.len() as i64).ok()?;
    bytes.truncate(usize::try_from(end).ok()?);
    bytes.drain(..data);
    Some((id, bytes))
}

/// A notice about wrong checksums in `file`, if there are any. Reads all of it, and calls `progress` meanwhile.
pub fn damage(file: &Path, progress: impl FnMut()) -> Option<String> {
    let clusters = Segment::open(File::open(file).ok()?).ok()?.damaged_clusters(progress);
    let (s, have) = if clusters == 1 { ("", "has") } else { ("s", "have") };
    (clusters > 0).then(|| {
        format!("is damaged: {clusters} cluster{s} of its data {have} a wrong checksum, so picture or sound may be wrong")
    })
}

#[cfg(test)]
mod tests {
    use super::{super::ebml::wrapped, *};

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

    #[test]
    fn names_of_attached_files_are_read_without_their_data() {
        let file = |name: &str| {
            let parts = [wrapped(FILE_NAME, name.as_bytes()), wrapped(0x465C, &[7; 99])].concat();
            wrapped(ATTACHED_FILE, &parts)
        };
        let attachments = wrapped(ATTACHMENTS, &[file("a.ttf"), file("b.ttf")].concat());
        let attached = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            Segment::open(file).unwrap().attached()
        };
        let whole = wrapped(SEGMENT, &attachments);
        assert_eq!(attached(&whole).unwrap(), ["a.ttf", "b.ttf"]);
        assert_eq!(attached(&whole[..whole.len() - 1]), None);
    }

    /// A large file on slow storage takes longer than a silent worker may.
    #[test]
    fn checksums_report_progress() {
        let data = vec![7; 5 << 20];
        let checksum = crc32fast::hash(&data).to_le_bytes();
        let cluster = wrapped(CLUSTER, &[&[0xBF, 0x84][..], &checksum, &data].concat());
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&wrapped(SEGMENT, &cluster.repeat(2))).unwrap();
        let mut calls = 0;
        assert_eq!(Segment::open(file).unwrap().damaged_clusters(|| calls += 1), 0);
        assert_eq!(calls, 10);
    }

    /// Its length would overflow, and it would be read again and again.
    #[test]
    fn an_element_of_more_than_eight_bytes_of_length_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"\x80\x00\xff\xff\xff\xff\xff\xff\xff\xf6").unwrap();
        assert!(Segment::open(file).is_err());
    }
}
