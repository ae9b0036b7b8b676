// SPDX-License-Identifier: MIT OR Apache-2.0

//! HDR and more than 8 bits per component.

use std::fs;

use crate::common::{
    Place,
    ffmpeg::{self, BARS, H264, first_frame, make, psnr, streams},
};

/// 10-bit H.265 with this transfer function, and more parameters of x265.
fn x265(transfer: &str, more: &str) -> String {
    format!(
        "-c:v libx265 -preset ultrafast -x265-params log-level=error:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc{more}"
    )
}

/// A display of 1000 cd/m².
const DISPLAY: &str = ":master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400";

#[test]
fn depth_light_and_transparency_are_kept_or_missed() {
    let Some(place) = Place::of_ffmpeg("HDR10 and alpha") else { return };
    let hdr = ["-vf format=yuv420p10le", &x265("smpte2084", DISPLAY)].join(" ");
    make(&place.path("in/hdr10.mkv"), &[BARS, &hdr].join(" "));
    make(&place.path("in/hdr10.mov"), &[BARS, &hdr, "-tag:v hvc1"].join(" "));
    let alpha = "-vf format=rgba64le,colorchannelmixer=aa=0.5,format=yuva444p10le -c:v prores_ks -profile:v 4444";
    make(&place.path("in/alpha.mov"), &[BARS, alpha].join(" "));
    for preset in ["hevc", "archive", "prores"] {
        let said = place.run(&["in", "--preset", preset]);
        let is_lost = said.contains("alpha.mov: its transparency, if it has any, is left out");
        assert_eq!(is_lost, preset != "prores", "{said}");
        // GStreamer 1.22 writes it neither into QuickTime nor into ProRes.
        let is_lost = said.contains("hdr10.mov: its mastering display and light level");
        assert_eq!(is_lost, preset == "prores", "{said}");
        assert!(!said.contains("hdr10.mkv: its mastering"), "{said}");
        let is_prores = preset == "prores";
        for name in ["hdr10.mkv", "hdr10.mov"] {
            let video = &streams(&place.out(name))[0];
            let pixels = if is_prores { "yuv422p10le" } else { "yuv420p10le" };
            assert_eq!(video.text("pix_fmt"), pixels, "{preset} {name}");
            // ffprobe 5.1 reads it from the frames of ProRes, in which ffmpeg's encoder does not write it.
            let transfer = video.text("color_transfer");
            let may_lack = is_prores && transfer.is_empty();
            assert!(may_lack || transfer == "smpte2084", "{preset} {name}: {transfer}");
        }
        let container = streams(&place.out("hdr10.mkv"))[0].details["side_data_list"].to_string();
        for part in ["\"max_luminance\":\"1000/1\"", "\"red_x\":\"17/25\"", "\"max_content\":1000"]
        {
            assert!(container.contains(part), "{preset}: no {part} in {container}");
        }
        // ffmpeg 5.1 does not read it from H.264.
        if preset == "hevc" {
            let frame = ffmpeg::frame_data(&place.out("hdr10.mov"));
            assert!(frame.contains("Mastering display metadata"), "{frame}");
        }
        let alpha = &streams(&place.out("alpha.mov"))[0];
        let format = (alpha.text("pix_fmt"), alpha.text("profile"));
        match is_prores {
            // ffmpeg decodes all of 4444 as 12 bits.
            true => {
                assert_eq!(format, ("yuva444p12le".into(), "4444".into()));
                let filter = "alphaextract,format=gray,signalstats,metadata=print";
                let output = place.out("alpha.mov");
                let arguments = ["-i", output.to_str().unwrap(), "-vf", filter];
                let alpha = ffmpeg::measure(&arguments, "signalstats.YAVG=");
                assert!((alpha - 127.5).abs() < 2.0, "{alpha}");
            }
            false => assert_eq!(format.0, "yuv444p10le"),
        }
    }
}

