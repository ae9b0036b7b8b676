// SPDX-License-Identifier: MIT OR Apache-2.0

//! Checking that a decoded ONNX file is a generator, before any runtime sees it.

use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Component, Path, PathBuf},
};

use crate::{
    Metadata, MetadataError,
    onnx::{
        DataType, GraphProto, Message, ModelProto, TensorProto, ValueInfoProto, dimension::Value,
    },
};

/// The name of the optional second output.
const MASK: &str = "mask";
/// Graphs nest in control flow only; deeper than this is no generator.
const MAX_GRAPH_DEPTH: usize = 8;

/// Why a file is no generator: what was found and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The file could not be read.
    #[error(transparent)]
    Unreadable(#[from] std::io::Error),
    /// The file has no bytes.
    #[error("the file is empty, expected an ONNX model")]
    Empty,
    /// The bytes do not decode.
    #[error("not an ONNX model or cut short")]
    NotOnnx(#[from] prost::DecodeError),
    /// The bytes decode, but there is no network in them.
    #[error("not an ONNX model: it holds no graph with nodes")]
    NoGraph,
    /// The input is not an image.
    #[error("its input is {found}, expected one image input, float32 or float16, 1×3×H×W")]
    Input {
        /// What the model declares.
        found: String,
    },
    /// The output is not an image of the input's size.
    #[error("its output is {found}, expected one image output of the input's size {expected}")]
    Output {
        /// What the model declares.
        found: String,
        /// Type and shape of the input.
        expected: String,
    },
    /// The mask output is not a mask.
    #[error("its output `mask` is {found}, expected float32 or float16, 1×1×H×W")]
    Mask {
        /// What the model declares.
        found: String,
    },
    /// A fixed size is none, or too large.
    #[error("its input is {found}, expected sides from 1 to {max} pixels", max = Self::MAX_SIDE)]
    Size {
        /// What the model declares.
        found: String,
    },
    /// Weights stand in another file that is missing, too short or outside the model's folder.
    #[error("the data of tensor `{tensor}` are in `{location}`, {problem}")]
    ExternalData {
        /// Name of the tensor.
        tensor: String,
        /// The file that the model names.
        location: String,
        /// What is wrong with it, and what was expected.
        problem: String,
    },
    /// Control flow nests too deeply.
    #[error("its graphs nest more than {MAX_GRAPH_DEPTH} deep, expected a plain generator")]
    TooDeep,
    /// A `cyclegan.*` entry is wrong.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

impl ContractError {
    /// The longest fixed side that is accepted, in pixels.
    const MAX_SIDE: u32 = 8192;
}

/// The length of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    /// Always this long.
    Fixed(u32),
    /// Known when running.
    Dynamic,
}

impl Dim {
    fn may_be(self, length: u32) -> bool {
        self == Self::Dynamic || self == Self::Fixed(length)
    }

    fn agrees(self, other: Self) -> bool {
        self == Self::Dynamic || other == Self::Dynamic || self == other
    }
}

/// The element types that a generator's tensors may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElementType {
    /// float32.
    F32,
    /// float16.
    F16,
}

/// A model that fits the contract, as far as a file can tell.
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
    /// Whether there is an output `mask`, N×1×H×W.
    pub has_mask: bool,
    /// Height of the input.
    pub height: Dim,
    /// Width of the input.
    pub width: Dim,
    /// The other files that hold its weights, if there are any.
    pub external_data: BTreeSet<PathBuf>,
    /// What the file says about itself.
    pub metadata: Metadata,
}

impl Generator {
    /// Reads and checks the model at `path`, external data included.
    pub fn read(path: &Path) -> Result<Self, ContractError> {
        let bytes = fs::read(path)?;
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        Self::check(&bytes, folder)
    }

    /// Checks the bytes of a model whose external data, if any, must stand inside `folder`.
    pub fn check(bytes: &[u8], folder: &Path) -> Result<Self, ContractError> {
        if bytes.is_empty() {
            return Err(ContractError::Empty);
        }
        let model = ModelProto::decode(bytes)?;
        let graph = model.graph.as_ref().filter(|graph| !graph.node.is_empty());
        let graph = graph.ok_or(ContractError::NoGraph)?;
        let mut external_data = BTreeSet::new();
        check_external_data(graph, folder, 0, &mut external_data)?;

        let input = image_input(graph)?;
        let (output, has_mask) = outputs(graph, &input)?;
        Ok(Self {
            input_type: input.element.ok_or_else(|| input.refused())?,
            output_type: output.element.ok_or_else(|| output.refused_as_output(&input))?,
            height: input.axis(2),
            width: input.axis(3),
            input: input.name,
            output: output.name,
            has_mask,
            external_data,
            metadata: Metadata::from_props(&model.metadata_props)?,
        })
    }
}

/// A declared input or output.
struct Declared {
    name: String,
    /// `None` for every type that the contract does not know.
    element: Option<ElementType>,
    /// `None` where the file gives no shape, which is usual for outputs.
    shape: Option<Vec<Dim>>,
    /// The type as the file has it, for messages.
    type_name: String,
}

