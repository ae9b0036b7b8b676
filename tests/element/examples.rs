// SPDX-License-Identifier: MIT OR Apache-2.0

//! The scripts and programs of `examples/`, with sources and sinks that stand in for camera and
//! display.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use gst::prelude::*;

use crate::{
    camera, detectors,
    generators::{self, Models},
    rig,
    runtime::our_library,
};

const SOURCE: &str = "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=25/1";

/// A script or program with the environment of `eval "$(./dev env)"`. The default model is an identity.
pub struct Example {
    /// The process, not started yet.
    pub command: Command,
    _models: Models,
}

impl Example {
    pub fn script(name: &str) -> Self {
        Self::new(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name))
    }

    /// A program that cargo builds together with all tests, but not with a single one.
    fn program(name: &str) -> Self {
        let test = std::env::current_exe().unwrap();
        let program = test.parent().unwrap().with_file_name("examples").join(name);
        assert!(program.is_file(), "{} is not there: cargo build --examples", program.display());
        Self::new(&program)
    }

    fn new(program: &Path) -> Self {
        rig::init();
        let models = Models::new();
        models.add_pair("horse2zebra", &generators::identity(), &generators::invert());
        let plugins = models.folder().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        std::os::unix::fs::symlink(our_library(), plugins.join(crate::plugin::file_name()))
            .unwrap();
        let mut command = Command::new(program);
        command
            .env("CYCLEGAN_MODEL_PATH", models.folder())
            .env("GST_PLUGIN_PATH", plugins)
            .env("GST_REGISTRY_1_0", models.folder().join("registry.bin"))
            // `autovideosink` would choose it, and DirectFB 1.7 often crashes where there is no display.
            .env("GST_PLUGIN_FEATURE_RANK", "dfbvideosink:NONE")
            .env("SOURCE", SOURCE)
            .stderr(Stdio::piped())
            .stdout(Stdio::piped());
        Self { command, _models: models }
    }

    pub fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    fn env(mut self, key: &str, value: &str) -> Self {
        self.command.env(key, value);
        self
    }

    /// Runs to the end of the stream; returns its output.
    pub fn said(mut self) -> String {
        let output = self.command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{errors}");
        said.into_owned()
    }

    /// Runs `gst-launch-1.0` to the end of the stream.
    fn assert_ends(self) {
        let said = self.said();
        assert!(said.contains("Got EOS"), "{said}");
    }
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(feature = "gl")]
#[test]
fn frames_stay_on_the_gpu_from_file_to_file_and_to_the_screen() {
    if !crate::gl::is_gl_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first.mp4"), folder.path().join("second.mp4"));
    let description = format!(
        "videotestsrc num-buffers=5 ! video/x-raw,format=I420,width=320,height=180 ! x264enc ! mp4mux ! \
         filesink location={}",
        first.display()
    );
    let pipeline = gst::parse::launch(&description).unwrap().downcast().unwrap();
    rig::assert_ended(&rig::run_to_end(&pipeline));
    let files = [first.to_str().unwrap(), second.to_str().unwrap()];
    Example::script("gl.sh").args(&files).assert_ends();
    assert!(second.metadata().unwrap().len() > 1000);
    let source = format!("{SOURCE} ! identity eos-after=5");
    let example = Example::script("gl.sh").env("SOURCE", &source);
    example.env("SINK", "gldownload ! fakesink").assert_ends();
}

/// The value of `--help` is not taken for a file's name.
#[test]
fn every_example_prints_its_usage() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut examples = vec![];
    for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_stem().unwrap().to_str().unwrap();
        match path.extension().map(|extension| extension.to_str().unwrap()) {
            Some("sh") => examples.push(Example::new(&path)),
            Some("py") if has_python_bindings() => {
                let python = Example::new(Path::new(PYTHON));
                examples.push(python.args(&[path.to_str().unwrap()]));
            }
            Some("rs") => examples.push(Example::program(name)),
            _ => {}
        }
    }
    assert!(examples.len() >= 10, "{} examples", examples.len());
    for example in examples.into_iter().chain([Example::program("detect")]) {
        let program = format!("{:?}", example.command);
        let said = example.args(&["--help"]).said();
        assert!(said.to_lowercase().contains("usage: "), "{program}: {said}");
    }
}

