//! Files that are read as a whole, and replaced as a whole or not at all.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::error::{Error, ErrorKind, Result};

/// All bytes of a file. Directories, pipes and devices are refused: they have no end to rely on.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let io = |error: io::Error| Error::io(path, &error);
    if !fs::metadata(path).map_err(io)?.is_file() {
        let message = "is a directory, device or pipe; expected a file";
        return Err(Error::new(ErrorKind::Invalid, path, message));
    }
    fs::read(path).map_err(io)
}

/// Puts a file with these bytes in the place of the one at `path`, or of the one that it is a symbolic link to: whole,
/// or not at all.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    replace(path, |out| out.write_all(bytes).map_err(|error| Error::io(path, &error)))
}

/// Puts what `write` writes in the place of the file at `path`, or of the one that it is a symbolic link to. Until
/// all of it is on disk the old file stays as it is; if anything fails it stays for good.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<NamedTempFile>) -> Result<()>,
) -> Result<()> {
    let mut replacement = Replacement::create(path)?;
    write(&mut replacement.file)?;
    replacement.commit()
}

/// A new file beside the one that it shall replace. Dropped before `commit`, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Replacement {
    path: PathBuf,
    target: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl Replacement {
    /// Starts a file that will stand at `path`, or at the end of the symbolic links there.
    pub fn create(path: &Path) -> Result<Replacement> {
        let target = target(path)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".cinetomo.").suffix(".tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As `open` creates files: the process's umask takes its bits off. The default would be 0600.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let directory = directory(&target);
        let file = builder.tempfile_in(directory).map_err(|error| {
            let directory = directory.display();
            let message = format!("cannot create a file in {directory}: {}", error.kind());
            Error::new(ErrorKind::Io, path, message)
        })?;
        Ok(Replacement { path: path.to_owned(), target, file: BufWriter::new(file) })
    }

    /// The path that it was created for.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| Error::io(&self.path, &error))
    }

    /// Writes over the first bytes.
    pub fn write_at_start(&mut self, bytes: &[u8]) -> Result<()> {
        let file = &mut self.file;
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(bytes))
            .and_then(|()| file.seek(SeekFrom::End(0)))
            .map(|_| ())
            .map_err(|error| Error::io(&self.path, &error))
    }

    /// Makes the new file durable and puts it in the old one's place.
    pub fn commit(self) -> Result<()> {
        let Replacement { path, target, file } = self;
        let io = |error: io::Error| Error::io(&path, &error);
        let file = file.into_inner().map_err(|error| io(error.into_error()))?;
        file.as_file().sync_all().map_err(io)?;
        file.persist(&target).map_err(|error| io(error.error))?;
        sync_directory(directory(&target)).map_err(io)
    }
}

fn directory(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The file that `path` names once its symbolic links are followed; it need not exist.
fn target(path: &Path) -> Result<PathBuf> {
    let refuse = |message: &str| Err(Error::new(ErrorKind::Io, path, message));
    if path.file_name().is_none() {
        return refuse("is not the name of a file");
    }
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => refuse("is a directory"),
        Ok(metadata) if !metadata.is_file() => {
            refuse("is a device, pipe or socket, which must not be replaced")
        }
        Ok(metadata) if metadata.permissions().readonly() => refuse("is read-only"),
        Ok(_) => fs::canonicalize(path).map_err(|error| Error::io(path, &error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::symlink_metadata(path) {
            Ok(_) => refuse("is a symbolic link to nothing"),
            Err(_) => Ok(path.to_owned()),
        },
        Err(error) => Err(Error::io(path, &error)),
    }
}

/// Makes a directory's new entry durable, where the system can.
#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(directory).and_then(|directory| directory.sync_all()) {
        // Some network file systems cannot sync a directory, and one may be writable but not readable; the rename has
        // happened all the same.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput
                    | io::ErrorKind::Unsupported
                    | io::ErrorKind::PermissionDenied
            ) =>
        {
            Ok(())
        }
        result => result,
    }
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_leaves_the_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list.star");
        fs::write(&path, "old").unwrap();
        let failed = replace(&path, |out| {
            out.write_all(b"half").unwrap();
            Err(Error::format(&path, "no"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        replace(&path, |out| out.write_all(b"new").map_err(|error| Error::io(&path, &error)))
            .unwrap();
        assert_eq!(read(&path).unwrap(), b"new");
        assert!(read(directory.path()).unwrap_err().to_string().ends_with("expected a file"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        replace(&link, |out| out.write_all(b"new").map_err(|error| Error::io(&link, &error)))
            .unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
