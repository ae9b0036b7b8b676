// SPDX-License-Identifier: MIT OR Apache-2.0

//! Translation of videos: frames and times, other tracks, unusual files.

use gst::prelude::*;

use crate::common::{
    Place, edit, ffmpeg, find,
    media::{self, VIDEO, colours, frames, make, make_with, tracks},
};

const BLUE: &str = "videotestsrc num-buffers=25 pattern=solid-color foreground-color=0xff204060 ! video/x-raw,format=I420,width=160,height=120,framerate=25/1";

#[test]
fn a_video_is_translated_and_its_audio_kept_to_the_byte() {
    let place = Place::new();
    let tone = |hertz: u32| {
        format!(
            "audiotestsrc num-buffers=43 freq={hertz} ! audio/x-raw,rate=44100 ! avenc_aac ! mux."
        )
    };
    make(
        &place.path("in/a.mp4"),
        &format!("{BLUE} ! x264enc ! mux. {} {} mp4mux name=mux ! OUT", tone(440), tone(880)),
    );
    let said = place.run(&["in/a.mp4"]);
    assert!(said.contains("out/a.mp4: 25 frames") && said.contains("1 translated"), "{said}");
    assert!(!said.contains("note:"), "{said}");

    let (before, after) = (tracks(&place.path("in/a.mp4")), tracks(&place.out("a.mp4")));
    assert_eq!(after.len(), 3);
    assert_eq!(after[0].shown(), before[0].shown());
    for (before, after) in before.iter().zip(&after).skip(1) {
        assert_eq!((&after.data, &after.times), (&before.data, &before.times));
    }
    for colour in colours(&place.out("a.mp4")) {
        let expected = [255 - 0x20, 255 - 0x40, 255 - 0x60];
        assert!(colour.iter().zip(expected).all(|(a, b)| a.abs_diff(b) < 8), "{colour:?}");
    }
}

#[test]
fn subtitles_and_audio_go_where_the_container_takes_them() {
    let place = Place::new();
    let srt = place.path("a.srt");
    std::fs::write(&srt, "1\n00:00:00,100 --> 00:00:00,400\nOne <i>and</i> & all\n\n2\n00:00:00,500 --> 00:00:00,900\nTwo\n").unwrap();
    make_with(
        &place.path("in/a.mkv"),
        &format!(
            "{VIDEO} ! x264enc ! mux. audiotestsrc num-buffers=43 ! vorbisenc ! mux. \
             filesrc name=text ! subparse ! text/x-raw,format=utf8 ! mux. matroskamux name=mux ! OUT"
        ),
        |bin| bin.by_name("text").unwrap().set_property("location", &srt),
    );
    let said = place.run(&["in/a.mkv"]);
    assert!(!said.contains("note:"), "{said}");
    let (before, after) = (tracks(&place.path("in/a.mkv")), tracks(&place.out("a.mkv")));
    let of = |tracks: &[media::Track], kind: &str| {
        tracks
            .iter()
            .find(|track| track.kind() == kind)
            .cloned()
            .unwrap_or_else(|| panic!("no {kind}"))
    };
    assert_eq!(of(&after, "audio/x-vorbis").data, of(&before, "audio/x-vorbis").data);
    assert_eq!(of(&after, "text/x-raw").data, of(&before, "text/x-raw").data);
    assert_eq!(of(&after, "text/x-raw").times, of(&before, "text/x-raw").times);

    let said = place.run(&["in/a.mkv", "--container", "mp4"]);
    assert!(said.contains("Vorbis, is re-encoded as AAC: MP4 cannot hold it"), "{said}");
    assert!(said.contains("becomes plain text"), "{said}");
    let after = tracks(&place.out("a.mp4"));
    assert_eq!(of(&after, "audio/mpeg").int("mpegversion"), 4);
    let text: Vec<String> =
        of(&after, "text/x-raw").data.iter().map(|d| String::from_utf8_lossy(d).into()).collect();
    assert!(text.iter().any(|t| t.contains("One and &")), "{text:?}");
}

/// Frames at increasing distances: 0, 2, 8, 18, 32 ms and so on.
fn vary_rate(bin: &gst::Bin) {
    let number = std::sync::atomic::AtomicU64::new(0);
    let pad = bin.by_name("varied").unwrap().static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let n = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data {
            let buffer = buffer.make_mut();
            buffer.set_pts(gst::ClockTime::from_mseconds(20 * n + 2 * n * n));
            buffer.set_duration(gst::ClockTime::from_mseconds(22 + 4 * n));
        }
        gst::PadProbeReturn::Ok
    });
}

