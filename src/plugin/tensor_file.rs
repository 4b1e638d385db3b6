//! Files of named f32 tensors and a JSON document, in the safetensors format: models and checkpoints of trainings.
//!
//! Any safetensors reader opens them. Nothing in them is ever run. Reading takes no more memory than the tensors need
//! and the file has, whatever its header claims; files are read, not mapped, so that one cut short meanwhile is an
//! error and not a signal. Writing replaces a file as a whole or not at all.

mod replace;

use std::{
    collections::HashMap,
    fmt::Display,
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};
use tch::Tensor;

use crate::{
    allocation,
    error::{Error, ErrorKind, Result},
    parameters::summary,
};

/// Longest header that readers of the format accept (safetensors 0.8, `MAX_HEADER_SIZE`).
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Values that are read or written at once.
const BLOCK: usize = 1 << 16;

/// What the file is.
pub(crate) struct FileKind {
    /// Key of the document in the header's metadata.
    pub key: &'static str,
    /// In words, for messages.
    pub name: &'static str,
    /// What else the user may have meant, for messages.
    pub advice: &'static str,
}

/// Writes tensors and their document to `path`, replacing a file that is there; a symbolic link is followed.
///
/// The new file is complete on disk before it takes the old one's place, so a crash at any moment leaves one or the
/// other, at worst with a hidden `.<name>.<random>.tmp` beside it. Fails with `Io`, leaving an old file as it was, and
/// with `NonFinite` if a value is NaN or infinite.
pub(crate) fn save(
    path: &Path,
    kind: &FileKind,
    document: String,
    tensors: &[(String, Tensor)],
) -> Result<()> {
    for (name, tensor) in tensors {
        check_finite(name, &allocation::values(tensor)?)?;
    }
    let header = header(kind, document, tensors).map_err(|error| error.within(path.display()))?;
    replace::replace(path, |file| {
        let write = |file: &mut dyn Write, bytes: &[u8]| {
            file.write_all(bytes).map_err(|error| Error::io(path, &error))
        };
        write(file, &(header.len() as u64).to_le_bytes())?;
        write(file, &header)?;
        // One tensor at a time, so that no second copy of all of them is made.
        let mut bytes = allocation::room(BLOCK * size_of::<f32>())?;
        for (_, tensor) in tensors {
            for block in allocation::values::<f32>(tensor)?.chunks(BLOCK) {
                bytes.clear();
                bytes.extend(block.iter().flat_map(|value| value.to_le_bytes()));
                write(file, &bytes)?;
            }
        }
        Ok(())
    })
}

/// An open file whose header has been read.
pub(crate) struct Reader<'p> {
    path: &'p Path,
    file: File,
    header: Metadata,
    kind: &'static FileKind,
}

impl<'p> Reader<'p> {
    /// Opens a file and checks its header. Fails with `Io` if it cannot be read, with `Format` if it is damaged or of
    /// another kind.
    pub fn open(path: &'p Path, kind: &'static FileKind) -> Result<Reader<'p>> {
        let io = |error: io::Error| Error::io(path, &error);
        let metadata = fs::metadata(path).map_err(io)?;
        if !metadata.is_file() {
            // Opening a pipe would wait for its other end.
            let message = format!("{}: a directory or device, not a {}", path.display(), kind.name);
            return Err(Error::new(ErrorKind::Io, message));
        }
        let mut file = File::open(path).map_err(io)?;
        let header = read_header(&mut file, metadata.len(), path, kind)?;
        Ok(Reader { path, file, header, kind })
    }

    /// The document. Fails with `Format` if there is none.
    pub fn document(&self) -> Result<&str> {
        let entries = self.header.metadata().as_ref();
        entries.and_then(|entries| entries.get(self.kind.key)).map(String::as_str).ok_or_else(
            || {
                let FileKind { name, advice, .. } = self.kind;
                let message = format!(
                    "not a {name} (a safetensors file without cinetomo's metadata); {advice}"
                );
                Error::format(self.path, message)
            },
        )
    }

    /// Fails with `ModelMismatch`, listing what is wrong, unless the file has exactly tensors of these names and shapes.
    pub fn check_tensors(&self, expected: &[(String, Vec<i64>)]) -> Result<()> {
        let mut found = self.header.tensors();
        let mut wrong: Vec<String> = Vec::new();
        for (name, shape) in expected {
            match found.remove(name) {
                None => wrong.push(format!("missing: {name}")),
                Some(info) if info.dtype != Dtype::F32 => {
                    wrong.push(format!("{name}: type {}, must be F32", info.dtype));
                }
                Some(info) if !info.shape.iter().map(|&n| n as i64).eq(shape.iter().copied()) => {
                    wrong.push(format!("{name}: shape {:?}, must be {shape:?}", info.shape));
                }
                Some(_) => {}
            }
        }
        let mut unexpected: Vec<String> = found.into_keys().collect();
        unexpected.sort_unstable();
        wrong.extend(unexpected.iter().map(|name| format!("unexpected: {name}")));
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::ModelMismatch, summary(&wrong))),
        }
    }

    /// Reads the values into `targets`, tensors of the names and shapes that `check_tensors` was given. Fails with
    /// `NonFinite` if a value is NaN or infinite.
    pub fn read_into(mut self, targets: Vec<(String, Tensor)>) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let mut targets: HashMap<String, Tensor> = targets.into_iter().collect();
        let mut bytes = allocation::filled(BLOCK * size_of::<f32>(), 0)?;
        for name in self.header.offset_keys() {
            let Some(target) = targets.get_mut(&name) else {
                continue; // Not reached: `check_tensors` found the same names on both sides.
            };
            let read = cinetomo_tensors::filled(&target.size(), |values| {
                for part in values.chunks_mut(BLOCK) {
                    let block = &mut bytes[..size_of_val(part)];
                    self.file.read_exact(block).map_err(|error| Error::io(self.path, &error))?;
                    for (value, bytes) in part.iter_mut().zip(block.as_chunks().0) {
                        *value = f32::from_le_bytes(*bytes);
                    }
                }
                check_finite(&name, values).map_err(|error| error.within(self.path.display()))
            })?;
            target.f_copy_(&read)?;
        }
        Ok(())
    }
}

