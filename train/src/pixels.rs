// SPDX-License-Identifier: MIT OR Apache-2.0

//! Conversion between byte images and tensors in [−1, 1], and PNG files.

use std::{fs, io::Cursor, path::Path};

use anyhow::{Context, Result};
use cyclegan_output::write_atomically;
use image::{EncodableLayout, GrayImage, ImageBuffer, ImageFormat, PixelWithColorType, RgbImage};
use tch::{Kind, Tensor};

/// The values of a tensor on any device, row by row.
pub fn floats(tensor: &Tensor) -> Vec<f32> {
    let mut values = vec![0.0; tensor.numel()];
    let count = values.len();
    tensor.detach().to_kind(Kind::Float).contiguous().copy_data(&mut values, count);
    values
}

/// 1×3×H×W in [−1, 1].
pub fn to_tensor(picture: &RgbImage) -> Tensor {
    let (w, h) = (i64::from(picture.width()), i64::from(picture.height()));
    let bytes = Tensor::from_slice(picture.as_raw()).view([1, h, w, 3]);
    bytes.permute([0, 3, 1, 2]).to_kind(Kind::Float) / 127.5 - 1.0
}

/// 1×1×H×W in [0, 1].
pub fn mask_to_tensor(mask: &GrayImage) -> Tensor {
    let (w, h) = (i64::from(mask.width()), i64::from(mask.height()));
    let bytes = Tensor::from_slice(mask.as_raw()).view([1, 1, h, w]);
    bytes.to_kind(Kind::Float) / 255.0
}

/// Pixels of 3×H×W or 1×3×H×W in [−1, 1].
pub fn to_picture(tensor: &Tensor) -> RgbImage {
    let tensor = if tensor.dim() == 4 { tensor.squeeze_dim(0) } else { tensor.shallow_clone() };
    let bytes = ((&tensor + 1.0) * 127.5).round().clamp(0.0, 255.0);
    let bytes = bytes.to_kind(Kind::Uint8).permute([1, 2, 0]).contiguous();
    let (h, w) = (tensor.size()[1] as u32, tensor.size()[2] as u32);
    let mut pixels = vec![0u8; (h * w * 3) as usize];
    let count = pixels.len();
    bytes.copy_data(&mut pixels, count);
    RgbImage::from_raw(w, h, pixels).expect("as many bytes as the size says")
}

/// Writes an image as PNG; creates the folder if it does not exist.
pub fn write_png<P>(picture: &ImageBuffer<P, Vec<P::Subpixel>>, path: &Path) -> Result<()>
where
    P: PixelWithColorType,
    [P::Subpixel]: EncodableLayout,
{
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png)?;
    write_atomically(path, png.get_ref())
}
