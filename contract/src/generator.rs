// SPDX-License-Identifier: MIT OR Apache-2.0

//! Checks that an ONNX file is a generator, before a runtime loads it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    ContractError, Metadata, Precision,
    declared::{Declared, Dim, ElementType},
    external_data::{self, Home},
    file_kind::recognize,
    onnx::{DataType, Message, ModelProto},
    outline::{Graph, Model},
};

/// What the file of a model declares, checked against the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generator {
    /// Name of the input tensor.
    pub input: String,
    /// Its element type.
    pub input_type: ElementType,
    /// Name of the image output.
    pub output: String,
    /// Its element type.
    pub output_type: ElementType,
    /// The element type of the output `mask`, N×1×H×W in [0, 1], if there is one.
    pub mask: Option<ElementType>,
    /// The arithmetic of its operators.
    pub precision: Precision,
    /// Batch size: one, or any number.
    pub batch: Dim,
    /// Height of the input.
    pub height: Dim,
    /// Width of the input.
    pub width: Dim,
    /// The other files that hold its weights, by their location in the model; links are resolved.
    pub external_data: BTreeMap<String, PathBuf>,
    /// The file's metadata.
    pub metadata: Metadata,
}

impl Generator {
    /// The name of the mask output.
    pub const MASK: &str = "mask";

    /// Reads and checks the model at `path`, with its external data.
    ///
    /// # Errors
    /// If the file cannot be read or does not follow the contract.
    pub fn read(path: &Path) -> Result<Self, ContractError> {
        Self::check_at(&fs::read(path)?, &Home::of(path))
    }

    /// Checks the bytes of a model whose external data, if any, must be inside `folder`.
    ///
    /// # Errors
    /// If the bytes do not follow the contract.
    pub fn check(bytes: &[u8], folder: &Path) -> Result<Self, ContractError> {
        Self::check_at(bytes, &Home::folder(folder))
    }

    fn check_at(bytes: &[u8], home: &Home) -> Result<Self, ContractError> {
        let model = decode_with(bytes, |model: &Model| {
            model.graph.as_ref().is_some_and(|graph| !graph.node.is_empty())
        })?;
        let graph = model.graph.as_ref().ok_or(ContractError::NoGraph)?;
        let external_data = external_data::files(&model, home)?;

        let input = image_input(graph)?;
        let (output, mask) = outputs(graph, &input)?;
        let input_type = input.element.ok_or_else(|| input.refused())?;
        Ok(Self {
            input_type,
            output_type: output.element.ok_or_else(|| output.refused_as_output(&input))?,
            mask: mask.and_then(|mask| mask.element),
            precision: precision(graph, input_type),
            batch: input.axis(0),
            // If only the input's axes are exported as dynamic, the output has a fixed size.
            height: input.axis(2).or(output.axis(2)),
            width: input.axis(3).or(output.axis(3)),
            input: input.name,
            output: output.name,
            external_data,
            metadata: Metadata::from_props(&model.metadata_props)?,
        })
    }
}

/// Decodes the bytes of any ONNX model; the result has a graph with nodes.
///
/// # Errors
/// If the bytes are of something else. The error says of what, if that is known.
pub fn decode(bytes: &[u8]) -> Result<ModelProto, ContractError> {
    decode_with(bytes, |model: &ModelProto| {
        model.graph.as_ref().is_some_and(|graph| !graph.node.is_empty())
    })
}

fn decode_with<M: Message + Default>(
    bytes: &[u8],
    has_nodes: impl FnOnce(&M) -> bool,
) -> Result<M, ContractError> {
    if bytes.is_empty() {
        return Err(ContractError::Empty);
    }
    // Other kinds are considered only if the file fails as a model.
    let refuse = |error| match recognize(bytes) {
        Some(kind) => ContractError::OtherKind { kind },
        None => error,
    };
    let model = M::decode(bytes).map_err(|error| refuse(error.into()))?;
    match has_nodes(&model) {
        true => Ok(model),
        false => Err(refuse(ContractError::NoGraph)),
    }
}

