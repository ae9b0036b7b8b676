// SPDX-License-Identifier: MIT OR Apache-2.0

//! A detector in ONNX Runtime: frame in, boxes out.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, ValueEnum};
use gst_video::{
    VideoConverter, VideoFormat, VideoFrame, VideoFrameExt, VideoFrameRef, VideoInfo,
    video_frame::Writable,
};
use ort::{
    session::Session,
    value::{DynValue, Tensor, TensorElementType, ValueType},
};

use crate::layout::{Detection, Layout, Output, Wanted};

/// The detector, and which of its boxes are used.
#[derive(Args)]
pub struct DetectorOptions {
    /// The detector: an ONNX file with one image input
    #[arg(long)]
    detector: PathBuf,
    /// Width and height of its input, if the file has dynamic ones
    #[arg(long, default_value = "640x640", value_parser = size)]
    detector_size: (u32, u32),
    /// The values of black and white in its input
    #[arg(long, value_enum, default_value_t = Range::ZeroToOne)]
    detector_range: Range,
    /// Layout of its outputs [default: by their shapes]
    #[arg(long, value_enum)]
    layout: Option<Layout>,
    /// Number of a class to translate, from 0; may be given several times [default: all classes]
    #[arg(long = "class", value_name = "ID")]
    classes: Vec<usize>,
    /// Minimum score of a box, 0 to 1
    #[arg(long, default_value_t = 0.4)]
    threshold: f32,
}

/// Values of black and white.
#[derive(Clone, Copy, ValueEnum)]
enum Range {
    /// 0 and 1
    #[value(name = "0,1")]
    ZeroToOne,
    /// -1 and 1
    #[value(name = "-1,1")]
    MinusOneToOne,
    /// 0 and 255
    #[value(name = "0,255")]
    ZeroTo255,
}

impl Range {
    fn value(self, grey: u8) -> f32 {
        let grey = f32::from(grey);
        match self {
            Self::ZeroToOne => grey / 255.0,
            Self::MinusOneToOne => grey / 127.5 - 1.0,
            Self::ZeroTo255 => grey,
        }
    }
}

/// A detector that is ready to run.
pub struct Detector {
    session: Session,
    input: String,
    element: TensorElementType,
    /// Whether the input is 1×H×W×3 and not 1×3×H×W.
    has_channels_last: bool,
    size: (u32, u32),
    range: Range,
    layout: Option<Layout>,
    wanted: Wanted,
    scaler: Option<Scaler>,
}

/// Scales frames of one format and size to the detector's input.
struct Scaler {
    info: VideoInfo,
    converter: VideoConverter,
    picture: VideoFrame<Writable>,
}

impl Scaler {
    fn new(info: &VideoInfo, (width, height): (u32, u32)) -> Result<Self> {
        let builder = VideoInfo::builder(VideoFormat::Rgb, width, height);
        let picture_info = builder.fps(info.fps()).build()?;
        let buffer = gst::Buffer::with_size(picture_info.size())?;
        Ok(Self {
            info: info.clone(),
            converter: VideoConverter::new(info, &picture_info, None)?,
            picture: VideoFrame::from_buffer_writable(buffer, &picture_info)
                .map_err(|_| anyhow::anyhow!("cannot map the detector's image for writing"))?,
        })
    }
}

impl Detector {
    /// Loads the detector that the options name.
    pub fn open(options: &DetectorOptions) -> Result<Self> {
        let path = options.detector.display();
        let environment = cyclegan_runtime::environment()?;
        let session = Session::builder(environment)?
            .commit_from_file(&options.detector)
            .with_context(|| format!("{path} cannot be loaded"))?;
        let [input] = session.inputs() else {
            bail!("{path} has {} inputs, expected one image", session.inputs().len());
        };
        let ValueType::Tensor { ty, shape, .. } = input.dtype() else {
            bail!("the input of {path} is not a tensor");
        };
        ensure!(
            matches!(ty, TensorElementType::Float32 | TensorElementType::Uint8),
            "the input of {path} is {ty:?}, expected float32 or uint8"
        );
        let side =
            |length: i64, open: u32| u32::try_from(length).ok().filter(|l| *l > 0).unwrap_or(open);
        let (width, height) = options.detector_size;
        let (has_channels_last, size) = match &shape[..] {
            [_, 3, h, w] => (false, (side(*w, width), side(*h, height))),
            [_, h, w, 3] => (true, (side(*w, width), side(*h, height))),
            other => bail!("the input of {path} is {other:?}, expected 1×3×H×W or 1×H×W×3"),
        };
        Ok(Self {
            input: input.name().to_owned(),
            element: *ty,
            has_channels_last,
            size,
            range: options.detector_range,
            layout: options.layout,
            wanted: Wanted { classes: options.classes.clone(), threshold: options.threshold },
            scaler: None,
            session,
        })
    }

