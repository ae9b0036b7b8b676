// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which tracks of a file to keep: `--audio` and `--subtitles`.

use std::{fmt, str::FromStr};

use gst_tag::language_codes::language_code_iso_639_2t;
use serde::{Deserialize, Serialize};

/// The code of a track without a language.
pub const UNDETERMINED: &str = "und";

/// Which tracks of a kind to keep.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tracks {
    #[default]
    All,
    First,
    None,
    Languages(Vec<Language>),
}

/// A language in ISO 639-2/T.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Language(String);

impl Tracks {
    /// Whether to keep the track with this index among those of its kind, in this language (ISO 639-1 or -2).
    pub fn keep(&self, index: usize, language: &str) -> bool {
        match self {
            Self::All => true,
            Self::First => index == 0,
            Self::None => false,
            Self::Languages(kept) => kept.iter().any(|kept| kept.is(language)),
        }
    }
}

impl Language {
    fn is(&self, language: &str) -> bool {
        language.parse().unwrap_or(Self(UNDETERMINED.to_owned())) == *self
    }
}

impl FromStr for Language {
    type Err = String;

    /// Reads ISO 639-1 and both forms of ISO 639-2, `de`, `deu` and `ger`, also with a region: `de-AT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let code = text.split('-').next().unwrap_or_default().to_ascii_lowercase();
        if code == UNDETERMINED {
            return Ok(Self(code));
        }
        // GStreamer takes an empty text for a code.
        let code = Some(code).filter(|code| matches!(code.len(), 2 | 3));
        let known = code.and_then(|code| Some(Self(language_code_iso_639_2t(&code)?.to_string())));
        known.ok_or_else(|| format!("'{text}' is no language, expected a code such as en or eng"))
    }
}

impl FromStr for Tracks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "all" => Self::All,
            "first" => Self::First,
            "none" => Self::None,
            _ => {
                let codes: Result<_, _> = text.split(',').map(|code| code.trim().parse()).collect();
                Self::Languages(codes.map_err(|error| format!("{error}; or all, first or none"))?)
            }
        })
    }
}

impl fmt::Display for Tracks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::First => f.write_str("first"),
            Self::None => f.write_str("none"),
            Self::Languages(kept) => {
                let codes: Vec<&str> = kept.iter().map(|language| &*language.0).collect();
                f.write_str(&codes.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_has_several_codes() {
        let german: Tracks = "de, eng".parse().unwrap();
        assert_eq!(german.to_string(), "deu,eng");
        for code in ["de", "deu", "ger", "GER", "en", "en-GB"] {
            assert!(german.keep(3, code), "{code}");
        }
        for code in ["fr", "und", ""] {
            assert!(!german.keep(0, code), "{code}");
        }
    }

    #[test]
    fn a_track_without_a_known_language_is_undetermined() {
        let tracks: Tracks = "und".parse().unwrap();
        assert!(tracks.keep(0, "und") && tracks.keep(0, "xx") && !tracks.keep(0, "en"));
    }

    #[test]
    fn what_is_no_language_is_refused() {
        for text in ["xyzzy", "de;en", "de,", ""] {
            let error = text.parse::<Tracks>().unwrap_err();
            assert!(error.ends_with("expected a code such as en or eng; or all, first or none"));
        }
    }
}
