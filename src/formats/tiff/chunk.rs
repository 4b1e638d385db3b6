//! Strips and tiles: what is undone before their bytes are voxels.

use std::io::Read;

use flate2::read::ZlibDecoder;
use weezl::{BitOrder, LzwStatus, decode};

use crate::dtype::{Dtype, Endian};

/// How a chunk is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Lzw,
    Deflate,
    PackBits,
}

impl Compression {
    /// By its number in the file.
    pub fn of(number: u64) -> Option<Compression> {
        match number {
            1 => Some(Compression::None),
            5 => Some(Compression::Lzw),
            8 | 32946 => Some(Compression::Deflate),
            32773 => Some(Compression::PackBits),
            _ => None,
        }
    }

    /// How many bytes can come out of one: LZW's longest string, of a code of 12 bits, has fewer than 4096; deflate
    /// makes 258 of 2 bits; PackBits makes 128 of 2 bytes. Rounded up, as headers add to what is packed.
    pub fn expansion(self) -> u64 {
        match self {
            Compression::None => 1,
            Compression::Lzw => 4096,
            Compression::Deflate => 1040,
            Compression::PackBits => 64,
        }
    }

    /// Fills `unpacked` from the start of what is packed.
    pub fn unpack(self, packed: &[u8], unpacked: &mut [u8]) -> Result<(), String> {
        match self {
            Compression::None => match packed.get(..unpacked.len()) {
                Some(packed) => unpacked.copy_from_slice(packed),
                None => return Err("cut short".to_owned()),
            },
            Compression::Deflate => ZlibDecoder::new(packed)
                .read_exact(unpacked)
                .map_err(|error| format!("deflate: {error}"))?,
            Compression::Lzw => unpack_lzw(packed, unpacked)?,
            Compression::PackBits => {
                unpack_bits(packed, unpacked).ok_or("PackBits: the packed data is cut short")?;
            }
        }
        Ok(())
    }
}

fn unpack_lzw(mut packed: &[u8], mut unpacked: &mut [u8]) -> Result<(), String> {
    let mut decoder = decode::Decoder::with_tiff_size_switch(BitOrder::Msb, 8);
    while !unpacked.is_empty() {
        let result = decoder.decode_bytes(packed, unpacked);
        packed = &packed[result.consumed_in..];
        unpacked = &mut unpacked[result.consumed_out..];
        match result.status {
            Ok(LzwStatus::Ok) if result.consumed_in + result.consumed_out > 0 => {}
            Ok(LzwStatus::Done) if unpacked.is_empty() => {}
            Ok(_) => return Err("LZW: the packed data is cut short".to_owned()),
            Err(error) => return Err(format!("LZW: {error}")),
        }
    }
    Ok(())
}

/// TIFF 6.0, section 9: a byte n from 0 to 127 is followed by n + 1 bytes, one from -127 to -1 by a byte that is meant
/// 1 - n times.
fn unpack_bits(mut packed: &[u8], mut unpacked: &mut [u8]) -> Option<()> {
    while !unpacked.is_empty() {
        let (&control, rest) = packed.split_first()?;
        let control = control as i8;
        packed = rest;
        if control >= 0 {
            let n = control as usize + 1;
            let (bytes, rest) = packed.split_at_checked(n)?;
            // A run may end behind the chunk.
            let n = n.min(unpacked.len());
            unpacked[..n].copy_from_slice(&bytes[..n]);
            (packed, unpacked) = (rest, &mut unpacked[n..]);
        } else if control != i8::MIN {
            let (&byte, rest) = packed.split_first()?;
            let n = (1 + control.unsigned_abs() as usize).min(unpacked.len());
            unpacked[..n].fill(byte);
            (packed, unpacked) = (rest, &mut unpacked[n..]);
        }
    }
    Some(())
}

/// How voxels were made easier to pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Predictor {
    None,
    /// Each is the difference to its left neighbour, as an integer (TIFF 6.0, section 14).
    Difference,
    /// Bytes of floats are sorted by their weight, and each is the difference to its left neighbour (Adobe Photoshop
    /// TIFF Technical Note 3).
    Float,
}

impl Predictor {
    /// By its number in the file, if it makes sense there.
    pub fn of(number: u64, dtype: Dtype, compression: Compression) -> Option<Predictor> {
        let packs = matches!(compression, Compression::Lzw | Compression::Deflate);
        let float = matches!(dtype, Dtype::F16 | Dtype::F32 | Dtype::F64);
        match number {
            1 => Some(Predictor::None),
            2 if packs && !float => Some(Predictor::Difference),
            3 if packs && float => Some(Predictor::Float),
            _ => None,
        }
    }

    /// Turns a row of numbers of `size` bytes back into voxels, and says the order of their bytes.
    pub fn undo(self, row: &mut [u8], size: usize, endian: Endian) -> Endian {
        match self {
            Predictor::None => endian,
            Predictor::Difference => {
                if endian == Endian::Big {
                    row.chunks_exact_mut(size).for_each(<[u8]>::reverse);
                }
                match size {
                    1 => accumulate(row, |a: [u8; 1], b| [a[0].wrapping_add(b[0])]),
                    2 => accumulate(row, |a, b| {
                        u16::from_le_bytes(a).wrapping_add(u16::from_le_bytes(b)).to_le_bytes()
                    }),
                    4 => accumulate(row, |a, b| {
                        u32::from_le_bytes(a).wrapping_add(u32::from_le_bytes(b)).to_le_bytes()
                    }),
                    _ => accumulate(row, |a, b| {
                        u64::from_le_bytes(a).wrapping_add(u64::from_le_bytes(b)).to_le_bytes()
                    }),
                }
                Endian::Little
            }
            Predictor::Float => {
                accumulate(row, |a: [u8; 1], b| [a[0].wrapping_add(b[0])]);
                let n = row.len() / size;
                let planes = row.to_vec();
                for (i, number) in row.chunks_exact_mut(size).enumerate() {
                    for (weight, byte) in number.iter_mut().enumerate() {
                        *byte = planes[weight * n + i];
                    }
                }
                Endian::Big
            }
        }
    }
}

/// Replaces each number of `N` bytes by its sum with all before it.
fn accumulate<const N: usize>(row: &mut [u8], add: impl Fn([u8; N], [u8; N]) -> [u8; N]) {
    let mut sum = [0; N];
    for number in row.as_chunks_mut::<N>().0 {
        sum = add(sum, *number);
        *number = sum;
    }
}
