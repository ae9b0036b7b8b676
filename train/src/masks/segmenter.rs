// SPDX-License-Identifier: MIT OR Apache-2.0

//! Foreground by an ONNX network.
//!
//! Any network works that takes an image, N×3×H×W, and outputs for each pixel the probability of foreground
//! (salient objects, one channel), the probability of each class (segmentation, one channel per class), or the
//! class number (integers).

use std::{fs, path::Path};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{Args, ValueEnum};
use cyclegan_contract::decode;
use ort::{
    session::Session,
    value::{DynValue, TensorRef},
};
use tch::{Kind, Tensor};

use crate::{onnx_generator::session, options::MAX_SIDE, pixels};

/// Default side of the input for networks of dynamic size, pixels.
const SIDE: u32 = 320;

/// Options of the network.
#[derive(Debug, Args)]
pub struct SegmenterArgs {
    /// Side of the square to which images are resized, pixels; with several sides, the largest of their
    /// probabilities counts, which finds small objects besides large ones [default: the network's own, 320
    /// if it is dynamic]
    #[arg(long, conflicts_with = "hue", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=MAX_SIDE))]
    size: Vec<u32>,
    /// Mean of red, green and blue in 0 to 1, which is subtracted [default: ImageNet's]
    #[arg(long, conflicts_with = "hue", value_delimiter = ',', num_args = 1..=3, default_value = "0.485,0.456,0.406")]
    mean: Vec<f64>,
    /// Standard deviation by which they are then divided [default: ImageNet's]
    #[arg(long, conflicts_with = "hue", value_delimiter = ',', num_args = 1..=3, default_value = "0.229,0.224,0.225")]
    std: Vec<f64>,
    /// Output to use, by its name or its number from 0
    #[arg(long, conflicts_with = "hue", default_value = "0")]
    output: String,
    /// Classes that count as foreground, from 0, for networks with several classes
    #[arg(long, conflicts_with = "hue", value_name = "CLASS", value_delimiter = ',')]
    class: Vec<i64>,
    /// Activation that turns the output into probabilities
    #[arg(long, conflicts_with = "hue", value_enum, default_value = "auto")]
    activation: Activation,
}

/// The activation that turns a network's output into probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Activation {
    /// none if the output for the first image is in 0 to 1; else softmax for several channels, sigmoid for
    /// one
    Auto,
    /// The output is already probabilities
    None,
    /// Sigmoid of each channel
    Sigmoid,
    /// Softmax over the channels
    Softmax,
}

/// A loaded network.
pub struct Segmenter {
    session: Session,
    input: String,
    output: String,
    /// Widths and heights of its input, pixels; at least one.
    pub sides: Vec<(u32, u32)>,
    scale: [Tensor; 2],
    /// Known after the first image.
    activation: Option<Activation>,
}

impl Segmenter {
    /// Loads a network.
    ///
    /// # Errors
    /// If it does not have exactly one image input, has no such output, or does not fit the options.
    pub fn open(model: &Path, args: &SegmenterArgs) -> Result<Self> {
        let name = model.display();
        let context = || name.to_string();
        // Says what other files are, which ONNX Runtime only calls invalid.
        decode(&fs::read(model).with_context(context)?).with_context(context)?;
        let session = session(model, 0).with_context(context)?;
        let [input] = session.inputs() else {
            bail!("{name}: it has {} inputs, expected one image input", session.inputs().len());
        };
        let shape = input.dtype().tensor_shape().map(|s| s.to_vec()).unwrap_or_default();
        let [_, 3, h, w] = shape[..] else {
            bail!("{name}: its input is {shape:?}, expected N×3×H×W");
        };
        let [w, h] = [w, h].map(|side| u32::try_from(side).ok().filter(|&n| n > 0));
        for size in &args.size {
            for (fixed, what) in [(w, "width"), (h, "height")] {
                if let Some(fixed) = fixed.filter(|fixed| fixed != size) {
                    bail!("--size is {size}, but the {what} of its input is {fixed}");
                }
            }
        }
        let sides = match &args.size[..] {
            [] => vec![(w.unwrap_or(SIDE), h.unwrap_or(SIDE))],
            sizes => sizes.iter().map(|&size| (size, size)).collect(),
        };
        let outputs: Vec<String> = session.outputs().iter().map(|o| o.name().to_owned()).collect();
        let number = args.output.parse::<usize>().ok().and_then(|i| outputs.get(i));
        let output = outputs.iter().find(|output| **output == args.output).or(number);
        let output = output.with_context(|| {
            format!("--output is {}, but {name} has {}", args.output, outputs.join(", "))
        })?;
        let (input, output) = (input.name().to_owned(), output.clone());
        let three = |option: &str, values: &[f64]| match *values {
            [all] => Ok(Tensor::from_slice(&[all; 3]).to_kind(Kind::Float).view([1, 3, 1, 1])),
            [_, _, _] => Ok(Tensor::from_slice(values).to_kind(Kind::Float).view([1, 3, 1, 1])),
            _ => Err(anyhow!("{option} has {} values, expected 1 or 3", values.len())),
        };
        ensure!(
            args.std.iter().all(|&s| s > 0.0 && s.is_finite()),
            "--std has a value of 0 or less, expected more than 0"
        );
        ensure!(
            args.mean.iter().all(|m| m.is_finite()),
            "--mean is {:?}, expected numbers",
            args.mean
        );
        let scale = [three("--mean", &args.mean)?, three("--std", &args.std)?];
        Ok(Self { session, input, output, sides, scale, activation: None })
    }

