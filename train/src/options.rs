// SPDX-License-Identifier: MIT OR Apache-2.0

//! The options of `train`, on the command line and in a run's `config.toml`.
//!
//! Names and defaults are those of pytorch-CycleGAN-and-pix2pix if it has the option.

mod check;
mod dependent_defaults;
mod fast_defaults;
mod from_files;
mod given;
mod values;

use std::{
    any::TypeId,
    path::{Path, PathBuf},
};

use anyhow::Result;
use clap::{Arg, Args, Command, FromArgMatches};
use serde::{Deserialize, Serialize};

use crate::{
    data::{jitter::JitterRange, view::Preprocess},
    loss::adversarial::GanMode,
    net::{
        build::Norm,
        discriminator::NetD,
        generator::{NetG, Pruned},
        init::InitType,
    },
};
pub use check::share;
pub use from_files::directions_in;
pub use given::{first_given, is_given, overridden, set_unless_given};
pub use values::{BestBy, GeneratorName, LookAt, LrPolicy, MixedPrecision, Mode};

/// The largest side of an image in any option, in pixels: that of the filter's `inference-size`.
pub const MAX_SIDE: i64 = 8192;

/// The largest number of threads in any option: that of the filter's `threads`.
const MAX_THREADS: i64 = 1024;

/// The largest number of channels in any option, and of blocks or layers: more need the memory of many machines.
const MAX_CHANNELS: i64 = 1024;
const MAX_LAYERS: i64 = 64;
/// The most images of each domain in a batch.
const MAX_BATCH: i64 = 4096;

