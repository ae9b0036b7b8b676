// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files that ffmpeg has written, in many containers and codecs, through a filter that changes nothing. The outputs are
//! compared with the inputs.

use std::{fs, path::Path};

use crate::common::{
    Place, contains, edit,
    ffmpeg::{self, BARS, H264, OTHER_TONE, SURROUND, Stream, TONE, make, steps, streams},
    find, media,
};

/// A file, how ffmpeg makes it, and the notes that it may get.
struct Row {
    name: &'static str,
    arguments: String,
    /// The codecs of its other tracks in the output, if they differ from the input.
    anew: &'static [&'static str],
}

fn row(name: &'static str, arguments: &[&str]) -> Row {
    Row { name, arguments: arguments.join(" "), anew: &[] }
}

fn anew(name: &'static str, arguments: &[&str], anew: &'static [&'static str]) -> Row {
    Row { name, arguments: arguments.join(" "), anew }
}

/// Common containers and codecs.
fn rows() -> Vec<Row> {
    let (aac, vp8) = ("-c:a aac", "-c:v libvpx -deadline realtime -cpu-used 8");
    vec![
        row("h264.mp4", &[BARS, TONE, H264, aac]),
        row("fragmented.mp4", &[BARS, TONE, H264, aac, "-movflags frag_keyframe+empty_moov"]),
        row(
            "hevc.mp4",
            &[
                BARS,
                TONE,
                "-c:v libx265 -preset ultrafast -x265-params log-level=error -tag:v hvc1",
                aac,
            ],
        ),
        row("two.mkv", &[BARS, TONE, OTHER_TONE, "-map 0 -map 1 -map 2", H264, aac]),
        row("vorbis.mkv", &[BARS, TONE, H264, "-c:a libvorbis"]),
        row("eac3.mkv", &[BARS, SURROUND, H264, "-c:a eac3"]),
        row("truehd.mkv", &[BARS, SURROUND, H264, "-c:a truehd -strict -2"]),
        row("dts.mkv", &[BARS, SURROUND, H264, "-c:a dca -strict -2"]),
        anew("eac3.mp4", &[BARS, SURROUND, H264, "-c:a eac3"], &["aac"]),
        anew("eac3.ts", &[BARS, SURROUND, H264, "-c:a eac3"], &["ac3"]),
        row("two.ts", &[BARS, TONE, OTHER_TONE, "-map 0 -map 1 -map 2", H264, aac]),
        anew("latm.ts", &[BARS, TONE, H264, aac, "-mpegts_flags latm"], &["aac"]),
        row("ac3.m2ts", &[BARS, TONE, H264, "-c:a ac3"]),
        row("vp8.webm", &[BARS, TONE, vp8, "-c:a libvorbis"]),
        row("obs.flv", &[BARS, TONE, H264, aac]),
        row("late.flv", &[BARS, "-itsoffset 2", TONE, H264, aac]),
        row("ps.mpg", &[BARS, TONE, "-c:v mpeg2video -c:a mp2"]),
        row(
            "dvd.vob",
            &[BARS, TONE, OTHER_TONE, "-map 0 -map 1 -map 2 -c:v mpeg2video -c:a ac3 -f vob"],
        ),
        row("mp3.avi", &[BARS, TONE, "-c:v mpeg4 -c:a libmp3lame"]),
        anew("adpcm.avi", &[BARS, TONE, "-c:v mpeg4 -c:a adpcm_ms"], &["flac"]),
        row("wmv.wmv", &[BARS, TONE, "-c:v wmv2 -c:a wmav2"]),
        row("mxf.mxf", &[BARS, TONE, "-c:v mpeg2video -c:a pcm_s16le -ar 48000"]),
        row("theora.ogv", &[BARS, TONE, "-c:v libtheora -c:a libvorbis"]),
        row("prores.mov", &[BARS, TONE, "-c:v prores_ks -c:a pcm_s16le"]),
        // QuickTime loses the channel layout.
        anew(
            "surround.mov",
            &[BARS, &SURROUND.replace("(side)", ""), H264, "-c:a pcm_s24le"],
            &["pcm_s24le"],
        ),
        anew("surround-float.mov", &[BARS, SURROUND, H264, "-c:a pcm_f32le"], &["pcm_s32le"]),
        anew("float.mov", &[BARS, TONE, H264, "-ac 2 -c:a pcm_f32le"], &["pcm_s32le"]),
        row("h263.3gp", &[BARS, TONE, "-c:v h263 -s 176x144", aac]),
        row("mjpeg.avi", &[BARS, TONE, "-c:v mjpeg -c:a pcm_u8"]),
        row(
            "tape.dv",
            &[
                "-f lavfi -i testsrc2=size=720x576:rate=25:d=1 -f lavfi -i sine=440:d=1:r=48000 -ac 2 -pix_fmt yuv420p -c:v dvvideo -c:a pcm_s16le",
            ],
        ),
        row("es.m2v", &[BARS, "-c:v mpeg2video"]),
        row("h264.h264", &[BARS, H264, "-g 25"]),
        row("h265.hevc", &[BARS, "-c:v libx265 -preset ultrafast -x265-params log-level=error"]),
        row("mpeg1.m1v", &[BARS, "-c:v mpeg1video"]),
        row("stream.ivf", &[BARS, vp8]),
        row("old.rm", &[BARS, TONE, "-c:v rv10 -s 176x144 -c:a ac3"]),
        row("server.gxf", &[BARS, TONE, "-c:v mpeg2video -s 720x576 -c:a pcm_s16le -ar 48000"]),
        row("mp3.mp4", &[BARS, TONE, H264, "-c:a libmp3lame"]),
        row("opus.mp4", &[BARS, TONE, H264, "-c:a libopus -strict -2"]),
        row("alac.mov", &[BARS, TONE, H264, "-c:a alac"]),
        row(
            "vp9.webm",
            &[BARS, TONE, "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus"],
        ),
        row("av1.mp4", &[BARS, TONE, "-c:v libaom-av1 -usage realtime -cpu-used 8", aac]),
        row("mpeg2.ts", &[BARS, TONE, "-c:v mpeg2video -c:a mp2"]),
        row("ffv1.avi", &[BARS, TONE, "-c:v ffv1 -c:a pcm_s24le"]),
        row("grey.mkv", &[BARS, "-c:v ffv1 -pix_fmt gray"]),
        row("raw.mov", &[BARS, TONE, "-c:v rawvideo -pix_fmt uyvy422 -c:a pcm_s16le"]),
        row("aspect.mp4", &[BARS, "-vf setsar=16/11", H264]),
        row("opus.ogg", &[BARS, TONE, "-c:v libtheora -c:a libopus -metadata title=Film"]),
        row("jpeg2000.mxf", &[BARS, "-c:v jpeg2000 -pix_fmt yuv420p"]),
        row("jpeg2000.mov", &[BARS, TONE, "-c:v jpeg2000 -pix_fmt yuv420p", aac]),
        anew("bluray.m2ts", &[BARS, SURROUND, H264, "-c:a pcm_bluray"], &["ac3"]),
        anew(
            "speex.flv",
            &[BARS, &TONE.replace("d=3", "d=3:r=16000"), "-c:v flv1 -c:a libspeex"],
            &["flac"],
        ),
        row("sorenson.flv", &[BARS, TONE, "-c:v flv1 -c:a libmp3lame"]),
        row(
            "dnxhr.mov",
            &[
                BARS,
                TONE,
                "-s 320x240 -c:v dnxhd -profile:v dnxhr_sq -pix_fmt yuv422p",
                "-c:a pcm_s16le",
            ],
        ),
        row("flac.ogg", &[BARS, TONE, "-c:v libtheora -c:a flac"]),
    ]
}

fn output_of(place: &Place, name: &str) -> std::path::PathBuf {
    let stem = Path::new(name).file_stem().unwrap().to_str().unwrap();
    let extension = Path::new(name).extension().unwrap().to_str().unwrap();
    let kept = ["mp4", "mov", "mkv", "webm", "ts", "m2ts"].contains(&extension);
    place.out(&format!("{stem}.{}", if kept { extension } else { "mkv" }))
}

#[test]
fn nothing_is_lost_from_any_container() {
    let Some(place) = Place::of_ffmpeg("the table of containers") else { return };
    let rows = rows();
    for row in &rows {
        make(&place.input(row.name), &row.arguments);
    }
    let said = place.run(&["in"]);
    let mut faults = Vec::new();
    for row in &rows {
        let (before, after) = (place.input(row.name), output_of(&place, row.name));
        let mut fault = |what: String| faults.push(format!("{}: {what}", row.name));
        compare(row, &streams(&before), &streams(&after), &mut fault);
        // Only re-encoded tracks get a note, and audio that is longer than the video; also the 8 bits and 4:2:0 of the
        // preset.
        let is_of_preset = |line: &&str| {
            line.ends_with(" with --preset web") || line.contains("tape.dv: is interlaced")
        };
        let mut lines = said.lines().filter(|line| !is_of_preset(line));
        let is_noted = lines.any(|line| line.contains(&format!("in/{}: ", row.name)));
        if is_noted == row.anew.is_empty() && row.name != "late.flv" {
            fault("has a note too many or too few".to_owned());
        }
        let psnr = ffmpeg::psnr(&before, &after);
        // Twice encoded, and small.
        if psnr < 33.0 {
            fault(format!("{psnr:.1} dB"));
        }
    }
    assert!(faults.is_empty(), "{}\n{said}", faults.join("\n"));
}

fn compare(row: &Row, before: &[Stream], after: &[Stream], fault: &mut dyn FnMut(String)) {
    let of = |streams: &[Stream], kind: &str| -> Vec<Stream> {
        streams.iter().filter(|stream| stream.kind == kind).cloned().collect()
    };
    let (video, translated) = (&of(before, "video")[0], &of(after, "video")[0]);
    if video.times.len() != translated.times.len() {
        fault(format!("{} frames of {}", translated.times.len(), video.times.len()));
    }
    let (a, b) = (of(before, "audio"), of(after, "audio"));
    if a.len() != b.len() {
        return fault(format!("{} audio tracks of {}", b.len(), a.len()));
    }
    for (i, (a, b)) in a.iter().zip(&b).enumerate() {
        let expected = row.anew.get(i).map_or(a.codec.as_str(), |codec| codec);
        if b.codec != expected && !a.codec.starts_with("pcm_") {
            fault(format!("audio {i} is {}, not {expected}", b.codec));
        }
        if a.text("channels") != b.text("channels")
            || a.text("sample_rate") != b.text("sample_rate")
        {
            fault(format!(
                "audio {i} has {} channels, not {}",
                b.text("channels"),
                a.text("channels")
            ));
        }
        let is_copied = row.anew.is_empty() && !a.codec.starts_with("pcm_");
        // The packet before an edit list for AAC is not shown.
        let few = if row.name.ends_with(".mp4") || row.name.ends_with(".3gp") { 1 } else { 0 };
        if is_copied && a.times.len() > b.times.len() + few {
            fault(format!("{} packets of audio {i} of {}", b.times.len(), a.times.len()));
        }
        let last = |stream: &Stream| stream.times.last().copied().unwrap_or(0.0);
        let first = |stream: &Stream| stream.times.first().copied().unwrap_or(0.0);
        let lag = |audio: &Stream, video: &Stream| first(audio) - first(video);
        // `aacparse` of GStreamer 1.22 needs 12 packets of LATM before it outputs any.
        let late = if row.name == "latm.ts" { 310.0 } else { 30.0 };
        // Audio keeps its offset to the video, to within a packet.
        if (lag(a, video) - lag(b, translated)).abs() > late {
            fault(format!(
                "audio {i} begins {:.0} ms, not {:.0}",
                lag(b, translated),
                lag(a, video)
            ));
        }
        if last(a) - first(a) > last(b) - first(b) + 120.0 + late {
            fault(format!(
                "audio {i} lasts {:.0} ms, not {:.0}",
                last(b) - first(b),
                last(a) - first(a)
            ));
        }
    }
    let aspect = |stream: &Stream| stream.text("sample_aspect_ratio");
    if row.name == "aspect.mp4" && aspect(video) != aspect(translated) {
        fault(format!("pixels of {}, not {}", aspect(translated), aspect(video)));
    }
    // Some files have unordered times, or none.
    let has_times =
        !["avi", "dv", "m2v", "wmv", "h264", "hevc", "m1v"].iter().any(|e| row.name.ends_with(e));
    let pairs = steps(&video.times).into_iter().zip(steps(&translated.times));
    if let Some((a, b)) = pairs.into_iter().find(|(a, b)| has_times && (a - b).abs() > 1.01) {
        fault(format!("a frame at {b:.1} ms, not {a:.1}"));
    }
}

#[test]
fn presets_are_what_they_say() {
    let Some(place) = Place::of_ffmpeg("the quality of the presets") else { return };
    let noise = "-f lavfi -i nullsrc=s=320x240:d=1,geq=lum='random(1)*255':cb=128:cr=128,format=yuv420p -c:v libx264 -qp 0 -preset ultrafast";
    make(&place.path("in/noise.mkv"), noise);
    make(
        &place.path("in/film.mkv"),
        "-f lavfi -i mandelbrot=s=640x360:r=25 -t 2 -pix_fmt yuv420p -c:v libx264 -qp 0 -preset ultrafast",
    );
    let mut measured = Vec::new();
    for preset in ["web", "archive"] {
        place.run(&["in", "--preset", preset]);
        for name in ["noise.mkv", "film.mkv"] {
            measured.push(ffmpeg::psnr(&place.input(name), &place.out(name)));
        }
    }
    let [_, web_film, archive_noise, archive_film] = measured[..] else { panic!("{measured:?}") };
    assert!(archive_noise > 45.0 && web_film > 40.0, "{measured:?}");
    assert!(archive_film > web_film + 2.0, "{measured:?}");
}

#[test]
fn webm_has_every_frame_in_one_piece_and_in_many() {
    let Some(place) = Place::of_ffmpeg("WebM") else { return };
    let noise =
        "-f lavfi -i testsrc2=s=320x240:r=25:d=4,noise=alls=60:allf=t -pix_fmt yuv420p -g 25";
    make(&place.path("in/a.mp4"), &format!("{noise} -c:v libx264 -preset ultrafast"));
    for piece in ["0", "1"] {
        let arguments = ["in", "--container", "webm", "--piece", piece, "--speed", "fast"];
        place.run(&arguments);
        let video = streams(&place.out("a.webm")).remove(0);
        assert_eq!(video.times.len(), 100, "--piece {piece}");
        let widest = video.times.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
        assert!(widest < 42.0, "--piece {piece}: a hole of {widest} ms");
        fs::remove_dir_all(place.path("out")).unwrap();
    }
}

#[test]
fn what_is_missing_in_a_damaged_file_is_said() {
    let Some(place) = Place::of_ffmpeg("a damaged file") else { return };
    make(&place.path("in/a.mp4"), &[BARS, TONE, H264, "-g 25 -c:a aac"].join(" "));
    edit(&place.path("in/a.mp4"), |bytes| {
        let data = find(bytes, b"mdat");
        let length = bytes.len() - data;
        bytes[data + length * 4 / 10..data + length * 6 / 10].fill(0);
    });
    for piece in ["0", "1"] {
        let arguments = ["in", "--piece", piece];
        let said = place.said(&arguments);
        assert!(said.contains("cannot be decoded") || said.contains("error: "), "{piece}: {said}");
        fs::remove_dir_all(place.path("out")).unwrap();
    }
}

#[test]
fn webvtt_becomes_plain_text() {
    let Some(place) = Place::of_ffmpeg("WebVTT") else { return };
    fs::write(place.path("s.srt"), "1\n00:00:00,200 --> 00:00:00,900\nHello\n").unwrap();
    let input = place.path("in/a.mkv");
    let tracks = "-map 0 -map 1 -map 2 -c:a aac -c:s webvtt";
    let two = "-map 2 -metadata:s:2 language=ger -disposition:s:0 0 -metadata:s:3 language=fre -disposition:s:1 forced";
    make(&input, &[BARS, TONE, "-i s.srt", H264, tracks, two].join(" "));
    let said = place.run(&["in"]);
    assert!(said.contains("WebVTT subtitles, becomes plain text"), "{said}");
    let streams = streams(&place.out("a.mkv"));
    let kinds: Vec<_> = streams.iter().map(|stream| stream.kind.as_str()).collect();
    assert_eq!(kinds, ["video", "audio", "subtitle", "subtitle"]);
    let flags = |stream: &Stream, name: &str| stream.details["disposition"][name].as_i64().unwrap();
    for (subtitle, language, forced) in [(&streams[2], "ger", 0), (&streams[3], "fre", 1)] {
        assert_eq!((subtitle.codec.as_str(), subtitle.times.len()), ("subrip", 1));
        assert_eq!(subtitle.details["tags"]["language"], language);
        assert_eq!((flags(subtitle, "default"), flags(subtitle, "forced")), (0, forced));
    }

    // A title does not make other subtitles WebVTT.
    make(&input, &[BARS, TONE, "-i s.srt", H264, tracks, "-metadata title=WEBVTT"].join(" "));
    edit(&input, |bytes| {
        let codec = find(bytes, b"D_WEBVTT");
        bytes[codec..][..8].copy_from_slice(b"S_OTHERS");
    });
    let said = place.run(&["in"]);
    assert!(!said.contains("note: "), "{said}");
    let after = fs::read(place.out("a.mkv")).unwrap();
    assert!(contains(&after, b"S_OTHERS"));
    let said = place.run(&["in", "--container", "mp4"]);
    assert!(said.contains("subtitles in an unknown format, is left out"), "{said}");
}

/// Its packets are only the text; those of WebM, which ffmpeg writes, begin with the name and the settings of the cue.
#[test]
fn all_lines_of_webvtt_in_matroska_are_kept() {
    let Some(place) = Place::of_ffmpeg("WebVTT of mkvmerge") else { return };
    if !ffmpeg::is_installed("mkvmerge", "WebVTT of mkvmerge") {
        return;
    }
    let cues = "WEBVTT\n\nname\n00:00.200 --> 00:00.900 line:0\none\ntwo\nthree\n\n00:01.000 --> 00:02.000\nfour\nfive\n";
    fs::write(place.path("a.vtt"), cues).unwrap();
    make(&place.path("b.mkv"), &[BARS, H264].join(" "));
    let mut mkvmerge = std::process::Command::new("mkvmerge");
    let mkvmerge = mkvmerge.args(["-q", "-o"]).arg(place.path("in/a.mkv"));
    assert!(mkvmerge.args([place.path("b.mkv"), place.path("a.vtt")]).status().unwrap().success());
    make(&place.path("in/b.mkv"), &[BARS, "-i a.vtt -map 0 -map 1 -c:s webvtt", H264].join(" "));
    place.run(&["in"]);
    for name in ["a.mkv", "b.mkv"] {
        make(&place.path("out/a.srt"), &format!("-i out/{name}"));
        let text = fs::read_to_string(place.path("out/a.srt")).unwrap().replace('\r', "");
        assert!(
            text.contains("\none\ntwo\nthree\n") && text.contains("\nfour\nfive\n"),
            "{name}: {text:?}"
        );
        assert!(!text.contains("line:0") && !text.contains("name"), "{name}: {text:?}");
    }
}

#[test]
fn what_changes_in_the_middle_is_held() {
    let Some(place) = Place::of_ffmpeg("a change of size") else { return };
    make(&place.path("in/a.ts"), &[BARS, H264].join(" "));
    make(
        &place.path("in/b.ts"),
        "-f lavfi -i testsrc2=size=320x180:rate=25:d=1 -c:v libx264 -pix_fmt yuv420p",
    );
    let both = ["in/a.ts", "in/b.ts"].map(|name| fs::read(place.path(name)).unwrap()).concat();
    fs::write(place.path("in/both.ts"), both).unwrap();
    place.run(&["in/both.ts", "--container", "mkv"]);
    let video = streams(&place.out("both.mkv")).remove(0);
    assert_eq!((video.text("width"), video.text("height")), ("160".to_owned(), "120".to_owned()));
    assert!(video.times.len() >= 98, "{}", video.times.len());
}

#[test]
fn interlaced_frames_keep_their_times_whichever_field_is_first() {
    let Some(place) = Place::of_ffmpeg("interlaced video") else { return };
    for order in ["tff", "bff"] {
        let filter =
            format!("-vf interlace=scan={order} -c:v mpeg2video -flags +ildct+ilme -qscale:v 2");
        make(&place.path(format!("in/{order}.mkv")), &[BARS, &filter].join(" "));
    }
    place.run(&["in"]);
    for order in ["tff.mkv", "bff.mkv"] {
        let (before, after) = (streams(&place.input(order)), streams(&place.out(order)));
        assert_eq!(before[0].times, after[0].times, "{order}");
    }
}

#[test]
fn the_last_frame_of_an_animation_is_shown_as_long() {
    let Some(place) = Place::of_ffmpeg("last frames of animations") else { return };
    let frames = "-f lavfi -i testsrc2=size=160x120:rate=10:d=0.5 -pix_fmt rgb8";
    make(&place.path("in/a.gif"), &[frames, "-final_delay 70"].join(" "));
    for container in ["mp4", "mkv"] {
        let said = place.run(&["in", "--container", container]);
        assert!(!said.contains("note: "), "{said}");
        let output = place.out(&format!("a.{container}"));
        assert_eq!(streams(&output)[0].times.len(), 5, "{container}");
        // Four frames of 100 ms, and one of 700.
        assert!((media::duration(&output) - 1.1).abs() < 0.002, "{container}");
    }
}

#[test]
fn animated_images_become_videos() {
    let Some(place) = Place::of_ffmpeg("animated images") else { return };
    make(&place.path("in/a.gif"), "-f lavfi -i testsrc2=size=160x120:rate=10:d=1 -pix_fmt rgb8");
    make(&place.path("in/b.gif"), &[BARS, "-c:v gif"].join(" "));
    make(&place.path("in/c.png"), &[BARS, "-c:v apng -f apng"].join(" "));
    make(&place.path("in/d.webp"), &[BARS, "-c:v libwebp_anim"].join(" "));
    make(&place.path("in/still.png"), &[BARS, "-frames:v 1"].join(" "));
    fs::copy(place.path("in/a.gif"), place.path("in/named.mkv")).unwrap();
    let said = place.run(&["in", "--container", "mkv"]);
    assert!(said.contains("named.mkv: is GIF, although its extension is mkv"), "{said}");
    assert!(place.out("still.png").is_file(), "{said}");
    assert!(!said.contains("first frame"), "{said}");
    let animations =
        [("a.mkv", 10), ("b.mkv", 75), ("c.mkv", 75), ("d.mkv", 75), ("named.mkv", 10)];
    for (name, frames) in animations {
        let video = streams(&place.out(name)).remove(0);
        assert_eq!(video.times.len(), frames, "{name}");
        let step = if frames == 10 { 100.0 } else { 40.0 };
        assert!((video.times[1] - video.times[0] - step).abs() < 2.0, "{name}");
    }
}
