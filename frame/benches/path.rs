// SPDX-License-Identifier: MIT OR Apache-2.0

//! The time of each step of the frame path, compared with a copy of the same bytes.
//!
//!     cargo bench -p cyclegan-frame                          1080p, one thread
//!     cargo bench -p cyclegan-frame -- 3840x2160 2 P010_10LE v210 P010_10LE/bt2100-pq
//!
//! The steps of a round follow each other as they do for a frame, so that other work on the machine slows
//! all of them alike. The table gives the fastest round of each step, in milliseconds, because other work
//! only adds time.

#![allow(clippy::unwrap_used, reason = "a benchmark says what is wrong by panicking")]

use std::time::{Duration, Instant};

use cyclegan_contract::ValueRange;
use cyclegan_frame::{
    ColorTransform, Compositor, InferenceSize, Letterbox, Picture, Residual, Scaler, Size,
    TensorLimits, ToTensor, Upscale, Workers, copy, map_readable, map_writable, pack,
};
use gst_video::{VideoFormat, VideoInfo};

const FORMATS: [&str; 8] =
    ["I420", "NV12", "RGBA", "YUY2", "P010_10LE", "I420_10LE", "Y410", "v210"];
const ROUNDS: usize = 61;
const STEPS: [&str; 5] = ["scale", "pack", "update", "compose", "copy"];

struct Options {
    frame: Size,
    threads: u32,
    /// A format, or a format and a colorimetry.
    formats: Vec<String>,
}

impl Options {
    fn from_args() -> Self {
        let mut options =
            Self { frame: Size { width: 1920, height: 1080 }, threads: 1, formats: vec![] };
        for arg in std::env::args().skip(1).filter(|arg| !arg.starts_with("--")) {
            let size =
                arg.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
            if let Some((width, height)) = size {
                options.frame = Size { width, height };
            } else if let Ok(threads) = arg.parse() {
                options.threads = threads;
            } else {
                options.formats.push(arg);
            }
        }
        if options.formats.is_empty() {
            options.formats = FORMATS.map(String::from).to_vec();
        }
        options
    }
}

fn main() {
    gst::init().unwrap();
    let options = Options::from_args();
    let Size { width, height } = options.frame;
    println!("{width}x{height}, {} threads, ms", options.threads);
    println!("{:20}{}", "", STEPS.map(|step| format!("{step:>9}")).concat());
    for format in &options.formats {
        let times = measure(format, &options);
        let cells = times.map(|time| format!("{:9.3}", time.as_secs_f64() * 1e3));
        println!("{format:20}{}", cells.concat());
    }
}

/// The quickest time of each step.
fn measure(format: &str, options: &Options) -> [Duration; STEPS.len()] {
    let (name, colorimetry) = format.split_once('/').unwrap_or((format, ""));
    let format = VideoFormat::from_string(name);
    let mut info = VideoInfo::builder(format, options.frame.width, options.frame.height);
    let colorimetry = (!colorimetry.is_empty()).then(|| colorimetry.parse().unwrap());
    if let Some(colorimetry) = &colorimetry {
        info = info.colorimetry(colorimetry);
    }
    let info = info.build().unwrap();
    let limits = TensorLimits { width: None, height: None, multiple_of: 4 };
    let letterbox = Letterbox::new(options.frame, 1.0, InferenceSize::ShortSide(256), limits);
    let range = ValueRange::MinusOneToOne;
    let mut scaler = Scaler::new(&info, letterbox.content.size, options.threads).unwrap();
    let to_tensor = ToTensor::new(&scaler.color(), range);
    let color = ColorTransform::new(&info);
    let mut residual = Residual::new(letterbox.content.size);
    let mut compositor = Compositor::new(&info, letterbox.content.size, options.threads).unwrap();
    let workers = Workers::new(options.threads).unwrap();
    let mut tensor = vec![0f32; 3 * (letterbox.tensor.width * letterbox.tensor.height) as usize];
    let generated: Vec<f32> = (0..tensor.len()).map(|i| (i % 251) as f32 / 125.0 - 1.0).collect();

    let mut bytes = vec![0; info.size()];
    fastrand::Rng::with_seed(1).fill(&mut bytes);
    let input = gst::Buffer::from_mut_slice(bytes);
    let mut output = gst::Buffer::with_size(info.size()).unwrap();
    let input = map_readable(&input, &info).unwrap();
    let output = output.get_mut().unwrap();
    let mut output = map_writable(output, &info).unwrap();

    let mut times = [const { Vec::new() }; STEPS.len()];
    for _ in 0..ROUNDS {
        let mut clock = Instant::now();
        let mut lap = |step: usize| {
            times[step].push(clock.elapsed());
            clock = Instant::now();
        };
        let (picture, stride) = scaler.scale(&input).unwrap();
        lap(0);
        pack(picture, stride, &letterbox, &to_tensor, &workers, &mut tensor);
        lap(1);
        let before = Picture { values: tensor.as_slice(), range };
        let after = Picture { values: generated.as_slice(), range };
        let upscale = Upscale::Residual { strength: 1.0 };
        residual.update(&before, &after, &letterbox, &color, upscale, &workers).unwrap();
        lap(2);
        compositor.composite(&residual, upscale.keep(), None, &input, &mut output).unwrap();
        lap(3);
        copy(&input, &mut output).unwrap();
        lap(4);
    }
    times.map(|times| times.into_iter().min().unwrap_or_default())
}
