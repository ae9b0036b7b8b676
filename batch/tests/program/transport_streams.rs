// SPDX-License-Identifier: MIT OR Apache-2.0

//! Transport streams: the clock, and tracks and programs that GStreamer does not report.

use std::{fs, path::Path};

use crate::common::{
    Place, edit,
    ffmpeg::{BARS, H264, OTHER_TONE, TONE, make, streams},
};

/// The length of a packet.
const PACKET: usize = 188;

/// Removes the packets with this identifier from a transport stream.
fn remove_packets(path: &Path, id: u16) {
    let is_other = |packet: &&[u8]| u16::from_be_bytes([packet[1], packet[2]]) & 0x1FFF != id;
    edit(path, |bytes| {
        let others = bytes.chunks(PACKET).filter(is_other).collect::<Vec<_>>().concat();
        assert!(others.len() < bytes.len());
        *bytes = others;
    });
}

/// Streams are recorded from any byte on, and at a high bit rate, the part that is always read has one value of the clock.
#[test]
fn a_rare_clock_is_named_in_any_file() {
    let Some(place) = Place::of_ffmpeg("a rare clock") else { return };
    for (name, options) in [("low", ""), ("high", ",noise=alls=100:allf=t -qp 12")] {
        let path = place.input(format!("{name}.ts"));
        let video = format!("-f lavfi -i testsrc2=s=960x540:r=1:d=8{options}");
        make(&path, &[&video, H264].join(" "));
        let bytes = fs::read(&path).unwrap();
        fs::write(place.input(format!("{name}-cut.ts")), &bytes[77..]).unwrap();
    }
    let said = place.said(&["in"]);
    for name in ["low", "low-cut", "high", "high-cut"] {
        let error = format!("error: in/{name}.ts: its clock (PCR) comes less often");
        assert!(said.contains(&error), "{name}: {said}");
    }
}

#[test]
fn tracks_that_nothing_demuxes_are_named_wherever_they_are() {
    let Some(place) = Place::of_ffmpeg("many tracks, and a late one") else { return };
    // Too many to be listed in one packet.
    let tones = format!("{TONE} ").repeat(13);
    let maps: String = (0..14).map(|number| format!("-map {number} ")).collect();
    let names: String =
        (0..13).map(|number| format!("-metadata:s:a:{number} language=eng ")).collect();
    let codecs = "-c:a ac3 -c:a:12 dca -strict -2";
    make(&place.input("many.m2ts"), &[BARS, &tones, &maps, H264, codecs, &names].join(" "));
    // It comes after more than is always read.
    let noise = "-f lavfi -i testsrc2=s=640x480:r=25:d=6,noise=alls=100:allf=t -itsoffset 5";
    let late = [noise, OTHER_TONE, "-map 0 -map 1", H264, "-qp 20 -c:a dca -strict -2"];
    make(&place.input("late.m2ts"), &late.join(" "));
    let long = [BARS, &TONE.replace("d=3", "d=9"), H264, "-c:a dca -strict -2"];
    make(&place.input("long.m2ts"), &long.join(" "));
    let said = place.run(&["in"]);
    assert!(!said.contains("timestamps"), "{said}");
    for name in ["many", "late", "long"] {
        let note = format!(
            "note: in/{name}.m2ts: a track that GStreamer does not support is left out: DTS"
        );
        assert!(said.contains(&note), "{said}");
    }
    assert_eq!(streams(&place.out("many.m2ts")).len(), 13, "{said}");
}

/// Receivers record one program of several, with the list of all.
#[test]
fn only_programs_that_are_there_are_noted() {
    let Some(place) = Place::of_ffmpeg("missing programs") else { return };
    let two = [BARS, TONE, BARS, OTHER_TONE, "-map 0 -map 1 -map 2 -map 3", H264, "-c:a aac"];
    let programs = "-program title=A:st=0:st=1 -program title=B:st=2:st=3";
    for (name, id) in [("first.ts", 0x1001), ("second.ts", 0x1000)] {
        let path = place.input(name);
        make(&path, &[&two.join(" "), programs].join(" "));
        remove_packets(&path, id);
    }
    let said = place.run(&["in"]);
    assert!(!said.contains("note:"), "{said}");
    for name in ["first.ts", "second.ts"] {
        assert_eq!(streams(&place.out(name)).len(), 2, "{said}");
    }
}
