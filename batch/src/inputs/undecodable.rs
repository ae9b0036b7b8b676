// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a search skips with a notice: mostly videos and images that neither GStreamer 1.22 nor this program can decode.

use std::path::Path;

use crate::{
    container::extension,
    picture::{LACKS_HEIF, has_loader},
};

/// Names of such files, and their extensions.
const KINDS: [(&str, &[&str]); 17] = [
    ("AVIF and HEIF image sequences", &["avifs", "heics", "heifs"]),
    ("JPEG XL images", &["jxl"]),
    ("JPEG 2000 images and videos", &["jp2", "j2k", "j2c", "jpc", "jpx", "jpm", "mj2"]),
    ("OpenEXR and other linear-light images", &["exr", "hdr", "pfm", "dpx", "cin"]),
    ("layered images", &["psd", "psb", "xcf", "kra", "ora"]),
    ("vector images", &["svg", "svgz", "ai", "eps"]),
    (
        "raw photographs",
        &[
            "3fr", "arw", "cr2", "cr3", "dng", "erf", "iiq", "kdc", "mef", "mrw", "nef", "nrw",
            "orf", "pef", "raf", "raw", "rw2", "rwl", "sr2", "srf", "srw", "x3f",
        ],
    ),
    (
        "images of this kind",
        &["ico", "icns", "pcx", "qoi", "sgi", "jng", "mng", "dds", "fits", "pict", "xpm"],
    ),
    ("raw camera videos", &["braw", "r3d", "ari", "crm", "cine", "nev"]),
    ("Flash animations", &["swf"]),
    ("recordings of Windows Media Center", &["wtv", "dvr-ms"]),
    ("NUT videos", &["nut"]),
    ("AV1 and H.266 streams without a container", &["obu", "av1", "h266", "266", "vvc"]),
    ("raw frames without a header", &["yuv", "rgb", "nv12", "i420"]),
    ("DNxHD and VC-2 streams without a container", &["dnxhd", "dnxhr", "vc2", "drc"]),
    ("game videos", &["bik", "bk2", "smk", "roq", "usm", "vp6"]),
    ("videos of this kind", &["amv", "fli", "flc", "h261", "ivr", "nsv", "nuv", "viv", "evo"]),
];

/// Playlists are translated, but not in a search, which also finds their segments.
const PLAYLISTS: [&str; 3] = ["m3u8", "m3u", "mpd"];

/// Why a file of this name is skipped; `None` for all others.
pub fn cause(path: &Path) -> Option<String> {
    if !has_loader(path) {
        return Some(format!("is skipped: {LACKS_HEIF}"));
    }
    let extension = extension(path);
    if PLAYLISTS.contains(&extension.as_str()) {
        return Some(
            "is skipped: it is a playlist; name it as an input to translate it".to_owned(),
        );
    }
    let is_such = |(_, names): &&(&str, &[&str])| names.contains(&extension.as_str());
    let (kind, _) = KINDS.iter().find(is_such)?;
    Some(format!("is skipped: {kind} (.{extension}) cannot be decoded"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{container::is_video_name, picture::PictureFormat};

    #[test]
    fn no_extension_is_both_skipped_and_searched_for() {
        for name in KINDS.iter().flat_map(|(_, names)| *names).chain(&PLAYLISTS) {
            let path = Path::new("a").with_extension(name);
            assert!(!is_video_name(&path) && PictureFormat::of_name(&path).is_none(), "{name}");
        }
    }
}
