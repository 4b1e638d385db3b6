//! A directory of files with one volume each: how Dynamo, RELION and AITom store subtomograms.

use std::{
    cmp::Ordering,
    fs,
    path::{Path, PathBuf},
};

use ndarray::Array3;

use super::{EXTENSIONS, Options, VolumeSource, extension, open_with};
use crate::{
    dtype::Dtype,
    error::{Error, ErrorKind, Result},
};

/// The files of a directory, in the order of their names, numbers in them counted as numbers. Files of other
/// extensions than [`EXTENSIONS`], hidden files and directories are left alone.
///
/// Opening checks the header of every file; a file is opened again when its volume is read, so that a directory may
/// have more files than a process may have open.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    options: Options,
    files: Vec<PathBuf>,
    shape: [usize; 3],
    voxel_size: f64,
    dtype: Dtype,
    format: String,
}

impl Directory {
    /// Opens a directory. Fails if it has no file to read, or if one has several volumes or differs from the first in
    /// shape or voxel size.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Directory> {
        let path = path.as_ref();
        let io = |error| Error::io(path, &error);
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(io)? {
            let file = entry.map_err(io)?.path();
            let hidden =
                file.file_name().is_some_and(|name| name.as_encoded_bytes().first() == Some(&b'.'));
            if !hidden && EXTENSIONS.contains(&extension(&file).as_str()) && file.is_file() {
                files.push(file);
            }
        }
        files.sort_by(|a, b| natural(&a.to_string_lossy(), &b.to_string_lossy()));
        let Some(first) = files.first() else {
            let known = EXTENSIONS.join(", .");
            let message = format!("no file of subtomograms: expected names that end with .{known}");
            return Err(Error::new(ErrorKind::Invalid, path, message));
        };
        let first = open_one(first, options)?;
        let (shape, voxel_size) = (first.shape(), first.voxel_size());
        for file in &files[1..] {
            let other = open_one(file, options)?;
            if other.shape() != shape {
                let message = format!(
                    "expected {shape:?} voxels (z, y, x) as in {}, found {:?}",
                    first.name(0),
                    other.shape()
                );
                return Err(Error::new(ErrorKind::Invalid, file, message));
            }
            // A thousandth is far below what anyone calibrates.
            if (other.voxel_size() - voxel_size).abs() > 1e-3 * voxel_size {
                let message = format!(
                    "expected a voxel size of {voxel_size} angstrom as in {}, found {} (0 = unknown)",
                    first.name(0),
                    other.voxel_size()
                );
                return Err(Error::new(ErrorKind::Invalid, file, message));
            }
        }
        let (dtype, format) = (first.dtype(), format!("directory; first file: {}", first.format()));
        Ok(Directory {
            path: path.to_owned(),
            options: options.clone(),
            files,
            shape,
            voxel_size,
            dtype,
            format,
        })
    }

    /// The files, in the order of the volumes.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

fn open_one(file: &Path, options: &Options) -> Result<Box<dyn VolumeSource>> {
    let source = open_with(file, options)?;
    if source.n_volumes() != 1 {
        let message = format!(
            "{} volumes; in a directory every file must have one, open this one by itself",
            source.n_volumes()
        );
        return Err(Error::new(ErrorKind::Invalid, file, message));
    }
    Ok(source)
}

impl VolumeSource for Directory {
    fn path(&self) -> &Path {
        &self.path
    }

    fn n_volumes(&self) -> usize {
        self.files.len()
    }

    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn voxel_size(&self) -> f64 {
        self.voxel_size
    }

    /// Of the first file.
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn format(&self) -> String {
        self.format.clone()
    }

    fn read_block(&self, index: usize, start: [usize; 3], size: [usize; 3]) -> Result<Array3<f32>> {
        let Some(file) = self.files.get(index) else {
            let message = format!("volume {index}: there are {}, counted from 0", self.files.len());
            return Err(Error::new(ErrorKind::Invalid, &self.path, message));
        };
        let source = open_one(file, &self.options)?;
        if source.shape() != self.shape {
            let message = format!(
                "had {:?} voxels when its directory was opened, now {:?}",
                self.shape,
                source.shape()
            );
            return Err(Error::new(ErrorKind::Invalid, file, message));
        }
        source.read_block(0, start, size)
    }

    fn name(&self, index: usize) -> String {
        let name = self.files.get(index).and_then(|file| file.file_name()).unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

/// Orders texts with numbers as people do: `2` before `10`. Equal numbers of different length go by length, so that
/// different texts are never equal.
fn natural(a: &str, b: &str) -> Ordering {
    let mut rest = (a, b);
    loop {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (a_digits, b_digits) = (digits(rest.0), digits(rest.1));
        if a_digits > 0 && b_digits > 0 {
            let (a_number, a_rest) = rest.0.split_at(a_digits);
            let (b_number, b_rest) = rest.1.split_at(b_digits);
            let [x, y] = [a_number, b_number].map(|number| number.trim_start_matches('0'));
            // Of numbers without zeros in front the longer is the larger.
            let order = (x.len(), x).cmp(&(y.len(), y));
            if order != Ordering::Equal {
                return order;
            }
            rest = (a_rest, b_rest);
            continue;
        }
        let (mut a_letters, mut b_letters) = (rest.0.chars(), rest.1.chars());
        match (a_letters.next(), b_letters.next()) {
            (Some(x), Some(y)) if x == y => rest = (a_letters.as_str(), b_letters.as_str()),
            (None, None) => return a.cmp(b),
            (x, y) => return x.cmp(&y),
        }
    }
}
