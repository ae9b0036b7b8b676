// SPDX-License-Identifier: MIT OR Apache-2.0

//! The filter and the encoders from the command line, checked before any file is touched.

use std::{
    env::consts::{DLL_PREFIX, DLL_SUFFIX},
    sync::{Arc, Mutex},
};

use anyhow::{Result, anyhow, ensure};
use gst::{glib, prelude::*};

use super::is_of;
use crate::{hardware, lock::lock, protocol::Setup};

/// The filter in the syntax of `gst-launch-1.0`, without properties whose values may contain spaces.
pub fn filter_description(setup: &Setup) -> String {
    let device = setup.device.map_or(String::new(), |device| format!("device-id={device}"));
    format!("cycleganfilter name=filter threads={} {device} {}", setup.threads, setup.recipe.filter)
}

/// Sets the properties that the description lacks.
pub fn configure(filter: &gst::Element, setup: &Setup) {
    if let Some(model) = &setup.recipe.model {
        filter.set_property("model", model);
    }
    filter.set_property_from_str("direction", &setup.recipe.direction);
    if let Some(provider) = &setup.provider {
        filter.set_property_from_str("execution-provider", provider);
    }
}

/// A filter with the settings of all tasks.
pub fn filter(setup: &Setup) -> Result<gst::Element> {
    let installed = gst::ElementFactory::find("cycleganfilter").is_some();
    ensure!(
        installed,
        "GStreamer does not find the element cycleganfilter; set GST_PLUGIN_PATH to the folder of \
         {DLL_PREFIX}gstcyclegan{DLL_SUFFIX}, or in a checkout: eval \"$(./dev env)\""
    );
    let option = format!("--filter '{}'", setup.recipe.filter);
    let filter = parsed(&option, || gst::parse::launch(&filter_description(setup)))?;
    let is_filter = is_of(&filter, "cycleganfilter");
    ensure!(is_filter, "{option}: expected PROPERTY=VALUE, separated by spaces");
    ensure!(
        filter.has_property("active-model"),
        "GStreamer finds a cycleganfilter that is older than this program; install both together"
    );
    if let Some(provider) = &setup.provider {
        let known = hardware::values(&filter, "execution-provider").unwrap_or_default();
        ensure!(known.contains(provider), "--provider {provider}: expected {}", known.join(", "));
    }
    configure(&filter, setup);
    Ok(filter)
}

/// Fails if GStreamer cannot create one of the encoders, or if it is of another kind.
pub fn check_encoders(setup: &Setup) -> Result<()> {
    let recipe = &setup.recipe;
    hardware::check(recipe)?;
    let asked = [("video", recipe.encoder_element()), ("audio", recipe.audio_encoder.as_deref())];
    for (kind, encoder) in asked {
        if let Some(encoder) = encoder {
            let option = format!("--{kind}-encoder '{encoder}'");
            let bin = parsed(&option, || gst::parse::bin_from_description(encoder, true))?;
            let raw = gst::Caps::new_empty_simple(format!("{kind}/x-raw"));
            let takes = |pad: gst::Pad| pad.query_caps(None).can_intersect(&raw);
            let is_encoder =
                bin.static_pad("sink").is_some_and(takes) && bin.static_pad("src").is_some();
            ensure!(is_encoder, "{option}: does not encode {kind}");
        }
    }
    Ok(())
}

/// Parses an option. A value out of range, about which GLib only warns, is an error.
fn parsed<T>(option: &str, parse: impl FnOnce() -> Result<T, glib::Error>) -> Result<T> {
    const DOMAIN: Option<&str> = Some("GLib-GObject");
    let warned = Arc::new(Mutex::new(None));
    let sink = warned.clone();
    let levels = glib::LogLevels::LEVEL_WARNING | glib::LogLevels::LEVEL_CRITICAL;
    let handler = glib::log_set_handler(DOMAIN, levels, false, false, move |_, _, words| {
        *lock(&sink) = Some(words.to_owned());
    });
    let made = parse();
    glib::log_remove_handler(DOMAIN, handler);
    let made = made.map_err(|error| anyhow!("{option}: {}", error.message()))?;
    match lock(&warned).take() {
        Some(words) => Err(anyhow!("{option}: {words}; `gst-inspect-1.0` shows the range")),
        None => Ok(made),
    }
}
