// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tries targets, and variants of a model, one after the other.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use cyclegan_contract::{Direction, Precision};

use super::{error::LoadError, locate::ModelFiles, message::CAT, target::Target, warning::Warning};

/// The largest share of ONNX Runtime's own time at which `auto` uses OpenVINO on the CPU; a smaller gain is
/// within the noise.
const MAX_TIME_RATIO: f64 = 0.9;

/// Opens the first of `targets` that works. If none works, returns the error of the last one; fails at once
/// if no other target could work. A skipped device is a warning.
pub fn first_that_works<T>(
    targets: &[Target],
    warnings: &mut Vec<Warning>,
    mut open: impl FnMut(Target, &mut Vec<Warning>) -> Result<T, LoadError>,
    passed_over: impl Fn(LoadError) -> Warning,
) -> Result<T, LoadError> {
    let (&last, others) = targets.split_last().unwrap_or((&CPU, &[]));
    for &target in others {
        let mut own = Vec::new();
        match open(target, &mut own) {
            Ok(opened) => {
                warnings.append(&mut own);
                return Ok(opened);
            }
            Err(error) if error.may_be_the_providers() => {
                gst::info!(CAT, "skipping {target}: {error}");
                if error.loses_device() {
                    warnings.push(passed_over(error));
                }
            }
            Err(error) => return Err(error),
        }
    }
    open(last, warnings)
}

const CPU: Target = Target { provider: super::provider::Provider::Cpu, device: None };

/// Opens the first of `files` that works on one target. A variant that fails is a warning, unless all
/// fail.
pub fn first_variant_that_works<T>(
    files: &[(PathBuf, Precision)],
    warnings: &mut Vec<Warning>,
    open: impl Fn(&Path) -> Result<T, LoadError>,
) -> Result<Option<T>, LoadError> {
    let mut failed: Option<(Precision, LoadError)> = None;
    for (path, precision) in files {
        match (open(path), failed.take()) {
            (Ok(opened), None) => return Ok(Some(opened)),
            (Ok(opened), Some((precision, error))) => {
                warnings.push(Warning::Precision { path: path.clone(), precision, error });
                return Ok(Some(opened));
            }
            (Err(error), first) => {
                // A missing provider is also missing for the other variant.
                if !(error.may_be_the_providers() && error.loses_device()) {
                    return Err(error);
                }
                failed = first.or(Some((*precision, error)));
            }
        }
    }
    failed.map_or(Ok(None), |(_, error)| Err(error))
}

/// The files of `direction`, the best for `target` first; empty if the model has no generator of that
/// direction. A named precision gives one file.
pub fn variants(
    files: &ModelFiles,
    direction: Direction,
    target: Target,
    precision: Option<Precision>,
) -> Result<Vec<(PathBuf, Precision)>, LoadError> {
    let file = |precision| files.file(direction, precision).map(|path| (path, precision));
    let ModelFiles::Pair(folder) = files else {
        // A single file has no variants.
        return Ok(file(Precision::Fp32).into_iter().collect());
    };
    match precision {
        None => {
            let mut wanted = vec![target.preferred_precision(), Precision::Fp32];
            wanted.dedup();
            Ok(wanted.into_iter().filter_map(file).collect())
        }
        Some(precision) => match file(precision) {
            None if files.has(direction) => {
                Err(LoadError::NoVariant { folder: folder.clone(), direction, precision })
            }
            file => Ok(file.into_iter().collect()),
        },
    }
}

