// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether Vulkan has a driver at all.
//!
//! ONNX Runtime's WebGPU provider aborts the process if there is none (seen with 1.27), so it must not
//! be opened then.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use gst::glib;

/// The variables that list driver manifests (LoaderInterfaceArchitecture.md of the Vulkan loader,
/// "Overriding the Default Driver Discovery").
const OVERRIDES: [&str; 2] = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];

/// The variable that adds driver manifests to those in the folders, unless one of [`OVERRIDES`] is set.
const ADDITION: &str = "VK_ADD_DRIVER_FILES";

/// Fails, with what to do, if the Vulkan loader would find no driver.
pub fn require_driver() -> Result<(), String> {
    match cfg!(target_os = "linux") {
        true => require_manifest(|name| env::var_os(name), &manifest_folders()),
        false => Ok(()),
    }
}

/// Fails if neither the environment, of which `variable` returns a variable, nor a folder has a manifest.
fn require_manifest(
    variable: impl Fn(&str) -> Option<OsString>,
    folders: &[PathBuf],
) -> Result<(), String> {
    let overridden = OVERRIDES.into_iter().find_map(|name| Some((name, variable(name)?)));
    match overridden {
        Some((_, paths)) if names_a_file(&paths) => Ok(()),
        Some((name, _)) => Err(format!("{name} names no existing file")),
        None if folders.iter().any(|folder| holds_manifest(folder)) => Ok(()),
        None if variable(ADDITION).is_some_and(|paths| names_a_file(&paths)) => Ok(()),
        None => {
            let folders: Vec<_> = folders.iter().map(|f| f.display().to_string()).collect();
            Err(format!(
                "no Vulkan driver is installed (no *.json in {}); install your GPU's",
                folders.join(", ")
            ))
        }
    }
}

fn names_a_file(paths: &OsStr) -> bool {
    env::split_paths(paths).any(|path| path.exists())
}

/// Where the loader looks for driver manifests.
fn manifest_folders() -> Vec<PathBuf> {
    let mut folders = vec![glib::user_config_dir(), glib::user_data_dir(), "/etc".into()];
    folders.extend(glib::system_config_dirs());
    folders.extend(glib::system_data_dirs());
    folders.iter().map(|folder| folder.join("vulkan/icd.d")).collect()
}

fn holds_manifest(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| path.extension().is_some_and(|e| e == "json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_manifests_count_as_drivers() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!holds_manifest(folder.path()));
        fs::write(folder.path().join("README"), "").unwrap();
        assert!(!holds_manifest(folder.path()));
        fs::write(folder.path().join("radeon_icd.x86_64.json"), "{}").unwrap();
        assert!(holds_manifest(folder.path()));
        assert!(!holds_manifest(&folder.path().join("missing")));
    }

    #[test]
    fn the_error_names_the_variable_that_names_no_file() {
        let require = |name: &str, paths: &str| {
            require_manifest(|asked| (asked == name).then(|| paths.into()), &[])
        };
        let error = require(OVERRIDES[1], "/nowhere/a.json").unwrap_err();
        assert!(error.contains("VK_ICD_FILENAMES"), "{error}");
        require(OVERRIDES[0], "/nowhere/a.json:/").unwrap();
        let error = require(ADDITION, "/nowhere/a.json").unwrap_err();
        assert!(error.contains("no Vulkan driver is installed"), "{error}");
        require(ADDITION, "/nowhere/a.json:/").unwrap();
    }

    #[test]
    fn manifests_are_searched_where_the_loader_looks() {
        let folders = manifest_folders();
        assert!(folders.contains(&PathBuf::from("/etc/vulkan/icd.d")));
        assert!(folders.iter().all(|folder| folder.ends_with("vulkan/icd.d")));
    }
}
