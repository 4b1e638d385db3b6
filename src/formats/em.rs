//! EM files (`.em`), as Dynamo, PyTom and TOM write them: a header of 512 bytes and one volume.
//!
//! The header's first byte names the machine and so the order of bytes, the fourth the type of the voxels; three
//! 32-bit extents x, y, z follow (the layout documented in TOM's `tom_emread`). There is no reliable voxel size.

use std::{path::Path, sync::Arc};

use ndarray::Array3;

use crate::{
    dtype::{Dtype, Endian},
    error::{Error, ErrorKind, Result},
    source::Source,
    volumes::VolumeSource,
    voxels::{self, Grid, Voxels},
};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 512;

/// What a file does not say of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether bytes (type 1) are signed. By default they are, as for PyTom and the package `emfile`.
    pub signed_bytes: Option<bool>,
}

/// An open EM file. Opening reads and checks the header; voxels are read block by block.
#[derive(Debug)]
pub struct EmFile {
    voxels: Voxels,
}

impl EmFile {
    /// Opens a file, unpacking it first if it is packed. Fails unless it has exactly the bytes that its header asks for.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<EmFile> {
        EmFile::read(Arc::new(Source::open(path.as_ref())?), options)
    }

    /// The file whose bytes these are; `path` names it in messages.
    pub fn from_bytes(path: &Path, bytes: Vec<u8>, options: &Options) -> Result<EmFile> {
        EmFile::read(Arc::new(Source::from_bytes(path, bytes)), options)
    }

    /// Whether a file of `len` bytes that begins like this is an EM file. The format has no mark, so everything that
    /// the header says must fit.
    pub(crate) fn recognizes(head: &[u8], len: u64) -> bool {
        parse(head, &Options::default(), Path::new(""))
            .and_then(|grid| voxels::end(&grid, HEADER_BYTES as u64, Path::new("")))
            .is_ok_and(|end| end == len)
    }

    pub(crate) fn read(source: Arc<Source>, options: &Options) -> Result<EmFile> {
        let path = source.path().to_owned();
        let (_, voxels) = Voxels::of_file(source, HEADER_BYTES, |head| {
            Ok(((), parse(head, options, &path)?, HEADER_BYTES as u64))
        })?;
        Ok(EmFile { voxels })
    }
}

/// What the header says.
fn parse(head: &[u8], options: &Options, path: &Path) -> Result<Grid> {
    let format = |message: String| Err(Error::format(path, message));
    let Some(head) = head.first_chunk::<HEADER_BYTES>() else {
        return format(format!("an EM header has {HEADER_BYTES} bytes, found {}", head.len()));
    };
    let endian = match head[0] {
        6 => Endian::Little,
        // OS-9, Convex, SGI, Sun, Macintosh.
        0 | 2..=5 => Endian::Big,
        1 => {
            let message = "byte 0: the machine is a VAX, whose numbers no machine has today";
            return Err(Error::new(ErrorKind::Unsupported, path, message));
        }
        machine => return format(format!("byte 0: the machine is {machine}, expected 0 to 6")),
    };
    let dtype = match head[3] {
        1 if options.signed_bytes.unwrap_or(true) => Dtype::I8,
        1 => Dtype::U8,
        2 => Dtype::I16,
        4 => Dtype::I32,
        5 => Dtype::F32,
        9 => Dtype::F64,
        8 | 10 => {
            let message = "byte 3: complex numbers; transform back to a volume";
            return Err(Error::new(ErrorKind::Unsupported, path, message));
        }
        other => return format(format!("byte 3: the type is {other}, expected 1, 2, 4, 5 or 9")),
    };
    let mut zyx = [0; 3];
    for (axis, bytes) in head[4..16].as_chunks::<4>().0.iter().enumerate() {
        let extent = match endian {
            Endian::Little => i32::from_le_bytes(*bytes),
            Endian::Big => i32::from_be_bytes(*bytes),
        };
        zyx[2 - axis] = match usize::try_from(extent) {
            Ok(extent) if extent > 0 => extent,
            _ => {
                let at = 4 + 4 * axis;
                return format(format!(
                    "byte {at}: extent {} is {extent} ({endian}, as byte 0 has it), expected 1 or more",
                    ["x", "y", "z"][axis]
                ));
            }
        };
    }
    Ok(Grid::zyx(1, zyx, dtype, endian))
}

impl VolumeSource for EmFile {
    fn path(&self) -> &Path {
        self.voxels.source().path()
    }

    fn n_volumes(&self) -> usize {
        1
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
        format!("EM, a volume, {}{}", self.voxels.grid().endian, self.voxels.packed())
    }

    fn read_block(&self, index: usize, start: [usize; 3], size: [usize; 3]) -> Result<Array3<f32>> {
        self.voxels.read_block(index, start, size)
    }
}
