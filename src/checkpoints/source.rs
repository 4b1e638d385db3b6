//! Bytes by position. Files are read and never mapped: somebody who shortens a mapped file kills the host.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::Path,
};

use crate::error::{Error, ErrorKind, Result};

/// What a read beyond the end means: lengths are compared with the file's before anything is read.
pub(crate) const SHORTENED: &str = "the file became shorter while it was read";

/// Something that has a length and can be read anywhere.
pub trait Source: Send + Sync {
    /// Number of bytes.
    fn n_bytes(&self) -> u64;

    /// Fills `buffer` with the bytes from `offset` on.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Source for Vec<u8> {
    fn n_bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let bytes = start.and_then(|start| self.get(start..start.checked_add(buffer.len())?));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A file that is open.
struct OpenFile {
    file: File,
    n_bytes: u64,
}

impl Source for OpenFile {
    fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

/// Opens a regular file. Fails with `Io`, its message without the path.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Source>> {
    let io = |error| Error::io(&error);
    // Asked before opening: to open a pipe is to wait for its other end.
    let metadata = std::fs::metadata(path).map_err(io)?;
    if metadata.is_dir() {
        let message = "is a directory: name the file in it that holds the weights or their index";
        return Err(Error::new(ErrorKind::Io, message));
    }
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::Io, "is not a file"));
    }
    let file = File::open(path).map_err(io)?;
    let n_bytes = file.metadata().map_err(io)?.len();
    Ok(Box::new(OpenFile { file, n_bytes }))
}

/// A stretch of a source, read from front to back.
pub(crate) struct Stretch<'a> {
    source: &'a dyn Source,
    position: u64,
    end: u64,
}

impl<'a> Stretch<'a> {
    /// The bytes from `start` on. The stretch must lie within the source.
    pub fn new(source: &'a dyn Source, start: u64, n_bytes: u64) -> Stretch<'a> {
        Stretch { source, position: start, end: start.saturating_add(n_bytes) }
    }
}

impl Read for Stretch<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let n = left.min(buffer.len());
        let read = self.source.read_exact_at(&mut buffer[..n], self.position);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::other(SHORTENED),
            _ => error,
        })?;
        self.position += n as u64;
        Ok(n)
    }
}
