//! Types of values, and how their bytes become f32.

use half::{bf16, f16, slice::HalfFloatSliceExt};

/// Type of a tensor's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE 754 binary16.
    F16,
    /// The upper half of an f32.
    Bf16,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// Signed, 8 bits.
    I8,
    /// Signed, 16 bits.
    I16,
    /// Signed, 32 bits.
    I32,
    /// Signed, 64 bits.
    I64,
    /// Unsigned, 8 bits.
    U8,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 64 bits.
    U64,
    /// A byte that is 0 or 1.
    Bool,
    /// A type whose values are not read: its name and its size in bytes.
    Other(&'static str, u64),
}

impl Dtype {
    /// Name, as PyTorch and numpy write it.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F16 => "float16",
            Dtype::Bf16 => "bfloat16",
            Dtype::F32 => "float32",
            Dtype::F64 => "float64",
            Dtype::I8 => "int8",
            Dtype::I16 => "int16",
            Dtype::I32 => "int32",
            Dtype::I64 => "int64",
            Dtype::U8 => "uint8",
            Dtype::U16 => "uint16",
            Dtype::U32 => "uint32",
            Dtype::U64 => "uint64",
            Dtype::Bool => "bool",
            Dtype::Other(name, _) => name,
        }
    }

    /// Size of a value in bytes.
    pub fn n_bytes(self) -> u64 {
        match self {
            Dtype::I8 | Dtype::U8 | Dtype::Bool => 1,
            Dtype::F16 | Dtype::Bf16 | Dtype::I16 | Dtype::U16 => 2,
            Dtype::F32 | Dtype::I32 | Dtype::U32 => 4,
            Dtype::F64 | Dtype::I64 | Dtype::U64 => 8,
            Dtype::Other(_, n_bytes) => n_bytes,
        }
    }

    /// Whether the values are floats that can be read.
    pub fn is_float(self) -> bool {
        matches!(self, Dtype::F16 | Dtype::Bf16 | Dtype::F32 | Dtype::F64)
    }

    /// Whether the values can be read.
    pub fn is_readable(self) -> bool {
        !matches!(self, Dtype::Other(..))
    }
}

/// Turns values into f32, rounding to the nearest. `bytes` holds as many values as `out`; those of more than a byte are
/// turned round in place if they are big-endian.
pub(crate) fn to_f32(dtype: Dtype, big_endian: bool, bytes: &mut [u8], out: &mut Vec<f32>) {
    let size = dtype.n_bytes() as usize;
    if big_endian && size > 1 {
        bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
    out.clear();
    macro_rules! each {
        ($type:ty) => {{
            const SIZE: usize = size_of::<$type>();
            let (values, _) = bytes.as_chunks::<SIZE>();
            out.extend(values.iter().map(|value| <$type>::from_le_bytes(*value) as f32));
        }};
    }
    match dtype {
        Dtype::F16 => {
            let (values, _) = bytes.as_chunks();
            let values: Vec<f16> = values.iter().map(|value| f16::from_le_bytes(*value)).collect();
            out.resize(values.len(), 0.0);
            values.convert_to_f32_slice(out);
        }
        Dtype::Bf16 => {
            let (values, _) = bytes.as_chunks();
            out.extend(values.iter().map(|value| bf16::from_le_bytes(*value).to_f32()));
        }
        Dtype::F32 => each!(f32),
        Dtype::F64 => each!(f64),
        Dtype::I8 => each!(i8),
        Dtype::I16 => each!(i16),
        Dtype::I32 => each!(i32),
        Dtype::I64 => each!(i64),
        Dtype::U8 | Dtype::Bool => each!(u8),
        Dtype::U16 => each!(u16),
        Dtype::U32 => each!(u32),
        Dtype::U64 => each!(u64),
        // Refused before a byte is read.
        Dtype::Other(..) => {}
    }
}
