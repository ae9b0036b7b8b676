// SPDX-License-Identifier: MIT OR Apache-2.0

//! A track that cannot be kept is lost alone, with one note.

use std::{fs, path::Path};

use gst::prelude::*;
use serde_json::Value;

use crate::common::{
    Place, contains, edit,
    ffmpeg::{
        BARS, H264, OTHER_TONE, SURROUND, Stream, TONE, hash, is_installed, make, offset, packets,
        streams,
    },
    find, lacing,
    media::{self, VIDEO},
    text,
};

/// `tsdemux` takes TrueHD for PCM unless the stream is marked as Blu-ray, and then does not find the TrueHD that ffmpeg
/// writes.
#[test]
fn true_hd_of_a_transport_stream_costs_no_other_track() {
    let Some(place) = Place::of_ffmpeg("TrueHD in transport streams") else { return };
    for name in ["a.ts", "b.m2ts"] {
        let tracks = "-map 0 -map 1 -map 2 -c:a:0 truehd -strict -2 -c:a:1 ac3";
        make(&place.input(name), &[BARS, TONE, OTHER_TONE, H264, tracks].join(" "));
    }
    let said = place.run(&["in"]);
    for (name, note) in [
        ("a.ts", "TrueHD or PCM, which GStreamer cannot tell apart, is left out: "),
        ("b.m2ts", "Dolby TrueHD, is left out: it has no data that can be decoded"),
    ] {
        assert!(said.contains(&format!("note: in/{name}: track 2, {note}")), "{said}");
        let codecs: Vec<_> = streams(&place.out(name)).into_iter().map(|s| s.codec).collect();
        assert_eq!(codecs, ["h264", "ac3"], "{name}");
    }
    assert_eq!(said.matches("note: ").count(), 2, "{said}");
}

/// mkvmerge puts several packets into a block, and only the first one has a timestamp. It writes languages by BCP 47.
#[test]
fn sound_of_mkvmerge_is_kept() {
    let Some(place) = Place::of_ffmpeg("laced sound") else { return };
    if !is_installed("mkvmerge", "laced sound") {
        return;
    }
    let codecs = ["libopus", "libvorbis", "aac", "ac3", "flac", "libmp3lame"];
    for codec in codecs {
        make(&place.path("whole.mkv"), &[BARS, TONE, H264, "-c:a", codec].join(" "));
        let laced = place.input(codec).with_extension("mkv");
        let mut mkvmerge = std::process::Command::new("mkvmerge");
        let mkvmerge = mkvmerge.args(["-q", "--language", "1:pt-BR", "--original-flag", "1", "-o"]);
        let mkvmerge = mkvmerge.arg(laced).arg(place.path("whole.mkv"));
        assert!(mkvmerge.status().unwrap().success());
    }
    for container in ["mkv", "webm"] {
        let codecs = if container == "mkv" { &codecs[..] } else { &codecs[..2] };
        let files = codecs.iter().map(|codec| format!("in/{codec}.mkv"));
        let files: Vec<_> = files.collect();
        let inputs = files.iter().map(String::as_str).chain(["--container", container]);
        let said = place.run(&inputs.collect::<Vec<_>>());
        assert!(!said.contains("note: "), "{said}");
        for codec in codecs {
            let name = format!("{codec}.mkv");
            let before = &streams(&place.input(name))[1];
            let after = &streams(&place.out(&format!("{codec}.{container}")))[1];
            assert_eq!(before.codec, after.codec);
            // The times inside a block differ by how the parser derives them.
            let off = offset(&before.times, &after.times);
            assert!(off < 15.0, "{codec} in {container}: {off} ms");
            let bytes = fs::read(place.out(&format!("{codec}.{container}"))).unwrap();
            for kept in [&b"\x22\xB5\x9D\x85pt-BR"[..], b"\x55\xAE\x81\x01"] {
                assert!(contains(&bytes, kept), "{codec}");
            }
        }
    }
}

