// SPDX-License-Identifier: MIT OR Apache-2.0

//! What page and server say to each other, as JSON over a WebSocket.

use serde::{Deserialize, Serialize};

/// The longest message that is taken, in bytes; an answer has about 3000.
pub const MAX_MESSAGE: usize = 32 * 1024;
/// Most ICE candidates of a visitor; each makes the server send packets to it.
pub const MAX_CANDIDATES: usize = 32;

/// A message of the page.
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
        /// A name of the menu.
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
    /// As the element calls it.
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
    /// The menu and the limits, first of all.
    Welcome {
        /// The menu.
        models: Vec<String>,
        /// Widest frames that are taken, in pixels.
        width: u32,
        /// Highest frames that are taken, in pixels.
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
        /// What the menu shows.
        model: String,
        /// `forward` or `reverse`.
        direction: String,
        /// 0 to 1.
        strength: f64,
    },
    /// What the filter measured, once a second.
    Stats {
        /// Translated frames a second.
        fps: f64,
        /// The median time of the generator, in ms.
        inference: f64,
        /// The execution provider.
        provider: String,
    },
    /// Something went wrong, and the picture goes on.
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
    fn messages_of_another_shape_are_refused() {
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
