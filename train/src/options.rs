// SPDX-License-Identifier: MIT OR Apache-2.0

//! The options of `train`, as given and as kept in a run's `config.toml`.
//!
//! Names and defaults follow pytorch-CycleGAN-and-pix2pix where it has the option.

mod check;
mod left_open;
mod of_files;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{ArgMatches, Args, Command, FromArgMatches, ValueEnum, parser::ValueSource};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    cyclegan::schedule::LrPolicy,
    data::view::Preprocess,
    eval::validation::BestBy,
    loss::adversarial::GanMode,
    net::{
        build::Norm,
        discriminator::NetD,
        generator::{NetG, Pruned},
        init::InitType,
    },
};

/// What the data are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// CycleGAN (arXiv 1703.10593): pictures of A and B have nothing to do with one another.
    Unpaired,
    /// pix2pix (arXiv 1611.07004): a picture of A and the one of B with the same base name show the
    /// same.
    Paired,
}

/// What the discriminators look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LookAt {
    /// The whole picture.
    Frame,
    /// What lies inside the mask, the rest grey: the background, which a mask head must not touch,
    /// then gives no picture away (Mejjati et al. 2018, section 3.3). Needs mask folders.
    Foreground,
}

/// The arithmetic of forward and backward passes; weights and their updates are float32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MixedPrecision {
    /// float32.
    No,
    /// bfloat16, faster where the processor has instructions for it.
    Bf16,
}

impl MixedPrecision {
    /// The element type that layers compute in.
    pub fn kind(self) -> tch::Kind {
        match self {
            Self::No => tch::Kind::Float,
            Self::Bf16 => tch::Kind::BFloat16,
        }
    }
}