/// The same in files that are laced here. Only the first packet of a block has a time.
#[test]
fn packets_of_laced_sound_share_the_time_of_their_block() {
    let Some(place) = Place::of_ffmpeg("laced packets") else { return };
    let codecs = ["alac", "libopus", "libvorbis", "aac", "flac", "ac3"];
    for codec in codecs {
        let path = place.input(codec).with_extension("mkv");
        make(&path, &[BARS, TONE, H264, "-c:a", codec].join(" "));
        fs::copy(&path, place.path(format!("{codec}.mkv"))).unwrap();
        edit(&path, lacing::lace);
    }
    for container in ["mkv", "mp4"] {
        let said = place.run(&["in", "--container", container]);
        // MP4 does not hold all of them.
        assert!(container == "mp4" || !said.contains("note: "), "{said}");
        assert!(!said.contains("gap"), "{said}");
        for codec in codecs {
            let before = &streams(&place.path(format!("{codec}.mkv")))[1];
            let after = streams(&place.out(&format!("{codec}.{container}")));
            let copied = after.get(1).filter(|after| after.codec == before.codec);
            assert!(container == "mp4" || copied.is_some(), "{codec}: {said}");
            if let Some(after) = copied {
                let off = offset(&before.times, &after.times);
                // The parser of Vorbis does not know when the first packet is heard, nor does the muxer of Opus.
                let most = if codec == "libvorbis" { 15.0 } else { 8.0 };
                assert!(off < most, "{codec} in {container}: {off} ms");
            }
        }
    }
}

/// A track that is not read back is not confused with the next one.
#[test]
fn damaged_sound_costs_no_other_track() {
    let Some(place) = Place::of_ffmpeg("damaged sound") else { return };
    let tracks = "-map 0 -map 1 -map 2 -bsf:a:0 noise=amount=2 -c:a:0 mp2 -c:a:1 aac";
    make(&place.path("in/a.mkv"), &[BARS, TONE, OTHER_TONE, H264, tracks].join(" "));
    let said = place.run(&["in", "--container", "mp4"]);
    assert!(!said.contains("track 3"), "{said}");
    let codecs: Vec<_> = streams(&place.out("a.mp4")).into_iter().map(|s| s.codec).collect();
    // How much of the damaged audio is read back differs from run to run.
    assert!(codecs.first().is_some_and(|codec| codec == "h264"), "{codecs:?}");
    assert!(codecs.last().is_some_and(|codec| codec == "aac"), "{codecs:?}");
}

/// A parser, or a decoder, reports an error for such a track, and `decodebin` waits for its first frame.
#[test]
fn a_track_of_noise_costs_no_other_track() {
    let Some(place) = Place::of_ffmpeg("tracks of noise") else { return };
    let noise = "-bsf:a:0 noise=amount=1 -strict -2 -map 0 -map 1 -map 2 -c:a:1 aac -c:a:0";
    let dolby = "AC-3 (ATSC A/52)";
    // The name of the codec if the track is left out; the others are copied as they are.
    let rows = [
        ("ac3.avi", TONE, "ac3", dolby),
        ("mp3.mp4", TONE, "libmp3lame", "MPEG-1 Audio"),
        ("mp3.mkv", TONE, "libmp3lame", "MPEG-1 Layer 3 (MP3)"),
        ("ac3.ts", TONE, "ac3", dolby),
        ("surround.mkv", SURROUND, "ac3", dolby),
        ("eac3.ts", TONE, "eac3", "E-AC-3 (ATSC A/52B)"),
        ("dts.mov", TONE, "dca", "DTS"),
        ("flac.mp4", TONE, "flac", "Free Lossless Audio Codec (FLAC)"),
        ("truehd.mkv", TONE, "truehd", ""),
        ("alac.mov", TONE, "alac", ""),
        ("vorbis.mkv", TONE, "libvorbis", ""),
    ];
    for (name, sound, codec, _) in rows {
        let input = place.input(name);
        make(&input, &[BARS, sound, OTHER_TONE, H264, noise, codec].join(" "));
    }
    let large = "-f lavfi -i testsrc2=size=640x480:rate=25:d=1 -f lavfi -i sine=440:d=1 -c:v rawvideo -pix_fmt yuv420p";
    let silent = "-bsf:a noise=amount=1 -c:a libmp3lame";
    make(&place.path("in/large.mkv"), &[large, silent].join(" "));
    let said = place.run(&["in", "--name", "{dir}/{stem}.{ext}"]);
    for (name, _, _, codec) in
        rows.into_iter().chain([("large.mkv", "", "", "MPEG-1 Layer 3 (MP3)")])
    {
        let note = format!(
            "note: in/{name}: track 2, {codec}, is left out: it has no data that can be decoded\n"
        );
        assert_eq!(said.contains(&note), !codec.is_empty(), "{name}: {said}");
    }
}

