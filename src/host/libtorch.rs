//! Which libtorch a plugin would use, and which the process already has.
//!
//! Two copies in one process crash it sooner or later, so this is asked before anything is loaded. Python with torch and
//! Fiji with deepImageJ are processes that have one.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use cinetomo_abi::cinetomo_status;

use crate::{Error, manifest::is_privileged};

const FILE: &str = "libtorch_cpu.so";

/// Fails with RUNTIME_CONFLICT if the process has another libtorch than the one that `library` would load.
pub(crate) fn check_conflict(library: &Path) -> Result<(), Error> {
    // The dynamic linker ignores it in a privileged process.
    let listed = env::var_os("LD_LIBRARY_PATH").filter(|_| !is_privileged());
    let Some(wanted) = wanted_by(library, listed.unwrap_or_default()) else {
        // Nothing to be found beside the library: the loader takes the mapped copy or says what is missing.
        return Ok(());
    };
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    match mapped(&maps).into_iter().find(|mapped| *mapped != wanted) {
        None => Ok(()),
        Some(other) => Err(Error::new(
            cinetomo_status::RuntimeConflict,
            format!(
                "this process already uses {}, and {} would bring {}: two copies of libtorch in one process crash it. \
                 Let both use the same file, or run cinetomo in a process of its own",
                other.display(),
                library.display(),
                wanted.display()
            ),
        )),
    }
}

/// The file that the dynamic linker would take: along the library's RPATH, `$ORIGIN:$ORIGIN/libtorch/lib`, then the first in
/// LD_LIBRARY_PATH. Symbolic links resolved.
fn wanted_by(library: &Path, ld_library_path: impl AsRef<std::ffi::OsStr>) -> Option<PathBuf> {
    let origin = library.parent().unwrap_or(Path::new("/"));
    let listed = env::split_paths(&ld_library_path).filter(|path| !path.as_os_str().is_empty());
    [origin.to_owned(), origin.join("libtorch/lib")]
        .into_iter()
        .chain(listed)
        .find_map(|directory| directory.join(FILE).canonicalize().ok())
}

/// The copies that a `/proc/<pid>/maps` shows.
fn mapped(maps: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = maps
        .lines()
        // address, permissions, offset, device, inode, path
        .filter_map(|line| line.find('/').map(|start| &line[start..]))
        .map(|path| Path::new(path.strip_suffix(" (deleted)").unwrap_or(path)))
        .filter(|path| path.file_name().is_some_and(|name| name == FILE))
        .map(Path::to_owned)
        .collect();
    files.dedup();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_read_with_spaces_and_deleted_files() {
        let maps = "\
7f00-7f01 r--p 00000000 fe:00 12  /opt/my torch/lib/libtorch_cpu.so
7f01-7f02 r-xp 00001000 fe:00 12  /opt/my torch/lib/libtorch_cpu.so
7f03-7f04 r--p 00000000 fe:00 13  /old/libtorch_cpu.so (deleted)
7f05-7f06 r--p 00000000 fe:00 14  /opt/my torch/lib/libtorch.so
7f07-7f08 rw-p 00000000 00:00 0   [heap]
7f09-7f0a rw-p 00000000 00:00 0
";
        let found = mapped(maps);
        let expected = ["/opt/my torch/lib/libtorch_cpu.so", "/old/libtorch_cpu.so"];
        assert_eq!(found, expected.map(PathBuf::from));
    }
}
