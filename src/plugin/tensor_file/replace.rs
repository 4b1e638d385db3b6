//! A file is replaced as a whole or not at all.

use std::{
    ffi::OsStr,
    fs::{self, File, Permissions},
    io::{self, BufWriter, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::error::{Error, ErrorKind, Result};

/// Most symbolic links that are followed: the limit of Linux (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// Puts what `write` writes in the place of the file at `path`, or of the one that it is a symbolic link to. Until
/// all of it is on disk the old file stays as it is; if anything fails it stays for good, unless what fails is the
/// last step, making the directory's new entry durable.
pub(super) fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> Result<()>,
) -> Result<()> {
    let target = target(path)?;
    let (Some(name), Some(directory)) = (target.file_name(), target.parent()) else {
        return Err(Error::invalid(format!("{}: not the name of a file", path.display())));
    };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    match fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => {}
        _ => {
            return Err(Error::new(
                ErrorKind::Io,
                format!("{}: there is no directory {}", path.display(), directory.display()),
            ));
        }
    }
    let io = |error: io::Error| Error::io(path, &error);
    let mut file = tempfile::Builder::new()
        .prefix(&temporary_prefix(name))
        .suffix(".tmp")
        // As `open` creates files: the process's umask takes its bits off. The default would be 0600.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory)
        .map_err(|error| {
            Error::new(
                ErrorKind::Io,
                format!(
                    "{}: cannot create a file in {}: {}",
                    path.display(),
                    directory.display(),
                    error.kind()
                ),
            )
        })?;
    let mut buffer = BufWriter::new(file.as_file_mut());
    write(&mut buffer)?;
    buffer.flush().map_err(io)?;
    drop(buffer);
    file.as_file().sync_all().map_err(io)?;
    file.persist(&target).map_err(|error| io(error.error))?;
    sync_directory(directory).map_err(io)
}

/// The file that `path` names once its symbolic links are followed; it need not exist. Fails if what is there must
/// not be replaced.
fn target(path: &Path) -> Result<PathBuf> {
    let io = |error: io::Error| Error::io(path, &error);
    let refuse = |why: &str| Err(Error::new(ErrorKind::Io, format!("{}: {why}", path.display())));
    let mut target = path.to_owned();
    for _ in 0..=MAX_LINKS {
        let metadata = match fs::symlink_metadata(&target) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(target),
            Err(error) => return Err(io(error)),
        };
        if metadata.is_symlink() {
            let link = fs::read_link(&target).map_err(io)?;
            // A relative link starts at the directory that it lies in; an absolute one replaces all of the path.
            target = target.parent().unwrap_or(Path::new("")).join(link);
        } else if metadata.is_dir() {
            return refuse("is a directory");
        } else if !metadata.is_file() {
            return refuse("is a device, pipe or socket, which must not be replaced");
        } else if metadata.permissions().readonly() {
            return refuse("is read-only");
        } else {
            return Ok(target);
        }
    }
    refuse("too many symbolic links")
}

/// `.<name>.`, cut well below the 255 bytes that file systems allow a name.
fn temporary_prefix(name: &OsStr) -> String {
    let name: String = name.to_string_lossy().chars().take(50).collect();
    format!(".{name}.")
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(directory).and_then(|directory| directory.sync_all()) {
        // Some network file systems cannot sync a directory; the rename has happened all the same.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) =>
        {
            Ok(())
        }
        // A directory may be writable but not readable.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

#[cfg(test)]
#[path = "replace_test.rs"]
mod replace_test;