#[test]
fn an_encoder_that_the_container_refuses_costs_no_track() {
    let Some(place) = Place::of_ffmpeg("a refused encoder") else { return };
    let codecs = "-c:v libvpx -map 0 -map 1 -map 2 -c:a:0 aac -c:a:1 libopus";
    make(&place.path("in/a.mkv"), &[BARS, TONE, OTHER_TONE, codecs].join(" "));
    let said = place.run(&["in", "--container", "webm", "--audio-encoder", "lamemp3enc"]);
    let note = "note: in/a.mkv: track 2, MPEG-4 AAC, is re-encoded as Opus, WebM cannot hold that of --audio-encoder: ";
    assert!(said.contains(note), "{said}");
    assert_eq!(said.matches("note: ").count(), 1, "{said}");
    let codecs = |name| streams(&place.out(name)).into_iter().map(|stream| stream.codec);
    assert_eq!(codecs("a.webm").collect::<Vec<_>>(), ["vp9", "opus", "opus"]);
    // One that it accepts is used, and named.
    let said = place.run(&["in", "--container", "webm", "--audio-encoder", "vorbisenc"]);
    assert!(said.contains("track 2, MPEG-4 AAC, is re-encoded as Vorbis: "), "{said}");
    assert_eq!(codecs("a.webm").collect::<Vec<_>>(), ["vp9", "vorbis", "opus"]);
}

/// Its header in MP4 is not that of Ogg, which Matroska's muxer expects.
#[test]
fn flac_of_mp4_is_copied_to_matroska() {
    let Some(place) = Place::of_ffmpeg("FLAC in MP4") else { return };
    let codecs = "-strict -2 -map 0 -map 1 -map 2 -c:a:0 flac -c:a:1 libopus";
    make(&place.path("in/a.mp4"), &[BARS, TONE, OTHER_TONE, H264, codecs].join(" "));
    let said = place.run(&["in", "--container", "mkv"]);
    assert!(!said.contains("note: "), "{said}");
    let [before, after] = [place.path("in/a.mp4"), place.out("a.mkv")].map(|p| hash(&p, "0:a:0"));
    assert_eq!(before, after);
}

/// A note about a track that is not wanted helps nobody.
#[test]
fn tracks_that_are_not_wanted_have_no_notes() {
    let Some(place) = Place::of_ffmpeg("unwanted tracks") else { return };
    let gap = "-af aselect=not(between(t\\,1\\,2)) -c:a aac";
    make(&place.path("in/a.mkv"), &[BARS, TONE, H264, gap].join(" "));
    assert!(place.run(&["in"]).contains("track 2 has a gap"));
    fs::remove_dir_all(place.path("out")).unwrap();
    let said = place.run(&["in", "--audio", "none"]);
    assert!(!said.contains("note: "), "{said}");
}

#[test]
fn tracks_are_chosen_by_language() {
    let Some(place) = Place::of_ffmpeg("tracks by language") else { return };
    fs::write(place.path("s.srt"), "1\n00:00:00,200 --> 00:00:01,000\nHello\n").unwrap();
    let maps = "-i s.srt -map 0 -map 1 -map 2 -map 1 -map 3 -c:a aac";
    let languages =
        "-metadata:s:a:0 language=eng -metadata:s:a:1 language=ger -metadata:s:s:0 language=fre";
    for (name, subtitles) in [("a.mkv", "srt"), ("b.mp4", "mov_text"), ("c.ts", "dvbsub")] {
        let has_text = subtitles != "dvbsub";
        let maps = if has_text { maps.to_owned() } else { maps.replace(" -map 3", "") };
        let subtitles = format!("-c:s {subtitles}");
        let parts = [BARS, TONE, OTHER_TONE, &maps, &subtitles, languages, H264];
        make(&place.input(name), &parts.join(" "));
        let kept = |choice: &[&str]| {
            let said = place.run(&[&["in", "--include", name][..], choice].concat());
            let codecs = streams(&place.out(name)).into_iter().map(|stream| stream.codec);
            (said, codecs.collect::<Vec<_>>().join(" "))
        };
        let text =
            if has_text { if name == "a.mkv" { " subrip" } else { " mov_text" } } else { "" };
        let (said, codecs) = kept(&["--audio", "de", "--subtitles", "fr"]);
        assert!(!said.contains("note: "), "{said}");
        assert_eq!(codecs, format!("h264 aac{text}"), "{name}");
        let (said, codecs) = kept(&["--audio", "eng,und", "--subtitles", "en"]);
        assert_eq!(codecs, "h264 aac aac", "{name}: {said}");
        let note = "has no subtitles in eng; that in other languages is left out";
        assert_eq!(said.contains(note), has_text, "{said}");
    }
    let said = place.said(&["in", "--audio", "klingon"]);
    assert!(said.contains("'klingon' is no language"), "{said}");
}

