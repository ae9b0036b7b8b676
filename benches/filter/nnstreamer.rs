// SPDX-License-Identifier: MIT OR Apache-2.0

//! The generator in a pipeline of NNStreamer's elements: `tensor_converter`, `tensor_transform`,
//! `tensor_filter` with ONNX Runtime, and `tensor_decoder`.

use std::{error::Error, fs, path::Path};

use cyclegan_contract::onnx::{
    Message, ModelProto, TensorShapeProto, ValueInfoProto,
    dimension::Value::{DimParam, DimValue},
};
use cyclegan_frame::{InferenceSize, Letterbox, Size, TensorLimits};

/// Whether GStreamer finds NNStreamer's elements.
pub fn is_installed() -> bool {
    gst::ElementFactory::find("tensor_filter").is_some()
}

/// Writes the elements between frames of `caps` and translated frames of `caps`.
///
/// NNStreamer takes neither dynamic shapes nor a second output that nothing reads, so `model` is
/// copied to `fixed` without them.
pub fn elements(model: &Path, caps: &str, fixed: &Path) -> Result<String, Box<dyn Error>> {
    let (width, height) = tensor_size(caps)?;
    fix_shapes(model, width, height, fixed)?;
    Ok(format!(
        "videoconvertscale n-threads=2 ! video/x-raw,format=RGB,width={width},height={height} \
         ! tensor_converter \
         ! tensor_transform mode=arithmetic option=typecast:float32,add:-127.5,div:127.5 \
         ! tensor_transform mode=transpose option=1:2:0:3 \
         ! tensor_filter framework=onnxruntime model={} \
         ! tensor_transform mode=transpose option=2:0:1:3 \
         ! tensor_transform mode=arithmetic option=mul:127.5,add:127.5 \
         ! tensor_transform mode=clamp option=0:255 \
         ! tensor_transform mode=typecast option=uint8 \
         ! tensor_decoder mode=direct_video ! videoconvertscale n-threads=2 ! {caps}",
        fixed.display()
    ))
}

/// Width and height of the tensor, the same that the filter takes.
fn tensor_size(caps: &str) -> Result<(i64, i64), Box<dyn Error>> {
    let caps: gst::Caps = caps.parse()?;
    let structure = caps.structure(0).ok_or("no caps")?;
    let side = |name| structure.get::<i32>(name).map(i32::unsigned_abs);
    let frame = Size { width: side("width")?, height: side("height")? };
    let limits = TensorLimits { width: None, height: None, multiple_of: 4 };
    let tensor = Letterbox::new(frame, 1.0, InferenceSize::ShortSide(256), limits).tensor;
    Ok((tensor.width.into(), tensor.height.into()))
}

/// Copies a model that `cyclegan-train export` wrote, with one image of this size in and out.
fn fix_shapes(model: &Path, width: i64, height: i64, to: &Path) -> Result<(), Box<dyn Error>> {
    let mut file = ModelProto::decode(&*fs::read(model)?)?;
    let graph = file.graph.as_mut().ok_or("the model has no graph")?;
    graph.output.truncate(1);
    for value in graph.input.iter_mut().chain(&mut graph.output) {
        let shape = shape_of(value).ok_or("an input or output of the model has no shape")?;
        for (dimension, length) in shape.dim.iter_mut().zip([1, 3, height, width]) {
            if let Some(DimParam(_)) = dimension.value {
                dimension.value = Some(DimValue(length));
            }
        }
    }
    Ok(fs::write(to, file.encode_to_vec())?)
}

fn shape_of(value: &mut ValueInfoProto) -> Option<&mut TensorShapeProto> {
    value.r#type.as_mut()?.tensor_type.as_mut()?.shape.as_mut()
}
