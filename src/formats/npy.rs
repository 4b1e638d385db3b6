//! Arrays of numpy: `.npy` files, and the members of `.npz` archives.
//!
//! The format is numpy's `numpy.lib.format`, versions 1.0 to 3.0. Arrays of three axes are one volume z, y, x; of
//! four, volumes `[n, z, y, x]`.

mod header;
mod writer;

use std::{path::Path, sync::Arc};

use ndarray::Array3;

use self::header::Header;
pub use self::writer::Writer;
use crate::{
    dtype::{self, Dtype},
    error::{Error, ErrorKind, Result},
    source::Source,
    volumes::VolumeSource,
    voxels::{self, Grid, Voxels},
};

/// Most bytes of a header: 16 of prefix and length, and numpy's own limit for the text (`max_header_size`).
const MOST_HEADER_BYTES: usize = 16 + 10_000;

/// Whether a file begins like a `.npy` file.
pub(crate) fn recognizes(head: &[u8]) -> bool {
    head.starts_with(header::MAGIC)
}

/// An array in a file: its shape and type are read, its elements when they are asked for.
#[derive(Clone, Debug)]
pub struct Array {
    source: Arc<Source>,
    name: Option<String>,
    header: Header,
    start: u64,
}

impl Array {
    /// Opens a `.npy` file. Fails unless it has exactly the bytes that its header asks for.
    pub fn open(path: impl AsRef<Path>) -> Result<Array> {
        Array::read(Arc::new(Source::open(path.as_ref())?))
    }

    /// The file whose bytes these are; `path` names it in messages.
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Array> {
        Array::read(Arc::new(Source::from_bytes(path, bytes)))
    }

    pub(crate) fn read(source: Arc<Source>) -> Result<Array> {
        let len = source.len();
        Array::at(source, 0, len, None)
    }

    /// The array that takes the `len` bytes from byte `start` of a file on: a member of an archive, of that `name`.
    pub(crate) fn at(
        source: Arc<Source>,
        start: u64,
        len: u64,
        name: Option<String>,
    ) -> Result<Array> {
        let mut head = vec![0; len.min(MOST_HEADER_BYTES as u64) as usize];
        source.read_at(start, &mut head)?;
        let path = source.path().to_owned();
        let within = |message: String| match &name {
            Some(name) => format!("member {name}: {message}"),
            None => message,
        };
        let (header, header_bytes) =
            header::parse(&head).map_err(|message| Error::format(&path, within(message)))?;
        let expected = header.data_bytes().and_then(|bytes| bytes.checked_add(header_bytes as u64));
        if expected != Some(len) {
            let expected = expected.map_or("more than any file's".to_owned(), |n| n.to_string());
            let message = format!(
                "shape {:?} of type {} makes {expected} bytes, there are {len}",
                header.shape, header.dtype
            );
            return Err(Error::format(&path, within(message)));
        }
        Ok(Array { source, name, header, start: start + header_bytes as u64 })
    }

    /// Extents, slowest first.
    pub fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    /// Type of an element.
    pub fn dtype(&self) -> Dtype {
        self.header.dtype
    }

    /// All elements of an array of integers in C order: labels, indices. Fails with `Invalid` for other types, and
    /// with `Format` if one is more than an `i64` holds.
    pub fn integers(&self) -> Result<Vec<i64>> {
        let dtype = self.header.dtype;
        if matches!(dtype, Dtype::U4 | Dtype::F16 | Dtype::F32 | Dtype::F64) {
            return Err(self.error(ErrorKind::Invalid, format!("expected integers, found {dtype}")));
        }
        if self.header.fortran && self.shape().iter().filter(|&&extent| extent > 1).count() > 1 {
            let message = "in Fortran order; save numpy.ascontiguousarray(...) of it".to_owned();
            return Err(self.error(ErrorKind::Unsupported, message));
        }
        // `at` has shown that they are in the file.
        let n_bytes = self.header.data_bytes().unwrap_or(0) as usize;
        let mut bytes: Vec<u8> = voxels::zeros(&self.source, [1, 1, n_bytes])?;
        self.source.read_at(self.start, &mut bytes)?;
        dtype::integers(dtype, self.header.endian, &bytes).map_err(|(index, value)| {
            self.error(ErrorKind::Format, format!("element {index} is {value}: more than 2^63 - 1"))
        })
    }

    /// The array as volumes. Fails with `Unsupported` unless it has three axes, or four in C order.
    pub fn into_volumes(self) -> Result<ArrayVolumes> {
        let Header { dtype, endian, fortran, .. } = self.header;
        let grid = match (&self.header.shape[..], fortran) {
            (&[z, y, x], false) => Grid::zyx(1, [z, y, x], dtype, endian),
            // The first axis is the fastest in the file.
            (&[z, y, x], true) => Grid { n: 1, extents: [x, y, z], axes: [2, 1, 0], dtype, endian },
            (&[n, z, y, x], false) => Grid::zyx(n, [z, y, x], dtype, endian),
            (&[_, _, _, _], true) => {
                let message = "volumes in Fortran order lie across the whole file; save \
                               numpy.ascontiguousarray(...) of them";
                return Err(self.error(ErrorKind::Unsupported, message.to_owned()));
            }
            _ => {
                let shape = self.shape();
                let message = format!("shape {shape:?}: expected [z, y, x] or [n, z, y, x]");
                return Err(self.error(ErrorKind::Unsupported, message));
            }
        };
        let voxels = Voxels::new(self.source, self.start, grid)?;
        Ok(ArrayVolumes { voxels, name: self.name })
    }

    fn error(&self, kind: ErrorKind, message: String) -> Error {
        let message = match &self.name {
            Some(name) => format!("member {name}: {message}"),
            None => message,
        };
        Error::new(kind, self.source.path(), message)
    }
}

/// Volumes in an array of numpy. They have no voxel size.
#[derive(Clone, Debug)]
pub struct ArrayVolumes {
    voxels: Voxels,
    name: Option<String>,
}

impl VolumeSource for ArrayVolumes {
    fn path(&self) -> &Path {
        self.voxels.source().path()
    }

    fn n_volumes(&self) -> usize {
        self.voxels.grid().n
    }

    fn shape(&self) -> [usize; 3] {
        self.voxels.grid().shape()
    }

    fn voxel_size(&self) -> f64 {
        0.0
    }

    fn dtype(&self) -> Dtype {
        self.voxels.grid().dtype
    }

    fn format(&self) -> String {
        match &self.name {
            Some(name) => format!("numpy archive, array {name}"),
            None => "numpy array".to_owned(),
        }
    }

    fn read_block(&self, index: usize, start: [usize; 3], size: [usize; 3]) -> Result<Array3<f32>> {
        self.voxels.read_block(index, start, size)
    }
}
