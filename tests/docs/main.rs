// SPDX-License-Identifier: MIT OR Apache-2.0

//! Checks that the documents are up to date: docs/properties.md has the element's properties, docs/plugins has the
//! input of GStreamer's documentation, and every pipeline can be built.
//!
//! After a change to the properties, `UPDATE_DOCS=1 ./dev test filter properties` updates the table.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

mod plugin_cache;

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Once,
};

use gst::{glib, prelude::*};

const BEGIN: &str = "<!-- generated from the element: begin -->\n";
const END: &str = "<!-- generated from the element: end -->\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md, train/README.md, and the pages below docs and models.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md"), root().join("train/README.md")];
    let models = fs::read_dir(root().join("models")).unwrap();
    let models = models.map(|entry| entry.unwrap().path().join("README.md"));
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    pages.extend(models.chain(docs).filter(|page| page.extension().is_some_and(|e| e == "md")));
    pages.sort();
    pages
}

/// The element, in this process.
fn filter() -> gst::Element {
    // Registers once: another registration would replace the factory under tests on other threads.
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        gst::init().unwrap();
        gstcyclegan::plugin_register_static().unwrap();
    });
    gst::ElementFactory::make("cycleganfilter").build().unwrap()
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
    if pspec.is::<gst::ParamSpecArray>() {
        return "array of strings, empty".to_owned();
    }
    // The default depends on the user.
    if pspec.name() == "cache-dir" {
        return "string, the user's cache folder".to_owned();
    }
    format!("string, {}", pspec.default_value().get::<String>().unwrap())
}

/// The range of a property; the type's own maximum is left out.
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

/// The table of docs/properties.md.
fn table() -> String {
    let filter = filter();
    let mut own: Vec<_> = filter.list_properties().into_iter().collect();
    own.retain(|pspec| pspec.owner_type() == filter.type_());
    own.sort_by_key(|pspec| pspec.name().to_owned());
    let mut table =
        "| property | type, default | changeable | meaning |\n| --- | --- | --- | --- |\n"
            .to_owned();
    for pspec in own {
        let blurb = pspec.blurb().unwrap_or_default().replace('|', "\\|");
        let (kind, states) = (describe(&pspec), changeable(pspec.flags()));
        writeln!(table, "| `{}` | {kind} | {states} | {blurb} |", pspec.name()).unwrap();
    }
    table
}

#[test]
fn properties_md_lists_the_elements_properties() {
    let page = root().join("docs/properties.md");
    let text = fs::read_to_string(&page).unwrap();
    let (head, rest) = text.split_once(BEGIN).unwrap();
    let (found, tail) = rest.split_once(END).unwrap();
    let expected = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&page, format!("{head}{BEGIN}{expected}{END}{tail}")).unwrap();
    } else {
        assert_eq!(found, expected, "run UPDATE_DOCS=1 ./dev test filter properties");
    }
}

#[test]
fn properties_md_lists_all_statistics() {
    let text = fs::read_to_string(root().join("docs/properties.md")).unwrap();
    let stats = filter().property::<gst::Structure>("stats");
    for field in stats.fields() {
        assert!(text.contains(&format!("`{field}`")), "docs/properties.md lacks `{field}`");
    }
}

#[test]
fn pipelines_can_be_built() {
    filter();
    let pipelines: Vec<_> = pages().iter().flat_map(|page| pipelines(page)).collect();
    assert!(pipelines.len() >= 15, "only {} pipelines in the documents", pipelines.len());
    for arguments in pipelines {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        gst::parse::launchv(&arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    }
}

#[test]
fn links_have_targets() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("http") && !link.starts_with('#')) {
            let file = page.parent().unwrap().join(link.split('#').next().unwrap());
            assert!(file.exists(), "{}: no {link}", page.display());
        }
    }
}

/// The arguments of every gst-launch-1.0 command on a page, as the shell would pass them.
fn pipelines(page: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(page).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let calls = folder.path().join("calls");
    let stand_in = "gst-launch-1.0() { printf '%s\\n' \"$@\" '' >>\"$CALLS\"; }\n";
    let blocks = text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    for block in blocks {
        // Runs only these commands of the block, with a function in place of gst-launch-1.0.
        let lines = block.replace("\\\n", " ");
        let launches = lines.lines().filter(|line| line.trim_start().starts_with("gst-launch-1.0"));
        for launch in launches.map(|line| line.trim_start()) {
            let mut command = Command::new("bash");
            command.args(["-c", &format!("{stand_in}{launch}")]);
            command.current_dir(folder.path()).env("CALLS", &calls).output().unwrap();
        }
    }
    let is_option = |argument: &&str| argument.len() == 2 && argument.starts_with('-');
    let calls = fs::read_to_string(calls).unwrap_or_default();
    let calls = calls.split("\n\n").filter(|call| !call.is_empty());
    calls.map(|call| call.lines().skip_while(is_option).map(str::to_owned).collect()).collect()
}
