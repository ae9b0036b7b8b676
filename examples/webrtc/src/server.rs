// SPDX-License-Identifier: MIT OR Apache-2.0

//! The HTTP server: the page and its WebSocket.

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

/// Limits of visitors.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Maximum number of visitors at once.
    pub visitors: usize,
    /// Maximum width and height of frames, in pixels.
    pub size: (u32, u32),
    /// The time without any message after which a visitor is disconnected.
    pub timeout: Duration,
}

/// The state that all visitors share.
pub struct Server {
    /// The address that it listens on.
    pub address: IpAddr,
    pub limits: Limits,
    /// One permit per free place.
    pub places: Arc<Semaphore>,
    /// The initial model.
    pub model: String,
    /// The models of the menu; visitors can choose no others.
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

/// A file of the page. Its headers forbid loading from other sites and embedding in other pages.
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
    // Twice the limit, so that a slightly longer message gets an error message.
    let upgrade = upgrade.max_message_size(2 * MAX_MESSAGE).max_frame_size(2 * MAX_MESSAGE);
    upgrade.on_upgrade(move |socket| visit::visit(socket, server))
}
