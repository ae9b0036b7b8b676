// SPDX-License-Identifier: MIT OR Apache-2.0

//! What one step trains on.

use tch::{Device, Kind, Tensor};

/// RGB of some pictures, N×H×W×3.
#[derive(Debug, Default)]
pub struct Pixels {
    /// What is in them.
    pub bytes: Vec<u8>,
    /// Width and height, pixels.
    pub size: (u32, u32),
}

/// Crops of one domain as bytes, N×H×W×C.
#[derive(Debug, Default)]
pub struct Crops {
    /// RGB, as the generators are shown it.
    pub pixels: Vec<u8>,
    /// RGB as it was photographed, where that is something else.
    pub real: Vec<u8>,
    /// Masks, when the domain has any.
    pub masks: Option<Vec<u8>>,
    /// 1 for the images whose mask is known.
    pub known: Vec<f32>,
    /// RGB of the frames that come next, of as many images as have one.
    pub next: Vec<u8>,
    /// The places of these images.
    pub followed: Vec<i64>,
    /// What a teacher made of the images, RGB.
    pub painted: Option<Vec<u8>>,
    /// Pictures of neither domain for this domain's generator.
    pub negatives: Pixels,
    /// Pictures of this domain for its generator alone.
    pub extra: Pixels,
    /// Width and height, pixels.
    pub size: (u32, u32),
}

/// A batch of one domain.
#[derive(Debug, Default)]
pub struct Batch {
    /// N×3×H×W in [−1, 1], what the generators are shown.
    pub images: Tensor,
    /// What the discriminator is shown as real, where that is something else: augmentation of real
    /// pictures alone would become a part of the domain.
    pub real: Option<Tensor>,
    /// Masks, when the domain has any.
    pub masks: Option<Masks>,
    /// Next frames, when any image has one.
    pub next: Option<Next>,
    /// What a teacher made of the images, when it was asked beforehand; N×3×H×W in [−1, 1].
    pub painted: Option<Tensor>,
    /// Pictures of neither domain, which the generator of this domain has to leave as they are;
    /// K×3×H×W in [−1, 1].
    pub negatives: Option<Tensor>,
    /// Pictures of this domain that no discriminator sees and no mask is known of; K×3×H×W in [−1, 1].
    pub extra: Option<Tensor>,
}

impl Batch {
    /// What the discriminator is shown as real, N×3×H×W.
    pub fn real(&self) -> &Tensor {
        self.real.as_ref().unwrap_or(&self.images)
    }
}

/// The frames that come after some images of a batch.
#[derive(Debug)]
pub struct Next {
    /// K×3×H×W in [−1, 1].
    pub images: Tensor,
    /// K places in the batch.
    pub of: Tensor,
}

/// Masks of a batch.
#[derive(Debug)]
pub struct Masks {
    /// N×1×H×W in [0, 1].
    pub truth: Tensor,
    /// N×1×1×1, 1 where the mask is known.
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
        let painted = self.painted.as_deref().map(rgb);
        let real = (!self.real.is_empty()).then(|| rgb(&self.real));
        let of =
            |Pixels { bytes, size }: &Pixels| (!bytes.is_empty()).then(|| of_size(bytes, *size));
        let (negatives, extra) = (of(&self.negatives), of(&self.extra));
        Batch { images: rgb(&self.pixels), real, masks, next, painted, negatives, extra }
    }
}
