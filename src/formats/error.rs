//! The one error type: which file, where in it, what is wrong and what would be right.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// Result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The system could not read or write the file.
    Io,
    /// The file is damaged, or of another format than it should be.
    Format,
    /// The file is sound, but of a kind that is not read; the message says what to do instead.
    Unsupported,
    /// The caller asked for what makes no sense.
    Invalid,
}

/// A file, and what is wrong with it.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    path: PathBuf,
    message: String,
}

impl Error {
    /// An error of the given kind; `message` names the place in the file (byte, line, column) where there is one.
    pub fn new(kind: ErrorKind, path: &Path, message: impl Into<String>) -> Error {
        Error(Box::new(Inner { kind, path: path.to_owned(), message: message.into() }))
    }

    /// The file is damaged or of another format.
    pub fn format(path: &Path, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Format, path, message)
    }

    /// The file could not be read or written.
    pub fn io(path: &Path, error: &io::Error) -> Error {
        Error::new(ErrorKind::Io, path, error.to_string())
    }

    /// Who must act.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.path.display(), self.0.message)
    }
}

impl std::error::Error for Error {}
