// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whole files of which GStreamer reads nothing, or only with help.

use std::{fs, path::Path};

use crate::common::{
    Place, edit,
    ffmpeg::{self, H264, Stream, TONE, make, streams},
};

/// Small frames, and those of DV.
const BARS: &str = "-f lavfi -i testsrc2=size=160x128:rate=25:d=0.4";
const LARGE: &str = "-f lavfi -i testsrc2=size=720x576:rate=25:d=0.4 -pix_fmt yuv422p";

#[test]
fn what_only_a_demuxer_misreads_is_translated() {
    let Some(place) = Place::of_ffmpeg("FFV1 in QuickTime") else { return };
    let files = [
        ("ffv1.mov", [BARS, "-c:v ffv1 -level 3"].join(" ")),
        ("dv50.mxf", [LARGE, "-c:v dvvideo"].join(" ")),
    ];
    for (name, arguments) in &files {
        make(&place.input(name), arguments);
    }
    let said = place.run(&["in", "--preset", "archive"]);
    for (input, output) in [("ffv1.mov", "ffv1.mov"), ("dv50.mxf", "dv50.mkv")] {
        let (input, output) = (place.input(input), place.out(output));
        assert_eq!(ffmpeg::frames(&output), 10, "{said}");
        let psnr = ffmpeg::psnr(&input, &output);
        assert!(psnr > 30.0, "{}: {psnr} dB", input.display());
    }
}

#[test]
fn what_gstreamer_cannot_read_is_not_called_damaged() {
    let Some(place) = Place::of_ffmpeg("what GStreamer cannot read") else { return };
    let hd = LARGE.replace("720x576", "1440x1080");
    let files = [
        ("50.dv", [LARGE, "-c:v dvvideo"].join(" "), "is DVCPRO50 outside of a container"),
        ("hd.dv", [&hd, "-c:v dvvideo"].join(" "), "is DVCPRO HD outside of a container"),
        ("atom.mxf", [LARGE, "-c:v dvvideo -f mxf_opatom"].join(" "), "is MXF in OP-Atom"),
        ("aac.rm", [BARS, TONE, "-c:v rv10 -c:a aac"].join(" "), "has AAC audio in RealMedia"),
        ("screen.flv", [BARS, "-c:v flashsv2"].join(" "), "is Flash Screen Video 2"),
        (
            "grey9.mkv",
            [BARS, "-c:v ffv1 -pix_fmt gray9le"].join(" "),
            "has a pixel format that GStreamer does not know",
        ),
        ("smc.mov", [BARS, "-c:v smc -pix_fmt pal8"].join(" "), "is QuickTime Graphics (SMC)"),
        ("v308.mov", [BARS, "-c:v v308"].join(" "), "is raw video in v308"),
        ("png48.mov", [BARS, "-c:v png -pix_fmt rgb48be"].join(" "), "is PNG of 16 bits"),
        ("drm.wmv", [BARS, "-c:v wmv2"].join(" "), "is encrypted (DRM) and cannot be decoded"),
        (
            "image.avi",
            [BARS, "-frames:v 1 -c:v jpeg2000 -f image2"].join(" "),
            "is an image (JPEG 2000) in a format that is not translated",
        ),
        (
            "grey.mov",
            [BARS, "-c:v rawvideo -pix_fmt gray"].join(" "),
            "cannot be decoded: GStreamer has no decoder for the codec raw",
        ),
    ];
    for (name, arguments, _) in &files {
        make(&place.input(name), arguments);
    }
    encrypt(&place.path("in/drm.wmv"));
    fs::write(place.path("in/ref.mov"), b"\0\0\0\x18moov\0\0\0\x10rmra\0\0\0\x08rmda").unwrap();
    let said = place.said(&["in"]);
    assert!(said.contains("error: in/ref.mov: is a QuickTime reference movie"), "{said}");
    for (name, _, cause) in &files {
        assert!(said.contains(&format!("error: in/{name}: {cause}")), "{name}: {said}");
    }
    assert!(!said.contains("is damaged"), "{said}");
}