impl Declared {
    fn of(value: &ValueInfoProto) -> Self {
        let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
        let data_type = tensor.and_then(|t| DataType::try_from(t.elem_type).ok());
        let (element, type_name) = match data_type {
            Some(DataType::Float) => (Some(ElementType::F32), "float32".to_owned()),
            Some(DataType::Float16) => (Some(ElementType::F16), "float16".to_owned()),
            Some(other) => (None, format!("{other:?}").to_lowercase()),
            None => (None, "no tensor".to_owned()),
        };
        let shape = tensor.and_then(|t| t.shape.as_ref()).map(|shape| {
            let dims = shape.dim.iter().map(|dim| match dim.value {
                // Some exporters write -1 or 0 for a dynamic axis.
                Some(Value::DimValue(length)) => match u32::try_from(length) {
                    Ok(0) | Err(_) => Dim::Dynamic,
                    Ok(length) => Dim::Fixed(length),
                },
                _ => Dim::Dynamic,
            });
            dims.collect()
        });
        Self { name: value.name.clone(), element, shape, type_name }
    }

    /// The length of axis `index` of N×C×H×W.
    fn axis(&self, index: usize) -> Dim {
        let dim = self.shape.as_ref().and_then(|shape| shape.get(index));
        dim.copied().unwrap_or(Dim::Dynamic)
    }

    /// Whether it can be N×`channels`×H×W with one image at a time.
    fn is_image(&self, channels: u32) -> bool {
        let rank_fits = self.shape.as_ref().is_none_or(|shape| shape.len() == 4);
        rank_fits && self.axis(0).may_be(1) && self.axis(1).may_be(channels)
    }

    fn refused(&self) -> ContractError {
        ContractError::Input { found: self.to_string() }
    }

    fn refused_as_output(&self, input: &Self) -> ContractError {
        ContractError::Output { found: self.to_string(), expected: input.to_string() }
    }
}

impl fmt::Display for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({}", self.name, self.type_name)?;
        for (axis, dim) in self.shape.iter().flatten().enumerate() {
            f.write_str(if axis == 0 { " " } else { "×" })?;
            match dim {
                Dim::Fixed(length) => write!(f, "{length}")?,
                Dim::Dynamic => f.write_str("?")?,
            }
        }
        f.write_str(")")
    }
}

fn image_input(graph: &GraphProto) -> Result<Declared, ContractError> {
    let is_weight = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    let inputs = graph.input.iter().filter(|value| !is_weight(&value.name));
    let mut inputs: Vec<_> = inputs.map(Declared::of).collect();
    let input = match inputs.pop() {
        Some(input) if inputs.is_empty() => input,
        last => {
            return Err(ContractError::Input { found: list(inputs.iter().chain(&last)) });
        }
    };
    // An input with no shape at all says nothing that could be checked.
    let has_channels = input.axis(1) == Dim::Fixed(3);
    if input.element.is_none() || !input.is_image(3) || !has_channels {
        return Err(input.refused());
    }
    for side in [input.axis(2), input.axis(3)] {
        if matches!(side, Dim::Fixed(length) if length > ContractError::MAX_SIDE) {
            return Err(ContractError::Size { found: input.to_string() });
        }
    }
    Ok(input)
}

/// The image output, and whether there is a mask beside it.
fn outputs(graph: &GraphProto, input: &Declared) -> Result<(Declared, bool), ContractError> {
    let (masks, mut images): (Vec<_>, Vec<_>) =
        graph.output.iter().map(Declared::of).partition(|output| output.name == MASK);
    let image = match images.pop() {
        Some(image) if images.is_empty() => image,
        last => {
            let found = list(images.iter().chain(&last));
            return Err(ContractError::Output { found, expected: input.to_string() });
        }
    };
    let same_size = (2..4).all(|axis| image.axis(axis).agrees(input.axis(axis)));
    if image.element.is_none() || !image.is_image(3) || !same_size {
        return Err(image.refused_as_output(input));
    }
    if let Some(mask) = masks.iter().find(|mask| mask.element.is_none() || !mask.is_image(1)) {
        return Err(ContractError::Mask { found: mask.to_string() });
    }
    Ok((image, !masks.is_empty()))
}

fn list<'a>(values: impl Iterator<Item = &'a Declared>) -> String {
    let values: Vec<_> = values.map(Declared::to_string).collect();
    if values.is_empty() { "missing".to_owned() } else { values.join(", ") }
}

/// Checks every tensor of `graph`, in nested graphs too, that keeps its data in another file, and
/// adds that file to `files`.
fn check_external_data(
    graph: &GraphProto,
    folder: &Path,
    depth: usize,
    files: &mut BTreeSet<PathBuf>,
) -> Result<(), ContractError> {
    if depth > MAX_GRAPH_DEPTH {
        return Err(ContractError::TooDeep);
    }
    let attributes = || graph.node.iter().flat_map(|node| &node.attribute);
    let in_attributes = attributes().flat_map(|a| a.t.iter().chain(&a.tensors));
    for tensor in graph.initializer.iter().chain(in_attributes) {
        if tensor.data_location == 1 || !tensor.external_data.is_empty() {
            files.insert(check_tensor_file(tensor, folder)?);
        }
    }
    for nested in attributes().flat_map(|a| a.g.iter().chain(&a.graphs)) {
        check_external_data(nested, folder, depth + 1, files)?;
    }
    Ok(())
}

