// SPDX-License-Identifier: MIT OR Apache-2.0

//! Encoding of videos: the presets, and the limits of the encoders.

use crate::{
    container::Container,
    hardware::{Codec, Quality},
    options::{Preset, Recipe, Speed},
};

/// The encoding part of a pipeline, in the syntax of `gst-launch-1.0`.
#[derive(Debug)]
pub struct Encoding {
    /// Elements before the filter, followed by `!`; may be empty.
    pub before: &'static str,
    /// Caps of the encoder's input.
    pub raw: &'static str,
    pub encoder: String,
    /// Whether it accepts frames of odd width and height.
    pub takes_odd_sizes: bool,
}

/// 8-bit 4:2:0, which every player supports.
const EIGHT_BIT: &str = "video/x-raw,format=(string){I420,NV12,YV12}";
/// 4:2:0 formats of `av1enc`; 10 bits only if the input has them.
const AV1: &str = "video/x-raw,format=(string){I420,I420_10LE}";
/// RGB for images. Without `sRGB`, `videoconvert` keeps the limited range of the video, which images cannot signal.
const IMAGE: &str = "video/x-raw,format=(string){RGB,RGBA},colorimetry=sRGB";
const OPAQUE_IMAGE: &str = "video/x-raw,format=RGB,colorimetry=sRGB";
/// JPEG stores Y'CbCr of full range. From limited range `videoconvert` of GStreamer 1.22 only copies it, but not from RGB.
const JPEG: &str = "videoconvert ! video/x-raw,format=I420,colorimetry=1:4:0:0 !";
const IMAGE_ENCODERS: [&str; 3] = ["pngenc", "jpegenc", "webpenc"];
const JPEG_ENCODERS: [&str; 6] =
    ["jpegenc", "avenc_mjpeg", "nvjpegenc", "qsvjpegenc", "vaapijpegenc", "vajpegenc"];
/// Takes the place of an encoder where frames stay raw.
pub const RAW: &str = "capsfilter";
/// Keeps the aspect ratio: caps negotiation sets the width.
const PROXY_SIZE: &str = "videoscale ! video/x-raw,height=(int)[1,540],pixel-aspect-ratio=1/1 !";

impl Encoding {
    /// The encoding of `recipe` for `container`, with this many threads.
    pub fn new(recipe: &Recipe, container: Container, threads: u32) -> Self {
        let element = recipe.encoder_element();
        let encoder = element.map(str::to_owned);
        let encoder = encoder
            .or_else(|| of_hardware(recipe, container))
            .unwrap_or_else(|| of_preset(recipe, container, threads));
        let is_jpeg = JPEG_ENCODERS.contains(&name_of(&encoder));
        let raw = match recipe.preset {
            _ if is_jpeg => OPAQUE_IMAGE,
            _ if IMAGE_ENCODERS.contains(&name_of(&encoder)) => IMAGE,
            _ if element.is_some() => "video/x-raw",
            Preset::Web | Preset::Proxy => EIGHT_BIT,
            Preset::Av1 => AV1,
            // Otherwise its frames would be 4:4:4 in a file that says 4:2:2.
            Preset::Prores => "video/x-raw,format=I422_10LE",
            Preset::Archive | Preset::Hevc => "video/x-raw",
        };
        Self {
            before: if recipe.preset == Preset::Proxy { PROXY_SIZE } else { "" },
            raw,
            takes_odd_sizes: takes_odd_sizes(&encoder),
            encoder: if is_jpeg { format!("{JPEG} {encoder}") } else { encoder },
        }
    }

    /// The same for video with alpha or 4:4:4, for which ProRes has a profile.
    pub fn with_full_chroma(self, recipe: &Recipe) -> Self {
        if recipe.preset != Preset::Prores || recipe.encoder_element().is_some() {
            return self;
        }
        let encoder = "avenc_prores_ks profile=4444".to_owned();
        Self { raw: "video/x-raw", encoder, takes_odd_sizes: true, ..self }
    }

    pub fn encoder_name(&self) -> &str {
        name_of(&self.encoder)
    }
}

/// The name of the element that encodes, in a description that may have others before and after it.
fn name_of(encoder: &str) -> &str {
    let names = || encoder.split('!').filter_map(|part| part.split_whitespace().next());
    names().find(|name| name.contains("enc")).or_else(|| names().next()).unwrap_or_default()
}

fn of_preset(recipe: &Recipe, container: Container, threads: u32) -> String {
    match Codec::of(recipe.preset, container) {
        Codec::H264 => h264(recipe, container, threads),
        Codec::H265 => h265(recipe, container, threads),
        Codec::Vp9 => vp9(recipe, threads),
        Codec::Av1 => av1(recipe, threads),
        // 3 is HQ.
        Codec::Prores => "avenc_prores_ks profile=3".to_owned(),
    }
}

/// The hardware encoder, if one is asked for and available.
fn of_hardware(recipe: &Recipe, container: Container) -> Option<String> {
    let codec = Codec::of(recipe.preset, container);
    let (crf, _, key_frames) = match codec {
        Codec::H264 => h264_quality(recipe),
        Codec::H265 => (h265_crf(recipe), "", None),
        Codec::Vp9 | Codec::Av1 | Codec::Prores => return None,
    };
    let quality = Quality { crf, speed: recipe.speed, key_frames };
    // The worker checked at its start that a named one is available.
    recipe.hardware()?.encoder(codec, quality).ok().flatten()
}

