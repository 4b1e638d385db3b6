//! What a file is, by its content: names and extensions of checkpoints say little.

use std::fmt;

use crate::{
    error::{Error, Result},
    safetensors,
    source::Source,
};

/// What a checkpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// `torch.save` since PyTorch 1.6.
    TorchZip,
    /// `torch.save` before.
    TorchLegacy,
    /// Safetensors.
    Safetensors,
    /// Numpy arrays in a pickle, as flax networks are kept.
    FlaxPickle,
    /// Numpy arrays in a zip archive.
    Npz,
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Container::TorchZip => "PyTorch checkpoint (zip)",
            Container::TorchLegacy => "PyTorch checkpoint (the format before PyTorch 1.6)",
            Container::Safetensors => "safetensors file",
            Container::FlaxPickle => "flax checkpoint (pickled numpy arrays)",
            Container::Npz => "numpy archive (npz)",
        })
    }
}

/// What a file is as far as its beginning tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    TorchLegacy,
    Safetensors,
    FlaxPickle,
    /// Its members tell more.
    Zip,
    /// Perhaps the index of a checkpoint in parts.
    Json,
}

/// What is read, for messages about files that are something else.
pub(crate) const READ: &str = "PyTorch checkpoints (.pth, .pt, .bin, .pyth), safetensors, flax checkpoints (pickled numpy \
                               arrays) and npz are read";

/// Bytes of the beginning of a file that `recognise` looks at.
const N_HEAD: u64 = 512;

/// What a file is. Fails with `Format` if it is nothing that is read, saying in words what it seems to be.
pub(crate) fn recognise(source: &dyn Source) -> Result<Kind> {
    let n_bytes = source.n_bytes();
    let mut head = vec![0; N_HEAD.min(n_bytes) as usize];
    let mut tail = vec![0; 8.min(n_bytes) as usize];
    let io = |error| Error::io(&error);
    source.read_exact_at(&mut head, 0).map_err(io)?;
    let tail_start = n_bytes - tail.len() as u64;
    source.read_exact_at(&mut tail, tail_start).map_err(io)?;
    by_bytes(&head, &tail).map_err(|what| Error::format(format!("{what}; {READ}")))
}

/// What a file is, by its beginning and its last 8 bytes.
fn by_bytes(head: &[u8], tail: &[u8]) -> Result<Kind, &'static str> {
    // The pickled magic number of `torch.save` before PyTorch 1.6; pickle's protocol 4 puts a frame before it.
    const TORCH_LEGACY: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    let starts = |magic: &[u8]| head.starts_with(magic);
    let text = String::from_utf8_lossy(head).trim_start().to_ascii_lowercase();
    Err(match head {
        [] => "is empty",
        // First, as the length that such a file begins with may look like the beginning of any other.
        _ if is_safetensors(head, safetensors::MAX_HEADER) => return Ok(Kind::Safetensors),
        [0x80, 2..=5, rest @ ..] | [0x80, 2..=5, 0x95, _, _, _, _, _, _, _, _, rest @ ..]
            if rest.starts_with(TORCH_LEGACY) =>
        {
            return Ok(Kind::TorchLegacy);
        }
        [0x80, 2..=5, ..] => return Ok(Kind::FlaxPickle),
        [0x80, ..] => "is a pickle of an unknown protocol, or a damaged file",
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => return Ok(Kind::Zip),
        [0x1f, 0x8b, ..] => "is compressed with gzip: unpack it first",
        // A msgpack map whose first key is a short text.
        [0x81..=0x8f, 0xa1..=0xbf, ..] => "is a flax checkpoint serialised with msgpack",
        _ if starts(b"\x89HDF\r\n\x1a\n") => "is an HDF5 file (Keras?)",
        _ if starts(b"\x93NUMPY") => "is a single numpy array (npy)",
        _ if is_safetensors(head, 1 << 40) => return Ok(Kind::Safetensors),
        // The magic number at the end of an SSTable, which the index of a TensorFlow checkpoint is.
        _ if tail == 0xdb47_7524_8b80_fb57u64.to_le_bytes() => {
            "is the index of a TensorFlow checkpoint"
        }
        _ if head.get(257..262) == Some(b"ustar") => "is a tar archive: unpack it first",
        _ if head.get(208..212) == Some(b"MAP ") => "is an MRC volume, not a network",
        _ if text.starts_with("version https://git-lfs") => {
            "is a git-lfs pointer, not the file itself: fetch it with `git lfs pull`"
        }
        _ if text.starts_with("<!doctype html") || text.starts_with("<html") => {
            "is a web page: the download went wrong"
        }
        _ if starts(b"(d")
            || starts(b"(l")
            || starts(b"c__builtin__")
            || starts(b"ccollections") =>
        {
            "is a pickle of protocol 0 or 1; save it with protocol 4"
        }
        _ if text.starts_with('{') => return Ok(Kind::Json),
        _ if head.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) => {
            "is a text file"
        }
        _ if head.iter().all(|byte| *byte == 0) => "holds zeros: the download went wrong",
        _ => "is of no format that cinetomo knows",
    })
}

/// Whether the file begins with the length of a JSON object, at most so many bytes, and that object.
fn is_safetensors(head: &[u8], max_header: u64) -> bool {
    head.split_first_chunk::<8>().is_some_and(|(length, json)| {
        u64::from_le_bytes(*length) <= max_header && json.starts_with(b"{")
    })
}