#[test]
fn scripts_refuse_unknown_options() {
    for name in ["gl.sh", "hls.sh", "picture-in-picture.sh", "rtp-send.sh", "side-by-side.sh"] {
        let output = Example::script(name).args(&["--x"]).command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {errors}");
        assert!(errors.contains("no option --x; --help"), "{name}: {errors}");
    }
}

#[test]
fn side_by_side_plays() {
    let source = format!("{SOURCE} ! identity eos-after=10");
    Example::script("side-by-side.sh").env("SOURCE", &source).env("SINK", "fakesink").assert_ends();
}

/// Debian's Python has GStreamer's bindings, while another one that comes first on the PATH may not.
const PYTHON: &str = "/usr/bin/python3";

/// Whether `PYTHON` has GStreamer's bindings; reports a skipped test otherwise.
fn has_python_bindings() -> bool {
    let status = Command::new(PYTHON).args(["-c", "import gi"]).status();
    let has_bindings = status.is_ok_and(|status| status.success());
    if !has_bindings {
        rig::say_skipped(
            "SKIP: Python has no GStreamer; install python3-gi and gir1.2-gstreamer-1.0",
        );
    }
    has_bindings
}

#[test]
fn a_python_program_turns_the_direction_and_reads_statistics() {
    rig::init();
    if !has_python_bindings() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.mp4");
    write_clip(clip.to_str().unwrap(), 60, 25);
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/python.py");
    let arguments = [&program, &clip].map(|path| path.to_str().unwrap());
    let said =
        Example::new(Path::new(PYTHON)).args(&arguments).args(&["fakesink sync=true"]).said();
    assert!(said.contains(" ms each, on cpu\n"), "{said}");
}

/// Phones store upright video rotated by 90°, with the rotation in the header.
#[test]
fn video_with_a_rotation_tag_is_translated_upright() {
    let models = Models::new();
    let file = models.folder().join("phone.mp4");
    let phone = rig::pipeline(
        &format!(
            "videotestsrc num-buffers=5 ! video/x-raw,width=160,height=120,framerate=25/1 \
             ! x264enc ! mp4mux ! filesink location=\"{}\"",
            file.display()
        ),
        Path::new(""),
    );
    rig::assert_ended(&rig::run_to_end(&phone));
    turn(&file);
    let frames = models.folder().join("frame%d.png");
    let sink = format!("pngenc ! multifilesink location=\"{}\"", frames.display());
    Example::program("fade").args(&[file.to_str().unwrap(), "--sink", &sink]).said();
    for number in 0..5 {
        let frame = models.folder().join(format!("frame{number}.png"));
        assert_eq!(image::image_dimensions(frame).unwrap(), (120, 160), "frame {number}");
    }
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Writes a rotation by 90° into the header of an MP4 file, as phones do; no muxer here can.
fn turn(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let header = bytes.windows(4).position(|window| window == b"tkhd").unwrap();
    // The matrix of ISO/IEC 14496-12, 8.3.2: a b u, c d v, x y w, behind 44 bytes of version 0.
    let matrix = [0i32, 1 << 16, 0, -1 << 16, 0, 0, 120 << 16, 0, 1 << 30];
    for (index, value) in matrix.into_iter().enumerate() {
        bytes[header + 44 + 4 * index..][..4].copy_from_slice(&value.to_be_bytes());
    }
    fs::write(file, bytes).unwrap();
}

#[test]
fn every_example_that_decodes_rotates_the_video() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut decoding = 0;
    for path in files(&examples) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if text.contains("decodebin") {
            decoding += 1;
            assert!(text.contains("videoflip video-direction=auto"), "{}", path.display());
        }
    }
    assert!(decoding >= 7, "{decoding} examples decode");
}

