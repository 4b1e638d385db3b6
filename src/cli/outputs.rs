//! Files that a run will write: looked at before the work starts, so that it is not done in vain.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// Fails if one of the files exists (without `force`), is named twice, or has no directory to be in.
pub fn check<'a>(paths: impl IntoIterator<Item = &'a Path>, force: bool) -> Result<()> {
    let mut seen: Vec<&Path> = Vec::new();
    for path in paths {
        if seen.contains(&path) {
            return Err(Failure::Usage(format!("{} is named twice as output", path.display())));
        }
        seen.push(path);
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if !directory.is_dir() {
            return Err(Failure::at(
                path,
                format_args!("there is no directory {}", directory.display()),
            ));
        }
        if path.is_dir() {
            return Err(Failure::at(path, "is a directory; name a file to write"));
        }
        if path.exists() && !force {
            return Err(Failure::at(path, "exists already; --force replaces it"));
        }
    }
    Ok(())
}

/// `path` with this extension instead of its own.
pub fn beside(path: &Path, extension: &str) -> PathBuf {
    path.with_extension(extension)
}

/// The extension in small letters; empty if there is none.
pub fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}
