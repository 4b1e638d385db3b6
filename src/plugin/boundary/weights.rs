//! Checkpoints of video networks.

use std::{ffi::c_char, path::Path};

use cinetomo_abi::cinetomo_error;

use super::{error::to_c_text, guard::boundary, read, write::OutBuffer};
use crate::{error::Result, weights};

/// Looks into a checkpoint of a video network without loading it: what it is, and whether `cinetomo_model_from_video` will
/// take it. `path` is UTF-8. `out_json` receives a JSON object as NUL-terminated text; `*out_len` its length in bytes,
/// the NUL included. With `capacity` 0 only `*out_len` is written, and only the headers of the file are read; with a
/// buffer all of it is, once, for the hash. No code in a file is ever run.
///
/// Fields of the object:
/// "path": text, the file. "container": text, what the file is, in words. "n_parts": number of files with weights, 1 unless it
/// is the index of several. "n_bytes": size of all files. "sha256": text, 64 hexadecimal digits, of the file; of an index,
/// of it and its parts in the order of their names, one after the other. "metadata": object of texts, plain values that the
/// file keeps beside the tensors, such as "epoch" and "arch". "tensors": array, by name, of objects with "name" (text),
/// "dtype" (text, such as "float32"), "shape" (array of numbers), "n_bytes" (number). "network": text, what
/// `options->backbone` calls the network that the file holds, or null. "n_classes": number of classes of its video head, or
/// null. "nearest": text, the network that it comes nearest to if it holds none, or null. "wrong": array of texts, all that
/// keeps it from being that. "guess": text, what else it may be, or "". Fields may be added.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT; IO; FORMAT if the file is no checkpoint that is read, the message saying what it
/// is; BUFFER_TOO_SMALL. A file that holds no known network is no error. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_weights_inspect(
    path: *const c_char,
    out_json: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutBuffer::new(out_json, capacity, out_len, "out_json")?;
            let path = Path::new(read::text(path, "path")?);
            if out.wants(json(path, false)?.len())? {
                let json = json(path, true)?;
                // Asked again: the file may have changed meanwhile.
                if out.wants(json.len())? {
                    out.write(&json);
                }
            }
            Ok(())
        })
    }
}

/// Hexadecimal digits of a SHA-256.
const N_DIGITS: usize = 64;

/// What is in the file; without the hash, zeros in its place, so that the length is the same.
fn json(path: &Path, with_hash: bool) -> Result<Vec<c_char>> {
    let mut inspection = weights::inspect(path, with_hash)?;
    inspection.sha256.get_or_insert_with(|| "0".repeat(N_DIGITS));
    let text = to_c_text(&inspection.to_json());
    Ok(text.as_bytes_with_nul().iter().map(|byte| *byte as c_char).collect())
}