    /// The probability that each pixel of 1×3×H×W in [−1, 1] is foreground: 1×1×h×w in [0, 1].
    pub fn inside(&mut self, picture: &Tensor, args: &SegmenterArgs) -> Result<Tensor> {
        let x = ((picture + 1.0) / 2.0 - &self.scale[0]) / &self.scale[1];
        let values = pixels::floats(&x);
        let input = TensorRef::from_array_view((x.size(), values.as_slice()))?;
        let outputs = self.session.run(ort::inputs![self.input.as_str() => input])?;
        let output = outputs.get(&self.output).context("the output is missing")?;
        if let Some(classes) = integers(output)? {
            ensure!(
                !args.class.is_empty(),
                "it outputs class numbers; set --class to those of the foreground"
            );
            let inside = args.class.iter().map(|&class| classes.eq(class));
            let inside = inside.reduce(|a, b| a.logical_or(&b)).context("no class")?;
            return Ok(inside.to_kind(Kind::Float));
        }
        let (shape, values) = output.try_extract_tensor::<f32>()?;
        let values = planes(&Tensor::from_slice(values).view(&**shape))?;
        let channels = values.size()[1];
        let activation = *self.activation.get_or_insert_with(|| match args.activation {
            Activation::Auto => activation_for(&values),
            given => given,
        });
        let values = match activation {
            Activation::Sigmoid => values.sigmoid(),
            Activation::Softmax => values.softmax(1, Kind::Float),
            Activation::Auto | Activation::None => values,
        };
        if channels == 1 && args.class.is_empty() {
            return Ok(values);
        }
        ensure!(
            !args.class.is_empty(),
            "it has {channels} classes; set --class to those of the foreground"
        );
        if let Some(class) = args.class.iter().find(|&&class| !(0..channels).contains(&class)) {
            bail!("--class is {class}, expected 0 to {}", channels - 1);
        }
        let inside = values.index_select(1, &Tensor::from_slice(&args.class));
        Ok(inside.sum_dim_intlist([1i64].as_slice(), true, Kind::Float))
    }
}

/// The activation that turns such values into probabilities.
fn activation_for(values: &Tensor) -> Activation {
    let (least, most) = (values.min().double_value(&[]), values.max().double_value(&[]));
    let sums = values.sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
    let to_one = (sums - 1.0).abs().max().double_value(&[]) < 1e-2;
    match values.size()[1] {
        _ if least < 0.0 || most > 1.0 + 1e-4 => match values.size()[1] {
            1 => Activation::Sigmoid,
            _ => Activation::Softmax,
        },
        1 => Activation::None,
        _ if to_one => Activation::None,
        _ => Activation::Softmax,
    }
}

/// 1×1×H×W of class numbers, if the output has integers.
fn integers(output: &DynValue) -> Result<Option<Tensor>> {
    let tensor = if let Ok((shape, values)) = output.try_extract_tensor::<i64>() {
        Tensor::from_slice(values).view(&**shape)
    } else if let Ok((shape, values)) = output.try_extract_tensor::<i32>() {
        Tensor::from_slice(values).to_kind(Kind::Int64).view(&**shape)
    } else if let Ok((shape, values)) = output.try_extract_tensor::<u8>() {
        Tensor::from_slice(values).to_kind(Kind::Int64).view(&**shape)
    } else {
        return Ok(None);
    };
    let classes = planes(&tensor)?;
    ensure!(classes.size()[1] == 1, "its output is {:?}, expected N×H×W", tensor.size());
    Ok(Some(classes.to_kind(Kind::Float)))
}

/// N×C×H×W or N×H×W, returned as N×C×H×W.
fn planes(values: &Tensor) -> Result<Tensor> {
    match values.size()[..] {
        [1, _, _, _] => Ok(values.shallow_clone()),
        [1, _, _] => Ok(values.unsqueeze(1)),
        ref other => bail!("its output is {other:?}, expected 1×C×H×W or 1×H×W"),
    }
}
