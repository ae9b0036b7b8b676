// SPDX-License-Identifier: MIT OR Apache-2.0

//! Generates the video that `./dev demo` translates without an INPUT: the camera pans over a mountain meadow where
//! photographed horses stand and walk, or apples lie, or along a brook in a wood.
//!
//! Everything moves by whole pixels a frame, so nothing shimmers.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use gst::prelude::*;
use image::{
    Rgba, RgbaImage,
    imageops::{self, FilterType},
};

/// Generates a scene from photographs.
#[derive(Parser)]
struct Arguments {
    /// The folder with the photographs: meadow.jpg with horse.png or apple_*.png, or wood.jpg
    pictures: PathBuf,
    /// The MP4 file to write
    output: PathBuf,
    /// The model that the scene is for
    #[arg(long)]
    model: Option<String>,
}

/// Nearly lossless, so that encoding adds no visible artefacts.
const WRITE: &str = "appsrc name=scene ! videoconvert ! video/x-raw,format=I420 \
    ! x264enc pass=qual quantizer=6 vbv-buf-capacity=0 ! mp4mux ! filesink name=file";

/// Size of a frame, in pixels.
const SIZE: (u32, u32) = (640, 360);
/// Frames a second.
const RATE: u32 = 25;
/// How many frames there are: six seconds.
const FRAMES: u32 = 150;

/// The camera's pan, in pixels a frame.
const PAN: u32 = 2;
/// Pixels of the photograph above the camera's view, once it is as wide as the pan needs.
const MEADOW_TOP: u32 = 240;
const WOOD_TOP: u32 = 60;

fn main() -> Result<()> {
    let Arguments { pictures, output, model } = Arguments::parse();
    let scene = Scene::for_model(model.as_deref(), &pictures)?;
    gst::init()?;
    write(scene, &output).with_context(|| format!("cannot write {}", output.display()))
}

/// Writes the frames of `scene` as a video.
fn write(scene: Scene, output: &Path) -> Result<()> {
    let pipeline = gst::parse::launch(WRITE)?;
    let bin = pipeline.downcast_ref::<gst::Bin>().context("no pipeline")?;
    bin.by_name("file").context("no filesink")?.set_property("location", output);
    let source = bin.by_name("scene").and_then(|source| source.downcast::<gst_app::AppSrc>().ok());
    let source = source.context("no appsrc")?;
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgbx, SIZE.0, SIZE.1)
        .fps(gst::Fraction::new(RATE as i32, 1));
    source.set_caps(Some(&info.build()?.to_caps()?));
    source.set_format(gst::Format::Time);
    let time = |number: u32| gst::ClockTime::SECOND * u64::from(number) / u64::from(RATE);
    let mut number = 0;
    let draw = move |source: &gst_app::AppSrc, _| {
        if number == FRAMES {
            // Fails only while the pipeline is stopping.
            let _ = source.end_of_stream();
            return;
        }
        let mut buffer = gst::Buffer::from_slice(scene.frame(number).into_raw());
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(time(number));
            buffer.set_duration(time(number + 1) - time(number));
        }
        number += 1;
        let _ = source.push_buffer(buffer);
    };
    source.set_callbacks(gst_app::AppSrcCallbacks::builder().need_data(draw).build());
    // The bus has the error.
    let _ = pipeline.set_state(gst::State::Playing);
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let bus = pipeline.bus().context("no bus")?;
    let end = bus.timed_pop_filtered(gst::ClockTime::NONE, &ends);
    pipeline.set_state(gst::State::Null)?;
    match end.as_ref().map(|end| end.view()) {
        Some(gst::MessageView::Error(error)) => bail!("{}", error.error()),
        _ => Ok(()),
    }
}

/// A horse or an apple in the meadow; lengths are in pixels of the background.
struct Cutout {
    picture: RgbaImage,
    shadow: RgbaImage,
    /// Its left edge in the first frame.
    left: i64,
    /// The line on which it stands.
    ground: i64,
    /// How far it walks to the right in a frame.
    step: i64,
}

/// The images that frames are composed of.
struct Scene {
    background: RgbaImage,
    /// Pixels of the background above the camera's view.
    top: u32,
    /// The most distant first.
    cutouts: Vec<Cutout>,
}

