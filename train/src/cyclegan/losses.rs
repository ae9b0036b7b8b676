// SPDX-License-Identifier: MIT OR Apache-2.0

//! What an iteration measures, by name.

use tch::Tensor;

/// The losses of an iteration by name, as tensors: reading a value waits for the device.
pub type Losses = Vec<(&'static str, Tensor)>;

/// Names of the losses of both directions: (A→B, B→A).
pub(super) const NAMES: [Names; 2] = [
    Names {
        adversarial: "G_A",
        cycle: "cycle_A",
        identity: "idt_A",
        partner: "L1_A",
        mask: "mask_A",
        flow: "flow_A",
        difference: "diff_A",
        recon: "recon_A",
        alignment: "alignment_A",
        feature: "feature_A",
        channel: "channel_A",
        ssim: "ssim_A",
        inverse: "inverse_A",
        negative: "negative_A",
        negative_mask: "negative_mask_A",
        discriminator: "D_A",
        accuracy: "D_A_accuracy",
        change: "change_A",
        likeness: "likeness_A",
    },
    Names {
        adversarial: "G_B",
        cycle: "cycle_B",
        identity: "idt_B",
        partner: "L1_B",
        mask: "mask_B",
        flow: "flow_B",
        difference: "diff_B",
        recon: "recon_B",
        alignment: "alignment_B",
        feature: "feature_B",
        channel: "channel_B",
        ssim: "ssim_B",
        inverse: "inverse_B",
        negative: "negative_B",
        negative_mask: "negative_mask_B",
        discriminator: "D_B",
        accuracy: "D_B_accuracy",
        change: "change_B",
        likeness: "likeness_B",
    },
];

pub(super) struct Names {
    pub adversarial: &'static str,
    pub cycle: &'static str,
    pub identity: &'static str,
    /// Distance from what the picture ought to become, where that is known.
    pub partner: &'static str,
    pub mask: &'static str,
    pub flow: &'static str,
    /// What changes from frame to frame beyond what the input changes.
    pub difference: &'static str,
    /// Distance from the teacher's picture.
    pub recon: &'static str,
    /// Mean kernel alignment with the teacher's features.
    pub alignment: &'static str,
    /// Distance of features from the teacher's.
    pub feature: &'static str,
    /// The same of their means over each picture.
    pub channel: &'static str,
    /// 1 − SSIM of pictures and the teacher's.
    pub ssim: &'static str,
    /// Distance of the other generator's way back from there.
    pub inverse: &'static str,
    /// Distance of pictures of neither domain from what becomes of them.
    pub negative: &'static str,
    /// Cross-entropy of their mask, which ought to be empty.
    pub negative_mask: &'static str,
    pub discriminator: &'static str,
    /// Share of its scores on the right side of undecided.
    pub accuracy: &'static str,
    /// Mean absolute difference between real and painted.
    pub change: &'static str,
    /// Correlation of their brightness.
    pub likeness: &'static str,
}
