// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a run's batches contain, by its options.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::{
    data::{
        folder::{Domain, other_formats, pictures_for},
        held_out::{HeldOut, hold_out},
        pairs::matched,
        sampler::Plan,
        usable::with_masks,
        view::Sizes,
    },
    net::generator::Generator,
    options::LookAt,
    run_folder::{Config, RunFolder},
};

/// The batches of process `rank` of `processes` for `run` with `config`, and the held-out images if there
/// is validation.
pub fn plan(
    run: &RunFolder,
    config: &Config,
    rank: usize,
    processes: usize,
) -> Result<(Plan, Option<HeldOut>)> {
    let o = &config.train;
    let mut domains = domains(config)?;
    for (name, domain) in ["trainA", "trainB"].iter().zip(&domains).filter(|_| rank == 0) {
        if let Some(found) = other_formats(&domain.root)? {
            say_error!("{name}: {found}");
        }
    }
    let mut negatives = all_pictures("--negatives", &o.negatives)?;
    // Also in a stage without validation: another stage must not validate with images that this one has trained on.
    let held_out = (config.val_share())
        .map(|share| hold_out(&config.data, share, &mut domains, &mut negatives))
        .transpose()?;
    let held_out = held_out.filter(|_| o.eval_every.is_some());
    let mut domains = usable(config, domains, rank > 0)?;
    if let Some(distill) = &config.distill {
        for (domain, generated) in
            domains.iter_mut().zip([&distill.generated_a, &distill.generated_b])
        {
            domain.generated = generated.as_ref().map(|folder| run.join(folder));
        }
    }
    for i in (0..2).filter(|&i| domains[i].generated.is_some()) {
        o.check_generated(i)?;
    }
    let multiple = Generator::new(o.generator(0)).multiple_of();
    let batch = o.batch_size as usize;
    let plan = Plan {
        domains,
        paired: o.paired(),
        preprocess: o.preprocess,
        sizes: Sizes {
            load: o.load_size,
            load_min: o.load_size_min.unwrap_or(o.crop_size),
            crop: o.crop_size,
            multiple,
        },
        flip: !o.no_flip,
        min_foreground: o.min_foreground,
        jitter: o.jitter(),
        need_mask: o.look_at == LookAt::Foreground,
        negatives,
        extra: extra(config)?,
        extra_share: o.extra_share,
        negative_share: o.negative_share,
        letterbox: o.letterbox,
        mosaic: o.mosaic,
        paste: o.paste,
        batch: batch * processes,
        own: batch * rank..batch * (rank + 1),
        seed: o.seed,
        strict: o.strict,
    };
    Ok((plan, held_out))
}

/// The images of trainA and trainB.
fn domains(config: &Config) -> Result<[Domain; 2]> {
    let (o, data) = (&config.train, &config.data);
    if o.paired() {
        let open = |name| Domain::open(data, name, None);
        return matched(open("trainA")?, open("trainB")?, o.max_dataset_size);
    }
    let open = |name| Domain::open(data, name, o.max_dataset_size);
    Ok([open("trainA")?, open("trainB")?])
}

/// The usable images, with their next frames if the options need them.
fn usable(config: &Config, mut domains: [Domain; 2], quiet: bool) -> Result<[Domain; 2]> {
    let (o, data) = (&config.train, &config.data);
    if o.look_at == LookAt::Foreground {
        domains = masked(config, domains, quiet)?;
    }
    if o.lambda_diff > 0.0 {
        let counts: Vec<usize> = domains.iter_mut().map(Domain::find_next).collect();
        let [a, b] = [0, 1].map(|i| format!("{} of {}", counts[i], domains[i].images.len()));
        ensure!(
            counts.iter().any(|&n| n > 0),
            "{}: --lambda-diff needs successive frames and no two images are numbered as such; \
             expected names like clip_0001.png, clip_0002.png, as `extract --distance 0` writes them",
            data.display()
        );
        if !quiet {
            say!("frames followed by another: {a} in A, {b} in B");
        }
    }
    Ok(domains)
}

/// The images with usable masks.
fn masked(config: &Config, domains: [Domain; 2], quiet: bool) -> Result<[Domain; 2]> {
    let names = ["trainA_mask", "trainB_mask"];
    for (domain, name) in domains.iter().zip(names) {
        ensure!(
            !domain.masks.is_empty(),
            "{}: not found, --look-at foreground needs masks of both domains",
            config.data.join(name).display()
        );
    }
    let domains = with_masks(domains, config.train.paired(), quiet);
    for (domain, name) in domains.iter().zip(names) {
        ensure!(
            !domain.images.is_empty(),
            "{}: all masks are empty, expected a white foreground in some for --look-at foreground",
            config.data.join(name).display()
        );
    }
    Ok(domains)
}

/// The extra images for the generators, which some loss must use.
fn extra(config: &Config) -> Result<[Vec<PathBuf>; 2]> {
    let o = &config.train;
    let taught = config.distill.as_ref().is_some_and(|distill| distill.run.is_some());
    let extra = |option, folders: &[PathBuf], cycle: f64| {
        let cycles = !o.paired() && cycle > 0.0;
        let looks = cycles || taught || o.lambda_flow + o.lambda_nce > 0.0;
        ensure!(
            folders.is_empty() || looks,
            "{option}: no loss uses these images, expected the weight of their cycle, --lambda-flow or \
             --lambda-nce above 0, or a run as teacher"
        );
        all_pictures(option, folders)
    };
    Ok([extra("--extra-a", &o.extra_a, o.lambda_a)?, extra("--extra-b", &o.extra_b, o.lambda_b)?])
}

/// The images of an option's folders.
fn all_pictures(option: &str, folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in folders {
        found.extend(pictures_for(option, folder)?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;
    use crate::{
        options::TrainOptions,
        run_folder::{Began, Stage},
    };

    #[test]
    fn images_for_validation_are_held_out_in_all_stages() {
        let folder = tempfile::tempdir().unwrap();
        for domain in ["trainA", "trainB"] {
            fs::create_dir(folder.path().join(domain)).unwrap();
            for i in 0..9 {
                fs::write(folder.path().join(domain).join(format!("{i}.png")), "").unwrap();
            }
        }
        let stage = |eval_every| Stage {
            name: String::new(),
            began: None,
            train: TrainOptions { eval_every, ..TrainOptions::default() },
            given: BTreeSet::new(),
        };
        let train = TrainOptions::default();
        let mut config = Config {
            stages: vec![stage(None), stage(Some(100))],
            ..Config::new(folder.path().to_owned(), train)
        };
        let run = RunFolder::new(&folder.path().join("run"));
        let mut images = Vec::new();
        for (i, validates) in [(0, false), (1, true)] {
            config.begin_stage(i, Began::default());
            let (plan, held_out) = plan(&run, &config, 0, 1).unwrap();
            assert_eq!(held_out.is_some(), validates);
            images.push(plan.domains.map(|domain| domain.images));
        }
        assert_eq!(images[0][0].len(), 6);
        assert_eq!(images[0], images[1]);
    }
}
