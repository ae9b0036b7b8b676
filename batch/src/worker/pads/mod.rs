// SPDX-License-Identifier: MIT OR Apache-2.0

//! What passes a pad: probes, counts, timestamps and gaps.

pub mod clip;
pub mod frame_times;
pub mod gaps;
pub mod padding;
pub mod probes;
pub mod tally;
pub mod window;
