// SPDX-License-Identifier: MIT OR Apache-2.0

//! What `tsdemux` does not report about MPEG transport streams (ISO/IEC 13818-1): the number of programs, the streams
//! of the first program that it does not support, how often the clock of that program comes, and whether it is encrypted.

mod packet;
mod section;

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use self::{
    packet::{Packet, packets},
    section::{ASSOCIATION, MAP, Section, sections},
};
use super::bytes::Reader;

/// The type of private streams such as KLV, which only their descriptors distinguish.
pub const PRIVATE_DATA: u8 = 0x06;
/// The unit of the clock.
const TICKS_PER_SECOND: u64 = 90_000;
/// The longest time between two values of the clock that `tsdemux` of GStreamer 1.22 does not take for a jump. The
/// standard allows 0.1 s.
const LONGEST_STEP: u64 = TICKS_PER_SECOND / 2;
/// Longer steps are jumps.
const JUMP: u64 = 20 * TICKS_PER_SECOND;

/// How much of a file is read at first, and at most if values of the clock or the first packets of streams are missing.
const HEAD: u64 = 1 << 20;
const LIMIT: u64 = 64 << 20;
/// How many values of the clock show whether it is rare.
const ENOUGH: usize = 4;
/// Types of streams that have sections instead of PES packets.
const TABLES: [u8; 8] = [0x05, 0x0A, 0x0B, 0x0C, 0x0D, 0x13, 0x14, 0x16];
/// The type of splice information (SCTE 35) in a program with this registration descriptor. Elsewhere it is DTS-HD.
const SPLICE: u8 = 0x86;
const CUES: [u8; 6] = *b"\x05\x04CUEI";

#[derive(Debug, Default)]
pub struct Programs {
    /// How many programs have a map.
    pub count: usize,
    /// The streams of the program whose map comes first, which is the one that `tsdemux` outputs.
    pub streams: Vec<Stream>,
    /// Whether most packets of these streams are encrypted.
    pub is_scrambled: bool,
    /// Whether data of an earlier time come before the first value of the clock. `tsdemux` gives them no timestamps.
    pub has_late_clock: bool,
    /// Values of the clock of that program.
    times: Vec<u64>,
}

/// A stream of PES packets.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// The identifier of its packets.
    pub id: u16,
    /// Its type.
    pub kind: u8,
    /// Whether it has packets.
    pub has_data: bool,
}

/// A readable name of a stream type.
pub fn name(stream_type: u8) -> String {
    let name = match stream_type {
        0x33 => "H.266",
        0x80 => "LPCM",
        0x82 => "DTS",
        0x83 => "TrueHD",
        0x84 | 0x87 | 0xA1 => "E-AC-3",
        0x85 | 0x86 | 0xA2 => "DTS-HD",
        0x90 => "PGS subtitles",
        0x91 => "menus",
        0x92 => "text subtitles",
        _ => return format!("data of the type 0x{stream_type:02x}"),
    };
    name.to_owned()
}

impl Programs {
    /// The programs of `file`. Reads as much as shows how often the clock comes, and whether the streams that are not
    /// `known` have packets.
    pub fn read(file: &Path, known: impl Fn(&Stream) -> bool) -> io::Result<Self> {
        let mut file = File::open(file)?;
        let (mut bytes, mut length) = (Vec::new(), HEAD);
        loop {
            (&mut file).take(length - bytes.len() as u64).read_to_end(&mut bytes)?;
            let programs = Self::of(&bytes);
            let is_whole = (bytes.len() as u64) < length || length >= LIMIT;
            let has_data = |stream: &Stream| stream.has_data || known(stream);
            let is_clear = programs.times.len() >= ENOUGH && programs.streams.iter().all(has_data);
            if is_whole || is_clear {
                return Ok(programs);
            }
            length *= 8;
        }
    }

