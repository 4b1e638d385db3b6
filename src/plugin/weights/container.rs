//! What a file is, by its content: names and extensions of checkpoints say little.

/// A container of weights that is read today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    /// A pickled flax checkpoint.
    FlaxPickle,
}

/// Bytes of the beginning of a file that `recognise` looks at.
pub(super) const N_HEAD: usize = 512;

/// The container, or in words what the file seems to be instead.
///
/// `head` is the beginning of the file, `N_HEAD` bytes or all of it, and `tail` its last 8 bytes.
pub(super) fn recognise(head: &[u8], tail: &[u8], n_bytes: u64) -> Result<Container, &'static str> {
    // The pickled magic number of `torch.save` before PyTorch 1.6.
    const TORCH_LEGACY: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    let starts = |magic: &[u8]| head.starts_with(magic);
    let contains = |text: &[u8]| head.windows(text.len()).any(|window| window == text);
    let text = String::from_utf8_lossy(head).trim_start().to_ascii_lowercase();
    Err(match head {
        [] => "is empty",
        [0x80, 2..=5, rest @ ..] if !rest.starts_with(TORCH_LEGACY) => {
            return Ok(Container::FlaxPickle);
        }
        [0x80, 2..=5, ..] => "is a PyTorch checkpoint of the format before PyTorch 1.6",
        [0x80, ..] => "is a pickle of an unknown protocol, or a damaged file",
        [b'P', b'K', 3, 4, ..] if contains(b".pkl") => "is a PyTorch checkpoint (zip)",
        [b'P', b'K', 3, 4, ..] if contains(b".npy") => "is a numpy archive (npz)",
        [b'P', b'K', 3, 4, ..] => "is a zip archive",
        [0x1f, 0x8b, ..] => "is compressed with gzip: unpack it first",
        // A msgpack map whose first key is a short text.
        [0x81..=0x8f, 0xa1..=0xbf, ..] => "is a flax checkpoint serialised with msgpack",
        _ if starts(b"\x89HDF\r\n\x1a\n") => "is an HDF5 file (Keras?)",
        _ if starts(b"\x93NUMPY") => "is a single numpy array (npy)",
        _ if is_safetensors(head, n_bytes) => "is a safetensors file",
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
        _ if head.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) => {
            "is a text file"
        }
        _ if head.iter().all(|byte| *byte == 0) => "holds zeros: the download went wrong",
        _ => "is of no format that cinetomo knows",
    })
}

/// Whether the file begins with the length of a JSON object, and that object.
fn is_safetensors(head: &[u8], n_bytes: u64) -> bool {
    head.split_first_chunk::<8>().is_some_and(|(length, json)| {
        u64::from_le_bytes(*length) < n_bytes && json.starts_with(b"{")
    })
}
