// SPDX-License-Identifier: MIT OR Apache-2.0

//! Test rig: the element in a harness or in a pipeline, and its bus messages.

use std::{
    path::Path,
    sync::Once,
    time::{Duration, Instant},
};

use gst::prelude::*;
use gst_video::VideoInfo;

pub use crate::skip::{is_slow_wanted, say_skipped};

/// The time limit of waits, long enough for a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Sets up GStreamer with the element, once for the process.
pub fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        #[cfg(feature = "gl")]
        find_gl_without_a_screen();
        gst::init().unwrap();
        gstcyclegan::plugin_register_static().unwrap();
    });
}

/// Makes GStreamer use OpenGL without a screen, on a GPU or Mesa's software renderer, unless the user has
/// configured it.
#[cfg(feature = "gl")]
fn find_gl_without_a_screen() {
    for (name, value) in [("GST_GL_PLATFORM", "egl"), ("GST_GL_WINDOW", "egl-device")] {
        if std::env::var_os(name).is_none() {
            // SAFETY: before GStreamer is initialised, only the standard library reads the environment, and it
            // has a lock for that.
            unsafe { std::env::set_var(name, value) };
        }
    }
}

/// A new element.
pub fn new_filter() -> gst::Element {
    init();
    gst::ElementFactory::make("cycleganfilter").build().unwrap()
}

/// A file of the folder `shared` beside the project; reports the test as skipped if it is missing.
pub fn shared(file: &str) -> Option<std::path::PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(file);
    let is_there = path.is_file();
    if !is_there {
        say_skipped(&format!("SKIP: {} is not there", path.display()));
    }
    is_there.then_some(path)
}

/// The element in a harness.
pub struct Rig {
    /// The element.
    pub filter: gst::Element,
    /// The harness that pushes and pulls buffers.
    pub harness: gst_check::Harness,
    /// Its bus.
    pub bus: gst::Bus,
}

impl Rig {
    /// A rig with `model`, playing.
    pub fn new(model: &Path) -> Self {
        let filter = new_filter();
        filter.set_property("model", model.to_str().unwrap());
        Self::with_filter(filter)
    }

    /// A rig with `filter`, playing.
    pub fn with_filter(filter: gst::Element) -> Self {
        let bus = gst::Bus::new();
        filter.set_bus(Some(&bus));
        if filter.set_state(gst::State::Ready).is_err() {
            panic!("{}", errors_in(&said(&bus)).join("; "));
        }
        let outer = outer(&filter);
        outer.set_bus(Some(&bus));
        let mut harness = gst_check::Harness::with_element(&outer, Some("sink"), Some("src"));
        harness.play();
        Self { filter, harness, bus }
    }

    /// Negotiates caps of `info`.
    pub fn set_info(&mut self, info: &VideoInfo) {
        self.harness.set_src_caps(info.to_caps().unwrap());
    }

    /// Pushes one frame and pulls the output.
    pub fn translate(&mut self, buffer: gst::Buffer) -> gst::Buffer {
        if let Err(error) = self.harness.push(buffer) {
            panic!("{error}: {}", errors_in(&self.said()).join("; "));
        }
        self.harness.pull().expect("no frame came out")
    }

    /// All messages since the last call.
    pub fn said(&self) -> Vec<gst::Message> {
        said(&self.bus)
    }

    /// A field of the element's statistics.
    pub fn stat<T: for<'v> gst::glib::value::FromValue<'v> + 'static>(&self, field: &str) -> T {
        self.filter.property::<gst::Structure>("stats").get(field).unwrap()
    }
}

/// What the harness plays: `filter` itself, or in a process that tests GL memory, a bin with it.
fn outer(filter: &gst::Element) -> gst::Element {
    #[cfg(feature = "gl")]
    if crate::in_gl::is_wanted() {
        return crate::in_gl::wrap(filter);
    }
    filter.clone()
}

impl Drop for Rig {
    fn drop(&mut self) {
        // The harness drops the element without stopping it.
        let _ = self.filter.set_state(gst::State::Null);
    }
}

/// All pending messages of `bus`.
pub fn said(bus: &gst::Bus) -> Vec<gst::Message> {
    std::iter::from_fn(|| bus.pop()).collect()
}

/// The texts of the errors among `messages` that come from a `cycleganfilter`.
pub fn errors_in(messages: &[gst::Message]) -> Vec<String> {
    let texts = messages.iter().map(|message| match message.view() {
        gst::MessageView::Error(error) if is_from_filter(message) => {
            Some(error.error().to_string())
        }
        _ => None,
    });
    texts.flatten().collect()
}

/// The texts of the warnings among `messages` that come from a `cycleganfilter`.
pub fn warnings_in(messages: &[gst::Message]) -> Vec<String> {
    let texts = messages.iter().map(|message| match message.view() {
        gst::MessageView::Warning(warning) if is_from_filter(message) => {
            Some(warning.error().to_string())
        }
        _ => None,
    });
    texts.flatten().collect()
}

fn is_from_filter(message: &gst::Message) -> bool {
    message.src().is_some_and(|source| source.type_().name() == "GstCycleGanFilter")
}

/// A pipeline from its description, with `{model}` in it replaced by the path of `model`.
pub fn pipeline(description: &str, model: &Path) -> gst::Pipeline {
    init();
    let description = description.replace("{model}", &format!("model=\"{}\"", model.display()));
    gst::parse::launch(&description).unwrap().downcast().unwrap()
}

/// Plays `pipeline` until EOS or the first error, and returns all messages.
pub fn run_to_end(pipeline: &gst::Pipeline) -> Vec<gst::Message> {
    let bus = pipeline.bus().unwrap();
    let mut messages = Vec::new();
    let started = pipeline.set_state(gst::State::Playing);
    let deadline = Instant::now() + PATIENCE;
    let mut is_over = started.is_err();
    while !is_over {
        let left = deadline.saturating_duration_since(Instant::now());
        let message = bus.timed_pop(gst::ClockTime::try_from(left).unwrap());
        let message = message.expect("neither an end nor an error: it hangs");
        is_over = matches!(message.type_(), gst::MessageType::Eos | gst::MessageType::Error);
        if message.type_() == gst::MessageType::Latency {
            let _ = pipeline.recalculate_latency();
        }
        messages.push(message);
    }
    // A source may post an error before the element that failed does.
    messages.extend(said(&bus));
    pipeline.set_state(gst::State::Null).unwrap();
    messages
}

/// Asserts that `messages` have EOS and no error of any element.
pub fn assert_ended(messages: &[gst::Message]) {
    for message in messages {
        if let gst::MessageView::Error(error) = message.view() {
            panic!("{}: {}", error.error(), error.debug().unwrap_or_default());
        }
    }
    assert!(messages.iter().any(|message| message.type_() == gst::MessageType::Eos));
}

/// Waits until `condition` holds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