    /// The programs in the first tables of a file that starts with `head`.
    pub fn of(head: &[u8]) -> Self {
        let packets: Vec<_> = packets(head).collect();
        let tables = sections(&packets, &[0]);
        let Some(table) = tables.iter().find(|section| section.table() == ASSOCIATION) else {
            return Self::default();
        };
        let packets = &packets[table.end..];
        let programs = programs(table);
        let ids: Vec<_> = programs.iter().map(|(_, id)| *id).collect();
        let mut maps = sections(packets, &ids);
        maps.retain(|map| map.table() == MAP && programs.contains(&(map.program(), map.id)));
        let is_mapped = |(number, _): &&(u64, _)| maps.iter().any(|map| map.program() == *number);
        let count = programs.iter().filter(is_mapped).count();
        let map = maps.first().and_then(|map| streams(map.content()));
        let (clock_id, mut streams) = map.unwrap_or_default();
        for stream in &mut streams {
            let mut own = packets.iter().filter(|packet| packet.id() == stream.id);
            stream.has_data = own.any(|packet| packet.starts_data());
        }
        let clock = |packet: &Packet| packet.clock().filter(|_| packet.id() == clock_id);
        let times: Vec<_> = packets.iter().filter_map(clock).collect();
        // Teletext may be late.
        let is_timed = |packet: &&Packet| {
            let own = |stream: &Stream| stream.id == packet.id() && stream.kind != PRIVATE_DATA;
            streams.iter().any(own)
        };
        let before = packets.iter().take_while(|packet| clock(packet).is_none()).filter(is_timed);
        let mut before = before.filter_map(|packet| packet.time());
        let has_late_clock =
            times.first().is_some_and(|&clock| before.any(|t| is_before(t, clock)));
        let is_scrambled = is_scrambled(packets, &streams);
        Self { count, is_scrambled, has_late_clock, streams, times }
    }

    /// Whether `tsdemux` takes most values of the clock for jumps, because they are rare.
    pub fn has_rare_clock(&self) -> bool {
        let steps = self.times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
        let late = steps.filter(|step| (LONGEST_STEP + 1..JUMP).contains(step)).count();
        late > 1 && 2 * late > self.times.len()
    }
}

/// Whether `time` is before `clock`; both start again after 2^33.
fn is_before(time: u64, clock: u64) -> bool {
    (1..1 << 32).contains(&(clock.wrapping_sub(time) & ((1 << 33) - 1)))
}

/// The numbers of programs and the identifiers of their maps in the table of programs.
fn programs(table: &Section) -> Vec<(u64, u16)> {
    let mut entries = Reader(table.content());
    let next = || Some((entries.big(2)?, id(&mut entries)?));
    // 0 is the network information.
    std::iter::from_fn(next).filter(|(number, _)| *number != 0).collect()
}

/// The next packet identifier in a table.
fn id(table: &mut Reader<'_>) -> Option<u16> {
    table.big(2).map(|id| (id & 0x1FFF) as u16)
}

/// The next descriptors in a table, after their length.
fn descriptors<'a>(table: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = table.big(2)? & 0xFFF;
    table.take(length)
}

/// The identifier of the packets with the clock and the streams in the map of a program.
fn streams(map: &[u8]) -> Option<(u16, Vec<Stream>)> {
    let mut rest = Reader(map);
    let clock_id = id(&mut rest)?;
    descriptors(&mut rest)?;
    let has_cues = map.windows(CUES.len()).any(|descriptor| descriptor == CUES);
    let next = || {
        let (kind, id) = (rest.big(1)? as u8, id(&mut rest)?);
        descriptors(&mut rest)?;
        Some(Stream { id, kind, has_data: false })
    };
    let is_table =
        |stream: &Stream| TABLES.contains(&stream.kind) || (stream.kind == SPLICE && has_cues);
    let streams = std::iter::from_fn(next).filter(|stream| !is_table(stream)).collect();
    Some((clock_id, streams))
}

