// SPDX-License-Identifier: MIT OR Apache-2.0

//! Translates the stream of an RTSP camera and serves the result over RTSP.
//!
//! ```sh
//! cargo run --release --example rtsp -- rtsp://camera/stream
//! ```
//!
//! Play it with any player, for example `gst-play-1.0 rtsp://127.0.0.1:8554/translated`.

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use gst::glib;
use gst_rtsp_server::prelude::*;

/// Serves the translation of a stream over RTSP.
#[derive(Parser)]
struct Arguments {
    /// The stream: an rtsp:// address, any other URI that GStreamer plays, or a file
    #[arg(required_unless_present = "source")]
    input: Option<String>,
    /// Source elements instead of INPUT
    #[arg(long, conflicts_with = "input")]
    source: Option<String>,
    /// The model: a file, a pair's folder, or the name of a pair [default: the element's]
    #[arg(long, env = "MODEL")]
    model: Option<String>,
    /// The address to serve at; 0.0.0.0 makes it reachable from other machines
    #[arg(long, default_value = "127.0.0.1")]
    address: String,
    /// The port to serve at
    #[arg(long, default_value_t = 8554)]
    port: u16,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    gst::init()?;
    for element in ["cycleganfilter", "x264enc", "rtph264pay"] {
        if gst::ElementFactory::find(element).is_none() {
            bail!("there is no element {element} here; for ours: eval \"$(./dev env)\"");
        }
    }
    let source = match (&arguments.source, &arguments.input) {
        (Some(source), _) => source.clone(),
        // Rotates video by its orientation tag.
        (None, Some(input)) => format!(
            "uridecodebin uri={} ! videoconvert ! videoflip video-direction=auto",
            quoted(&uri(input)?)
        ),
        (None, None) => bail!("no stream, expected INPUT or --source"),
    };
    let model = arguments.model.as_deref();
    let model = model.map_or_else(String::new, |model| format!("model={}", quoted(model)));
    // A key frame every second lets players join at any time. Late frames take the last residual, so that a
    // slow generator does not slow the stream down.
    let description = format!(
        "( {source} ! cycleganfilter late-frames=hold {model} ! queue ! videoconvert ! \
         video/x-raw,format=I420 ! x264enc tune=zerolatency speed-preset=veryfast key-int-max=25 ! \
         rtph264pay name=pay0 pt=96 )"
    );
    let factory = gst_rtsp_server::RTSPMediaFactory::new();
    factory.set_launch(&description);
    // All clients share one pipeline.
    factory.set_shared(true);
    factory.connect_media_configure(|_, media| print_errors(media));

    let server = gst_rtsp_server::RTSPServer::new();
    server.set_address(&arguments.address);
    server.set_service(&arguments.port.to_string());
    let mounts = server.mount_points().context("the server has no mount points")?;
    mounts.add_factory("/translated", factory);
    let _id = server
        .attach(None)
        .with_context(|| format!("cannot serve at {}:{}", arguments.address, arguments.port))?;
    println!("rtsp://{}:{}/translated", arguments.address, server.bound_port());
    glib::MainLoop::new(None, false).run();
    Ok(())
}

/// `input`, or the URI of the file of that name.
fn uri(input: &str) -> Result<String> {
    if glib::uri_parse_scheme(input).is_some() {
        return Ok(input.to_owned());
    }
    let file = std::fs::canonicalize(input).with_context(|| {
        format!("{input}: neither a URI, such as rtsp://camera/stream, nor a file")
    })?;
    Ok(glib::filename_to_uri(file, None)?.into())
}

/// Prints why a stream ends: a client is told only that the service is unavailable.
fn print_errors(media: &gst_rtsp_server::RTSPMedia) {
    let pipeline = media.element().parent().and_downcast::<gst::Pipeline>();
    let Some(bus) = pipeline.and_then(|pipeline| pipeline.bus()) else { return };
    // The media takes the messages from the bus, so they are looked at as they are posted.
    bus.enable_sync_message_emission();
    bus.connect_sync_message(Some("error"), |_, message| {
        if let gst::MessageView::Error(error) = message.view() {
            eprintln!("{}\n{}", error.error(), error.debug().unwrap_or_default());
        }
    });
}

/// Quotes a value for a pipeline description.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
