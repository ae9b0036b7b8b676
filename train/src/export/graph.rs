// SPDX-License-Identifier: MIT OR Apache-2.0

//! An ONNX graph under construction: each call adds a node and names its result.

use cyclegan_contract::{
    ElementType,
    onnx::{
        AttributeProto, AttributeType, DataType, DimensionProto, GraphProto, NodeProto,
        TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, dimension,
    },
};
use half::f16;

fn data_type(element: ElementType) -> DataType {
    match element {
        ElementType::F32 => DataType::Float,
        ElementType::F16 => DataType::Float16,
    }
}

/// Nodes and weights, collected in order.
#[derive(Debug)]
pub struct GraphBuilder {
    element: ElementType,
    graph: GraphProto,
}

impl GraphBuilder {
    /// An empty graph whose numbers are `element`.
    pub fn new(name: &str, element: ElementType) -> Self {
        let graph = GraphProto { name: name.to_owned(), ..GraphProto::default() };
        Self { element, graph }
    }

    /// Adds a node with one output and returns the output's name.
    pub fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let output = format!("{}_{}", op.to_lowercase(), self.graph.node.len());
        self.node_into(op, inputs, &[&output], attributes);
        output
    }

    /// Adds a node whose outputs have given names.
    pub fn node_into(
        &mut self,
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        attribute: Vec<AttributeProto>,
    ) {
        let own = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
        self.graph.node.push(NodeProto {
            input: own(inputs),
            output: own(outputs),
            name: outputs[0].to_owned(),
            op_type: op.to_owned(),
            domain: String::new(),
            attribute,
        });
    }

    /// Adds a node as it is.
    pub fn copy(&mut self, node: NodeProto) {
        self.graph.node.push(node);
    }

    /// Adds a weight and returns its name.
    pub fn weight(&mut self, name: &str, dims: &[i64], values: &[f32]) -> String {
        let raw_data = match self.element {
            ElementType::F32 => little_endian(values, |v| v.to_le_bytes()),
            ElementType::F16 => little_endian(values, |&v| f16::from_f32(v).to_le_bytes()),
        };
        self.initializer(name, dims, data_type(self.element), raw_data)
    }

    /// Adds a number, once, and returns its name.
    pub fn number(&mut self, value: f32) -> String {
        let name = format!("number.{value}");
        if self.graph.initializer.iter().any(|known| known.name == name) {
            return name;
        }
        self.weight(&name, &[], &[value])
    }

    /// Adds a list of integers, as some operators take sizes, and returns its name.
    pub fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let raw_data = little_endian(values, |v| v.to_le_bytes());
        self.initializer(name, &[values.len() as i64], DataType::Int64, raw_data)
    }

    /// Adds a constant of any type, its elements little-endian, and returns its name.
    pub fn initializer(
        &mut self,
        name: &str,
        dims: &[i64],
        data_type: DataType,
        raw_data: Vec<u8>,
    ) -> String {
        self.graph.initializer.push(TensorProto {
            name: name.to_owned(),
            dims: dims.to_vec(),
            data_type: data_type as i32,
            raw_data,
            ..TensorProto::default()
        });
        name.to_owned()
    }

    /// Declares an input, N×`channels`×height×width, all but the channels dynamic.
    pub fn input(&mut self, name: &str, channels: i64) {
        let info = self.picture(name, channels);
        self.graph.input.push(info);
    }

    /// Declares an output like [`GraphBuilder::input`].
    pub fn output(&mut self, name: &str, channels: i64) {
        let info = self.picture(name, channels);
        self.graph.output.push(info);
    }

    /// The finished graph.
    pub fn finish(self) -> GraphProto {
        self.graph
    }

    fn picture(&self, name: &str, channels: i64) -> ValueInfoProto {
        let dim = |value| DimensionProto { value: Some(value) };
        let dynamic = |name: &str| dim(dimension::Value::DimParam(name.to_owned()));
        let shape = vec![
            dynamic("batch"),
            dim(dimension::Value::DimValue(channels)),
            dynamic("height"),
            dynamic("width"),
        ];
        let tensor_type = TensorTypeProto {
            elem_type: data_type(self.element) as i32,
            shape: Some(TensorShapeProto { dim: shape }),
        };
        ValueInfoProto {
            name: name.to_owned(),
            r#type: Some(TypeProto { tensor_type: Some(tensor_type) }),
        }
    }
}

/// The bytes of all elements, one after another.
pub fn little_endian<T, const N: usize>(values: &[T], bytes: impl Fn(&T) -> [u8; N]) -> Vec<u8> {
    values.iter().map(bytes).collect::<Vec<_>>().into_flattened()
}

/// An integer attribute.
pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Int as i32,
        i,
        ..AttributeProto::default()
    }
}

/// A float attribute.
pub fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Float as i32,
        f,
        ..AttributeProto::default()
    }
}

/// A string attribute.
pub fn string(name: &str, s: &str) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::String as i32,
        s: s.as_bytes().to_vec(),
        ..AttributeProto::default()
    }
}

/// An attribute that is a list of integers.
pub fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: ints.to_vec(),
        ..AttributeProto::default()
    }
}
