// SPDX-License-Identifier: MIT OR Apache-2.0

//! The messages between page and server: JSON over a WebSocket.

use serde::{Deserialize, Serialize};

/// The longest message that is accepted, in bytes; an answer has about 3000.
pub const MAX_MESSAGE: usize = 32 * 1024;
/// The maximum number of ICE candidates of a visitor; each makes the server send packets to it.
pub const MAX_CANDIDATES: usize = 32;

/// A message from the page.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum FromPage {
    /// The session description that answers the server's offer.
    Answer {
        /// SDP.
        sdp: String,
    },
    /// An address at which the browser may be reached.
    Candidate {
        /// The line of SDP, without `a=`.
        candidate: String,
    },
    /// Changes one or more settings.
    Set {
        /// 0 to 1.
        strength: Option<f64>,
        /// Which generator of the pair.
        direction: Option<Direction>,
        /// A model of the menu.
        model: Option<String>,
    },
}

/// The filter's `direction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// A to B.
    Forward,
    /// B to A.
    Reverse,
}

impl Direction {
    /// The nick of the element's property value.
    pub fn nick(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Reverse => "reverse",
        }
    }
}

/// A message to the page.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ToPage {
    /// The first message: the menu and the limits.
    Welcome {
        /// The menu.
        models: Vec<String>,
        /// Maximum width of frames, in pixels.
        width: u32,
        /// Maximum height of frames, in pixels.
        height: u32,
    },
    /// The server's session description.
    Offer {
        /// SDP.
        sdp: String,
    },
    /// An address at which the server may be reached.
    Candidate {
        /// The line of SDP, without `a=`.
        candidate: String,
    },
    /// The filter's settings.
    Settings {
        /// The model in use.
        model: String,
        /// `forward` or `reverse`.
        direction: String,
        /// 0 to 1.
        strength: f64,
    },
    /// The filter's statistics, once a second.
    Stats {
        /// Translated frames a second.
        fps: f64,
        /// The median time of the generator, in ms.
        inference: f64,
        /// The execution provider.
        provider: String,
    },
    /// Something failed, and the video continues.
    Warning {
        /// In words.
        text: String,
    },
    /// The end of the visit.
    Error {
        /// In words.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_messages_are_refused() {
        let parse = serde_json::from_str::<FromPage>;
        assert!(parse(r#"{"type":"set","strength":0.5}"#).is_ok());
        assert!(parse(r#"{"type":"set","direction":"reverse","model":"horse2zebra"}"#).is_ok());
        for bad in [
            "",
            "{}",
            r#"{"type":"quit"}"#,
            r#"{"type":"set","direction":"up"}"#,
            r#"{"type":"set","location":"/"}"#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