/// Demuxers send gaps until then, from which parsers invent caps.
#[test]
fn sound_that_begins_late_is_kept() {
    let Some(place) = Place::of_ffmpeg("late sound") else { return };
    let sound = TONE.replace("d=3", "d=0.9");
    let rows = [
        ("mp3.mp4", "libmp3lame"),
        ("eac3.mkv", "eac3"),
        ("mp2.ts", "mp2"),
        ("dts.mkv", "dca"),
        ("mp3.mkv", "libmp3lame"),
    ];
    let video = BARS.replace("d=3", "d=9");
    for (name, codec) in rows {
        let input = place.input(name);
        let late = "-map 0 -map 1 -strict -2 -c:a";
        make(&input, &[&video, "-itsoffset 8", &sound, H264, late, codec].join(" "));
    }
    // `decodebin` reads 2 MB, and then waits.
    let large = "-f lavfi -i testsrc2=size=640x480:rate=25:d=1 -itsoffset 0.5";
    let codecs = "-map 0 -map 1 -c:v rawvideo -pix_fmt yuv420p -c:a ac3";
    make(&place.path("in/large.mkv"), &[large, &sound, codecs].join(" "));
    let said = place.run(&["in", "--name", "{dir}/{stem}.{ext}"]);
    assert!(!said.contains("note:"), "{said}");
    for (name, _) in rows.into_iter().chain([("large.mkv", "")]) {
        let (before, after) = (streams(&place.input(name)), streams(&place.out(name)));
        let start = |streams: &[Stream]| streams[1].times[0] - streams[0].times[0];
        assert_eq!(before[1].times.len(), after[1].times.len(), "{name}");
        assert!((start(&before) - start(&after)).abs() < 2.0, "{name}: {} ms", start(&after));
    }
}

/// The second video keeps the pipeline from ending. GStreamer 1.26 outputs nothing of the first, and the second is translated.
#[test]
fn a_first_video_of_noise_is_named() {
    let Some(place) = Place::of_ffmpeg("videos of noise") else { return };
    let noise = "-map 0 -map 1 -bsf:v:0 noise=amount=1";
    make(&place.path("in/a.mkv"), &[BARS, BARS, H264, noise].join(" "));
    let said = place.said(&["in"]);
    let is_error = said.contains("error: in/a.mkv: is damaged: nothing in it can be decoded");
    let note = said.lines().find(|line| line.starts_with("note: in/a.mkv: track 1, H.264"));
    let is_left_out = note.is_some_and(|note| note.ends_with("it has no data that can be decoded"));
    assert!(is_error || is_left_out && said.contains("1 translated"), "{said}");
}

/// VLC counts one object too many in the header of ASF, and `asfdemux` then fails.
#[test]
fn asf_with_a_wrong_count_in_its_header_is_read() {
    let Some(place) = Place::of_ffmpeg("ASF of VLC") else { return };
    let path = place.path("in/a.wmv");
    make(&path, &[BARS, TONE, "-c:v wmv2 -c:a wmav2"].join(" "));
    edit(&path, |bytes| bytes[24] += 1);
    let said = place.run(&["in"]);
    assert!(!said.contains("note:"), "{said}");
    let counts: Vec<_> = streams(&place.out("a.mkv")).iter().map(|s| s.times.len()).collect();
    let before: Vec<_> = streams(&path).iter().map(|s| s.times.len()).collect();
    assert_eq!((counts[0], counts[1]), (75, before[1]));
}

