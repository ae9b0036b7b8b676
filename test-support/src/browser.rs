// SPDX-License-Identifier: MIT OR Apache-2.0

//! Screenshots of pages in a real browser.

use std::{path::Path, process::Command};

use image::RgbImage;

/// A screenshot of `page` in Chromium, of the given size; `None` if Chromium is not installed. Writes
/// to `folder`.
pub fn screenshot(page: &Path, folder: &Path, width: u32, height: u32) -> Option<RgbImage> {
    let shot = folder.join("shot.png");
    let browser = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"])
        .arg(format!("--window-size={width},{height}"))
        .arg(format!("--screenshot={}", shot.display()))
        .arg(format!("file://{}", page.display()))
        .env("HOME", folder)
        .output();
    browser.ok()?;
    Some(image::open(&shot).unwrap().into_rgb8())
}

/// How many pixels differ from `colour` by less than `tolerance` in each channel.
pub fn near(shot: &RgbImage, colour: [u8; 3], tolerance: u8) -> usize {
    let close = |p: &image::Rgb<u8>| p.0.iter().zip(colour).all(|(a, b)| a.abs_diff(b) < tolerance);
    shot.pixels().filter(|p| close(p)).count()
}
