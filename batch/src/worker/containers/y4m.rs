// SPDX-License-Identifier: MIT OR Apache-2.0

//! y4m on standard input and output. `y4mdec` and `y4menc` of GStreamer 1.22 support only 8 bits, and `y4mdec` does not
//! report what it does not support.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use gst::prelude::*;
use gst_video::{
    VideoBufferFlags, VideoChromaSite, VideoColorRange, VideoColorimetry, VideoFieldOrder,
    VideoFormat, VideoFrameRef, VideoInfo, VideoInterlaceMode, prelude::*,
};

use crate::{
    encoding::RAW,
    stop,
    worker::{
        elements::{caps, frames},
        pads::probes::on_buffers,
    },
};

/// Maximum length of a line.
const LINE: u64 = 1024;
/// The longest delay until a request to stop takes effect.
const POLL: Duration = Duration::from_millis(100);
/// The tags of y4m and the formats of GStreamer with the same memory layout.
const FORMATS: [(&str, &str); 16] = [
    ("420", "I420"),
    ("420jpeg", "I420"),
    ("420mpeg2", "I420"),
    ("420paldv", "I420"),
    ("411", "Y41B"),
    ("422", "Y42B"),
    ("444", "Y444"),
    ("420p10", "I420_10LE"),
    ("422p10", "I422_10LE"),
    ("444p10", "Y444_10LE"),
    ("420p12", "I420_12LE"),
    ("422p12", "I422_12LE"),
    ("444p12", "Y444_12LE"),
    ("444p16", "Y444_16LE"),
    ("mono", "GRAY8"),
    ("mono16", "GRAY16_LE"),
];

/// Takes the place of an encoder, and limits the formats to those that [`write_to`] can write.
pub fn encoder() -> String {
    // Few readers accept y4m without colour.
    let formats = FORMATS.map(|(_, format)| format);
    let colour: Vec<_> = formats.into_iter().filter(|format| !format.starts_with("GRAY")).collect();
    format!("{RAW} caps=\"video/x-raw,format=(string){{{}}}\"", colour.join(","))
}

/// A source of the frames on standard input. Fails if that is not y4m in a supported format.
pub fn source() -> Result<gst::Element> {
    let info = header(&first_line_of_input()?)?;
    let caps = info.to_caps()?;
    let frames = move || {
        let mut number = 0;
        std::iter::from_fn(move || {
            let frame = frame(&mut io::stdin().lock(), &info, number).transpose()?;
            number += 1;
            Some(frame.map(|buffer| gst::Sample::builder().buffer(&buffer).caps(&caps).build()))
        })
    };
    Ok(frames::source(frames))
}

/// The first line on standard input. The wait for it ends when a stop is requested.
fn first_line_of_input() -> Result<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut line = Vec::new();
        let read = io::stdin().lock().take(LINE).read_until(b'\n', &mut line);
        sender.send(read.map(|_| line))
    });
    loop {
        match receiver.recv_timeout(POLL) {
            Err(RecvTimeoutError::Timeout) => ensure!(!stop::is_requested(), "stopped"),
            read => return Ok(read??),
        }
    }
}

/// Whether a file is y4m of more than 8 bits, which `y4mdec` of GStreamer 1.22 does not read.
pub fn is_deep(input: &Path) -> bool {
    let mut line = Vec::new();
    let read = File::open(input)
        .and_then(|file| BufReader::new(file).take(LINE).read_until(b'\n', &mut line));
    read.is_ok() && header(&line).is_ok_and(|info| caps::is_deep(&info.format_info()))
}

