// SPDX-License-Identifier: MIT OR Apache-2.0

//! The pipeline of a visitor: WebRTC in, the filter, WebRTC out.

use std::{
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
};

use anyhow::{Context as _, Result, ensure};
use gst::{glib, prelude::*};
use gst_webrtc::{WebRTCSDPType, WebRTCSessionDescription};
use tokio::sync::mpsc::UnboundedSender;

use crate::messages::{Direction, ToPage};

/// VP8, which every browser supports, with feedback about losses and bandwidth.
const CODEC: &str = "application/x-rtp, media=video, encoding-name=VP8, payload=96, clock-rate=90000, \
    rtcp-fb-nack=true, rtcp-fb-nack-pli=true, rtcp-fb-transport-cc=true, \
    extmap-1=http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

// If the filter is too slow, a queue of one frame drops frames, so that the video does not lag behind.
const PIPELINE: &str = "webrtcbin name=webrtc bundle-policy=max-bundle latency=40 \
    rtpvp8depay name=depay request-keyframe=true wait-for-keyframe=true ! vp8dec \
    ! queue leaky=downstream max-size-buffers=1 max-size-bytes=0 max-size-time=0 \
    ! cycleganfilter name=filter preload=true max-in-flight=2 stats-interval=1000 \
    ! queue name=sent leaky=downstream max-size-buffers=1 max-size-bytes=0 max-size-time=0 ! videoconvert ! video/x-raw,format=I420 \
    ! vp8enc deadline=1 cpu-used=8 threads=2 end-usage=cbr target-bitrate=2500000 lag-in-frames=0 \
      error-resilient=default keyframe-max-dist=250 \
    ! rtpvp8pay picture-id-mode=15-bit ! application/x-rtp,payload=96 ! webrtc.sink_0";

/// An event from the pipeline's threads.
#[derive(Debug)]
pub enum Event {
    /// A message for the page.
    Message(ToPage),
    /// A frame has arrived.
    Picture,
    /// The visit ends, for this reason.
    End(String),
}

/// A pipeline that stops when it is dropped, after webrtcbin has answered all requests.
pub struct Translation {
    pipeline: gst::Pipeline,
    webrtc: gst::Element,
    filter: gst::Element,
    /// Each request to webrtcbin has a clone, which is dropped with the answer.
    request: Sender<()>,
    /// Disconnected when no request is open.
    requests: Mutex<Receiver<()>>,
}

impl Translation {
    /// Loads the model and makes an offer, which comes as an event.
    ///
    /// Media uses `address`, or all addresses of this machine if it is unspecified.
    pub fn start(
        model: &str,
        address: IpAddr,
        limit: (u32, u32),
        events: UnboundedSender<Event>,
    ) -> Result<Self> {
        let pipeline = gst::parse::launch(PIPELINE)?;
        let pipeline = pipeline.downcast::<gst::Pipeline>().ok().context("no pipeline")?;
        let find = |name| pipeline.by_name(name).with_context(|| format!("no element {name}"));
        let (webrtc, filter, depay) = (find("webrtc")?, find("filter")?, find("depay")?);
        filter.set_property("model", model);
        let (request, requests) = channel();
        let translation =
            Self { pipeline, webrtc, filter, request, requests: Mutex::new(requests) };
        translation.stay_on(address)?;
        translation.watch_frames(&depay, limit, events.clone())?;
        translation.take_picture(&depay);
        translation.send_candidates(events.clone());
        translation.pipeline.set_state(gst::State::Playing).map_err(|_| translation.failure())?;
        translation.offer(events)?;
        Ok(translation)
    }

    /// The pipeline's bus.
    pub fn bus(&self) -> Result<gst::Bus> {
        self.pipeline.bus().context("the pipeline has no bus")
    }

