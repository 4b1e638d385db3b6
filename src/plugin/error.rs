//! The one error type: what went wrong, in words, and who must act.

use std::{fmt, io, path::Path};

use tch::TchError;

/// Who must act on an error; the status codes of the C contract.
pub use cinetomo_abi::cinetomo_status as ErrorKind;

/// Result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

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
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error(Box::new(Inner { kind, message: message.into() }))
    }

    /// The caller passed a value that makes no sense.
    pub fn invalid(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::InvalidArgument, message)
    }

    /// A file is damaged or of another format.
    pub fn format(path: &Path, message: impl fmt::Display) -> Error {
        Error::new(ErrorKind::Format, format!("{}: {message}", path.display()))
    }

    /// A file could not be read or written.
    pub fn io(path: &Path, error: &io::Error) -> Error {
        Error::new(ErrorKind::Io, format!("{}: {error}", path.display()))
    }

    /// What a panic with this text at this place comes to. tch drops the numbers that it hands to libtorch before it looks
    /// whether libtorch failed, and what it then finds it panics with (`impl Drop for Scalar`, tch 0.26): memory that
    /// runs out is no defect.
    pub(crate) fn from_panic(text: &str, place: &str) -> Error {
        if let Some((_, failure)) = text.split_once("an `Err` value: Torch(\"") {
            let failure = failure.split("\\n").next().unwrap_or_default();
            let error = Error::from(TchError::Torch(failure.trim_end_matches("\")").to_owned()));
            if error.kind() == ErrorKind::OutOfMemory {
                return error;
            }
        }
        let message = format!("a defect in cinetomo, please report it: {text} ({place})");
        Error::new(ErrorKind::Panic, message)
    }

    /// Who must act.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The same error, its message preceded by `context` and a colon.
    pub fn within(mut self, context: impl fmt::Display) -> Error {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

/// The one place that reads libtorch's texts. Our own checks come before libtorch's, so what arrives here is memory
/// running out, a device failing, or a defect of ours.
impl From<TchError> for Error {
    fn from(error: TchError) -> Error {
        let text = error.to_string();
        // libtorch appends its C++ call stack; the first line is the message.
        let first_line = text.lines().next().unwrap_or_default().trim_end();
        if OUT_OF_MEMORY.iter().any(|sign| text.contains(sign)) {
            return Error::new(ErrorKind::OutOfMemory, format!("libtorch: {first_line}"));
        }
        if ONEDNN_FAILURES.iter().any(|sign| first_line.ends_with(sign)) {
            let message = format!(
                "libtorch: {first_line} (oneDNN's words where memory runs out; it remembers some failures: if this \
                 comes again with memory enough, only a new process helps)"
            );
            return Error::new(ErrorKind::OutOfMemory, message);
        }
        Error::new(ErrorKind::Backend, format!("libtorch: {first_line}"))
    }
}

/// What libtorch's allocators and C++ say when there is no memory left.
const OUT_OF_MEMORY: [&str; 4] =
    ["out of memory", "can't allocate memory", "not enough memory", "std::bad_alloc"];

/// How oneDNN fails with work that it has accepted: without a reason, and for want of memory, be it for a kernel's code.
/// What it does not accept is a "primitive descriptor".
const ONEDNN_FAILURES: [&str; 3] = [
    "could not create a primitive",
    "could not create a memory object",
    "could not execute a primitive",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_memory_that_tch_panics_with_is_no_defect() {
        let unwrapped = |text: &str| -> String {
            let fail = || -> Result<(), TchError> { Err(TchError::Torch(text.to_owned())) };
            let panic = std::panic::catch_unwind(|| fail().unwrap()).unwrap_err();
            panic.downcast_ref::<String>().unwrap().clone()
        };
        let text = "DefaultCPUAllocator: can't allocate memory: you tried 8\nException raised from";
        let error = Error::from_panic(&unwrapped(text), "scalar.rs:58");
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        let returned = Error::from(TchError::Torch(text.to_owned()));
        assert_eq!(error.to_string(), returned.to_string());
        for text in [unwrapped("shape '[2]' is invalid"), "index out of memory".to_owned()] {
            let error = Error::from_panic(&text, "file.rs:3");
            assert_eq!(error.kind(), ErrorKind::Panic, "{error}");
            assert!(error.to_string().ends_with(&format!("{text} (file.rs:3)")), "{error}");
        }
    }

    #[test]
    fn want_of_memory_is_told_from_other_failures() {
        let kind = |text: &str| Error::from(TchError::Torch(text.to_owned())).kind();
        for text in [
            "CUDA out of memory. Tried to allocate 2 GiB",
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes",
            "std::bad_alloc",
            "could not create a primitive\nException raised from somewhere",
            "could not execute a primitive",
        ] {
            assert_eq!(kind(text), ErrorKind::OutOfMemory, "{text}");
        }
        for text in
            ["could not create a primitive descriptor for a convolution", "shape '[2]' is invalid"]
        {
            assert_eq!(kind(text), ErrorKind::Backend, "{text}");
        }
    }
}
