// SPDX-License-Identifier: MIT OR Apache-2.0

//! Safetensors files with a checksum, read and written in blocks: a checkpoint of large networks with Adam's
//! moments takes gigabytes, and is never copied in memory.

use std::{
    collections::HashMap,
    fs,
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
};

use anyhow::{Context, Result, anyhow, ensure};
use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor, no_grad};

/// Bytes in memory at once.
const BLOCK: usize = 1 << 22;
/// The format's own limit for a header, bytes.
const LARGEST_HEADER: u64 = 100_000_000;
/// Size of the header's length at the start of a file, in bytes.
const LENGTH: u64 = 8;

/// An open file.
#[derive(Debug)]
pub struct Reader {
    file: fs::File,
    header: Metadata,
    /// Offset of the tensors.
    start: u64,
}

impl Reader {
    /// Opens a file; fails if its length differs from that in its header.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = fs::File::open(path)?;
        let length = file.metadata()?.len();
        let header = header(&mut file).context("not a checkpoint, or truncated")?;
        let start = file.stream_position()?;
        let expected = start + header.data_len() as u64;
        ensure!(
            length == expected,
            "not a checkpoint, or truncated: it has {length} bytes, expected {expected}"
        );
        Ok(Self { file, header, start })
    }

    /// An entry of the file's metadata.
    pub fn entry(&self, key: &str) -> Option<&str> {
        self.header.metadata().as_ref()?.get(key).map(String::as_str)
    }

    /// Whether there is such a tensor.
    pub fn has(&self, name: &str) -> bool {
        self.header.info(name).is_some()
    }

    /// SHA-256 of `state` and of all tensors in order of name, in hexadecimal.
    pub fn checksum(&mut self, state: &str) -> Result<String> {
        let mut hash = Sha256::new();
        hash.update(state);
        let mut names = self.header.offset_keys();
        names.sort();
        for name in names {
            let (begin, end) = self.info(&name)?.data_offsets;
            hash_name(&mut hash, &name, end - begin);
            self.blocks(&name, |block| {
                hash.update(block);
                Ok(())
            })?;
        }
        Ok(hexadecimal(hash))
    }

    /// Reads a vector into `values`, which must be as long.
    pub fn fill(&mut self, name: &str, values: &Tensor) -> Result<()> {
        let (found, expected) = (self.shape(name)?, values.numel() as i64);
        ensure!(found == [expected], "`{name}` is {found:?}, expected {expected}");
        self.copy(name, values)
    }

    /// Reads a tensor.
    pub fn tensor(&mut self, name: &str, device: Device) -> Result<Tensor> {
        let shape = self.shape(name)?;
        let values = Tensor::f_empty(&shape, (Kind::Float, device))?;
        self.copy(name, &values.view(-1))?;
        Ok(values)
    }

    fn copy(&mut self, name: &str, to: &Tensor) -> Result<()> {
        let mut at = 0;
        self.blocks(name, |block| {
            let count = block.len() as i64 / 4;
            let read = Tensor::f_from_data_size(block, &[count], Kind::Float)?;
            no_grad(|| to.narrow(0, at, count).copy_(&read));
            at += count;
            Ok(())
        })
    }

    fn info(&self, name: &str) -> Result<&TensorInfo> {
        self.header.info(name).with_context(|| format!("no tensor `{name}`"))
    }

    fn shape(&self, name: &str) -> Result<Vec<i64>> {
        let info = self.info(name)?;
        ensure!(info.dtype == Dtype::F32, "`{name}` is {:?}, expected F32", info.dtype);
        Ok(info.shape.iter().map(|&n| n as i64).collect())
    }

    /// Passes the bytes of a tensor to `take`, block by block.
    fn blocks(&mut self, name: &str, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let (begin, end) = self.info(name)?.data_offsets;
        self.file.seek(SeekFrom::Start(self.start + begin as u64))?;
        let mut block = vec![0; BLOCK.min(end - begin)];
        let mut left = end - begin;
        while left > 0 {
            let count = left.min(BLOCK);
            self.file.read_exact(&mut block[..count])?;
            take(&block[..count])?;
            left -= count;
        }
        Ok(())
    }
}

