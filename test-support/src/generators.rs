// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tiny generators, one for each kind of behaviour.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cyclegan_contract::{
    Metadata, ValueRange,
    onnx::{
        AttributeProto, AttributeType, DataType, DimensionProto, GraphProto, Message, ModelProto,
        NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto,
        TensorTypeProto, TypeProto, ValueInfoProto, dimension::Value,
    },
};
use tempfile::TempDir;

/// A temporary folder of models.
pub struct Models(TempDir);

impl Models {
    /// An empty folder.
    #[allow(clippy::new_without_default, reason = "a test says that it makes a folder")]
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Writes `model` to `name`, which may contain folders; returns its path.
    pub fn add(&self, name: &str, model: &ModelProto) -> PathBuf {
        self.add_bytes(name, &model.encode_to_vec())
    }

    /// Writes any bytes to `name`.
    pub fn add_bytes(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes a pair whose G is `forward` and whose F is `reverse` to the folder `name`.
    pub fn add_pair(&self, name: &str, forward: &ModelProto, reverse: &ModelProto) -> PathBuf {
        self.add(&format!("{name}/G.onnx"), forward);
        self.add(&format!("{name}/F.onnx"), reverse);
        self.folder().join(name)
    }
}

/// y = x.
pub fn identity() -> ModelProto {
    generator(vec![node("Identity", &["input"], "output")], vec![])
}

/// y = −x, the negative of a picture.
pub fn invert() -> ModelProto {
    generator(vec![node("Neg", &["input"], "output")], vec![])
}

/// Red and blue change places.
pub fn swap_channels() -> ModelProto {
    let mut gather = node("Gather", &["input", "order"], "output");
    gather.attribute.push(int_attribute("axis", 1));
    generator(vec![gather], vec![int_weight("order", &[2, 1, 0])])
}

/// y = `scale` · x + `offset`.
pub fn linear(scale: f32, offset: f32) -> ModelProto {
    let nodes = vec![
        node("Mul", &["input", "scale"], "scaled"),
        node("Add", &["scaled", "offset"], "output"),
    ];
    generator(
        nodes,
        vec![float_weight("scale", &[], &[scale]), float_weight("offset", &[], &[offset])],
    )
}

/// y = √x: NaN where an image is darker than the middle grey.
pub fn root() -> ModelProto {
    generator(vec![node("Sqrt", &["input"], "output")], vec![])
}

/// y = −x, plus 0 times the output of `layers` convolutions of 64 channels.
pub fn slow_invert(layers: usize) -> ModelProto {
    const CHANNELS: i64 = 64;
    let conv = |input: &str, weight: &str, output: &str| {
        let mut conv = node("Conv", &[input, weight], output);
        conv.attribute.push(ints_attribute("kernel_shape", &[3, 3]));
        conv.attribute.push(ints_attribute("pads", &[1, 1, 1, 1]));
        conv
    };
    let kernel = |name: &str, out: i64, into: i64| {
        float_weight(name, &[out, into, 3, 3], &vec![1e-3; (out * into * 9) as usize])
    };
    let mut nodes = vec![conv("input", "first", "hidden0")];
    let mut weights = vec![kernel("first", CHANNELS, 3)];
    for layer in 0..layers {
        let name = format!("weight{layer}");
        nodes.push(conv(&format!("hidden{layer}"), &name, &format!("hidden{}", layer + 1)));
        weights.push(kernel(&name, CHANNELS, CHANNELS));
    }
    nodes.push(conv(&format!("hidden{layers}"), "last", "convolved"));
    nodes.push(node("Mul", &["convolved", "nothing"], "silent"));
    nodes.push(node("Sub", &["silent", "input"], "output"));
    weights.push(kernel("last", 3, CHANNELS));
    weights.push(float_weight("nothing", &[], &[0.0]));
    generator(nodes, weights)
}

/// y = −x, blurred over 3×3 pixels: a convolution, which every provider implements.
pub fn blurred_invert() -> ModelProto {
    let mut conv = node("Conv", &["input", "kernel"], "output");
    conv.attribute.push(ints_attribute("kernel_shape", &[3, 3]));
    conv.attribute.push(ints_attribute("pads", &[1, 1, 1, 1]));
    let is_own = |i: usize| i / 27 == i / 9 % 3;
    let kernel: Vec<f32> = (0..81).map(|i| if is_own(i) { -1.0 / 9.0 } else { 0.0 }).collect();
    generator(vec![conv], vec![float_weight("kernel", &[3, 3, 3, 3], &kernel)])
}

/// y = x. Declares dynamic sizes, and fails on all but squares of `side` pixels.
pub fn identity_at(side: i64) -> ModelProto {
    let nothing = vec![0.0; (3 * side * side) as usize];
    let weight = float_weight("nothing", &[1, 3, side, side], &nothing);
    generator(vec![node("Add", &["input", "nothing"], "output")], vec![weight])
}

/// Declares dynamic sizes, and halves them when it runs.
pub fn half_size() -> ModelProto {
    let mut pool = node("MaxPool", &["input"], "output");
    pool.attribute.push(ints_attribute("kernel_shape", &[2, 2]));
    pool.attribute.push(ints_attribute("strides", &[2, 2]));
    generator(vec![pool], vec![])
}

/// Not a generator: one row of `classes` probabilities for an image.
pub fn classifier(classes: i64) -> ModelProto {
    let mut pool = node("GlobalAveragePool", &["input"], "pooled");
    pool.name = "pool".to_owned();
    let nodes = vec![pool, node("Flatten", &["pooled"], "output")];
    let mut model = generator(nodes, vec![]);
    graph(&mut model).output = vec![value("output", DataType::Float, &[Some(1), Some(classes)])];
    model
}

/// An invert generator with external data: its offset, 0, is in the file `location`.
pub fn with_external_data(location: &str) -> ModelProto {
    let mut model = linear(-1.0, 0.0);
    let entry = |key: &str, value: &str| StringStringEntryProto {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    for weight in &mut graph(&mut model).initializer {
        if weight.name == "offset" {
            weight.raw_data.clear();
            weight.data_location = 1;
            weight.external_data = vec![entry("location", location), entry("length", "4")];
        }
    }
    model
}

/// The same generator with a fixed input size.
pub fn with_size(mut model: ModelProto, width: i64, height: i64) -> ModelProto {
    let shape = [Some(1), Some(3), Some(height), Some(width)];
    let graph = graph(&mut model);
    graph.input = vec![value("input", DataType::Float, &shape)];
    graph.output = vec![value("output", DataType::Float, &shape)];
    model
}

/// The same generator with float16 tensors.
pub fn in_float16(mut model: ModelProto) -> ModelProto {
    let graph = graph(&mut model);
    graph.input = vec![value("input", DataType::Float16, &DYNAMIC)];
    graph.output = vec![value("output", DataType::Float16, &DYNAMIC)];
    model
}

/// The same generator with another number of channels declared.
pub fn with_channels(mut model: ModelProto, channels: i64) -> ModelProto {
    let shape = [None, Some(channels), None, None];
    let graph = graph(&mut model);
    graph.input = vec![value("input", DataType::Float, &shape)];
    graph.output = vec![value("output", DataType::Float, &shape)];
    model
}

/// The same generator with the red channel of its input as a second output `mask`.
pub fn with_mask(mut model: ModelProto) -> ModelProto {
    let mut gather = node("Gather", &["input", "red"], "mask");
    gather.attribute.push(int_attribute("axis", 1));
    let graph = graph(&mut model);
    graph.node.push(gather);
    graph.initializer.push(int_weight("red", &[0]));
    graph.output.push(value("mask", DataType::Float, &[None, Some(1), None, None]));
    model
}

/// The same generator with the value ranges in its metadata.
pub fn with_ranges(model: ModelProto, input: ValueRange, output: ValueRange) -> ModelProto {
    with_metadata(
        model,
        &Metadata { input_range: input, output_range: output, ..Default::default() },
    )
}

/// The same generator with metadata.
pub fn with_metadata(mut model: ModelProto, metadata: &Metadata) -> ModelProto {
    model.metadata_props = metadata.to_props();
    model
}

/// N×3×H×W with dynamic N, H and W.
const DYNAMIC: [Option<i64>; 4] = [None, Some(3), None, None];

fn generator(node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
    model(GraphProto {
        name: "generator".to_owned(),
        node,
        initializer,
        input: vec![value("input", DataType::Float, &DYNAMIC)],
        output: vec![value("output", DataType::Float, &DYNAMIC)],
    })
}

/// A model of any graph.
pub fn model(graph: GraphProto) -> ModelProto {
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
        producer_name: "cycleganfilter tests".to_owned(),
        graph: Some(graph),
        ..Default::default()
    }
}

fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().unwrap()
}

