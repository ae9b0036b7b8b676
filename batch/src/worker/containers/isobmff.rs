// SPDX-License-Identifier: MIT OR Apache-2.0

//! Parts of MP4 and QuickTime files that `qtdemux` ignores (ISO/IEC 14496-12; QuickTime File Format).

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    ops::Range,
    path::Path,
};

use anyhow::{Context, Result, ensure};

use super::{
    chapters::Chapter,
    flags::{Flags, ROLES},
    timecode::TimeCode,
    timed_text::has_styles,
};

/// Largest size of an index in bytes.
const LARGEST_INDEX: u64 = 1 << 30;

/// The boxes in `data`, as type and content.
pub fn boxes(data: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let size = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize;
        let (kind, all) = (rest.get(4..8)?, rest.get(..size)?);
        let inside = all.get(8..)?;
        rest = &rest[size..];
        Some((kind, inside))
    })
}

/// The tracks in an index.
pub fn tracks(moov: &[u8]) -> impl Iterator<Item = &[u8]> {
    boxes(moov).filter(|(kind, _)| *kind == b"trak").map(|(_, track)| track)
}

/// The id in a track.
pub fn track_id(track: &[u8]) -> Option<u32> {
    let header = find(track, &[b"tkhd"])?;
    header.get(behind_times(header)..)?.get(..4).and_then(number)
}

/// The boxes in a `meta`. In MP4, it starts with version and flags.
pub fn plain(meta: &[u8]) -> &[u8] {
    match find(meta, &[b"hdlr"]) {
        Some(_) => meta,
        None => meta.get(4..).unwrap_or_default(),
    }
}

/// The content of the box at `path`, a list of nested boxes.
pub fn find<'a>(data: &'a [u8], path: &[&[u8]]) -> Option<&'a [u8]> {
    path.iter().try_fold(data, |data, name| {
        boxes(data).find(|(kind, _)| kind == name).map(|(_, inside)| inside)
    })
}

/// A box of this type and content.
pub fn boxed(kind: &[u8], content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32 + 8).to_be_bytes(), kind, content].concat()
}

/// The range of `part`, a part of `whole`.
pub fn place(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

/// A top-level box of a file: its type, and the offsets of its content and its end.
struct TopBox {
    kind: [u8; 4],
    content: u64,
    end: u64,
}

/// The top-level boxes of a file.
fn top_boxes(file: &Path) -> Result<impl Iterator<Item = TopBox>> {
    let mut file = File::open(file)?;
    let (length, mut at) = (file.metadata()?.len(), 0);
    Ok(std::iter::from_fn(move || {
        file.seek(SeekFrom::Start(at)).ok()?;
        let mut head = [0; 16];
        file.read_exact(&mut head[..8]).ok()?;
        let kind = [head[4], head[5], head[6], head[7]];
        let (size, content) = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            // It extends to the end of the file.
            0 => (length - at, at + 8),
            1 => {
                file.read_exact(&mut head[8..]).ok()?;
                (head[8..].iter().fold(0, |size, &byte| size << 8 | u64::from(byte)), at + 16)
            }
            size => (size.into(), at + 8),
        };
        at = at.checked_add(size).filter(|end| *end >= content)?;
        Some(TopBox { kind, content, end: at })
    }))
}

/// The index of a file.
pub struct Index {
    /// Offset of the content of `moov` in the file.
    pub start: u64,
    /// That content.
    pub moov: Vec<u8>,
}

impl Index {
    /// Whether it describes a track, or is compressed and cannot tell.
    pub fn has_track(&self) -> bool {
        [b"trak", b"cmov"].iter().any(|kind| find(&self.moov, &[*kind]).is_some())
    }

    /// Whether it only refers to other movies.
    pub fn is_reference(&self) -> bool {
        find(&self.moov, &[b"rmra"]).is_some()
    }

    /// Whether the data of a track are in another file: a flag of its data reference tells if they are in this one.
    pub fn is_elsewhere(&self) -> bool {
        tracks(&self.moov).any(|track| {
            let list = find(track, &[b"mdia", b"minf", b"dinf", b"dref"]).unwrap_or_default();
            let mut references = boxes(list.get(8..).unwrap_or_default());
            references.any(|(_, reference)| reference.get(3).is_some_and(|flags| flags & 1 == 0))
        })
    }
}

