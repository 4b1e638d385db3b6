//! Files that mrcfile, emfile, tifffile, Pillow and numpy wrote, read as these read them; and files that mean harm.

use std::{
    collections::BTreeMap,
    fs,
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use ndarray::{Array3, Array4, ArrayView3, Axis, Slice};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value as Json;

use super::{Directory, Options, VolumeSource, from_bytes, open, open_with};
use crate::{
    error::{ErrorKind, Result},
    mrc::{self, Header, Layout, MrcFile},
    npz::{MedMnist, Npz},
};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/volumes").join(name)
}

fn reference() -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/volumes.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn floats(hex: &Json) -> Vec<f32> {
    let bytes = bytes(hex.as_str().unwrap());
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn shape(json: &Json) -> [usize; 3] {
    let extents: Vec<usize> =
        json.as_array().unwrap().iter().map(|extent| extent.as_u64().unwrap() as usize).collect();
    extents.try_into().unwrap()
}

/// The bits of voxels, so that NaN equals itself.
fn bits<'a>(voxels: impl IntoIterator<Item = &'a f32>) -> Vec<u32> {
    voxels.into_iter().map(|voxel| voxel.to_bits()).collect()
}

/// The options that a case of the reference asks for, and its file.
fn case(name: &str, case: &Json) -> (PathBuf, Options) {
    let layout = case["layout"].as_str().map(|layout| match layout {
        "volume" => Layout::Volume,
        "volumes of 2" => Layout::Volumes { depth: 2 },
        other => panic!("{other}"),
    });
    let options = Options {
        signed_bytes: case["signed"].as_bool(),
        layout,
        array: case["array"].as_str().map(str::to_owned),
    };
    (data(case["file"].as_str().unwrap_or(name)), options)
}

/// All voxels, `[n, z, y, x]`.
fn read_all(source: &dyn VolumeSource) -> Result<Array4<f32>> {
    let [z, y, x] = source.shape();
    let mut all = Array4::zeros([0, z, y, x]);
    for index in 0..source.n_volumes() {
        all.push(Axis(0), source.read(index)?.view()).unwrap();
    }
    Ok(all)
}

#[test]
fn files_read_as_the_packages_that_wrote_them_read_them() {
    let reference = reference();
    let cases = reference["files"].as_object().unwrap();
    assert!(cases.len() > 100);
    for (name, expected) in cases {
        let (path, options) = case(name, expected);
        let source = open_with(&path, &options).unwrap();
        assert_eq!(source.n_volumes() as u64, expected["n"].as_u64().unwrap(), "{name}");
        assert_eq!(source.shape(), shape(&expected["shape"]), "{name}");
        assert_eq!(source.dtype().to_string(), expected["dtype"].as_str().unwrap(), "{name}");
        let voxel_size = expected["voxel_size"].as_f64().unwrap();
        let difference = (source.voxel_size() - voxel_size).abs();
        assert!(difference <= 1e-6 * voxel_size, "{name}: {} {voxel_size}", source.voxel_size());
        let voxels = floats(&expected["voxels"]);
        assert_eq!(bits(&read_all(&*source).unwrap()), bits(&voxels), "{name}");

        let from_memory = from_bytes(&path, fs::read(&path).unwrap(), &options).unwrap();
        assert_eq!(bits(&read_all(&*from_memory).unwrap()), bits(&voxels), "{name}");
    }
}

