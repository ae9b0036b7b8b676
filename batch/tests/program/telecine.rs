// SPDX-License-Identifier: MIT OR Apache-2.0

//! Film on NTSC DVDs.

use crate::common::{
    Place, edit,
    ffmpeg::{make, offset, steps, streams},
};

/// The length of a field, ms.
const FIELD: f64 = 1001.0 / 60.0;

/// Makes MPEG-2 video of 23.976 frames a second one of 29.97 in which every other frame repeats a field (ISO/IEC 13818-2,
/// sections 6.2.2 and 6.2.3), so that frames are shown for three and two fields by turns.
fn repeat_fields(bytes: &mut [u8]) {
    let (mut first, mut next, mut position) = (0, 0, 0);
    for at in 0..bytes.len() - 9 {
        match bytes[at..] {
            [0, 0, 1, 0xB3, ..] => bytes[at + 7] = bytes[at + 7] & 0xF0 | 4,
            [0, 0, 1, 0xB8, ..] => first = next,
            [0, 0, 1, 0, high, low, ..] => {
                position = first + (usize::from(high) << 2 | usize::from(low >> 6));
                next = next.max(position + 1);
            }
            // Not progressive.
            [0, 0, 1, 0xB5, kind, ..] if kind >> 4 == 1 => bytes[at + 5] &= !8,
            [0, 0, 1, 0xB5, kind, ..] if kind >> 4 == 8 => {
                // Whether the upper field comes first, and whether it is repeated.
                let fields = [0x82, 0, 0x02, 0x80][position % 4];
                bytes[at + 7] = bytes[at + 7] & !0x82 | fields;
                bytes[at + 8] |= 0x80;
            }
            _ => {}
        }
    }
}

/// Program streams have timestamps for some frames only.
#[test]
fn repeated_fields_keep_their_time() {
    let Some(place) = Place::of_ffmpeg("film on DVD") else { return };
    let film = "-f lavfi -i testsrc2=size=160x128:rate=24000/1001:d=4 -frames:v 94";
    let codec = "-c:v mpeg2video -bf 2 -g 12 -q:v 20 -sc_threshold 1000000000";
    make(&place.input("film.m2v"), &[film, codec].join(" "));
    edit(&place.input("film.m2v"), |bytes| repeat_fields(bytes));
    // The times are rewritten in units of 1/90000 s, which all versions of ffmpeg take from a transport stream.
    make(&place.input("film.ts"), "-i in/film.m2v -c copy -bsf:v setts=pts=1e5*N:dts=1e5*N");
    // In the order of decoding, each frame that others are predicted from comes before two others.
    let times = "-copytb 1 -c copy -bsf:v setts=\
                 pts=1501.5*ceil(2.5*if(N\\,if(eq(mod(N\\,3)\\,1)\\,N+2\\,N-1)\\,0)):\
                 dts=1501.5*ceil(2.5*(N-1))";
    make(&place.input("film.vob"), &["-i in/film.ts", times].join(" "));
    let said = place.run(&["in/film.vob"]);
    assert!(!said.contains("interlaced"), "{said}");
    let expected: Vec<_> = (0..94).map(|number| FIELD * (2.5 * f64::from(number)).ceil()).collect();
    let found = steps(&streams(&place.out("film.mkv"))[0].times);
    let off = offset(&expected, &found);
    assert!(off < 2.0, "{off} ms: {found:?} {said}");
}
