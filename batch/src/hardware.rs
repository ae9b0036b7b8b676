// SPDX-License-Identifier: MIT OR Apache-2.0

//! Hardware encoders: the quality and speed of a preset as properties of each one.

use anyhow::{Result, bail, ensure};
use gst::{glib, prelude::*};

use crate::{
    container::Container,
    options::{Preset, Recipe, Speed},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hardware {
    Nvenc,
    /// VA-API: Intel and AMD on Linux.
    Vaapi,
    Qsv,
}

/// The codecs of the presets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    H264,
    H265,
    Vp9,
    Av1,
    Prores,
}

impl Codec {
    /// The codec of a preset in `container`.
    pub fn of(preset: Preset, container: Container) -> Self {
        match preset {
            Preset::Hevc => Self::H265,
            Preset::Av1 => Self::Av1,
            Preset::Prores => Self::Prores,
            _ if container == Container::Webm => Self::Vp9,
            Preset::Web | Preset::Archive | Preset::Proxy => Self::H264,
        }
    }
}

/// What --video-encoder asks for, unless it names an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// The first that is available, or else software.
    Auto,
    Named(Hardware),
}

/// What a preset asks for: a constant quality of 1 to 51, and more.
#[derive(Clone, Copy, Debug)]
pub struct Quality {
    pub crf: u32,
    pub speed: Option<Speed>,
    /// Maximum distance between key frames.
    pub key_frames: Option<u32>,
}

/// Looks up a property of an element: the names of its values, empty for numbers; `None` if the element or the
/// property does not exist.
type Lookup<'a> = &'a dyn Fn(&str, &str) -> Option<Vec<String>>;

/// In the order in which `auto` tries them.
const ALL: [Hardware; 3] = [Hardware::Nvenc, Hardware::Qsv, Hardware::Vaapi];

impl Hardware {
    pub fn name(self) -> &'static str {
        match self {
            Self::Nvenc => "nvenc",
            Self::Vaapi => "vaapi",
            Self::Qsv => "qsv",
        }
    }

    /// The elements, the preferred one first. GStreamer 1.22 has two kinds of NVENC; `lp` is the
    /// low-power mode, the only one of some Intel processors.
    fn elements(self, codec: Codec) -> &'static [&'static str] {
        match (self, codec) {
            (Self::Nvenc, Codec::H264) => &["nvcudah264enc", "nvh264enc"],
            (Self::Nvenc, Codec::H265) => &["nvcudah265enc", "nvh265enc"],
            (Self::Vaapi, Codec::H264) => &["vah264enc", "vah264lpenc"],
            (Self::Vaapi, Codec::H265) => &["vah265enc", "vah265lpenc"],
            (Self::Qsv, Codec::H264) => &["qsvh264enc"],
            (Self::Qsv, Codec::H265) => &["qsvh265enc"],
            (_, Codec::Vp9 | Codec::Av1 | Codec::Prores) => &[],
        }
    }

    /// The element for `codec` with its properties, if it is available.
    fn describe(self, codec: Codec, quality: Quality, lookup: Lookup) -> Option<String> {
        let is_known = |element: &&&str| lookup(element, "name").is_some();
        let element = *self.elements(codec).iter().find(is_known)?;
        let Quality { crf, speed, key_frames } = quality;
        // 0 lets the encoder choose.
        let crf = crf.clamp(1, 51);
        let mut properties = match self {
            Self::Nvenc => {
                let is_new = lookup(element, "rate-control").is_some();
                let control = if is_new { "rate-control" } else { "rc-mode" };
                // Without a bitrate, `vbr` only follows the quality.
                vec![format!("{control}=vbr const-quality={crf}")]
            }
            Self::Vaapi => vec![format!("rate-control=cqp qpi={crf} qpp={crf} qpb={crf}")],
            Self::Qsv => vec![format!("rate-control=icq icq-quality={crf}")],
        };
        let keys = if self == Self::Vaapi { "key-int-max" } else { "gop-size" };
        properties.extend(key_frames.map(|frames| format!("{keys}={frames}")));
        if let Some(speed) = speed {
            let (property, values): (_, &[&str]) = match (self, speed) {
                (Self::Nvenc, Speed::Fast) => ("preset", &["p1", "hp"]),
                (Self::Nvenc, Speed::Medium) => ("preset", &["p4", "default"]),
                (Self::Nvenc, Speed::Slow) => ("preset", &["p7", "hq"]),
                (_, Speed::Fast) => ("target-usage", &["7"]),
                (_, Speed::Medium) => ("target-usage", &["4"]),
                (_, Speed::Slow) => ("target-usage", &["1"]),
            };
            // GStreamer's names of NVENC's presets have changed.
            let known = lookup(element, property).unwrap_or_default();
            let value = values.iter().find(|value| known.iter().any(|known| known == *value));
            let value = value.or(values.first().filter(|_| known.is_empty()));
            properties.extend(value.map(|value| format!("{property}={value}")));
        }
        Some(format!("{element} {}", properties.join(" ")))
    }
}

