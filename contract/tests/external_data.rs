// SPDX-License-Identifier: MIT OR Apache-2.0

//! The external data that a model may read: files beside it, and those that links into the known caches
//! lead to.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use cyclegan_contract::{
    ContractError, Generator,
    onnx::{
        AttributeProto, DataType, DimensionProto, GraphProto, Message, ModelProto, NodeProto,
        StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
        ValueInfoProto, dimension::Value,
    },
};

fn image(name: &str) -> ValueInfoProto {
    let dim = [1, 3, 8, 8].map(|length| DimensionProto { value: Some(Value::DimValue(length)) });
    let shape = Some(TensorShapeProto { dim: dim.to_vec() });
    let tensor_type = Some(TensorTypeProto { elem_type: DataType::Float as i32, shape });
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
}

fn tensor(location: &str, length: &str) -> TensorProto {
    let entry =
        |key: &str, value: &str| StringStringEntryProto { key: key.into(), value: value.into() };
    TensorProto {
        name: "w".to_owned(),
        data_location: 1,
        external_data: vec![entry("location", location), entry("length", length)],
        ..Default::default()
    }
}

fn model(attributes: Vec<AttributeProto>, weights: Vec<TensorProto>) -> Vec<u8> {
    let attribute = attributes;
    let node = NodeProto { op_type: "Identity".to_owned(), attribute, ..Default::default() };
    let graph = GraphProto {
        node: vec![node],
        initializer: weights,
        input: vec![image("in")],
        output: vec![image("out")],
        ..Default::default()
    };
    ModelProto { graph: Some(graph), ..Default::default() }.encode_to_vec()
}

/// A model with its weights in `location`.
fn external(location: &str, length: &str) -> Vec<u8> {
    model(vec![], vec![tensor(location, length)])
}

/// A Protocol Buffers field, for messages that `cyclegan_contract::onnx` leaves out.
fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![];
    let mut varint = |mut value: usize| {
        while value > 0x7f {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
    };
    varint(usize::from(tag) << 3 | 2);
    varint(content.len());
    bytes.extend(content);
    bytes
}

fn write(path: impl AsRef<Path>, bytes: &[u8]) -> PathBuf {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    path.to_path_buf()
}