/// Options of `train`.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
#[command(mut_args(with_negative_numbers))]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct TrainOptions {
    /// CycleGAN on unpaired images, or pix2pix on pairs with the same base name
    #[arg(long, value_enum, default_value = "unpaired")]
    pub mode: Mode,
    /// Train and export one generator; in unpaired mode --lambda-a and --lambda-b must be 0
    #[arg(long, value_enum)]
    pub only: Option<GeneratorName>,
    /// Name of domain A, written into the models
    #[arg(long, default_value = "A")]
    pub domain_a: String,
    /// Name of domain B, written into the models
    #[arg(long, default_value = "B")]
    pub domain_b: String,
    /// auto (CUDA if libtorch finds it, else cpu), cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// libtorch's threads on the CPU; 0 for one per core, or for one with CUDA
    #[arg(long, default_value_t = 0)]
    pub threads: u32,
    /// Number type of forward and backward passes
    #[arg(long, value_enum, default_value = "no")]
    pub mixed_precision: MixedPrecision,
    /// Seed of initial weights, image order, crops and noise
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Generator [default: fast, paired: unet_256]
    #[arg(long, value_enum, help_heading = "Networks")]
    pub net_g: Option<NetG>,
    /// Channels of the generators' first layer [default: 64, fast: 32]
    #[arg(long, help_heading = "Networks")]
    pub ngf: Option<u32>,
    /// `fast`: channels of the residual blocks
    #[arg(long, default_value_t = 64, help_heading = "Networks")]
    pub width: u32,
    /// `fast`: number of residual blocks
    #[arg(long, default_value_t = 6, help_heading = "Networks")]
    pub blocks: u32,
    /// Normalisation of the generators; frozen needs --resume or a recipe, and spectral is for discriminators
    /// [default: instance, paired: batch, fast: none]
    #[arg(long, value_enum, help_heading = "Networks")]
    pub norm: Option<Norm>,
    /// Dropout in the generators during training; `fast` has none [default: false, paired: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true",
        help_heading = "Networks")]
    pub dropout: Option<bool>,
    /// Let the generators predict a mask of the pixels to change, and keep the other pixels
    #[arg(long, help_heading = "Networks")]
    pub mask_head: bool,
    /// `fast`: let every pixel see the whole image, at almost no cost; can be added to a pair with
    /// --init-from
    #[arg(long, help_heading = "Networks")]
    pub context: bool,
    /// `fast` with --mask-head: let this EfficientNet-Lite1 (ONNX, trained on ImageNet), which sees the image at
    /// half its size and stays frozen, contribute to the mask; `./dev setup eval` fetches it; can be added to a
    /// pair with --init-from, and to a run with --resume
    #[arg(long, value_name = "FILE", help_heading = "Networks")]
    pub backbone: Option<PathBuf>,
    /// Train only those parameters of the generators whose names in an exported file start with one of these
    /// prefixes; `seen` is the prefix of the layers that --backbone adds
    #[arg(long, value_name = "PREFIX", value_delimiter = ',', help_heading = "Networks")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub learn: Vec<String>,
    /// `fast`: a skip connection that carries detail past the blocks, at almost no cost; can be added to a pair
    /// with --init-from
    #[arg(long, help_heading = "Networks")]
    pub skip: bool,
    /// `fast`: a low-pass filter before the second downsampling of these generators (BlurPool, arXiv 1904.11486),
    /// against flicker; can be added to a pair with --init-from, and to a run with --resume, and they must then adapt
    #[arg(long, value_enum, value_name = "G,F", value_delimiter = ',', help_heading = "Networks")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blur: Vec<GeneratorName>,
    /// Discriminator
    #[arg(long, value_enum, default_value = "basic", help_heading = "Networks")]
    pub net_d: NetD,
    /// Channels of the discriminators' first layer [default: 64, fast: 48]
    #[arg(long, hide_default_value = true, default_value_t = 64, help_heading = "Networks")]
    pub ndf: u32,
    /// `n_layers`: strided convolutions of the discriminators
    #[arg(long, default_value_t = 3, help_heading = "Networks")]
    pub n_layers_d: u32,
    /// Normalisation of the discriminators [default: instance, paired: batch, --look-at foreground:
    /// spectral]
    #[arg(long, value_enum, help_heading = "Networks")]
    pub norm_d: Option<Norm>,
    /// Pretrained ONNX network, N×3×H×W in [−1, 1], whose features of real and generated images are the input of
    /// additional discriminators (arXiv 2111.01007); not the network that `eval` scores with
    #[arg(long, value_name = "FILE", help_heading = "Networks")]
    pub d_features: Option<PathBuf>,
    /// Distribution of the initial weights [default: normal, fast: kaiming]
    #[arg(long, value_enum, help_heading = "Networks")]
    pub init_type: Option<InitType>,
    /// Scale of normal, xavier and orthogonal initial weights
    #[arg(long, default_value_t = 0.02, help_heading = "Networks")]
    pub init_gain: f64,

    /// Images of each domain per iteration, in each process [compress: at least 2]
    #[arg(long, default_value_t = 1, help_heading = "Data")]
    pub batch_size: u32,
    /// How images are resized and cropped [default: resize_and_crop, fast: multi_scale_crop]
    #[arg(
        long,
        hide_default_value = true,
        value_enum,
        default_value = "resize_and_crop",
        help_heading = "Data"
    )]
    pub preprocess: Preprocess,
    /// Resize images to this, pixels; multi_scale_crop: the largest short side [default: 286, fast: 256]
    #[arg(long, hide_default_value = true, default_value_t = 286, help_heading = "Data")]
    pub load_size: u32,
    /// multi_scale_crop: the smallest short side, pixels [default: crop-size]
    #[arg(long, help_heading = "Data")]
    pub load_size_min: Option<u32>,
    /// Side of the crops, pixels [default: 256, fast: 128]
    #[arg(long, hide_default_value = true, default_value_t = 256, help_heading = "Data")]
    pub crop_size: u32,
    /// Do not mirror half of the images
    #[arg(long, help_heading = "Data")]
    pub no_flip: bool,
    /// For images with a mask, prefer crops with at least this share of foreground
    #[arg(long, default_value_t = 0.0, help_heading = "Data")]
    pub min_foreground: f64,
    /// Folders of images of neither domain, with subfolders: the generators learn to leave them
    /// unchanged
    #[arg(long, value_name = "DIR", num_args = 1.., help_heading = "Data")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub negatives: Vec<PathBuf>,
    /// Probability that an image comes with one of them
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, help_heading = "Data")]
    pub negative_share: f64,
    /// Folders of more images of A, with subfolders and without masks, for G only: the cycle loss, a teacher,
    /// --lambda-flow and --lambda-nce use them, the discriminators do not
    #[arg(long, value_name = "DIR", num_args = 1.., help_heading = "Data")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_a: Vec<PathBuf>,
    /// Folders of more images of B for F only, as --extra-a
    #[arg(long, value_name = "DIR", num_args = 1.., help_heading = "Data")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_b: Vec<PathBuf>,
    /// Probability that an image comes with one of them
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, help_heading = "Data")]
    pub extra_share: f64,
    /// Share of the crops that get black bars at two sides, as in videos
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, help_heading = "Data")]
    pub letterbox: f64,
    /// Share of the crops that are mosaics of four crops at half their size (arXiv 2004.10934), so that the
    /// generators see smaller animals
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, help_heading = "Data")]
    pub mosaic: f64,
    /// Share of the crops whose foreground is pasted onto an image of --negatives, at a random place and size
    /// (arXiv 2012.07177), so that masks do not depend on what usually surrounds it. Images without a mask stay
    /// as they are, as do those with the output of an ONNX teacher
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, help_heading = "Data")]
    pub paste: f64,
    /// Gamma augmentation of A: darken or lighten the foreground, or the whole image if it has no mask, by
    /// a random gamma from 2^−R to 2^R
    #[arg(long, value_name = "R", default_value_t = 0.0, help_heading = "Data")]
    pub random_gamma_a: f64,
    /// Gamma augmentation of B, as --random-gamma-a
    #[arg(long, value_name = "R", default_value_t = 0.0, help_heading = "Data")]
    pub random_gamma_b: f64,
    /// Multiply the brightness of the foreground of A, or of the whole image if it has no mask, by a random
    /// factor from 1−B to 1+B
    #[arg(long, value_name = "B", default_value_t = 0.0, help_heading = "Data")]
    pub random_brightness_a: f64,
    /// Random brightness of B, as --random-brightness-a
    #[arg(long, value_name = "B", default_value_t = 0.0, help_heading = "Data")]
    pub random_brightness_b: f64,
    /// Multiply the saturation of the foreground of A, or of the whole image if it has no mask, by a random
    /// factor from 1−S to 1+S
    #[arg(long, value_name = "S", default_value_t = 0.0, help_heading = "Data")]
    pub random_saturation_a: f64,
    /// Random saturation of B, as --random-saturation-a
    #[arg(long, value_name = "S", default_value_t = 0.0, help_heading = "Data")]
    pub random_saturation_b: f64,
    /// Use at most this many images of each domain
    #[arg(long, help_heading = "Data")]
    pub max_dataset_size: Option<usize>,
    /// Fail on an image that cannot be read, instead of reporting and skipping it
    #[arg(long, help_heading = "Data")]
    pub strict: bool,
    /// Threads that load and augment images
    #[arg(long, default_value_t = 1, help_heading = "Data")]
    pub num_threads: u32,

    /// Adversarial objective [default: lsgan, paired: vanilla]
    #[arg(long, value_enum, help_heading = "Losses")]
    pub gan_mode: Option<GanMode>,
    /// What the discriminators see
    #[arg(long, value_enum, default_value = "frame", help_heading = "Losses")]
    pub look_at: LookAt,
    /// Weight of the cycle loss A→B→A [default: 10, fast: 4, compress --run: 0]
    #[arg(long, hide_default_value = true, default_value_t = 10.0, help_heading = "Losses")]
    pub lambda_a: f64,
    /// Weight of the cycle loss B→A→B [default: 10, fast: 4, compress --run: 0]
    #[arg(long, hide_default_value = true, default_value_t = 10.0, help_heading = "Losses")]
    pub lambda_b: f64,
    /// Weight of the identity loss, relative to the cycle loss [default with compress --run: 0]
    #[arg(long, default_value_t = 0.5, help_heading = "Losses")]
    pub lambda_identity: f64,
    /// Weight of the discriminators on --d-features; --lambda-gan is that of the others
    #[arg(long, default_value_t = 1.0, help_heading = "Losses")]
    pub lambda_d_features: f64,
    /// Weight of PatchNCE between a generator's features of its input and of its output (CUT, arXiv 2007.15651),
    /// in addition to the cycle loss or, with --lambda-a 0 --lambda-b 0, instead of it; 1 is usual
    #[arg(long, default_value_t = 0.0, help_heading = "Losses")]
    pub lambda_nce: f64,
    /// paired: weight of the L1 distance from the other image of the pair
    #[arg(long, default_value_t = 100.0, help_heading = "Losses")]
    pub lambda_l1: f64,
    /// Weight of the mask's cross-entropy, or of its size if there are no masks [default: 1, fast: 2]
    #[arg(long, hide_default_value = true, default_value_t = 1.0, help_heading = "Losses")]
    pub lambda_mask: f64,
    /// Weight of equivariance to small random motion and noise, which reduces flicker; 10 is usual [default: 0, fast: 3]
    #[arg(long, hide_default_value = true, default_value_t = 0.0, help_heading = "Losses")]
    pub lambda_flow: f64,
    /// Weight of keeping the difference between successive frames, which reduces flicker; the images must be
    /// numbered frames; 10 is usual
    #[arg(long, default_value_t = 0.0, help_heading = "Losses")]
    pub lambda_diff: f64,
    /// Weight of the change that the generators make to --negatives, times their share of the batch; that of their
    /// empty masks is --lambda-mask times this share
    #[arg(long, default_value_t = 10.0, help_heading = "Losses")]
    pub lambda_negative: f64,
    /// Weight of the adversarial loss; with 0 only the discriminators on --d-features are trained, or none, for
    /// example to train only the masks of a pair from --init-from
    #[arg(long, default_value_t = 1.0, help_heading = "Losses")]
    pub lambda_gan: f64,
    /// Weight of the distance, inside the mask, from the output of the generators of --init-from, to keep
    /// training near it
    #[arg(long, default_value_t = 0.0, help_heading = "Losses")]
    pub lambda_init: f64,
    /// Size of the pool of generated images for each discriminator; 0 for none [default: 50, paired: 0]
    #[arg(long, help_heading = "Losses")]
    pub pool_size: Option<usize>,

    /// Initial learning rate of Adam
    #[arg(long, default_value_t = 2e-4, help_heading = "Optimisation")]
    pub lr: f64,
    /// Adam's decay of the first moment
    #[arg(long, default_value_t = 0.5, help_heading = "Optimisation")]
    pub beta1: f64,
    /// How the learning rate changes
    #[arg(long, value_enum, default_value = "linear", help_heading = "Optimisation")]
    pub lr_policy: LrPolicy,
    /// Epochs at the initial learning rate; with --max-images or --max-minutes, that length is divided in the
    /// proportion of --n-epochs to --n-epochs-decay
    #[arg(long, default_value_t = 100, help_heading = "Optimisation")]
    pub n_epochs: u32,
    /// Epochs during which the learning rate falls to zero
    #[arg(long, default_value_t = 100, help_heading = "Optimisation")]
    pub n_epochs_decay: u32,
    /// `step`: epochs between divisions of the learning rate by ten
    #[arg(long, default_value_t = 50, help_heading = "Optimisation")]
    pub lr_decay_iters: u32,
    /// Number of updates of each network over which its learning rate rises from zero [default: 0, fast: 200]
    #[arg(long, hide_default_value = true, default_value_t = 0, help_heading = "Optimisation")]
    pub warmup: u64,
    /// Train only the discriminators for this many images at the start, for generators from --init-from
    #[arg(long, value_name = "IMAGES", default_value_t = 0, help_heading = "Optimisation")]
    pub discriminators_first: u64,
    /// Stop after this many iterations in total, regardless of epochs
    #[arg(long, help_heading = "Optimisation")]
    pub max_iters: Option<u64>,
    /// Train on this many images of each domain in total, regardless of epochs; the learning rate falls
    /// to zero at that point
    #[arg(long, value_name = "IMAGES", help_heading = "Optimisation")]
    pub max_images: Option<u64>,
    /// Train for this many minutes in total, regardless of epochs; the learning rate falls to zero at
    /// that point
    #[arg(long, value_name = "MINUTES", help_heading = "Optimisation")]
    pub max_minutes: Option<f64>,
    /// Half-life, in images, of the moving average of the generators' weights, which samples and exports use; 0
    /// for no average [default: 700, fast: 2000]
    #[arg(
        long,
        hide_default_value = true,
        value_name = "IMAGES",
        default_value_t = 700.0,
        help_heading = "Optimisation"
    )]
    pub ema_half_life: f64,

    /// Images between lines of metrics.jsonl
    #[arg(long, value_name = "IMAGES", default_value_t = 100, help_heading = "Output")]
    pub print_freq: u64,
    /// Images between sample pictures
    #[arg(long, value_name = "IMAGES", default_value_t = 1000, help_heading = "Output")]
    pub display_freq: u64,
    /// Images between checkpoints
    #[arg(long, value_name = "IMAGES", default_value_t = 1000, help_heading = "Output")]
    pub save_latest_freq: u64,
    /// Number of checkpoints to keep
    #[arg(long, default_value_t = 3, help_heading = "Output")]
    pub keep: usize,

    /// Images between scores on a validation set: valA and valB if they exist, else images held out of
    /// trainA and trainB; the best checkpoint is kept in addition to the newest
    #[arg(long, value_name = "IMAGES", help_heading = "Validation")]
    pub eval_every: Option<u64>,
    /// Score by which the best checkpoint is chosen; lower is better
    #[arg(long, value_enum, default_value = "kid", help_heading = "Validation")]
    pub best_by: BestBy,
    /// Share of trainA, trainB and --negatives to hold out, at least 3 images and at most 200 of each
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, help_heading = "Validation")]
    pub val_share: f64,
    /// ONNX network for KID, as in `eval --features`; none for no KID [default: EfficientNet-Lite0, which
    /// `./dev setup eval` fetches]
    #[arg(long, value_name = "FILE", help_heading = "Validation")]
    pub val_features: Option<PathBuf>,

    /// Channels of G and F that are left after pruning
    #[arg(skip)]
    pub pruned: Option<[Pruned; 2]>,
}

