// SPDX-License-Identifier: MIT OR Apache-2.0

//! External data: weights in files beside the model, and which files a model may read.
//!
//! A model may read files inside its own folder. If the model or its data are links, as in the
//! caches of Hugging Face, DVC, git-annex, Nix and Guix, it may also read files inside the folder
//! and the store that its own link leads to; see [`Home`].

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    path::{Component, Path, PathBuf},
};

use crate::{
    ContractError,
    file_kind::recognize_pointer,
    outline::{Attribute, Graph, Model, Node, SparseTensor, Tensor},
};

/// Pointers of Git LFS and git-annex are shorter than this, in bytes.
const MAX_POINTER: u64 = 32 * 1024;
/// `TensorProto.data_location` of data in another file.
const EXTERNAL: i32 = 1;

/// The files that hold data of `model`, by their location in the model.
pub(crate) fn files(
    model: &Model,
    home: &Home,
) -> Result<BTreeMap<String, PathBuf>, ContractError> {
    let mut search = Search { home, files: BTreeMap::new() };
    let training = model.training_info.iter();
    let training = training.flat_map(|info| info.initialization.iter().chain(&info.algorithm));
    for graph in model.graph.iter().chain(training) {
        search.graph(graph, 0)?;
    }
    for function in &model.functions {
        search.nodes(&function.node, 0)?;
        search.attributes(&function.attribute_proto, 0)?;
    }
    Ok(search.files)
}

struct Search<'a> {
    home: &'a Home,
    files: BTreeMap<String, PathBuf>,
}

impl Search<'_> {
    fn graph(&mut self, graph: &Graph, depth: usize) -> Result<(), ContractError> {
        if depth > ContractError::MAX_GRAPH_DEPTH {
            return Err(ContractError::TooDeep);
        }
        self.tensors(&graph.initializer)?;
        self.sparse_tensors(&graph.sparse_initializer)?;
        self.nodes(&graph.node, depth)
    }

    fn nodes(&mut self, nodes: &[Node], depth: usize) -> Result<(), ContractError> {
        nodes.iter().try_for_each(|node| self.attributes(&node.attribute, depth))
    }

    fn attributes(&mut self, attributes: &[Attribute], depth: usize) -> Result<(), ContractError> {
        for attribute in attributes {
            self.tensors(attribute.t.iter().chain(&attribute.tensors))?;
            let sparse = attribute.sparse_tensor.iter().chain(&attribute.sparse_tensors);
            self.sparse_tensors(sparse)?;
            for graph in attribute.g.iter().chain(&attribute.graphs) {
                self.graph(graph, depth + 1)?;
            }
        }
        Ok(())
    }

    fn sparse_tensors<'t>(
        &mut self,
        tensors: impl IntoIterator<Item = &'t SparseTensor>,
    ) -> Result<(), ContractError> {
        let parts = tensors.into_iter().flat_map(|t| t.values.iter().chain(&t.indices));
        self.tensors(parts)
    }

    fn tensors<'t>(
        &mut self,
        tensors: impl IntoIterator<Item = &'t Tensor>,
    ) -> Result<(), ContractError> {
        for tensor in tensors {
            if tensor.data_location == EXTERNAL || !tensor.external_data.is_empty() {
                let (location, file) = check_tensor(tensor, self.home)?;
                self.files.insert(location, file);
            }
        }
        Ok(())
    }
}