/// Reads the index of a file; fails if it has none.
pub fn index(file: &Path) -> Result<Index> {
    let moov = top_boxes(file)?.find(|found| &found.kind == b"moov").context("no index")?;
    let size = moov.end - moov.content;
    ensure!(size <= LARGEST_INDEX, "an index of {size} bytes");
    let mut content = vec![0; size as usize];
    let mut file = File::open(file)?;
    file.seek(SeekFrom::Start(moov.content))?;
    file.read_exact(&mut content)?;
    Ok(Index { start: moov.content, moov: content })
}

/// The length that a file would have with its last box complete. Data at the end that are not a box, as some programs
/// write, do not count.
pub fn whole_length(file: &Path) -> Option<u64> {
    let is_box = |found: &TopBox| found.kind.iter().all(|byte| matches!(byte, b' '..=b'~' | 0xA9));
    top_boxes(file).ok()?.take_while(is_box).last().map(|last| last.end)
}

/// The start of a file: for most, the size of `ftyp`, that type, and the brand.
fn head(file: &Path) -> Option<[u8; 12]> {
    let mut head = [0; 12];
    File::open(file).ok()?.read_exact(&mut head).ok()?;
    Some(head)
}

/// Whether a file is an AVIF or HEIF image.
pub fn is_picture(file: &Path) -> bool {
    let brands = [b"avif", b"mif1", b"heic", b"heix"];
    let is_brand = |head: [u8; 12]| brands.iter().any(|brand| head[8..] == brand[..]);
    head(file).is_some_and(|head| &head[4..8] == b"ftyp" && is_brand(head))
}

/// Whether a file starts like MP4 and QuickTime files.
pub fn is_isobmff(file: &Path) -> bool {
    head(file).is_some_and(|head| &head[4..8] == b"ftyp")
}

/// Whether a file has the brand of QuickTime, or none.
pub fn is_quicktime(file: &Path) -> bool {
    head(file).is_some_and(|head| &head[4..8] != b"ftyp" || &head[8..] == b"qt  ")
}

/// Information of an index that `qtdemux` does not provide.
#[derive(Debug, Default)]
pub struct Details {
    pub tracks: Vec<TrackDetails>,
    /// The ids of the text tracks that are chapters: another track refers to them as `chap`.
    pub chapter_tracks: Vec<u32>,
    /// The chapters in Nero's list, `chpl`.
    pub chapters: Vec<Chapter>,
    /// The location in ISO 6709.
    pub location: Option<String>,
    /// The time code of the first frame.
    pub timecode: Option<TimeCode>,
    /// How many units of the presentation a second has.
    pub scale: u32,
}

/// Information about a track.
#[derive(Debug)]
pub struct TrackDetails {
    pub id: u32,
    /// The type of its handler, such as `vide`, and the code of its codec.
    pub kind: String,
    pub codec: String,
    /// Its duration in units of the presentation; `None` if it is unknown, as in a fragmented file.
    pub duration: Option<u32>,
    pub flags: Flags,
    /// Its name, unless it is a generic one that programs write.
    pub name: Option<String>,
    /// How to mirror it, as a method of `videoflip`. `qtdemux` of GStreamer 1.22 only reports rotation.
    pub mirrored: Option<&'static str>,
    /// Whether its raw audio is little-endian (`enda`).
    pub is_little_endian: bool,
    /// What `qtdemux` ignores of how it is shown.
    pub ignored: Vec<String>,
    /// Whether its texts have styles, which `qtdemux` leaves out.
    pub has_styles: bool,
}

