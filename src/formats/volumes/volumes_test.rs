//! Files that mrcfile, emfile, tifffile, Pillow and numpy wrote, read as these read them.

use std::{
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

pub(super) fn data(name: &str) -> PathBuf {
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
pub(super) fn bits<'a>(voxels: impl IntoIterator<Item = &'a f32>) -> Vec<u32> {
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
pub(super) fn read_all(source: &dyn VolumeSource) -> Result<Array4<f32>> {
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

#[test]
fn what_unpacks_to_more_than_memory_should_hold_goes_to_a_file() {
    let shape = [17, 1024, 1024];
    let mut volume = Array3::zeros(shape);
    volume[[16, 1023, 1022]] = 3.0;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plain.mrc");
    mrc::write(&path, volume.view(), 2.0).unwrap();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&fs::read(&path).unwrap()).unwrap();
    let packed = packer.finish().unwrap();
    assert!(packed.len() < 1 << 20);
    let source = from_bytes(Path::new("a.mrc.gz"), packed.clone(), &Options::default()).unwrap();
    let block = source.read_block(0, [15, 1000, 1000], [2, 24, 24]).unwrap();
    assert_eq!((block.sum(), block[[1, 23, 22]]), (3.0, 3.0));
    let cut = packed[..packed.len() - 9].to_vec();
    let error = from_bytes(Path::new("a.mrc.gz"), cut, &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "a.mrc.gz: gzip: the packed data is cut short");
}

/// Most bytes of address space that this process has had. Only Linux says it.
pub(super) fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    let kilobytes = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
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
