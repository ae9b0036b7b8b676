// SPDX-License-Identifier: MIT OR Apache-2.0

//! Translates video from or to y4m and image sequences.

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{self, Sender},
};

use anyhow::{Context, Result, bail, ensure};
use cyclegan_frame::Transfer;
use gst::prelude::*;

use crate::{
    container::Container,
    encoding::RAW,
    files::{before_index, remove_unfinished},
    options::{Rate, Recipe},
    picture::PictureFormat,
    protocol::{Event, Say, Setup, Span, send_notice, send_notices},
    sequence::Sequence,
    stop,
    text::counted,
    worker::{
        containers::y4m::{self, read::Y4m},
        elements::{caps::with_field, chain::Chain, filter, frames, make, pad},
        hdr,
        muxer::Muxer,
        picture::{
            self,
            pixels::{self, ImagePipeline},
        },
        pipeline::{self, Pipeline},
        probe::{Media, Track, builtin::Builtin, losses},
        segment::{branch::Branch, source},
    },
};

/// The number of the first image of a video, as with ffmpeg.
pub const FIRST: u64 = 1;

/// Where the frames come from.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// y4m on standard input.
    Y4m,
    Sequence(Sequence),
    /// The video of a file.
    File(PathBuf),
}

/// Where the frames go.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// y4m on standard output.
    Y4m,
    Sequence(Sequence),
    File(PathBuf, Container),
}

/// Translates `input` into `output`, an image sequence at `rate`; returns the number of frames.
pub fn translate(
    setup: &Setup,
    input: &Input,
    output: &Output,
    rate: Rate,
    say: Say,
) -> Result<u64> {
    pipeline::init()?;
    filter::check_encoders(setup)?;
    if let (Input::Sequence(input), Output::Sequence(output)) = (input, output) {
        return images(setup, input, output, say);
    }
    let translated = one_video(setup, input, output, rate, say);
    if let Output::File(path, _) = output {
        let partial = partial(path);
        if translated.is_ok() {
            cyclegan_output::rename(&partial, path).context("cannot rename the output")?;
        } else {
            remove_unfinished(&partial);
        }
    }
    translated
}

/// Translates frames as one video.
fn one_video(setup: &Setup, input: &Input, output: &Output, rate: Rate, say: Say) -> Result<u64> {
    let (encoder, container) = match output {
        Output::File(_, container) => (setup.recipe.video_encoder.clone(), *container),
        Output::Y4m => (Some(raw_encoder()), Container::Mkv),
        Output::Sequence(output) => (Some(encoder(output.format)), Container::Mkv),
    };
    let recipe = Recipe { video_encoder: encoder, ..setup.recipe.clone() };
    let setup = &Setup { recipe, ..setup.clone() };
    let media = &probe(input, say)?;
    let track = media.main_track()?;
    if *output == Output::Y4m && hdr::transfer(&track.caps) != Transfer::Sdr {
        send_notice(say, "is HDR, but y4m has no field for that: tell the program that reads it");
    }
    send_notices(say, losses::of_truncation(media));
    let (sender, notices) = mpsc::channel();
    let (span, is_timed) = (&Span::default(), matches!(output, Output::File(..)));
    let write = |pipeline: &Pipeline, chain: &Chain| {
        if *input == Input::Y4m || *output == Output::Y4m {
            pipeline.progress.wait_for_pipes();
        }
        write(pipeline, chain, output)
    };
    let read = |pipeline: &Pipeline, sink| open(pipeline, sink, media, input, rate, sender);
    let translated = Branch { setup, media, span, container, is_timed }.run(write, read, say);
    notices.try_iter().for_each(&mut *say);
    let frames = translated?.frames.packets;
    send_notices(say, losses::of_video(track, container, &setup.recipe));
    Ok(frames)
}

/// What is known about `input` before it is decoded.
fn probe(input: &Input, say: Say) -> Result<Media> {
    let sequence = match input {
        Input::File(path) => return Media::probe_input(path, say),
        Input::Y4m => return Media::of_builtin(Builtin::Y4m(Y4m::of_standard_input()?)),
        Input::Sequence(sequence) => sequence,
    };
    let numbers = sequence.numbers()?;
    let gaps = numbers.windows(2).filter(|pair| pair[1] > pair[0] + 1).count();
    if gaps > 0 {
        let gaps = counted(gaps as u64, "gap");
        send_notice(say, format!("its numbers have {gaps}; the video continues without a pause"));
    }
    // The first image has the format of all.
    let path = sequence.path(*numbers.first().context("no images")?);
    let image = picture::open(&path, &mut |_| ()).with_context(|| path.display().to_string())?;
    let track = Track::new(String::new(), pixels::frame(&image)?.0.to_caps()?);
    Ok(Media { tracks: vec![track], ..Media::default() })
}

/// Takes the place of an encoder, and limits the formats to those of y4m.
fn raw_encoder() -> String {
    format!("{RAW} caps=\"video/x-raw,format=(string){}\"", y4m::write::formats())
}

