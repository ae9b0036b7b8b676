// SPDX-License-Identifier: MIT OR Apache-2.0

//! A contact sheet: some images of each folder, and those of each finding.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use cyclegan_output::{page, write_atomically};
use image::{GenericImage, RgbImage};

use super::advice::{Finding, file_name};
use crate::{
    data::{decode, folder::Domain, view::View},
    pixels::write_png,
    terminal::count,
};

/// Side of an image on the sheet, pixels.
const SIDE: u32 = 128;
/// Number of images per folder.
const SHOWN: usize = 24;
/// Number of images per row of a PNG.
const ROW: u32 = 12;

/// Writes the sheet, as a page or an image by its file extension.
pub fn write(path: &Path, folders: &[(String, Domain)], findings: &[Finding]) -> Result<()> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("html") => write_atomically(path, html(folders, findings)?.as_bytes()),
        Some("png") => write_png(&png(folders), path),
        _ => bail!("{}: expected a name ending in .html or .png", path.display()),
    }
}

fn html(folders: &[(String, Domain)], findings: &[Finding]) -> Result<String> {
    let mut body = String::new();
    let grid = |tiles: &mut dyn Iterator<Item = (String, RgbImage)>| -> Result<String> {
        let mut grid = "<div class=\"grid\">".to_owned();
        for (name, tile) in tiles {
            let name = page::escape(&name);
            grid += &format!("<figure title=\"{name}\">{}</figure>", page::image(&tile)?);
        }
        Ok(grid + "</div>")
    };
    for finding in findings {
        body +=
            &format!("<p class=\"warning\">{}</p>", page::escape(&finding.line.replace('`', "")));
        let shown = finding.pictures.iter().take(SHOWN);
        body += &grid(&mut shown.filter_map(|path| Some((file_name(path), tile(path, None)?))))?;
    }
    for (folder, domain) in folders {
        let has_masks = domain.masks.iter().any(Option::is_some);
        let masked = if has_masks { ", darkened outside their masks" } else { "" };
        let title = format!("{folder}, {}{masked}", count(domain.images.len(), "image"));
        body += &format!("<h2>{}</h2>", page::escape(&title));
        body += &grid(&mut tiles(domain))?;
    }
    Ok(page::page("cyclegan-train check", None, &body))
}

fn png(folders: &[(String, Domain)]) -> RgbImage {
    let rows = (SHOWN as u32).div_ceil(ROW);
    let mut sheet = RgbImage::new(ROW * SIDE, rows * SIDE * folders.len() as u32);
    for (f, (_, domain)) in folders.iter().enumerate() {
        for (i, (_, tile)) in tiles(domain).enumerate() {
            let (x, y) = (i as u32 % ROW, i as u32 / ROW + rows * f as u32);
            // Every tile fits.
            let _ = sheet.copy_from(&tile, x * SIDE, y * SIDE);
        }
    }
    sheet
}

/// Evenly spaced images of a domain, those that can be read.
fn tiles(domain: &Domain) -> impl Iterator<Item = (String, RgbImage)> {
    let all = domain.images.len();
    let places = (0..all.min(SHOWN)).map(move |i| i * all / all.min(SHOWN));
    places.filter_map(|i| {
        let mask = domain.masks.get(i).and_then(Option::as_ref);
        Some((file_name(&domain.images[i]), tile(&domain.images[i], mask)?))
    })
}

/// The central square of an image, darkened outside its mask.
fn tile(path: &Path, mask: Option<&PathBuf>) -> Option<RgbImage> {
    let picture = decode::rgb(path).ok()?;
    let view = View::square(picture.dimensions(), SIDE);
    let mut tile = view.of_rgb(&picture);
    let mask = mask.and_then(|mask| decode::mask(mask).ok());
    if let Some(mask) = mask.filter(|mask| mask.dimensions() == picture.dimensions()) {
        let mask = view.of_mask(&mask);
        for (pixel, inside) in tile.pixels_mut().zip(mask.iter()) {
            let light = 64 + u16::from(*inside) * 3 / 4;
            pixel.0 = pixel.0.map(|v| (u16::from(v) * light / 256) as u8);
        }
    }
    Some(tile)
}
