//! What is known of a tensor before its values are read.

use crate::{
    dtype::Dtype,
    error::{Error, Result},
};

/// Longest name of a tensor, in bytes, which also bounds how deep dicts may nest. Those of I3D have up to 50.
pub(crate) const MAX_NAME: usize = 512;

/// Most axes of a tensor: PyTorch's and numpy's limit.
pub(crate) const MAX_AXES: usize = 64;

/// Most tensors in a checkpoint. Video networks have some hundreds.
pub(crate) const MAX_TENSORS: usize = 1 << 16;

/// A tensor of a checkpoint.
#[derive(Clone, Debug)]
pub struct TensorInfo {
    /// Name, with PyTorch's leaf names.
    pub name: String,
    /// Type of the values in the file.
    pub dtype: Dtype,
    /// Extent along each axis, in PyTorch's order of axes.
    pub shape: Vec<u64>,
    /// Distance between neighbours along each axis, in values.
    pub strides: Vec<u64>,
    /// Which storage holds the values.
    pub(crate) storage: usize,
    /// First byte of the first value, in the storage.
    pub(crate) offset: u64,
    /// Whether the most significant byte of a value comes first.
    pub(crate) big_endian: bool,
}

/// Bytes that one or several tensors share.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    /// Which part of the checkpoint holds them.
    pub part: usize,
    /// First byte in the part.
    pub start: u64,
    /// Number of bytes in the part.
    pub n_stored: u64,
    /// Number of bytes once decoded; for `Encoding::Latin1` an upper limit.
    pub n_bytes: u64,
    /// How they are written.
    pub encoding: Encoding,
    /// CRC-32 of the decoded bytes, where the container has one that its writers compute.
    pub checksum: Option<u32>,
}

/// How the bytes of a storage are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As they are.
    Plain,
    /// Compressed: RFC 1951.
    Deflate,
    /// As UTF-8 text in which each byte is a character: what pickle's protocol 2 writes bytes as.
    Latin1,
}

impl Storage {
    /// Bytes that lie in a part as they are.
    pub fn plain(part: usize, start: u64, n_bytes: u64) -> Storage {
        let encoding = Encoding::Plain;
        Storage { part, start, n_stored: n_bytes, n_bytes, encoding, checksum: None }
    }
}

/// Where a tensor's values are: everything but its name, not yet checked.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub dtype: Dtype,
    pub shape: Vec<u64>,
    pub strides: Vec<u64>,
    /// First byte of the first value.
    pub offset: u64,
    pub big_endian: bool,
}

impl Layout {
    /// The tensor of that name and layout. Fails if it reaches beyond the end of its storage.
    pub fn named(self, name: String, index: usize, storage: &Storage) -> Result<TensorInfo> {
        let Layout { dtype, shape, strides, offset, big_endian } = self;
        match end(dtype, &shape, &strides, offset) {
            Some(end) if end <= storage.n_bytes => {}
            _ => {
                return Err(Error::format(format!(
                    "{name}: shape {shape:?}, strides {strides:?} and type {} from byte {offset} on do not fit into \
                     the {} bytes that are there",
                    dtype.name(),
                    storage.n_bytes
                )));
            }
        }
        Ok(TensorInfo { name, dtype, shape, strides, storage: index, offset, big_endian })
    }
}

/// First byte of a storage that is not the tensor's; `None` if there is no such number. The number of values is checked
/// with it.
fn end(dtype: Dtype, shape: &[u64], strides: &[u64], offset: u64) -> Option<u64> {
    if shape.len() != strides.len() {
        return None;
    }
    let n_bytes = shape.iter().try_fold(dtype.n_bytes(), |n, extent| n.checked_mul(*extent))?;
    i64::try_from(n_bytes).ok()?;
    if n_bytes == 0 {
        return Some(offset);
    }
    let last = std::iter::zip(shape, strides).try_fold(0u64, |last, (extent, stride)| {
        last.checked_add((extent - 1).checked_mul(*stride)?)
    })?;
    last.checked_add(1)?.checked_mul(dtype.n_bytes())?.checked_add(offset)
}

/// Strides of a tensor whose last axis is fastest and that has no gaps; of no meaning if the extents overflow.
pub(crate) fn row_major(shape: &[u64]) -> Vec<u64> {
    let mut strides = vec![1u64; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis].max(1));
    }
    strides
}

/// Strides of a tensor whose first axis is fastest and that has no gaps.
pub(crate) fn column_major(shape: &[u64]) -> Vec<u64> {
    let reversed: Vec<u64> = shape.iter().rev().copied().collect();
    row_major(&reversed).into_iter().rev().collect()
}

impl TensorInfo {
    /// Number of values.
    pub fn n_values(&self) -> u64 {
        // `Layout::named` has checked that it does not overflow.
        self.shape.iter().product()
    }

    /// Number of bytes of the values.
    pub fn n_bytes(&self) -> u64 {
        self.n_values() * self.dtype.n_bytes()
    }

    /// Whether the values lie one after the other, the last axis fastest.
    pub(crate) fn is_contiguous(&self) -> bool {
        let strides = row_major(&self.shape);
        self.n_values() == 0
            || (0..self.shape.len())
                .all(|axis| self.shape[axis] == 1 || self.strides[axis] == strides[axis])
    }
}

/// That a name from a file may end up in messages.
pub(crate) fn is_sound_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control)
}