/// Options of `train`.
// Negative numbers are let through to `check`, which says better than clap what is wrong with them.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct TrainOptions {
    /// CycleGAN on unpaired pictures, or pix2pix on pairs with the same base name
    #[arg(long, value_enum, default_value = "unpaired")]
    pub mode: Mode,
    /// Name of domain A, written into the models
    #[arg(long, default_value = "A")]
    pub domain_a: String,
    /// Name of domain B, written into the models
    #[arg(long, default_value = "B")]
    pub domain_b: String,
    /// auto (CUDA where libtorch finds it), cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Threads of libtorch on the CPU; 0 takes one a core, with CUDA one
    #[arg(long, default_value_t = 0)]
    pub threads: u32,
    /// Arithmetic of forward and backward passes
    #[arg(long, value_enum, default_value = "no")]
    pub mixed_precision: MixedPrecision,
    /// Decides initial weights, the order of images, crops and noise
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
    /// Normalisation of the generators; frozen needs --resume, and spectral is for discriminators
    /// [default: instance, paired: batch, fast: none]
    #[arg(long, value_enum, help_heading = "Networks")]
    pub norm: Option<Norm>,
    /// Give the generators dropout while they train; `fast` has no place for it [default: false,
    /// paired: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true",
        help_heading = "Networks")]
    pub dropout: Option<bool>,
    /// Let the generators say how much of each pixel they repaint, and keep the rest
    #[arg(long, help_heading = "Networks")]
    pub mask_head: bool,
    /// `fast`: tell every pixel what is in the whole picture, at next to no cost; a pair without it
    /// can be gone on from with --init-from
    #[arg(long, help_heading = "Networks")]
    pub context: bool,
    /// `fast` with --mask-head: EfficientNet-Lite1 as ONNX, trained on ImageNet, that looks at the picture at half
    /// its size and has a say in the mask; its weights stay as they are. `./dev setup eval` fetches it; a pair
    /// without it can be gone on from with --init-from
    #[arg(long, value_name = "FILE", help_heading = "Networks")]
    pub backbone: Option<PathBuf>,
    /// Let only those parameters of the generators learn whose names, as an exported file has them, begin with
    /// one of these: `seen` for what --backbone adds
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Networks")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learn: Vec<String>,
    /// `fast`: carry detail past the blocks, from the first layer to the last, at next to no cost; a pair
    /// without it can be gone on from with --init-from
    #[arg(long, help_heading = "Networks")]
    pub skip: bool,
    /// Discriminator
    #[arg(long, value_enum, default_value = "basic", help_heading = "Networks")]
    pub net_d: NetD,
    /// Channels of the discriminators' first layer
    #[arg(long, default_value_t = 64, help_heading = "Networks")]
    pub ndf: u32,
    /// `n_layers`: strided convolutions of the discriminators
    #[arg(long, default_value_t = 3, help_heading = "Networks")]
    pub n_layers_d: u32,
    /// Normalisation of the discriminators [default: instance, paired: batch, --look-at foreground:
    /// spectral]
    #[arg(long, value_enum, help_heading = "Networks")]
    pub norm_d: Option<Norm>,
    /// A network of features as ONNX, N×3×H×W in [−1, 1], on which discriminators of their own look at
    /// real and generated pictures (arXiv 2111.01007); not the one that `eval` scores with
    #[arg(long, value_name = "FILE", help_heading = "Networks")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d_features: Option<PathBuf>,
    /// Distribution of the initial weights [default: normal, fast: kaiming]
    #[arg(long, value_enum, help_heading = "Networks")]
    pub init_type: Option<InitType>,
    /// Scale of normal, xavier and orthogonal initial weights
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.02, help_heading = "Networks")]
    pub init_gain: f64,

    /// Images of each domain an iteration, in each process [compress: at least 2]
    #[arg(long, default_value_t = 1, help_heading = "Data")]
    pub batch_size: u32,
    /// How images become crops
    #[arg(long, value_enum, default_value = "resize_and_crop", help_heading = "Data")]
    pub preprocess: Preprocess,
    /// Resize images to this, pixels; multi_scale_crop: the largest short side
    #[arg(long, default_value_t = 286, help_heading = "Data")]
    pub load_size: u32,
    /// multi_scale_crop: the smallest short side, pixels [default: crop-size]
    #[arg(long, help_heading = "Data")]
    pub load_size_min: Option<u32>,
    /// Side of the crops, pixels
    #[arg(long, default_value_t = 256, help_heading = "Data")]
    pub crop_size: u32,
    /// Do not mirror half of the images
    #[arg(long, help_heading = "Data")]
    pub no_flip: bool,
    /// Where a mask is known, prefer crops with at least this share inside it
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.0, help_heading = "Data")]
    pub min_foreground: f64,
    /// Folders of pictures that show neither domain, with their sub-folders: the generators learn to
    /// leave them as they are
    #[arg(long, value_name = "DIR", num_args = 1.., help_heading = "Data")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub negatives: Vec<PathBuf>,
    /// How many such pictures there are for each one of a domain, 0 to 1
    #[arg(
        long,
        value_name = "SHARE",
        allow_negative_numbers = true,
        default_value_t = 1.0,
        help_heading = "Data"
    )]
    pub negative_share: f64,
    /// Folders of more pictures of A, with their sub-folders and without masks, for G alone: no
    /// discriminator sees them, the cycle, a teacher, --lambda-flow and --lambda-nce do
    #[arg(long, value_name = "DIR", num_args = 1.., help_heading = "Data")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_a: Vec<PathBuf>,
    /// The same of B for F
    #[arg(long, value_name = "DIR", num_args = 1.., help_heading = "Data")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_b: Vec<PathBuf>,
    /// How many such pictures there are for each one of their domain, 0 to 1
    #[arg(
        long,
        value_name = "SHARE",
        allow_negative_numbers = true,
        default_value_t = 1.0,
        help_heading = "Data"
    )]
    pub extra_share: f64,
    /// Share of the crops that get black bars at two sides, as videos have them
    #[arg(
        long,
        value_name = "SHARE",
        allow_negative_numbers = true,
        default_value_t = 0.0,
        help_heading = "Data"
    )]
    pub letterbox: f64,
    /// Darken or lighten what is inside the mask of a picture of A, all of it without one, by a random
    /// gamma of 2^−R to 2^R: animals of more shades than were photographed
    #[arg(
        long,
        value_name = "R",
        allow_negative_numbers = true,
        default_value_t = 0.0,
        help_heading = "Data"
    )]
    pub random_gamma_a: f64,
    /// The same for pictures of B
    #[arg(
        long,
        value_name = "R",
        allow_negative_numbers = true,
        default_value_t = 0.0,
        help_heading = "Data"
    )]
    pub random_gamma_b: f64,
    /// Use at most this many images of each domain
    #[arg(long, help_heading = "Data")]
    pub max_dataset_size: Option<usize>,
    /// Fail on an image that cannot be read, instead of naming and skipping it
    #[arg(long, help_heading = "Data")]
    pub strict: bool,
    /// Threads that load and augment images
    #[arg(long, default_value_t = 1, help_heading = "Data")]
    pub num_threads: u32,

    /// Adversarial objective [default: lsgan, paired: vanilla]
    #[arg(long, value_enum, help_heading = "Losses")]
    pub gan_mode: Option<GanMode>,
    /// What the discriminators look at
    #[arg(long, value_enum, default_value = "frame", help_heading = "Losses")]
    pub look_at: LookAt,
    /// Weight of the cycle A→B→A [compress --run: 0 unless it is given]
    #[arg(long, allow_negative_numbers = true, default_value_t = 10.0, help_heading = "Losses")]
    pub lambda_a: f64,
    /// Weight of the cycle B→A→B [compress --run: 0 unless it is given]
    #[arg(long, allow_negative_numbers = true, default_value_t = 10.0, help_heading = "Losses")]
    pub lambda_b: f64,
    /// Weight of the identity loss, times that of the cycle [compress --run: 0 unless it is given]
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.5, help_heading = "Losses")]
    pub lambda_identity: f64,
    /// Weight of what the discriminators on --d-features say, beside the others' 1
    #[arg(long, allow_negative_numbers = true, default_value_t = 1.0, help_heading = "Losses")]
    pub lambda_d_features: f64,
    /// Weight of patchwise contrast between a generator's features of its input and of its result (CUT,
    /// arXiv 2007.15651), beside the cycle or, with --lambda-a 0 --lambda-b 0, in its place; 1 is usual
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.0, help_heading = "Losses")]
    pub lambda_nce: f64,
    /// paired: weight of the distance from the partner
    #[arg(long, allow_negative_numbers = true, default_value_t = 100.0, help_heading = "Losses")]
    pub lambda_l1: f64,
    /// Weight of the mask's cross-entropy, or of its size where no masks are given
    #[arg(long, allow_negative_numbers = true, default_value_t = 1.0, help_heading = "Losses")]
    pub lambda_mask: f64,
    /// Weight of equivariance to small random motion and noise, against flicker; 10 is usual
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.0, help_heading = "Losses")]
    pub lambda_flow: f64,
    /// Weight of painting the change from a frame to the next as it is, against flicker, where
    /// pictures are numbered frames; 10 is usual
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.0, help_heading = "Losses")]
    pub lambda_diff: f64,
    /// Weight of the distance of --negatives from what the generators make of them; that of their
    /// empty mask is --lambda-mask
    #[arg(long, allow_negative_numbers = true, default_value_t = 10.0, help_heading = "Losses")]
    pub lambda_negative: f64,
    /// Weight of what the discriminators say; with 0 there are none, and generators that --init-from brought learn
    /// their masks, for example
    #[arg(long, allow_negative_numbers = true, default_value_t = 1.0, help_heading = "Losses")]
    #[serde(default = "one")]
    pub lambda_gan: f64,
    /// Weight of the distance, inside the mask, from what the generators of --init-from painted, so that
    /// they keep what they can while they learn the rest
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.0, help_heading = "Losses")]
    pub lambda_init: f64,
    /// Generated images that each discriminator is shown again; 0 for none [default: 50, paired: 0]
    #[arg(long, help_heading = "Losses")]
    pub pool_size: Option<usize>,

    /// Learning rate of Adam
    #[arg(
        long,
        allow_negative_numbers = true,
        default_value_t = 2e-4,
        help_heading = "Optimisation"
    )]
    pub lr: f64,
    /// Adam's decay of the first moment
    #[arg(long, default_value_t = 0.5, help_heading = "Optimisation")]
    pub beta1: f64,
    /// How the learning rate changes
    #[arg(long, value_enum, default_value = "linear", help_heading = "Optimisation")]
    pub lr_policy: LrPolicy,
    /// Epochs at the initial learning rate; with --max-images or --max-minutes shares of these
    #[arg(long, default_value_t = 100, help_heading = "Optimisation")]
    pub n_epochs: u32,
    /// Epochs during which the learning rate falls to zero
    #[arg(long, default_value_t = 100, help_heading = "Optimisation")]
    pub n_epochs_decay: u32,
    /// `step`: epochs between divisions of the learning rate by ten
    #[arg(long, default_value_t = 50, help_heading = "Optimisation")]
    pub lr_decay_iters: u32,
    /// Updates of each network over which its learning rate rises from zero
    #[arg(long, default_value_t = 0, help_heading = "Optimisation")]
    pub warmup: u64,
    /// Images at the start with which only the discriminators learn, for generators that --init-from
    /// has brought
    #[arg(long, value_name = "IMAGES", default_value_t = 0, help_heading = "Optimisation")]
    pub discriminators_first: u64,
    /// Stop after this many iterations in all, whatever the epochs say
    #[arg(long, help_heading = "Optimisation")]
    pub max_iters: Option<u64>,
    /// Train on this many images of each domain in all, whatever the epochs say; the learning rate
    /// falls to zero there
    #[arg(long, value_name = "IMAGES", help_heading = "Optimisation")]
    pub max_images: Option<u64>,
    /// Train for this many minutes in all, whatever the epochs say; the learning rate falls to zero
    /// there
    #[arg(
        long,
        value_name = "MINUTES",
        allow_negative_numbers = true,
        help_heading = "Optimisation"
    )]
    pub max_minutes: Option<f64>,
    /// Images in which the moving average of the generators, which is what is shown and exported,
    /// forgets half of what it was; 0 for no average
    #[arg(
        long,
        value_name = "IMAGES",
        allow_negative_numbers = true,
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
    /// Checkpoints that are kept
    #[arg(long, default_value_t = 3, help_heading = "Output")]
    pub keep: usize,

    /// Images between scores on a validation set: valA and valB where they are, else pictures that are
    /// held out of trainA and trainB; the best checkpoint is kept beside the newest
    #[arg(long, value_name = "IMAGES", help_heading = "Validation")]
    pub eval_every: Option<u64>,
    /// What the best checkpoint has least of
    #[arg(long, value_enum, default_value = "kid", help_heading = "Validation")]
    pub best_by: BestBy,
    /// Share of trainA, trainB and --negatives that is held out
    #[arg(
        long,
        value_name = "SHARE",
        allow_negative_numbers = true,
        default_value_t = 0.05,
        help_heading = "Validation"
    )]
    pub val_share: f64,
    /// ONNX network for KID as `eval --features` takes it; none for no KID [default:
    /// EfficientNet-Lite0, which `./dev setup eval` fetches]
    #[arg(long, value_name = "FILE", help_heading = "Validation")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val_features: Option<PathBuf>,

    /// Channels that pruning left of G and F
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pruned: Option<[Pruned; 2]>,
}