/// The format of the frames in the header line.
fn header(line: &[u8]) -> Result<VideoInfo> {
    let text = String::from_utf8_lossy(line);
    let mut parts = text.split_whitespace();
    ensure!(
        parts.next() == Some("YUV4MPEG2") && line.ends_with(b"\n"),
        "standard input is not y4m, which begins with YUV4MPEG2"
    );
    let parts: Vec<&str> = parts.collect();
    let find = |tag: &str| parts.iter().find_map(|part| part.strip_prefix(tag));
    let size = |tag: &str| {
        let number = find(tag).and_then(|text| text.parse::<u32>().ok());
        number.with_context(|| {
            format!("standard input is y4m without {tag}, expected {tag} and a number")
        })
    };
    let ratio = |tag: &str| {
        let (a, b) = find(tag)?.split_once(':')?;
        let (a, b) = (a.parse().ok()?, b.parse().ok()?);
        (a > 0 && b > 0).then(|| gst::Fraction::new(a, b))
    };
    let colours = find("C").unwrap_or("420");
    let Some((_, format)) = FORMATS.iter().find(|(tag, _)| *tag == colours) else {
        let known = FORMATS.map(|(tag, _)| format!("C{tag}")).join(", ");
        bail!("standard input is y4m in C{colours}, expected one of {known}");
    };
    let format = VideoFormat::from_string(format);
    let mut info = VideoInfo::builder(format, size("W")?, size("H")?)
        .fps(ratio("F").unwrap_or(gst::Fraction::new(25, 1)))
        .par(ratio("A").unwrap_or(gst::Fraction::new(1, 1)));
    let site = match colours {
        "420jpeg" => Some(VideoChromaSite::JPEG),
        "420mpeg2" => Some(VideoChromaSite::MPEG2),
        "420paldv" => Some(VideoChromaSite::DV),
        _ => None,
    };
    info = info.chroma_site_if_some(site);
    let field = match find("I") {
        Some("t") => Some(VideoFieldOrder::TopFieldFirst),
        Some("b") => Some(VideoFieldOrder::BottomFieldFirst),
        _ => None,
    };
    if let Some(field) = field {
        info = info.interlace_mode(VideoInterlaceMode::Interleaved).field_order(field);
    }
    let info = info.build()?;
    match find("XCOLORRANGE=") == Some("FULL") && info.is_yuv() {
        true => with_full_range(&info),
        false => Ok(info),
    }
}

fn with_full_range(info: &VideoInfo) -> Result<VideoInfo> {
    let usual = info.colorimetry();
    let (matrix, transfer) = (usual.matrix(), usual.transfer());
    let full = VideoColorRange::Range0_255;
    let full = VideoColorimetry::new(full, matrix, transfer, usual.primaries());
    let mut caps = info.to_caps()?;
    caps.make_mut().set("colorimetry", full.to_string());
    Ok(VideoInfo::from_caps(&caps)?)
}