/// The same for the pipelines of the README and of docs.
#[test]
fn every_documented_pipeline_that_decodes_rotates_the_video() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut decoding = 0;
    for page in pages.chain([root.join("README.md")]) {
        let Ok(text) = fs::read_to_string(&page) else { continue };
        // A command ends with its block or where the next begins.
        for command in text.split("gst-launch-1.0").skip(1) {
            let command = command.split("```").next().unwrap();
            if command.contains("filesrc") && command.contains("decodebin") {
                decoding += 1;
                let turns = command.contains("videoflip video-direction=auto");
                assert!(turns, "{}: gst-launch-1.0{command}", page.display());
            }
        }
    }
    assert!(decoding >= 8, "{decoding} pipelines decode a file");
}

#[test]
fn the_rtp_receiver_gets_the_senders_stream() {
    // A port that is free now; nobody else is likely to take it meanwhile.
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut sender = Example::script("rtp-send.sh").env("PORT", &port);
    sender.command.stdout(Stdio::null()).stderr(Stdio::null());
    let _running = Running(sender.command.spawn().unwrap());
    let receiver = Example::script("rtp-receive.sh").env("PORT", &port);
    receiver.env("SINK", "fakesink num-buffers=5").assert_ends();
}

#[test]
fn the_demo_scene_is_a_video() {
    let models = Models::new();
    let picture = |name: &str, colour: [u8; 3]| {
        let picture = image::RgbImage::from_pixel(1280, 960, image::Rgb(colour));
        picture.save(models.folder().join(name)).unwrap();
    };
    picture("meadow.jpg", [40, 160, 60]);
    picture("wood.jpg", [90, 60, 30]);
    picture("horse.png", [120, 70, 40]);
    picture("apple_green.png", [60, 180, 40]);
    picture("apple_red.png", [180, 30, 30]);
    let (pictures, video) = (models.folder(), models.folder().join("scene.mp4"));
    let (pictures, video) = (pictures.to_str().unwrap(), video.to_str().unwrap());
    let frames = pictures.to_owned() + "/frame%d.png";
    let decode = format!(
        "filesrc location=\"{video}\" ! decodebin ! videoconvert ! pngenc \
         ! multifilesink location=\"{frames}\""
    );
    let scenes = [
        ("horse2zebra", [40, 160, 60], [120, 70, 40]),
        ("summer2autumn", [90, 60, 30], [90, 60, 30]),
        ("apple2orange", [40, 160, 60], [60, 180, 40]),
    ];
    for (model, background, object) in scenes {
        Example::program("scene").args(&[pictures, video, "--model", model]).said();
        rig::assert_ended(&rig::run_to_end(&rig::pipeline(&decode, Path::new(""))));
        let last = image::open(frames.replace("%d", "149")).unwrap().into_rgb8();
        assert_eq!(last.dimensions(), (640, 360));
        assert!(!Path::new(&frames.replace("%d", "150")).exists());
        for (x, y, colour) in [(4, 4, background), (150, 300, object)] {
            let found = last.get_pixel(x, y).0;
            let is_near = found.iter().zip(colour).all(|(a, b)| a.abs_diff(b) <= 8);
            assert!(is_near, "{model}: {found:?} at {x}, {y}, expected {colour:?}");
        }
    }
}

