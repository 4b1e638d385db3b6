use std::{
    os::unix::fs::{MetadataExt, symlink},
    process::{Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use super::*;

fn put(path: &Path, text: &str) -> Result<()> {
    replace(path, |file| file.write_all(text.as_bytes()).map_err(|error| Error::io(path, &error)))
}

fn names(directory: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn new_and_old_files_get_the_text_and_nothing_stays_behind() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("file");
    put(&path, "first").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "first");
    put(&path, "second").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "second");
    assert_eq!(names(&directory), ["file"]);
}

#[test]
fn permissions_are_those_of_any_new_file() {
    let directory = TempDir::new().unwrap();
    let (ours, ordinary) = (directory.path().join("ours"), directory.path().join("ordinary"));
    put(&ours, "text").unwrap();
    fs::write(&ordinary, "text").unwrap();
    let mode = |path| fs::metadata(path).unwrap().mode();
    assert_eq!(mode(&ours), mode(&ordinary));
}

#[test]
fn what_fails_leaves_the_old_file() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("file");
    put(&path, "old").unwrap();
    let error = replace(&path, |file| {
        file.write_all(b"half of the n").unwrap();
        file.flush().unwrap();
        Err(Error::io(&path, &io::Error::from(io::ErrorKind::StorageFull)))
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(names(&directory), ["file"]);
}

#[test]
fn links_are_followed() {
    let directory = TempDir::new().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("other")).unwrap();
    fs::write(at("other/file"), "old").unwrap();
    symlink("other/file", at("relative")).unwrap();
    symlink(at("relative"), at("absolute")).unwrap();
    symlink("other/missing", at("dangling")).unwrap();
    symlink("loop", at("loop")).unwrap();
    put(&at("absolute"), "new").unwrap();
    assert_eq!(fs::read_to_string(at("other/file")).unwrap(), "new");
    put(&at("dangling"), "made").unwrap();
    assert_eq!(fs::read_to_string(at("other/missing")).unwrap(), "made");
    for link in ["relative", "absolute", "dangling"] {
        assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink(), "{link}");
    }
    let error = put(&at("loop"), "text").unwrap_err();
    assert!(error.to_string().ends_with("too many symbolic links"), "{error}");
}

#[test]
fn what_must_not_be_replaced_is_not() {
    let directory = TempDir::new().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("file"), "old").unwrap();
    fs::set_permissions(at("file"), Permissions::from_mode(0o444)).unwrap();
    fs::create_dir(at("directory")).unwrap();
    symlink("directory", at("link")).unwrap();
    for (path, part) in [
        (at("file"), "is read-only"),
        (at("directory"), "is a directory"),
        (at("link"), "is a directory"),
        (PathBuf::from("/dev/null"), "is a device"),
        (at("missing/file"), "there is no directory"),
        (at("file/inside"), "Not a directory"),
        (PathBuf::from("/"), "is a directory"),
        (PathBuf::from(""), "not the name of a file"),
    ] {
        let error = put(&path, "new").unwrap_err();
        assert!(error.to_string().contains(part), "{}: {error}", path.display());
    }
    assert_eq!(fs::read_to_string(at("file")).unwrap(), "old");
    assert_eq!(names(&directory), ["directory", "file", "link"]);
}

#[test]
fn long_names_and_plain_names_work() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("é".repeat(127));
    put(&path, "text").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "text");
}

/// Set for the process that `a_killed_process_leaves_old_or_new` starts and kills.
const VICTIM: &str = "CINETOMO_TEST_REPLACE";

/// Not a test of its own: replaces a file for ever, with texts of one letter each.
#[test]
#[ignore = "run by a_killed_process_leaves_old_or_new"]
fn replace_for_ever() {
    let Some(path) = std::env::var_os(VICTIM) else { return };
    for letter in ('a'..='z').cycle() {
        put(Path::new(&path), &letter.to_string().repeat(LENGTH)).unwrap();
    }
}

/// Long enough that a kill often falls into the writing.
const LENGTH: usize = 1 << 22;

#[test]
fn a_killed_process_leaves_old_or_new() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("file");
    put(&path, &"0".repeat(LENGTH)).unwrap();
    let mut n_leftovers = 0;
    // Where the machine is busy, the moments say little of where a kill falls: then more of them.
    for round in 0..120 {
        if round >= 12 && n_leftovers > 0 {
            break;
        }
        let before = fs::metadata(&path).unwrap().ino();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(
                ["--exact", "--ignored", concat!(module_path!(), "::replace_for_ever")]
                    .map(|argument| argument.trim_start_matches("cinetomo::")),
            )
            .env(VICTIM, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while fs::metadata(&path).unwrap().ino() == before {
            assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(700 * (round % 12) + 10 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let text = fs::read(&path).unwrap();
        assert_eq!(text.len(), LENGTH);
        assert!(text.iter().all(|&byte| byte == text[0]), "a mixture of old and new");
        for name in names(&directory).iter().filter(|name| *name != "file") {
            assert!(name.starts_with(".file.") && name.ends_with(".tmp"), "{name}");
            fs::remove_file(directory.path().join(name)).unwrap();
            n_leftovers += 1;
        }
    }
    // Otherwise no kill ever fell into the writing, and nothing was tested.
    assert!(n_leftovers > 0);
}
