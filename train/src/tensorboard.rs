// SPDX-License-Identifier: MIT OR Apache-2.0

//! Event files for TensorBoard: TFRecord frames around `Event` messages of TensorFlow's
//! `event.proto` and `summary.proto`, as far as scalars and images need them.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use cyclegan_output::page::jpeg;
use image::RgbImage;
use prost::Message;
use serde_json::{Map, Value};

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    /// 1 is a session start: TensorBoard discards what an earlier session wrote from this step on.
    #[prost(int32, tag = "1")]
    status: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<SummaryValue>,
}

#[derive(Clone, PartialEq, Message)]
struct SummaryValue {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "4")]
    image: Option<SummaryImage>,
}

#[derive(Clone, PartialEq, Message)]
struct SummaryImage {
    #[prost(int32, tag = "1")]
    height: i32,
    #[prost(int32, tag = "2")]
    width: i32,
    /// 3 is RGB.
    #[prost(int32, tag = "3")]
    colorspace: i32,
    #[prost(bytes = "vec", tag = "4")]
    encoded_image_string: Vec<u8>,
}

/// An event file.
#[derive(Debug)]
pub struct TensorBoard(File);

impl TensorBoard {
    /// Starts an event file in `folder` for a run that continues after `step` iterations. TensorBoard joins
    /// the files of a run and ignores what a killed session wrote after that.
    pub fn open(folder: &Path, step: u64) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let name = format!("events.out.tfevents.{:.0}.{}", now(), std::process::id());
        let path = folder.join(name);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let mut board = Self(file.with_context(|| path.display().to_string())?);
        let file_version = Some("brain.Event:2".to_owned());
        board.write(&Event { wall_time: now(), file_version, ..Event::default() })?;
        let (session_log, step) = (Some(SessionLog { status: 1 }), step as i64 + 1);
        board.write(&Event { wall_time: now(), step, session_log, ..Event::default() })?;
        Ok(board)
    }

    /// Adds the numbers of a line of metrics.
    pub fn scalars(&mut self, step: u64, line: &Map<String, Value>) -> Result<()> {
        let scalar = |(tag, value): (&String, &Value)| {
            let simple_value = Some(value.as_f64()? as f32);
            Some(SummaryValue { tag: tag.clone(), simple_value, image: None })
        };
        let value = line.iter().filter(|(tag, _)| *tag != "step").filter_map(scalar).collect();
        self.summary(step, value)
    }

    /// Adds an image as JPEG, which keeps the file small.
    pub fn picture(&mut self, step: u64, tag: &str, picture: &RgbImage) -> Result<()> {
        let image = Some(SummaryImage {
            height: picture.height() as i32,
            width: picture.width() as i32,
            colorspace: 3,
            encoded_image_string: jpeg(picture)?,
        });
        self.summary(step, vec![SummaryValue { tag: tag.to_owned(), simple_value: None, image }])
    }

    fn summary(&mut self, step: u64, value: Vec<SummaryValue>) -> Result<()> {
        let summary = Some(Summary { value });
        let step = step as i64;
        self.write(&Event { wall_time: now(), step, summary, ..Event::default() })
    }

    fn write(&mut self, event: &Event) -> Result<()> {
        self.0.write_all(&frame(&event.encode_to_vec())).context("cannot write TensorBoard events")
    }
}

/// A TFRecord: the length and its checksum, the data and their checksum.
fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length), data, &masked_crc(data)].concat()
}

/// The masked CRC-32C of the format, for data that contains checksums.
fn masked_crc(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |d| d.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The record with which TensorFlow starts a file, at time 0.
    #[test]
    fn records_match_tensorflows() {
        let event = Event { file_version: Some("brain.Event:2".to_owned()), ..Event::default() };
        let data = event.encode_to_vec();
        assert_eq!(data, b"\x1a\x0dbrain.Event:2");
        let framed = frame(&data);
        assert_eq!(framed[..8], 15u64.to_le_bytes());
        assert_eq!(framed.len(), 8 + 4 + 15 + 4);
        // CRC-32C of "123456789" is e3069283 (RFC 3720); masked by TensorFlow's rule.
        let masked = 0xe306_9283u32.rotate_right(15).wrapping_add(0xa282_ead8);
        assert_eq!(masked_crc(b"123456789"), masked.to_le_bytes());
    }

    #[test]
    fn scalars_and_pictures_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut board = TensorBoard::open(folder.path(), 6).unwrap();
        let line = [("step", 7.0), ("G_A", 0.25)].map(|(k, v)| (k.to_owned(), Value::from(v)));
        board.scalars(7, &line.into_iter().collect()).unwrap();
        board.picture(7, "samples", &RgbImage::new(3, 2)).unwrap();
        let path = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let (bytes, mut events, mut at) = (fs::read(path).unwrap(), Vec::new(), 0);
        while at < bytes.len() {
            let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
            events.push(Event::decode(&bytes[at + 12..at + 12 + length]).unwrap());
            at += 16 + length;
        }
        let value = |i: usize| events[i].summary.as_ref().unwrap().value.clone();
        // The events from iteration 7 on are from a session that was killed.
        let start = (events[1].session_log.as_ref().map(|log| log.status), events[1].step);
        assert_eq!(start, (Some(1), 7));
        assert_eq!(value(2)[0].tag, "G_A");
        assert_eq!((value(2).len(), value(2)[0].simple_value, events[2].step), (1, Some(0.25), 7));
        let image = value(3)[0].image.clone().unwrap();
        assert_eq!((image.width, &image.encoded_image_string[..2]), (3, &b"\xff\xd8"[..]));
    }
}
