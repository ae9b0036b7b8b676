// SPDX-License-Identifier: MIT OR Apache-2.0

//! y4m in files and on standard input.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use gst_video::{
    VideoBufferFlags, VideoChromaSite, VideoColorRange, VideoColorimetry, VideoFieldOrder,
    VideoFormat, VideoInfo, VideoInterlaceMode, prelude::*,
};

use super::FORMATS;
use crate::{
    stop::{self, POLL},
    worker::elements::{caps::with_field, frames, rows},
};

/// The start of every file.
const MAGIC: &str = "YUV4MPEG2";
/// Standard input in messages.
const INPUT: &str = "standard input";
/// Maximum length of a line.
const LINE: u64 = 1024;

/// What the first line says, and where the frames of a file are.
#[derive(Clone, Debug)]
pub struct Y4m {
    info: VideoInfo,
    /// `None` for standard input.
    layout: Option<Layout>,
}

/// The places of the frames in a file.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Length of the first line.
    start: u64,
    /// Length of a frame with its line.
    step: u64,
    /// The number of complete frames.
    frames: u64,
    /// How many bytes the last frame lacks.
    missing: u64,
}

impl Y4m {
    /// The frames in a file; `None` if it is not y4m.
    pub fn of_file(input: &Path) -> Result<Option<Self>> {
        let mut file = BufReader::new(File::open(input)?);
        let mut first = Vec::new();
        file.by_ref().take(LINE).read_until(b'\n', &mut first)?;
        if !first.starts_with(format!("{MAGIC} ").as_bytes()) {
            return Ok(None);
        }
        let info = header(&first)?;
        let start = first.len() as u64;
        let mut line = Vec::new();
        file.by_ref().take(LINE).read_until(b'\n', &mut line)?;
        let step = line.len() as u64 + rows::size(&info) as u64;
        let length = file.get_ref().metadata()?.len() - start;
        let (frames, rest) = (length / step, length % step);
        ensure!(frames > 0, "is truncated: it has no complete frame");
        let missing = if rest > 0 { step - rest } else { 0 };
        Ok(Some(Self { info, layout: Some(Layout { start, step, frames, missing }) }))
    }

    /// The frames on standard input. Waits for the first line until a stop is requested.
    pub fn of_standard_input() -> Result<Self> {
        let info = header(&first_line_of_input()?);
        let info = info.map_err(|error| anyhow!("{INPUT} {error:#}"))?;
        Ok(Self { info, layout: None })
    }

    pub fn caps(&self) -> Result<gst::Caps> {
        Ok(self.info.to_caps()?)
    }

    pub fn duration(&self) -> Option<gst::ClockTime> {
        Some(frames::time(self.layout?.frames, self.info.fps()))
    }

    pub fn missing_bytes(&self) -> u64 {
        self.layout.map_or(0, |layout| layout.missing)
    }

    /// The times of the frames of a file.
    pub fn times(&self) -> impl Iterator<Item = gst::ClockTime> {
        let frames = self.layout.map_or(0, |layout| layout.frames);
        (0..frames).map(|number| frames::time(number, self.info.fps()))
    }

    /// A source of the frames of `input`, from the one that is shown at the time `from` on.
    pub fn source(&self, input: &Path, from: gst::ClockTime) -> Result<gst::Element> {
        let (frames, place): (Box<dyn Iterator<Item = _> + Send>, _) = match self.layout {
            Some(layout) => {
                let (file, number) = self.open(input, layout, from)?;
                let left = layout.frames - number;
                (Box::new(self.frames(file, number).take(left as usize)), "is damaged: it")
            }
            None => (Box::new(self.frames(BufReader::new(io::stdin()), 0)), INPUT),
        };
        let caps = self.caps()?;
        let sample = move |frame: Result<gst::Buffer>| {
            let buffer = frame.map_err(|error| anyhow!("{place} {error:#}"))?;
            Ok(gst::Sample::builder().buffer(&buffer).caps(&caps).build())
        };
        Ok(frames::source(move || frames.map(sample)))
    }

    /// Opens `input` at the frame that is shown at `time`; also returns its number.
    fn open(
        &self,
        input: &Path,
        layout: Layout,
        time: gst::ClockTime,
    ) -> Result<(BufReader<File>, u64)> {
        let number = frames::number_at(time, self.info.fps()).min(layout.frames - 1);
        let mut file = File::open(input)?;
        file.seek(SeekFrom::Start(layout.start + number * layout.step))?;
        Ok((BufReader::new(file), number))
    }