/// The arithmetic of a graph, by its operators and weights.
fn precision(graph: &Graph, input: ElementType) -> Precision {
    let is_quantized = |op: &str| {
        matches!(op, "QuantizeLinear" | "DequantizeLinear" | "ConvInteger" | "MatMulInteger")
            || op.starts_with("QLinear")
    };
    if graph.node.iter().any(|node| is_quantized(&node.op_type)) {
        return Precision::Int8;
    }
    // float16 models may keep float32 inputs, converted by a first operator.
    let weights = |data_type: DataType| -> i64 {
        let constants =
            graph.node.iter().flat_map(|node| &node.attribute).filter_map(|a| a.t.as_ref());
        let tensors = graph.initializer.iter().chain(constants);
        let of_type = tensors.filter(|tensor| tensor.data_type == data_type as i32);
        of_type
            .map(|tensor| tensor.dims.iter().fold(1_i64, |n, &dim| n.saturating_mul(dim.max(0))))
            .fold(0, i64::saturating_add)
    };
    let (fp16, fp32) = (weights(DataType::Float16), weights(DataType::Float));
    match input {
        ElementType::F16 => Precision::Fp16,
        ElementType::F32 if fp16 > fp32 => Precision::Fp16,
        ElementType::F32 => Precision::Fp32,
    }
}

fn image_input(graph: &Graph) -> Result<Declared, ContractError> {
    let is_weight = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    let inputs = graph.input.iter().filter(|value| !is_weight(&value.name));
    let mut inputs: Vec<_> = inputs.map(Declared::of).collect();
    let input = match inputs.pop() {
        Some(input) if inputs.is_empty() => input,
        last => {
            let found = list("input", inputs.iter().chain(&last));
            return Err(ContractError::Input { found, remedy: String::new() });
        }
    };
    // An input without a shape may be anything. Dynamic channels are checked by the first run.
    let is_image = input.shape.is_some() && input.is_image(3) && !input.has_channels_last();
    if input.element.is_none() || !is_image {
        return Err(input.refused());
    }
    for side in [input.axis(2), input.axis(3)] {
        if matches!(side, Dim::Fixed(length) if length > ContractError::MAX_SIDE) {
            return Err(ContractError::Size { found: input.to_string() });
        }
    }
    Ok(input)
}

/// The image output and the optional mask output.
fn outputs(graph: &Graph, input: &Declared) -> Result<(Declared, Option<Declared>), ContractError> {
    // An only output is the image, whatever its name is.
    let is_mask = |output: &Declared| graph.output.len() > 1 && output.name == Generator::MASK;
    let (mut masks, mut images): (Vec<_>, Vec<_>) =
        graph.output.iter().map(Declared::of).partition(is_mask);
    let image = match images.pop() {
        Some(image) if images.is_empty() => image,
        last => {
            let found = list("output", images.iter().chain(&last));
            let remedy = if images.is_empty() {
                String::new()
            } else {
                "; remove the others as docs/models.md shows".to_owned()
            };
            let expected = input.to_string();
            return Err(ContractError::Output { found, expected, remedy });
        }
    };
    let same_size = (2..4).all(|axis| image.axis(axis).agrees(input.axis(axis)));
    let is_image = image.is_image(3) && !image.has_channels_last();
    if image.element.is_none() || !is_image || !same_size {
        return Err(image.refused_as_output(input));
    }
    if let Some(mask) = masks.iter().find(|mask| mask.element.is_none() || !mask.is_image(1)) {
        return Err(ContractError::Mask { found: mask.to_string() });
    }
    Ok((image, masks.pop()))
}

