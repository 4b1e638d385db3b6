//! A checkpoint: what is in it, and where.

use std::path::{Path, PathBuf};

use crate::{
    archive, container,
    container::{Container, Kind},
    error::Result,
    flax, safetensors,
    source::{self, Source},
    tensor::{Storage, TensorInfo},
    torch,
};

/// What a file holds: the tensors of a network, described but not read.
pub struct Checkpoint {
    path: PathBuf,
    container: Container,
    parts: Vec<Part>,
    contents: Contents,
}

/// A file that belongs to a checkpoint; most checkpoints are one.
struct Part {
    path: PathBuf,
    source: Box<dyn Source>,
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
        Checkpoint::describe(path, source)
    }

    /// As `open`, of bytes that are at hand; `path` is what messages call them.
    pub fn describe(path: &Path, source: Box<dyn Source>) -> Result<Checkpoint> {
        let in_file = |error: crate::Error| error.in_file(path);
        let kind = container::recognise(&*source).map_err(in_file)?;
        let (container, contents) = match kind {
            Kind::FlaxPickle => (Container::FlaxPickle, flax::read(&*source)),
            Kind::TorchLegacy => (Container::TorchLegacy, torch::read_legacy(&*source)),
            Kind::Safetensors => (Container::Safetensors, safetensors::read(&*source)),
            Kind::Zip => {
                let archive = archive::Archive::read(&*source).map_err(in_file)?;
                let root = torch::zip_root(&archive).ok_or_else(|| {
                    let message =
                        format!("is a zip archive of something else; {}", container::READ);
                    in_file(crate::Error::format(message))
                })?;
                (Container::TorchZip, torch::read_zip(&*source, &archive, root))
            }
        };
        let contents = contents.map_err(in_file)?;
        let part = Part { path: path.to_owned(), source };
        Ok(Checkpoint { path: path.to_owned(), container, parts: vec![part], contents })
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

    pub(crate) fn source(&self, part: usize) -> &dyn Source {
        &*self.parts[part].source
    }

    /// Its files, in the order in which they are hashed.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &dyn Source> {
        self.parts.iter().map(|part| &*part.source)
    }
}
