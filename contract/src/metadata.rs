// SPDX-License-Identifier: MIT OR Apache-2.0

//! The `cyclegan.*` entries of a model's `metadata_props`.

use std::{fmt, str::FromStr};

use crate::{Direction, onnx::StringStringEntryProto};

/// The version of the contract that this crate writes, and the newest that it can read.
pub const FORMAT_VERSION: u32 = 1;

/// The values of black and white in a tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ValueRange {
    /// −1 to 1, as in the paper.
    #[default]
    MinusOneToOne,
    /// 0 to 1.
    ZeroToOne,
    /// 0 to 255.
    ZeroTo255,
}

impl ValueRange {
    /// The tensor value of black.
    pub fn black(self) -> f32 {
        match self {
            Self::MinusOneToOne => -1.0,
            Self::ZeroToOne | Self::ZeroTo255 => 0.0,
        }
    }

    /// The difference in the tensor between two adjacent grey levels of 0 to 255.
    pub fn per_grey_level(self) -> f32 {
        match self {
            Self::MinusOneToOne => 2.0 / 255.0,
            Self::ZeroToOne => 1.0 / 255.0,
            Self::ZeroTo255 => 1.0,
        }
    }

    /// The value of `cyclegan.input_range` and `cyclegan.output_range`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MinusOneToOne => "-1,1",
            Self::ZeroToOne => "0,1",
            Self::ZeroTo255 => "0,255",
        }
    }
}

/// What to do with a generator that fails at a size other than its own, if its metadata, or their default, say
/// `multiple_of`.
pub fn size_hint(multiple_of: u32) -> String {
    format!(
        "If it needs sides that are multiples of another number than {multiple_of}, as U-Nets do, write the number to \
         `cyclegan.multiple_of` in its metadata"
    )
}

/// A `cyclegan.*` entry whose value the contract does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metadata `{key}` is `{found}`, expected {expected}")]
pub struct MetadataError {
    /// The key.
    pub key: &'static str,
    /// The value in the file.
    pub found: String,
    /// What was expected.
    pub expected: String,
}

/// The metadata of a generator. `Default` is for a file without metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Which generator of the pair it is.
    pub direction: Option<Direction>,
    /// Name of domain A, for example `horse`.
    pub domain_a: Option<String>,
    /// Name of domain B, for example `zebra`.
    pub domain_b: Option<String>,
    /// Black and white of the input tensor.
    pub input_range: ValueRange,
    /// Black and white of the output tensor.
    pub output_range: ValueRange,
    /// The short side, in pixels, that the generator was trained for.
    pub size: Option<u32>,
    /// A dynamic height and width must be multiples of this, in pixels.
    pub multiple_of: u32,
    /// The architecture, for example `resnet_9blocks`.
    pub arch: Option<String>,
    /// The trainer's own description of the network, to build it again: `cyclegan-train` writes JSON.
    pub shape: Option<String>,
    /// Multiply-accumulate operations of one run at `size`×`size`.
    pub macs: Option<u64>,
    /// Number of weights.
    pub parameters: Option<u64>,
    /// The training data.
    pub trained_on: Option<String>,
    /// Keys that start with `cyclegan.` but are not of this format, such as misspelt ones; never written.
    pub unknown: Vec<String>,
}

impl Default for Metadata {
    fn default() -> Self {
        Self {
            direction: None,
            domain_a: None,
            domain_b: None,
            input_range: ValueRange::default(),
            output_range: ValueRange::default(),
            size: None,
            multiple_of: 4,
            arch: None,
            shape: None,
            macs: None,
            parameters: None,
            trained_on: None,
            unknown: Vec::new(),
        }
    }
}

/// The largest `multiple_of`, in pixels: ten downsampling layers, more than any published generator has.
const MAX_MULTIPLE_OF: u32 = 1024;

impl Metadata {
    /// The largest `size`, in pixels: more than the long side of an 8K frame.
    pub const MAX_SIZE: u32 = 8192;

    /// Reads the `cyclegan.*` entries and ignores all others.
    pub fn from_props(props: &[StringStringEntryProto]) -> Result<Self, MetadataError> {
        let mut metadata = Self::default();
        for StringStringEntryProto { key, value } in props {
            let text = || Some(value.clone()).filter(|v| !v.is_empty());
            match key.as_str() {
                "cyclegan.format_version" => check_format_version(value)?,
                "cyclegan.direction" => metadata.direction = Some(direction(value)?),
                "cyclegan.domain_a" => metadata.domain_a = text(),
                "cyclegan.domain_b" => metadata.domain_b = text(),
                "cyclegan.input_range" => {
                    metadata.input_range = range("cyclegan.input_range", value)?;
                }
                "cyclegan.output_range" => {
                    metadata.output_range = range("cyclegan.output_range", value)?;
                }
                "cyclegan.size" => {
                    metadata.size = Some(pixels("cyclegan.size", value, Self::MAX_SIZE)?);
                }
                "cyclegan.multiple_of" => {
                    metadata.multiple_of = pixels("cyclegan.multiple_of", value, MAX_MULTIPLE_OF)?;
                }
                "cyclegan.arch" => metadata.arch = text(),
                "cyclegan.shape" => metadata.shape = text(),
                "cyclegan.macs" => metadata.macs = Some(count("cyclegan.macs", value)?),
                "cyclegan.parameters" => {
                    metadata.parameters = Some(count("cyclegan.parameters", value)?);
                }
                "cyclegan.trained_on" => metadata.trained_on = text(),
                other if other.starts_with("cyclegan.") => metadata.unknown.push(other.to_owned()),
                _ => {}
            }
        }
        Ok(metadata)
    }