/// MP4 and QuickTime have 16 bits for the sample rate, and the demuxer of Matroska doubles that of AAC. For some of these
/// tracks, the demuxer of QuickTime reads times from memory after its table, which is filled here.
#[test]
fn sound_of_96_kilohertz_is_kept() {
    let Some(place) = Place::of_ffmpeg("96 kHz") else { return };
    let tone = TONE.replace("d=3", "d=1:r=96000");
    let rows = [
        ("aac.mp4", "aac"),
        ("aac.mkv", "aac"),
        ("alac.mov", "alac"),
        ("pcm.mov", "pcm_s24le"),
        ("big.mov", "pcm_s16be"),
        ("alaw.mov", "pcm_alaw"),
        ("flac.mkv", "flac"),
    ];
    for (name, codec) in rows {
        make(&place.input(name), &[BARS, &tone, H264, "-c:a", codec].join(" "));
    }
    let mut program = place.program();
    program.args(["in", "--name", "{dir}/{stem}.{ext}"]).env("MALLOC_PERTURB_", "165");
    let said = text(&program.output().unwrap());
    for (name, codec) in rows {
        let (before, after) = (streams(&place.input(name)), streams(&place.out(name)));
        assert_eq!(after.len(), 2, "{name}: {said}");
        assert_eq!(before[1].codec, after[1].codec, "{name}: {said}");
        assert_eq!(after[1].text("sample_rate"), "96000", "{codec}");
        assert_eq!(after[1].text("channels"), "1", "{codec}");
        let duration: f64 = after[1].text("duration").parse().unwrap_or(1.0);
        assert!((duration - 1.0).abs() < 0.05, "{codec} lasts {duration} s: {said}");
    }
    for name in ["pcm.mov", "big.mov", "alaw.mov"] {
        assert_eq!(hash(&place.out(name), "0:a"), hash(&place.input(name), "0:a"), "{name}");
    }
    assert!(!said.contains("note: "), "{said}");
}

/// Neither the demuxer nor the muxer knows some of these codecs, and others have no decoder.
#[test]
fn sound_of_matroska_is_kept() {
    let Some(place) = Place::of_ffmpeg("sound of Matroska") else { return };
    let codecs = [
        "aac",
        "alac",
        "mlp -strict -2",
        "g723_1 -ar 8000 -ac 1",
        "tta",
        "adpcm_ms",
        "libopus -mapping_family 255 -af aformat=channel_layouts=hexadecagonal",
    ];
    let name = |codec: &str| codec.split(' ').next().unwrap().to_owned() + ".mkv";
    for codec in codecs {
        let input = place.input(name(codec));
        make(&input, &[BARS, TONE, H264, "-c:a", codec].join(" "));
    }
    let said = place.run(&["in"]);
    assert!(!said.contains("note: "), "{said}");
    for codec in codecs {
        let (input, output) = (place.input(name(codec)), place.out(&name(codec)));
        assert_eq!(hash(&output, "0:a"), hash(&input, "0:a"), "{codec}");
        let (before, after) = (streams(&input), streams(&output));
        assert_eq!(after[1].times.len(), before[1].times.len(), "{codec}");
        assert_eq!(after[1].text("sample_rate"), before[1].text("sample_rate"), "{codec}");
        assert_eq!(after[1].text("channels"), before[1].text("channels"), "{codec}");
    }
    // The demuxer doubles the sample rate of AAC.
    let rate = [b"\xB5\x88", &44_100_f64.to_be_bytes()[..]].concat();
    let bytes = fs::read(place.out("aac.mkv")).unwrap();
    assert!(contains(&bytes, &rate));
    place.run(&["in/aac.mkv", "--container", "mp4"]);
    let bytes = fs::read(place.out("aac.mp4")).unwrap();
    let entry = find(&bytes, b"mp4a");
    assert_eq!(bytes[entry + 28..entry + 30], 44_100_u16.to_be_bytes());
}

/// Current versions of ffmpeg state it for all encoders that put a packet before the sound.
#[test]
fn the_delay_of_sound_in_matroska_is_kept() {
    let Some(place) = Place::of_ffmpeg("delays of Matroska") else { return };
    let input = place.path("in/a.mkv");
    make(&input, &[BARS, TONE, H264, "-c:a aac"].join(" "));
    // A delay of 1024 samples in place of the language of the sound, which has the same length.
    let delay = b"\x56\xAA\x84\x01\x62\x4E\xF3";
    let mut file = std::fs::read(&input).unwrap();
    let language = file.windows(7).rposition(|bytes| bytes == b"\x22\xB5\x9C\x83und").unwrap();
    file[language..language + 7].copy_from_slice(delay);
    std::fs::write(&input, file).unwrap();
    let before = streams(&input);
    assert!((before[1].times[0] + 23.0).abs() < 1.0, "{}", before[1].times[0]);
    for (output, options) in [
        ("a.mkv", vec![]),
        ("a.mp4", vec!["--container", "mp4"]),
        ("a.mov", vec!["--container", "mov", "--piece", "1"]),
        ("a.mkv", vec!["--overwrite", "--start", "1"]),
    ] {
        let said = place.run(&[&["in"], &options[..]].concat());
        assert!(!said.contains("note:"), "{said}");
        let after = streams(&place.out(output));
        let start = if options.contains(&"--start") { 1000.0 } else { 0.0 };
        // Each packet is heard with the same picture as in the input.
        let last = |streams: &[Stream]| *streams[1].times.last().unwrap() - streams[0].times[0];
        let off = last(&after) + start - last(&before);
        assert!(off.abs() < 2.0, "{output} {options:?}: {off} ms");
    }
}