impl TrackDetails {
    /// Those in `track`, a `trak` of `file` with this header and these descriptions of samples.
    fn read(file: &Path, track: &[u8], header: &[u8], samples: &[u8]) -> Option<Self> {
        let has_flag = display_flags(samples).is_some_and(|flags| flags[0] & FORCED != 0);
        // The matrix is followed by width and height.
        let matrix = header.last_chunk::<44>().map(|end| end.as_chunks::<4>().0);
        Some(Self {
            id: track_id(track)?,
            kind: code(handler(track)),
            codec: code(samples.get(12..16)),
            duration: duration(header),
            flags: Flags {
                default: header.get(3).is_none_or(|flags| flags & 1 != 0),
                forced: has_flag || has_role(track, FORCED_ROLE),
                roles: ROLES.map(|(_, role)| has_role(track, role)),
            },
            name: name(track),
            mirrored: matrix.and_then(mirrored),
            is_little_endian: samples.windows(6).any(|bytes| bytes == b"enda\0\x01"),
            ignored: ignored(track, samples, matrix.unwrap_or_default()),
            has_styles: samples.get(12..16) == Some(b"tx3g")
                && find(track, &[b"mdia", b"minf", b"stbl"])
                    .is_some_and(|tables| has_styles(file, tables)),
        })
    }
}

/// The details in the index `moov` of `file`.
pub fn details(file: &Path, moov: &[u8]) -> Details {
    let mut details = Details::default();
    for track in tracks(moov) {
        let Some(header) = find(track, &[b"tkhd"]) else { continue };
        let samples = find(track, &[b"mdia", b"minf", b"stbl", b"stsd"]).unwrap_or_default();
        details.tracks.extend(TrackDetails::read(file, track, header, samples));
        if samples.get(12..16) == Some(b"tmcd") {
            details.timecode = details.timecode.or(timecode(file, track));
        }
        // Each kind of reference may have its own box.
        let references = boxes(track).filter(|(kind, _)| *kind == b"tref");
        let chapters = references.filter_map(|(_, references)| find(references, &[b"chap"]));
        let ids = chapters.flat_map(|chapters| chapters.as_chunks::<4>().0);
        details.chapter_tracks.extend(ids.filter_map(|id| number(id)));
    }
    if let Some(list) = find(moov, &[b"udta", b"chpl"]) {
        details.chapters = nero(list);
    }
    details.location = location(moov);
    let header = find(moov, &[b"mvhd"]);
    let scale = header.and_then(|header| number(header.get(behind_times(header)..)?.get(..4)?));
    details.scale = scale.unwrap_or(0);
    details
}

/// That some or all subtitles of a track always play, in the first byte of the display flags of 3GPP timed text.
pub const FORCED: u8 = 0xC0;

/// The display flags of subtitles, from the description of their samples.
pub fn display_flags(samples: &[u8]) -> Option<&[u8]> {
    // After six zeros and a reference.
    samples.get(24..28).filter(|_| samples[12..16] == *b"tx3g")
}

/// Parts of generic names, such as `SoundHandler`, `Core Media Video` and `GoPro AVC`, in lower case.
const USUAL_NAMES: [&str; 7] = ["handle", "media", "gopro", "avc", "aac", "alias", "mdir"];

/// The name of a track, or else of its handler.
fn name(track: &[u8]) -> Option<String> {
    // It follows the version, flags and five numbers; QuickTime writes its length first.
    let handler = find(track, &[b"mdia", b"hdlr"]).and_then(|handler| handler.get(24..));
    let own = find(track, &[b"udta", b"name"]);
    let name = String::from_utf8_lossy(own.or(handler)?).into_owned();
    let name = name.trim_matches(|c: char| c.is_control() || c.is_whitespace());
    let lower = name.to_lowercase();
    let is_usual = USUAL_NAMES.iter().any(|usual| lower.contains(usual))
        || ["", "video", "audio", "sound", "subtitle", "text", "stereo", "mono"].contains(&&*lower);
    (!is_usual).then(|| name.to_owned())
}

/// The scheme of the roles of tracks, as ffmpeg writes it.
pub const ROLE_SCHEME: &[u8] = b"urn:mpeg:dash:role:2011\0";
/// The role of forced subtitles.
pub const FORCED_ROLE: &[u8] = b"forced-subtitle";