    /// The entries for a model file, the inverse of [`Metadata::from_props`].
    ///
    /// ```
    /// use cyclegan_contract::{Direction, Metadata, onnx::{Message, ModelProto}};
    ///
    /// let metadata = Metadata { direction: Some(Direction::AToB), size: Some(256), ..Metadata::default() };
    /// let model = ModelProto { metadata_props: metadata.to_props(), ..ModelProto::default() };
    ///
    /// let file = model.encode_to_vec();
    /// let read = ModelProto::decode(file.as_slice())?;
    /// assert_eq!(Metadata::from_props(&read.metadata_props)?, metadata);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_props(&self) -> Vec<StringStringEntryProto> {
        let direction = self.direction.map(Direction::as_str);
        let entries = [
            ("format_version", Some(FORMAT_VERSION.to_string())),
            ("direction", direction.map(str::to_owned)),
            ("domain_a", self.domain_a.clone()),
            ("domain_b", self.domain_b.clone()),
            ("input_range", Some(self.input_range.as_str().to_owned())),
            ("output_range", Some(self.output_range.as_str().to_owned())),
            ("size", self.size.map(|v| v.to_string())),
            ("multiple_of", Some(self.multiple_of.to_string())),
            ("arch", self.arch.clone()),
            ("shape", self.shape.clone()),
            ("macs", self.macs.map(|v| v.to_string())),
            ("parameters", self.parameters.map(|v| v.to_string())),
            ("trained_on", self.trained_on.clone()),
        ];
        entries
            .into_iter()
            .filter_map(|(key, value)| {
                Some(StringStringEntryProto { key: format!("cyclegan.{key}"), value: value? })
            })
            .collect()
    }
}

impl fmt::Display for ValueRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn check_format_version(value: &str) -> Result<(), MetadataError> {
    let remedy = match value.parse::<u32>() {
        Ok(1..=FORMAT_VERSION) => return Ok(()),
        Ok(2..) => "; this model needs a newer cycleganfilter",
        Ok(0) | Err(_) => "",
    };
    Err(MetadataError {
        key: "cyclegan.format_version",
        found: value.to_owned(),
        expected: format!("{FORMAT_VERSION}{remedy}"),
    })
}

fn direction(value: &str) -> Result<Direction, MetadataError> {
    let of = |direction: &Direction| direction.as_str() == value;
    Direction::BOTH.into_iter().find(of).ok_or_else(|| MetadataError {
        key: "cyclegan.direction",
        found: value.to_owned(),
        expected: "`A2B` or `B2A`".to_owned(),
    })
}

fn range(key: &'static str, value: &str) -> Result<ValueRange, MetadataError> {
    let all = [ValueRange::MinusOneToOne, ValueRange::ZeroToOne, ValueRange::ZeroTo255];
    all.into_iter().find(|range| range.as_str() == value.replace(' ', "")).ok_or_else(|| {
        MetadataError {
            key,
            found: value.to_owned(),
            expected: "`-1,1`, `0,1` or `0,255`".to_owned(),
        }
    })
}

fn pixels(key: &'static str, value: &str, max: u32) -> Result<u32, MetadataError> {
    let in_range = value.parse().ok().filter(|v| (1..=max).contains(v));
    in_range.ok_or_else(|| MetadataError {
        key,
        found: value.to_owned(),
        expected: format!("a number of pixels from 1 to {max}"),
    })
}

fn count<T: FromStr>(key: &'static str, value: &str) -> Result<T, MetadataError> {
    value.parse().map_err(|_| MetadataError {
        key,
        found: value.to_owned(),
        expected: "a whole number".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prop(key: &str, value: &str) -> StringStringEntryProto {
        StringStringEntryProto { key: key.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn missing_metadata_gives_the_defaults() {
        let metadata = Metadata::from_props(&[prop("author", "somebody else")]);
        assert_eq!(metadata, Ok(Metadata::default()));
    }

    #[test]
    fn written_metadata_reads_back() {
        let metadata = Metadata {
            direction: Some(Direction::BToA),
            domain_a: Some("horse".to_owned()),
            domain_b: Some("zebra".to_owned()),
            input_range: ValueRange::ZeroTo255,
            output_range: ValueRange::ZeroToOne,
            size: Some(256),
            multiple_of: 8,
            arch: Some("fast".to_owned()),
            shape: Some("{\"net\":\"fast\"}".to_owned()),
            macs: Some(3_100_000_000),
            parameters: Some(740_000),
            trained_on: Some("horse2zebra".to_owned()),
            unknown: Vec::new(),
        };
        assert_eq!(Metadata::from_props(&metadata.to_props()), Ok(metadata));
    }

    #[test]
    fn only_a_later_format_needs_a_newer_filter() {
        for (version, is_newer) in [("2", true), ("0", false), ("abc", false)] {
            let error = Metadata::from_props(&[prop("cyclegan.format_version", version)]);
            let text = error.unwrap_err().to_string();
            assert!(text.contains("expected 1"), "{text}");
            assert_eq!(text.contains("newer cycleganfilter"), is_newer, "{text}");
        }
    }

    #[test]
    fn the_error_names_the_wrong_entry() {
        for (key, value) in [
            ("cyclegan.format_version", "2"),
            ("cyclegan.direction", "sideways"),
            ("cyclegan.input_range", "-2,2"),
            ("cyclegan.size", "0"),
            ("cyclegan.multiple_of", "-4"),
            ("cyclegan.macs", "many"),
        ] {
            let error = Metadata::from_props(&[prop(key, value)]).unwrap_err();
            assert_eq!((error.key, error.found.as_str()), (key, value));
        }
    }
}
