//! Archives of numpy arrays (`.npz`), and the data sets of MedMNIST3D, which are such archives.
//!
//! An array that lies in the archive as it is (`numpy.savez`) is read in place, block by block; a packed one
//! (`numpy.savez_compressed`) is unpacked when it is opened, into a temporary file if it is large. Checksums are
//! compared for packed arrays only: the others are never read as a whole.

use std::{io, path::Path, sync::Arc};

use zip::{CompressionMethod, ZipArchive, result::ZipError};

use crate::{
    error::{Error, ErrorKind, Result},
    npy::{Array, ArrayVolumes},
    source::{self, Source, SourceReader},
    volumes::VolumeSource,
};

/// Whether a file begins like a zip archive, or is an empty one.
pub(crate) fn recognizes(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
}

/// An open archive. Opening reads its directory.
#[derive(Debug)]
pub struct Npz {
    source: Arc<Source>,
    archive: ZipArchive<SourceReader>,
}

impl Npz {
    /// Opens an archive.
    pub fn open(path: impl AsRef<Path>) -> Result<Npz> {
        Npz::read(Arc::new(Source::open(path.as_ref())?))
    }

    /// The archive whose bytes these are; `path` names it in messages.
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Npz> {
        Npz::read(Arc::new(Source::from_bytes(path, bytes)))
    }

    pub(crate) fn read(source: Arc<Source>) -> Result<Npz> {
        let archive = ZipArchive::new(source.reader()).map_err(|error| damaged(&source, error))?;
        Ok(Npz { source, archive })
    }

    /// Names of the arrays, as numpy has them: without `.npy`.
    pub fn names(&self) -> Vec<&str> {
        self.archive.file_names().filter_map(|name| name.strip_suffix(".npy")).collect()
    }

    /// The array of that name. Fails with `Invalid` if there is none.
    pub fn array(&self, name: &str) -> Result<Array> {
        let member_name = format!("{name}.npy");
        let Some(index) = self.archive.index_for_name(&member_name) else {
            let message = format!("no array {name}: expected one of {}", self.names().join(", "));
            return Err(Error::new(ErrorKind::Invalid, self.source.path(), message));
        };
        let damaged = |error| damaged(&self.source, error);
        // A copy shares the directory and has a position of its own.
        let mut archive = self.archive.clone();
        let member = archive.by_index(index).map_err(damaged)?;
        let (bytes, packed) = (member.size(), member.compressed_size());
        match member.compression() {
            CompressionMethod::Stored => {
                let start = member.data_start();
                let Some(start) = start.filter(|_| bytes == packed) else {
                    let message = format!("member {name}: {bytes} bytes are stored as {packed}");
                    return Err(Error::format(self.source.path(), message));
                };
                Array::at(Arc::clone(&self.source), start, bytes, Some(name.to_owned()))
            }
            _ => {
                let what = format!("member {name}");
                let unpacked = source::unpack(&self.source, &what, member, bytes)?;
                Array::at(Arc::new(unpacked), 0, bytes, Some(name.to_owned()))
            }
        }
    }
}

impl Npz {
    /// The volumes in the array of that name; without one, in the only array of three or four axes. Fails with
    /// `Invalid` if there are several.
    pub fn volumes(&self, name: Option<&str>) -> Result<ArrayVolumes> {
        if let Some(name) = name {
            return self.array(name)?.into_volumes();
        }
        let names = self.names();
        if let [name] = names[..] {
            return self.array(name)?.into_volumes();
        }
        let mut found = Vec::new();
        for name in &names {
            let array = self.array(name)?;
            if matches!(array.shape().len(), 3 | 4) {
                found.push(array);
            }
        }
        match (found.pop(), found.len()) {
            (Some(array), 0) => array.into_volumes(),
            (_, n) => {
                let n = n + 1;
                let message =
                    format!("{n} arrays of volumes; say which one to read of {}", names.join(", "));
                Err(Error::new(ErrorKind::Invalid, self.source.path(), message))
            }
        }
    }
}

fn damaged(source: &Source, error: ZipError) -> Error {
    let path = source.path();
    match error {
        ZipError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Error::format(path, "zip archive: the file is cut short")
        }
        ZipError::Io(error) => match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) => Error::format(path, format!("zip archive: {error}")),
        },
        ZipError::InvalidArchive(what) => Error::format(
            path,
            format!("no .npz file, which is a zip archive of arrays, or a damaged one ({what})"),
        ),
        ZipError::UnsupportedArchive(what) => {
            Error::new(ErrorKind::Unsupported, path, format!("zip archive: {what}"))
        }
        error => Error::format(path, format!("zip archive: {error}")),
    }
}

/// A data set of MedMNIST3D: cubes of 28 or 64 voxels, and their classes.
#[derive(Debug)]
pub struct MedMnist {
    /// What to train with.
    pub train: Split,
    /// What to choose a model with.
    pub validation: Split,
    /// What to judge it with.
    pub test: Split,
}

/// Part of a data set.
#[derive(Debug)]
pub struct Split {
    /// The volumes.
    pub volumes: ArrayVolumes,
    /// Their classes, counted from 0, in the same order.
    pub labels: Vec<usize>,
}

impl MedMnist {
    /// Opens a data set. Fails unless each part has as many labels as volumes.
    pub fn open(path: impl AsRef<Path>) -> Result<MedMnist> {
        MedMnist::read(&Npz::open(path)?)
    }

    /// The data set in an archive.
    pub fn read(archive: &Npz) -> Result<MedMnist> {
        Ok(MedMnist {
            train: split(archive, "train")?,
            validation: split(archive, "val")?,
            test: split(archive, "test")?,
        })
    }
}

/// The part of that name. Keys and shapes are those of medmnist 3: `[n, z, y, x]` and `[n, 1]`.
fn split(archive: &Npz, name: &str) -> Result<Split> {
    let path = archive.source.path();
    let volumes = archive.array(&format!("{name}_images"))?.into_volumes()?;
    let labels = archive.array(&format!("{name}_labels"))?;
    let n = volumes.n_volumes();
    if !matches!(*labels.shape(), [found] | [found, 1] if found == n) {
        let message = format!(
            "member {name}_labels: expected shape [{n}, 1], a label for each volume, found {:?}",
            labels.shape()
        );
        return Err(Error::format(path, message));
    }
    let labels = labels.integers()?.into_iter().enumerate().map(|(index, label)| {
        usize::try_from(label).map_err(|_| {
            let message = format!("member {name}_labels: label {index} is {label}");
            Error::format(path, message)
        })
    });
    Ok(Split { volumes, labels: labels.collect::<Result<_>>()? })
}
