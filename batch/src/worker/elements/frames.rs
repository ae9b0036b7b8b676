// SPDX-License-Identifier: MIT OR Apache-2.0

//! A source of frames or packets that this program reads itself.

use std::{
    sync::{Mutex, Once},
    thread,
};

use anyhow::Result;
use gst::prelude::*;

/// Size of the queue.
const QUEUE_BYTES: u64 = 64 << 20;

/// An element that outputs `frames`, which are read in another thread.
pub fn source<I: Iterator<Item = Result<gst::Sample>>>(
    frames: impl FnOnce() -> I + Send + 'static,
) -> gst::Element {
    let source = gst_app::AppSrc::builder()
        .format(gst::Format::Time)
        .is_live(false)
        .block(true)
        .max_bytes(QUEUE_BYTES)
        .build();
    let frames = Mutex::new(Some(frames));
    let begun = Once::new();
    // Wait for need-data: buffers pushed before it are lost.
    let need_data = move |sink: &gst_app::AppSrc, _| {
        begun.call_once(|| {
            let frames = frames.lock().ok().and_then(|mut frames| frames.take());
            let sink = sink.clone();
            thread::spawn(move || push_all(&sink, frames.into_iter().flat_map(|frames| frames())));
        });
    };
    source.set_callbacks(gst_app::AppSrcCallbacks::builder().need_data(need_data).build());
    source.upcast()
}

fn push_all(sink: &gst_app::AppSrc, frames: impl Iterator<Item = Result<gst::Sample>>) {
    for frame in frames {
        match frame {
            // The pipeline was stopped, and reports the cause itself.
            Ok(frame) if sink.push_sample(&frame).is_err() => return,
            Ok(_) => {}
            Err(error) => {
                return gst::element_error!(sink, gst::StreamError::Failed, ("{error:#}"));
            }
        }
    }
    // As above.
    let _ = sink.end_of_stream();
}

/// Gives the frame with this number, counted from 0, its time and duration at `rate` frames per second.
pub fn set_time(frame: &mut gst::BufferRef, number: u64, rate: gst::Fraction) {
    let start = time(number, rate);
    frame.set_pts(start);
    frame.set_duration(time(number + 1, rate) - start);
}

/// The time of the frame with this number, counted from 0, at `rate` frames per second.
pub fn time(number: u64, rate: gst::Fraction) -> gst::ClockTime {
    let (frames, seconds) = (rate.numer().max(1) as u64, rate.denom().max(1) as u64);
    let time = gst::ClockTime::SECOND.mul_div_floor(number.saturating_mul(seconds), frames);
    time.unwrap_or(gst::ClockTime::MAX)
}

/// The number of the frame that is shown at `time`, or of the one before.
pub fn number_at(time: gst::ClockTime, rate: gst::Fraction) -> u64 {
    let (frames, seconds) = (rate.numer().max(1) as u64, rate.denom().max(1) as u64);
    let number = time.mul_div_floor(frames, seconds.saturating_mul(1_000_000_000));
    number.map_or(0, gst::ClockTime::nseconds)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_source_is_gone_with_its_pipeline() {
        gst::init().unwrap();
        let pipeline = gst::Pipeline::new();
        let frames =
            || (0..3).map(|_| Ok(gst::Sample::builder().buffer(&gst::Buffer::new()).build()));
        let (source, sink) =
            (source(frames), gst::ElementFactory::make("fakesink").build().unwrap());
        pipeline.add_many([&source, &sink]).unwrap();
        source.link(&sink).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let end = pipeline.bus().unwrap().timed_pop_filtered(
            gst::ClockTime::from_seconds(10),
            &[gst::MessageType::Eos, gst::MessageType::Error],
        );
        assert_eq!(end.unwrap().type_(), gst::MessageType::Eos);
        pipeline.set_state(gst::State::Null).unwrap();
        let weak = source.downgrade();
        drop((pipeline, source, sink));
        // The thread that has read the frames ends on its own.
        let begun = Instant::now();
        while weak.upgrade().is_some() && begun.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(weak.upgrade().is_none());
    }
}
