// SPDX-License-Identifier: MIT OR Apache-2.0

//! A visit: from the connection of a page to its disconnection.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use axum::extract::ws::{Message, WebSocket};
use futures_util::StreamExt as _;
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use crate::{
    messages::{FromPage, MAX_CANDIDATES, MAX_MESSAGE, ToPage},
    server::Server,
    translation::{Event, Translation},
};

/// Translates until the visitor leaves or breaks a rule; in that case the page gets an error message.
pub async fn visit(socket: WebSocket, server: Arc<Server>) {
    let mut page = Page { socket, timeout: server.limits.timeout };
    let place = Arc::clone(&server.places).try_acquire_owned();
    let result = match &place {
        Ok(_) => be_served(&mut page, &server).await,
        Err(_) => Err(anyhow::anyhow!(
            "All {} places are taken. Try again later.",
            server.limits.visitors
        )),
    };
    // The pipeline has stopped.
    drop(place);
    if let Err(error) = result {
        let text = format!("{error:#}");
        eprintln!("a visit ended: {text}");
        // The page may be gone.
        let _ = page.send(&ToPage::Error { text }).await;
    }
    let _ = page.socket.send(Message::Close(None)).await;
}

async fn be_served(page: &mut Page, server: &Arc<Server>) -> Result<()> {
    let (width, height) = server.limits.size;
    page.send(&ToPage::Welcome { models: server.models.clone(), width, height }).await?;
    let (sender, events) = unbounded_channel();
    let shared = Arc::clone(server);
    // Blocking: loads a model, and at the end waits for threads to stop.
    let start = spawn_blocking(move || {
        Translation::start(&shared.model, shared.address, shared.limits.size, sender)
    });
    let translation = start.await.context("the start of the pipeline failed")??;
    let result = Visit { page, server, translation: &translation, candidates: 0, answered: false }
        .run(events)
        .await;
    spawn_blocking(move || drop(translation)).await.context("the end of the pipeline failed")?;
    result
}

/// The connection to the page.
struct Page {
    socket: WebSocket,
    timeout: Duration,
}

impl Page {
    async fn send(&mut self, message: &ToPage) -> Result<()> {
        let text = serde_json::to_string(message)?;
        self.send_raw(Message::text(text)).await
    }

    /// Sends a message; fails if the page does not read it in time.
    async fn send_raw(&mut self, message: Message) -> Result<()> {
        timeout(self.timeout, self.socket.send(message))
            .await
            .context("the page reads nothing")??;
        Ok(())
    }
}

struct Visit<'a> {
    page: &'a mut Page,
    server: &'a Server,
    translation: &'a Translation,
    candidates: usize,
    answered: bool,
}

impl Visit<'_> {
    /// Runs until the page disconnects; fails if the page breaks a rule or the pipeline fails.
    async fn run(mut self, mut events: UnboundedReceiver<Event>) -> Result<()> {
        self.page.send(&self.translation.settings()).await?;
        let mut messages = self.translation.bus()?.stream();
        let limit = self.server.limits.timeout;
        let mut pings = interval(limit / 3);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut heard, mut has_picture) = (Instant::now(), false);
        // The page can send video only after it has the offer.
        let mut offered = None;
        loop {
            tokio::select! {
                // Pipeline events come first, since errors may follow from them.
                biased;
                Some(event) = events.recv() => match event {
                    Event::Message(message) => {
                        self.page.send(&message).await?;
                        if matches!(message, ToPage::Offer { .. }) {
                            offered = Some(Instant::now());
                        }
                    }
                    Event::Picture => has_picture = true,
                    Event::End(reason) => bail!(reason),
                },
                message = self.page.socket.recv() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) => self.take(&text).await?,
                        Some(Ok(Message::Binary(_))) => bail!("The page sent something other than text."),
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        Some(Ok(Message::Close(_))) | None => return Ok(()),
                        Some(Err(error)) => return Err(error).context("The connection broke"),
                    }
                }
                Some(message) = messages.next() => self.tell(&message).await?,
                _ = pings.tick() => {
                    ensure!(heard.elapsed() < limit, "The page gave no sign of life for {limit:?}.");
                    ensure!(
                        has_picture || offered.is_none_or(|offered| offered.elapsed() < limit),
                        "No picture came within {limit:?}: something between browser and server stops UDP, \
                         or the browser has no VP8."
                    );
                    self.page.send_raw(Message::Ping(Default::default())).await?;
                }
            }
        }
    }

    /// Handles a message from the page.
    async fn take(&mut self, text: &str) -> Result<()> {
        ensure!(
            text.len() <= MAX_MESSAGE,
            "The page sent a message that is longer than {MAX_MESSAGE} bytes."
        );
        let message = serde_json::from_str(text)
            .context("The page sent a message that this server does not know")?;
        match message {
            FromPage::Answer { sdp } => {
                ensure!(!self.answered, "The page answered twice.");
                self.answered = true;
                self.translation.answer(&sdp)?;
            }
            FromPage::Candidate { candidate } => {
                self.candidates += 1;
                ensure!(
                    self.candidates <= MAX_CANDIDATES,
                    "The page has more than {MAX_CANDIDATES} addresses."
                );
                self.translation.add_candidate(&candidate);
            }
            FromPage::Set { strength, direction, model } => {
                if let Some(strength) = strength {
                    ensure!(
                        (0.0..=1.0).contains(&strength),
                        "strength is {strength}, and must be from 0 to 1."
                    );
                    self.translation.set_strength(strength);
                }
                if let Some(direction) = direction {
                    self.translation.set_direction(direction);
                }
                if let Some(model) = model {
                    ensure!(self.server.models.contains(&model), "{model} is not in the menu.");
                    self.translation.set_model(&model);
                }
            }
        }
        Ok(())
    }

    /// Forwards a bus message to the page.
    async fn tell(&mut self, message: &gst::Message) -> Result<()> {
        match message.view() {
            gst::MessageView::Error(error) => bail!("{}", error.error()),
            gst::MessageView::Eos(_) => bail!("The browser ended its stream."),
            gst::MessageView::Warning(warning) => {
                self.page.send(&ToPage::Warning { text: warning.error().to_string() }).await?;
                // After a refused model, the previous one stays.
                self.page.send(&self.translation.settings()).await?;
            }
            gst::MessageView::Latency(_) => self.translation.recalculate_latency(),
            gst::MessageView::Element(element) => {
                if let Some(stats) = element.structure().and_then(stats) {
                    self.page.send(&stats).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The statistics that the page shows.
fn stats(stats: &gst::StructureRef) -> Option<ToPage> {
    (stats.name() == "cyclegan-stats").then_some(())?;
    Some(ToPage::Stats {
        fps: stats.get("fps").ok()?,
        inference: stats.get::<u64>("inference-p50-us").ok()? as f64 / 1000.0,
        provider: stats.get("provider").ok()?,
    })
}
