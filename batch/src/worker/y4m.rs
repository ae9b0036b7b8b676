// SPDX-License-Identifier: MIT OR Apache-2.0

//! y4m on standard input: `y4mdec` of GStreamer 1.22 does not say what it does not understand.

use std::io::{self, BufRead, Read};

use anyhow::{Result, bail, ensure};
use gst::prelude::*;

use super::frames;

/// Longest header.
const HEADER: u64 = 1024;
/// Bytes of a read.
const CHUNK: usize = 1 << 20;

/// A source of the bytes of standard input, for `y4mdec`. Fails if they are no y4m that it understands.
pub fn source() -> Result<gst::Element> {
    let header = header(&mut io::stdin().lock())?;
    let caps = gst::Caps::builder("application/x-yuv4mpeg").field("y4mversion", 2).build();
    let chunks = move || {
        let mut first = Some(header);
        std::iter::from_fn(move || {
            let chunk = match first.take() {
                Some(header) => header,
                None => match chunk() {
                    Ok(chunk) if chunk.is_empty() => return None,
                    Ok(chunk) => chunk,
                    Err(error) => return Some(Err(error.into())),
                },
            };
            let buffer = gst::Buffer::from_slice(chunk);
            Some(Ok(gst::Sample::builder().buffer(&buffer).caps(&caps).build()))
        })
    };
    let source = frames::source(chunks);
    source.set_property("format", gst::Format::Bytes);
    Ok(source)
}

fn chunk() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(CHUNK);
    io::stdin().lock().take(CHUNK as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The first line, which says what the frames are.
fn header(input: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    input.take(HEADER).read_until(b'\n', &mut line)?;
    let text = String::from_utf8_lossy(&line);
    let mut parts = text.split_whitespace();
    ensure!(
        parts.next() == Some("YUV4MPEG2") && line.ends_with(b"\n"),
        "standard input is no y4m, which begins with YUV4MPEG2"
    );
    let colours = parts.find_map(|part| part.strip_prefix('C')).unwrap_or("420");
    let known = ["420", "420jpeg", "420paldv", "420mpeg2", "422", "444"];
    if !known.contains(&colours) {
        bail!("standard input is y4m in C{colours}, expected 8 bits: C420, C422 or C444");
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_understood_or_refused() {
        let read = |text: &str| header(&mut text.as_bytes());
        assert_eq!(read("YUV4MPEG2 W4 H2 F25:1\nFRAME\n").unwrap(), b"YUV4MPEG2 W4 H2 F25:1\n");
        assert!(read("YUV4MPEG2 W4 H2 C420mpeg2\n").is_ok());
        for (text, cause) in [
            ("", "no y4m"),
            ("clips/a.mp4\n", "no y4m"),
            ("YUV4MPEG2 W4 H2", "no y4m"),
            ("YUV4MPEG2 W4 H2 C420p10 XYSCSS=420P10\n", "y4m in C420p10"),
        ] {
            assert!(read(text).unwrap_err().to_string().contains(cause), "{text}");
        }
    }
}
