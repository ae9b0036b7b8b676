// SPDX-License-Identifier: MIT OR Apache-2.0

//! If OpenGL fails, an error says why and what to do, and nothing hangs.
//!
//! Each test runs in a separate process, because Mesa reads its environment once, and because GStreamer waits
//! forever when it frees a texture of a context that has ended.

use std::{
    env,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use gst::prelude::*;
use gst_check::Harness;
use gst_gl::{GLBaseMemory, GLContext, prelude::*};
use gst_video::VideoFormat;

use crate::{
    generators::{self, Models},
    gl::is_gl_there,
    rig::{self, Rig},
    video,
};

/// The time limit of a process, long enough for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// The variable that passes the model to the child processes.
const MODEL: &str = "CYCLEGAN_TEST_GL_MODEL";

/// The output of a child process that runs the test `name`. Panics if the process does not end by itself.
fn said(name: &str, environment: &[(&str, &str)]) -> String {
    let models = Models::new();
    let model = models.add("invert.onnx", &generators::invert());
    let output = models.folder().join("said");
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("gl_failures::{name}"), "--nocapture"])
        .env(MODEL, model)
        .envs(environment.iter().copied())
        .stdout(std::fs::File::create(&output).unwrap())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => break None,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let said = std::fs::read_to_string(output).unwrap();
    assert!(status.expect("it hangs").success(), "{said}");
    said
}

#[track_caller]
fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}

#[test]
fn a_shader_that_the_driver_rejects_is_an_error_that_says_what_to_do() {
    if !is_gl_there() {
        return;
    }
    // Makes the driver reject the shader's GLSL version.
    let environment = [
        ("MESA_GL_VERSION_OVERRIDE", "3.0"),
        ("MESA_GLSL_VERSION_OVERRIDE", "120"),
        ("GST_GL_API", "opengl"),
    ];
    let said = said("a_process_that_plays", &environment);
    if said.contains("played to the end") {
        crate::skip::say_skipped("SKIP: the driver is not Mesa's, and accepts every shader");
        return;
    }
    assert_says(&said, &["error: ", "rejects a shader: ", "gldownload before cycleganfilter"]);
}

#[test]
fn an_old_opengl_is_an_error_that_says_what_to_do() {
    if !is_gl_there() {
        return;
    }
    let environment = [("MESA_GL_VERSION_OVERRIDE", "2.1"), ("GST_GL_API", "opengl")];
    let said = said("a_process_that_plays", &environment);
    if said.contains("played to the end") {
        crate::skip::say_skipped("SKIP: the driver is not Mesa's, and has no older version");
        return;
    }
    assert_says(&said, &["error: ", "OpenGL 2.1", "gldownload before cycleganfilter"]);
}

/// What [`said`] starts; nothing where it did not.
#[test]
fn a_process_that_plays() {
    let Some(model) = env::var_os(MODEL) else { return };
    let pipeline = rig::pipeline(
        "videotestsrc num-buffers=3 ! video/x-raw,format=RGBA,width=64,height=48 ! glupload \
         ! cycleganfilter {model} ! gldownload ! fakesink",
        model.as_ref(),
    );
    let errors = rig::errors_in(&rig::run_to_end(&pipeline));
    match errors.first() {
        Some(error) => println!("error: {error}"),
        None => println!("played to the end"),
    }
}

#[test]
fn a_lost_gl_context_is_an_error_and_nothing_hangs() {
    if !is_gl_there() {
        return;
    }
    for (regions, which, max_in_flight) in [
        ("frame", "filter", "1"),
        ("frame", "frame", "1"),
        ("meta", "frame", "1"),
        ("frame", "filter", "3"),
    ] {
        let environment =
            [("REGIONS", regions), ("CONTEXT_OF", which), ("MAX_IN_FLIGHT", max_in_flight)];
        let said = said("a_process_whose_context_ends", &environment);
        assert_says(
            &said,
            &["translated a frame", "GL context", "was destroyed", "restart the pipeline"],
        );
    }
}

/// What [`said`] starts; nothing where it did not.
#[test]
fn a_process_whose_context_ends() {
    let Some(model) = env::var_os(MODEL) else { return };
    let variable = |name: &str| env::var(name).unwrap();
    let info = video::info(VideoFormat::Rgba, 240, 180);
    let mut upload = Harness::new("glupload");
    upload.set_src_caps(info.to_caps().unwrap());
    let filter = rig::new_filter();
    filter.set_property("model", model.to_str().unwrap());
    filter.set_property_from_str("regions", &variable("REGIONS"));
    filter.set_property_from_str("max-in-flight", &variable("MAX_IN_FLIGHT"));
    let mut rig = Rig::with_filter(filter.clone());
    let mut frame = || {
        upload.push(video::random(&info, 1)).unwrap();
        upload.pull().unwrap()
    };
    let [first, second] = [frame(), frame()];
    let display = context_from(&upload.element().unwrap(), "gst.gl.GLDisplay");
    filter.set_context(&display);
    rig.harness.set_src_caps(upload.sinkpad().unwrap().current_caps().unwrap());
    rig.translate(first);
    println!("translated a frame");
    let context = match variable("CONTEXT_OF").as_str() {
        "filter" => {
            let context = context_from(&filter, "gst.gl.local_context");
            context.structure().get::<GLContext>("context").unwrap()
        }
        _ => second.peek_memory(0).downcast_memory_ref::<GLBaseMemory>().unwrap().context().clone(),
    };
    context.window().unwrap().quit();
    // The context's thread takes a moment to end.
    std::thread::sleep(Duration::from_millis(300));
    let mut is_refused = || rig.harness.push(second.clone()).is_err();
    assert!((0..8).any(|_| is_refused()), "frames are taken");
    for error in rig::errors_in(&rig.said()) {
        println!("error: {error}");
    }
    // Exits without freeing textures, for which GStreamer would wait forever.
    std::process::exit(0);
}

/// The answer of `element` to a context query.
fn context_from(element: &gst::Element, kind: &str) -> gst::Context {
    let mut query = gst::query::Context::new(kind);
    assert!(element.static_pad("src").unwrap().query(&mut query), "{kind}");
    query.context_owned().unwrap()
}