fn encoder(format: PictureFormat) -> String {
    match format {
        PictureFormat::Jpeg => format!("jpegenc quality={}", picture::QUALITY),
        PictureFormat::Png => "pngenc".to_owned(),
        PictureFormat::Webp => format!("webpenc quality={}", picture::QUALITY),
    }
}

/// Translates images one by one, with their bit depth and metadata, through one filter.
fn images(setup: &Setup, input: &Sequence, output: &Sequence, say: Say) -> Result<u64> {
    let numbers = input.numbers()?;
    let filter = ImagePipeline::filter(setup)?;
    let total = Some(numbers.len() as u64);
    for (frames, &number) in numbers.iter().enumerate() {
        ensure!(!stop::is_requested(), "stopped");
        say(Event::Progress { frames: frames as u64, total });
        let (from, to) = (input.path(number), output.path(number));
        let report = &mut |event| say(named(&from, event));
        picture::translate_through(&filter, &from, &partial(&to), output.format, report)
            .with_context(|| from.display().to_string())?;
        cyclegan_output::rename(&partial(&to), &to)
            .with_context(|| format!("cannot create {}", to.display()))?;
    }
    Ok(numbers.len() as u64)
}

/// Puts the name of `image`, of a sequence, before a notice.
fn named(image: &Path, event: Event) -> Event {
    let name = image.file_name().unwrap_or_default().display();
    match event {
        Event::Notice { text } => Event::Notice { text: format!("{name}: {text}") },
        other => other,
    }
}

/// The name of an output until it is complete.
fn partial(path: &Path) -> PathBuf {
    path.with_added_extension("partial")
}

/// How many bytes longer the name of `output` is while it is written.
pub fn suffix_length(output: &Path) -> usize {
    before_index(&partial(output)).as_os_str().len() - output.as_os_str().len()
}

/// Links the end of `chain` to `output`.
fn write(pipeline: &Pipeline, chain: &Chain, output: &Output) -> Result<()> {
    let end = chain.src()?;
    let sink = match output {
        Output::File(path, container) => {
            let muxer = Muxer::new(*container)?;
            let how = muxer.require(&chain.caps, "use another container")?;
            pipeline.write_fast_start_file(&muxer.element, &partial(path))?;
            return muxer.link_video(&end, &how).map(drop);
        }
        Output::Y4m => {
            let sink = make("fdsink")?;
            sink.set_property("fd", 1i32);
            y4m::write::write_to(&pad(&sink, "sink")?);
            sink
        }
        Output::Sequence(sequence) => {
            let sink = make("multifilesink")?;
            sink.set_property("location", sequence.location()?);
            sink.set_property("index", FIRST as i32);
            sink
        }
    };
    sink.set_property("sync", false);
    sink.set_property("async", false);
    pipeline.gst().add(&sink)?;
    end.link(&pad(&sink, "sink")?)?;
    Ok(())
}

/// Links the frames of `input` to `sink`; returns how many there are, if that is known. Notices about images go to `notices`.
fn open(
    pipeline: &Pipeline,
    sink: gst::Pad,
    media: &Media,
    input: &Input,
    rate: Rate,
    notices: Sender<Event>,
) -> Result<Option<u64>> {
    let path = match input {
        Input::File(path) => path,
        Input::Y4m => Path::new("-"),
        Input::Sequence(sequence) => {
            let (sequence, numbers) = (sequence.clone(), sequence.numbers()?);
            let total = numbers.len() as u64;
            let source = frames::source(move || read(sequence, numbers, rate, notices));
            pipeline.gst().add(&source)?;
            pad(&source, "src")?.link(&sink)?;
            return Ok(Some(total));
        }
    };
    source::open(pipeline, path, media, gst::ClockTime::ZERO, sink)?;
    Ok(None)
}

/// The images with these numbers, at `rate`. Sends notices about them to `notices`.
fn read(
    sequence: Sequence,
    numbers: Vec<u64>,
    rate: Rate,
    notices: Sender<Event>,
) -> impl Iterator<Item = Result<gst::Sample>> {
    let rate = gst::Fraction::new(rate.0, rate.1);
    let mut first = None;
    numbers.into_iter().zip(0u64..).map(move |(number, frame)| {
        let path = sequence.path(number);
        // If the receiver is gone, the pipeline has already failed.
        let report = &mut |event| drop(notices.send(named(&path, event)));
        let image = picture::open(&path, report).with_context(|| path.display().to_string())?;
        let size = (image.width(), image.height());
        let expected = *first.get_or_insert(size);
        if size != expected {
            let (name, (w, h), (x, y)) = (path.display(), size, expected);
            bail!("{name} is {w}×{h} px, expected {x}×{y} as before");
        }
        let (info, mut buffer) = pixels::frame(&image)?;
        frames::set_time(buffer.make_mut(), frame, rate);
        let caps = with_field(&info.to_caps()?, "framerate", rate);
        Ok(gst::Sample::builder().buffer(&buffer).caps(&caps).build())
    })
}
