// SPDX-License-Identifier: MIT OR Apache-2.0

//! The cache of engines that a provider compiles for a model.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use cyclegan_contract::Generator;
use digest_io::IoWrapper;
use sha2::{Digest, Sha256};

use super::{
    message::CAT,
    provider::{Provider, ProviderOptions},
};

/// A file in each folder of engines whose modification time is their last use.
const LAST_USED: &str = "last-used";

/// Limits on engines that were not used recently.
struct Limits {
    /// Folders of a provider.
    folders: usize,
    /// Total size of their files, in bytes.
    bytes: u64,
    /// The longest time since the last use.
    age: Duration,
    /// Time since the last use within which engines are always kept, as they may be in use.
    spared: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LIMITS: Limits = Limits {
    folders: 32,
    bytes: 4 << 30,
    age: Duration::from_secs(90 * DAY.as_secs()),
    spared: DAY,
};

/// The folder for the engines of one model on one provider; creates it if it is missing. Removes
/// engines of other models that were not used for a long time.
///
/// The providers name engines by their own version, the device, the precision, the shape and the
/// model's graph, but not its weights: two models of the same architecture would use each other's
/// weights. So each model has its own folder, named by the SHA-256 of its files.
pub fn folder(
    path: &Path,
    contract: &Generator,
    provider: Provider,
    options: &ProviderOptions,
) -> io::Result<PathBuf> {
    let mut hasher = IoWrapper(Sha256::new());
    for file in std::iter::once(path).chain(contract.external_data.values().map(PathBuf::as_path)) {
        // The lengths distinguish files whose concatenation is the same.
        hasher.0.update(fs::metadata(file)?.len().to_le_bytes());
        io::copy(&mut File::open(file)?, &mut hasher)?;
    }
    let name: String = hasher.0.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let of_provider = options.cache_dir.join(provider.name());
    let folder = of_provider.join(name);
    fs::create_dir_all(&folder)?;
    File::create(folder.join(LAST_USED))?.set_modified(SystemTime::now())?;
    evict(&of_provider, &LIMITS, SystemTime::now());
    Ok(folder)
}

/// The engines of one model.
struct Entry {
    folder: PathBuf,
    last_used: SystemTime,
    bytes: u64,
}

/// Removes engines in `of_provider` until they are within `limits`, least recently used first.
fn evict(of_provider: &Path, limits: &Limits, now: SystemTime) {
    let entries = fs::read_dir(of_provider).into_iter().flatten().flatten();
    let mut entries: Vec<_> = entries.filter_map(|entry| entry_of(&entry.path())).collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.last_used));
    let mut bytes = 0_u64;
    for (index, entry) in entries.iter().enumerate() {
        bytes = bytes.saturating_add(entry.bytes);
        let age = now.duration_since(entry.last_used).unwrap_or_default();
        let is_beyond = index >= limits.folders || bytes > limits.bytes || age > limits.age;
        if is_beyond && age > limits.spared {
            match fs::remove_dir_all(&entry.folder) {
                Ok(()) => gst::info!(CAT, "removed old engines in {}", entry.folder.display()),
                Err(error) => {
                    gst::warning!(CAT, "cannot remove {}: {error}", entry.folder.display());
                }
            }
        }
    }
}

