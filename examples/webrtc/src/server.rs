// SPDX-License-Identifier: MIT OR Apache-2.0

//! The page, and the door to its connection.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{State, WebSocketUpgrade},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::sync::Semaphore;

use crate::{messages::MAX_MESSAGE, origin::Hosts, visit};

/// What a visitor may take.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Visitors at once.
    pub visitors: usize,
    /// Width and height of a frame, in pixels.
    pub size: (u32, u32),
    /// How long a visitor may give no sign of life.
    pub timeout: Duration,
}

/// What all visitors share.
pub struct Server {
    /// What it listens at.
    pub address: IpAddr,
    pub limits: Limits,
    /// A permit for each visitor that may still come.
    pub places: Arc<Semaphore>,
    /// The model to begin with.
    pub model: String,
    /// The models of the menu, which are all that a visitor may choose.
    pub models: Vec<String>,
    hosts: Hosts,
}

impl Server {
    pub fn new(
        address: IpAddr,
        limits: Limits,
        hosts: Hosts,
        model: String,
        models: Vec<String>,
    ) -> Self {
        Self {
            address,
            limits,
            places: Arc::new(Semaphore::new(limits.visitors)),
            model,
            models,
            hosts,
        }
    }
}

pub fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/", get(|| file("text/html; charset=utf-8", include_str!("page/index.html"))))
        .route("/page.css", get(|| file("text/css; charset=utf-8", include_str!("page/page.css"))))
        .route(
            "/page.js",
            get(|| file("text/javascript; charset=utf-8", include_str!("page/page.js"))),
        )
        .route("/visit", get(connect))
        .with_state(server)
}

/// A file of the page, which takes nothing from elsewhere and stands in no frame of another page.
async fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

async fn connect(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if let Err(reason) = server.hosts.check(&headers) {
        eprintln!("refused: {reason}");
        return (StatusCode::FORBIDDEN, reason).into_response();
    }
    // Twice as much, so that a message that is a little too long is refused in words.
    let upgrade = upgrade.max_message_size(2 * MAX_MESSAGE).max_frame_size(2 * MAX_MESSAGE);
    upgrade.on_upgrade(move |socket| visit::visit(socket, server))
}