/// AAC has no number for a layout with speakers at the sides, and the encoder takes 96 kHz at most, and that of GStreamer 1.22
/// six channels.
#[test]
fn surround_sound_that_is_re_encoded_has_a_layout() {
    let Some(place) = Place::of_ffmpeg("surround sound as AAC") else { return };
    let eight = SURROUND.replace(":d=3:s=48000:c=5.1(side)", "|0.1*t|0.2*t:d=3:s=48000:c=7.1");
    let high = TONE.replace("sine=440", "sine=440:r=192000");
    for (name, sound) in [
        ("a.mp4", [SURROUND, "-c:a eac3"].join(" ")),
        ("b.mp4", [&eight, "-c:a flac -strict -2"].join(" ")),
        ("c.mp4", [&high, "-c:a flac -strict -2"].join(" ")),
    ] {
        make(&place.input(name), &[BARS, &sound, H264].join(" "));
    }
    // MXF has no layouts.
    let sound = "-c:v mpeg2video -c:a pcm_s16le";
    make(&place.path("in/d.mxf"), &[BARS, SURROUND, sound].join(" "));
    let said = place.run(&["in", "--container", "mp4"]);
    for (name, how) in [
        ("d.mxf", "re-encoded as AAC: "),
        ("a.mp4", "re-encoded as AAC: "),
        ("b.mp4", "re-encoded as AAC"),
        ("c.mp4", "re-encoded as AAC, resampled to 96000 Hz: "),
    ] {
        let note = said.lines().find(|line| line.contains(name) && line.contains("note: "));
        assert!(note.is_some_and(|note| note.contains(how)), "{name}: {said}");
    }
    let eight = if said.contains("mixed down to 6 channels: ") { "5.1" } else { "7.1" };
    for (name, layout) in [("a.mp4", "5.1"), ("b.mp4", eight), ("d.mp4", "5.1")] {
        assert_eq!(streams(&place.out(name))[1].text("channel_layout"), layout, "{name}");
    }
}

#[test]
fn tracks_that_are_left_out_may_be_longer() {
    let Some(place) = Place::of_ffmpeg("long tracks") else { return };
    let (long, text) = (BARS.replace("d=3", "d=9"), "-i a.srt -map 0 -map 1");
    fs::write(place.path("a.srt"), "1\n00:00:01,000 --> 00:00:09,000\ntext\n\n").unwrap();
    let tone = TONE.replace("d=3", "d=9");
    make(&place.path("in/sound.mkv"), &[BARS, &tone, H264, "-c:a aac"].join(" "));
    make(&place.path("in/video.mp4"), &[BARS, &long, "-map 0 -map 1", H264].join(" "));
    make(&place.path("in/text.mkv"), &[BARS, text, H264, "-c:s srt"].join(" "));
    make(&place.path("in/data.mp4"), &[BARS, text, H264, "-c:s mov_text"].join(" "));
    // The telemetry of a camera.
    edit(&place.path("in/data.mp4"), |bytes| {
        for (from, to) in [(b"sbtl", b"meta"), (b"tx3g", b"gpmd")] {
            let at = find(bytes, from);
            bytes[at..at + 4].copy_from_slice(to);
        }
    });
    let said = place.run(&["in", "--audio", "none", "--subtitles", "none"]);
    assert!(said.contains("4 translated"), "{said}");
    assert!(said.contains("data.mp4: track 2, the codec gpmd, is left out"), "{said}");
    for name in ["sound.mkv", "video.mp4", "text.mkv", "data.mp4"] {
        assert_eq!(streams(&place.out(name))[0].times.len(), 75, "{said}");
    }
    // What is kept still is longer.
    let said = place.run(&["in/sound.mkv", "--overwrite"]);
    assert!(
        said.contains("note: in/sound.mkv: the video ends at 3.0 s, other tracks at 9.0 s"),
        "{said}"
    );
}

