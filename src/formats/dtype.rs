//! Types of voxels, and how they become f32.

use std::fmt;

use half::f16;

/// Type of the voxels in a file. Blocks are read as f32, which holds integers of up to 16 bits and halves exactly;
/// wider types are rounded to the nearest f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say all")]
pub enum Dtype {
    /// Unsigned, two voxels a byte, the lower four bits first; every row starts with a byte of its own.
    U4,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    F32,
    F64,
}

impl Dtype {
    /// Bytes of a row of `n` voxels, or nothing if that is no number.
    pub(crate) fn row_bytes(self, n: u64) -> Option<u64> {
        let bytes = match self {
            Dtype::U4 => return Some(n.div_ceil(2)),
            Dtype::U8 | Dtype::I8 => 1,
            Dtype::U16 | Dtype::I16 | Dtype::F16 => 2,
            Dtype::U32 | Dtype::I32 | Dtype::F32 => 4,
            Dtype::U64 | Dtype::I64 | Dtype::F64 => 8,
        };
        n.checked_mul(bytes)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dtype::U4 => "unsigned 4-bit integer",
            Dtype::U8 => "unsigned 8-bit integer",
            Dtype::I8 => "signed 8-bit integer",
            Dtype::U16 => "unsigned 16-bit integer",
            Dtype::I16 => "signed 16-bit integer",
            Dtype::U32 => "unsigned 32-bit integer",
            Dtype::I32 => "signed 32-bit integer",
            Dtype::U64 => "unsigned 64-bit integer",
            Dtype::I64 => "signed 64-bit integer",
            Dtype::F16 => "16-bit float",
            Dtype::F32 => "32-bit float",
            Dtype::F64 => "64-bit float",
        })
    }
}

/// Order of the bytes of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endian {
    /// The lowest byte first.
    Little,
    /// The highest byte first.
    Big,
}

impl fmt::Display for Endian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Endian::Little => "little-endian",
            Endian::Big => "big-endian",
        })
    }
}

/// Decodes a row. `odd` is 1 if a row of 4-bit voxels starts with the upper half of its first byte.
pub(crate) fn decode(dtype: Dtype, endian: Endian, bytes: &[u8], odd: usize, voxels: &mut [f32]) {
    let big = endian == Endian::Big;
    match dtype {
        Dtype::U4 => {
            for (i, voxel) in voxels.iter_mut().enumerate() {
                let byte = bytes[(i + odd) / 2];
                *voxel =
                    f32::from(if (i + odd).is_multiple_of(2) { byte & 0xf } else { byte >> 4 });
            }
        }
        Dtype::U8 => fill(bytes, big, voxels, |[byte]| f32::from(byte)),
        Dtype::I8 => fill(bytes, big, voxels, |bytes| f32::from(i8::from_le_bytes(bytes))),
        Dtype::U16 => fill(bytes, big, voxels, |bytes| f32::from(u16::from_le_bytes(bytes))),
        Dtype::I16 => fill(bytes, big, voxels, |bytes| f32::from(i16::from_le_bytes(bytes))),
        Dtype::U32 => fill(bytes, big, voxels, |bytes| u32::from_le_bytes(bytes) as f32),
        Dtype::I32 => fill(bytes, big, voxels, |bytes| i32::from_le_bytes(bytes) as f32),
        Dtype::U64 => fill(bytes, big, voxels, |bytes| u64::from_le_bytes(bytes) as f32),
        Dtype::I64 => fill(bytes, big, voxels, |bytes| i64::from_le_bytes(bytes) as f32),
        Dtype::F16 => fill(bytes, big, voxels, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::F32 => fill(bytes, big, voxels, f32::from_le_bytes),
        Dtype::F64 => fill(bytes, big, voxels, |bytes| f64::from_le_bytes(bytes) as f32),
    }
}

/// Fills `voxels` from numbers of `N` bytes, which reach `number` with the lowest byte first.
fn fill<const N: usize>(
    bytes: &[u8],
    big: bool,
    voxels: &mut [f32],
    number: impl Fn([u8; N]) -> f32,
) {
    let (numbers, _) = bytes.as_chunks::<N>();
    for (voxel, &bytes) in voxels.iter_mut().zip(numbers) {
        let mut bytes = bytes;
        if big {
            bytes.reverse();
        }
        *voxel = number(bytes);
    }
}

/// Decodes integers. Fails with the index and value of the first that an `i64` cannot hold.
pub(crate) fn integers(
    dtype: Dtype,
    endian: Endian,
    bytes: &[u8],
) -> Result<Vec<i64>, (usize, u64)> {
    // A type without a size in bytes has no elements here.
    let size = dtype.row_bytes(1).unwrap_or(1) as usize;
    let signed = matches!(dtype, Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64);
    let number = |(index, bytes): (usize, &[u8])| {
        let lowest_first = |i: usize| bytes[if endian == Endian::Big { size - 1 - i } else { i }];
        let negative = signed && lowest_first(size - 1) >= 0x80;
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        for (i, byte) in wide.iter_mut().take(size).enumerate() {
            *byte = lowest_first(i);
        }
        let value = u64::from_le_bytes(wide);
        if !signed && value > i64::MAX as u64 { Err((index, value)) } else { Ok(value as i64) }
    };
    bytes.chunks_exact(size).enumerate().map(number).collect()
}
