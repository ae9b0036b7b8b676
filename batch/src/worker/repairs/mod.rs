// SPDX-License-Identifier: MIT OR Apache-2.0

//! Corrections of what elements of GStreamer 1.22 output.

pub mod av1;
pub mod clock_rates;
pub mod decode_times;
pub mod laced_times;
mod packed_mpeg4;
pub mod prores;
pub mod shared_times;
pub mod stated_colour;
pub mod wave_header;