/// Rotates a clip by 90° with the matrix in the header of its track, which GStreamer's muxer does not write.
fn turn(clip: &std::path::Path) {
    edit(clip, |bytes| {
        let header = find(bytes, b"tkhd");
        let matrix = [0i32, 1 << 16, 0, -1 << 16, 0, 0, 120 << 16, 0, 1 << 30];
        let matrix: Vec<u8> = matrix.iter().flat_map(|value| value.to_be_bytes()).collect();
        bytes[header + 44..header + 80].copy_from_slice(&matrix);
    });
}

#[test]
fn quirks_are_kept_or_handled() {
    let place = Place::new();
    for name in ["vfr.mkv", "vfr.mp4"] {
        let mux = if name.ends_with("mkv") { "matroskamux" } else { "mp4mux" };
        let description =
            format!("{VIDEO} ! identity name=varied ! x264enc bframes=0 ! {mux} ! OUT");
        make_with(&place.input(name), &description, vary_rate);
    }
    make(&place.input("turned.mp4"), &format!("{VIDEO} ! x264enc ! mp4mux ! OUT"));
    turn(&place.input("turned.mp4"));
    assert!(tracks(&place.input("turned.mp4"))[0].tags.contains("rotate-90"));
    let odd = "videotestsrc num-buffers=10 ! video/x-raw,format=Y444,width=161,height=121 ! x264enc ! matroskamux ! OUT";
    make(&place.input("odd.mkv"), odd);
    let ten = "videotestsrc num-buffers=10 ! video/x-raw,format=I420_10LE,width=160,height=120 ! x264enc ! mp4mux ! OUT";
    make(&place.input("ten.mp4"), ten);
    let interlaced = "videotestsrc num-buffers=10 ! video/x-raw,format=I420_10LE,width=160,height=120,framerate=25/1 ! interlace field-pattern=2:2 ! x264enc interlaced=true ! mpegtsmux ! OUT";
    make(&place.input("interlaced.ts"), interlaced);
    let picture = gst::Buffer::from_slice(include_bytes!("../../../docs/images/before-after.jpg"));
    let cover = gst::Sample::builder()
        .buffer(&picture)
        .caps(&gst::Caps::new_empty_simple("image/jpeg"))
        .build();
    make_with(
        &place.input("cover.mp4"),
        &format!("{VIDEO} ! x264enc ! mp4mux name=mux ! OUT"),
        |bin| {
            let mux = bin.by_name("mux").unwrap().dynamic_cast::<gst::TagSetter>().unwrap();
            mux.add_tag::<gst::tags::Image>(&cover, gst::TagMergeMode::Replace);
            mux.add_tag::<gst::tags::Title>(&"Horses", gst::TagMergeMode::Replace);
        },
    );
    let said = place.run(&["in"]);
    assert!(said.contains("7 translated"), "{said}");
    let video = |name: &str| tracks(&place.out(name)).remove(0);

    for name in ["vfr.mkv", "vfr.mp4"] {
        assert_eq!(video(name).shown(), tracks(&place.input(name))[0].shown(), "{name}");
        assert_eq!(video(name).shown()[24], 20 * 24 + 2 * 24 * 24, "{name}");
    }
    // The frames themselves are upright now.
    assert_eq!((video("turned.mp4").int("width"), video("turned.mp4").int("height")), (120, 160));
    assert!(!video("turned.mp4").tags.contains("rotate-90"), "{}", video("turned.mp4").tags);
    assert_eq!((video("odd.mkv").int("width"), video("odd.mkv").int("height")), (160, 120));
    let profile = video("ten.mp4").caps.structure(0).unwrap().get::<String>("profile").unwrap();
    assert!(!profile.contains("10"), "{profile}");
    assert_eq!(
        video("interlaced.ts").times.len(),
        tracks(&place.input("interlaced.ts"))[0].times.len()
    );
    let tags = video("cover.mp4").tags;
    assert!(tags.contains("image=") && tags.contains("Horses"), "{tags}");
}

#[test]
fn presets_and_encoders_are_what_was_asked_for() {
    let place = Place::new();
    let ten = "videotestsrc num-buffers=5 ! video/x-raw,format=Y444_10LE,width=1281,height=721 ! x264enc speed-preset=ultrafast ! matroskamux ! OUT";
    make(&place.path("in/a.mkv"), ten);
    let video = |arguments: &[&str], name: &str| {
        place.run(&[&["in/a.mkv"], arguments].concat());
        tracks(&place.out(name)).remove(0)
    };
    let profile =
        |track: &media::Track| track.caps.structure(0).unwrap().get::<String>("profile").unwrap();

    let archive = video(&["--preset", "archive"], "a.mkv");
    assert_eq!(
        (profile(&archive).as_str(), archive.int("width"), archive.int("height")),
        ("high-4:4:4", 1280, 720)
    );
    let depth = archive.caps.structure(0).unwrap().get::<u32>("bit-depth-luma").unwrap();
    assert_eq!(depth, 10);
    let proxy = video(&["--preset", "proxy"], "a.mkv");
    assert_eq!((proxy.int("width"), proxy.int("height")), (958, 540));
    assert_eq!(proxy.times.len(), 5);
    let webm = video(&["--container", "webm"], "a.webm");
    assert_eq!((webm.kind(), webm.int("width"), webm.int("height")), ("video/x-vp9", 1281, 721));
    let own = video(&["--video-encoder", "avenc_ffv1"], "a.mkv");
    assert_eq!(own.kind(), "video/x-ffv");
    assert_eq!(own.int("width"), 1281);
}

