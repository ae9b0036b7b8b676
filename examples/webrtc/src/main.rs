// SPDX-License-Identifier: MIT OR Apache-2.0

//! Serves a page on which a visitor sees the camera, translated: the browser sends it over WebRTC and gets it back.
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
    /// The address to serve at. Browsers give the camera to pages of this machine and to https only, so other machines
    /// need a proxy with TLS in front
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// A name under which the page is reached, besides localhost and addresses in numbers; may be given several times
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// The generator to begin with: a model file, a pair's folder, or the name of a pair [default: the element's own]
    #[arg(long, env = "MODEL")]
    model: Option<String>,
    /// Most visitors at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=100))]
    visitors: u16,
    /// Largest frames that are taken, in pixels
    #[arg(long, default_value = "1280x720", value_name = "WIDTHxHEIGHT", value_parser = size)]
    max_size: (u32, u32),
    /// Seconds without a sign of life after which a visitor is gone
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=3600))]
    timeout: u16,
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let size = text
        .split_once('x')
        .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    // VP8 has 14 bits for each.
    size.filter(|&(width, height)| (16..=16383).contains(&width) && (16..=16383).contains(&height))
        .ok_or_else(|| {
            "expected WIDTHxHEIGHT with 16 to 16383 pixels each, for example 1280x720".to_owned()
        })
}

/// What a pipeline needs, and how to get it.
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
    // Pipelines have threads of their own, so one is enough for the messages.
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