/// Of a colorimetry that is only in the stream, ffmpeg writes only the range into Matroska.
#[test]
fn hdr_that_only_the_stream_states_is_mapped() {
    let Some(place) = Place::of_ffmpeg("HDR in the stream") else { return };
    let hdr = ["-vf format=yuv420p10le", &x265("smpte2084", "")].join(" ");
    make(&place.path("in/a.mkv"), &[BARS, &hdr].join(" "));
    let said = place.run(&["in"]);
    assert!(said.contains("a.mkv: is HDR and becomes SDR (BT.709) by tone mapping"), "{said}");
    assert_eq!(streams(&place.out("a.mkv"))[0].text("color_transfer"), "bt709");
}

/// Grey and BT.709 red of 50 cd/m², and their values in SDR with white at 203 cd/m²: dark parts are not compressed.
#[test]
fn eight_bits_get_the_tones_of_sdr() {
    let Some(place) = Place::of_ffmpeg("tone mapping") else { return };
    let patch = |name: &str, [y, cb, cr]: [u32; 3], encoder: &str| {
        let source = format!(
            "-f lavfi -i color=black:s=64x48:r=25:d=0.4,format=yuv420p10le,geq=lum={y}:cb={cb}:cr={cr}"
        );
        make(&place.input(name), &[&source, encoder].join(" "));
    };
    let (grey, red) = ([133, 128, 128], [41, 114, 188]);
    let (pq, hlg) = (x265("smpte2084", DISPLAY), x265("arib-std-b67", ""));
    patch("grey.mkv", [450, 512, 512], &pq);
    patch("red.mp4", [295, 453, 593], &pq);
    patch("hlg.ts", [499, 512, 512], &hlg);
    let vp9 = "-vf setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc";
    patch("vp9.webm", [295, 453, 593], vp9);
    let inputs = [("grey.mkv", grey), ("red.mp4", red), ("hlg.ts", grey), ("vp9.webm", red)];
    // OpenH264 accepts 8 bits, and no preset uses it.
    let own = ["--video-encoder", "openh264enc"];
    for (encoder, count) in [(["--preset", "web"], 4), (["--preset", "proxy"], 4), (own, 3)] {
        let inputs = &inputs[..count];
        let names: Vec<_> = inputs.iter().map(|(name, _)| format!("in/{name}")).collect();
        let arguments = encoder;
        let arguments = names.iter().map(String::as_str).chain(arguments).collect::<Vec<_>>();
        let said = place.run(&[&["--base", "in"][..], &arguments].concat());
        for (name, expected) in inputs {
            let note = format!("{name}: is HDR and becomes SDR (BT.709) by tone mapping");
            assert!(said.contains(&note), "no '{note}' in {said}");
            let says_colour = encoder != own && !name.ends_with("webm");
            check(&place.out(name), *expected, says_colour);
        }
        std::fs::remove_dir_all(place.path("out")).unwrap();
    }
}

fn check(output: &std::path::Path, expected: [u8; 3], says_colour: bool) {
    let video = &streams(output)[0];
    let name = output.display();
    assert_eq!(video.text("pix_fmt"), "yuv420p", "{name}");
    // VP9 of GStreamer 1.22 and OpenH264 signal nothing, which players take for BT.709.
    for field in ["color_transfer", "color_primaries"] {
        let tagged = video.text(field);
        assert!(tagged == "bt709" || tagged.is_empty() && !says_colour, "{name}: {field} {tagged}");
    }
    assert!(!ffmpeg::frame_data(output).contains("Mastering"), "{name}");
    let frame = first_frame(output);
    let luma = frame.len() / 6 * 4;
    let middle = |plane: &[u8], width: usize| plane[plane.len() / 2 + width / 2];
    let (cb, cr) = frame[luma..].split_at(luma / 4);
    let found = [middle(&frame[..luma], 64), middle(cb, 32), middle(cr, 32)];
    let is_near = found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 3);
    assert!(is_near, "{name}: {found:?}, not {expected:?}");
}

/// `matroskamux` of GStreamer 1.22 calls all ProRes the standard profile.
#[test]
fn matroska_names_the_profile_of_prores() {
    let Some(place) = Place::of_ffmpeg("profiles of ProRes") else { return };
    for (name, pixels) in [("apch", "yuv420p"), ("ap4h", "yuv444p")] {
        let video = ["-t 0.2 -c:v libx264 -pix_fmt", pixels].join(" ");
        make(&place.input(format!("{name}.mp4")), &[BARS, &video].join(" "));
    }
    place.run(&["in", "--preset", "prores", "--container", "mkv"]);
    for name in ["apch", "ap4h"] {
        let found = streams(&place.out(&format!("{name}.mkv")))[0].text("codec_tag_string");
        assert_eq!(found, name);
    }
}

