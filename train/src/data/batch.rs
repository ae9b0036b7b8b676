// SPDX-License-Identifier: MIT OR Apache-2.0

//! The training data of one iteration.

use image::RgbImage;
use tch::{Device, Kind, Tensor};

/// RGB images, N×H×W×3.
#[derive(Debug, Default)]
pub struct Pixels {
    /// Their bytes.
    pub bytes: Vec<u8>,
    /// Width and height, pixels.
    pub size: (u32, u32),
}

/// RGB images for the generators, and what the discriminator sees of each; N×H×W×3.
#[derive(Debug, Default)]
pub struct Images {
    seen: Vec<u8>,
    /// As many as `seen`; `None` while all are the same.
    real: Option<Vec<u8>>,
}

impl Images {
    /// Adds an image, and the original that the discriminator sees if it differs.
    pub fn push(&mut self, image: &RgbImage, real: Option<&RgbImage>) {
        if real.is_some() && self.real.is_none() {
            self.real = Some(self.seen.clone());
        }
        if let Some(all) = &mut self.real {
            all.extend_from_slice(real.unwrap_or(image));
        }
        self.seen.extend_from_slice(image);
    }

    /// The bytes of the generators' images.
    pub fn seen(&self) -> &[u8] {
        &self.seen
    }

    /// The bytes of the discriminator's images, if any differ.
    pub fn real(&self) -> Option<&[u8]> {
        self.real.as_deref()
    }
}

/// Crops of one domain as bytes, N×H×W×C.
#[derive(Debug, Default)]
pub struct Crops {
    /// RGB for the generators and for the discriminator.
    pub images: Images,
    /// Masks, when the domain has any.
    pub masks: Option<Vec<u8>>,
    /// 1 for the images with a mask.
    pub known: Vec<f32>,
    /// RGB of the next frames, for the images that have one.
    pub next: Vec<u8>,
    /// The indices of these images.
    pub followed: Vec<i64>,
    /// A teacher's output for the images, RGB.
    pub generated: Option<Vec<u8>>,
    /// Images of neither domain for this domain's generator.
    pub negatives: Pixels,
    /// Images of this domain for its generator only.
    pub extra: Pixels,
    /// Width and height, pixels.
    pub size: (u32, u32),
}

/// A batch of one domain.
#[derive(Debug, Default)]
pub struct Batch {
    /// The generators' input, N×3×H×W in [−1, 1].
    pub images: Tensor,
    /// The discriminator's real images, if they differ: augmentation of real images only would become part
    /// of the domain.
    pub real: Option<Tensor>,
    /// Masks, when the domain has any.
    pub masks: Option<Masks>,
    /// Next frames, when any image has one.
    pub next: Option<Next>,
    /// A teacher's output for the images, if computed beforehand; N×3×H×W in [−1, 1].
    pub generated: Option<Tensor>,
    /// Images of neither domain, which this domain's generator must not change; K×3×H×W in [−1, 1].
    pub negatives: Option<Tensor>,
    /// Images of this domain without masks that no discriminator sees; K×3×H×W in [−1, 1].
    pub extra: Option<Tensor>,
}

impl Batch {
    /// The discriminator's real images, N×3×H×W.
    pub fn real(&self) -> &Tensor {
        self.real.as_ref().unwrap_or(&self.images)
    }
}

/// The frames after some images of a batch.
#[derive(Debug)]
pub struct Next {
    /// K×3×H×W in [−1, 1].
    pub images: Tensor,
    /// K indices into the batch.
    pub of: Tensor,
}

/// Masks of a batch.
#[derive(Debug)]
pub struct Masks {
    /// N×1×H×W in [0, 1].
    pub truth: Tensor,
    /// N×1×1×1, 1 for images with a mask.
    pub known: Tensor,
}

impl Crops {
    /// Moves the crops to a device.
    pub fn to_batch(&self, device: Device) -> Batch {
        let tensor = |bytes: &[u8], size: (u32, u32), channels: i64| {
            let (w, h) = (i64::from(size.0), i64::from(size.1));
            let bytes = Tensor::from_slice(bytes).to_device(device);
            let bytes = bytes.view([-1, h, w, channels]).permute([0, 3, 1, 2]);
            bytes.to_kind(Kind::Float)
        };
        let masks = self.masks.as_ref().map(|masks| Masks {
            truth: tensor(masks, self.size, 1) / 255.0,
            known: Tensor::from_slice(&self.known).view([-1, 1, 1, 1]).to_device(device),
        });
        let of_size = |bytes: &[u8], size| tensor(bytes, size, 3) / 127.5 - 1.0;
        let rgb = |bytes: &[u8]| of_size(bytes, self.size);
        let next = (!self.followed.is_empty()).then(|| Next {
            images: rgb(&self.next),
            of: Tensor::from_slice(&self.followed).to_device(device),
        });
        let generated = self.generated.as_deref().map(rgb);
        let real = self.images.real().map(rgb);
        let of =
            |Pixels { bytes, size }: &Pixels| (!bytes.is_empty()).then(|| of_size(bytes, *size));
        let (negatives, extra) = (of(&self.negatives), of(&self.extra));
        Batch { images: rgb(self.images.seen()), real, masks, next, generated, negatives, extra }
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn the_discriminator_has_as_many_images_as_the_generators() {
        let image = |level: u8| RgbImage::from_pixel(1, 1, Rgb([level; 3]));
        let mut images = Images::default();
        images.push(&image(1), None);
        assert_eq!(images.real(), None);
        images.push(&image(2), Some(&image(9)));
        images.push(&image(3), None);
        assert_eq!(images.seen(), [1, 1, 1, 2, 2, 2, 3, 3, 3]);
        assert_eq!(images.real(), Some(&[1, 1, 1, 9, 9, 9, 3, 3, 3][..]));
    }
}
