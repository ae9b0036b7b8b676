// SPDX-License-Identifier: MIT OR Apache-2.0

//! Serves a page that shows the visitor's camera, translated. The browser sends the video over WebRTC and gets the
//! translation back.
//!
//! ```sh
//! cargo run --release --package cyclegan-webrtc
//! ```
//!
//! Each visitor has a pipeline. Its filter shares the ONNX Runtime session with those of all visitors that run the same
//! model.

mod messages;
mod models;
mod origin;
mod server;
mod translation;
mod visit;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::Parser;

/// Serves a page that shows the browser's camera through cycleganfilter
#[derive(Parser)]
struct Arguments {
    /// The address to serve at. Browsers give the camera only to pages from the same machine and to https pages, so
    /// other machines need a TLS proxy in front of the server
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// A host name of the page, in addition to localhost and IP addresses; may be given several times
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// The initial model: a file, a pair's folder, or the name of a pair [default: the element's]
    #[arg(long, env = "MODEL")]
    model: Option<String>,
    /// Maximum number of visitors at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=100))]
    visitors: u16,
    /// Maximum size of frames, in pixels
    #[arg(long, default_value = "1280x720", value_name = "WIDTHxHEIGHT", value_parser = size)]
    max_size: (u32, u32),
    /// Seconds without any message after which a visitor is disconnected
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=3600))]
    timeout: u16,
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let size = text
        .split_once('x')
        .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    // VP8 stores each side in 14 bits.
    size.filter(|&(width, height)| (16..=16383).contains(&width) && (16..=16383).contains(&height))
        .ok_or_else(|| {
            "expected WIDTHxHEIGHT with 16 to 16383 pixels each, for example 1280x720".to_owned()
        })
}

/// The elements of a pipeline, and how to install each.
const ELEMENTS: [(&str, &str); 9] = [
    ("cycleganfilter", "run eval \"$(./dev env)\" first, or install gstreamer1.0-cyclegan"),
    ("webrtcbin", "install gstreamer1.0-plugins-bad"),
    ("dtlssrtpenc", "install gstreamer1.0-plugins-bad"),
    ("srtpenc", "install gstreamer1.0-plugins-bad"),
    ("nicesink", "install gstreamer1.0-nice"),
    ("rtpbin", "install gstreamer1.0-plugins-good"),
    ("rtpvp8pay", "install gstreamer1.0-plugins-good"),
    ("vp8enc", "install gstreamer1.0-plugins-good"),
    ("videoconvert", "install gstreamer1.0-plugins-base"),
];

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    gst::init()?;
    for (element, remedy) in ELEMENTS {
        if gst::ElementFactory::find(element).is_none() {
            bail!("GStreamer has no element {element} here: {remedy}");
        }
    }
    let models = models::found();
    let model = match arguments.model {
        Some(model) => model,
        None => models::default()?,
    };
    let models = models::menu(&model, models);
    let server = Arc::new(server::Server::new(
        arguments.listen.ip(),
        server::Limits {
            visitors: arguments.visitors.into(),
            size: arguments.max_size,
            timeout: Duration::from_secs(arguments.timeout.into()),
        },
        origin::Hosts::new(arguments.hosts),
        model,
        models,
    ));
    // Pipelines have their own threads, so one thread is enough for messages.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_keep_alive(Duration::from_secs(1))
        .build()?;
    runtime.block_on(async {
        let listener =
            tokio::net::TcpListener::bind(arguments.listen).await.with_context(|| {
                format!("cannot serve at {}; --listen takes another address", arguments.listen)
            })?;
        println!("http://{}/", listener.local_addr()?);
        axum::serve(listener, server::router(server)).await.context("the server ended")
    })
}
