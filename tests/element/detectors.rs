// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tiny detectors, one for each output layout. In a white image each finds an object of class 1 in the middle half, an
//! object of class 0 in a corner, and an object with a low score in another corner.

use cyclegan_contract::onnx::{DataType, GraphProto, ModelProto, NodeProto, TensorProto};

use crate::generators::{float_weight, int_attribute, int_weight, model, node, value};

/// Side of their square input, in pixels.
const SIDE: i64 = 64;
/// Number of candidates; most have a score of 0.
const COUNT: usize = 20;

/// Left, top, right and bottom as fractions of the image, class, score.
const FOUND: [([f32; 4], usize, f32); 3] = [
    ([0.25, 0.25, 0.75, 0.75], 1, 0.9),
    ([0.0, 0.0, 0.1, 0.1], 0, 0.9),
    ([0.9, 0.9, 1.0, 1.0], 1, 0.1),
];

/// All detectors, with their names.
pub fn all() -> [(&'static str, ModelProto); 4] {
    [("yolov5", yolov5()), ("yolov8", yolov8()), ("end-to-end", end_to_end()), ("ssd", ssd())]
}

/// Rows of centre, size in pixels, objectness and two classes.
fn yolov5() -> ModelProto {
    let mut rows = vec![[0.0; 7]; COUNT];
    for (row, (corners, class, score)) in rows.iter_mut().zip(FOUND) {
        row[..4].copy_from_slice(&centre(corners));
        row[4] = 1.0;
        row[5 + class] = score;
    }
    detector(&[("output0", &[1, COUNT as i64, 7], rows.concat())])
}

/// Columns of centre, size in pixels and two classes.
fn yolov8() -> ModelProto {
    let mut values = vec![0.0; 6 * COUNT];
    for (i, (corners, class, score)) in FOUND.into_iter().enumerate() {
        for (field, value) in centre(corners).into_iter().enumerate() {
            values[field * COUNT + i] = value;
        }
        values[(4 + class) * COUNT + i] = score;
    }
    detector(&[("output0", &[1, 6, COUNT as i64], values)])
}

/// Rows of corners in pixels, score and class.
fn end_to_end() -> ModelProto {
    let rows = FOUND.map(|(corners, class, score)| {
        let [left, top, right, bottom] = corners.map(|corner| corner * SIDE as f32);
        [left, top, right, bottom, score, class as f32]
    });
    detector(&[("output0", &[1, 3, 6], rows.concat())])
}

/// Corners as fractions of the image, class numbers, scores.
fn ssd() -> ModelProto {
    let boxes = FOUND.map(|(corners, ..)| corners).concat();
    let scores = FOUND.map(|(.., score)| score).to_vec();
    let mut model = detector(&[("boxes", &[1, 3, 4], boxes), ("scores", &[1, 3], scores)]);
    let graph = model.graph.as_mut().unwrap();
    graph.initializer.push(int_weight("classes", &FOUND.map(|(_, class, _)| class as i64)));
    graph.node.push(node("Identity", &["classes"], "labels"));
    graph.output.push(value("labels", DataType::Int64, &[Some(3)]));
    model
}

fn centre([left, top, right, bottom]: [f32; 4]) -> [f32; 4] {
    let shares = [(left + right) / 2.0, (top + bottom) / 2.0, right - left, bottom - top];
    shares.map(|share| share * SIDE as f32)
}

/// A detector that outputs tables, multiplied by the mean of the image: 1 if the image is white and the
/// input range is 0 to 1.
fn detector(tables: &[(&str, &[i64], Vec<f32>)]) -> ModelProto {
    let mut mean = node("ReduceMean", &["images"], "mean");
    mean.attribute.push(int_attribute("keepdims", 0));
    let table = |name: &str| format!("table of {name}");
    let multiply = |(name, ..): &(&str, &[i64], Vec<f32>)| -> NodeProto {
        node("Mul", &[&table(name), "mean"], name)
    };
    let weight = |(name, shape, values): &(&str, &[i64], Vec<f32>)| -> TensorProto {
        float_weight(&table(name), shape, values)
    };
    let output = |(name, shape, _): &(&str, &[i64], Vec<f32>)| {
        let shape: Vec<_> = shape.iter().map(|length| Some(*length)).collect();
        value(name, DataType::Float, &shape)
    };
    model(GraphProto {
        name: "detector".to_owned(),
        node: std::iter::once(mean).chain(tables.iter().map(multiply)).collect(),
        initializer: tables.iter().map(weight).collect(),
        input: vec![value("images", DataType::Float, &[Some(1), Some(3), Some(SIDE), Some(SIDE)])],
        output: tables.iter().map(output).collect(),
    })
}