/// The corner shows the negative at an opacity of 0.8.
#[test]
fn the_picture_in_the_corner_is_translucent() {
    let models = Models::new();
    models.add_pair("horse2zebra", &generators::invert(), &generators::identity());
    let shown = models.folder().join("shown.png");
    let source = "videotestsrc num-buffers=1 pattern=solid-color foreground-color=0xff204060";
    let example = Example::script("picture-in-picture.sh")
        .env("CYCLEGAN_MODEL_PATH", models.folder().to_str().unwrap())
        .env("SOURCE", source)
        .env("SINK", &format!("pngenc ! filesink location={}", shown.display()));
    example.assert_ends();
    let picture = image::open(&shown).unwrap().into_rgb8();
    for (x, y, colour) in [(100, 100, [32, 64, 96]), (1000, 560, [185, 166, 146])] {
        let found = picture.get_pixel(x, y).0;
        let is_near = found.iter().zip(colour).all(|(a, b)| a.abs_diff(b) <= 4);
        assert!(is_near, "{found:?} at {x}, {y}, expected {colour:?}");
    }
}

/// The body of the answer of the server at `address` to a request for `path`, or `None` for no server or an error.
fn get(address: &str, path: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    answer.starts_with(b"HTTP/1.0 200").then(|| answer.split_off(end + 4))
}

#[test]
fn hls_serves_a_page_with_a_stream() {
    let folder = tempfile::tempdir().unwrap();
    // A port that is free now; nobody else is likely to take it meanwhile.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let source = "videotestsrc is-live=true num-buffers=300 \
                  ! video/x-raw,width=160,height=90,framerate=25/1";
    let mut example = Example::script("hls.sh")
        .env("PORT", &address.port().to_string())
        .env("SOURCE", source)
        .env("OUT", folder.path().to_str().unwrap());
    let mut stream = Running(example.command.spawn().unwrap());
    let address = address.to_string();
    let text = |path: &str| String::from_utf8(get(&address, path)?).ok();
    let segment = || {
        let playlist = text("/live.m3u8")?;
        playlist.lines().find(|line| line.ends_with(".ts")).map(str::to_owned)
    };
    rig::wait_until("a segment is served", || segment().is_some());
    let page = text("/").unwrap();
    assert!(page.contains("src=\"live.m3u8\""), "{page}");
    let name = format!("/{}", segment().unwrap());
    let bytes = get(&address, &name).unwrap();
    assert_eq!(bytes.first(), Some(&0x47), "{name} is no MPEG transport stream");
    assert!(stream.0.wait().unwrap().success());
    assert!(get(&address, "/").is_none(), "the server outlived the stream");
}

