//! One door to all files of voxels: [`open`] tells the format by the file's content.
//!
//! ```
//! use cinetomo_formats::{mrc, volumes};
//! use ndarray::Array3;
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("tomogram.mrc");
//! mrc::write(&path, Array3::zeros((100, 200, 300)).view(), 10.0)?;
//!
//! let tomogram = volumes::open(&path)?;
//! assert_eq!((tomogram.n_volumes(), tomogram.shape()), (1, [100, 200, 300]));
//! assert_eq!(tomogram.voxel_size(), 10.0);
//! let subtomogram = tomogram.read_block(0, [34, 84, 134], [32, 32, 32])?;
//! assert_eq!(subtomogram.dim(), (32, 32, 32));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod directory;

use std::{ffi::OsStr, fmt::Debug, path::Path, sync::Arc};

use ndarray::Array3;

pub use self::directory::Directory;
use crate::{
    dtype::Dtype,
    em::{self, EmFile},
    error::{Error, ErrorKind, Result},
    montage::{self, Montage},
    mrc::{self, MrcFile},
    npy,
    npz::{self, Npz},
    source::Source,
    tiff::{self, TiffFile},
};

/// Extensions of files that this crate reads, in small letters; each may be followed by `.gz` or `.bz2` if it is of
/// MRC or EM.
pub const EXTENSIONS: [&str; 12] =
    ["mrc", "mrcs", "map", "rec", "st", "ali", "em", "tif", "tiff", "npy", "npz", "png"];

/// Extensions of MRC files among them.
const MRC_EXTENSIONS: &[&str] = &["mrc", "mrcs", "map", "rec", "st", "ali"];

/// What a file may not say rightly of itself; the default believes it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether 8-bit voxels of MRC and EM files are signed: see [`mrc::Options`] and [`em::Options`].
    pub signed_bytes: Option<bool>,
    /// What the sections of MRC files are: see [`mrc::Options`].
    pub layout: Option<mrc::Layout>,
    /// Which array of a `.npz` archive; by default the only one of three or four axes.
    pub array: Option<String>,
}

/// Opens a file, or a directory of files with one volume each.
pub fn open(path: impl AsRef<Path>) -> Result<Box<dyn VolumeSource>> {
    open_with(path, &Options::default())
}

/// As [`open`], with what the user knows better than the files.
pub fn open_with(path: impl AsRef<Path>, options: &Options) -> Result<Box<dyn VolumeSource>> {
    let path = path.as_ref();
    if path.is_dir() {
        return Ok(Box::new(Directory::open(path, options)?));
    }
    read(Arc::new(Source::open(path)?), options)
}

/// The file whose bytes these are; `path` names it in messages.
pub fn from_bytes(path: &Path, bytes: Vec<u8>, options: &Options) -> Result<Box<dyn VolumeSource>> {
    read(Arc::new(Source::from_bytes(path, bytes)), options)
}

fn read(source: Arc<Source>, options: &Options) -> Result<Box<dyn VolumeSource>> {
    let Options { signed_bytes, layout, array } = options;
    let (signed_bytes, layout) = (*signed_bytes, *layout);
    let mrc =
        |source| Ok(Box::new(MrcFile::read(source, &mrc::Options { signed_bytes, layout })?) as _);
    let em = |source| Ok(Box::new(EmFile::read(source, &em::Options { signed_bytes })?) as _);

    let packing = source.packing()?;
    let head = source.unpacked_head(packing, mrc::HEADER_BYTES)?;
    let extension = extension(source.path());
    let extension = extension.as_str();
    if packing.is_some() {
        // The length of what is packed is not known yet, so nothing tells an EM file but its name.
        return match extension {
            _ if mrc::Header::recognizes(&head) => mrc(source),
            "em" => em(source),
            _ if MRC_EXTENSIONS.contains(&extension) => mrc(source),
            _ => Err(Error::new(
                ErrorKind::Unsupported,
                source.path(),
                "a packed file that is neither MRC nor .em; unpack it first",
            )),
        };
    }
    if npy::recognizes(&head) {
        Ok(Box::new(npy::Array::read(source)?.into_volumes()?))
    } else if npz::recognizes(&head) {
        Ok(Box::new(Npz::read(source)?.volumes(array.as_deref())?))
    } else if tiff::recognizes(&head) {
        Ok(Box::new(TiffFile::read(source)?))
    } else if montage::recognizes(&head) {
        Ok(Box::new(Montage::read(source)?))
    } else if head.starts_with(b"\x89HDF\r\n\x1a\n") {
        let message = "an HDF5 file; convert it to MRC, as EMAN2's e2proc3d.py does";
        Err(Error::new(ErrorKind::Unsupported, source.path(), message))
    } else if mrc::Header::recognizes(&head) || MRC_EXTENSIONS.contains(&extension) {
        mrc(source)
    } else if EmFile::recognizes(&head, source.len()) || extension == "em" {
        em(source)
    } else {
        let first = &head[..head.len().min(8)];
        let message = format!(
            "begins with {first:02x?}: expected an MRC, EM, TIFF or numpy file, or a PNG montage"
        );
        Err(Error::format(source.path(), message))
    }
}

/// The extension in small letters, that before `.gz` or `.bz2` if there is one.
fn extension(path: &Path) -> String {
    let lower = |extension: Option<&OsStr>| {
        extension.unwrap_or_default().to_string_lossy().to_ascii_lowercase()
    };
    match lower(path.extension()).as_str() {
        "gz" | "bz2" => lower(path.file_stem().and_then(|stem| Path::new(stem).extension())),
        extension => extension.to_owned(),
    }
}

/// One or more volumes of one shape: a tomogram, a stack of subtomograms, a directory of them.
///
/// Indices count from 0; positions and shapes are z, y, x, and blocks lie in memory with x fastest. Reading needs
/// memory for the block and little more, and may be done by several threads at once.
pub trait VolumeSource: Debug + Send + Sync {
    /// The file or directory.
    fn path(&self) -> &Path;

    /// Number of volumes, at least 1.
    fn n_volumes(&self) -> usize;

    /// Voxels of each volume along z, y, x, each at least 1.
    fn shape(&self) -> [usize; 3];

    /// Edge of a voxel in angstrom; 0 = unknown.
    fn voxel_size(&self) -> f64;

    /// Type of the voxels in the file.
    fn dtype(&self) -> Dtype;

    /// The format in words, for people.
    fn format(&self) -> String;

    /// The block of `size` voxels from `start` on of volume `index`, as f32. NaN and infinity are delivered as they
    /// are. Fails with `Invalid` if the block does not lie within the volume.
    fn read_block(&self, index: usize, start: [usize; 3], size: [usize; 3]) -> Result<Array3<f32>>;

    /// All of volume `index`.
    fn read(&self, index: usize) -> Result<Array3<f32>> {
        self.read_block(index, [0; 3], self.shape())
    }

    /// A name for volume `index`: the file's, preceded by the number from 1 where the file has several, as RELION
    /// writes it (`000001@stack.mrcs`).
    fn name(&self, index: usize) -> String {
        let name = self.path().file_name().unwrap_or(self.path().as_os_str()).to_string_lossy();
        if self.n_volumes() == 1 { name.into_owned() } else { format!("{:06}@{name}", index + 1) }
    }
}

#[cfg(test)]
mod hostile_test;
#[cfg(test)]
mod volumes_test;