/// Drones write their orientation like this.
#[test]
fn klv_of_a_transport_stream_is_kept() {
    let place = Place::new();
    media::make(
        &place.path("in/a.ts"),
        &format!(
            "{VIDEO} ! x264enc speed-preset=ultrafast ! mux. \
             fakesrc num-buffers=9 sizetype=fixed sizemax=22 filltype=pattern datarate=220 format=time \
             ! meta/x-klv,parsed=true ! mux. mpegtsmux name=mux ! OUT"
        ),
    );
    let klv = |path: &Path| {
        media::tracks(path).into_iter().find(|track| track.kind() == "meta/x-klv").unwrap().data
    };
    let said = place.run(&["in"]);
    assert!(!said.contains("note:") && !said.contains("CRITICAL"), "{said}");
    let (before, after) = (klv(&place.path("in/a.ts")), klv(&place.out("a.ts")));
    assert!(before.len() == 9 && before == after, "{} of {}", after.len(), before.len());
}

/// `x264enc` writes them into the video.
#[test]
fn closed_captions_are_kept_or_missed() {
    let place = Place::unchanged();
    let clip = format!("{VIDEO} ! x264enc name=encoder ! mp4mux ! OUT");
    media::make_with(&place.path("in/a.mp4"), &clip, |bin| {
        let frames = bin.by_name("encoder").unwrap().static_pad("sink").unwrap();
        frames.add_probe(gst::PadProbeType::BUFFER, |_, info| {
            let frame = info.buffer_mut().unwrap().make_mut();
            let (kind, captions) = (gst_video::VideoCaptionType::Cea708Raw, [0xFC, 0x94, 0x2C]);
            gst_video::VideoCaptionMeta::add(frame, kind, &captions);
            gst::PadProbeReturn::Ok
        });
    });
    for (options, is_lost) in [
        (&["in", "--preset", "web"], false),
        (&["in", "--preset", "hevc"], true),
        (&["in", "--container", "webm"], true),
    ] {
        let said = place.run(&[&options[..], &["--out", options[2]]].concat());
        assert_eq!(
            said.contains("a.mp4: its closed captions are left out with"),
            is_lost,
            "{said}"
        );
        let name = if options[2] == "webm" { "a.webm" } else { "a.mp4" };
        let bytes = fs::read(place.path(options[2]).join(name)).unwrap();
        let captions = bytes.windows(4).filter(|bytes| *bytes == b"GA94").count();
        assert_eq!(captions, if is_lost { 0 } else { 25 }, "{said}");
    }
}

/// ffmpeg does not show the last text of MP4 that an edit list delays.
#[test]
fn subtitles_last_as_long_as_in_the_input() {
    let Some(place) = Place::of_ffmpeg("the duration of subtitles") else { return };
    let text = "1\n00:00:00,500 --> 00:00:01,500\n<i>first</i>\n\n2\n00:00:02,000 --> 00:00:02,750\nsecond\n\n";
    fs::write(place.path("a.srt"), text).unwrap();
    let tracks = "-map 0 -map 1 -map 2 -c:a aac -c:s";
    for (name, codec) in [("a.mp4", "mov_text"), ("b.mkv", "srt"), ("c.mkv", "ass")] {
        make(&place.input(name), &[BARS, TONE, "-i a.srt", H264, tracks, codec].join(" "));
    }
    let whole = [(500.0, 1000.0), (2000.0, 750.0)];
    // The part begins and ends in the middle of a text.
    let part = ["--start", "1", "--end", "2.5"];
    for (options, expected) in [(&[][..], whole), (&part, [(0.0, 500.0), (1000.0, 500.0)])] {
        for container in ["mp4", "mov", "mkv"] {
            let arguments = ["in", "--container", container, "--name", "{stem}.{ext}"];
            let said = place.run(&[&arguments, options, &["--overwrite"]].concat());
            let note = "a.mp4: track 3, Timed Text, becomes plain text: GStreamer does not read";
            assert!(said.contains(note), "{said}");
            for stem in ["a", "b", "c"] {
                let output = place.out(stem).with_extension(container);
                let shown: Vec<_> = shown(&output);
                let is_near = |(a, b): (&(f64, f64), &(f64, f64))| {
                    (a.0 - b.0).abs() < 30.0 && (a.1 - b.1).abs() < 30.0
                };
                let is_same = shown.len() == 2 && shown.iter().zip(&expected).all(is_near);
                assert!(is_same, "{options:?} {}: {shown:?} {said}", output.display());
            }
        }
    }
}

