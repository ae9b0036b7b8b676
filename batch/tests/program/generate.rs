// SPDX-License-Identifier: MIT OR Apache-2.0

//! The man page and completions that packages install.

use std::process::{Command, Output};

fn generate(what: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cyclegan-batch")).args(["--generate", what]).output().unwrap()
}

#[test]
fn man_page_and_completions_name_the_options() {
    for what in ["man", "bash", "zsh", "fish", "elvish", "powershell"] {
        let output = generate(what);
        assert!(output.status.success(), "{what}");
        let text = String::from_utf8(output.stdout).unwrap().replace('\\', "");
        assert!(text.contains("preset") && text.contains("direction"), "{what}: {text}");
    }
}

#[test]
fn another_kind_is_an_error_that_names_the_kinds() {
    let output = generate("cmd");
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("expected man, bash") && error.contains("cmd"), "{error}");
}

#[test]
fn the_usage_names_what_is_required() {
    for arguments in [&["--help"][..], &["clips"], &["clips", "--crf", "100"]] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_cyclegan-batch"));
        let output = program.args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let is_named = said.contains("--out <DIR|FILE|->") && said.contains("<INPUTS>...");
        let is_value = said.contains("invalid value '100' for '--crf <N>'");
        assert!(is_named || is_value, "{arguments:?}: {said}");
        assert!(!said.contains("[INPUTS]"), "{said}");
    }
}