/// An operator with one output.
pub fn node(op_type: &str, input: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: op_type.to_owned(),
        name: format!("make {output}"),
        input: input.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..Default::default()
    }
}

/// An integer attribute of an operator.
pub fn int_attribute(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Int as i32,
        i,
        ..Default::default()
    }
}

/// An attribute with a list of integers.
pub fn ints_attribute(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: ints.to_vec(),
        ..Default::default()
    }
}

/// A tensor of floats.
pub fn float_weight(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: dims.to_vec(),
        data_type: DataType::Float as i32,
        raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ..Default::default()
    }
}

/// A 1-D tensor of integers.
pub fn int_weight(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: vec![values.len() as i64],
        data_type: DataType::Int64 as i32,
        raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ..Default::default()
    }
}

/// A declared input or output; `None` in `shape` is a dynamic axis.
pub fn value(name: &str, element: DataType, shape: &[Option<i64>]) -> ValueInfoProto {
    let dim = shape.iter().enumerate().map(|(axis, length)| DimensionProto {
        value: Some(match length {
            Some(length) => Value::DimValue(*length),
            None => Value::DimParam(format!("{name}_{axis}")),
        }),
    });
    let shape = Some(TensorShapeProto { dim: dim.collect() });
    let tensor_type = Some(TensorTypeProto { elem_type: element as i32, shape });
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
}