/// What the command line gives when it says nothing.
impl Default for TrainOptions {
    fn default() -> Self {
        let matches = Self::augment_args(Command::new("train")).get_matches_from(["train"]);
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

impl TrainOptions {
    /// The same wherever the user stands.
    pub fn absolute(self) -> Result<Self> {
        self.absolute_from(Path::new("."))
    }

    /// The same with paths that are not absolute counted from `folder`.
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

    /// The stored options with those that the command line names put over them.
    pub fn overridden(self, given: &Self, matches: &ArgMatches) -> Result<Self> {
        overridden(&self, given, matches)
    }
}

/// Options that are kept with a run, with those that the command line names put over them.
pub fn overridden<T: Serialize + DeserializeOwned>(
    stored: &T,
    given: &T,
    matches: &ArgMatches,
) -> Result<T> {
    let mut stored = toml::Table::try_from(stored)?;
    for (key, value) in toml::Table::try_from(given)? {
        if is_given(matches, &key) {
            stored.insert(key, value);
        }
    }
    stored.try_into().context("combining options")
}

/// The first of `options` that the command line names, as it is written there.
pub fn first_given<T: Serialize>(options: &T, matches: &ArgMatches) -> Result<Option<String>> {
    let mut keys = toml::Table::try_from(options)?.into_iter().map(|(key, _)| key);
    Ok(keys.find(|key| is_given(matches, key)).map(|key| format!("--{key}")))
}

fn is_given(matches: &ArgMatches, key: &str) -> bool {
    matches.value_source(&key.replace('-', "_")) == Some(ValueSource::CommandLine)
}

fn one() -> f64 {
    1.0
}