/// The entry for `folder`, if it is one of ours.
fn entry_of(folder: &Path) -> Option<Entry> {
    let name = folder.file_name()?.to_str()?;
    if name.len() != 32 || !name.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let mark = fs::metadata(folder.join(LAST_USED)).ok().filter(fs::Metadata::is_file)?;
    let last_used = mark.modified().ok()?;
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum();
    Some(Entry { folder: folder.to_path_buf(), last_used, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cyclegan_contract::{Dim, ElementType, Metadata, Precision};

    fn contract(external_data: &Path) -> Generator {
        Generator {
            input: "input".to_owned(),
            input_type: ElementType::F32,
            output: "output".to_owned(),
            output_type: ElementType::F32,
            mask: None,
            precision: Precision::Fp32,
            batch: Dim::Dynamic,
            height: Dim::Dynamic,
            width: Dim::Dynamic,
            external_data: [("G.weights".to_owned(), external_data.to_path_buf())].into(),
            metadata: Metadata::default(),
        }
    }

    #[test]
    fn models_with_different_weights_have_different_folders() {
        let files = tempfile::tempdir().unwrap();
        let cache_dir = files.path().join("cache");
        let options = ProviderOptions { device_id: 0, threads: 0, cache_dir: cache_dir.clone() };
        let (model, weights) = (files.path().join("G.onnx"), files.path().join("G.weights"));
        let folder = |content: &[u8], of_weights: &[u8]| {
            fs::write(&model, content).unwrap();
            fs::write(&weights, of_weights).unwrap();
            folder(&model, &contract(&weights), Provider::TensorRt, &options).unwrap()
        };
        let first = folder(b"one", b"a");
        assert!(first.is_dir() && first.starts_with(cache_dir.join("tensorrt")));
        assert_ne!(folder(b"two", b"a"), first);
        assert_ne!(folder(b"one", b"b"), first);
        assert_ne!(folder(b"onea", b""), first);
        assert_eq!(folder(b"one", b"a"), first);
    }

    /// If the name changed with the compiler or this crate, all engines would be compiled again.
    #[test]
    fn the_folders_name_is_stable() {
        let files = tempfile::tempdir().unwrap();
        let options =
            ProviderOptions { device_id: 0, threads: 0, cache_dir: files.path().join("cache") };
        let (model, weights) = (files.path().join("G.onnx"), files.path().join("G.weights"));
        fs::write(&model, "one").unwrap();
        fs::write(&weights, "a").unwrap();
        let folder = folder(&model, &contract(&weights), Provider::TensorRt, &options).unwrap();
        // printf '\3\0\0\0\0\0\0\0one\1\0\0\0\0\0\0\0a' | sha256sum
        assert_eq!(folder.file_name().unwrap(), "9849750be9cb8dcc405703f082c3872a");
    }

    /// A folder of engines that was last used `days` before `now`.
    fn engines(cache: &Path, number: u32, bytes: usize, days: u32, now: SystemTime) -> PathBuf {
        let folder = cache.join(format!("{number:032x}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("model.engine"), vec![0; bytes]).unwrap();
        let mark = File::create(folder.join(LAST_USED)).unwrap();
        mark.set_modified(now - DAY * days).unwrap();
        folder
    }

    #[test]
    fn old_engines_are_removed_by_number_size_and_age() {
        let now = SystemTime::now();
        let limits = Limits { folders: 3, bytes: 1000, age: DAY * 90, spared: DAY };
        let kept = |entries: &[(usize, u32)]| -> Vec<bool> {
            let cache = tempfile::tempdir().unwrap();
            let folders: Vec<_> = (0..)
                .zip(entries)
                .map(|(number, &(bytes, days))| engines(cache.path(), number, bytes, days, now))
                .collect();
            evict(cache.path(), &limits, now);
            folders.iter().map(|folder| folder.exists()).collect()
        };
        assert_eq!(kept(&[(1, 5), (1, 4), (1, 3), (1, 2)]), [false, true, true, true]);
        assert_eq!(kept(&[(600, 2), (600, 3)]), [true, false]);
        assert_eq!(kept(&[(1, 91), (1, 89)]), [false, true]);
        // Engines used today may be in use now, also by another process.
        assert_eq!(kept(&[(2000, 0), (2000, 0), (1, 0), (1, 0)]), [true; 4]);
    }

    #[test]
    fn only_folders_of_engines_are_removed() {
        let now = SystemTime::now();
        let cache = tempfile::tempdir().unwrap();
        let strangers = ["holidays", &"0".repeat(32)].map(|name| cache.path().join(name));
        for folder in &strangers {
            fs::create_dir(folder).unwrap();
            File::open(folder).unwrap().set_modified(now - DAY * 400).unwrap();
        }
        evict(cache.path(), &LIMITS, now);
        assert!(strangers.iter().all(|folder| folder.exists()));
    }
}
