// SPDX-License-Identifier: MIT OR Apache-2.0

//! `masks`: masks with segmentation networks.

use std::{fs, path::Path};

use cyclegan_contract::{
    ElementType,
    onnx::{Message, ModelProto, OperatorSetIdProto},
};
use cyclegan_train::export::graph::{GraphBuilder, int, ints};
use image::{GrayImage, Rgb, RgbImage};

use crate::common::{fails, run};

/// Writes a network: a 1×1 convolution from RGB to `outs` channels, and the operators after it.
fn network(path: &Path, outs: i64, weights: &[f32], biases: &[f32], last: Option<&str>) {
    let mut graph = GraphBuilder::new("segmenter", ElementType::F32);
    graph.input("picture", 3);
    graph.weight("w", &[outs, 3, 1, 1], weights);
    graph.weight("b", &[outs], biases);
    let y = graph.node("Conv", &["picture", "w", "b"], vec![ints("kernel_shape", &[1, 1])]);
    match last {
        Some("ArgMax") => {
            graph.node_into(
                "ArgMax",
                &[&y],
                &["objects"],
                vec![int("axis", 1), int("keepdims", 0)],
            );
        }
        Some(other) => graph.node_into(other, &[&y], &["objects"], vec![]),
        None => graph.node_into("Identity", &[&y], &["objects"], vec![]),
    }
    graph.output("objects", outs);
    let mut graph = graph.finish();
    if last == Some("ArgMax") {
        let kind = graph.output[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
        kind.elem_type = 7;
        kind.shape = None;
    }
    let model = ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
        graph: Some(graph),
        ..ModelProto::default()
    };
    fs::write(path, model.encode_to_vec()).unwrap();
}

struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    /// Writes images with a red square on grey, one of them in a subfolder.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (i, name) in
            ["trainA/a.png", "trainA/more/b.jpg.png", "trainB/c.png"].iter().enumerate()
        {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let left = 16 * i as u32;
            let inside = |x: u32, y: u32| (left..left + 32).contains(&x) && (16..40).contains(&y);
            RgbImage::from_fn(80, 56, |x, y| {
                if inside(x, y) { Rgb([250, 20, 20]) } else { Rgb([90, 100, 90]) }
            })
            .save(path)
            .unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Runs the command, and checks the masks.
    fn masks(&self, more: &[&str]) {
        let (model, data) = (self.path("network.onnx"), self.path(""));
        let fixed = ["masks", "--model", &model, "--data", &data, "--overwrite"];
        run(&[&fixed[..], &["--mean", "0", "--std", "1"], more].concat());
        for (i, name) in ["trainA_mask/a.png", "trainA_mask/more/b.jpg.png", "trainB_mask/c.png"]
            .iter()
            .enumerate()
        {
            let mask: GrayImage = image::open(self.path(name)).unwrap().to_luma8();
            assert_eq!(mask.dimensions(), (80, 56));
            let left = 16 * i as u32;
            for (x, y, inside) in [
                (left + 2, 18, true),
                (left + 30, 38, true),
                (left + 34, 20, false),
                (40, 52, false),
            ] {
                assert_eq!(mask.get_pixel(x, y).0[0] > 127, inside, "{name} {x} {y} {more:?}");
            }
        }
    }
}

#[test]
fn objects_classes_and_class_numbers_become_masks() {
    let case = Case::new();
    let file = case.folder.path().join("network.onnx");
    // Redness as a logit and as a probability.
    let red = [10.0, -10.0, 0.0];
    network(&file, 1, &red, &[-3.0], None);
    case.masks(&["--size", "40"]);
    network(&file, 1, &red, &[-3.0], Some("Sigmoid"));
    case.masks(&["--activation", "none"]);
    case.masks(&["--soft"]);
    // Three classes; the second and third are two halves of red.
    let classes = [[0.0, 0.0, 0.0], [10.0, -10.0, 0.0], [10.0, 0.0, -10.0]].concat();
    network(&file, 3, &classes, &[3.0, 0.0, 0.0], None);
    case.masks(&["--class", "1,2", "--output", "objects"]);
    network(&file, 3, &classes, &[3.0, 0.0, 0.0], Some("ArgMax"));
    case.masks(&["--class", "1,2"]);
}

#[test]
fn several_sizes_find_small_objects_besides_large_ones() {
    let case = Case::new();
    network(&case.folder.path().join("network.onnx"), 1, &[10.0, -10.0, 0.0], &[-3.0], None);
    let image = case.path("trainA/a.png");
    let mut picture = image::open(&image).unwrap().to_rgb8();
    picture.put_pixel(70, 50, Rgb([250, 20, 20]));
    picture.save(&image).unwrap();
    for (size, found) in [("20", false), ("20,80", true)] {
        case.masks(&["--size", size]);
        let mask = image::open(case.path("trainA_mask/a.png")).unwrap().to_luma8();
        assert_eq!(mask.get_pixel(70, 50).0[0] > 127, found, "--size {size}");
    }
}

#[test]
fn existing_masks_are_kept_and_corrupt_images_skipped() {
    let case = Case::new();
    let file = case.folder.path().join("network.onnx");
    network(&file, 1, &[10.0, -10.0, 0.0], &[-3.0], None);
    fs::create_dir(case.path("trainA_mask")).unwrap();
    fs::write(case.path("trainA_mask/a.png"), b"mine").unwrap();
    fs::write(case.path("trainB/broken.png"), b"no picture").unwrap();
    let (model, data) = (case.path("network.onnx"), case.path(""));
    let output = run(&["masks", "--model", &model, "--data", &data]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("trainA_mask: 1 mask written, 1 already existed"), "{said}");
    assert!(said.contains("trainB_mask: 1 mask written, 1 image could not be read"), "{said}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("broken.png"));
    assert_eq!(fs::read(case.path("trainA_mask/a.png")).unwrap(), b"mine");
}

#[test]
fn options_that_do_not_fit_the_network_are_errors() {
    let case = Case::new();
    let file = case.folder.path().join("network.onnx");
    network(&file, 3, &[1.0; 9], &[0.0; 3], None);
    let (model, data) = (case.path("network.onnx"), case.path(""));
    let masks = ["masks", "--model", &model, "--data", &data];
    fails(&masks, &["a.png", "it has 3 classes", "--class"]);
    for (more, parts) in [
        (["--class", "3"], ["--class is 3", "0 to 2"]),
        (["--output", "other"], ["--output is other", "objects"]),
        (["--threshold", "2"], ["--threshold is 2", "0 to 1"]),
        (["--mean", "1,2"], ["--mean has 2 values", "1 or 3"]),
        (["--folders", "testA"], ["testA", "no such folder"]),
    ] {
        fails(&[&masks[..], &more].concat(), &parts);
    }
}