/// Adds the object to the header of an ASF file that says that it is encrypted.
fn encrypt(path: &Path) {
    edit(path, |bytes| {
        let id = *b"\xFB\xB3\x11\x22\x23\xBD\xD2\x11\xB4\xB7\x00\xA0\xC9\x55\xFC\x6E";
        let object = [&id[..], &40u64.to_le_bytes(), &[0; 16]].concat();
        let size = u64::from_le_bytes(bytes[16..24].try_into().unwrap()) + object.len() as u64;
        bytes[16..24].copy_from_slice(&size.to_le_bytes());
        bytes[24] += 1;
        bytes.splice(30..30, object);
    });
}

/// GStreamer pads rows to four bytes, and files do not.
#[test]
fn raw_frames_of_any_width_are_translated() {
    let Some(place) = Place::of_ffmpeg("raw video") else { return };
    let frames = "-f lavfi -i testsrc2=size=160x120:rate=25:d=0.2,scale=162x120 -c:v rawvideo";
    let files = [("i420.avi", "yuv420p"), ("grey.mkv", "gray"), ("rgb.mkv", "rgb24")];
    for (name, pixels) in files {
        let arguments = format!("{frames} -pix_fmt {pixels} -allow_raw_vfw 1");
        let arguments = if name.ends_with("avi") {
            arguments.replace(" -allow_raw_vfw 1", "")
        } else {
            arguments
        };
        make(&place.input(name), &arguments);
    }
    let said = place.run(&["in", "--preset", "archive"]);
    assert!(!said.contains("GStreamer"), "{said}");
    for (name, _) in files {
        let output = place.out(&name.replace("avi", "mkv"));
        let psnr = ffmpeg::psnr(&place.input(name), &output);
        assert!(psnr > 40.0, "{name}: {psnr} dB: {said}");
    }
}

/// A frame of a palette has one component, as grey has, and the decoders of AV1 call RGB Y'CbCr.
#[test]
fn palettes_and_rgb_keep_their_colours() {
    let Some(place) = Place::of_ffmpeg("palettes and RGB") else { return };
    for (name, codec) in [
        ("zmbv.avi", "zmbv -pix_fmt pal8"),
        ("png.mov", "png -pix_fmt pal8"),
        ("rgb.mov", "png"),
        ("av1.mp4", "libaom-av1 -cpu-used 8 -pix_fmt gbrp"),
    ] {
        make(&place.input(name), &[BARS, "-c:v", codec].join(" "));
    }
    let said = place.run(&["in", "--preset", "archive", "--container", "mkv"]);
    for name in ["zmbv.avi", "png.mov", "rgb.mov", "av1.mp4"] {
        let (input, output) = (place.input(name), place.out(name).with_extension("mkv"));
        let [before, after] = [input, output].map(|path| {
            let filter = "format=yuv444p,signalstats,metadata=print";
            ffmpeg::measure(&["-i", path.to_str().unwrap(), "-vf", filter], "signalstats.SATAVG=")
        });
        assert!((before - after).abs() < 5.0, "{name}: {before}, {after} {said}");
    }
}