/// Whether a track has this role (ISO/IEC 14496-12, section 8.10.4).
fn has_role(track: &[u8], role: &[u8]) -> bool {
    let mut all = boxes(find(track, &[b"udta"]).unwrap_or_default());
    all.any(|(kind, content)| {
        // After the version and flags.
        let scheme = content.get(4..).and_then(|content| content.strip_prefix(ROLE_SCHEME));
        kind == b"kind" && scheme.is_some_and(|value| value.strip_suffix(b"\0") == Some(role))
    })
}

/// The method of `videoflip` for a matrix that mirrors, given as rows of three.
fn mirrored(matrix: &[[u8; 4]]) -> Option<&'static str> {
    let sign = |i: usize| i32::from_be_bytes(matrix[i]).signum();
    match [0, 1, 3, 4].map(sign) {
        [-1, 0, 0, 1] => Some("horiz"),
        [1, 0, 0, -1] => Some("vert"),
        [0, 1, 1, 0] => Some("ul-lr"),
        [0, -1, -1, 0] => Some("ur-ll"),
        _ => None,
    }
}

/// The type of the handler of a track.
pub fn handler(track: &[u8]) -> Option<&[u8]> {
    find(track, &[b"mdia", b"hdlr"])?.get(8..12)
}

/// A four-character code as text.
pub fn code(code: Option<&[u8]>) -> String {
    String::from_utf8_lossy(code.unwrap_or_default()).trim().to_owned()
}

/// The duration in the header of a track, if it is known and has 32 bits.
fn duration(header: &[u8]) -> Option<u32> {
    // Four zeros are between the number of the track and its duration.
    let at = behind_times(header) + 8;
    let duration = number(header.get(at..at + 4)?)?;
    let is_short = header[0] == 0;
    Some(duration).filter(|&duration| is_short && duration > 0 && duration < u32::MAX)
}

/// The size of the description of a video before its boxes.
const VIDEO_ENTRY: usize = 86;
/// The identifier of the description of spherical video, version 1.
const SPHERICAL: [u8; 16] = [
    0xFF, 0xCC, 0x82, 0x63, 0xF8, 0x55, 0x4A, 0x93, 0x88, 0x14, 0x58, 0x7A, 0x02, 0x52, 0x1F, 0xDD,
];

/// What `qtdemux` ignores of how a video is shown that has these descriptions of samples and this matrix.
fn ignored(track: &[u8], samples: &[u8], matrix: &[[u8; 4]]) -> Vec<String> {
    if handler(track) != Some(b"vide") {
        return Vec::new();
    }
    let mut ignored = Vec::new();
    let entry = samples.get(8..).unwrap_or_default();
    let inside = entry.get(VIDEO_ENTRY..).unwrap_or_default();
    let size = |at: usize| Some(u32::from(u16::from_be_bytes(*entry.get(at..)?.first_chunk()?)));
    // Width and height, each as a fraction (ISO/IEC 14496-12, section 12.1.4).
    let part = |clap: &[u8], at: usize| {
        let field = |at: usize| clap.get(at..at + 4).and_then(number);
        field(at)?.checked_div(field(at + 4)?)
    };
    if let Some(clap) = find(inside, &[b"clap"])
        && let (Some(width), Some(height)) = (part(clap, 0), part(clap, 8))
        && (Some(width), Some(height)) != (size(32), size(34))
    {
        ignored.push(cropped(width.into(), height.into()));
    }
    let mut of_track = boxes(track).filter(|(kind, _)| *kind == b"uuid");
    if find(inside, &[b"sv3d"]).is_some() || of_track.any(|(_, id)| id.starts_with(&SPHERICAL)) {
        ignored.push(SPHERE.to_owned());
    }
    if find(inside, &[b"st3d"]).and_then(|mode| mode.get(4)).is_some_and(|mode| *mode != 0) {
        ignored.push("stereo mode (3D)".to_owned());
    }
    let mut of_dolby = DOLBY_VISION.iter().filter_map(|kind| find(inside, &[&kind[..]]));
    ignored.extend(of_dolby.next().map(|record| dolby_vision(record).to_owned()));
    let is_zero = |i: usize| matrix.get(i).is_none_or(|number| *number == [0; 4]);
    if ![[0, 4], [1, 3]].iter().any(|pair| pair.iter().all(|&i| is_zero(i))) {
        ignored.push("rotation by another angle than a multiple of 90°".to_owned());
    }
    ignored
}

