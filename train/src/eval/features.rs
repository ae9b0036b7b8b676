// SPDX-License-Identifier: MIT OR Apache-2.0

//! Features and class probabilities of images by an ONNX network.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use ort::{session::Session, value::TensorRef};
use tch::{Kind, Tensor};

use crate::{onnx_generator::session, pixels};

const OUTPUT_FEATURES: &str = "features";
const OUTPUT_PROBS: &str = "probs";

/// Input scaling of the network: (grey level − mean) / std.
#[derive(Clone, Copy, Debug)]
pub struct Scaling {
    /// Grey level that becomes 0.
    pub mean: f64,
    /// Grey levels per unit.
    pub std: f64,
}

/// The scaling of EfficientNet-Lite.
impl Default for Scaling {
    fn default() -> Self {
        Self { mean: 127.0, std: 128.0 }
    }
}

/// A network with an output `features` and, if it classifies, `probs`.
#[derive(Debug)]
pub struct FeatureNetwork {
    session: Session,
    input: String,
    side: i64,
    scaling: Scaling,
    classes: Option<usize>,
}

/// The network's output for an image.
#[derive(Debug)]
pub struct FeatureOutput {
    /// D.
    pub features: Tensor,
    /// The most probable class, if the network classifies.
    pub class: Option<usize>,
}

impl FeatureNetwork {
    /// Loads a network whose input is 1×3×S×S.
    pub fn open(path: &Path, scaling: Scaling) -> Result<Self> {
        let session = session(path, 0).with_context(|| path.display().to_string())?;
        let input = session.inputs().first().context("the feature network has no input")?;
        let shape = input.dtype().tensor_shape().map(|s| s.to_vec()).unwrap_or_default();
        let side = match shape[..] {
            [_, 3, h, w] if h == w && h > 0 => h,
            _ => {
                return Err(anyhow!(
                    "{}: its input is {shape:?}, expected 1×3×S×S",
                    path.display()
                ));
            }
        };
        let input = input.name().to_owned();
        let has = |name: &str| session.outputs().iter().any(|o| o.name() == name);
        anyhow::ensure!(has(OUTPUT_FEATURES), "{}: no output `{OUTPUT_FEATURES}`", path.display());
        let probs = session.outputs().iter().find(|o| o.name() == OUTPUT_PROBS);
        let shape = probs.and_then(|o| o.dtype().tensor_shape().map(|s| s.to_vec()));
        let classes = shape.map(|shape| shape.last().map_or(0, |&n| n.max(0) as usize));
        Ok(Self { session, input, side, scaling, classes })
    }

    /// Number of classes; `None` if it does not classify, 0 if the file does not say how many.
    pub fn classes(&self) -> Option<usize> {
        self.classes
    }

    /// Runs the network on 1×3×H×W in [−1, 1].
    pub fn run(&mut self, picture: &Tensor) -> Result<FeatureOutput> {
        let side = [self.side, self.side];
        let x = picture.internal_upsample_bicubic2d_aa(side, false, None, None);
        let x = ((x + 1.0) * 127.5 - self.scaling.mean) / self.scaling.std;
        let values = pixels::floats(&x);
        let input = TensorRef::from_array_view((x.size(), values.as_slice()))?;
        let outputs = self.session.run(ort::inputs![self.input.as_str() => input])?;
        let output = |name: &str| -> Result<Vec<f32>> {
            let value = outputs.get(name).ok_or_else(|| anyhow!("no output `{name}`"))?;
            Ok(value.try_extract_tensor::<f32>()?.1.to_vec())
        };
        let features = Tensor::from_slice(&output(OUTPUT_FEATURES)?).to_kind(Kind::Float);
        let probs = self.classes.map_or_else(|| Ok(Vec::new()), |_| output(OUTPUT_PROBS))?;
        let class = (0..probs.len()).max_by(|&a, &b| probs[a].total_cmp(&probs[b]));
        Ok(FeatureOutput { features, class })
    }
}
