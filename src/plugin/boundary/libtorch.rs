//! The copies of libtorch in this process.

use std::{error::Error as _, fs, path::PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// A mapped file, told apart as the kernel does: by device and inode.
#[derive(PartialEq, Eq)]
struct MappedFile {
    identity: String,
    path: PathBuf,
}

/// The copies of libtorch's CPU part in this process.
fn mapped() -> Vec<MappedFile> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut files: Vec<MappedFile> = Vec::new();
    for line in maps.lines() {
        // address perms offset device inode path
        let mut fields = line.splitn(6, ' ').map(str::trim);
        let (Some(device), Some(rest)) = (fields.nth(3), fields.next()) else { continue };
        let path = fields.next().unwrap_or_default();
        if !path.ends_with("/libtorch_cpu.so") {
            continue;
        }
        let identity = format!("{device} {rest}");
        if files.iter().all(|file| file.identity != identity) {
            files.push(MappedFile { identity, path: PathBuf::from(path) });
        }
    }
    files
}

/// The CPU part of libtorch in this process.
pub(super) fn path() -> Option<PathBuf> {
    mapped().into_iter().next().map(|file| file.path)
}

/// That there is one libtorch in the process: two share symbols and crash.
pub(super) fn check_single() -> Result<()> {
    match mapped().as_slice() {
        [first, second, ..] => Err(Error::new(
            ErrorKind::RuntimeConflict,
            format!(
                "this process has two copies of libtorch, which cannot work together: {} and {}; let the host and \
                 cinetomo share one (for Python: install cinetomo against the same torch)",
                first.path.display(),
                second.path.display()
            ),
        )),
        _ => Ok(()),
    }
}

/// A loader error with the system's reason.
pub(super) fn with_cause(error: &libloading::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| cause.to_string())
}