/// The names of x264 and x265 for a speed.
fn x26x_speed(speed: Option<Speed>, otherwise: &'static str) -> &'static str {
    match speed {
        None => otherwise,
        Some(Speed::Fast) => "veryfast",
        Some(Speed::Medium) => "medium",
        Some(Speed::Slow) => "slow",
    }
}

/// Constant quality, x264 speed, and maximum distance between key frames.
fn h264_quality(recipe: &Recipe) -> (u32, &'static str, Option<u32>) {
    let (crf, speed, key_frames) = match recipe.preset {
        // Noise, the worst case, keeps 45 dB.
        Preset::Archive => (6, "slow", None),
        Preset::Proxy => (26, "veryfast", Some(12)),
        _ => (21, "medium", None),
    };
    (recipe.crf.unwrap_or(crf).min(50), speed, key_frames)
}

fn h264(recipe: &Recipe, container: Container, threads: u32) -> String {
    let (crf, speed, key_frames) = h264_quality(recipe);
    let speed = x26x_speed(recipe.speed, speed);
    let more = key_frames.map_or(String::new(), |frames| format!(" key-int-max={frames}"));
    let is_proxy = recipe.preset == Preset::Proxy;
    let bframes = if is_proxy || container.is_without_b_frames() { " bframes=0" } else { "" };
    // Without `vbv-buf-capacity=0` constant quality is limited to 2 Mbit/s.
    format!(
        "x264enc pass=qual vbv-buf-capacity=0 quantizer={crf} speed-preset={speed} threads={threads}{more}{bframes}"
    )
}

fn h265_crf(recipe: &Recipe) -> u32 {
    recipe.crf.unwrap_or(20).min(51)
}

fn h265(recipe: &Recipe, container: Container, threads: u32) -> String {
    let (crf, speed) = (h265_crf(recipe), x26x_speed(recipe.speed, "medium"));
    let bframes = if container.is_without_b_frames() { ":bframes=0" } else { "" };
    format!(
        "x265enc speed-preset={speed} \
         option-string=\"crf={crf}:pools={threads}:log-level=error{bframes}\""
    )
}

/// The `cpu-used` of VP9 and AV1 for a speed.
fn cpu_used(speed: Option<Speed>, otherwise: u32) -> u32 {
    match speed {
        None => otherwise,
        Some(Speed::Fast) => 8,
        Some(Speed::Medium) => 4,
        Some(Speed::Slow) => 2,
    }
}

fn vp9(recipe: &Recipe, threads: u32) -> String {
    let (crf, speed, more) = match recipe.preset {
        Preset::Archive => (15, 2, ""),
        Preset::Proxy => (40, 8, " keyframe-max-dist=12"),
        _ => (31, 4, ""),
    };
    let (crf, speed) = (recipe.crf.unwrap_or(crf).min(63), cpu_used(recipe.speed, speed));
    // `lag-in-frames`: vp9enc of GStreamer 1.22 loses the frames in its lookahead at the end.
    format!(
        "vp9enc end-usage=cq cq-level={crf} cpu-used={speed}{more} target-bitrate=500000000 \
         lag-in-frames=0 deadline=1 row-mt=true threads={}",
        threads.min(64)
    )
}

fn av1(recipe: &Recipe, threads: u32) -> String {
    let (crf, speed) = (recipe.crf.unwrap_or(28).min(63), cpu_used(recipe.speed, 6));
    // As with VP9.
    format!(
        "av1enc end-usage=q min-quantizer={crf} max-quantizer={crf} cpu-used={speed} lag-in-frames=0 \
         row-mt=true threads={} ! av1parse",
        threads.min(64)
    )
}

/// The container for the segments of an output in `container`. Matroska keeps the times of all frames if they are
/// stored in display order, otherwise only whole milliseconds. `qtmux` of GStreamer 1.22 writes edit lists that hide
/// frames, and `tsdemux` loses the time where one frame is shown for longer than half a second.
pub fn segment_container(recipe: &Recipe, container: Container) -> Container {
    // Hardware and software encoders have the same codec.
    let own = recipe.encoder_element().map(str::to_owned);
    let may_reorder = own.is_some() || !container.is_without_b_frames();
    let encoder = own.unwrap_or_else(|| of_preset(recipe, container, 1));
    let encoder = name_of(&encoder);
    let is_one_of = |names: &[&str]| names.iter().any(|name| encoder.contains(name));
    if is_one_of(&["264", "265", "hevc", "mpeg1", "mpeg2"]) {
        if may_reorder && container != Container::Mkv { Container::Ts } else { Container::Mkv }
    } else if is_one_of(&["prores", "dnx", "mpeg"]) {
        Container::Mov
    } else {
        Container::Mkv
    }
}

/// 4:2:0 halves width and height, so most encoders need them to be even.
fn takes_odd_sizes(encoder: &str) -> bool {
    let name = name_of(encoder);
    let all = ["vp8enc", "vp9enc", "av1enc", "avenc_ffv1", "avenc_huffyuv", "theoraenc"];
    all.contains(&name) || IMAGE_ENCODERS.contains(&name) || name == RAW
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::options::Options;

    #[test]
    fn the_encoder_decides_the_container_of_segments_and_not_its_properties() {
        for (encoder, expected) in [
            ("vp9enc target-bitrate=2650000", Container::Mkv),
            ("av1enc target-bitrate=264 ! av1parse", Container::Mkv),
            ("x264enc tune=zerolatency", Container::Ts),
            ("videoconvert ! x265enc", Container::Ts),
            ("avenc_dnxhd bitrate=36000000", Container::Mov),
            ("avenc_mpeg2video bitrate=4000000", Container::Ts),
            ("avenc_mpeg4", Container::Mov),
        ] {
            let arguments = ["cyclegan-batch", "in", "--out", "out", "--video-encoder", encoder];
            let recipe = Options::parse_from(arguments).recipe;
            assert_eq!(segment_container(&recipe, Container::Webm), expected, "{encoder}");
        }
    }
}
