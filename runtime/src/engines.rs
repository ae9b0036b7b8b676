// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where a provider keeps the engines that it compiled for a model.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
};

use cyclegan_contract::Generator;

use super::provider::{Provider, ProviderOptions};

/// The folder for the engines of one model on one provider, made if it is missing.
///
/// The providers name engines by their own version, the device, the precision and the shape, but by
/// the model's graph only: two models of one architecture would take each other's weights. So each
/// model, by what is in its files, has a folder of its own.
pub fn folder(
    path: &Path,
    contract: &Generator,
    provider: Provider,
    options: &ProviderOptions,
) -> io::Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    for file in std::iter::once(path).chain(contract.external_data.iter().map(PathBuf::as_path)) {
        fs::read(file)?.hash(&mut hasher);
    }
    let model = format!("{:016x}", hasher.finish());
    let folder = options.cache_dir.join(provider.name()).join(model);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cyclegan_contract::{Dim, ElementType, Metadata};

    fn contract(external_data: &[PathBuf]) -> Generator {
        Generator {
            input: "input".to_owned(),
            input_type: ElementType::F32,
            output: "output".to_owned(),
            output_type: ElementType::F32,
            has_mask: false,
            height: Dim::Dynamic,
            width: Dim::Dynamic,
            external_data: external_data.iter().cloned().collect(),
            metadata: Metadata::default(),
        }
    }

    #[test]
    fn models_of_other_weights_have_other_folders() {
        let files = tempfile::tempdir().unwrap();
        let cache_dir = files.path().join("cache");
        let options = ProviderOptions { device_id: 0, threads: 0, cache_dir: cache_dir.clone() };
        let (model, weights) = (files.path().join("G.onnx"), files.path().join("G.weights"));
        let folder = |content: &[u8], of_weights: &[u8]| {
            fs::write(&model, content).unwrap();
            fs::write(&weights, of_weights).unwrap();
            folder(&model, &contract(std::slice::from_ref(&weights)), Provider::TensorRt, &options)
                .unwrap()
        };
        let first = folder(b"one", b"a");
        assert!(first.is_dir() && first.starts_with(cache_dir.join("tensorrt")));
        assert_ne!(folder(b"two", b"a"), first);
        assert_ne!(folder(b"one", b"b"), first);
        assert_eq!(folder(b"one", b"a"), first);
    }
}
