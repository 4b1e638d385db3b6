//! The one error type: who must act, and what is wrong where.

use std::{fmt, io, path::Path};

use crate::source::SHORTENED;

/// Result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The system could not read the file.
    Io,
    /// The file is damaged, or no checkpoint that is read here.
    Format,
    /// A value is NaN or infinite.
    NonFinite,
    /// The machine has not enough memory for a tensor.
    OutOfMemory,
}

/// A kind and a message that names what is wrong, where, and what would be right.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
}

impl Error {
    /// An error of the given kind.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error(Box::new(Inner { kind, message: message.into() }))
    }

    /// The file is damaged or of another format.
    pub(crate) fn format(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Format, message)
    }

    /// The file could not be read.
    pub(crate) fn io(error: &io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::new(ErrorKind::Io, SHORTENED),
            io::ErrorKind::OutOfMemory => Error::new(ErrorKind::OutOfMemory, error.to_string()),
            _ => Error::new(ErrorKind::Io, error.to_string()),
        }
    }

    /// Who must act.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The same error, its message preceded by `context` and a colon.
    pub(crate) fn within(mut self, context: impl fmt::Display) -> Error {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// The same error, its message preceded by the file's path.
    pub(crate) fn in_file(self, path: &Path) -> Error {
        self.within(path.display())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}
