// SPDX-License-Identifier: MIT OR Apache-2.0

//! Self-contained web pages: they load no other file.

use std::io::Cursor;

use anyhow::Result;
use base64::{Engine, engine::general_purpose::STANDARD};
use image::{ImageFormat, RgbImage};

const STYLE: &str = include_str!("page.css");

/// The HTML after the body of a page.
pub const END: &str = "</body></html>\n";

/// A page with `title`, which is escaped, and the HTML `body`; with `refresh` it reloads after that many
/// seconds.
pub fn page(title: &str, refresh: Option<u32>, body: &str) -> String {
    [&begin(title, refresh), body, END].concat()
}

/// The HTML before the body of a page; see [`page`].
pub fn begin(title: &str, refresh: Option<u32>) -> String {
    let refresh = refresh.map(|s| format!("<meta http-equiv=\"refresh\" content=\"{s}\">"));
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">{}\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style></head>\
         <body><h1>{title}</h1>",
        refresh.unwrap_or_default(),
        title = escape(title),
    )
}

/// Escapes text for HTML.
pub fn escape(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    escaped.replace('"', "&quot;")
}

/// The image as JPEG, at the image crate's default quality.
pub fn jpeg(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut jpeg = Cursor::new(Vec::new());
    picture.write_to(&mut jpeg, ImageFormat::Jpeg)?;
    Ok(jpeg.into_inner())
}

/// An `<img>` with the image embedded as JPEG.
pub fn image(picture: &RgbImage) -> Result<String> {
    let data = STANDARD.encode(jpeg(picture)?);
    let (w, h) = picture.dimensions();
    Ok(format!("<img width=\"{w}\" height=\"{h}\" src=\"data:image/jpeg;base64,{data}\" alt=\"\">"))
}