fn check_finite(name: &str, values: &[f32]) -> Result<()> {
    match values.iter().filter(|value| !value.is_finite()).count() {
        0 => Ok(()),
        n => Err(Error::new(
            ErrorKind::NonFinite,
            format!("{name}: {n} of {} weights NaN or infinite", values.len()),
        )),
    }
}

/// The header: where each tensor is, and the document. Padded with spaces to whole words, as the format wants it.
fn header(kind: &FileKind, document: String, tensors: &[(String, Tensor)]) -> Result<Vec<u8>> {
    let mut end = 0;
    let infos = tensors
        .iter()
        .map(|(name, tensor)| {
            let shape: Vec<usize> = tensor.size().iter().map(|&extent| extent as usize).collect();
            let start = end;
            end += shape.iter().product::<usize>() * size_of::<f32>();
            (name.clone(), TensorInfo { dtype: Dtype::F32, shape, data_offsets: (start, end) })
        })
        .collect();
    let broken = |error: &dyn Display| {
        Error::new(ErrorKind::Panic, format!("the header of the {}: {error}", kind.name))
    };
    let metadata = Metadata::new(Some(HashMap::from([(kind.key.to_owned(), document)])), infos)
        .map_err(|error| broken(&error))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|error| broken(&error))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    if header.len() as u64 > MAX_HEADER_BYTES {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "names and history of the model take {} bytes, the format allows {MAX_HEADER_BYTES}",
                header.len()
            ),
        ));
    }
    Ok(header)
}

/// Reads and checks the header of a file of `length` bytes; leaves `file` at the first tensor.
fn read_header(file: &mut File, length: u64, path: &Path, kind: &FileKind) -> Result<Metadata> {
    let foreign = |detail: &dyn Display| {
        Error::format(path, format!("not a {} ({detail}); {}", kind.name, kind.advice))
    };
    let io = |error: io::Error| Error::io(path, &error);
    if length < 8 {
        return Err(foreign(&format_args!("{length} bytes are too few")));
    }
    let mut word = [0; 8];
    file.read_exact(&mut word).map_err(io)?;
    let header_bytes = u64::from_le_bytes(word);
    if header_bytes > MAX_HEADER_BYTES || header_bytes > length - 8 {
        return Err(foreign(&format_args!(
            "it would have a header of {header_bytes} bytes, in a file of {length}"
        )));
    }
    let mut bytes = allocation::filled(header_bytes as usize, 0)?;
    file.read_exact(&mut bytes).map_err(io)?;
    let header: Metadata = serde_json::from_slice(&bytes).map_err(|error| {
        foreign(&format_args!("its header is not that of safetensors: {error}"))
    })?;
    let expected = header_bytes.saturating_add(8).saturating_add(header.data_len() as u64);
    if length != expected {
        let fate = if length < expected { "cut short" } else { "something was appended" };
        return Err(Error::format(
            path,
            format!("damaged: {fate}; it has {length} bytes, its header describes {expected}"),
        ));
    }
    Ok(header)
}