    /// The error of a pipeline that does not start.
    fn failure(&self) -> anyhow::Error {
        let message =
            self.pipeline.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => anyhow::anyhow!("{}", error.error()),
            _ => anyhow::anyhow!("the pipeline does not start"),
        }
    }

    fn stay_on(&self, address: IpAddr) -> Result<()> {
        let ice = self.webrtc.property::<gst::Object>("ice-agent");
        // UPnP would ask the router to open ports, on a thread that outlives the visit.
        if ice.find_property("agent").is_some()
            && let Some(agent) = ice.property::<Option<glib::Object>>("agent")
            && agent.find_property("upnp").is_some()
        {
            agent.set_property("upnp", false);
        }
        if address.is_unspecified() {
            return Ok(());
        }
        ensure!(
            ice.emit_by_name::<bool>("add-local-ip-address", &[&address.to_string()]),
            "the ICE agent does not take the address {address}"
        );
        Ok(())
    }

    /// Refuses frames larger than `limit` before they are decoded.
    fn watch_frames(
        &self,
        depay: &gst::Element,
        limit: (u32, u32),
        events: UnboundedSender<Event>,
    ) -> Result<()> {
        let pad = depay.static_pad("src").context("the depayloader has no source pad")?;
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view()) else {
                return gst::PadProbeReturn::Ok;
            };
            let Some(size) = size(caps.caps()) else { return gst::PadProbeReturn::Ok };
            let fits = u32::try_from(size.0).is_ok_and(|width| width <= limit.0)
                && u32::try_from(size.1).is_ok_and(|height| height <= limit.1);
            // Fails only after the visit has ended.
            let _ =
                events.send(if fits { Event::Picture } else { Event::End(too_large(size, limit)) });
            if fits { gst::PadProbeReturn::Ok } else { gst::PadProbeReturn::Drop }
        });
        Ok(())
    }

    /// Links the browser's video to the filter.
    fn take_picture(&self, depay: &gst::Element) {
        let depay = depay.downgrade();
        self.webrtc.connect_pad_added(move |_, pad| {
            let sink = depay.upgrade().and_then(|depay| depay.static_pad("sink"));
            if let Some(sink) =
                sink.filter(|sink| pad.direction() == gst::PadDirection::Src && !sink.is_linked())
            {
                // A stream other than VP8 does not link. Then no frame arrives, which is reported to the page.
                let _ = pad.link(&sink);
            }
        });
    }

    fn send_candidates(&self, events: UnboundedSender<Event>) {
        self.webrtc.connect("on-ice-candidate", false, move |values| {
            if let Some(Ok(candidate)) = values.get(2).map(|value| value.get::<String>()) {
                let _ = events.send(Event::Message(ToPage::Candidate { candidate }));
            }
            None
        });
    }

    /// One video stream in each direction.
    fn offer(&self, events: UnboundedSender<Event>) -> Result<()> {
        let transceiver = self
            .webrtc
            .emit_by_name::<Option<gst_webrtc::WebRTCRTPTransceiver>>("get-transceiver", &[&0i32]);
        let transceiver = transceiver.context("webrtcbin made no transceiver")?;
        // The real caps are known only when the first frame has passed the filter.
        transceiver.set_property("codec-preferences", CODEC.parse::<gst::Caps>()?);
        transceiver.set_property("do-nack", true);
        let webrtc = self.webrtc.downgrade();
        let request = self.request.clone();
        let promise = gst::Promise::with_change_func(move |reply| {
            let offer = reply
                .ok()
                .flatten()
                .and_then(|reply| reply.get::<WebRTCSessionDescription>("offer").ok());
            let event = match (
                webrtc.upgrade(),
                offer.as_ref().map(|offer| (offer, offer.sdp().as_text())),
            ) {
                (Some(webrtc), Some((offer, Ok(sdp)))) => {
                    let done = until_answered(request);
                    webrtc.emit_by_name::<()>("set-local-description", &[offer, &done]);
                    Event::Message(ToPage::Offer { sdp })
                }
                _ => Event::End("webrtcbin made no offer".to_owned()),
            };
            let _ = events.send(event);
        });
        self.webrtc.emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
        Ok(())
    }

    /// Sets the browser's answer to the offer.
    pub fn answer(&self, sdp: &str) -> Result<()> {
        let sdp =
            gst_sdp::SDPMessage::parse_buffer(sdp.as_bytes()).context("the answer is no SDP")?;
        let media: Vec<_> =
            sdp.medias().filter_map(|media| media.media().map(str::to_owned)).collect();
        ensure!(media == ["video"], "the answer must have one stream of video, and has {media:?}");
        let answer = WebRTCSessionDescription::new(WebRTCSDPType::Answer, sdp);
        let done = until_answered(self.request.clone());
        self.webrtc.emit_by_name::<()>("set-remote-description", &[&answer, &done]);
        Ok(())
    }

    /// Adds an ICE candidate of the browser.
    pub fn add_candidate(&self, candidate: &str) {
        self.webrtc.emit_by_name::<()>("add-ice-candidate", &[&0u32, &candidate]);
    }

    pub fn set_strength(&self, strength: f64) {
        self.filter.set_property("strength", strength);
    }

    pub fn set_direction(&self, direction: Direction) {
        self.filter.set_property_from_str("direction", direction.nick());
    }

    /// Loads a model in the background; errors are posted on the bus.
    pub fn set_model(&self, model: &str) {
        self.filter.set_property("model", model);
    }

    /// The filter's current settings.
    pub fn settings(&self) -> ToPage {
        ToPage::Settings {
            model: self.filter.property::<Option<String>>("model").unwrap_or_default(),
            direction: glib::EnumValue::from_value(&self.filter.property_value("direction"))
                .map(|(_, direction)| direction.nick().to_owned())
                .unwrap_or_default(),
            strength: self.filter.property("strength"),
        }
    }

    /// Gives webrtcbin the new latency, which is measured while playing.
    pub fn recalculate_latency(&self) {
        let _ = self.pipeline.recalculate_latency();
    }
}

impl Drop for Translation {
    fn drop(&mut self) {
        // While webrtcbin handles a request it adds transports; if it is stopped then, it leaks them and their threads.
        // This may take seconds: the first offer of a process generates the DTLS key.
        self.request = channel().0;
        let requests = self.requests.get_mut().unwrap_or_else(PoisonError::into_inner);
        while requests.recv().is_ok() {}
        // The pipeline is a loop through webrtcbin, so GStreamer cannot stop it from the sinks to the sources: the
        // filter may be stopped while it waits for a downstream element.
        if let Some(pad) = self.pipeline.by_name("sent").and_then(|queue| queue.static_pad("sink"))
        {
            pad.send_event(gst::event::FlushStart::new());
        }
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Drops `request` when webrtcbin has answered, or has dropped the promise.
fn until_answered(request: Sender<()>) -> gst::Promise {
    gst::Promise::with_change_func(move |_| drop(request))
}

/// Width and height.
fn size(caps: &gst::CapsRef) -> Option<(i32, i32)> {
    let structure = caps.structure(0)?;
    Some((structure.get("width").ok()?, structure.get("height").ok()?))
}

fn too_large((width, height): (i32, i32), limit: (u32, u32)) -> String {
    format!(
        "The camera's frames have {width}×{height} pixels, and {}×{} are the most here.",
        limit.0, limit.1
    )
}