/// Whether most of the `packets` of these streams are encrypted.
fn is_scrambled(packets: &[Packet<'_>], streams: &[Stream]) -> bool {
    let own = packets.iter().filter(|packet| streams.iter().any(|stream| stream.id == packet.id()));
    let (scrambled, all) =
        own.fold((0, 0), |(some, all), packet| (some + u32::from(packet.is_scrambled()), all + 1));
    2 * scrambled > all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The packets with a section.
    fn packets(id: u16, table: u8, program: u16, content: &[u8]) -> Vec<u8> {
        let length = 5 + content.len() as u16 + 4;
        let start = [&[0, table][..], &(0xB000 | length).to_be_bytes(), &program.to_be_bytes()];
        let section = [&start.concat()[..], &[0xC1, 0, 0], content, &[0; 4]].concat();
        let packet = |(number, part): (usize, &[u8])| {
            let start = if number == 0 { 0x4000 } else { 0 };
            let mut packet = [&[0x47][..], &(start | id).to_be_bytes(), &[0x10], part].concat();
            packet.resize(188, 0xFF);
            packet
        };
        section.chunks(184).enumerate().flat_map(packet).collect()
    }

    /// A packet with the start of a PES packet.
    fn data(id: u16) -> Vec<u8> {
        let start = (0x4000 | id).to_be_bytes();
        [&[0x47][..], &start, &[0x10, 0, 0, 1], &[0xE0; 181]].concat()
    }

    /// A list of programs, from 1 on, with their maps in these packets.
    fn list(ids: &[u16]) -> Vec<u8> {
        let entry = |(number, id): (u16, &u16)| [number.to_be_bytes(), id.to_be_bytes()].concat();
        packets(0, 0, 1, &(1..).zip(ids).flat_map(entry).collect::<Vec<_>>())
    }

    /// A map of streams of these types, with identifiers from 0x200 on and `descriptor`.
    fn map(id: u16, program: u16, kinds: &[u8], descriptor: &[u8]) -> Vec<u8> {
        let entry = |(id, kind): (u16, &u8)| {
            let length = descriptor.len() as u16;
            [&[*kind][..], &id.to_be_bytes(), &length.to_be_bytes(), descriptor].concat()
        };
        let streams = (0x200..).zip(kinds).flat_map(entry);
        packets(id, 2, program, &[2, 0, 0, 0].into_iter().chain(streams).collect::<Vec<_>>())
    }

    #[test]
    fn times_are_compared_across_the_end_of_the_clock() {
        let last = (1 << 33) - 1;
        let found = [(5, 6), (6, 6), (7, 6), (last, 3), (3, last)].map(|(t, c)| is_before(t, c));
        assert_eq!(found, [true, false, false, true, false]);
    }

    fn kinds(programs: &Programs) -> Vec<u8> {
        programs.streams.iter().map(|stream| stream.kind).collect()
    }

    #[test]
    fn a_map_may_be_longer_than_a_packet() {
        let types = [&[0x1B][..], &[0x81; 30], &[0x82]].concat();
        let head = [list(&[0x100]), map(0x100, 1, &types, b"\x0A\x04eng\0"), data(0x200)].concat();
        let programs = Programs::of(&head);
        assert_eq!(kinds(&programs), types);
        let with_data: Vec<_> = programs.streams.iter().filter(|own| own.has_data).collect();
        assert_eq!(with_data.iter().map(|own| own.id).collect::<Vec<_>>(), [0x200]);
    }

    #[test]
    fn the_first_map_that_comes_is_that_of_the_program() {
        let list = list(&[0x100, 0x101, 0x102]);
        let maps = [map(0x101, 2, &[0x02], b""), map(0x100, 1, &[0x1B], b"")].concat();
        // A map before the list is not of a known program.
        let programs = Programs::of(&[&map(0x100, 1, &[0x1B], b"")[..], &list, &maps].concat());
        assert_eq!((programs.count, kinds(&programs)), (2, vec![0x02]));
    }

    #[test]
    fn streams_of_tables_are_left_out() {
        let streams_with = |descriptor: &[u8]| {
            let map = map(0x100, 1, &[0x1B, 0x05, 0x86], descriptor);
            kinds(&Programs::of(&[list(&[0x100]), map, data(0x200)].concat()))
        };
        assert_eq!(streams_with(b""), [0x1B, 0x86]);
        assert_eq!(streams_with(b"\x05\x04CUEI"), [0x1B]);
    }
}