/// Location and file of the data of `tensor`; the file must hold all of it.
fn check_tensor(tensor: &Tensor, home: &Home) -> Result<(String, PathBuf), ContractError> {
    let entry = |key: &str| {
        let entry = tensor.external_data.iter().find(|entry| entry.key == key);
        entry.map(|entry| entry.value.as_str())
    };
    let location = entry("location").unwrap_or_default();
    let refuse = |problem: String| ContractError::ExternalData {
        tensor: tensor.name.clone(),
        location: location.to_owned(),
        problem,
    };
    let number = |key: &str| match entry(key) {
        None => Ok(0),
        Some(text) => text
            .parse::<u64>()
            .map_err(|_| refuse(format!("`{key}` is `{text}`, expected a number of bytes"))),
    };

    let file = home.file(Path::new(location)).map_err(refuse)?;
    let size = match fs::metadata(&file) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => return Err(refuse("which is not a file".to_owned())),
        Err(error) => {
            return Err(refuse(match fs::read_link(&file) {
                Ok(target) => format!(
                    "which is a link to {}, but that file does not exist; fetch it, for example with \
                     `git annex get` or `dvc pull`",
                    target.display()
                ),
                Err(_) => format!("which cannot be read: {error}"),
            }));
        }
    };
    if size < MAX_POINTER
        && let Some(kind) = pointer(&file)
    {
        return Err(refuse(format!("which is {kind}")));
    }
    let end = number("offset")?.checked_add(number("length")?);
    if end.is_none_or(|end| end > size) {
        return Err(refuse(format!("which ends after {size} bytes, before the end of the tensor")));
    }
    Ok((location.to_owned(), file))
}

/// The kind of pointer that the file is, or `None`.
fn pointer(file: &Path) -> Option<&'static str> {
    let mut head = Vec::new();
    File::open(file).ok()?.take(64).read_to_end(&mut head).ok()?;
    recognize_pointer(&head)
}

/// The folders whose files a model may read.
pub(crate) struct Home {
    /// The folder that locations are relative to, as given.
    folder: PathBuf,
    /// The same folder with links resolved.
    real_folder: Option<PathBuf>,
    /// The folders that the model's own link leads to: the one with its target, and the store.
    linked: Vec<PathBuf>,
}

impl Home {
    /// For any model in `folder`.
    pub fn folder(folder: &Path) -> Self {
        let real_folder = folder.canonicalize().ok();
        Self { folder: folder.to_path_buf(), real_folder, linked: Vec::new() }
    }

    /// For the model at `path`.
    pub fn of(path: &Path) -> Self {
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut home = Self::folder(folder);
        if let Ok(real) = path.canonicalize() {
            home.linked.extend(real.parent().map(Path::to_path_buf));
            home.linked.extend(store(&real));
        }
        home
    }

    /// The file at `location` with links resolved, or why it may not be read.
    fn file(&self, location: &Path) -> Result<PathBuf, String> {
        let is_plain = location.components().all(|part| matches!(part, Component::Normal(_)));
        if !is_plain || location.as_os_str().is_empty() {
            return Err("expected a file inside the model's folder".to_owned());
        }
        let file = self.folder.join(location);
        let (Ok(real), Some(real_folder)) = (file.canonicalize(), &self.real_folder) else {
            // Opening a missing file reports it.
            return Ok(file);
        };
        let is_allowed = real.starts_with(real_folder)
            || self.linked.iter().any(|folder| real.starts_with(folder))
            || self.is_in_own_store(&real);
        match is_allowed {
            true => Ok(real),
            false => Err(format!(
                "a link to {}, expected a file inside the model's folder, or beside the target of the \
                 model's own link",
                real.display()
            )),
        }
    }

    /// Whether `file` is in the store of the repository that the model's folder belongs to.
    fn is_in_own_store(&self, file: &Path) -> bool {
        // R/.git/annex/objects and R/.dvc/cache belong to R.
        let repository = store(file).and_then(|store| {
            let hidden = |part: &&Path| {
                part.file_name().is_some_and(|name| name == ".git" || name == ".dvc")
            };
            store.ancestors().find(hidden).and_then(Path::parent).map(Path::to_path_buf)
        });
        let folder = self.real_folder.as_ref();
        repository.is_some_and(|repository| folder.is_some_and(|f| f.starts_with(repository)))
    }
}

/// The content-addressed store of git-annex, DVC, Nix or Guix that has `file`, or `None`. These stores
/// spread the files of one folder over several.
fn store(file: &Path) -> Option<PathBuf> {
    let is_store = |folder: &&Path| {
        ["annex/objects", "files/md5", ".dvc/cache"].iter().any(|end| folder.ends_with(end))
            || ["/nix/store", "/gnu/store"].iter().any(|store| *folder == Path::new(store))
    };
    file.ancestors().skip(1).find(is_store).map(Path::to_path_buf)
}
