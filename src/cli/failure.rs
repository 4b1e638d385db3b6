//! What ends a run early, and with which exit code.

use std::{fmt, path::Path};

use cinetomo_host::abi::cinetomo_status;

/// Result of everything in this program that can fail.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a run ended without its result.
#[derive(Debug)]
pub enum Failure {
    /// The command line asks for what makes no sense: exit code 2.
    Usage(String),
    /// A file, the plugin or the machine: exit code 1.
    Error(String),
    /// Ctrl-C, SIGTERM or SIGHUP: exit code 130.
    Interrupted,
}

impl Failure {
    /// An error about a file.
    pub fn at(path: &Path, message: impl fmt::Display) -> Failure {
        Failure::Error(format!("{}: {message}", path.display()))
    }

    /// The exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Error(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Interrupted => 130,
        }
    }

    /// The same with words before it that say where it was met.
    pub fn within(self, place: impl fmt::Display) -> Failure {
        match self {
            Failure::Error(message) => Failure::Error(format!("{place}: {message}")),
            other => other,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(message) | Failure::Error(message) => f.write_str(message),
            Failure::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl From<cinetomo_host::Error> for Failure {
    fn from(error: cinetomo_host::Error) -> Failure {
        if error.is(cinetomo_status::Cancelled) {
            return Failure::Interrupted;
        }
        Failure::Error(error.message().to_owned())
    }
}

impl From<cinetomo_formats::Error> for Failure {
    fn from(error: cinetomo_formats::Error) -> Failure {
        Failure::Error(error.to_string())
    }
}