    /// The frames of `input`, whose first has this number.
    fn frames<R: BufRead>(
        &self,
        mut input: R,
        number: u64,
    ) -> impl Iterator<Item = Result<gst::Buffer>> + use<R> {
        let info = self.info.clone();
        (number..).map_while(move |number| frame(&mut input, &info, number).transpose())
    }
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

/// The format of the frames in the header line.
pub fn header(line: &[u8]) -> Result<VideoInfo> {
    let text = String::from_utf8_lossy(line);
    let mut parts = text.split_whitespace();
    ensure!(
        parts.next() == Some(MAGIC) && line.ends_with(b"\n"),
        "is not y4m, which begins with a line with {MAGIC}"
    );
    let parts: Vec<&str> = parts.collect();
    let find = |tag: &str| parts.iter().find_map(|part| part.strip_prefix(tag));
    let size = |tag: &str| {
        let number = find(tag).and_then(|text| text.parse::<u32>().ok());
        number.with_context(|| format!("is y4m without {tag}, expected {tag} and a number"))
    };
    let ratio = |tag: &str| {
        let (a, b) = find(tag)?.split_once(':')?;
        let (a, b) = (a.parse().ok()?, b.parse().ok()?);
        (a > 0 && b > 0).then(|| gst::Fraction::new(a, b))
    };
    let colours = find("C").unwrap_or("420");
    let Some((_, format)) = FORMATS.iter().find(|(tag, _)| *tag == colours) else {
        let known = FORMATS.map(|(tag, _)| format!("C{tag}")).join(", ");
        bail!("is y4m in C{colours}, expected one of {known}");
    };
    let format = VideoFormat::from_string(format);
    let (width, height) = (size("W")?, size("H")?);
    let site = match colours {
        "420jpeg" => Some(VideoChromaSite::JPEG),
        "420mpeg2" => Some(VideoChromaSite::MPEG2),
        "420paldv" => Some(VideoChromaSite::DV),
        _ => None,
    };
    let field = match find("I") {
        Some("t") => Some(VideoFieldOrder::TopFieldFirst),
        Some("b") => Some(VideoFieldOrder::BottomFieldFirst),
        _ => None,
    };
    let info = VideoInfo::builder(format, width, height)
        .fps(ratio("F").unwrap_or(gst::Fraction::new(25, 1)))
        .par(ratio("A").unwrap_or(gst::Fraction::new(1, 1)))
        .chroma_site_if_some(site)
        .interlace_mode_if_some(field.map(|_| VideoInterlaceMode::Interleaved))
        .field_order_if_some(field)
        .build()
        .map_err(|_| anyhow!("is y4m of {width}×{height} pixels, which GStreamer cannot hold"))?;
    match find("XCOLORRANGE=") {
        Some("FULL") => with_range(&info, VideoColorRange::Range0_255),
        Some("LIMITED") => with_range(&info, VideoColorRange::Range16_235),
        _ => Ok(info),
    }
}

fn with_range(info: &VideoInfo, range: VideoColorRange) -> Result<VideoInfo> {
    let usual = info.colorimetry();
    let (matrix, transfer) = (usual.matrix(), usual.transfer());
    let colorimetry = VideoColorimetry::new(range, matrix, transfer, usual.primaries());
    let caps = with_field(&info.to_caps()?, "colorimetry", colorimetry.to_string());
    Ok(VideoInfo::from_caps(&caps)?)
}

/// The next frame, whose number is `number`; `None` at the end.
pub fn frame(
    input: &mut impl BufRead,
    info: &VideoInfo,
    number: u64,
) -> Result<Option<gst::Buffer>> {
    let mut line = Vec::new();
    input.take(LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    ensure!(
        line.starts_with(b"FRAME") && line.ends_with(b"\n"),
        "has something else where frame {number} should begin"
    );
    let buffer = rows::read(input, info);
    let mut buffer = buffer.map_err(|error| match error.downcast_ref::<io::Error>() {
        Some(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            anyhow!("ends in the middle of frame {number}")
        }
        _ => error,
    })?;
    let writable = buffer.make_mut();
    frames::set_time(writable, number, info.fps());
    if info.is_interlaced() {
        let mut flags = VideoBufferFlags::INTERLACED;
        flags.set(VideoBufferFlags::TFF, info.field_order() == VideoFieldOrder::TopFieldFirst);
        writable.set_video_flags(flags);
    }
    Ok(Some(buffer))
}
