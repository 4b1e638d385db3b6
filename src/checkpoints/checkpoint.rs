//! A checkpoint: what is in it, and where.

use std::path::{Path, PathBuf};

use crate::{
    archive::{self, Archive},
    container::{self, Container, Kind},
    error::{Error, Result},
    flax, npz, safetensors,
    shards::Index,
    source::{self, Source},
    tensor::{Storage, TensorInfo},
    torch,
};

/// What a file holds: the tensors of a network, described but not read.
pub struct Checkpoint {
    path: PathBuf,
    container: Container,
    /// The file; of a checkpoint in parts, the index and the parts in the order of their names.
    sources: Vec<Box<dyn Source>>,
    contents: Contents,
}

/// What a reader of a container finds.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// The tensors; no two have the same name.
    pub tensors: Vec<TensorInfo>,
    /// What their values lie in.
    pub storages: Vec<Storage>,
    /// What the file says besides: name and value.
    pub metadata: Vec<(String, String)>,
}

impl Checkpoint {
    /// Describes a checkpoint of any container that is known, by its content. Only headers are read.
    ///
    /// Fails with `Io`, and with `Format` if the file is no checkpoint that is read here; the message begins with the path.
    pub fn open(path: &Path) -> Result<Checkpoint> {
        let source = source::open(path).map_err(|error| error.in_file(path))?;
        Checkpoint::describe(path, source, |name| source::open(&path.with_file_name(name)))
    }

    /// As `open`, of bytes that are at hand; `path` is what messages call them, and `beside` opens the files of those names
    /// that an index refers to.
    pub fn describe(
        path: &Path,
        source: Box<dyn Source>,
        beside: impl Fn(&str) -> Result<Box<dyn Source>>,
    ) -> Result<Checkpoint> {
        let in_file = |error: Error| error.in_file(path);
        let kind = container::recognise(&*source).map_err(in_file)?;
        if kind != Kind::Json {
            let (container, contents) = read(kind, &*source).map_err(in_file)?;
            let sources = vec![source];
            return Ok(Checkpoint { path: path.to_owned(), container, sources, contents });
        }
        let index = Index::read(&*source).map_err(in_file)?;
        let mut sources = vec![source];
        let mut parts = Vec::new();
        let mut container = None;
        for name in &index.parts {
            let path = path.with_file_name(name);
            let in_part = |error: Error| error.in_file(&path);
            let source = beside(name).map_err(in_part)?;
            let kind = container::recognise(&*source).map_err(in_part)?;
            let (part_container, contents) = read(kind, &*source).map_err(in_part)?;
            if container.replace(part_container).is_some_and(|first| first != part_container) {
                return Err(in_part(Error::format("is of another format than the other parts")));
            }
            sources.push(source);
            parts.push(contents);
        }
        let contents = index.join(parts).map_err(in_file)?;
        let container =
            container.ok_or_else(|| in_file(Error::format("an index of no tensors at all")))?;
        Ok(Checkpoint { path: path.to_owned(), container, sources, contents })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file is.
    pub fn container(&self) -> Container {
        self.container
    }

    /// Its tensors; no two have the same name.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.contents.tensors
    }

    /// What the file says besides: name and value, such as `epoch` and `arch`.
    pub fn metadata(&self) -> &[(String, String)] {
        &self.contents.metadata
    }

    /// Number of bytes of all its files.
    pub fn n_bytes(&self) -> u64 {
        self.sources().map(|source| source.n_bytes()).sum()
    }

    /// Where a tensor's values begin: which of the files, and a byte in it. For reading in the order of the disk.
    pub fn place(&self, tensor: &TensorInfo) -> (usize, u64) {
        let storage = &self.contents.storages[tensor.storage];
        (storage.part, storage.start.saturating_add(tensor.offset))
    }

    pub(crate) fn storages(&self) -> &[Storage] {
        &self.contents.storages
    }

    /// Number of files with weights; the index of a checkpoint in parts is none.
    pub fn n_parts(&self) -> usize {
        self.sources.len().saturating_sub(1).max(1)
    }

    pub(crate) fn source(&self, part: usize) -> &dyn Source {
        &*self.sources[part]
    }

    /// Its files, in the order in which they are hashed.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &dyn Source> {
        self.sources.iter().map(|source| &**source)
    }
}

/// What a file of that kind holds.
fn read(kind: Kind, source: &dyn Source) -> Result<(Container, Contents)> {
    Ok(match kind {
        Kind::FlaxPickle => (Container::FlaxPickle, flax::read(source)?),
        Kind::TorchLegacy => (Container::TorchLegacy, torch::read_legacy(source)?),
        Kind::Safetensors => (Container::Safetensors, safetensors::read(source)?),
        Kind::Zip => {
            let archive = Archive::read(source)?;
            if let Some(root) = torch::zip_root(&archive) {
                (Container::TorchZip, torch::read_zip(source, &archive, root)?)
            } else if npz::is_npz(&archive) {
                (Container::Npz, npz::read(source, &archive)?)
            } else {
                let message = format!("{}; {}", archive::other(&archive), container::READ);
                return Err(Error::format(message));
            }
        }
        Kind::Json => return Err(Error::format("is an index within an index")),
    })
}