/// The next frame, whose number is `number`; `None` at the end.
fn frame(input: &mut impl BufRead, info: &VideoInfo, number: u64) -> Result<Option<gst::Buffer>> {
    let mut line = Vec::new();
    input.take(LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    ensure!(
        line.starts_with(b"FRAME") && line.ends_with(b"\n"),
        "standard input has something else where frame {number} should begin"
    );
    let mut buffer = gst::Buffer::with_size(info.size())?;
    let writable = buffer.make_mut();
    let mut frame = VideoFrameRef::from_buffer_ref_writable(writable, info)?;
    for plane in planes(info) {
        let stride = frame.plane_stride()[plane.index as usize] as usize;
        let rows = frame.plane_data_mut(plane.index)?.chunks_mut(stride).take(plane.rows);
        for row in rows {
            let read = input.read_exact(&mut row[..plane.row]);
            read.with_context(|| format!("standard input ends in the middle of frame {number}"))?;
        }
    }
    drop(frame);
    frames::set_time(writable, number, info.fps());
    if info.is_interlaced() {
        let mut flags = VideoBufferFlags::INTERLACED;
        flags.set(VideoBufferFlags::TFF, info.field_order() == VideoFieldOrder::TopFieldFirst);
        writable.set_video_flags(flags);
    }
    Ok(Some(buffer))
}

struct Plane {
    index: u32,
    /// Bytes of a row.
    row: usize,
    rows: usize,
}

fn planes(info: &VideoInfo) -> impl Iterator<Item = Plane> {
    (0..info.n_planes()).map(|index| {
        // Each component has its own plane.
        let (width, height) = (info.comp_width(index as u8), info.comp_height(index as u8));
        let bytes = info.comp_pstride(index as u8) as usize;
        Plane { index, row: width as usize * bytes, rows: height as usize }
    })
}

/// Converts the frames at `pad` to y4m, with a header before the first.
pub fn write_to(pad: &gst::Pad) {
    let has_begun = AtomicBool::new(false);
    on_buffers(pad, move |pad, buffer| {
        let is_first = !has_begun.swap(true, Ordering::Relaxed);
        match bytes(pad, buffer, is_first) {
            Ok(bytes) => {
                *buffer = gst::Buffer::from_slice(bytes);
                true
            }
            Err(error) => {
                if let Some(sink) = pad.parent_element() {
                    gst::element_error!(sink, gst::StreamError::Encode, ("y4m: {error:#}"));
                }
                false
            }
        }
    });
}

/// A frame at `pad` in y4m, with the header if it is the first.
fn bytes(pad: &gst::Pad, buffer: &gst::BufferRef, is_first: bool) -> Result<Vec<u8>> {
    let info = VideoInfo::from_caps(pad.current_caps().context("frames without caps")?.as_ref())?;
    let frame = VideoFrameRef::from_buffer_ref_readable(buffer, &info)?;
    let mut bytes = if is_first { first_line(&info)?.into_bytes() } else { Vec::new() };
    bytes.extend(b"FRAME\n");
    for plane in planes(&info) {
        let stride = frame.plane_stride()[plane.index as usize] as usize;
        let rows = frame.plane_data(plane.index)?.chunks(stride).take(plane.rows);
        rows.for_each(|row| bytes.extend(&row[..plane.row]));
    }
    Ok(bytes)
}

fn first_line(info: &VideoInfo) -> Result<String> {
    let format = info.format().to_str();
    let mut tags = FORMATS.iter().filter(|(_, name)| *name == format).map(|(tag, _)| *tag);
    let first = tags.next().with_context(|| format!("y4m cannot hold {format}"))?;
    let site = match info.chroma_site() {
        VideoChromaSite::JPEG => "420jpeg",
        VideoChromaSite::MPEG2 => "420mpeg2",
        VideoChromaSite::DV => "420paldv",
        _ => first,
    };
    let colours = tags.find(|tag| *tag == site).unwrap_or(first);
    let (w, h, fps, par) = (info.width(), info.height(), info.fps(), info.par());
    let range = match info.colorimetry().range() {
        VideoColorRange::Range0_255 => "FULL",
        _ => "LIMITED",
    };
    let (fps, par) = ([fps.numer(), fps.denom()], [par.numer(), par.denom()]);
    let [[f, d], [a, b]] = [fps, par];
    // 0:0 is unknown.
    let d = if f == 0 { 0 } else { d };
    Ok(format!("YUV4MPEG2 W{w} H{h} F{f}:{d} Ip A{a}:{b} C{colours} XCOLORRANGE={range}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_understood_or_refused() {
        gst::init().unwrap();
        let read = |text: &str| header(text.as_bytes());
        let info = read("YUV4MPEG2 W4 H2 F30000:1001 It A4:3 C422p10 XCOLORRANGE=FULL\n").unwrap();
        assert_eq!((info.width(), info.height()), (4, 2));
        assert_eq!(info.format(), VideoFormat::I42210le);
        assert_eq!(
            (info.fps(), info.par()),
            (gst::Fraction::new(30000, 1001), gst::Fraction::new(4, 3))
        );
        assert_eq!(info.colorimetry().range(), VideoColorRange::Range0_255);
        assert!(info.is_interlaced());
        assert_eq!(read("YUV4MPEG2 W4 H2 F0:0 A0:0\n").unwrap().fps(), gst::Fraction::new(25, 1));
        for (text, cause) in [
            ("", "not y4m"),
            ("clips/a.mp4\n", "not y4m"),
            ("YUV4MPEG2 W4 H2", "not y4m"),
            ("YUV4MPEG2 W4 C420\n", "y4m without H"),
            ("YUV4MPEG2 W4 H2 C420p14 XYSCSS=420P14\n", "y4m in C420p14"),
        ] {
            assert!(read(text).unwrap_err().to_string().contains(cause), "{text}");
        }
    }

    #[test]
    fn frames_are_the_same_again() {
        gst::init().unwrap();
        // Odd sizes, which GStreamer pads.
        for (tag, size) in
            [("420", 15 + 2 * 6), ("444p10", 90), ("422p12", 2 * (15 + 2 * 9)), ("mono", 15)]
        {
            let info = header(format!("YUV4MPEG2 W5 H3 F25:1 C{tag}\n").as_bytes()).unwrap();
            let mut input = b"FRAME\n".to_vec();
            input.extend((0..size).map(|byte| byte as u8));
            let buffer = frame(&mut input.as_slice(), &info, 3).unwrap().unwrap();
            assert_eq!(buffer.pts(), Some(gst::ClockTime::from_mseconds(120)));
            let pad = gst::Pad::builder(gst::PadDirection::Src).build();
            pad.set_active(true).unwrap();
            pad.push_event(gst::event::StreamStart::new("a"));
            pad.push_event(gst::event::Caps::new(&info.to_caps().unwrap()));
            assert_eq!(bytes(&pad, &buffer, false).unwrap(), input, "{tag}");
            let cut = frame(&mut &input[..input.len() - 1], &info, 3).unwrap_err().to_string();
            assert!(cut.contains("in the middle of frame 3"), "{cut}");
        }
    }
}
