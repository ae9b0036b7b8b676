// SPDX-License-Identifier: MIT OR Apache-2.0

//! Instance normalisation that is frozen, trained on and folded away.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their functions, not their helpers")]

mod common;

use std::{fs, path::Path};

use common::{SMALL, data_set, fails, run};

#[test]
fn a_run_goes_on_frozen_and_exports_plain_convolutions() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, out, pair, on) = (path("data"), path("run"), path("pair"), path("on"));
    data_set(Path::new(&data), 3);
    let begin = ["train", "--data", &data, "--out", &out, "--max-iters", "2"];
    let frozen = ["--norm", "frozen"];
    fails(&[&begin[..], SMALL, &frozen].concat(), &["--norm frozen", "--resume"]);
    run(&[&begin[..], SMALL, &["--norm", "instance", "--mask-head"]].concat());
    let resume = ["train", "--resume", "--out", &out, "--max-iters"];
    let said = run(&[&resume[..], &["4"], &frozen].concat()).stdout;
    assert!(String::from_utf8_lossy(&said).contains("froze the normalisation"));
    // From here on it is a run like any other.
    let said = run(&[&resume[..], &["6"]].concat()).stdout;
    assert!(!String::from_utf8_lossy(&said).contains("froze the normalisation"));
    // This holds the files against libtorch.
    run(&["export", "--run", &out, "--out", &pair]);
    let bytes = fs::read(Path::new(&pair).join("G.onnx")).unwrap();
    let names = |what: &[u8]| bytes.windows(what.len()).any(|w| w == what);
    assert!(names(b"Conv") && !names(b"Normalization"));
    // Such a file is a network without normalisation, which can be trained on as one.
    let on = ["train", "--data", &data, "--out", &on, "--max-iters", "1", "--mask-head"];
    let on = [&on[..], SMALL, &["--init-from", &pair]].concat();
    fails(&[&on[..], &["--norm", "batch"]].concat(), &["--norm none"]);
    run(&[&on[..], &["--norm", "none"]].concat());
}
