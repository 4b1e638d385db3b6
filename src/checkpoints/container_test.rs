//! Files that are no checkpoints.

use std::path::Path;

use crate::{Checkpoint, ErrorKind, error::Result};

/// What is in the file, none beside it.
pub(crate) fn describe(file: Vec<u8>) -> Result<Checkpoint> {
    let beside = |_: &str| Err(crate::Error::format("no file is beside this one"));
    Checkpoint::describe(Path::new("file.pth"), Box::new(file), beside)
}

#[test]
fn other_files_are_named_for_what_they_are() {
    let mut tar = vec![b'x'; 600];
    tar[257..262].copy_from_slice(b"ustar");
    let mut mrc = vec![1; 2000];
    mrc[208..212].copy_from_slice(b"MAP ");
    let tensorflow = [vec![0; 100], 0xdb47_7524_8b80_fb57u64.to_le_bytes().to_vec()].concat();
    let table: Vec<(&[u8], &str)> = vec![
        (b"", "is empty"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\x82\xa6params", "msgpack"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x93NUMPY\x01\0", "npy"),
        (&tensorflow, "TensorFlow"),
        (&tar, "tar archive"),
        (&mrc, "MRC volume"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"(dp0\nS'params'\n", "protocol 0 or 1"),
        (b"404: not found", "text file"),
        (&[0; 1000], "holds zeros"),
        (b"\x01\x02\x03", "no format that cinetomo knows"),
    ];
    for (file, message) in table {
        let error = describe(file.to_vec()).err().expect(message);
        assert!(error.to_string().contains(message), "expected {message:?}, got: {error}");
        assert!(error.to_string().contains("safetensors, flax checkpoints"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Format);
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let open = |path: &Path| Checkpoint::open(path).err().unwrap().kind();
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(open(&directory.path().join("missing.ckpt")), ErrorKind::Io);
    assert_eq!(open(directory.path()), ErrorKind::Io);
    assert_eq!(open(Path::new("/dev/zero")), ErrorKind::Io);
}
