// SPDX-License-Identifier: MIT OR Apache-2.0

//! The networks of a session: new ones, those of a checkpoint, and teachers.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use tch::Device;

use crate::{
    checkpoint::{self, Checkpoint},
    cyclegan::{CycleGan, distill::Distillation, network_state::NetworkState, teacher::Teacher},
    data::{loader::Loader, sampler::Plan},
    eval,
    export::read_back,
    net::{build::Norm, generator::Generator},
    options::{GeneratorName, TrainOptions, directions_in},
    run_folder::{Config, Distill, RunFolder},
};

/// Number of images of each domain over which `--norm frozen` averages the statistics.
const FREEZE_IMAGES: usize = 128;

/// The model with which a session starts.
pub struct SessionModel {
    pub model: CycleGan,
    /// Whether its generators have another architecture than those of the run's checkpoints.
    pub is_changed: bool,
}

impl From<CycleGan> for SessionModel {
    fn from(model: CycleGan) -> Self {
        Self { model, is_changed: false }
    }
}

/// Refuses discriminators on the network of `eval`, whose scores would then measure the training objective.
pub fn check_features(options: &TrainOptions) -> Result<()> {
    let Some(path) = &options.d_features else {
        return Ok(());
    };
    let own = fs::read(path).with_context(|| path.display().to_string())?;
    let scorer = options.val_features.clone().or_else(|| eval::default_network().ok());
    ensure!(
        scorer.and_then(|scorer| fs::read(scorer).ok()).is_none_or(|scorer| scorer != own),
        "--d-features {}: `eval` scores with this network, expected another one",
        path.display()
    );
    Ok(())
}

/// The teacher of a run and the weights of its losses.
pub fn distillation(run: &RunFolder, distill: &Distill, device: Device) -> Result<Distillation> {
    let open = |folder: &PathBuf| -> Result<Teacher> {
        let (_, model) = checkpoint::open_newest(&RunFolder::open(&run.join(folder))?, device)?;
        Ok(Teacher::new(model))
    };
    let teacher = distill.run.as_ref().map(open).transpose()?;
    let (options, masked) = (distill.options.clone(), distill.masked);
    Ok(Distillation { options, teacher, masked })
}

/// A new model, from exported generators if the options name them.
pub fn initial_model(config: &Config, device: Device) -> Result<CycleGan> {
    ensure!(
        config.train.generator(0).norm != Norm::Frozen,
        "--norm frozen continues a run with --norm instance, expected --resume as well"
    );
    let mut model = CycleGan::new(&config.train, device)?;
    if let Some(path) = &config.train.backbone {
        model.fill_backbones(path)?;
    }
    if let Some(folder) = &config.init_from {
        let params = model.generators.each_ref().map(|g| &g.params);
        let directions = directions_in(folder, config.trained());
        read_back::pair(folder, &directions, &model.networks, params)?;
        model.generators.iter_mut().for_each(NetworkState::restart_average);
    }
    Ok(model)
}

/// The generators of --init-from, from which --lambda-init measures the distance.
pub fn initial_generators(config: &Config, device: Device) -> Result<Teacher> {
    let weight = config.train.lambda_init;
    let folder = config.init_from.as_ref();
    let folder = folder
        .with_context(|| format!("--lambda-init is {weight}, expected 0 without --init-from"))?;
    let train = config.train.clone().of_pair_itself(folder, config.trained())?;
    // A teacher needs no discriminators.
    let train = TrainOptions { d_features: None, ..train };
    Ok(Teacher::new(initial_model(&Config { train, ..config.clone() }, device)?))
}

/// The model of a run's checkpoint. If the options now require frozen generators, a backbone or low-pass
/// filters, the generators get these.
pub fn resumed(
    newest: Checkpoint,
    options: &TrainOptions,
    plan: &Plan,
    device: Device,
) -> Result<SessionModel> {
    // The options that the run may have had before these added something.
    let mut candidates = vec![options.clone()];
    if options.backbone.is_some() {
        candidates.push(TrainOptions { backbone: None, ..options.clone() });
    }
    let all = candidates.clone();
    for blur in fewer(&options.blur) {
        candidates.extend(all.iter().map(|o| TrainOptions { blur: blur.clone(), ..o.clone() }));
    }
    if options.generator(0).norm == Norm::Frozen {
        let unfrozen =
            |options: &TrainOptions| TrainOptions { norm: Some(Norm::Instance), ..options.clone() };
        candidates.extend(candidates.iter().map(unfrozen).collect::<Vec<_>>());
    }
    let previous = match &candidates[..] {
        [only] => only,
        several => {
            let layouts = newest.generator_layouts();
            let is_it = |options: &&TrainOptions| {
                [0, 1].map(|i| Generator::new(options.generator(i)).layout.signature()) == layouts
            };
            several.iter().find(is_it).unwrap_or(options)
        }
    };
    let mut model = CycleGan::new(previous, device)?;
    newest.load(&mut model)?;
    let freezes = previous.generator(0).norm != options.generator(0).norm;
    if freezes {
        model = frozen(model, options, plan, device)?;
    }
    let extends =
        previous.backbone.is_some() != options.backbone.is_some() || previous.blur != options.blur;
    if extends {
        model = model.extended(options, device)?;
    }
    Ok(SessionModel { model, is_changed: freezes || extends })
}

/// The sets of generators that are in `all` but lack some of it.
fn fewer(all: &[GeneratorName]) -> Vec<Vec<GeneratorName>> {
    let [g, f] = GeneratorName::ALL;
    let sets = [vec![], vec![g], vec![f]].into_iter();
    sets.filter(|set| set.len() < all.len() && set.iter().all(|name| all.contains(name))).collect()
}

/// The model with normalisation whose statistics are fixed at their mean over [`FREEZE_IMAGES`] images.
fn frozen(
    model: CycleGan,
    options: &TrainOptions,
    plan: &Plan,
    device: Device,
) -> Result<CycleGan> {
    let batches = FREEZE_IMAGES.div_ceil(plan.batch);
    if plan.own.start == 0 {
        say!("froze the normalisation at its mean over {} images", batches * plan.batch);
    }
    // Every rank processes the whole batch, so that all find the same statistics.
    let plan = Plan { own: 0..plan.batch, ..plan.clone() };
    let mut loader = Loader::start(plan, 0, options.num_threads);
    let load = |_| Ok(loader.next_crops()?.map(|crops| crops.to_batch(device)));
    model.freeze((0..batches).map(load))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_may_have_had_any_of_its_low_pass_filters_before() {
        let [g, f] = GeneratorName::ALL;
        for (all, previous) in [
            (vec![], vec![]),
            (vec![f], vec![vec![]]),
            (vec![f, g], vec![vec![], vec![g], vec![f]]),
        ] {
            assert_eq!(fewer(&all), previous, "{all:?}");
        }
    }
}