fn header(file: &mut fs::File) -> Result<Metadata> {
    let mut length = [0; LENGTH as usize];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    ensure!(length <= LARGEST_HEADER, "its header has {length} bytes");
    let mut text = vec![0; length as usize];
    file.read_exact(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Writes float32 `tensors`, sorted by name, and the metadata `state(checksum)` under `key`. The checksum is
/// that of [`Reader::checksum`] for the tensors and `state("")`. Returns when the file is on disk.
pub fn write(
    path: &Path,
    tensors: &[(String, Tensor)],
    key: &str,
    state: impl Fn(String) -> Result<String>,
) -> Result<()> {
    let head = |checksum: String| -> Result<Vec<u8>> {
        let entries = HashMap::from([(key.to_owned(), state(checksum)?)]);
        head(tensors, entries)
    };
    let mut hash = Sha256::new();
    hash.update(state(String::new())?);
    let mut file = fs::File::create(path)?;
    // The checksum is known only when everything is written; its length is known before.
    let place_holder = head("0".repeat(2 * Sha256::output_size()))?;
    file.write_all(&place_holder)?;
    for (name, tensor) in tensors {
        let flat = tensor.reshape([-1]);
        hash_name(&mut hash, name, 4 * flat.numel());
        let mut at = 0;
        while at < flat.numel() {
            let count = (flat.numel() - at).min(BLOCK / 4);
            let block = bytes(&flat.narrow(0, at as i64, count as i64));
            hash.update(&block);
            file.write_all(&block)?;
            at += count;
        }
    }
    let signed = head(hexadecimal(hash))?;
    ensure!(signed.len() == place_holder.len(), "a header changed its length");
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&signed)?;
    Ok(file.sync_all()?)
}

/// The bytes before the tensors: the header's length and the header.
fn head(tensors: &[(String, Tensor)], entries: HashMap<String, String>) -> Result<Vec<u8>> {
    let mut offset = 0;
    let infos = tensors.iter().map(|(name, tensor)| {
        let begin = offset;
        offset += 4 * tensor.numel();
        let shape = tensor.size().iter().map(|&n| n as usize).collect();
        let info = TensorInfo { dtype: Dtype::F32, shape, data_offsets: (begin, offset) };
        (name.clone(), info)
    });
    let header = Metadata::new(Some(entries), infos.collect()).map_err(|e| anyhow!("{e}"))?;
    let mut text = serde_json::to_vec(&header)?;
    // The format requires tensors to start at a multiple of 8 bytes.
    text.resize(text.len().next_multiple_of(LENGTH as usize), b' ');
    Ok([&(text.len() as u64).to_le_bytes()[..], &text].concat())
}

fn hash_name(hash: &mut Sha256, name: &str, length: usize) {
    hash.update(format!("{name}:{length}\n"));
}

fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

fn bytes(flat: &Tensor) -> Vec<u8> {
    let mut bytes = vec![0; 4 * flat.numel()];
    flat.to_device(Device::Cpu).to_kind(Kind::Float).copy_data_u8(&mut bytes, flat.numel());
    bytes
}

#[cfg(test)]
mod tests {
    use tch::kind::FLOAT_CPU;

    use super::*;

    fn tensors() -> Vec<(String, Tensor)> {
        // More than a block, and less.
        let long = Tensor::arange(BLOCK as i64 / 4 + 7, FLOAT_CPU);
        let short = Tensor::arange(24, FLOAT_CPU).view([2, 3, 4]);
        vec![("a".to_owned(), long), ("b".to_owned(), short)]
    }

    fn written(path: &Path) {
        write(path, &tensors(), "key", |checksum| Ok(format!("state {checksum}"))).unwrap();
    }

    #[test]
    fn written_files_are_read_back_also_by_safetensors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        written(&path);
        let mut reader = Reader::open(&path).unwrap();
        let checksum = reader.checksum("state ").unwrap();
        assert_eq!(reader.entry("key"), Some(format!("state {checksum}").as_str()));
        let [(_, a), (_, b)] = &tensors()[..] else { panic!() };
        let long = Tensor::zeros(a.size(), FLOAT_CPU);
        reader.fill("a", &long).unwrap();
        assert_eq!((&long, &reader.tensor("b", Device::Cpu).unwrap()), (a, b));
        assert!(reader.fill("b", &long).unwrap_err().to_string().contains("[2, 3, 4]"));
        assert!(!reader.has("c") && reader.fill("c", &long).is_err());

        let bytes = fs::read(&path).unwrap();
        let reference = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let data = reference.tensor("a").unwrap();
        assert_eq!(&data.data()[4 * BLOCK / 4..][..4], ((BLOCK / 4) as f32).to_le_bytes());
        let again = safetensors::serialize(
            reference.iter().collect::<Vec<_>>(),
            Some(HashMap::from([("key".to_owned(), format!("state {checksum}"))])),
        );
        assert!(again.unwrap() == bytes);
    }

    #[test]
    fn a_changed_byte_changes_the_checksum_and_a_truncated_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        written(&path);
        let mut bytes = fs::read(&path).unwrap();
        let checksum = Reader::open(&path).unwrap().checksum("state ").unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_ne!(Reader::open(&path).unwrap().checksum("state ").unwrap(), checksum);
        for length in [bytes.len() - 1, 100, 5, 0] {
            fs::write(&path, &bytes[..length]).unwrap();
            let error = format!("{:#}", Reader::open(&path).unwrap_err());
            assert!(error.contains("truncated"), "{error}");
        }
    }
}