    /// Runs the detector on `frame`; returns the boxes that the options select.
    pub fn detect(&mut self, frame: &VideoFrameRef<&gst::BufferRef>) -> Result<Vec<Detection>> {
        let values = self.values(frame)?;
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        let shape = match self.has_channels_last {
            false => [1, 3, height, width],
            true => [1, height, width, 3],
        };
        let name = self.input.as_str();
        let outputs = match self.element {
            TensorElementType::Uint8 => {
                self.session.run(ort::inputs![name => Tensor::from_array((shape, values))?])?
            }
            _ => {
                let values: Vec<_> = values.iter().map(|grey| self.range.value(*grey)).collect();
                self.session.run(ort::inputs![name => Tensor::from_array((shape, values))?])?
            }
        };
        let outputs = outputs.iter().map(|(name, value)| output(name, &value));
        let outputs = outputs.collect::<Result<Vec<_>>>()?;
        let layout = match self.layout {
            Some(layout) => layout,
            None => Layout::of(&outputs)?,
        };
        layout.read(&outputs, (self.size.0 as f32, self.size.1 as f32), &self.wanted)
    }

    /// The samples of the frame in the order of the tensor. The frame is stretched to the detector's input, so
    /// relative coordinates are the same in both.
    fn values(&mut self, frame: &VideoFrameRef<&gst::BufferRef>) -> Result<Vec<u8>> {
        let scaler = match self.scaler.take().filter(|scaler| scaler.info == *frame.info()) {
            Some(scaler) => scaler,
            None => Scaler::new(frame.info(), self.size)?,
        };
        let Scaler { converter, picture, .. } = self.scaler.insert(scaler);
        converter.frame_ref(frame, &mut picture.as_mut_video_frame_ref());
        let (width, stride) = (self.size.0 as usize, picture.plane_stride()[0] as usize);
        let data = picture.planes_data()[0];
        let rows = || data.chunks(stride).take(self.size.1 as usize).map(|row| &row[..width * 3]);
        Ok(match self.has_channels_last {
            true => rows().flatten().copied().collect(),
            false => (0..3)
                .flat_map(|channel| rows().flat_map(move |row| row.iter().skip(channel).step_by(3)))
                .copied()
                .collect(),
        })
    }
}

/// An output of float or integer type, as floats.
fn output(name: &str, value: &DynValue) -> Result<Output> {
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        bail!("the output `{name}` is not a tensor");
    };
    let shape = shape.to_vec();
    let (values, is_integer) = match ty {
        TensorElementType::Float32 => (value.try_extract_tensor::<f32>()?.1.to_vec(), false),
        TensorElementType::Int64 => {
            let values = value.try_extract_tensor::<i64>()?.1;
            (values.iter().map(|value| *value as f32).collect(), true)
        }
        TensorElementType::Int32 => {
            let values = value.try_extract_tensor::<i32>()?.1;
            (values.iter().map(|value| *value as f32).collect(), true)
        }
        other => bail!("the output `{name}` is {other:?}, expected float32 or integers"),
    };
    Ok(Output { name: name.to_owned(), shape, values, is_integer })
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    sides
        .filter(|(w, h)| (1..=8192).contains(w) && (1..=8192).contains(h))
        .ok_or("expected a width and a height, for example 640x480".to_owned())
}