/// Players trust the frames more than the container.
#[test]
fn frames_of_prores_state_their_colour() {
    let Some(place) = Place::of_ffmpeg("colour of ProRes") else { return };
    let tags = "-vf setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709 -color_primaries bt709 \
                -color_trc bt709 -colorspace bt709";
    make(&place.input("a.mp4"), &[BARS, H264, tags].join(" "));
    place.run(&["in", "--preset", "prores"]);
    let video = &streams(&place.out("a.mov"))[0];
    for field in ["color_space", "color_transfer", "color_primaries"] {
        assert_eq!(video.text(field), "bt709", "{field}");
    }
}

/// The default of H.264; GStreamer only reads it from caps with a colorimetry.
#[test]
fn chroma_stays_left() {
    let Some(place) = Place::of_ffmpeg("position of chroma") else { return };
    make(&place.input("a.mp4"), &[BARS, H264].join(" "));
    for preset in ["web", "archive", "hevc"] {
        place.run(&["in", "--preset", preset]);
        let video = &streams(&place.out("a.mp4"))[0];
        assert_eq!(video.text("chroma_location"), "left", "{preset}");
    }
}

#[test]
fn full_range_stays_full() {
    let Some(place) = Place::of_ffmpeg("full range") else { return };
    let full = "-vf scale=out_range=full -pix_fmt yuvj420p -c:v libx264 -preset ultrafast";
    for name in ["a.mp4", "b.mkv"] {
        make(&place.input(name), &[BARS, full].join(" "));
    }
    make(&place.path("in/c.avi"), &[BARS, full, "-c:v mjpeg"].join(" "));
    place.run(&["in"]);
    for (before, after) in [("a.mp4", "a.mp4"), ("b.mkv", "b.mkv"), ("c.avi", "c.mkv")] {
        let (before, after) = (place.input(before), place.out(after));
        assert_eq!(streams(&after)[0].text("color_range"), "pc", "{}", after.display());
        let psnr = ffmpeg::psnr(&before, &after);
        assert!(psnr > 33.0, "{}: {psnr} dB", after.display());
    }
}

#[test]
fn what_an_encoder_does_not_take_is_named() {
    let Some(place) = Place::of_ffmpeg("depth and chroma") else { return };
    for (name, codec) in [
        ("a.mkv", "-c:v ffv1 -pix_fmt yuv422p10le"),
        ("b.mp4", "-c:v libx264 -preset ultrafast -pix_fmt yuv444p"),
        ("c.mkv", "-c:v libx264rgb -preset ultrafast -pix_fmt rgb24"),
        ("d.mov", "-c:v prores_ks -pix_fmt yuv422p10le"),
        ("e.mkv", "-c:v libx264 -preset ultrafast -pix_fmt yuv420p"),
        ("f.mkv", "-vf format=yuv444p,crop=159:117 -c:v ffv1"),
    ] {
        make(&place.input(name), &[BARS, codec].join(" "));
    }
    let said = place.run(&["in"]);
    let ten = "its 10 bits per component become 8 with --preset web";
    for (name, loss) in [
        ("a.mkv", ten),
        ("a.mkv", "its 4:2:2 becomes 4:2:0 with --preset web"),
        ("b.mp4", "its 4:4:4 becomes 4:2:0 with --preset web"),
        ("c.mkv", "its RGB becomes 4:2:0 with --preset web"),
        ("d.mov", ten),
        ("f.mkv", "its 159×117 pixels become 158×116"),
    ] {
        assert!(said.contains(&format!("note: in/{name}: {loss}")), "{name}: {said}");
    }
    assert_eq!(said.matches(ten).count(), 2, "{said}");
    assert!(!said.contains("note: in/e.mkv"), "{said}");
    let said = place.run(&["in", "--preset", "archive", "--overwrite"]);
    assert!(!said.contains("becomes 4:2:0") && !said.contains("bits per component"), "{said}");
}