/// The start and duration of the texts of a file, ms. MP4 has empty texts between them.
fn shown(path: &Path) -> Vec<(f64, f64)> {
    let all = packets(path, "s");
    let number = |packet: &Value, field: &str| {
        packet[field].as_str().map_or(0.0, |number| number.parse().unwrap())
    };
    let texts = all.iter().filter(|packet| number(packet, "size") > 2.0);
    let time = |packet: &Value, field| number(packet, field) * 1000.0;
    texts.map(|text| (time(text, "pts_time"), time(text, "duration_time"))).collect()
}

/// The muxer has no name for them, and writes other colours for DVD subtitles.
#[test]
fn bitmap_subtitles_of_matroska_are_kept() {
    let Some(place) = Place::of_ffmpeg("bitmap subtitles") else { return };
    fs::write(place.path("a.sup"), pgs()).unwrap();
    let codecs = ["copy", "dvdsub", "dvbsub"];
    let tracks = "-map 0 -map 1 -map 2 -c:a aac -metadata:s:s language=ger -c:s";
    for codec in codecs {
        let input = place.input(codec).with_extension("mkv");
        make(&input, &[BARS, TONE, "-i a.sup", H264, tracks, codec].join(" "));
    }
    let said = place.run(&["in"]);
    assert!(!said.contains("note: "), "{said}");
    for codec in codecs {
        let name = format!("{codec}.mkv");
        let (before, after) = (streams(&place.input(&name)), streams(&place.out(&name)));
        let ([.., before], [.., after]) = (&before[..], &after[..]) else { panic!("{said}") };
        assert_eq!((&before.codec, &before.times), (&after.codec, &after.times), "{said}");
        assert_eq!(after.details["tags"]["language"], "ger");
    }
    let after = fs::read(place.out("dvdsub.mkv")).unwrap();
    let colours = b"palette: 000000, 0000ff, 00ff00, ff0000";
    assert!(contains(&after, colours));
}

/// A PGS file with a picture that is shown from 0.5 to 1.5 s.
fn pgs() -> Vec<u8> {
    let segment = |time: u32, kind: u8, data: &[u8]| {
        let head = [b"PG", &(time * 90).to_be_bytes()[..], &[0; 4], &[kind]].concat();
        [&head, &(data.len() as u16).to_be_bytes()[..], data].concat()
    };
    // 160×120, and an object in a window of 8×2 at 0, 0.
    let composition = |state: u8, objects: &[u8]| {
        [&[0, 160, 0, 120, 0x10, 0, state, state, 0, 0][..], objects].concat()
    };
    let window = [1, 0, 0, 0, 0, 0, 0, 8, 0, 2];
    let line = [0, 0x88, 1, 0, 0];
    let object = [&[0, 0, 0, 0xC0, 0, 0, 14, 0, 8, 0, 2][..], &line, &line].concat();
    [
        segment(500, 0x16, &composition(0x80, &[1, 0, 0, 0, 0, 0, 0, 0, 0])),
        segment(500, 0x17, &window),
        segment(500, 0x14, &[0, 0, 1, 235, 128, 128, 255]),
        segment(500, 0x15, &object),
        segment(500, 0x80, &[]),
        segment(1500, 0x16, &composition(0, &[0])),
        segment(1500, 0x17, &window),
        segment(1500, 0x80, &[]),
    ]
    .concat()
}

/// `qtmux` takes the number of samples from the times of packets, which Matroska rounds to milliseconds.
#[test]
fn pcm_of_matroska_is_the_same_in_quicktime() {
    let Some(place) = Place::of_ffmpeg("PCM of Matroska") else { return };
    let codecs = ["pcm_s16le", "pcm_s16be", "pcm_s24le"];
    for codec in codecs {
        make(&place.input(format!("{codec}.mkv")), &[BARS, TONE, H264, "-c:a", codec].join(" "));
    }
    let said = place.run(&["in", "--container", "mov"]);
    assert!(!said.contains("note:"), "{said}");
    for codec in codecs {
        let (before, after) =
            (place.input(format!("{codec}.mkv")), place.out(&format!("{codec}.mov")));
        assert_eq!(hash(&before, "0:a"), hash(&after, "0:a"), "{codec}");
    }
}
