// SPDX-License-Identifier: MIT OR Apache-2.0

//! Finds the files of a model: by path, or by name on the search path.

use std::{
    env, fs, io, iter,
    path::{Path, PathBuf},
    sync::Arc,
};

use cyclegan_contract::{ContractError, Direction, Precision, file_name};

use super::{error::LoadError, runtime::plugin_folder};

/// Where packages install models, below a data folder.
const IN_DATA_DIR: &str = "gstreamer-1.0/cyclegan/models";

/// The files of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelFiles {
    /// One generator.
    Single(PathBuf),
    /// A folder with G, F or both.
    Pair(PathBuf),
}

impl ModelFiles {
    /// Finds `model`: a file, a folder with `G.onnx` or `F.onnx`, or the name of such a folder on
    /// the search path. Fails if there is none.
    pub fn locate(model: &str) -> Result<Self, LoadError> {
        // Else G.onnx in the current folder would count.
        if model.is_empty() {
            return Err(LoadError::NoName);
        }
        // So that a change of the current folder changes no later load.
        let path = &std::path::absolute(model).unwrap_or_else(|_| model.into());
        if path.is_file() {
            return Ok(Self::Single(path.to_path_buf()));
        }
        if is_pair(path) {
            return Ok(Self::Pair(path.to_path_buf()));
        }
        let files =
            Direction::BOTH.map(|direction| path.join(file_name(direction, Precision::Fp32)));
        if let Some(error) =
            iter::once(path.as_path()).chain(files.iter().map(PathBuf::as_path)).find_map(dangling)
        {
            return Err(error);
        }
        // Shells complete the name of a folder with a slash.
        let name = model.trim_end_matches(['/', '\\']);
        let is_name = Path::new(name).components().count() == 1 && !name.contains(['/', '\\']);
        let searched = if is_name { search_path(plugin_folder()) } else { Vec::new() };
        // A folder of that name without a generator, for example with images, does not hide it.
        let found = searched.iter().map(|folder| folder.join(name)).find(|pair| is_pair(pair));
        found.map(Self::Pair).ok_or_else(|| match path.is_dir() {
            true => LoadError::NoPair { folder: path.to_path_buf() },
            false => LoadError::NotFound {
                model: model.to_owned(),
                searched: searched.iter().map(|folder| folder.display().to_string()).collect(),
            },
        })
    }

    /// The file of one direction in one precision, or `None`. A single file has only the forward
    /// direction, in any precision.
    pub fn file(&self, direction: Direction, precision: Precision) -> Option<PathBuf> {
        match self {
            Self::Single(file) => (direction == Direction::AToB).then(|| file.clone()),
            Self::Pair(folder) => {
                Some(folder.join(file_name(direction, precision))).filter(|file| file.is_file())
            }
        }
    }

    /// Whether there is a generator of that direction, in any precision.
    pub fn has(&self, direction: Direction) -> bool {
        Precision::ALL.into_iter().any(|precision| self.file(direction, precision).is_some())
    }
}

/// The error for a dangling link, for example of git-annex or into a cleared cache.
fn dangling(path: &Path) -> Option<LoadError> {
    let error = fs::metadata(path).err()?;
    let target = fs::read_link(path).ok()?;
    let reason = match error.kind() {
        io::ErrorKind::NotFound => {
            "does not exist; fetch that file, for example with `git annex get` or `dvc pull`"
                .to_owned()
        }
        _ => format!("cannot be opened: {error}"),
    };
    let reason = format!("it is a link to {}, which {reason}", target.display());
    let source = ContractError::Unreadable(io::Error::new(error.kind(), reason));
    Some(LoadError::Contract { path: path.to_path_buf(), source: Arc::new(source) })
}

fn is_pair(folder: &Path) -> bool {
    let has = |direction| folder.join(file_name(direction, Precision::Fp32)).is_file();
    Direction::BOTH.into_iter().any(has)
}

/// The folders that are searched for a model by its name: those of `CYCLEGAN_MODEL_PATH`, and below the data folders
/// of the user, of the plugin in `plugin_folder` and of the system.
pub fn search_path(plugin_folder: Option<&Path>) -> Vec<PathBuf> {
    let from_env = env::var_os("CYCLEGAN_MODEL_PATH").unwrap_or_default();
    let mut folders: Vec<_> = env::split_paths(&from_env).collect();
    folders.retain(|folder| !folder.as_os_str().is_empty());
    folders.push(gst::glib::user_data_dir().join(IN_DATA_DIR));
    // <prefix>/lib/<arch>/gstreamer-1.0 has its data in <prefix>/share.
    let prefixes = plugin_folder.into_iter().flat_map(|plugin| plugin.ancestors().skip(1).take(3));
    folders.extend(prefixes.map(|prefix| prefix.join("share").join(IN_DATA_DIR)));
    folders.extend(gst::glib::system_data_dirs().iter().map(|dir| dir.join(IN_DATA_DIR)));
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_a_pair_with_its_variants() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["G.onnx", "G.int8.onnx"] {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        let files = ModelFiles::locate(folder.path().to_str().unwrap()).unwrap();
        let has = |direction, precision| files.file(direction, precision).is_some();
        assert!(has(Direction::AToB, Precision::Fp32) && has(Direction::AToB, Precision::Int8));
        assert!(!has(Direction::AToB, Precision::Fp16) && !has(Direction::BToA, Precision::Fp32));
    }

    #[test]
    fn an_empty_folder_is_not_a_pair() {
        let folder = tempfile::tempdir().unwrap();
        let error = ModelFiles::locate(folder.path().to_str().unwrap()).unwrap_err();
        assert!(matches!(error, LoadError::NoPair { .. }), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_dangling_link_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("G.onnx");
        std::os::unix::fs::symlink("../annex/objects/K", &link).unwrap();
        for model in [folder.path(), &link] {
            let error = ModelFiles::locate(model.to_str().unwrap()).unwrap_err().to_string();
            assert!(
                error.contains("a link to ../annex/objects/K") && error.contains("fetch"),
                "{error}"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_itself_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("loop.onnx");
        std::os::unix::fs::symlink("loop.onnx", &link).unwrap();
        let error = ModelFiles::locate(link.to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains("a link to loop.onnx, which cannot be opened"), "{error}");
    }

    #[test]
    fn a_relative_path_is_kept_as_an_absolute_one() {
        // The tests run in the folder of the crate.
        let files = ModelFiles::locate("Cargo.toml").unwrap();
        assert_eq!(files, ModelFiles::Single(std::env::current_dir().unwrap().join("Cargo.toml")));
    }

    #[test]
    fn the_error_for_an_empty_model_says_that_it_is_empty() {
        let message = ModelFiles::locate("").unwrap_err().to_string();
        assert!(message.starts_with("`model` is empty. Set `model` to an ONNX file"), "{message}");
    }

    #[test]
    fn the_error_for_an_unknown_name_lists_the_search_path() {
        // Shells complete a name with a slash if the folder is here as well.
        for name in ["no-such-model", "no-such-model/"] {
            let error = ModelFiles::locate(name).unwrap_err().to_string();
            assert!(error.contains("no-such-model") && error.contains(IN_DATA_DIR), "{error}");
        }
        let error = ModelFiles::locate("/nowhere/G.onnx").unwrap_err().to_string();
        assert!(error.contains("/nowhere/G.onnx"), "{error}");
    }
}