/// The boxes with the configuration of Dolby Vision, which Matroska has as well.
pub const DOLBY_VISION: [&[u8; 4]; 3] = [b"dvcC", b"dvvC", b"dvwC"];
/// Profile 5 of Dolby Vision, whose colours are those of no other format.
pub const DOLBY_VISION_5: &str = "Dolby Vision of profile 5";

/// What is ignored of a configuration of Dolby Vision: two numbers of its version precede the seven bits of its profile.
pub fn dolby_vision(record: &[u8]) -> &'static str {
    let is_5 = record.get(2).is_some_and(|byte| byte >> 1 == 5);
    if is_5 { DOLBY_VISION_5 } else { "Dolby Vision metadata" }
}

/// A crop that is ignored, to this size.
pub fn cropped(width: u64, height: u64) -> String {
    format!("crop to {width}×{height} pixels")
}

/// A projection that is ignored.
pub const SPHERE: &str = "spherical projection (360° video)";

/// The offset in a full box after its two times of 4 or 8 bytes, as in `mvhd`, `tkhd` and `mdhd`.
pub fn behind_times(content: &[u8]) -> usize {
    if content.first() == Some(&1) { 20 } else { 12 }
}

pub fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// The first time code of a time code track.
fn timecode(file: &Path, track: &[u8]) -> Option<TimeCode> {
    let table = find(track, &[b"mdia", b"minf", b"stbl"])?;
    // The first entry, after its size, type, six zeros, a reference and four zeros.
    let entry = find(table, &[b"stsd"])?.get(8..)?.get(20..)?;
    let field = |i: usize| number(entry.get(4 * i..4 * i + 4)?);
    let position = match find(table, &[b"stco"]) {
        Some(chunks) => u64::from(number(chunks.get(8..12)?)?),
        None => u64::from_be_bytes(find(table, &[b"co64"])?.get(8..16)?.try_into().ok()?),
    };
    let mut file = File::open(file).ok()?;
    file.seek(SeekFrom::Start(position)).ok()?;
    let mut sample = [0; 4];
    file.read_exact(&mut sample).ok()?;
    let (scale, duration) = (field(1)? as i32, field(2)? as i32);
    (scale > 0 && duration > 0).then(|| TimeCode {
        frame: u32::from_be_bytes(sample),
        rate: gst::Fraction::new(scale, duration),
        drops_frames: field(0).is_some_and(|flags| flags & 1 != 0),
    })
}

/// The location, from `©xyz` (Android), `loci` (ffmpeg) or Apple's metadata key.
fn location(moov: &[u8]) -> Option<String> {
    let text = |text: &[u8]| Some(String::from_utf8_lossy(text).into_owned());
    if let Some(own) = find(moov, &[b"udta", b"\xA9xyz"]) {
        // After its length and its language.
        return text(own.get(4..)?);
    }
    if let Some(own) = find(moov, &[b"udta", b"loci"]) {
        // After version, flags, language, name and role: longitude and latitude as 16.16 fixed point.
        let name = own.get(6..)?;
        let place = name.get(name.iter().position(|&byte| byte == 0)? + 2..)?;
        let degrees = |at: usize| Some(f64::from(number(place.get(at..at + 4)?)? as i32) / 65536.0);
        return Some(format!("{:+08.4}{:+09.4}/", degrees(4)?, degrees(0)?));
    }
    let paths: [&[&[u8]]; 2] = [&[b"meta"], &[b"udta", b"meta"]];
    paths.iter().find_map(|path| apple_location(find(moov, path)?))
}