#[test]
fn every_encoder_has_the_frames_of_the_input() {
    let Some(place) = Place::of_ffmpeg("encoders") else { return };
    ffmpeg::make(&place.path("in/a.mkv"), &[ffmpeg::BARS, ffmpeg::H264].join(" "));
    for (encoder, name) in [
        ("theoraenc quality=63", "a.mkv"),
        ("mpeg2enc", "b.mkv"),
        ("mpeg2enc", "c.ts"),
        ("av1enc cpu-used=8", "e.webm"),
        ("jpegenc quality=95", "d.mkv"),
        ("avenc_mjpeg pass=quant quantizer=2", "f.mov"),
        ("vp9enc cpu-used=8 deadline=1 lag-in-frames=0 target-bitrate=4000000", "g.mp4"),
    ] {
        let said = place.run(&["in/a.mkv", "--out", name, "--video-encoder", encoder]);
        assert!(said.contains(&format!("{name}: 75 frames")), "{said}");
        assert_eq!(ffmpeg::frames(&place.path(name)), 75, "{encoder}: {said}");
        let psnr = ffmpeg::psnr(&place.path("in/a.mkv"), &place.path(name));
        assert!(psnr > 32.0, "{encoder} in {name}: {psnr} dB");
    }
    // The encoder of GStreamer 1.22 refuses all frames, and that of 1.24 every second one.
    let mpeg2 = ["in", "--video-encoder", "avenc_mpeg2video"];
    let said = place.said(&mpeg2);
    let is_named = said.contains(
        "error: in/a.mkv: the encoder avenc_mpeg2video refuses frames in I420 of 160×120 at 25/1 a second",
    );
    let is_counted = said.contains("error: in/a.mkv: the encoder avenc_mpeg2video lost 37 of 75");
    assert!(is_named || is_counted || said.contains("1 translated"), "{said}");
    // The encoder of GStreamer 1.22 gives all frames the same time.
    let said = place.said(&["in", "--video-encoder", "avenc_mpeg4"]);
    let is_named =
        said.contains("error: in/a.mkv: the encoder avenc_mpeg4 gives frames wrong times");
    assert!(is_named || said.contains("1 translated"), "{said}");
    // JPEG is Y'CbCr of full range.
    place.run(&["in/a.mkv", "--out", "jpeg/%03d.jpg"]);
    for (path, input) in [("d.mkv", "d.mkv"), ("jpeg/001.jpg", "jpeg/%03d.jpg")] {
        let video = &ffmpeg::streams(&place.path(path))[0];
        assert_eq!(video.text("pix_fmt"), "yuvj420p", "{path}");
        let psnr = ffmpeg::psnr(&place.path("in/a.mkv"), &place.path(input));
        assert!(psnr > 35.0, "{path}: {psnr} dB");
    }
}

#[test]
fn pictures_are_translated() {
    let place = Place::new();
    let picture = "videotestsrc num-buffers=1 pattern=solid-color foreground-color=0x80204060 ! video/x-raw,width=33,height=21";
    make(
        &place.path("in/a.jpg"),
        &format!(
            "{picture},format=RGB ! taginject tags=image-orientation=rotate-90 ! jpegenc ! jifmux ! OUT"
        ),
    );
    make(&place.path("in/b.png"), &format!("{picture},format=RGBA ! pngenc ! OUT"));
    make(&place.path("in/sub.webp"), &format!("{picture},format=RGB ! webpenc ! OUT"));
    make(&place.path("in/d.bmp"), &format!("{picture},format=BGR ! avenc_bmp ! OUT"));
    let said = place.run(&["in", "in/a.jpg"]);
    assert!(said.contains("4 translated"), "{said}");
    for name in ["a.jpg", "b.png", "sub.webp", "d.png"] {
        let all = frames(&place.out(name));
        assert_eq!(all.len(), 1, "{name}");
        let size = if name == "a.jpg" { (21, 33) } else { (33, 21) };
        assert_eq!(all[0].0, size, "{name}");
        let colour = colours(&place.out(name))[0];
        let expected = [255 - 0x20, 255 - 0x40, 255 - 0x60];
        assert!(colour.iter().zip(expected).all(|(a, b)| a.abs_diff(b) < 8), "{name}: {colour:?}");
    }
}