#[test]
fn any_block_is_that_part_of_the_whole() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    for (name, expected) in reference()["files"].as_object().unwrap() {
        let (path, options) = case(name, expected);
        let source = open_with(&path, &options).unwrap();
        let shape = source.shape();
        for _ in 0..20 {
            let index = random.random_range(0..source.n_volumes());
            let start = shape.map(|extent| random.random_range(0..extent));
            let mut size = [0; 3];
            for axis in 0..3 {
                size[axis] = random.random_range(1..=shape[axis] - start[axis]);
            }
            let whole = source.read(index).unwrap();
            let part = whole.slice_each_axis(|description| {
                let axis = description.axis.index();
                Slice::from(start[axis]..start[axis] + size[axis])
            });
            let block = source.read_block(index, start, size).unwrap();
            assert!(block.is_standard_layout(), "{name}");
            assert_eq!(block.dim(), (size[0], size[1], size[2]), "{name}");
            assert_eq!(bits(&block), bits(part), "{name}: {start:?} {size:?}");
        }
        let outside = [
            (source.n_volumes(), [0; 3], [1; 3]),
            (0, shape, [1; 3]),
            (0, [0; 3], [0, 1, 1]),
            (0, [0, 0, 1], shape),
            (0, [usize::MAX; 3], [1; 3]),
            (0, [1; 3], [usize::MAX; 3]),
        ];
        for (index, start, size) in outside {
            let error = source.read_block(index, start, size).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{name}: {error}");
        }
    }
}

#[test]
fn random_mrc_headers_mean_what_mrcfile_says() {
    let path = Path::new("header.mrc");
    for expected in reference()["headers"].as_array().unwrap() {
        let mut head = bytes(expected["header"].as_str().unwrap());
        head.resize(1024, 0);
        let header = Header::parse(&head, path).unwrap();
        assert_eq!(header.data_start(), expected["data_start"].as_u64().unwrap());
        let sizes = expected["voxel_sizes"].as_array().unwrap();
        for (found, expected) in header.voxel_sizes().iter().zip(sizes) {
            let expected = expected.as_f64().unwrap();
            // mrcfile divides in f32.
            assert!((found - expected).abs() <= 1e-6 * expected, "{found} {expected}");
        }
        // The header alone is a file without its data: the message says where the data would end.
        let n = expected["n"].as_u64().unwrap();
        let shape = shape(&expected["shape"]);
        let dtype = expected["dtype"].as_str().unwrap();
        let error = MrcFile::from_bytes(path, head, &mrc::Options::default()).unwrap_err();
        let message = error.to_string();
        let what = if n == 1 { String::new() } else { format!("{n} volumes of ") };
        assert!(
            message.contains(&format!(" {what}{shape:?} voxels (z, y, x; {dtype})")),
            "{message}"
        );
    }
}

#[test]
fn what_is_written_is_what_mrcfile_writes() {
    let directory = tempfile::tempdir().unwrap();
    for (name, expected) in reference()["written"].as_object().unwrap() {
        let path = directory.path().join(name);
        let voxels = floats(&expected["voxels"]);
        if name == "volume" {
            let volume = Array3::from_shape_vec((2, 3, 4), voxels).unwrap();
            mrc::write(&path, volume.view(), 6.5).unwrap();
        } else {
            let stack = Array4::from_shape_vec((3, 2, 3, 4), voxels).unwrap();
            let mut writer = mrc::Writer::create(&path, [2, 3, 4], 6.5).unwrap();
            stack.outer_iter().for_each(|volume| writer.push(volume).unwrap());
            assert!(!path.exists(), "nothing is there before it is complete");
            writer.finish().unwrap();
        }
        let mut theirs = bytes(expected["file"].as_str().unwrap());
        let mut ours = fs::read(&path).unwrap();
        let float =
            |file: &[u8], at: usize| f32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        // Mean and deviation may differ in the last bit; labels name the writer.
        for at in [84, 216] {
            assert!((float(&ours, at) - float(&theirs, at)).abs() < 1e-6, "{name}: byte {at}");
            ours[at..at + 4].fill(0);
            theirs[at..at + 4].fill(0);
        }
        ours[224..304].fill(0);
        theirs[224..304].fill(0);
        let differences: Vec<usize> =
            (0..theirs.len()).filter(|&at| ours.get(at) != Some(&theirs[at])).collect();
        assert!(differences.is_empty(), "{name}: bytes {differences:?}");
        assert_eq!(ours.len(), theirs.len());
    }
}