impl Scene {
    /// The scene for a model, by a word in its name: the wood of `wood.jpg` for summer or autumn; else the meadow of
    /// `meadow.jpg`, with apples for apple or orange, and with horses for all others. The images are in `folder`;
    /// `horse.png` and `apple_*.png` have alpha.
    fn for_model(model: Option<&str>, folder: &Path) -> Result<Self> {
        let model = model.unwrap_or_default();
        let is_for = |words: [&str; 2]| words.iter().any(|word| model.contains(word));
        if is_for(["summer", "autumn"]) {
            let background = background(&folder.join("wood.jpg"))?;
            return Ok(Self { background, top: WOOD_TOP, cutouts: Vec::new() });
        }
        let cutouts = if is_for(["apple", "orange"]) { apples(folder) } else { horses(folder) };
        Ok(Self {
            background: background(&folder.join("meadow.jpg"))?,
            top: MEADOW_TOP,
            cutouts: cutouts?,
        })
    }

    /// The frame with this number, from 0.
    fn frame(&self, number: u32) -> RgbaImage {
        let camera = PAN * number;
        let view = imageops::crop_imm(&self.background, camera, self.top, SIZE.0, SIZE.1);
        let mut frame = view.to_image();
        for cutout in &self.cutouts {
            let walked = cutout.step * i64::from(number);
            let left = cutout.left + walked - i64::from(camera);
            let ground = cutout.ground - i64::from(self.top);
            imageops::overlay(
                &mut frame,
                &cutout.shadow,
                left,
                ground - i64::from(cutout.shadow.height()) / 2,
            );
            // A walking horse's back rises and falls.
            let rise = ((walked as f32 / 6.0).sin() * 1.5).round() as i64;
            imageops::overlay(
                &mut frame,
                &cutout.picture,
                left,
                ground + rise - i64::from(cutout.picture.height()),
            );
        }
        frame
    }
}

fn horses(folder: &Path) -> Result<Vec<Cutout>> {
    let horse = read(&folder.join("horse.png"))?;
    let faces_left = imageops::flip_horizontal(&horse);
    Ok(vec![
        Cutout::new(&faces_left, 84, 700, 508, 0),
        Cutout::new(&horse, 96, 20, 470, 1),
        Cutout::new(&horse, 140, 400, 560, 0),
    ])
}

fn apples(folder: &Path) -> Result<Vec<Cutout>> {
    let apple = |kind: &str, height, left, ground| -> Result<Cutout> {
        let picture = read(&folder.join(format!("apple_{kind}.png")))?;
        Ok(Cutout::new(&picture, height, left, ground, 0))
    };
    Ok(vec![
        apple("red", 64, 700, 495)?,
        apple("red", 80, 120, 505)?,
        apple("green", 120, 330, 566)?,
        apple("red", 100, 560, 575)?,
    ])
}

fn read(file: &Path) -> Result<RgbaImage> {
    let picture = image::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(picture.into_rgba8())
}

/// A photograph as wide as the pan needs.
fn background(file: &Path) -> Result<RgbaImage> {
    let photograph = read(file)?;
    let width = SIZE.0 + PAN * FRAMES;
    let height = photograph.height() * width / photograph.width();
    Ok(imageops::resize(&photograph, width, height, FilterType::Lanczos3))
}

impl Cutout {
    fn new(picture: &RgbaImage, height: u32, left: i64, ground: i64, step: i64) -> Self {
        let width = picture.width() * height / picture.height();
        Self {
            picture: imageops::resize(picture, width, height, FilterType::Lanczos3),
            shadow: shadow(width, width / 6),
            left,
            ground,
            step,
        }
    }
}

/// The shadow under a cutout: black, with a soft ellipse of this size as its alpha.
fn shadow(width: u32, height: u32) -> RgbaImage {
    let from_middle = |at: u32, size: u32| (at as f32 + 0.5) / size as f32 * 2.0 - 1.0;
    RgbaImage::from_fn(width, height, |x, y| {
        let (dx, dy) = (from_middle(x, width), from_middle(y, height));
        let shade = 0.6 * (1.0 - dx * dx - dy * dy).max(0.0);
        Rgba([0, 0, 0, (shade * 255.0) as u8])
    })
}
