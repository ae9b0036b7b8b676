// SPDX-License-Identifier: MIT OR Apache-2.0

//! How videos are encoded: the presets, and what encoders cannot take.

use crate::{
    container::Container,
    options::{Preset, Recipe},
};

/// The part of a pipeline that encodes, as `gst-launch-1.0` takes it.
#[derive(Debug)]
pub struct Encoding {
    /// What comes before the filter, with `!` behind it; empty for nothing.
    pub before: &'static str,
    /// The raw video that the encoder is given.
    pub raw: &'static str,
    /// The encoder.
    pub encoder: String,
    /// Whether it takes frames of odd width and height as they are.
    pub takes_odd_sizes: bool,
}

/// 8-bit 4:2:0, which every player shows.
const EIGHT_BIT: &str = "video/x-raw,format=(string){I420,NV12,YV12}";
/// Keeps the aspect: what is not fixed follows.
const PROXY_SIZE: &str = "videoscale ! video/x-raw,height=(int)[1,540],pixel-aspect-ratio=1/1 !";

impl Encoding {
    /// How `recipe` has videos in `container` encoded, with so many threads.
    pub fn new(recipe: &Recipe, container: Container, threads: u32) -> Self {
        let preset = match container {
            Container::Webm => vp9(recipe.preset, threads),
            _ => h264(recipe.preset, container, threads),
        };
        let encoder = recipe.video_encoder.clone().unwrap_or(preset);
        let raw = match recipe.preset {
            _ if recipe.video_encoder.is_some() => "video/x-raw",
            Preset::Archive => "video/x-raw",
            Preset::Web | Preset::Proxy => EIGHT_BIT,
        };
        Self {
            before: if recipe.preset == Preset::Proxy { PROXY_SIZE } else { "" },
            raw,
            takes_odd_sizes: takes_odd_sizes(&encoder),
            encoder,
        }
    }
}

fn h264(preset: Preset, container: Container, threads: u32) -> String {
    let how = match preset {
        Preset::Web => "quantizer=21 speed-preset=medium",
        Preset::Archive => "quantizer=14 speed-preset=slow",
        Preset::Proxy => "quantizer=26 speed-preset=veryfast key-int-max=12",
    };
    // With B frames GStreamer's muxers of MP4 move frames at uneven times, and hide the first ones.
    let is_moved = matches!(container, Container::Mp4 | Container::Mov);
    let bframes = if is_moved || preset == Preset::Proxy { " bframes=0" } else { "" };
    // Without `vbv-buf-capacity` the constant quality is held to 2 Mbit/s.
    format!("x264enc pass=qual vbv-buf-capacity=0 {how} threads={threads}{bframes}")
}

fn vp9(preset: Preset, threads: u32) -> String {
    // `lag-in-frames`: vp9enc of GStreamer 1.22 loses what is in its lookahead at the end.
    let how = match preset {
        Preset::Web => "cq-level=31 cpu-used=4",
        Preset::Archive => "cq-level=15 cpu-used=2",
        Preset::Proxy => "cq-level=40 cpu-used=8 keyframe-max-dist=12",
    };
    format!(
        "vp9enc end-usage=cq {how} target-bitrate=500000000 lag-in-frames=0 deadline=1 row-mt=true threads={}",
        threads.min(64)
    )
}

/// The container of the segments of a video on its way into `container`. Only that of a transport stream
/// keeps times of frames that are not in their order: `qtmux` of GStreamer 1.22 writes edit lists that hide
/// frames, and Matroska's clusters are too short for fine clocks.
pub fn segment_container(recipe: &Recipe, container: Container) -> Container {
    let preset = if container == Container::Webm { "vp9enc" } else { "x264enc" };
    let encoder = recipe.video_encoder.as_deref().unwrap_or(preset);
    let is_one_of = |names: &[&str]| names.iter().any(|name| encoder.contains(name));
    if is_one_of(&["264", "265", "hevc"]) {
        Container::Ts
    } else if is_one_of(&["prores", "dnx", "mpeg"]) {
        Container::Mov
    } else {
        Container::Mkv
    }
}

/// 4:2:0 halves the picture, and most encoders want the halves to be whole.
fn takes_odd_sizes(encoder: &str) -> bool {
    let name = encoder.split_whitespace().next().unwrap_or_default();
    ["vp8enc", "vp9enc", "av1enc", "avenc_ffv1", "avenc_huffyuv", "theoraenc", "pngenc"]
        .contains(&name)
}
