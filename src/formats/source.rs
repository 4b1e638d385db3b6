//! The bytes of a file, read by position. A file is never mapped: whoever shortens a mapped file kills the process.

mod packing;

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::error::{Error, ErrorKind, Result};

pub(crate) use self::packing::{Packing, unpack};

/// Bytes that a [`SourceReader`] takes from the file at once: a page or two of most devices.
const WINDOW: usize = 8 * 1024;

/// A file on disk, or a file's bytes in memory. Threads may share it.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    bytes: Bytes,
    len: u64,
}

#[derive(Debug)]
enum Bytes {
    File(File),
    Memory(Vec<u8>),
}

impl Source {
    /// Opens a file. Directories, pipes and devices are refused: they have no length and no positions.
    pub fn open(path: &Path) -> Result<Source> {
        let io = |error: io::Error| Error::io(path, &error);
        let metadata = fs::metadata(path).map_err(io)?;
        if !metadata.is_file() {
            let message = "is a directory, device or pipe; expected a file";
            return Err(Error::new(ErrorKind::Invalid, path, message));
        }
        let file = File::open(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        Ok(Source { path: path.to_owned(), bytes: Bytes::File(file), len })
    }

    /// A file's bytes; `path` only names it in messages.
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Source {
        let len = bytes.len() as u64;
        Source { path: path.to_owned(), bytes: Bytes::Memory(bytes), len }
    }

    /// The file's name, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Fills `buffer` from byte `offset` on. Fails if the file ends before.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        let n = buffer.len();
        let cut = |len: u64| {
            let message = format!("byte {offset}: expected {n} bytes, the file ends at byte {len}");
            Error::format(&self.path, message)
        };
        if end.is_none_or(|end| end > self.len) {
            return Err(cut(self.len));
        }
        match &self.bytes {
            // The end lies within the bytes in memory, so both offsets are theirs.
            Bytes::Memory(bytes) => {
                let start = offset as usize;
                buffer.copy_from_slice(&bytes[start..start + buffer.len()]);
                Ok(())
            }
            Bytes::File(file) => read_exact_at(file, buffer, offset).map_err(|error| {
                match (error.kind(), file.metadata()) {
                    (io::ErrorKind::UnexpectedEof, Ok(metadata)) => cut(metadata.len()),
                    _ => Error::io(&self.path, &error),
                }
            }),
        }
    }

    /// The first `n` bytes, or all if there are fewer.
    pub fn head(&self, n: usize) -> Result<Vec<u8>> {
        let mut head = vec![0; n.min(usize::try_from(self.len).unwrap_or(usize::MAX))];
        self.read_at(0, &mut head)?;
        Ok(head)
    }

    /// A reader of its own position, for crates that want one.
    pub fn reader(self: &Arc<Source>) -> SourceReader {
        SourceReader { source: Arc::clone(self), position: 0, window: Vec::new(), window_start: 0 }
    }
}

/// Like `FileExt::read_exact_at`, which only Unix has.
#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => (buffer, offset) = (&mut buffer[n..], offset + n as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// `Read` and `Seek` over a [`Source`]; seeking keeps what has been read around.
#[derive(Clone, Debug)]
pub(crate) struct SourceReader {
    source: Arc<Source>,
    position: u64,
    window: Vec<u8>,
    window_start: u64,
}

impl Read for SourceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.source.len.saturating_sub(self.position);
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        if wanted >= WINDOW {
            self.source.read_at(self.position, &mut buffer[..wanted]).map_err(io::Error::other)?;
            self.position += wanted as u64;
            return Ok(wanted);
        }
        let window_end = self.window_start + self.window.len() as u64;
        if !(self.window_start..window_end).contains(&self.position) {
            // A window's length is never more than what is left, which `wanted` shows to be some bytes.
            let n = left.min(WINDOW as u64) as usize;
            self.window.resize(n, 0);
            self.window_start = self.position;
            if let Err(error) = self.source.read_at(self.position, &mut self.window) {
                self.window.clear();
                return Err(io::Error::other(error));
            }
        }
        let start = (self.position - self.window_start) as usize;
        let n = wanted.min(self.window.len() - start);
        buffer[..n].copy_from_slice(&self.window[start..start + n]);
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for SourceReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.source.len.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        let message = "a position before the start of the file";
        self.position =
            position.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, message))?;
        Ok(self.position)
    }
}