impl Request {
    /// What `--video-encoder` asks for; `None` for an element.
    pub fn of(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            _ => ALL.into_iter().find(|hardware| hardware.name() == text).map(Self::Named),
        }
    }

    /// The encoder; `None` for a software encoder. Fails if the named hardware is not available.
    pub fn encoder(self, codec: Codec, quality: Quality) -> Result<Option<String>> {
        self.choose(codec, quality, &installed)
    }

    fn choose(self, codec: Codec, quality: Quality, lookup: Lookup) -> Result<Option<String>> {
        let find = |hardware: Hardware| hardware.describe(codec, quality, lookup);
        let Self::Named(hardware) = self else { return Ok(ALL.into_iter().find_map(find)) };
        if let Some(encoder) = find(hardware) {
            return Ok(Some(encoder));
        }
        let all = ALL.into_iter().flat_map(|one| [Codec::H264, Codec::H265].map(|c| (one, c)));
        let elements = all.flat_map(|(one, codec)| one.elements(codec));
        let installed: Vec<&str> =
            elements.copied().filter(|element| lookup(element, "name").is_some()).collect();
        bail!(
            "--video-encoder {}: GStreamer has no {} here; found {}",
            hardware.name(),
            hardware.elements(codec).join(" or "),
            match installed.is_empty() {
                true => "no other hardware encoder".to_owned(),
                false => installed.join(", "),
            }
        )
    }
}

impl Recipe {
    /// The element that encodes videos instead of the preset's.
    pub fn encoder_element(&self) -> Option<&str> {
        self.video_encoder.as_deref().filter(|text| Request::of(text).is_none())
    }

    /// The hardware to encode videos with, if one is asked for.
    pub fn hardware(&self) -> Option<Request> {
        self.video_encoder.as_deref().and_then(Request::of)
    }
}

/// Fails if the named hardware is not available, or lacks the codec of the preset.
pub fn check(recipe: &Recipe) -> Result<()> {
    let Some(request @ Request::Named(hardware)) = recipe.hardware() else { return Ok(()) };
    let codec = Codec::of(recipe.preset, recipe.container.unwrap_or(Container::Mkv));
    ensure!(
        !hardware.elements(codec).is_empty(),
        "--video-encoder {}: encodes only H.264 and H.265; choose another --preset or --container",
        hardware.name()
    );
    let quality = Quality { crf: 20, speed: None, key_frames: None };
    request.encoder(codec, quality).map(drop)
}

/// Looks up the elements of this machine. GStreamer registers only those whose hardware is present.
fn installed(element: &str, property: &str) -> Option<Vec<String>> {
    values(&gst::ElementFactory::find(element)?.create().build().ok()?, property)
}

