// SPDX-License-Identifier: MIT OR Apache-2.0

//! y4m: uncompressed frames, each after a line of text. `y4mdec` and `y4menc` of GStreamer 1.22 support only some
//! formats of 8 bits; `y4mdec` loses frames of interlaced video, and reads some formats as others.

pub mod read;
pub mod write;

/// The tags of y4m and the formats of GStreamer with the same memory layout.
const FORMATS: [(&str, &str); 16] = [
    ("420", "I420"),
    ("420jpeg", "I420"),
    ("420mpeg2", "I420"),
    ("420paldv", "I420"),
    ("411", "Y41B"),
    ("422", "Y42B"),
    ("444", "Y444"),
    ("420p10", "I420_10LE"),
    ("422p10", "I422_10LE"),
    ("444p10", "Y444_10LE"),
    ("420p12", "I420_12LE"),
    ("422p12", "I422_12LE"),
    ("444p12", "Y444_12LE"),
    ("444p16", "Y444_16LE"),
    ("mono", "GRAY8"),
    ("mono16", "GRAY16_LE"),
];

#[cfg(test)]
mod tests {
    use gst::prelude::*;
    use gst_video::{VideoColorRange, VideoFormat};

    use super::{
        read::{frame, header},
        write::bytes,
    };

    #[test]
    fn headers_are_understood_or_refused() {
        gst::init().unwrap();
        let read = |text: &str| header(text.as_bytes());
        let info = read("YUV4MPEG2 W4 H2 F30000:1001 It A4:3 C422p10 XCOLORRANGE=FULL\n").unwrap();
        assert_eq!((info.width(), info.height()), (4, 2));
        assert_eq!(info.format(), VideoFormat::I42210le);
        assert_eq!(
            (info.fps(), info.par()),
            (gst::Fraction::new(30000, 1001), gst::Fraction::new(4, 3))
        );
        assert_eq!(info.colorimetry().range(), VideoColorRange::Range0_255);
        assert!(info.is_interlaced());
        assert_eq!(read("YUV4MPEG2 W4 H2 F0:0 A0:0\n").unwrap().fps(), gst::Fraction::new(25, 1));
        for (text, cause) in [
            ("", "not y4m"),
            ("clips/a.mp4\n", "not y4m"),
            ("YUV4MPEG2 W4 H2", "not y4m"),
            ("YUV4MPEG2 W4 C420\n", "y4m without H"),
            ("YUV4MPEG2 W4 H0\n", "y4m of 4×0 pixels"),
            ("YUV4MPEG2 W4 H2 C420p14 XYSCSS=420P14\n", "y4m in C420p14"),
        ] {
            assert!(read(text).unwrap_err().to_string().contains(cause), "{text}");
        }
    }

    #[test]
    fn frames_are_the_same_again() {
        gst::init().unwrap();
        // Odd sizes, which GStreamer pads.
        for (tag, size) in
            [("420", 15 + 2 * 6), ("444p10", 90), ("422p12", 2 * (15 + 2 * 9)), ("mono", 15)]
        {
            let info = header(format!("YUV4MPEG2 W5 H3 F25:1 C{tag}\n").as_bytes()).unwrap();
            let mut input = b"FRAME\n".to_vec();
            input.extend((0..size).map(|byte| byte as u8));
            let buffer = frame(&mut input.as_slice(), &info, 3).unwrap().unwrap();
            assert_eq!(buffer.pts(), Some(gst::ClockTime::from_mseconds(120)));
            let pad = gst::Pad::builder(gst::PadDirection::Src).build();
            pad.set_active(true).unwrap();
            pad.push_event(gst::event::StreamStart::new("a"));
            pad.push_event(gst::event::Caps::new(&info.to_caps().unwrap()));
            assert_eq!(bytes(&pad, &buffer, false).unwrap(), input, "{tag}");
            let cut = frame(&mut &input[..input.len() - 1], &info, 3).unwrap_err().to_string();
            assert!(cut.contains("in the middle of frame 3"), "{cut}");
        }
    }
}
