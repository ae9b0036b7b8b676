// SPDX-License-Identifier: MIT OR Apache-2.0

//! Recognises files that have a model's name but are not models.

/// How much of a file is examined, in bytes.
const HEAD: usize = 1024;

/// The first bytes of a kind of file, and its description with what to do.
const MAGIC: [(&[u8], &str); 17] = [
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with `git lfs pull`"),
    (b"/annex/objects/", "a git-annex pointer; fetch the file itself with `git annex get`"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"\xfd7zXZ\0", "an xz archive; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (b"\x89HDF\r\n", "an HDF5 file, for example from Keras; export it to ONNX first"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x7fELF", "a program or library"),
    (b"ptrt", "a TensorRT engine; give the ONNX model that it was built from"),
    (b"ftrt", "a TensorRT engine; give the ONNX model that it was built from"),
    (b"%PDF", "a PDF document"),
    // Pickles start with the number of their protocol, since protocol 2.
    (b"\x80\x02", PICKLE),
    (b"\x80\x03", PICKLE),
    (b"\x80\x04", PICKLE),
    (b"\x80\x05", PICKLE),
];

const PICKLE: &str = "a Python pickle, for example an old PyTorch checkpoint; export it to ONNX \
                      with `torch.onnx.export` first";
const TORCH_ZIP: &str = "a PyTorch checkpoint; export it to ONNX with `torch.onnx.export` first";

/// The description of the kind of file that starts with `bytes`, with what to do; `None` for unknown bytes.
pub fn recognize(bytes: &[u8]) -> Option<&'static str> {
    let head = &bytes[..bytes.len().min(HEAD)];
    if let Some((_, kind)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(kind);
    }
    let contains = |words: &[u8]| head.windows(words.len()).any(|window| window == words);
    if head.starts_with(b"PK\x03\x04") {
        // `torch.save` writes a zip archive whose first entry is the pickle.
        return Some(match contains(b"data.pkl") {
            true => TORCH_ZIP,
            false => "a zip archive; unpack it first",
        });
    }
    match head.get(4..8) {
        Some(b"TFL3") => return Some("a TensorFlow Lite model; export it to ONNX first"),
        Some(b"ORTM") => {
            return Some("a model in ORT format; give the ONNX model it was made from");
        }
        _ => {}
    }
    // An eight-byte length, then JSON.
    if head.get(8) == Some(&b'{') && head.get(6..8) == Some(&[0, 0]) {
        return Some(
            "a safetensors file, which holds weights and no graph; export it to ONNX first",
        );
    }
    if !head.is_empty() && head.iter().all(|&byte| byte == 0) {
        return Some("a file of zeros; copy or download it again");
    }
    text(head)
}

fn text(head: &[u8]) -> Option<&'static str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The examined bytes may end in the middle of a character.
        Err(error) if error.valid_up_to() + 4 > HEAD => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    if text.is_empty() || text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    let start = text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    Some(match start.as_str() {
        html if html.starts_with("<!doctype html") || html.starts_with("<html") => {
            "an HTML page, for example one that asks for a login; download the file itself"
        }
        _ => "text; download or export the model itself",
    })
}

/// The description of a pointer of Git LFS or git-annex in place of external data, with what to do; `None`
/// for all other bytes, which may be weights.
pub fn recognize_pointer(bytes: &[u8]) -> Option<&'static str> {
    let pointers = &MAGIC[..2];
    pointers.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognize_names_the_kind_of_file() {
        let torch_zip = b"PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\x0e\0\
                          archive/data.pklFB";
        let cases: [(&[u8], &str); 11] = [
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n",
                "git lfs pull",
            ),
            (b"/annex/objects/SHA256E-s3--12.onnx\n", "git annex get"),
            (b"\n<!DOCTYPE html>\n<html><head>", "an HTML page"),
            (torch_zip, "a PyTorch checkpoint"),
            (b"PK\x03\x04\x14\0readme.txt", "a zip archive"),
            (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "an old PyTorch checkpoint"),
            (b"\x80\x03}q\0.", "a Python pickle"),
            (b"\x80\x05\x95\x0b\0\0\0\0\0\0\0}\x94.", "a Python pickle"),
            (b"\x40\0\0\0\0\0\0\0{\"__metadata__\"", "safetensors"),
            (b"{\"error\": \"not found\"}", "text"),
            (&[0; 64], "a file of zeros"),
        ];
        for (bytes, kind) in cases {
            let found = recognize(bytes).unwrap_or_default();
            assert!(found.contains(kind), "`{found}` should say `{kind}`");
        }
    }

    #[test]
    fn unknown_bytes_are_not_recognized() {
        assert_eq!(recognize(&[]), None);
        assert_eq!(recognize(&[0xff; 64]), None);
        assert_eq!(recognize(b"\x08\x08\x12\x04test"), None);
    }

    #[test]
    fn text_cut_inside_a_character_is_recognized() {
        let text = format!("a{}", "é".repeat(HEAD));
        assert!(recognize(text.as_bytes()).unwrap_or_default().starts_with("text"));
    }

    #[test]
    fn only_pointers_are_recognized_in_place_of_weights() {
        assert!(recognize_pointer(b"version https://git-lfs.github.com/spec/v1\n").is_some());
        assert_eq!(recognize_pointer(b"PK\x03\x04"), None);
    }
}