/// `qtdemux` of GStreamer 1.22 ignores the bit for it.
#[test]
fn full_range_of_mp4_and_quicktime_is_kept() {
    let Some(place) = Place::of_ffmpeg("full range") else { return };
    let bt709 = "-colorspace bt709 -color_primaries bt709 -color_trc bt709";
    for name in ["mp4", "mov"] {
        for (range, format) in [("pc", "yuvj420p"), ("tv", "yuv420p")] {
            for codec in ["libx264", "libx265"] {
                let of = format!("-c:v {codec} -pix_fmt {format} -color_range {range} {bt709}");
                make(
                    &place.input(format!("{codec}-{range}-{name}.{name}")),
                    &[BARS, &of].join(" "),
                );
            }
        }
    }
    // No box, and one that is not of the stream.
    make(&place.input("libx264-pc-none.mp4"), &[BARS, "-pix_fmt yuvj420p"].join(" "));
    let tags = "-color_range tv -bsf:v h264_metadata=video_full_range_flag=0";
    make(&place.input("libx264-tv-flag.mov"), &[BARS, "-pix_fmt yuv420p", tags].join(" "));
    for container in ["mp4", "mkv"] {
        let said = place.run(&["in", "--name", "{stem}.{ext}", "--container", container]);
        assert!(!said.contains("note: "), "{said}");
        for input in fs::read_dir(place.path("in")).unwrap() {
            let input = input.unwrap().path();
            let name = input.file_name().unwrap().to_str().unwrap();
            let output = place.out(name).with_extension(container);
            let (before, after) = (&streams(&input)[0], &streams(&output)[0]);
            assert_eq!(name.contains("-pc"), after.text("color_range") == "pc", "{name} {after:?}");
            for field in ["color_space", "color_primaries", "color_transfer"] {
                // Where nothing is known, the matrix that GStreamer takes is stated.
                if before.text(field).is_empty() {
                    continue;
                }
                assert_eq!(before.text(field), after.text(field), "{name} in {container}: {field}");
            }
            let psnr = psnr(&input, &output);
            assert!(psnr > 38.0, "{name} in {container}: {psnr} dB");
        }
    }
}

/// Their rows have a multiple of 64 pixels in the file.
#[test]
fn rows_of_r210_are_read_as_they_are_stored() {
    let Some(place) = Place::of_ffmpeg("10-bit RGB") else { return };
    let video = "-f lavfi -i testsrc2=size=160x120:rate=25:d=0.2 -c:v r210";
    make(&place.input("a.mov"), video);
    place.run(&["in", "--preset", "archive"]);
    let psnr = psnr(&place.input("a.mov"), &place.out("a.mov"));
    assert!(psnr > 38.0, "{psnr} dB");
}

/// Only the decoder tells the format of most of these.
#[test]
fn a_dry_run_names_what_the_format_loses() {
    let Some(place) = Place::of_ffmpeg("losses of a dry run") else { return };
    for (name, codec) in [
        ("a.mov", "-c:v prores_ks -profile:v 3 -pix_fmt yuv422p10le"),
        ("b.mov", "-c:v prores_ks -profile:v 4 -pix_fmt yuv444p10le"),
        ("c.mkv", "-c:v ffv1 -pix_fmt yuv422p10le"),
        ("d.mp4", "-c:v libx264rgb"),
        ("e.mov", "-c:v mjpeg -pix_fmt yuvj422p"),
    ] {
        make(&place.input(name), &[BARS, "-t 0.2", codec].join(" "));
    }
    let notes = |arguments: &[&str]| {
        let said = place.run(arguments);
        let mut notes: Vec<_> =
            said.lines().filter(|line| line.starts_with("note: ")).map(str::to_owned).collect();
        // JPEGs of newer versions of ffmpeg have a comment.
        notes.retain(|note| !note.contains("comment"));
        notes.sort();
        notes
    };
    for (preset, count) in [("web", 9), ("archive", 1)] {
        let planned = notes(&["in", "--preset", preset, "--dry-run"]);
        assert_eq!(planned, notes(&["in", "--preset", preset]));
        assert_eq!(planned.len(), count, "{planned:?}");
    }
}