/// Lets a number be negative: `check` has better messages for that than clap.
fn with_negative_numbers(arg: Arg) -> Arg {
    if arg.get_value_parser().type_id() == TypeId::of::<f64>() {
        arg.allow_negative_numbers(true)
    } else {
        arg
    }
}

/// The defaults of the command line.
impl Default for TrainOptions {
    fn default() -> Self {
        let matches = Self::augment_args(Command::new("train")).get_matches_from(["train"]);
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

impl TrainOptions {
    /// The same with absolute paths.
    pub fn absolute(self) -> Result<Self> {
        self.absolute_from(Path::new("."))
    }

    /// The same with relative paths resolved against `folder`.
    pub fn absolute_from(mut self, folder: &Path) -> Result<Self> {
        let folders = self.negatives.iter_mut().chain(&mut self.extra_a).chain(&mut self.extra_b);
        for path in folders {
            *path = std::path::absolute(folder.join(&*path))?;
        }
        for path in [&mut self.d_features, &mut self.backbone].into_iter().flatten() {
            *path = std::path::absolute(folder.join(&*path))?;
        }
        if let Some(path) = self.val_features.as_mut().filter(|path| *path != Path::new("none")) {
            *path = std::path::absolute(folder.join(&*path))?;
        }
        Ok(self)
    }

    /// How far the colours of each domain are changed.
    pub fn jitter(&self) -> [JitterRange; 2] {
        [
            JitterRange {
                gamma: self.random_gamma_a,
                brightness: self.random_brightness_a,
                saturation: self.random_saturation_a,
            },
            JitterRange {
                gamma: self.random_gamma_b,
                brightness: self.random_brightness_b,
                saturation: self.random_saturation_b,
            },
        ]
    }
}
