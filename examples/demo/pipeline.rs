// SPDX-License-Identifier: MIT OR Apache-2.0

//! The pipeline: decode, translate, encode; sound goes along.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use gst::prelude::*;

use crate::scene::{self, Scene};

/// From raw video to the file. `deinterlace` lets progressive video through as it is.
const VIDEO: &str = "queue name=video ! deinterlace fields=top ! cycleganfilter name=filter \
    ! queue name=encode-video ! videoconvert ! capsfilter name=sampling caps=video/x-raw,format=I420 \
    ! x264enc speed-preset=veryfast ! mp4mux name=mux ! filesink name=file";
/// How the encoder takes a video of odd width or height, which 4:2:0 cannot hold.
const ODD_SIZE: &str = "video/x-raw, format=Y444";
/// Sound that MP4 takes as it is, and what is done to any other.
const AAC: &str = "audio/mpeg, mpegversion=4";
const ENCODE_SOUND: &str = "audioconvert ! audioresample ! avenc_aac";
/// No limit to sound that waits, for the video encoder keeps seconds of pictures back.
const SOUND_QUEUE: &str =
    "queue name=encode-sound max-size-time=0 max-size-bytes=0 max-size-buffers=0";

/// What is translated.
pub enum Source {
    File(PathBuf),
    Scene(Scene),
}

/// Builds the pipeline that translates `source` into the MP4 file `output`.
pub fn build(source: Source, output: &Path, model: Option<&str>) -> Result<gst::Pipeline> {
    let pipeline = gst::parse::launch(VIDEO)?
        .downcast::<gst::Pipeline>()
        .map_err(|_| anyhow!("the description is no pipeline"))?;
    element(&pipeline, "file")?.set_property("location", output);
    if let Some(model) = model {
        filter(&pipeline)?.set_property("model", model);
    }
    match source {
        Source::File(file) => decode(&pipeline, &file)?,
        Source::Scene(scene) => play(&pipeline, scene)?,
    }
    Ok(pipeline)
}

/// The pipeline's `cycleganfilter`.
pub fn filter(pipeline: &gst::Pipeline) -> Result<gst::Element> {
    element(pipeline, "filter")
}

/// A pad that the element always has.
pub fn pad(element: &gst::Element, name: &str) -> Result<gst::Pad> {
    let pad = element.static_pad(name);
    pad.with_context(|| format!("{} has no pad '{name}'", element.name()))
}

fn element(pipeline: &gst::Pipeline, name: &str) -> Result<gst::Element> {
    pipeline.by_name(name).with_context(|| format!("the pipeline has no element '{name}'"))
}

/// Has the scene's frames drawn as the pipeline asks for them.
fn play(pipeline: &gst::Pipeline, scene: Scene) -> Result<()> {
    let info =
        gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgbx, scene::SIZE.0, scene::SIZE.1)
            .fps(gst::Fraction::new(scene::RATE as i32, 1))
            .build()?;
    let frame_time =
        |number: u32| gst::ClockTime::SECOND * u64::from(number) / u64::from(scene::RATE);
    let mut number = 0;
    let draw = move |source: &gst_app::AppSrc, _| {
        if number == scene::FRAMES {
            // Refused only by a pipeline that is already stopping.
            let _ = source.end_of_stream();
            return;
        }
        let mut buffer = gst::Buffer::from_slice(scene.frame(number).into_raw());
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(frame_time(number));
            buffer.set_duration(frame_time(number + 1) - frame_time(number));
        }
        number += 1;
        let _ = source.push_buffer(buffer);
    };
    let source = gst_app::AppSrc::builder()
        .caps(&info.to_caps()?)
        .format(gst::Format::Time)
        .duration(frame_time(scene::FRAMES).nseconds())
        .callbacks(gst_app::AppSrcCallbacks::builder().need_data(draw).build())
        .build();
    pipeline.add(&source)?;
    source.link(&element(pipeline, "video")?)?;
    Ok(())
}

/// Decodes the file's first video track and takes its sound along.
fn decode(pipeline: &gst::Pipeline, file: &Path) -> Result<()> {
    let source = gst::ElementFactory::make("filesrc").property("location", file).build()?;
    let decoder = gst::ElementFactory::make("decodebin").build()?;
    let mut wanted = decoder.property::<gst::Caps>("caps");
    wanted.merge(AAC.parse()?);
    decoder.set_property("caps", wanted);

    pipeline.add_many([&source, &decoder])?;
    source.link(&decoder)?;
    let weak = pipeline.downgrade();
    decoder.connect_pad_added(move |decoder, track| {
        let Some(pipeline) = weak.upgrade() else {
            return;
        };
        if let Err(error) = take_track(&pipeline, track) {
            gst::element_error!(
                decoder,
                gst::StreamError::Failed,
                ("cannot use the track {}: {error:#}", track.name())
            );
        }
    });
    let video = pad(&element(pipeline, "video")?, "sink")?;
    decoder.connect_no_more_pads(move |decoder| {
        if !video.is_linked() {
            gst::element_error!(
                decoder,
                gst::StreamError::WrongType,
                ("there is no video in this file")
            );
        }
    });
    Ok(())
}

fn take_track(pipeline: &gst::Pipeline, track: &gst::Pad) -> Result<()> {
    let caps = track.current_caps().unwrap_or_else(|| track.query_caps(None));
    let kind = caps.structure(0).map(|structure| structure.name().as_str()).unwrap_or_default();
    let video = pad(&element(pipeline, "video")?, "sink")?;
    if kind.starts_with("video/") && !video.is_linked() {
        let info = gst_video::VideoInfo::from_caps(&caps)?;
        if info.width() % 2 == 1 || info.height() % 2 == 1 {
            element(pipeline, "sampling")?.set_property("caps", ODD_SIZE.parse::<gst::Caps>()?);
        }
        track.link(&video)?;
    } else if kind.starts_with("audio/") {
        let encode = if kind == "audio/x-raw" { ENCODE_SOUND } else { "identity" };
        let description = format!("{SOUND_QUEUE} ! {encode} ! aacparse");
        let sound = gst::parse::bin_from_description(&description, true)?.upcast();
        add(pipeline, &sound)?;
        track.link(&pad(&sound, "sink")?)?;
        sound.link(&element(pipeline, "mux")?)?;
    } else {
        // Covers, subtitles and further video tracks would stop the stream if nobody took them.
        let sink = gst::ElementFactory::make("fakesink").property("async", false).build()?;
        add(pipeline, &sink)?;
        track.link(&pad(&sink, "sink")?)?;
    }
    Ok(())
}

/// Adds an element to a pipeline that already runs.
fn add(pipeline: &gst::Pipeline, element: &gst::Element) -> Result<()> {
    pipeline.add(element)?;
    element.sync_state_with_parent()?;
    Ok(())
}