#[test]
fn what_is_written_reads_back_and_nothing_is_left_of_what_is_not_finished() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stack.mrc");
    fs::write(&path, "what was there").unwrap();
    let volume = Array3::from_shape_fn((2, 3, 4), |(z, y, x)| (100 * z + 10 * y + x) as f32);
    let mut writer = mrc::Writer::create(&path, [2, 3, 4], 0.0).unwrap();
    let error = writer.push(volume.view().permuted_axes([2, 1, 0])).unwrap_err().to_string();
    assert!(error.contains("volume 0: expected [2, 3, 4], found [4, 3, 2]"), "{error}");
    writer.push(volume.view()).unwrap();
    drop(writer);
    assert_eq!(fs::read(&path).unwrap(), b"what was there");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    let error = mrc::Writer::create(&path, [2, 3, 4], 0.0).unwrap().finish().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);

    // A view with other strides, and voxels that are no numbers.
    let mut turned = volume.clone();
    turned[[1, 2, 3]] = f32::NAN;
    mrc::write(&path, turned.view().permuted_axes([2, 0, 1]), 3.5).unwrap();
    let source = open(&path).unwrap();
    assert_eq!((source.n_volumes(), source.shape(), source.voxel_size()), (1, [4, 2, 3], 3.5));
    let expected: ArrayView3<f32> = turned.view().permuted_axes([2, 0, 1]);
    assert_eq!(bits(&source.read(0).unwrap()), bits(expected));
    assert_eq!(source.name(0), "stack.mrc");

    for (shape, voxel_size) in [([0, 1, 1], 1.0), ([1, 1, 1 << 31], 1.0), ([1, 1, 1], -1.0)] {
        let error = mrc::Writer::create(&path, shape, voxel_size).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    assert!(mrc::write(&path, volume.view(), f64::NAN).is_err());
    assert!(mrc::write(directory.path().join("no/such.mrc"), volume.view(), 1.0).is_err());
}

#[test]
fn a_crop_is_read_from_far_inside_a_file_larger_than_memory_should_be() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tomogram.mrc");
    let shape = [1500u64, 1400, 1300];
    let volume = Array3::zeros([1, 1, 1]);
    mrc::write(&path, volume.view(), 0.0).unwrap();
    let mut head = fs::read(&path).unwrap();
    for (axis, extent) in shape.iter().rev().enumerate() {
        head[4 * axis..4 * axis + 4].copy_from_slice(&(*extent as i32).to_le_bytes());
    }
    // 10.9 GB, of which a few blocks are on disk.
    let position = |[z, y, x]: [u64; 3]| 1024 + 4 * ((z * shape[1] + y) * shape[2] + x);
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(&head[..1024]).unwrap();
    file.set_len(position([1500, 0, 0])).unwrap();
    for (at, value) in [([1400, 1300, 1200], 1.0f32), ([1463, 1363, 1263], 2.0)] {
        file.seek(SeekFrom::Start(position(at))).unwrap();
        file.write_all(&value.to_le_bytes()).unwrap();
    }
    let before = peak_memory();
    let tomogram = open(&path).unwrap();
    let crop = tomogram.read_block(0, [1400, 1300, 1200], [64; 3]).unwrap();
    assert_eq!((crop[[0; 3]], crop[[63; 3]], crop.sum()), (1.0, 2.0, 3.0));
    // The crop has 1 MB.
    assert!(peak_memory() - before < 16 << 20, "{} bytes more", peak_memory() - before);

    // Somebody shortens the file meanwhile: an error, where a mapped file would be a signal.
    file.set_len(1 << 20).unwrap();
    let error = tomogram.read_block(0, [1400, 1300, 1200], [64; 3]).unwrap_err().to_string();
    assert!(error.contains("the file ends at byte 1048576"), "{error}");
}

