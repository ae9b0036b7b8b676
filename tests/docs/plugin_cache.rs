// SPDX-License-Identifier: MIT OR Apache-2.0

//! docs/plugins/gst_plugins_cache.json, from which hotdoc generates GStreamer's plugin documentation, in the format of
//! GStreamer's `gst-hotdoc-plugins-scanner`.
//!
//! After a change to the element, `UPDATE_DOCS=1 ./dev test filter plugin_cache` updates the file.

use std::{collections::BTreeMap, fmt::Write, fs};

use gst::{glib, prelude::*};
use serde_json::{Map, Value, json, ser::PrettyFormatter};

use super::{filter, root};

/// The GStreamer version whose formats the file lists, the one that CI tests on. Newer versions have more formats.
const VERSION: (u32, u32) = (1, 22);

#[test]
fn the_plugin_cache_is_up_to_date() {
    let path = root().join("docs/plugins/gst_plugins_cache.json");
    let filter = filter();
    let mut expected = json!({ "cyclegan": plugin(&filter) });
    let (major, minor, ..) = gst::version();
    let has_all_caps = (major, minor) == VERSION && cfg!(feature = "gl");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        assert!(has_all_caps, "write the file with GStreamer {VERSION:?} and the feature gl");
        fs::write(&path, to_text(&expected)).unwrap();
        return;
    }
    let found = fs::read_to_string(&path).unwrap();
    let mut found: Value = serde_json::from_str(&found).unwrap();
    if !has_all_caps {
        forget_caps(&mut found);
        forget_caps(&mut expected);
    }
    assert_eq!(
        to_text(&found),
        to_text(&expected),
        "run UPDATE_DOCS=1 ./dev test filter plugin_cache, on GStreamer {VERSION:?}"
    );
}

fn forget_caps(cache: &mut Value) {
    for pad in ["sink", "src"] {
        cache["cyclegan"]["elements"]["cycleganfilter"]["pad-templates"][pad]["caps"] = Value::Null;
    }
}

/// `value` with sorted keys: maps keep the order of insertion if another crate of the build enables that.
fn sorted(value: &Value) -> Value {
    let Value::Object(map) = value else { return value.clone() };
    let map: BTreeMap<_, _> = map.iter().map(|(key, value)| (key, sorted(value))).collect();
    json!(map)
}

/// JSON in the layout of GStreamer's files: sorted keys, four spaces per level.
fn to_text(value: &Value) -> String {
    let mut text = Vec::new();
    let formatter = PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    serde::Serialize::serialize(&sorted(value), &mut serializer).unwrap();
    String::from_utf8(text).unwrap() + "\n"
}

fn plugin(filter: &gst::Element) -> Value {
    let plugin = filter.factory().unwrap().plugin().unwrap();
    json!({
        "description": plugin.description().as_str(),
        "elements": { "cycleganfilter": element(filter) },
        "filename": "gstcyclegan",
        "license": plugin.license().as_str(),
        "other-types": enums(filter),
        "package": plugin.package().as_str(),
        "source": plugin.source().as_str(),
        "tracers": {},
        "url": plugin.origin().as_str(),
    })
}

fn element(filter: &gst::Element) -> Value {
    let factory = filter.factory().unwrap();
    let ancestors = std::iter::successors(Some(filter.type_()), |kind| kind.parent());
    let hierarchy: Vec<_> = ancestors.map(|kind| kind.name()).collect();
    let metadata = |key| factory.metadata(key);
    let pads: Map<_, _> = factory
        .static_pad_templates()
        .into_iter()
        .map(|pad| {
            let caps = caps(&pad.caps());
            let direction = format!("{:?}", pad.direction()).to_lowercase();
            let value = json!({ "caps": caps, "direction": direction, "presence": "always" });
            (pad.name_template().to_owned(), value)
        })
        .collect();
    let properties = own_properties(filter).into_iter();
    let properties: Map<_, _> =
        properties.map(|pspec| (pspec.name().to_owned(), property(filter, &pspec))).collect();
    json!({
        "author": metadata("author"),
        "description": metadata("description"),
        "hierarchy": hierarchy,
        "klass": metadata("klass"),
        "long-name": metadata("long-name"),
        "pad-templates": pads,
        "properties": properties,
        "rank": "none",
    })
}

fn own_properties(filter: &gst::Element) -> Vec<glib::ParamSpec> {
    let mut properties: Vec<_> = filter.list_properties().into_iter().collect();
    properties.retain(|pspec| pspec.owner_type() == filter.type_());
    properties
}

