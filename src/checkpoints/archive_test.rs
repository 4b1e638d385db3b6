//! Archives that lie, and arrays in them.

use std::io::Write;

use flate2::{Compression, write::DeflateEncoder};

use crate::{
    ErrorKind,
    checkpoint_test::{fixture, values},
    container_test::describe,
    written::{Member, npy, npz, zip, zip_saying},
};

fn deflated(name: &str, data: &[u8]) -> Member {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    Member { stored: encoder.finish().unwrap(), method: 8, ..Member::plain(name, data.to_vec()) }
}

/// An array of two.
fn array() -> Vec<u8> {
    npy("<f4", "(2,)", &[0, 0, 0x80, 0x3f, 0, 0, 0, 0x40])
}

/// Describes the file and reads all of it.
fn read(file: Vec<u8>) -> crate::Result<Vec<f32>> {
    let checkpoint = describe(file)?;
    let mut all = Vec::new();
    for tensor in checkpoint.tensors() {
        all.extend(values(&checkpoint, tensor)?);
    }
    Ok(all)
}

#[test]
fn what_these_tests_write_is_read() {
    assert_eq!(read(zip(&[Member::plain("a.npy", array())])).unwrap(), [1.0, 2.0]);
    assert_eq!(read(zip(&[deflated("a.npy", &array())])).unwrap(), [1.0, 2.0]);
    let named = ("b".to_owned(), vec![1, 2], vec![3.0, 4.0]);
    assert_eq!(read(npz(&[named])).unwrap(), [3.0, 4.0]);
}

#[test]
fn an_archive_that_lies_is_refused() {
    let plain = || Member::plain("a.npy", array());
    let other = || Member::plain("b.npy", array());
    let zeros = npy("<f4", "(16777216,)", &vec![0; 64 << 20]);
    let table: Vec<(Vec<u8>, &str)> = vec![
        (zip(&[Member { flags: 1, ..plain() }]), "\"a.npy\" is encrypted"),
        (zip(&[Member { method: 12, ..plain() }]), "stored and deflated members are read"),
        (zip(&[plain(), plain()]), "\"a.npy\" is there twice"),
        (
            zip(&[plain(), Member { header: Some(0), ..other() }]),
            "\"a.npy\" and \"b.npy\" of the zip archive overlap",
        ),
        (zip(&[Member { header: Some(1), ..plain() }]), "damaged zip archive"),
        (zip(&[Member { header: Some(1 << 30), ..plain() }]), "damaged zip archive"),
        (zip(&[Member { n_decoded: 99, ..plain() }]), "is stored in 136 bytes but has 99"),
        (zip_saying(&[plain(), other()], 3), "has 2 members and says 3"),
        (zip_saying(&[plain(), other()], 1), "has 2 members and says 1"),
        ([zip(&[plain()]), b"more".to_vec()].concat(), "4 bytes follow the end of the zip archive"),
        (zip(&[]), "is a zip archive of 0 members"),
        (
            zip(&[Member::plain("readme.txt", vec![0])]),
            "is a zip archive of 1 members (\"readme.txt\")",
        ),
        (zip(&[Member::plain("model.weights.h5", vec![0])]), "Keras"),
        // Bombs: true ones, and one that only says so.
        (zip(&[deflated("a.npy", &zeros)]), "no weights compress like this"),
        (
            zip(&[Member { n_decoded: u32::MAX - 1, ..deflated("a.npy", &array()) }]),
            "no weights compress like this",
        ),
        // Values.
        (zip(&[Member { crc: 7, ..plain() }]), "a: damaged: the checksum (CRC-32)"),
        (
            zip(&[Member { crc: 7, ..deflated("a.npy", &array()) }]),
            "a: damaged: the checksum (CRC-32)",
        ),
        (
            zip(&[Member { n_decoded: 140, ..deflated("a.npy", &npy("<f4", "(3,)", &[0; 8])) }]),
            "a: damaged: the values end",
        ),
        (zip(&[Member { stored: vec![0xff; 9], ..deflated("a.npy", &array()) }]), "damaged"),
        // Arrays.
        (zip(&[Member::plain("a.npy", vec![])]), "a.npy: not an npy file"),
        (
            zip(&[Member::plain("a.npy", b"\x93NUMPY\x07\0....".to_vec())]),
            "not an npy file of version 1, 2 or 3",
        ),
        (
            zip(&[Member::plain("a.npy", b"\x93NUMPY\x01\0\xff\xff".to_vec())]),
            "a header of 65535 bytes",
        ),
        (
            zip(&[Member::plain("a.npy", b"\x93NUMPY\x02\0\xff\xff\xff\xff".to_vec())]),
            "a header of 4294967295 bytes",
        ),
        (
            zip(&[Member::plain("a.npy", npy("|O", "(1,)", b"\x80\x04cos\nsystem\n."))]),
            "an array of type \"|O\"",
        ),
        (zip(&[Member::plain("a.npy", npy("?f4", "(1,)", &[0; 4]))]), "an array of type \"?f4\""),
        (zip(&[Member::plain("a.npy", npy("\u{e9}f4", "(1,)", &[0; 4]))]), "an array of type"),
        (
            zip(&[Member::plain("a.npy", npy("<f4", "(3,)", &[0; 8]))]),
            "of shape [3] and type float32 comes with 8 bytes",
        ),
        (
            zip(&[Member::plain("a.npy", npy("<f4", "(4294967296, 4294967296)", &[0; 8]))]),
            "comes with 8 bytes",
        ),
        (zip(&[Member::plain("a.npy", npy("<f4", "system('ls')", &[0; 8]))]), "is not understood"),
        (zip(&[Member::plain("\n.npy", array())]), "is no name of a tensor"),
        (
            zip(&[
                Member::plain("params/scale.npy", array()),
                Member::plain("params/weight.npy", array()),
            ]),
            "two arrays are named weight",
        ),
    ];
    for (file, message) in table {
        let error = read(file).expect_err(message);
        assert!(error.to_string().contains(message), "expected {message:?}, got: {error}");
        assert_eq!(error.kind(), ErrorKind::Format, "{error}");
    }
}

/// Every fixture, and whether its last byte may be missing.
fn fixtures() -> impl Iterator<Item = (String, Vec<u8>)> {
    let files = std::fs::read_dir(fixture("")).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension != "json"))
        .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let mut n = 0;
    for (name, file) in fixtures() {
        for length in 0..file.len() {
            let error = describe(file[..length].to_vec())
                .err()
                .unwrap_or_else(|| panic!("{name} {length}"));
            assert_eq!(error.kind(), ErrorKind::Format, "{name} {length}: {error}");
        }
        n += 1;
    }
    assert!(n > 15, "{n} files");
}

#[test]
fn a_file_with_any_byte_changed_is_read_or_refused() {
    for (_, file) in fixtures() {
        for position in 0..file.len() {
            let mut changed = file.clone();
            changed[position] = changed[position].wrapping_add([1, 0x80, 0x7f][position % 3]);
            // What matters is that this returns.
            let _ = read(changed);
        }
    }
}