/// Chooses the faster of two sessions on the CPU by their time per image: `own` unless `other` is clearly
/// faster.
pub fn faster<T, E>(own: T, other: Result<T, E>, time: impl Fn(&T) -> Option<Duration>) -> T {
    let Ok(other) = other else { return own };
    match (time(&own), time(&other)) {
        (Some(own_time), Some(other_time)) if other_time < own_time.mul_f64(MAX_TIME_RATIO) => {
            other
        }
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, sync::Arc};

    use cyclegan_contract::ContractError;

    use super::*;
    use crate::{provider::Provider, target::OpenVinoDevice};

    fn provider(target: Target, is_present: bool) -> LoadError {
        LoadError::Provider { target, is_present, reason: "no device".into() }
    }

    fn session() -> LoadError {
        LoadError::Session { path: "G.onnx".into(), reason: "out of memory".into() }
    }

    fn unreadable() -> LoadError {
        let source = ContractError::Unreadable(std::io::ErrorKind::NotFound.into());
        LoadError::Contract { path: "G.onnx".into(), source: Arc::new(source) }
    }

    /// Runs `auto` with `open` in place of a session: the target that it opens, those that it tries, and its
    /// warnings.
    fn auto(
        open: impl Fn(Provider, Target) -> Result<(), LoadError>,
    ) -> (Result<Target, LoadError>, Vec<Target>, Vec<Warning>) {
        let tried = RefCell::new(Vec::new());
        let mut warnings = Vec::new();
        let open = |target: Target, _: &mut Vec<Warning>| {
            tried.borrow_mut().push(target);
            open(target.provider, target).map(|()| target)
        };
        let targets = Target::candidates(None, 0);
        let opened = first_that_works(&targets, &mut warnings, open, Warning::PassedOver);
        (opened, tried.into_inner(), warnings)
    }

    #[test]
    fn auto_skips_providers_that_cannot_run_the_model() {
        let (opened, ..) = auto(|provider_, target| match provider_ {
            Provider::Cuda => Err(provider(target, false)),
            Provider::MiGraphX => Err(session()),
            _ => Ok(()),
        });
        assert_eq!(opened.unwrap(), Provider::DirectMl.into());
    }

    #[test]
    fn auto_warns_only_about_a_present_gpu_that_fails() {
        let (opened, _, warnings) = auto(|name, target| match name {
            Provider::Cpu => Ok(()),
            name => Err(provider(target, name == Provider::Cuda)),
        });
        assert_eq!(opened.unwrap(), Provider::Cpu.into());
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        let text = warning.to_string();
        assert!(text.contains("`cuda`") && text.contains("no device"), "{text}");
    }

    #[test]
    fn if_all_targets_fail_the_error_is_the_cpus() {
        let (failed, ..) = auto(|name, target| match name {
            Provider::Cpu => Err(session()),
            _ => Err(provider(target, false)),
        });
        assert!(matches!(failed, Err(LoadError::Session { .. })));
    }

    #[test]
    fn auto_tries_a_bad_file_once() {
        let (failed, tried, _) = auto(|_, _| Err(unreadable()));
        assert!(matches!(failed, Err(LoadError::Contract { .. })));
        assert_eq!(tried, [Provider::Cuda.into()]);
    }

    fn both() -> Vec<(PathBuf, Precision)> {
        vec![("G.fp16.onnx".into(), Precision::Fp16), ("G.onnx".into(), Precision::Fp32)]
    }

    #[test]
    fn a_failing_fp16_variant_falls_back_to_fp32() {
        let webgpu = Target::from(Provider::WebGpu);
        let mut warnings = Vec::new();
        let opened = first_variant_that_works(&both(), &mut warnings, |path| match path.to_str() {
            Some("G.onnx") => Ok("G.onnx"),
            _ => Err(provider(webgpu, true)),
        });
        assert_eq!(opened.unwrap(), Some("G.onnx"));
        let text = warnings[0].to_string();
        assert!(text.contains("G.onnx is used") && text.contains("fp16"), "{text}");
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn if_both_variants_fail_the_error_is_the_first_ones() {
        let tried = RefCell::new(0);
        let mut warnings = Vec::new();
        let failed = first_variant_that_works(&both(), &mut warnings, |path| {
            *tried.borrow_mut() += 1;
            Err::<(), _>(LoadError::Session { path: path.into(), reason: String::new() })
        });
        let Err(LoadError::Session { path, .. }) = failed else { panic!("{failed:?}") };
        assert_eq!(
            (path, tried.into_inner(), warnings.len()),
            (PathBuf::from("G.fp16.onnx"), 2, 0)
        );
    }

    #[test]
    fn a_missing_provider_is_not_tried_with_each_variant() {
        for error in [provider(Provider::Cuda.into(), false), unreadable()] {
            let tried = RefCell::new(0);
            let failed = first_variant_that_works(&both(), &mut Vec::new(), |_| {
                *tried.borrow_mut() += 1;
                Err::<(), _>(error.clone())
            });
            assert!(failed.is_err());
            assert_eq!(tried.into_inner(), 1, "{error}");
        }
    }

    #[test]
    fn variants_depend_on_the_target() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["G.onnx", "G.fp16.onnx", "G.int8.onnx", "F.onnx"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        let pair = ModelFiles::Pair(folder.path().to_path_buf());
        let names = |files: &ModelFiles, direction, target: Target, precision| -> Vec<_> {
            let variants = variants(files, direction, target, precision).unwrap();
            variants.iter().map(|(path, _)| path.file_name().unwrap().to_owned()).collect()
        };
        let (g, f) = (Direction::AToB, Direction::BToA);
        let (cpu, cuda) = (Target::from(Provider::Cpu), Target::from(Provider::Cuda));
        assert_eq!(names(&pair, g, cpu, None), ["G.int8.onnx", "G.onnx"]);
        assert_eq!(names(&pair, g, cuda, None), ["G.fp16.onnx", "G.onnx"]);
        assert_eq!(names(&pair, f, cuda, None), ["F.onnx"]);
        assert_eq!(names(&pair, g, cuda, Some(Precision::Int8)), ["G.int8.onnx"]);
        let missing = variants(&pair, f, cuda, Some(Precision::Int8));
        assert!(matches!(missing, Err(LoadError::NoVariant { .. })));

        let single = ModelFiles::Single(folder.path().join("G.onnx"));
        for precision in [None, Some(Precision::Fp16)] {
            assert_eq!(names(&single, g, cuda, precision), ["G.onnx"]);
        }
        assert!(names(&single, f, cuda, None).is_empty());
    }

    #[test]
    fn openvino_on_the_cpu_is_used_if_clearly_faster() {
        let (own, other) = (Target::from(Provider::Cpu), Target::from(OpenVinoDevice::Cpu));
        let taken = |own_ms: u64, other_ms: Option<u64>| {
            let time = |target: &Target| match *target == own {
                true => Some(Duration::from_millis(own_ms)),
                false => other_ms.map(Duration::from_millis),
            };
            faster(own, Ok::<_, LoadError>(other), time)
        };
        assert_eq!(taken(38, Some(53)), own);
        assert_eq!(taken(38, Some(37)), own);
        assert_eq!(taken(38, Some(20)), other);
        assert_eq!(taken(38, None), own);
        assert_eq!(faster(own, Err(session()), |_| None), own);
    }
}