/// The `values`, none or several, as the start of a message; `what` is "input" or "output".
fn list<'a>(what: &str, values: impl Iterator<Item = &'a Declared>) -> String {
    let values: Vec<_> = values.map(Declared::to_string).collect();
    match &values[..] {
        [] => format!("{what} is missing"),
        values => format!("{what}s are {}", values.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{
        AttributeProto, DimensionProto, GraphProto, NodeProto, TensorProto, TensorShapeProto,
        TensorTypeProto, TypeProto, ValueInfoProto, dimension::Value,
    };

    fn value(name: &str, elem_type: DataType, shape: &[i64]) -> ValueInfoProto {
        let dim =
            shape.iter().map(|&length| DimensionProto { value: Some(Value::DimValue(length)) });
        let shape = Some(TensorShapeProto { dim: dim.collect() });
        let tensor_type = Some(TensorTypeProto { elem_type: elem_type as i32, shape });
        ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
    }

    fn model(input: ValueInfoProto, outputs: Vec<ValueInfoProto>) -> ModelProto {
        let node = NodeProto { op_type: "Identity".to_owned(), ..Default::default() };
        let graph = GraphProto {
            node: vec![node],
            input: vec![input],
            output: outputs,
            ..Default::default()
        };
        ModelProto { graph: Some(graph), ..Default::default() }
    }

    fn check(model: &ModelProto) -> Result<Generator, ContractError> {
        Generator::check(&model.encode_to_vec(), Path::new("."))
    }

    fn image(name: &str, shape: &[i64]) -> ValueInfoProto {
        value(name, DataType::Float, shape)
    }

    #[test]
    fn dynamic_axes_and_a_mask_are_read() {
        let outputs = vec![image("mask", &[1, 1, -1, -1]), image("out", &[1, 3, -1, -1])];
        let generator = check(&model(image("in", &[1, 3, -1, 256]), outputs)).unwrap();
        assert_eq!((generator.height, generator.width), (Dim::Dynamic, Dim::Fixed(256)));
        assert_eq!((generator.output.as_str(), generator.mask), ("out", Some(ElementType::F32)));
        assert_eq!(generator.batch, Dim::Fixed(1));
    }

    #[test]
    fn an_only_output_is_the_image() {
        let image = |name| image(name, &[1, 3, 64, 64]);
        let generator = check(&model(image("in"), vec![image("mask")])).unwrap();
        assert_eq!((generator.output.as_str(), generator.mask), ("mask", None));
    }

    #[test]
    fn the_error_for_a_second_image_output_says_which_one_may_stay() {
        let image = |name| image(name, &[1, 3, 64, 64]);
        let message = check(&model(image("in"), vec![image("out"), image("more")])).unwrap_err();
        for words in
            ["outputs are `out`", "and optionally `mask`", "remove the others", "docs/models.md"]
        {
            assert!(message.to_string().contains(words), "{message} should say `{words}`");
        }
    }

    #[test]
    fn the_error_for_a_second_input_names_both() {
        let image = |name| image(name, &[1, 3, 64, 64]);
        let mut model = model(image("in"), vec![image("out")]);
        let graph = model.graph.as_mut().unwrap();
        graph.input.push(image("style"));
        let message = check(&model).unwrap_err().to_string();
        assert!(
            message.starts_with("its inputs are `in` (float32 1×3×64×64), `style`"),
            "{message}"
        );
    }

    #[test]
    fn a_fixed_output_fixes_the_size() {
        let generator =
            check(&model(image("in", &[-1, 3, -1, -1]), vec![image("out", &[1, 3, 256, 128])]));
        let generator = generator.unwrap();
        assert_eq!((generator.height, generator.width), (Dim::Fixed(256), Dim::Fixed(128)));
    }

    #[test]
    fn a_model_that_is_not_a_generator_is_refused() {
        let good = || image("in", &[1, 3, 64, 64]);
        let cases = [
            (model(image("in", &[1, 4, 64, 64]), vec![good()]), "1×4×64×64"),
            (model(image("in", &[8, 3, 64, 64]), vec![good()]), "8×3×64×64"),
            (model(value("in", DataType::Uint8, &[1, 3, 64, 64]), vec![good()]), "uint8"),
            (model(good(), vec![image("probs", &[1, 1000])]), "1×1000"),
            (
                model(good(), vec![image("probs", &[-1, 1000])]),
                "a classifier, not an image generator",
            ),
            (model(good(), vec![image("out", &[1, 3, 128, 128])]), "1×3×128×128"),
            (model(good(), vec![]), "missing"),
            (model(good(), vec![good(), image("more", &[1, 3, 64, 64])]), "`more`"),
            (model(good(), vec![good(), image("mask", &[1, 3, 64, 64])]), "`mask`"),
            (model(image("in", &[1, 3, 64, 100_000]), vec![good()]), "100000"),
        ];
        for (model, found) in cases {
            let message = check(&model).unwrap_err().to_string();
            assert!(message.contains(found), "{message} should name {found}");
        }
    }

    /// As `optimum` exports them.
    #[test]
    fn all_axes_may_be_dynamic() {
        let dynamic = [-1, -1, -1, -1];
        let generator = check(&model(image("in", &dynamic), vec![image("out", &dynamic)])).unwrap();
        assert_eq!((generator.batch, generator.height), (Dim::Dynamic, Dim::Dynamic));
    }

    /// Exporters of TensorFlow put the channels last, and mobile toolchains use 8-bit values.
    #[test]
    fn the_error_for_another_layout_or_type_says_what_to_do() {
        let good = || image("in", &[1, 3, 64, 64]);
        let (last, bytes) = (["channels first", "Transpose"], ["float32", "a Cast"]);
        let batch = ["its batch is 4", "docs/models.md"];
        let cases = [
            (model(image("in", &[1, 64, 64, 3]), vec![good()]), last),
            (model(image("in", &[-1, -1, -1, 3]), vec![good()]), last),
            (model(image("in", &[1, 3, -1, -1]), vec![image("out", &[1, -1, -1, 3])]), last),
            (model(good(), vec![image("out", &[1, 64, 64, 3])]), last),
            (model(value("in", DataType::Uint8, &[1, 3, 64, 64]), vec![good()]), bytes),
            (model(value("in", DataType::Uint8, &[1, 64, 64, 3]), vec![good()]), last),
            (model(value("in", DataType::Uint8, &[1, 64, 64, 3]), vec![good()]), bytes),
            (model(good(), vec![value("out", DataType::Uint8, &[1, 3, 64, 64])]), bytes),
            (model(value("in", DataType::Double, &[1, 3, 64, 64]), vec![good()]), bytes),
            (model(image("in", &[4, 3, 64, 64]), vec![good()]), batch),
        ];
        for (model, remedy) in cases {
            let message = check(&model).unwrap_err().to_string();
            for words in remedy {
                assert!(message.contains(words), "{message} should say `{words}`");
            }
        }
        // Three rows of pixels are no channels.
        check(&model(image("in", &[1, 3, 64, 3]), vec![image("out", &[1, 3, 64, 3])])).unwrap();
    }

    #[test]
    fn bytes_that_are_not_a_model_are_refused() {
        let folder = Path::new(".");
        assert!(matches!(Generator::check(&[], folder), Err(ContractError::Empty)));
        let garbage = [0xff; 64];
        assert!(matches!(Generator::check(&garbage, folder), Err(ContractError::NotOnnx(_))));
        let no_graph = ModelProto { ir_version: 8, ..Default::default() }.encode_to_vec();
        assert!(matches!(Generator::check(&no_graph, folder), Err(ContractError::NoGraph)));
    }

    #[test]
    fn precision_comes_from_operators_and_weights() {
        let weight = |data_type: DataType| TensorProto {
            dims: vec![3, 3],
            data_type: data_type as i32,
            ..Default::default()
        };
        let shape = [1, 3, 8, 8];
        let of = |element, op: &str, weights: &[DataType]| {
            let mut model =
                model(value("in", element, &shape), vec![value("out", element, &shape)]);
            let graph = model.graph.as_mut().unwrap();
            graph.node[0].op_type = op.to_owned();
            graph.initializer = weights.iter().map(|&w| weight(w)).collect();
            check(&model).unwrap().precision
        };
        assert_eq!(of(DataType::Float, "Conv", &[DataType::Float]), Precision::Fp32);
        assert_eq!(of(DataType::Float16, "Conv", &[DataType::Float16]), Precision::Fp16);
        assert_eq!(of(DataType::Float, "Cast", &[DataType::Float16]), Precision::Fp16);
        assert_eq!(of(DataType::Float, "DequantizeLinear", &[DataType::Float]), Precision::Int8);
        // Some exporters write weights as constants.
        let mut constant = model(image("in", &shape), vec![image("out", &shape)]);
        constant.graph.as_mut().unwrap().node[0]
            .attribute
            .push(AttributeProto { t: Some(weight(DataType::Float16)), ..Default::default() });
        assert_eq!(check(&constant).unwrap().precision, Precision::Fp16);
        assert_eq!(of(DataType::Float, "QLinearConv", &[DataType::Int8]), Precision::Int8);
    }

    #[test]
    fn the_error_names_the_kind_of_file() {
        let page = b"<!DOCTYPE html><html><body>Sign in</body></html>";
        let message = Generator::check(page, Path::new(".")).unwrap_err().to_string();
        assert!(message.contains("not an ONNX model but an HTML page"), "{message}");
        let lfs = b"version https://git-lfs.github.com/spec/v1
oid sha256:0
size 1
";
        let message = Generator::check(lfs, Path::new(".")).unwrap_err().to_string();
        assert!(message.contains("Git LFS") && message.contains("git lfs pull"), "{message}");
    }
}