/// Most bytes of address space that this process has had. Only Linux says it.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    let kilobytes = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// Every good file, once.
fn good_files() -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(data("")).unwrap();
    let files: BTreeMap<String, Vec<u8>> = entries
        .map(|entry| entry.unwrap())
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
        if name == "integers.npz" {
            continue;
        }
        let whole = devour(&name, bytes.clone());
        let whole = if name.starts_with("plain.npz") { None } else { whole.ok() };
        for n in 0..bytes.len() {
            match devour(&name, bytes[..n].to_vec()) {
                Err(error) => assert!(error.to_string().starts_with(&name), "{error}"),
                // A TIFF file may end with bytes that nothing refers to.
                Ok(read) => {
                    assert!(name.ends_with(".tif"), "{name}: {n} of {} bytes", bytes.len());
                    assert_eq!(Some(bits(&read)), whole.as_ref().map(bits), "{name}: {n}");
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
fn integers_and_medical_data_sets_are_numpys() {
    let reference = reference();
    let archive = Npz::open(data("integers.npz")).unwrap();
    for (name, expected) in reference["integers"].as_object().unwrap() {
        let expected: Vec<i64> =
            expected.as_array().unwrap().iter().map(|value| value.as_i64().unwrap()).collect();
        assert_eq!(archive.array(name).unwrap().integers().unwrap(), expected, "{name}");
    }
    for name in ["medmnist.npz", "medmnist_packed.npz"] {
        let set = MedMnist::open(data(name)).unwrap();
        for (part, key) in [(&set.train, "train"), (&set.validation, "val"), (&set.test, "test")] {
            let labels = &reference["medmnist_labels"][format!("{key}_labels")];
            let expected: Vec<usize> =
                labels.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
            assert_eq!(part.labels, expected, "{name}");
            assert_eq!(part.volumes.n_volumes(), expected.len());
        }
        let error = open(data(name)).unwrap_err().to_string();
        assert!(error.contains("3 arrays of volumes; say which one"), "{error}");
        assert!(error.contains("train_images"), "{error}");
        let options = Options { array: Some("images".to_owned()), ..Options::default() };
        let error = open_with(data(name), &options).unwrap_err().to_string();
        assert!(error.contains("no array images: expected one of train_images"), "{error}");
    }
    let error = archive.array("<f4").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
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

#[test]
fn a_directory_is_its_files_in_natural_order() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let volume = |value: f32| Array3::from_elem((2, 3, 4), value);
    for n in [10, 9, 1] {
        mrc::write(file(&format!("box_{n}.mrc")), volume(n as f32).view(), 4.0).unwrap();
    }
    fs::write(file("list.star"), "data_").unwrap();
    fs::write(file(".box_3.mrc"), "hidden").unwrap();
    fs::create_dir(file("sub.mrc")).unwrap();
    let source = open(directory.path()).unwrap();
    assert_eq!((source.n_volumes(), source.shape(), source.voxel_size()), (3, [2, 3, 4], 4.0));
    let names: Vec<String> = (0..3).map(|index| source.name(index)).collect();
    assert_eq!(names, ["box_1.mrc", "box_9.mrc", "box_10.mrc"]);
    assert_eq!(source.read(2).unwrap(), volume(10.0));
    assert_eq!(source.read_block(1, [1, 2, 3], [1; 3]).unwrap()[[0; 3]], 9.0);
    assert_eq!(source.read(3).unwrap_err().kind(), ErrorKind::Invalid);

    mrc::write(file("box_4.mrc"), volume(0.0).view(), 4.1).unwrap();
    let error = Directory::open(directory.path(), &Options::default()).unwrap_err().to_string();
    assert!(
        error
            .contains("box_4.mrc: expected a voxel size of 4 angstrom as in box_1.mrc, found 4.09"),
        "{error}"
    );
    mrc::write(file("box_4.mrc"), Array3::zeros((2, 3, 5)).view(), 4.0).unwrap();
    let error = open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("box_4.mrc: expected [2, 3, 4] voxels"), "{error}");
    fs::copy(data("volumes.mrc"), file("box_4.mrc")).unwrap();
    let error = open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("box_4.mrc: 3 volumes"), "{error}");
    let error = open(file("sub.mrc")).unwrap_err().to_string();
    assert!(error.contains("no file of subtomograms"), "{error}");
    assert_eq!(open(file("missing.mrc")).unwrap_err().kind(), ErrorKind::Io);
}

#[test]
fn threads_share_a_source() {
    for name in ["imagej_u2_big.tif", "volumes.mrc"] {
        let source = open(data(name)).unwrap();
        let expected = read_all(&*source).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        assert_eq!(read_all(&*source).unwrap(), expected, "{name}");
                    }
                });
            }
        });
    }
}
