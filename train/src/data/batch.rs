// SPDX-License-Identifier: MIT OR Apache-2.0

//! What one step trains on.

use tch::{Device, Kind, Tensor};

/// Crops of one domain as bytes, N×H×W×C.
#[derive(Debug, Default)]
pub struct Crops {
    /// RGB.
    pub pixels: Vec<u8>,
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
    /// Width and height, pixels.
    pub size: (u32, u32),
}

/// A batch of one domain.
#[derive(Debug, Default)]
pub struct Batch {
    /// N×3×H×W in [−1, 1].
    pub images: Tensor,
    /// Masks, when the domain has any.
    pub masks: Option<Masks>,
    /// Next frames, when any image has one.
    pub next: Option<Next>,
    /// What a teacher made of the images, when it was asked beforehand; N×3×H×W in [−1, 1].
    pub painted: Option<Tensor>,
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
        let (w, h) = (i64::from(self.size.0), i64::from(self.size.1));
        let tensor = |bytes: &[u8], channels: i64| {
            let bytes = Tensor::from_slice(bytes).to_device(device);
            let bytes = bytes.view([-1, h, w, channels]).permute([0, 3, 1, 2]);
            bytes.to_kind(Kind::Float)
        };
        let masks = self.masks.as_ref().map(|masks| Masks {
            truth: tensor(masks, 1) / 255.0,
            known: Tensor::from_slice(&self.known).view([-1, 1, 1, 1]).to_device(device),
        });
        let rgb = |bytes: &[u8]| tensor(bytes, 3) / 127.5 - 1.0;
        let next = (!self.followed.is_empty()).then(|| Next {
            images: rgb(&self.next),
            of: Tensor::from_slice(&self.followed).to_device(device),
        });
        let painted = self.painted.as_deref().map(rgb);
        Batch { images: rgb(&self.pixels), masks, next, painted }
    }
}