/// A file is translated faster than it plays, so its stream is kept whole, and served after the end.
#[test]
fn hls_serves_a_file_until_it_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.mp4");
    let clip = clip.to_str().unwrap();
    // Thirty seconds.
    write_clip(clip, 60, 2);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut example = Example::script("hls.sh")
        .args(&[clip])
        .env("PORT", &address.port().to_string())
        .env("OUT", folder.path().to_str().unwrap());
    let mut stream = Running(example.command.spawn().unwrap());
    let said = BufReader::new(stream.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(
        said.into_iter().any(|line| line.starts_with("The whole video is at http://127.0.0.1"))
    );
    let address = address.to_string();
    let playlist = String::from_utf8(get(&address, "/live.m3u8").unwrap()).unwrap();
    let segments = playlist.lines().filter(|line| line.ends_with(".ts"));
    assert!(segments.clone().count() >= 12 && playlist.contains("#EXT-X-ENDLIST"), "{playlist}");
    for segment in segments {
        assert!(get(&address, &format!("/{segment}")).is_some(), "{segment} is gone");
    }
    // Another stream cannot have the same port.
    let other = Example::script("hls.sh").env("PORT", address.split(':').next_back().unwrap());
    let other = { other }.command.output().unwrap();
    let errors = String::from_utf8_lossy(&other.stderr);
    assert!(errors.contains("hls.sh: cannot serve at port "), "{errors}");
    let interrupt = Command::new("kill").args(["-INT", &stream.0.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    assert!(stream.0.wait().unwrap().success());
    assert!(get(&address, "/").is_none(), "the server outlived the script");
}

/// Writes an MP4 file with this number of small frames, `rate` a second.
fn write_clip(file: &str, frames: u32, rate: u32) {
    rig::init();
    let description = format!(
        "videotestsrc num-buffers={frames} ! video/x-raw,width=160,height=120,framerate={rate}/1 \
         ! x264enc speed-preset=ultrafast ! mp4mux ! filesink location={file}"
    );
    let pipeline = gst::parse::launch(&description).unwrap().downcast().unwrap();
    rig::assert_ended(&rig::run_to_end(&pipeline));
}

/// An RTSP server's stream is translated and served again, over loopback.
#[test]
fn rtsp_serves_the_translation_of_an_rtsp_stream() {
    rig::init();
    let serve = |args: &[&str]| {
        let mut example = Example::program("rtsp").args(args).args(&["--port", "0"]);
        example.command.stderr(Stdio::null());
        let mut server = Running(example.command.spawn().unwrap());
        let mut address = String::new();
        BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(address.starts_with("rtsp://127.0.0.1:"), "{address}");
        (server, example, address.trim().to_owned())
    };
    let camera = serve(&["--source", SOURCE]);
    let translated = serve(&[&camera.2]);
    // Not gst-launch-1.0: while `rtspsrc` stops, it posts an error now and then.
    let player = gst::parse::launch(&format!(
        "rtspsrc protocols=tcp location={} ! rtph264depay ! h264parse ! fakesink num-buffers=5",
        translated.2
    ));
    rig::assert_ended(&rig::run_to_end(&player.unwrap().downcast().unwrap()));
}

/// A client is told only that the service is unavailable.
#[test]
fn the_rtsp_server_prints_why_a_stream_fails() {
    let mut example = Example::program("rtsp").args(&["rtsp://127.0.0.1:9/x", "--port", "0"]);
    let mut server = Running(example.command.spawn().unwrap());
    let mut address = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let mut player = Command::new("gst-launch-1.0");
    let location = format!("location={}", address.trim());
    player.args(["rtspsrc", "protocols=tcp", &location, "!", "fakesink"]);
    assert!(!player.output().unwrap().status.success());
    server.0.kill().unwrap();
    let mut errors = String::new();
    server.0.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(errors.contains("Failed to connect"), "{errors}");
}

#[test]
fn examples_name_the_file_that_is_not_there() {
    let mut examples = vec![Example::program("fade"), Example::program("rtsp")];
    if has_python_bindings() {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/python.py");
        examples.push(Example::new(Path::new(PYTHON)).args(&[program.to_str().unwrap()]));
    }
    for example in examples {
        let mut example = example.args(&["nowhere.mp4"]);
        let output = example.command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{:?}: {errors}", example.command);
        assert!(errors.contains("nowhere.mp4"), "{:?}: {errors}", example.command);
    }
}

#[test]
fn keys_change_what_the_camera_shows() {
    rig::init();
    let models = Models::new();
    let pair = models.add_pair("pair", &generators::identity(), &generators::invert());
    let arguments =
        camera::Arguments { model: None, source: SOURCE.to_owned(), sink: "fakesink".to_owned() };
    let pipeline = camera::pipeline(&arguments).unwrap();
    let filter = pipeline.by_name("filter").unwrap();
    filter.set_property("model", pair.to_str().unwrap());
    pipeline.set_state(gst::State::Playing).unwrap();
    // A navigation event, as a sink with a window sends it.
    let sink = pipeline.iterate_sinks().next().unwrap().unwrap();
    let press = |key: &str| {
        let typed = gst_video::NavigationEvent::new_key_press(key);
        // The source does not handle navigation events, so the result is false.
        sink.static_pad("sink").unwrap().push_event(typed.build());
    };
    rig::wait_until("frames flow", || {
        filter.property::<gst::Structure>("stats").get::<u64>("frames-in").unwrap() > 0
    });
    press("Down");
    press("Down");
    press("Up");
    assert!((filter.property::<f64>("strength") - 0.9).abs() < 1e-9);
    press("r");
    let direction = filter.property_value("direction");
    assert_eq!(gst::glib::EnumValue::from_value(&direction).unwrap().1.nick(), "reverse");
    press("q");
    let bus = pipeline.bus().unwrap();
    let patience = gst::ClockTime::try_from(rig::PATIENCE).unwrap();
    assert!(bus.timed_pop_filtered(patience, &[gst::MessageType::Eos]).is_some());
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn keys_work_in_the_terminal() {
    let mut example = Example::program("camera").args(&["--source", SOURCE, "--sink", "fakesink"]);
    let mut camera = Running(example.command.stdin(Stdio::piped()).spawn().unwrap());
    camera.0.stdin.take().unwrap().write_all(b"-\nr\nq\n").unwrap();
    let said: Vec<_> =
        BufReader::new(camera.0.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    assert_eq!(said.first().map(String::as_str), Some("strength 0.9, direction forward"));
    assert_eq!(said.get(1).map(String::as_str), Some("strength 0.9, direction reverse"));
    assert!(camera.0.wait().unwrap().success());
}

/// Dark grey becomes light grey and then dark again within a second.
#[test]
fn the_translation_fades() {
    let models = Models::new();
    models.add_pair("horse2zebra", &generators::invert(), &generators::identity());
    let path = |name: &str| models.folder().join(name).to_str().unwrap().to_owned();
    let (video, faded) = (path("in.avi"), path("faded.rgb"));
    let make = format!(
        "videotestsrc num-buffers=26 pattern=solid-color foreground-color=0xff404040 \
         ! video/x-raw,width=64,height=64,framerate=25/1 ! jpegenc ! avimux ! filesink \
         location={video}",
    );
    rig::init();
    let pipeline = gst::parse::launch(&make).unwrap().downcast().unwrap();
    rig::assert_ended(&rig::run_to_end(&pipeline));
    let sink = format!("video/x-raw,format=RGB ! filesink location={faded}");
    Example::program("fade")
        .args(&[&video, "--seconds", "0.5", "--sink", &sink])
        .env("CYCLEGAN_MODEL_PATH", models.folder().to_str().unwrap())
        .said();
    let frames = fs::read(&faded).unwrap();
    let levels: Vec<u8> = frames.chunks(64 * 64 * 3).map(|frame| frame[0]).collect();
    assert_eq!(levels.len(), 26);
    // At 12.5 frames strength is 1.
    for (frame, expected) in [(0, 64), (6, 125), (12, 186), (19, 125), (25, 64)] {
        assert!(levels[frame].abs_diff(expected) <= 8, "frame {frame}: {levels:?}");
    }
}

/// The detector's boxes are translated, with every output layout.
#[test]
fn detected_boxes_are_translated() {
    let models = Models::new();
    let model = models.add("G.onnx", &generators::invert());
    for (name, detector) in detectors::all() {
        let detector = models.add(&format!("{name}.onnx"), &detector);
        let frames = models.folder().join(format!("{name}.rgb"));
        detect(&model, &detector, &frames, "1");
        let bytes = fs::read(&frames).unwrap();
        assert_eq!(bytes.len(), 2 * 320 * 240 * 3, "{name}");
        let grey = |x: usize, y: usize| bytes[(y * 320 + x) * 3];
        assert_eq!([grey(84, 64), grey(160, 120), grey(235, 175)], [0; 3], "{name}");
        assert_eq!([grey(5, 5), grey(160, 20), grey(310, 230)], [255; 3], "{name}");
    }
}

fn detect(model: &Path, detector: &Path, frames: &Path, class: &str) {
    let source = "videotestsrc num-buffers=2 pattern=white ! \
                  video/x-raw,format=RGB,width=320,height=240";
    let sink = format!("filesink location={}", frames.display());
    let example = Example::program("detect").args(&["--source", source, "--sink", &sink]);
    let example = example.args(&["--model", model.to_str().unwrap(), "--class", class]);
    example.args(&["--detector", detector.to_str().unwrap()]).said();
}
