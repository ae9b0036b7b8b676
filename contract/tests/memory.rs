// SPDX-License-Identifier: MIT OR Apache-2.0

//! Checking a model does not copy its weights.
//!
//! A global allocator counts what Rust code allocates. The binary has only this test, so that nothing else
//! allocates at the same time.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    path::Path,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use cyclegan_contract::{
    Generator,
    onnx::{
        AttributeProto, DataType, DimensionProto, GraphProto, Message, ModelProto, NodeProto,
        TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
        dimension::Value,
    },
};

/// Counts the bytes that the process allocates.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all calls go unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), SeqCst);
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn image(name: &str) -> ValueInfoProto {
    let dim = [1, 3, 8, 8].map(|length| DimensionProto { value: Some(Value::DimValue(length)) });
    let shape = Some(TensorShapeProto { dim: dim.to_vec() });
    let tensor_type = Some(TensorTypeProto { elem_type: DataType::Float as i32, shape });
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
}

/// A million weights, the first `raw` of them as bytes.
fn weights(raw: usize) -> TensorProto {
    const COUNT: usize = 1 << 20;
    TensorProto {
        name: "weights".to_owned(),
        dims: vec![COUNT as i64],
        data_type: DataType::Float as i32,
        raw_data: vec![1; 4 * raw],
        float_data: vec![1.0; COUNT - raw],
        ..Default::default()
    }
}

#[test]
fn checking_a_model_does_not_copy_its_weights() {
    let constant = AttributeProto { t: Some(weights(1 << 20)), ..Default::default() };
    let node = NodeProto {
        op_type: "Constant".to_owned(),
        attribute: vec![constant],
        ..Default::default()
    };
    let graph = GraphProto {
        node: vec![node],
        initializer: vec![weights(1 << 20), weights(0)],
        input: vec![image("input")],
        output: vec![image("output")],
        ..Default::default()
    };
    let bytes = ModelProto { graph: Some(graph), ..Default::default() }.encode_to_vec();
    let before = BYTES.load(SeqCst);
    Generator::check(&bytes, Path::new(".")).unwrap();
    let allocated = BYTES.load(SeqCst) - before;
    assert!(allocated < 100_000, "{allocated} bytes for a model of {}", bytes.len());
}