/// The file that holds the data of `tensor`, all of them.
fn check_tensor_file(tensor: &TensorProto, folder: &Path) -> Result<PathBuf, ContractError> {
    let entry = |key: &str| {
        let entry = tensor.external_data.iter().find(|entry| entry.key == key);
        entry.map(|entry| entry.value.as_str())
    };
    let location = entry("location").unwrap_or_default();
    let refuse = |problem: String| ContractError::ExternalData {
        tensor: tensor.name.clone(),
        location: location.to_owned(),
        problem,
    };
    let number = |key: &str| match entry(key) {
        None => Ok(0),
        Some(text) => text
            .parse::<u64>()
            .map_err(|_| refuse(format!("`{key}` is `{text}`, expected a number of bytes"))),
    };

    let file = inside(folder, Path::new(location))
        .ok_or_else(|| refuse("expected a file inside the model's folder".to_owned()))?;
    let size = match fs::metadata(&file) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => return Err(refuse("which is no file".to_owned())),
        Err(error) => return Err(refuse(format!("which cannot be read: {error}"))),
    };
    let end = number("offset")?.checked_add(number("length")?);
    if end.is_none_or(|end| end > size) {
        return Err(refuse(format!("which ends after {size} bytes, before the tensor does")));
    }
    Ok(file)
}

/// The file at `location` under `folder`, or `None` if it is not inside, links followed.
fn inside(folder: &Path, location: &Path) -> Option<PathBuf> {
    let is_plain = location.components().all(|part| matches!(part, Component::Normal(_)));
    if !is_plain || location.as_os_str().is_empty() {
        return None;
    }
    let file = folder.join(location);
    match (file.canonicalize(), folder.canonicalize()) {
        (Ok(real), Ok(real_folder)) => real.starts_with(real_folder).then_some(real),
        // A missing file is reported as such by whoever opens it.
        _ => Some(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{
        DimensionProto, NodeProto, StringStringEntryProto, TensorShapeProto, TensorTypeProto,
        TypeProto,
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
        assert_eq!((generator.output.as_str(), generator.has_mask), ("out", true));
    }

    #[test]
    fn what_is_no_generator_is_refused_with_what_was_found() {
        let good = || image("in", &[1, 3, 64, 64]);
        let cases = [
            (model(image("in", &[1, 4, 64, 64]), vec![good()]), "1×4×64×64"),
            (model(image("in", &[8, 3, 64, 64]), vec![good()]), "8×3×64×64"),
            (model(value("in", DataType::Uint8, &[1, 3, 64, 64]), vec![good()]), "uint8"),
            (model(good(), vec![image("probs", &[1, 1000])]), "1×1000"),
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

    #[test]
    fn bytes_that_are_no_model_are_refused() {
        let folder = Path::new(".");
        assert!(matches!(Generator::check(&[], folder), Err(ContractError::Empty)));
        let garbage = [0xff; 64];
        assert!(matches!(Generator::check(&garbage, folder), Err(ContractError::NotOnnx(_))));
        let no_graph = ModelProto { ir_version: 8, ..Default::default() }.encode_to_vec();
        assert!(matches!(Generator::check(&no_graph, folder), Err(ContractError::NoGraph)));
    }

    #[test]
    fn external_data_must_stand_inside_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("weights.bin"), [0; 16]).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("link.bin")).unwrap();
        let check = |location: &str, length: &str| {
            let entry = |key: &str, value: &str| StringStringEntryProto {
                key: key.to_owned(),
                value: value.to_owned(),
            };
            let mut model = model(image("in", &[1, 3, 8, 8]), vec![image("out", &[1, 3, 8, 8])]);
            model.graph.as_mut().unwrap().initializer.push(TensorProto {
                name: "w".to_owned(),
                data_location: 1,
                external_data: vec![entry("location", location), entry("length", length)],
                ..Default::default()
            });
            Generator::check(&model.encode_to_vec(), folder.path())
        };
        let external_data = check("weights.bin", "16").unwrap().external_data;
        let names: Vec<_> = external_data.iter().filter_map(|file| file.file_name()).collect();
        assert_eq!(names, ["weights.bin"]);
        for (location, length) in [
            ("weights.bin", "17"),
            ("weights.bin", "-1"),
            ("missing.bin", "1"),
            ("link.bin", "1"),
            ("../weights.bin", "1"),
            ("/etc/hostname", "1"),
            ("", "1"),
        ] {
            let result = check(location, length);
            assert!(matches!(result, Err(ContractError::ExternalData { .. })), "{location}");
        }
    }
}