fn property(filter: &gst::Element, pspec: &glib::ParamSpec) -> Value {
    let flags = pspec.flags();
    let mutable = [
        (gst::PARAM_FLAG_MUTABLE_PLAYING, "playing"),
        (gst::PARAM_FLAG_MUTABLE_PAUSED, "paused"),
        (gst::PARAM_FLAG_MUTABLE_READY, "ready"),
    ];
    let mutable = mutable.into_iter().find(|(flag, _)| flags.contains(*flag));
    let mut value = json!({
        "blurb": pspec.blurb(),
        "conditionally-available": flags.contains(gst::PARAM_FLAG_CONDITIONALLY_AVAILABLE),
        "construct": flags.contains(glib::ParamFlags::CONSTRUCT),
        "construct-only": flags.contains(glib::ParamFlags::CONSTRUCT_ONLY),
        "controllable": flags.contains(gst::PARAM_FLAG_CONTROLLABLE),
        "mutable": mutable.map_or("null", |(_, name)| name),
        "readable": flags.contains(glib::ParamFlags::READABLE),
        "type": pspec.value_type().name(),
        "writable": flags.contains(glib::ParamFlags::WRITABLE),
    });
    let is_shown = !flags.contains(gst::PARAM_FLAG_DOC_SHOW_DEFAULT);
    let default =
        if is_shown { filter.property_value(pspec.name()) } else { pspec.default_value().clone() };
    let mut set = |key, text: String| value[key] = Value::String(text);
    if let Ok(text) = default.get::<Option<String>>() {
        set("default", text.unwrap_or("NULL".to_owned()));
    } else if let Ok(is_set) = default.get::<bool>() {
        set("default", is_set.to_string());
    } else if let Some(pspec) = pspec.downcast_ref::<glib::ParamSpecInt>() {
        set("default", default.get::<i32>().unwrap().to_string());
        set("min", pspec.minimum().to_string());
        set("max", pspec.maximum().to_string());
    } else if let Some(pspec) = pspec.downcast_ref::<glib::ParamSpecUInt>() {
        // The scanner prints them as signed numbers.
        set("default", (default.get::<u32>().unwrap() as i32).to_string());
        set("min", (pspec.minimum() as i32).to_string());
        set("max", (pspec.maximum() as i32).to_string());
    } else if let Some(pspec) = pspec.downcast_ref::<glib::ParamSpecDouble>() {
        set("default", default.get::<f64>().unwrap().to_string());
        set("min", pspec.minimum().to_string());
        set("max", pspec.maximum().to_string());
    } else if let Some(pspec) = pspec.downcast_ref::<glib::ParamSpecEnum>() {
        let number = pspec.default_value_as_i32();
        set("default", format!("{} ({number})", pspec.enum_class().value(number).unwrap().nick()));
    } else if let Ok(structure) = default.get::<gst::Structure>() {
        set("default", structure.to_string());
    }
    value
}

/// The enums of the element's properties.
fn enums(filter: &gst::Element) -> BTreeMap<&'static str, Value> {
    let properties = own_properties(filter);
    let enums = properties.iter().filter_map(|p| p.downcast_ref::<glib::ParamSpecEnum>());
    enums
        .map(|pspec| {
            let class = pspec.enum_class();
            let values: Vec<_> = class
                .values()
                .iter()
                .map(|v| json!({ "desc": v.name(), "name": v.nick(), "value": v.value().to_string() }))
                .collect();
            (class.type_().name(), json!({ "kind": "enum", "values": values }))
        })
        .collect()
}

/// Caps with one field per line.
fn caps(caps: &gst::Caps) -> String {
    let mut text = String::new();
    for (index, (structure, features)) in caps.iter_with_features().enumerate() {
        if features.is_equal(&gst::CAPS_FEATURES_MEMORY_SYSTEM_MEMORY) {
            writeln!(text, "{}:", structure.name()).unwrap();
        } else {
            let gap = if index == 0 { "" } else { "\n" };
            writeln!(text, "{gap}{}({features}):", structure.name()).unwrap();
        }
        for (name, value) in structure.iter() {
            let value = value.serialize().unwrap();
            let is_short = matches!(name.as_str(), "format" | "rate");
            let value = if is_short { value.replace("(string)", "") } else { value.to_string() };
            writeln!(text, "{:>15}: {value}", name.as_str()).unwrap();
        }
    }
    text
}
