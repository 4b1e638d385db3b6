//! Files that are cut short, changed or lie: an error that says so, never a panic, no memory beyond their own size.

use std::{collections::BTreeMap, fs, io::Write, path::Path};

use ndarray::Array4;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    Options, from_bytes,
    volumes_test::{bits, data, peak_memory, read_all},
};
use crate::error::Result;

/// Every good file of volumes, once.
fn good_files() -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(data("")).unwrap();
    let files: BTreeMap<String, Vec<u8>> = entries
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name() != "integers.npz")
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    assert!(files.len() > 90);
    files
}

/// Reads all that a file has, whatever it is.
fn devour(name: &str, bytes: Vec<u8>) -> Result<Array4<f32>> {
    let array = name.starts_with("medmnist").then(|| "train_images".to_owned());
    let options = Options { array, ..Options::default() };
    read_all(&*from_bytes(Path::new(name), bytes, &options)?)
}

#[test]
fn a_file_cut_short_anywhere_is_an_error() {
    for (name, bytes) in good_files() {
        let whole = devour(&name, bytes.clone()).unwrap();
        for n in 0..bytes.len() {
            match devour(&name, bytes[..n].to_vec()) {
                Err(error) => assert!(error.to_string().starts_with(&name), "{error}"),
                // A TIFF file may end with bytes that nothing refers to.
                Ok(read) => {
                    assert!(name.ends_with(".tif"), "{name}: {n} of {} bytes", bytes.len());
                    assert_eq!(bits(&read), bits(&whole), "{name}: {n}");
                }
            }
        }
    }
}

#[test]
fn a_longer_file_is_an_error_where_its_format_has_a_length() {
    for name in
        ["f4_little.mrc", "volumes.mrc", "packed.mrc.gz", "packed.mrc.bz2", "f4.em", "f4.npy"]
    {
        let mut bytes = fs::read(data(name)).unwrap();
        bytes.push(0);
        assert!(devour(name, bytes).is_err(), "{name}");
    }
    // An unpacked file that is longer than its header says.
    let mut plain = fs::read(data("f4_little.mrc")).unwrap();
    plain.extend([0; 100]);
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&plain).unwrap();
    let error = devour("long.mrc.gz", packer.finish().unwrap()).unwrap_err().to_string();
    assert!(error.contains("asks for 1264 unpacked bytes, found more"), "{error}");
}

#[test]
fn no_change_of_bytes_makes_a_reader_panic_or_take_memory() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let before = peak_memory();
    let interesting = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff];
    for (name, bytes) in good_files() {
        for _ in 0..400 {
            let mut bytes = bytes.clone();
            for _ in 0..random.random_range(1..=4) {
                let at = random.random_range(0..bytes.len());
                bytes[at] = match random.random_range(0..3) {
                    0 => random.random(),
                    1 => interesting[random.random_range(0..interesting.len())],
                    _ => bytes[at] ^ (1 << random.random_range(0..8)),
                };
            }
            let _ = devour(&name, bytes);
        }
    }
    // Files of 10 kB at most: nothing in them justifies more than a few readers' buffers.
    let taken = peak_memory() - before;
    assert!(taken < 64 << 20, "{taken} bytes");
}