fn apple_location(meta: &[u8]) -> Option<String> {
    let meta = plain(meta);
    let mut keys = boxes(find(meta, &[b"keys"])?.get(8..)?);
    let number = keys.position(|(_, key)| key == b"com.apple.quicktime.location.ISO6709")?;
    let number = (number as u32 + 1).to_be_bytes();
    let text = find(meta, &[b"ilst", &number, b"data"])?.get(8..)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// The unit of times in Nero's list, nanoseconds.
const NERO_UNIT: u64 = 100;

/// The chapters of a list: version and flags, four undocumented bytes, number of chapters; then time, title length and
/// title of each.
fn nero(list: &[u8]) -> Vec<Chapter> {
    let mut rest = list.get(9..).unwrap_or_default();
    let count = list.get(8).copied().unwrap_or(0);
    let next = |_| {
        let (time, after) = rest.split_at_checked(8)?;
        let (&length, after) = after.split_first()?;
        let (title, after) = after.split_at_checked(usize::from(length))?;
        rest = after;
        Some(Chapter {
            start: u64::from_be_bytes(time.try_into().ok()?).saturating_mul(NERO_UNIT),
            title: String::from_utf8_lossy(title).into_owned(),
        })
    };
    (0..count).map_while(next).collect()
}

/// The most chapters that a list can hold.
pub const MOST_CHAPTERS: usize = 255;

/// A list of these chapters; titles are cut to 255 bytes.
pub fn nero_list(chapters: &[Chapter]) -> Vec<u8> {
    let chapters = &chapters[..chapters.len().min(MOST_CHAPTERS)];
    let mut list = vec![1, 0, 0, 0, 0, 0, 0, 0, chapters.len() as u8];
    for Chapter { start, title } in chapters {
        let title = &title[..title.floor_char_boundary(255)];
        list.extend_from_slice(&(start / NERO_UNIT).to_be_bytes());
        list.push(title.len() as u8);
        list.extend_from_slice(title.as_bytes());
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_chapters_is_read_as_written() {
        let chapter = |start, title: &str| Chapter { start, title: title.to_owned() };
        let chapters = vec![
            chapter(0, "One"),
            chapter(1_500_000_000, "Zwei \u{e9}"),
            chapter(9_000_000_000, ""),
        ];
        assert_eq!(nero(&nero_list(&chapters)), chapters);
        let long = nero(&nero_list(&[chapter(0, &"\u{e9}".repeat(200))])).remove(0);
        assert_eq!(long.title, "\u{e9}".repeat(127));
    }

    #[test]
    fn what_is_ignored_of_a_video_is_found() {
        let (handler, size) = ([&[0; 8][..], b"vide"].concat(), [0, 160, 0, 120]);
        let track = boxed(b"mdia", &boxed(b"hdlr", &handler));
        let crop = |width: u32, height: u32| {
            boxed(b"clap", &[width, 1, height, 1, 0, 1, 0, 1].map(u32::to_be_bytes).concat())
        };
        let ignored = |inside: &[u8], matrix: [u32; 5]| {
            let entry = [&[0; 24][..], &size, &[0; 50], inside].concat();
            let samples = [&[0; 8][..], &boxed(b"avc1", &entry)].concat();
            super::ignored(&track, &samples, &matrix.map(u32::to_be_bytes))
        };
        let (one, flipped) = ([1, 0, 0, 0, 1], [0, 1, 0, 1, 0]);
        assert_eq!(ignored(&crop(160, 120), one), [""; 0]);
        assert_eq!(ignored(&crop(120, 90), flipped), ["crop to 120×90 pixels"]);
        assert_eq!(ignored(&boxed(b"sv3d", &[]), one), [SPHERE]);
        assert_eq!(ignored(&boxed(b"st3d", &[0, 0, 0, 0, 2]), one), ["stereo mode (3D)"]);
        assert!(ignored(&[], [1, 1, 0, 1, 1])[0].contains("another angle"));
        assert_eq!(ignored(&boxed(b"dvcC", &[1, 0, 5 << 1]), one), [DOLBY_VISION_5]);
        assert_eq!(ignored(&boxed(b"dvvC", &[1, 0, 8 << 1]), one), ["Dolby Vision metadata"]);
    }

    #[test]
    fn a_compressed_index_may_have_tracks_and_an_empty_one_has_none() {
        let index = |kind: &[u8; 4]| {
            let moov = [8u32.to_be_bytes(), *kind].concat();
            Index { start: 0, moov }.has_track()
        };
        assert!(index(b"trak") && index(b"cmov"));
        assert!(!index(b"udta"));
    }
}