#[test]
fn what_gstreamer_does_not_know_in_an_avi_is_named() {
    let Some(place) = Place::of_ffmpeg("codecs of AVI") else { return };
    let mpeg4 = "-c:v mpeg4 -c:a";
    for (name, arguments) in [
        ("vorbis.avi", [BARS, TONE, mpeg4, "libvorbis"].join(" ")),
        ("flac.avi", [BARS, TONE, mpeg4, "flac"].join(" ")),
        ("palette.avi", [BARS, "-c:v rawvideo -pix_fmt pal8"].join(" ")),
        ("rgb555.avi", [BARS, "-c:v rawvideo -pix_fmt rgb555le"].join(" ")),
    ] {
        make(&place.input(name), &arguments);
    }
    let said = place.said(&["in"]);
    for line in [
        "note: in/vorbis.avi: a track that GStreamer does not support is left out: Vorbis in AVI",
        "note: in/flac.avi: a track that GStreamer does not support is left out: FLAC in AVI",
        "error: in/palette.avi: is raw video with a palette, which GStreamer cannot read",
        "error: in/rgb555.avi: cannot be decoded: GStreamer has no decoder for raw video in its format",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(said.contains("2 translated"), "{said}");
}

#[test]
fn what_the_container_does_not_state_is_named() {
    let Some(place) = Place::of_ffmpeg("what containers do not tell") else { return };
    let interlaced = "-vf interlace -c:v libx264 -flags +ildct+ilme -pix_fmt yuv420p";
    for (name, video) in [
        ("interlaced.mp4", interlaced),
        ("alpha.mov", "-c:v qtrle -pix_fmt argb"),
        ("chroma.avi", "-c:v mjpeg -pix_fmt yuvj422p"),
        ("known.mkv", H264),
    ] {
        make(&place.input(name), &[BARS, video].join(" "));
    }
    make(&place.path("in/truehd.mp4"), &[BARS, TONE, H264, "-c:a truehd -strict -2"].join(" "));
    let said = place.run(&["in"]);
    let no_decoder = "cannot hold it, and GStreamer has no decoder for it";
    for note in [
        "interlaced.mp4: is interlaced and becomes progressive",
        "alpha.mov: its transparency, if it has any, is left out",
        "chroma.avi: its 4:2:2 becomes 4:2:0 with --preset web",
        &format!(
            "truehd.mp4: track 2, audio of the unknown codec mlpa, is left out: MP4 {no_decoder}"
        ),
    ] {
        assert!(said.contains(&format!("note: in/{note}")), "{note}: {said}");
    }
    assert!(!said.contains("in/known.mkv: ") && !said.contains("re-encoded"), "{said}");
    for (name, codec, fourcc) in [
        ("unknown.avi", "-c:v utvideo", "ULY0"),
        ("unknown.mkv", "-c:v jpeg2000", "mjp2"),
        ("with-sound.mkv", "-c:v jpeg2000 -c:a aac", "mjp2"),
    ] {
        let input = place.input(name);
        let sound = if codec.contains("-c:a") { TONE } else { "" };
        make(&input, &[BARS, sound, codec].join(" "));
        let said = place.said(&[&input]);
        let error =
            format!("{name}: cannot be decoded: GStreamer has no decoder for the codec {fourcc}");
        assert!(said.contains(&error), "{said}");
    }
}

/// Folders of HLS and DASH have playlists, which name what belongs together.
#[test]
fn parts_of_a_stream_are_named() {
    let Some(place) = Place::of_ffmpeg("parts of a stream") else { return };
    let hls = [BARS, H264, "-hls_time 1 -hls_segment_type fmp4 -hls_list_size 0"].join(" ");
    make(&place.input("a.m3u8"), &hls);
    let said = place.said(&["in"]);
    for expected in [
        "note: in/a.m3u8: is skipped: it is a playlist; name it as an input to translate it",
        "error: in/init.mp4: is only the start of a stream (DASH or HLS), without frames",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    assert!(place.run(&["in/a.m3u8"]).contains("1 translated"));
    // Transport streams start at any time.
    make(&place.input("b.m3u8"), &[BARS, TONE, H264, "-c:a aac -hls_time 1"].join(" "));
    let said = place.run(&["in/b.m3u8"]);
    let start = |stream: &Stream| stream.times[0];
    let [video, sound] = &streams(&place.out("b.mkv"))[..] else { panic!("{said}") };
    assert!(start(video).min(start(sound)).abs() < 1.0, "{} {}", start(video), start(sound));
}
