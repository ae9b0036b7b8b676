// SPDX-License-Identifier: MIT OR Apache-2.0

//! The server, started for a test.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, ErrorKind},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tungstenite::{Message, WebSocket, client::IntoClientRequest, error::Error, http::StatusCode};

use crate::{
    PATIENCE,
    generators::{self, Models},
    plugin, skip, wait_until,
};

/// A server that ends with the test.
pub struct Service {
    child: Child,
    /// The address that it serves at, `host:port`.
    pub host: String,
    folder: TempDir,
    _models: Models,
}

/// The server with the plugin from the same build, isolated from the user's settings.
pub fn command(models: &Models) -> Command {
    // In one place, so that GStreamer keeps its list of plugins between tests.
    let plugins = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins");
    let library = plugin::beside_test();
    let link = plugins.join(plugin::file_name());
    if fs::read_link(&link).ok().as_ref() != Some(&library) {
        fs::create_dir_all(&plugins).unwrap();
        let beside = plugins.join(format!(".webrtc-{}", std::process::id()));
        std::os::unix::fs::symlink(&library, &beside).unwrap();
        fs::rename(&beside, &link).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_cyclegan-webrtc"));
    command
        .args(["--listen", "127.0.0.1:0"])
        .env("CYCLEGAN_MODEL_PATH", models.folder())
        .env("GST_PLUGIN_PATH", plugins)
        .env("XDG_DATA_HOME", models.folder())
        .env("GST_REGISTRY_1_0", Path::new(env!("CARGO_TARGET_TMPDIR")).join("webrtc-registry.bin"))
        .env_remove("MODEL")
        .stdin(Stdio::null());
    command
}

/// A pair whose G lightens dark pixels and keeps the others, and whose F makes negatives; and a second pair.
pub fn models() -> Models {
    let models = Models::new();
    // y = |x|.
    let mut absolute = generators::invert();
    absolute.graph.as_mut().unwrap().node[0].op_type = "Abs".to_owned();
    models.add_pair("horse2zebra", &absolute, &generators::invert());
    models.add_pair("other", &generators::invert(), &generators::invert());
    models
}

impl Service {
    /// `None` if GStreamer lacks an element that it needs.
    pub fn start(arguments: &[&str]) -> Option<Self> {
        let models = models();
        let folder = tempfile::tempdir().unwrap();
        let mut child = command(&models)
            .args(arguments)
            // Logs its sessions, and on a signal all elements that are alive.
            .env("GST_DEBUG", "onnxruntime:4,GST_TRACER:7,leaks:7")
            .env("GST_DEBUG_NO_COLOR", "1")
            .env("GST_TRACERS", "leaks(filters=\"GstElement\")")
            .env("GST_LEAKS_TRACER_SIG", "1")
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let log = fs::read_to_string(folder.path().join("log")).unwrap();
        if let Some((_, missing)) = log.split_once("Error: GStreamer has no element ")
            && !missing.starts_with("cycleganfilter")
        {
            let _ = child.wait();
            skip::say_skipped(&format!("SKIP: GStreamer has no element {}", missing.trim()));
            return None;
        }
        let host = line.trim().strip_prefix("http://").unwrap_or_else(|| panic!("{line}{log}"));
        let host = host.trim_end_matches('/').to_owned();
        Some(Self { child, host, folder, _models: models })
    }

    pub fn address(&self) -> String {
        format!("http://{}/", self.host)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// The number of ONNX Runtime sessions that it has opened.
    pub fn sessions(&self) -> usize {
        self.log().lines().filter(|line| line.contains("opened a session")).count()
    }

    /// The names of its threads.
    pub fn threads(&self) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let name = |task: std::io::Result<fs::DirEntry>| {
            fs::read_to_string(task.ok()?.path().join("comm")).ok()
        };
        let mut names: Vec<_> = tasks.filter_map(name).map(|name| name.trim().to_owned()).collect();
        names.sort();
        names
    }

    /// The elements that are alive, as GStreamer's leaks tracer lists them.
    pub fn elements(&self) -> Vec<String> {
        let before = self.log().len();
        let asked =
            Command::new("kill").args(["-USR1", &self.child.id().to_string()]).status().unwrap();
        assert!(asked.success());
        // The tracer's last line. Its first one ends with "listing currently alive objects".
        wait_until("the elements are listed", || {
            let log = self.log();
            let mut lines = log[before..].split_inclusive('\n').filter(|line| line.ends_with('\n'));
            lines.any(|line| {
                line.contains(" listed ") || line.contains("No objects alive currently")
            })
        });
        let log = self.log();
        let objects = log[before..]
            .lines()
            .filter_map(|line| line.split_once("object-alive, "))
            .map(|(_, object)| object);
        objects.map(str::to_owned).collect()
    }

    /// Waits until no element is left.
    pub fn wait_until_empty(&self) {
        let until = Instant::now() + PATIENCE;
        loop {
            let elements = self.elements();
            if elements.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "still there: {elements:#?}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// A visitor without a browser, from a page of `origin`.
    pub fn visitor(&self, origin: &str) -> Result<Visitor, StatusCode> {
        let stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = format!("ws://{}/visit", self.host).into_client_request().unwrap();
        request.headers_mut().insert("Origin", origin.parse().unwrap());
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Visitor(socket)),
            Err(tungstenite::HandshakeError::Failure(Error::Http(answer))) => Err(answer.status()),
            Err(error) => panic!("{error}"),
        }
    }

    /// A visitor from the server's own page.
    pub fn own_visitor(&self) -> Visitor {
        self.visitor(&format!("http://{}", self.host)).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection to the server.
pub struct Visitor(WebSocket<TcpStream>);

impl Visitor {
    pub fn say(&mut self, text: &str) {
        // The server may already have closed the connection, which `hear` reports.
        let _ = self.0.send(Message::text(text));
    }

    /// The next message of this type.
    pub fn hear(&mut self, kind: &str) -> serde_json::Value {
        loop {
            let message = self.0.read().unwrap_or_else(|error| panic!("no {kind}: {error}"));
            let Message::Text(text) = message else { continue };
            let message: serde_json::Value = serde_json::from_str(&text).unwrap();
            if message["type"] == kind {
                return message;
            }
            assert_ne!(message["type"], "error", "no {kind}: {message}");
        }
    }

    /// The text of the server's last message, an error.
    pub fn error(&mut self) -> String {
        self.hear("error")["text"].as_str().unwrap().to_owned()
    }

    /// Reads until the server has ended the connection; panics if it does not.
    pub fn hear_the_end(mut self) {
        loop {
            match self.0.read() {
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    panic!("the connection is still open")
                }
                Err(_) => return,
            }
        }
    }
}
