//! A file is replaced as a whole or not at all.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::error::{Error, ErrorKind, Result};

/// Most symbolic links that are followed: the limit of Linux (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

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
        let Some(name) = target.file_name() else {
            return Err(Error::new(ErrorKind::Invalid, path, "is not the name of a file"));
        };
        let mut builder = tempfile::Builder::new();
        let prefix = temporary_prefix(name);
        builder.prefix(&prefix).suffix(".tmp");
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
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
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

/// The file that `path` names once its symbolic links are followed; it need not exist. Fails if what is there must
/// not be replaced.
fn target(path: &Path) -> Result<PathBuf> {
    let refuse = |why: &str| Err(Error::new(ErrorKind::Io, path, why));
    let mut target = path.to_owned();
    for _ in 0..=MAX_LINKS {
        let metadata = match fs::symlink_metadata(&target) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(target),
            Err(error) => return Err(Error::io(path, &error)),
        };
        if metadata.is_symlink() {
            let link = fs::read_link(&target).map_err(|error| Error::io(path, &error))?;
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
