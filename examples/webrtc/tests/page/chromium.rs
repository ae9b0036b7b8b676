// SPDX-License-Identifier: MIT OR Apache-2.0

//! Headless Chromium, driven over the DevTools protocol, with a clip in place of the camera.

use std::{
    io::{BufRead, BufReader},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

use crate::PATIENCE;

/// A browser that ends with the test.
pub struct Browser {
    child: Child,
    socket: WebSocket<TcpStream>,
    calls: u64,
    _home: TempDir,
}

/// The session of a tab.
pub struct Tab(String);

impl Browser {
    /// `None` if Chromium is not installed.
    pub fn start(clip: &Path) -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let mut child = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"])
            .args(["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"])
            .args(["--autoplay-policy=no-user-gesture-required", "--window-size=1200,860"])
            .arg(format!("--use-file-for-fake-video-capture={}", clip.display()))
            .arg(format!("--user-data-dir={}", home.path().display()))
            .arg("about:blank")
            .env("HOME", home.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address =
            lines.find_map(|line| Some(line.strip_prefix("DevTools listening on ")?.to_owned()));
        let address = address.expect("chromium gives an address");
        // Reads the rest of standard error, so that the browser does not block on a full pipe.
        thread::spawn(move || lines.for_each(drop));
        let host = address.trim_start_matches("ws://").split('/').next().unwrap().to_owned();
        let stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(address, stream).unwrap();
        Some(Self { child, socket, calls: 0, _home: home })
    }

    /// Opens a page in a new window.
    pub fn open(&mut self, address: &str) -> Tab {
        let target =
            self.call(None, "Target.createTarget", json!({ "url": address, "newWindow": true }));
        let arguments = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call(None, "Target.attachToTarget", arguments);
        let tab = Tab(session["sessionId"].as_str().unwrap().to_owned());
        self.wait(&tab, "document.readyState === 'complete' && location.href !== 'about:blank'");
        tab
    }

    /// The value of a JavaScript expression.
    pub fn value(&mut self, tab: &Tab, expression: &str) -> Value {
        let arguments =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let result = self.call(Some(tab), "Runtime.evaluate", arguments);
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// The text of the element `id`.
    pub fn text(&mut self, tab: &Tab, id: &str) -> String {
        self.value(tab, &format!("document.getElementById('{id}').textContent"))
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Waits until an expression is true.
    pub fn wait(&mut self, tab: &Tab, expression: &str) {
        let until = Instant::now() + PATIENCE;
        while self.value(tab, expression) != json!(true) {
            let said = self.value(tab, "document.body?.innerText");
            assert!(Instant::now() < until, "in vain: {expression}; the page says {said}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn call(&mut self, tab: Option<&Tab>, method: &str, arguments: Value) -> Value {
        self.calls += 1;
        let mut call = json!({ "id": self.calls, "method": method, "params": arguments });
        if let Some(Tab(session)) = tab {
            call["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(call.to_string())).unwrap();
        loop {
            let message = self.socket.read().unwrap();
            let mut answer: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
            if answer["id"] == json!(self.calls) {
                assert!(answer.get("error").is_none(), "{call}: {answer}");
                return answer["result"].take();
            }
        }
    }

    /// Kills the browser, as on a power failure.
    pub fn vanish(self) {}
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
