// SPDX-License-Identifier: MIT OR Apache-2.0

//! README.md tells the truth: its table has the element's properties, and its pipelines can be built.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::{collections::BTreeMap, fs, process::Command};

use gst::{glib, prelude::*};

const README: &str = include_str!("../README.md");

/// The element, in this process.
fn filter() -> gst::Element {
    gst::init().unwrap();
    gstcyclegan::plugin_register_static().unwrap();
    gst::ElementFactory::make("cycleganfilter").build().unwrap()
}

/// What README's table says of a property: type, default and range, and when it is changeable.
fn told() -> BTreeMap<String, (String, String)> {
    let section = README.split("\n## Properties\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(|cell| cell.trim().replace('`', "")).collect();
        (cells[1].clone(), (cells[2].clone(), cells[3].clone()))
    })
    .collect()
}

/// The same, as the element has it.
fn is(pspec: &glib::ParamSpec) -> (String, String) {
    (describe(pspec), changeable(pspec.flags()))
}

fn describe(pspec: &glib::ParamSpec) -> String {
    if !pspec.flags().contains(glib::ParamFlags::WRITABLE) {
        let name = pspec.value_type().name().replace("gchararray", "string");
        return format!("{name}, read-only");
    }
    if let Some(pspec) = pspec.downcast_ref::<glib::ParamSpecEnum>() {
        let class = pspec.enum_class();
        let nicks: Vec<_> = class.values().iter().map(|value| value.nick()).collect();
        let default = class.value(pspec.default_value_as_i32()).unwrap();
        return format!("enum {}; {}", nicks.join(", "), default.nick());
    }
    if let Some(pspec) = pspec.downcast_ref::<glib::ParamSpecInt>() {
        let range = range(pspec.minimum(), pspec.maximum(), i32::MAX);
        return format!("int {range}, {}", pspec.default_value());
    }
    if let Some(pspec) = pspec.downcast_ref::<glib::ParamSpecUInt>() {
        let range = range(pspec.minimum(), pspec.maximum(), u32::MAX);
        return format!("uint {range}, {}", pspec.default_value());
    }
    if let Some(pspec) = pspec.downcast_ref::<glib::ParamSpecDouble>() {
        let range = range(pspec.minimum(), pspec.maximum(), f64::MAX);
        return format!("double {range}, {}", pspec.default_value());
    }
    if let Some(pspec) = pspec.downcast_ref::<glib::ParamSpecBoolean>() {
        return format!("boolean, {}", pspec.default_value());
    }
    // Its default is another folder for each user.
    if pspec.name() == "cache-dir" {
        return "string, the user's cache folder".to_owned();
    }
    format!("string, {}", pspec.default_value().get::<String>().unwrap())
}

/// An end that is the type's own is left open.
fn range<T: PartialEq + std::fmt::Display>(least: T, most: T, limit: T) -> String {
    if most == limit { format!("{least} –") } else { format!("{least} – {most}") }
}

fn changeable(flags: glib::ParamFlags) -> String {
    let states = if flags.contains(gst::PARAM_FLAG_MUTABLE_PLAYING) {
        "playing"
    } else if flags.contains(gst::PARAM_FLAG_MUTABLE_READY) {
        "ready"
    } else {
        "–"
    };
    let controllable =
        if flags.contains(gst::PARAM_FLAG_CONTROLLABLE) { ", controllable" } else { "" };
    format!("{states}{controllable}")
}

#[test]
fn the_table_has_every_property_as_it_is() {
    let filter = filter();
    let own = filter.list_properties().into_iter();
    let own = own.filter(|pspec| pspec.owner_type() == filter.type_());
    let own: BTreeMap<_, _> = own.map(|pspec| (pspec.name().to_owned(), is(&pspec))).collect();
    assert_eq!(told(), own);
}

#[test]
fn stats_are_told() {
    let stats = filter().property::<gst::Structure>("stats");
    for field in stats.fields() {
        assert!(README.contains(&format!("`{field}`")), "README.md does not tell of `{field}`");
    }
}

#[test]
fn pipelines_can_be_built() {
    filter();
    let pipelines = pipelines();
    assert!(pipelines.len() >= 10, "only {} pipelines in README.md", pipelines.len());
    for arguments in pipelines {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        gst::parse::launchv(&arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    }
}

/// The arguments of every call of gst-launch-1.0 in README.md, as the shell would pass them.
fn pipelines() -> Vec<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let calls = folder.path().join("calls");
    let stand_in = "gst-launch-1.0() { printf '%s\\n' \"$@\" '' >>\"$CALLS\"; }\n";
    let blocks = README.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    for block in blocks.filter(|block| block.contains("gst-launch-1.0")) {
        let mut command = Command::new("bash");
        command.args(["-c", &format!("{stand_in}{block}")]);
        command.current_dir(folder.path()).env("CALLS", &calls).output().unwrap();
    }
    let is_option = |argument: &&str| argument.len() == 2 && argument.starts_with('-');
    let calls = fs::read_to_string(calls).unwrap();
    let calls = calls.split("\n\n").filter(|call| !call.is_empty());
    calls.map(|call| call.lines().skip_while(is_option).map(str::to_owned).collect()).collect()
}