/// Writes 32-bit integers over a good file and returns the message.
fn spoiled(name: &str, words: &[(usize, i32)]) -> String {
    let mut bytes = fs::read(data(name)).unwrap();
    for (at, word) in words {
        bytes[*at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    devour(name, bytes).unwrap_err().to_string()
}

#[test]
fn an_mrc_header_that_lies_is_told_so() {
    let float = |value: f32| value.to_bits() as i32;
    let cases: &[(&[(usize, i32)], &str)] = &[
        (&[(0, 0)], "NX, NY, NZ are [0, 4, 3], expected 1 or more"),
        (&[(8, -3)], "NX, NY, NZ are [5, 4, -3], expected 1 or more"),
        (
            &[(8, 4)],
            "[4, 4, 5] voxels (z, y, x; 32-bit float) from byte 1024 on end at byte 1344, the file at byte 1264",
        ),
        (&[(8, 2)], "end at byte 1184, the file at byte 1264"),
        (&[(0, i32::MAX), (4, i32::MAX), (8, i32::MAX)], "more than any file has"),
        (&[(12, 5)], "byte 12: MODE is 5, expected 0, 1, 2, 6, 12 or 101"),
        (&[(12, 4)], "Fourier transforms"),
        (&[(12, 16)], "colour"),
        (&[(28, -1)], "MX, MY, MZ are [-1, 4, 3]"),
        (&[(40, float(f32::NAN))], "CELLA is [NaN"),
        (&[(44, float(-1.0))], "expected numbers of angstrom"),
        (&[(64, 2)], "MAPC, MAPR, MAPS are [2, 2, 3]"),
        (&[(64, 0)], "MAPC, MAPR, MAPS are [0, 2, 3]"),
        (&[(88, 401), (36, 2)], "3 sections are no volumes of 2 sections each"),
        (&[(88, 401), (36, 0)], "3 sections are no volumes of 0 sections each"),
        (&[(88, 401), (64, 3), (72, 1)], "a stack whose axes are [3, 2, 1]"),
        (&[(88, 300)], "ISPG is 300"),
        (&[(92, -1)], "NSYMBT is -1"),
        (&[(92, 16)], "from byte 1040 on"),
        (&[(212, 0x1111)], "the machine stamp says big-endian, but"),
    ];
    for (words, expected) in cases {
        let message = spoiled("f4_little.mrc", words);
        assert!(message.contains(expected), "{message}");
    }
    let message = spoiled("f4_big.mrc", &[(212, 0x4444)]);
    assert!(message.contains("the machine stamp says little-endian, but"), "{message}");
    let message = spoiled("old.mrc", &[(0, 0)]);
    assert!(message.contains("make sense in no order"), "{message}");
    // Without mark, name or size of any format.
    let message = devour("unknown", vec![7; 2000]).unwrap_err().to_string();
    assert!(message.contains("begins with [07, 07"), "{message}");
}

#[test]
fn an_em_header_that_lies_is_told_so() {
    let cases: &[(&[(usize, i32)], &str)] = &[
        (&[(0, 0x0500_0007)], "byte 0: the machine is 7"),
        (&[(0, 0x0500_0001)], "VAX"),
        (&[(0, 0x0500_0005)], "(big-endian, as byte 0 has it)"),
        (&[(0, 0x0300_0006)], "byte 3: the type is 3"),
        (&[(0, 0x0800_0006)], "complex"),
        (&[(8, 0)], "byte 8: extent y is 0"),
        (&[(12, 3)], "end at byte 692, the file at byte 632"),
    ];
    for (words, expected) in cases {
        let mut words = words.to_vec();
        if let (0, word) = words[0]
            && word as u8 == 5
        {
            // Extents that are negative in the other order.
            words.push((4, 0xff));
        }
        let message = spoiled("f4.em", &words);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn an_archive_that_lies_is_told_so() {
    // In the central directory: sizes of the first member, packed and unpacked, and the byte where it begins.
    let (packed, unpacked, start) = (20, 24, 42);
    for (name, field, value) in [
        ("plain.npz", packed, 0xffff_fff0u32),
        ("plain.npz", unpacked, 0xffff_fff0),
        ("plain.npz", unpacked, 1),
        ("plain.npz", start, 0x7fff_ffff),
        ("medmnist_packed.npz", packed, 1),
        ("medmnist_packed.npz", unpacked, 0xffff_fff0),
        ("medmnist_packed.npz", unpacked, 1),
        ("medmnist_packed.npz", start, 0x7fff_ffff),
    ] {
        let mut bytes = fs::read(data(name)).unwrap();
        let entry = bytes.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
        bytes[entry + field..][..4].copy_from_slice(&value.to_le_bytes());
        let before = peak_memory();
        let error = devour(name, bytes).map(|array| array.dim()).unwrap_err().to_string();
        assert!(error.starts_with(name), "{field}: {error}");
        assert!(peak_memory() - before < 64 << 20, "{name}, {field}");
    }
}

#[test]
fn a_numpy_header_that_lies_is_told_so() {
    let array = |header: &str, n: usize| {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(vec![0; n]);
        bytes
    };
    let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3), }\n";
    assert_eq!(devour("a.npy", array(good, 24)).unwrap().dim(), (1, 1, 2, 3));
    let cases = [
        (good.replace("(1, 2, 3)", "(1, 2, 4)"), "shape [1, 2, 4] of type 32-bit float makes"),
        (good.replace("(1, 2, 3)", "(4294967296, 4294967296, 3)"), "more than any file's"),
        (good.replace("(1, 2, 3)", "(1, 99999999999999999999, 3)"), "an extent"),
        (good.replace("(1, 2, 3)", "(6,)"), "shape [6]: expected [z, y, x] or [n, z, y, x]"),
        (good.replace("(1, 2, 3)", "(1, -2, 3)"), "an extent"),
        (good.replace("'<f4'", "'|O'"), "no objects"),
        (good.replace("'<f4'", "[('a', '<f4')]"), "no objects, records"),
        (good.replace("'<f4'", "'|f4'"), "an order of bytes"),
        (good.replace("'<f4'", "'='"), "a type of plain numbers"),
        (good.replace("'<f4'", "'\u{e9}'"), "a type of plain numbers"),
        (good.replace("False", "0"), "True or False"),
        (good.replace("'shape'", "'fortran_order'"), "True or False"),
        (good.replace("(1,", "(1, 2, 3), 'shape': (1,"), "\"shape\" once"),
        (good.replace("'shape': (1, 2, 3), ", ""), "descr, fortran_order and shape"),
        (good.replace("shape", "form"), "not \"form\""),
        (good.replace("}", "} + 1"), "the end of the header"),
        (good.replace("(1, 2, 3)", "(1, 2, 3"), "an extent"),
        (good.replace("False", "True").replace("(1, 2", "(1, 1, 2"), "ascontiguousarray"),
    ];
    for (header, expected) in cases {
        let message = devour("a.npy", array(&header, 24)).unwrap_err().to_string();
        assert!(message.contains(expected), "{header}: {message}");
    }
    let mut version = array(good, 24);
    version[6] = 9;
    let message = devour("a.npy", version).unwrap_err().to_string();
    assert!(message.contains("byte 6: version 9.0"), "{message}");
}
