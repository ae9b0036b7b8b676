// SPDX-License-Identifier: MIT OR Apache-2.0

//! Finds which provider actually ran a model, from ONNX Runtime's profile of a run.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::Deserialize;

use super::{message::CAT, provider::Provider};

/// What a profile shows about a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verification {
    /// It ran operators of the model.
    Runs,
    /// Unknown, because there is no profile.
    Unknown(String),
}

/// Fails if `provider` ran no operator in the profiled run.
pub fn verify(
    profile: io::Result<NodesByProvider>,
    provider: Provider,
) -> Result<Verification, String> {
    let nodes = match profile {
        Ok(nodes) => nodes,
        Err(error) => {
            return Ok(Verification::Unknown(format!("no profile can be written ({error})")));
        }
    };
    let (own, total) = (nodes.of(provider.onnxruntime_name()), nodes.total());
    gst::info!(CAT, "{provider}: {own} of {total} operators");
    match own {
        0 => Err(format!("ONNX Runtime ran all {total} operators of the model on other providers")),
        _ => Ok(Verification::Runs),
    }
}

/// One event of a profile in Chromium's Trace Event Format.
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    cat: String,
    #[serde(default)]
    args: Arguments,
}

#[derive(Default, Deserialize)]
struct Arguments {
    #[serde(default)]
    provider: String,
}

/// The number of nodes that each provider ran, by ONNX Runtime's names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NodesByProvider(BTreeMap<String, usize>);

impl NodesByProvider {
    /// Reads a profile.
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(Self::parse(&fs::read(path)?)?)
    }

    fn parse(profile: &[u8]) -> serde_json::Result<Self> {
        let events: Vec<Event> = serde_json::from_slice(profile)?;
        let mut nodes = BTreeMap::new();
        for event in events {
            if event.cat == "Node" && !event.args.provider.is_empty() {
                *nodes.entry(event.args.provider).or_default() += 1;
            }
        }
        Ok(Self(nodes))
    }

    /// Nodes that `provider` ran.
    pub fn of(&self, provider: &str) -> usize {
        self.0.get(provider).copied().unwrap_or(0)
    }

    /// Nodes that any provider ran.
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_counted_by_provider() {
        let profile = br#"[
            {"cat":"Session","name":"model_loading_uri","args":{}},
            {"cat":"Node","name":"a","args":{"provider":"CUDAExecutionProvider","op_name":"Conv"}},
            {"cat":"Node","name":"b","args":{"provider":"CUDAExecutionProvider","op_name":"Relu"}},
            {"cat":"Node","name":"c","args":{"provider":"CPUExecutionProvider","op_name":"Shape"}},
            {"cat":"Node","name":"fence","args":{}}
        ]"#;
        let nodes = NodesByProvider::parse(profile).unwrap();
        assert_eq!((nodes.of("CUDAExecutionProvider"), nodes.total()), (2, 3));
        assert_eq!(nodes.of("TensorrtExecutionProvider"), 0);
    }

    #[test]
    fn without_a_profile_the_provider_is_unverified() {
        let missing = NodesByProvider::read(Path::new("/nowhere/profile.json"));
        let verified = verify(missing, Provider::Cuda);
        assert!(matches!(verified, Ok(Verification::Unknown(_))), "{verified:?}");
        let ran = |name: &str| NodesByProvider(BTreeMap::from([(name.to_owned(), 3)]));
        assert_eq!(
            verify(Ok(ran("CUDAExecutionProvider")), Provider::Cuda),
            Ok(Verification::Runs)
        );
        let reason = verify(Ok(ran("CPUExecutionProvider")), Provider::Cuda).unwrap_err();
        assert!(reason.contains("all 3 operators"), "{reason}");
    }

    #[test]
    fn a_truncated_profile_is_an_error() {
        assert!(NodesByProvider::parse(b"[{\"cat\":").is_err());
    }
}