#[track_caller]
fn refusal(bytes: &[u8], folder: &Path) -> String {
    match Generator::check(bytes, folder) {
        Err(error @ ContractError::ExternalData { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_inside_the_folder_are_read_and_others_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let weights = write(folder.join("weights.bin"), &[0; 16]);
    let files = Generator::check(&external("weights.bin", "16"), folder).unwrap().external_data;
    assert_eq!(files.get("weights.bin"), Some(&weights.canonicalize().unwrap()));
    for (location, length) in [
        ("weights.bin", "17"),
        ("weights.bin", "-1"),
        ("missing.bin", "1"),
        ("../weights.bin", "1"),
        ("/etc/hostname", "1"),
        ("", "1"),
    ] {
        refusal(&external(location, length), folder);
    }
}

#[test]
fn a_pointer_instead_of_the_weights_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 900\n";
    write(folder.path().join("weights.bin"), pointer);
    let message = refusal(&external("weights.bin", "900"), folder.path());
    assert!(message.contains("Git LFS") && message.contains("git lfs pull"), "{message}");
}

/// `sparse_initializer`, functions, training graphs and sparse attributes hold tensors as well.
#[test]
fn external_data_is_checked_in_every_field_that_may_have_it() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tensor("/etc/hostname", "1").encode_to_vec();
    let attribute_of_sparse = field(5, &field(22, &field(1, &outside)));
    let graph = |content: &[u8]| field(7, content);
    let cases = [
        ("initializer of sparse values", graph(&field(15, &field(1, &outside)))),
        ("initializer of sparse indices", graph(&field(15, &field(2, &outside)))),
        ("sparse attribute", graph(&field(1, &attribute_of_sparse))),
        ("function's node", field(25, &field(7, &field(5, &field(5, &outside))))),
        ("function's default", field(25, &field(11, &field(5, &outside)))),
        ("training graph", field(20, &field(1, &field(5, &outside)))),
    ];
    for (place, part) in cases {
        // Protocol Buffers merge a message that occurs twice.
        let bytes = [model(vec![], vec![]), part].concat();
        let result = Generator::check(&bytes, folder.path());
        assert!(matches!(result, Err(ContractError::ExternalData { .. })), "{place}: {result:?}");
    }
}

#[cfg(unix)]
mod links {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Links `folder`/G.onnx to `model` and `folder`/G.onnx.data to `data`, which are written.
    fn linked(folder: &Path, model: &Path, data: &Path) -> Result<Generator, ContractError> {
        write(model, &external("G.onnx.data", "16"));
        write(data, &[0; 16]);
        fs::create_dir_all(folder).unwrap();
        symlink(model, folder.join("G.onnx")).unwrap();
        symlink(data, folder.join("G.onnx.data")).unwrap();
        Generator::read(&folder.join("G.onnx"))
    }

    #[test]
    fn links_into_a_cache_are_followed() {
        let work = tempfile::tempdir().unwrap();
        let at = |path: &str| work.path().join(path);
        for (cache, folder, model, data) in [
            ("Hugging Face", "hf/snapshots/1", "hf/blobs/a", "hf/blobs/b"),
            ("a package", "profile/models", "pkg/models/G.onnx", "pkg/models/G.onnx.data"),
            (
                "git-annex",
                "annexed/models",
                "annexed/.git/annex/objects/Aa/Bb/K1/K1",
                "annexed/.git/annex/objects/Cc/Dd/K2/K2",
            ),
            ("DVC", "dvc/models", "elsewhere/files/md5/aa/bb", "elsewhere/files/md5/cc/dd"),
            ("DVC 2", "dvc2/models", "dvc2/.dvc/cache/aa/bb", "dvc2/.dvc/cache/cc/dd"),
        ] {
            let generator = linked(&at(folder), &at(model), &at(data));
            let files = generator.unwrap_or_else(|error| panic!("{cache}: {error}")).external_data;
            assert_eq!(files["G.onnx.data"], at(data).canonicalize().unwrap(), "{cache}");
        }
    }

    /// A small model is in Git itself and only its weights are annexed.
    #[test]
    fn a_model_in_git_may_have_annexed_weights() {
        let work = tempfile::tempdir().unwrap();
        let data = write(work.path().join("r/.git/annex/objects/Aa/Bb/K/K"), &[0; 16]);
        let model = write(work.path().join("r/models/G.onnx"), &external("G.onnx.data", "16"));
        symlink(&data, work.path().join("r/models/G.onnx.data")).unwrap();
        Generator::read(&model).unwrap();

        // The store of another repository is not its own.
        let model = write(work.path().join("s/models/G.onnx"), &external("G.onnx.data", "16"));
        symlink(&data, work.path().join("s/models/G.onnx.data")).unwrap();
        assert!(matches!(Generator::read(&model), Err(ContractError::ExternalData { .. })));
    }

    #[test]
    fn a_dangling_link_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        symlink("../annex/objects/K", folder.path().join("weights.bin")).unwrap();
        let message = refusal(&external("weights.bin", "16"), folder.path());
        assert!(message.contains("a link to ../annex/objects/K"), "{message}");
        assert!(message.contains("git annex get"), "{message}");
    }

    #[test]
    fn links_to_other_places_are_refused() {
        let work = tempfile::tempdir().unwrap();
        let at = |path: &str| work.path().join(path);
        let secret = write(at("secret/key"), &[0; 16]);

        // A plain model beside a link that leads out.
        let model = write(at("plain/G.onnx"), &external("G.onnx.data", "16"));
        symlink(&secret, at("plain/G.onnx.data")).unwrap();
        let error = Generator::read(&model).unwrap_err().to_string();
        assert!(error.contains("secret/key") && error.contains("expected a file"), "{error}");

        // A linked model beside one that leads elsewhere than its own.
        let result = linked(&at("a"), &at("cache/blobs/m"), &at("other/blobs/d"));
        assert!(matches!(result, Err(ContractError::ExternalData { .. })), "{result:?}");
        let result = linked(&at("b"), &at("x/files/md5/aa/bb"), &at("x/files/private/dd"));
        assert!(matches!(result, Err(ContractError::ExternalData { .. })), "{result:?}");
    }
}
