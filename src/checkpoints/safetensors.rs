//! Safetensors: the length of a JSON header in 8 bytes, the header, the values. Format: <https://github.com/huggingface/safetensors>.

use std::fmt;

use safetensors::{Dtype as Code, tensor::Metadata};
use serde::de::IgnoredAny;

use crate::{
    checkpoint::Contents,
    dtype::Dtype,
    error::{Error, Result},
    json::Unique,
    source::Source,
    tensor::{Layout, MAX_TENSORS, Storage, is_sound_name, row_major},
};

/// Longest header that readers of the format accept (safetensors 0.8, `MAX_HEADER_SIZE`).
pub(crate) const MAX_HEADER: u64 = 100_000_000;

/// Longest value of metadata that is kept, in characters.
const MAX_TEXT: usize = 200;

/// Key in the metadata of the model files of cinetomo.
const CINETOMO: &str = "cinetomo";

/// The tensors of a file.
pub(crate) fn read(source: &dyn Source) -> Result<Contents> {
    let n_bytes = source.n_bytes();
    let mut word = [0; 8];
    source.read_exact_at(&mut word, 0).map_err(|error| Error::io(&error))?;
    let n_header = u64::from_le_bytes(word);
    if n_header > MAX_HEADER || n_header > n_bytes.saturating_sub(8) {
        return Err(Error::format(format!(
            "a safetensors header of {n_header} bytes in a file of {n_bytes}: the file is cut short"
        )));
    }
    let mut text = vec![0; n_header as usize];
    source.read_exact_at(&mut text, 8).map_err(|error| Error::io(&error))?;
    let damaged = |error: &dyn fmt::Display| {
        Error::format(format!("the header is not that of safetensors: {error}"))
    };
    serde_json::from_slice::<Unique<IgnoredAny>>(&text).map_err(|error| damaged(&error))?;
    let header: Metadata = serde_json::from_slice(&text).map_err(|error| damaged(&error))?;
    let n_expected = (8 + n_header).saturating_add(header.data_len() as u64);
    if n_bytes != n_expected {
        let fate = if n_bytes < n_expected { "cut short" } else { "something was appended" };
        return Err(Error::format(format!(
            "{fate}: the file has {n_bytes} bytes, its header describes {n_expected}"
        )));
    }
    let mut contents = Contents::default();
    let metadata = header.metadata().iter().flatten();
    for (key, value) in metadata {
        if key == CINETOMO {
            return Err(Error::format(
                "a model of cinetomo, not a checkpoint of a video network: load it with model_load",
            ));
        }
        if is_sound_name(key) {
            contents.metadata.push((key.clone(), value.chars().take(MAX_TEXT).collect()));
        }
    }
    contents.metadata.sort_unstable();
    let names = header.offset_keys();
    if names.len() > MAX_TENSORS {
        return Err(Error::format(format!("more than {MAX_TENSORS} tensors")));
    }
    for name in names {
        let Some(info) = header.info(&name) else { continue };
        if !is_sound_name(&name) {
            let short: String = name.chars().take(200).collect();
            return Err(Error::format(format!("{short:?} is no name of a tensor")));
        }
        let (start, end) = info.data_offsets;
        // `Metadata` has checked that the offsets follow each other.
        let storage = Storage::plain(0, 8 + n_header + start as u64, (end - start) as u64);
        let shape: Vec<u64> = info.shape.iter().map(|extent| *extent as u64).collect();
        let strides = row_major(&shape);
        let dtype = dtype(info.dtype);
        let layout = Layout { dtype, shape, strides, offset: 0, big_endian: false };
        contents.tensors.push(layout.named(name, contents.storages.len(), &storage)?);
        contents.storages.push(storage);
    }
    Ok(contents)
}

fn dtype(code: Code) -> Dtype {
    match code {
        Code::F16 => Dtype::F16,
        Code::BF16 => Dtype::Bf16,
        Code::F32 => Dtype::F32,
        Code::F64 => Dtype::F64,
        Code::I8 => Dtype::I8,
        Code::I16 => Dtype::I16,
        Code::I32 => Dtype::I32,
        Code::I64 => Dtype::I64,
        Code::U8 => Dtype::U8,
        Code::U16 => Dtype::U16,
        Code::U32 => Dtype::U32,
        Code::U64 => Dtype::U64,
        Code::BOOL => Dtype::Bool,
        Code::C64 => Dtype::Other("complex64", 8),
        Code::F8_E4M3 => Dtype::Other("float8_e4m3fn", 1),
        Code::F8_E5M2 => Dtype::Other("float8_e5m2", 1),
        // Types of less than a byte, and what later releases add.
        _ => Dtype::Other("of a kind for quantised networks", 0),
    }
}