/// The names of a property's values, if the element has the property; empty for numbers.
pub fn values(element: &gst::Element, property: &str) -> Option<Vec<String>> {
    let kind = element.find_property(property)?.value_type();
    let values = glib::EnumClass::with_type(kind);
    let names = values.iter().flat_map(|values| values.values());
    Some(names.map(|value| value.nick().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: Quality = Quality { crf: 21, speed: None, key_frames: None };

    /// A machine with these elements and, behind `.`, their properties, or `name=value,value`.
    fn machine(all: &'static [&str]) -> impl Fn(&str, &str) -> Option<Vec<String>> {
        move |element, property| {
            let own = all.iter().filter_map(|line| line.split_once('.'));
            let mut own = own.filter(|(name, _)| *name == element).peekable();
            if property == "name" {
                return own.peek().map(|_| Vec::new());
            }
            own.find_map(|(_, line)| {
                let (name, values) = line.split_once('=').unwrap_or((line, ""));
                let values = values.split(',').filter(|value| !value.is_empty());
                (name == property).then(|| values.map(str::to_owned).collect())
            })
        }
    }

    fn chosen(text: &str, codec: Codec, quality: Quality, all: &'static [&str]) -> Result<String> {
        let request = Request::of(text).unwrap();
        Ok(request.choose(codec, quality, &machine(all))?.unwrap_or_default())
    }

    #[test]
    fn quality_is_each_encoders_own_property() {
        let all = &[
            "nvh264enc.rc-mode",
            "nvh265enc.rc-mode",
            "vah264enc.qpi",
            "vah265lpenc.qpi",
            "qsvh264enc.x",
            "qsvh265enc.x",
        ];
        for (name, codec, expected) in [
            ("nvenc", Codec::H264, "nvh264enc rc-mode=vbr const-quality=21"),
            ("nvenc", Codec::H265, "nvh265enc rc-mode=vbr const-quality=21"),
            ("vaapi", Codec::H264, "vah264enc rate-control=cqp qpi=21 qpp=21 qpb=21"),
            ("vaapi", Codec::H265, "vah265lpenc rate-control=cqp qpi=21 qpp=21 qpb=21"),
            ("qsv", Codec::H264, "qsvh264enc rate-control=icq icq-quality=21"),
            ("qsv", Codec::H265, "qsvh265enc rate-control=icq icq-quality=21"),
        ] {
            assert_eq!(chosen(name, codec, WEB, all).unwrap(), expected);
        }
        // Newer plugins, and the CUDA mode of 1.22, have other names.
        let new = &["nvh264enc.rate-control", "nvcudah264enc.rate-control"];
        let expected = "nvcudah264enc rate-control=vbr const-quality=21";
        assert_eq!(chosen("nvenc", Codec::H264, WEB, new).unwrap(), expected);
        let best = Quality { crf: 0, ..WEB };
        let expected = "nvcudah264enc rate-control=vbr const-quality=1";
        assert_eq!(chosen("nvenc", Codec::H264, best, new).unwrap(), expected);
    }

    #[test]
    fn speed_and_key_frames_follow_the_preset() {
        let proxy = Quality { speed: Some(Speed::Fast), key_frames: Some(12), ..WEB };
        for (name, all, expected) in [
            ("nvenc", &["nvh264enc.preset=default,hp,hq"][..], "gop-size=12 preset=hp"),
            ("nvenc", &["nvh264enc.preset=default,hp,hq,p1,p4,p7"], "gop-size=12 preset=p1"),
            ("vaapi", &["vah264enc.target-usage"], "key-int-max=12 target-usage=7"),
            ("qsv", &["qsvh264enc.target-usage"], "gop-size=12 target-usage=7"),
        ] {
            let found = chosen(name, Codec::H264, proxy, all).unwrap();
            assert!(found.ends_with(expected), "{found}, expected {expected}");
        }
    }

    #[test]
    fn a_named_encoder_must_be_installed() {
        let intel = &["vah264enc.qpi", "qsvh264enc.x"];
        assert!(chosen("auto", Codec::H264, WEB, intel).unwrap().starts_with("qsvh264enc "));
        assert_eq!(chosen("auto", Codec::H265, WEB, intel).unwrap(), "");
        let error = chosen("nvenc", Codec::H264, WEB, intel).unwrap_err().to_string();
        assert!(
            error.contains("nvcudah264enc or nvh264enc here; found qsvh264enc, vah264enc"),
            "{error}"
        );
        let error = chosen("nvenc", Codec::H264, WEB, &[]).unwrap_err().to_string();
        assert!(error.contains("; found no other hardware encoder"), "{error}");
        assert_eq!(Request::of("x264enc"), None);
    }
}
