//! Checkpoints that numpy wrote, and files that mean harm.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value as Json;
use tch::{Device, Kind, Tensor};

use super::{Checkpoint, VideoWeights, fit, flax, load_video, open};
use crate::{
    backbone::{Architecture, BACKBONES, Network, Wanted},
    error::{Error, ErrorKind, Result},
    monitor::{Monitor, Stage, log_nothing},
    parameters::{Parameters, Start},
};

fn read(file: &[u8]) -> Result<Checkpoint> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.ckpt");
    fs::write(&path, file).unwrap();
    open(&path, &mut Monitor::silent())
}

// A few of pickle's instructions, to write files with.

fn text(text: &str) -> Vec<u8> {
    [&[0x8c, text.len() as u8], text.as_bytes()].concat()
}

fn int(value: i32) -> Vec<u8> {
    [&b"J"[..], &value.to_le_bytes()].concat()
}

fn bytes(bytes: &[u8]) -> Vec<u8> {
    [b"B", &(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
}

fn dict(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<u8> =
        items.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [b"}(", &items[..], b"u"].concat()
}

fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(", &items.concat()[..], b"t"].concat()
}

fn shape(sizes: &[i32]) -> Vec<u8> {
    tuple(&sizes.iter().map(|size| int(*size)).collect::<Vec<_>>())
}

fn dtype(name: &str, order: &str) -> Vec<u8> {
    let state = tuple(&[int(3), text(order), b"NNN".to_vec(), int(-1), int(-1), int(0)]);
    [b"cnumpy\ndtype\n", &text(name)[..], &[0x89, 0x88, 0x87], b"R", &state, b"b"].concat()
}

/// An array whose shape, type and bytes are given as instructions, in C order.
fn array_of(shape: Vec<u8>, dtype: Vec<u8>, data: Vec<u8>) -> Vec<u8> {
    let state = tuple(&[int(1), shape, dtype, vec![0x89], data]);
    [b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\x01b\x87R", &state[..], b"b"]
        .concat()
}

/// An f4 array `[n]`.
fn array(values: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    array_of(shape(&[values.len() as i32]), dtype("f4", "<"), bytes(&data))
}

fn pickle(instructions: &[u8]) -> Vec<u8> {
    [b"\x80\x04", instructions, b"."].concat()
}

/// A checkpoint with one leaf, `layer/bias`.
fn leaf(value: &[u8]) -> Vec<u8> {
    pickle(&dict(&[("params", dict(&[("layer", dict(&[("bias", value.to_vec())]))]))]))
}

fn numpy_pickles() -> impl Iterator<Item = (Vec<u8>, Json)> {
    [
        include_str!("../../../tests/reference/numpy_pickles_1.json"),
        include_str!("../../../tests/reference/numpy_pickles_2.json"),
    ]
    .into_iter()
    .flat_map(|json| {
        let json: Json = serde_json::from_str(json).unwrap();
        let expected = json["expected"].clone();
        let pickles = json["pickles"].as_object().unwrap().clone();
        pickles.into_iter().map(move |(_, hexadecimal)| {
            let digits = hexadecimal.as_str().unwrap().as_bytes();
            let byte =
                |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            (digits.chunks(2).map(byte).collect(), expected.clone())
        })
    })
}

#[test]
fn every_protocol_of_both_numpys_is_read() {
    let mut n = 0;
    for (file, expected) in numpy_pickles() {
        let tensors = read(&file).unwrap().tensors;
        let expected = expected.as_object().unwrap();
        assert_eq!(tensors.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (name, tensor) in tensors {
            let shape: Vec<i64> = serde_json::from_value(expected[&name]["shape"].clone()).unwrap();
            let values: Vec<f32> =
                serde_json::from_value(expected[&name]["values"].clone()).unwrap();
            assert_eq!(tensor.size(), shape, "{name}");
            assert_eq!(Vec::<f32>::try_from(tensor.reshape([-1])).unwrap(), values, "{name}");
        }
        n += 1;
    }
    assert_eq!(n, 8);
}

#[test]
fn strings_of_python_2_are_text_and_bytes() {
    let string = |text: &str| [&[b'U', text.len() as u8], text.as_bytes()].concat();
    let entry = |key: &str, value: &[u8]| [b"}", &string(key)[..], value, b"s"].concat();
    let array = array_of(shape(&[1]), dtype("f4", "<"), string("\0\0@@"));
    let file = [b"\x80\x02", &entry("params", &entry("bias", &array))[..], b"."].concat();
    let tensors = read(&file).unwrap().tensors;
    assert_eq!(f64::try_from(&tensors["bias"]).unwrap(), 3.0);
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    for (file, _) in numpy_pickles() {
        for length in 0..file.len() {
            let error = read(&file[..length]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Format, "{length}: {error}");
        }
    }
}

#[test]
fn a_file_with_any_byte_changed_is_read_or_refused() {
    for (file, _) in numpy_pickles().skip(4) {
        for position in 0..file.len() {
            for changed in [file[position] ^ 0x80, file[position].wrapping_add(1), b'('] {
                let mut file = file.clone();
                file[position] = changed;
                // What matters is that this returns.
                let _ = flax::read(&file, Path::new(""), &Monitor::silent());
            }
        }
    }
}

#[test]
fn each_damage_has_its_message() {
    let f4 = || dtype("f4", "<");
    let four = || bytes(&[0; 4]);
    let one = || shape(&[1]);
    let deep = |n: usize| [b"N".to_vec(), vec![0x85; n]].concat();
    let nested = |n: usize| (0..n).fold(array(&[1.0]), |inner, _| dict(&[("a", inner)]));
    // Each dict holds the one before it twice: 2^30 leaves.
    let mut doubled = array(&[1.0]);
    doubled.push(0x94);
    for index in 0u8..30 {
        let get = [b'h', index];
        doubled.extend([b"0}", &text("a")[..], &get, b"s", &text("b"), &get, b"s\x94"].concat());
    }
    let shared: Vec<u8> = {
        let first = array_of(shape(&[1024]), f4(), [&bytes(&[0; 4096])[..], b"q\x07"].concat());
        let again = || array_of(shape(&[1024]), f4(), b"h\x07".to_vec());
        let names: Vec<String> = (0..100).map(|index| format!("z{index}")).collect();
        let mut items = vec![("a", first)];
        items.extend(names.iter().map(|name| (name.as_str(), again())));
        pickle(&dict(&[("params", dict(&items))]))
    };
    let crowd: Vec<u8> = [
        b"}".to_vec(),
        text("params"),
        b"}(".to_vec(),
        [&text("a")[..], b"N"].concat().repeat(70_000),
        b"us".to_vec(),
    ]
    .concat();
    let table: Vec<(Vec<u8>, &str)> = vec![
        // What it asks for.
        (
            pickle(b"cos\nsystem\n\x8c\x02ls\x85R"),
            "byte 2: asks for \"os.system\"; only numpy arrays are allowed",
        ),
        (
            pickle(&[text("builtins"), text("eval"), vec![0x93]].concat()),
            "asks for \"builtins.eval\"",
        ),
        (pickle(b"(ios\nsystem\n"), "asks for \"os.system\""),
        (pickle(b"cnumpy\nload\n"), "asks for \"numpy.load\""),
        (pickle(b"cnumpy\nndarray\n)\x81"), "instruction 0x81 is not read"),
        (pickle(b"Q"), "instruction 0x51 is not read"),
        (pickle(&[int(1), int(2), vec![0x93]].concat()), "a class is named by the integer 1"),
        (pickle(b"cnumpy"), "the file ends in the name of a class"),
        // The machine.
        (pickle(b""), "needs more objects"),
        (pickle(b"R"), "needs more objects"),
        (pickle(b"N(\x85"), "needs more objects"),
        (pickle(b"t"), "a mark is missing"),
        (pickle(b"h\x05"), "nothing was kept as 5"),
        (pickle(b"}(Nu"), "a key without a value"),
        (pickle(b"}N\x61"), "appended to a dict of 0"),
        (pickle(b"]NNs"), "keys are set in a list of 0"),
        (pickle(b"NNR"), "None is called with None"),
        (pickle(b"}Nb"), "a state is given to a dict of 0"),
        (pickle(b"\x8a\x09123456789"), "an integer of 9 bytes"),
        (pickle(b"\x8c\x01\xff"), "text that is not UTF-8"),
        (b"\x80\x06N.".to_vec(), "unknown protocol"),
        (pickle(b"\x80\x01N"), "pickle protocol 1"),
        ([leaf(&array(&[1.0])), vec![0; 3]].concat(), "3 bytes follow the end"),
        ([&b"\x80\x04"[..], &b"N0".repeat(1 << 20)].concat(), "more than 1048576 instructions"),
        // Lengths that lie.
        (pickle(b"B\xff\xff\xff\xff"), "4294967295 bytes expected, 1 left"),
        (pickle(b"\x8e\0\0\0\0\0\0\0\x80"), "9223372036854775808 bytes expected"),
        (pickle(b"\x95\xff\xff\xff\xff\xff\xff\xff\xff"), "the file ends in a frame"),
        // The tree.
        (pickle(b"N"), "the file holds None, not a dict of weights"),
        (pickle(&dict(&[("weights", array(&[1.0]))])), "a dict of 1 (\"weights\")"),
        (pickle(b"}K\x01Ns"), "a key must be text, not the integer 1"),
        (
            pickle(&dict(&[("params", dict(&[("a\nb", array(&[1.0]))]))])),
            "a key that makes no name",
        ),
        (
            pickle(
                &[b"}".to_vec(), text("params"), b"}\x94".to_vec(), text("a"), b"h\0ss".to_vec()]
                    .concat(),
            ),
            "a dict occurs twice, or contains itself",
        ),
        (pickle(&dict(&[("params", doubled)])), "a dict occurs twice"),
        (pickle(&dict(&[("params", nested(300))])), "a key that makes no name"),
        (leaf(&deep(500_000)), "layer/bias is a tuple of 1, neither a dict nor an array"),
        (leaf(b"]\x94h\0a"), "layer/bias is a list of 1, neither"),
        (
            pickle(&dict(&[("params", dict(&[("b", array(&[1.0])), ("b", array(&[2.0]))]))])),
            "two arrays are named b",
        ),
        (
            pickle(&dict(&[(
                "params",
                dict(&[("a/b", array(&[1.0])), ("a", dict(&[("b", array(&[2.0]))]))]),
            )])),
            "two arrays are named a/b",
        ),
        (
            pickle(&dict(&[(
                "params",
                dict(&[("scale", array(&[1.0])), ("weight", array(&[2.0]))]),
            )])),
            "two arrays are named weight",
        ),
        (shared, "together exceed the file"),
        (pickle(&crowd), "more than 65536 arrays"),
        // The arrays.
        (leaf(&array_of(one(), dtype("O8", "|"), b"](Ne".to_vec())), "dtype \"O8\""),
        (leaf(&array_of(one(), dtype("V8", "|"), bytes(&[0; 8]))), "dtype \"V8\""),
        (leaf(&array_of(one(), dtype("u1", "|"), bytes(&[0]))), "dtype \"u1\""),
        (leaf(&array_of(one(), dtype("f4", "?"), four())), "byte order \"?\""),
        (leaf(&array_of(one(), text("f4"), four())), "type is text, not a numpy dtype"),
        (leaf(&array_of(one(), f4(), b"](Ne".to_vec())), "an array of Python objects"),
        (leaf(&array_of(one(), f4(), b"N".to_vec())), "None, where numpy writes bytes"),
        (leaf(&array_of(shape(&[2]), f4(), four())), "shape [2] and type Float comes with 4 bytes"),
        (leaf(&array_of(shape(&[0]), f4(), bytes(b""))), "size along an axis is the integer 0"),
        (leaf(&array_of(shape(&[-1]), f4(), four())), "size along an axis is the integer -1"),
        (leaf(&array_of(tuple(&[b"N".to_vec()]), f4(), four())), "size along an axis is None"),
        (leaf(&array_of(shape(&[i32::MAX; 9]), f4(), four())), "comes with 4 bytes"),
        (leaf(&array_of(int(1), f4(), four())), "the integer 1, where numpy writes a tuple"),
        (leaf(b"cnumpy.core.multiarray\n_reconstruct\n)R"), "an array without shape and values"),
        (leaf(b"cnumpy.core.multiarray\n_reconstruct\n)R)b"), "state has 0 parts"),
        (leaf(b"cnumpy\nndarray\n"), "is a class or function, neither"),
    ];
    for (file, message) in table {
        let error = read(&file).expect_err(message);
        assert!(error.to_string().contains(message), "expected {message:?}, got: {error}");
        assert!(error.to_string().contains("file.ckpt: "), "{error}");
        assert_eq!(error.kind(), ErrorKind::Format, "{error}");
    }
}

#[test]
fn weights_that_are_not_finite_are_named() {
    let huge = array_of(shape(&[1]), dtype("f8", "<"), bytes(&1e300f64.to_le_bytes()));
    for value in [array(&[1.0, f32::NAN]), array(&[f32::NEG_INFINITY, 0.0]), huge] {
        let error = read(&leaf(&value)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NonFinite);
        assert!(error.to_string().contains("layer/bias: 1 of "), "{error}");
    }
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
        (b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", "before PyTorch 1.6"),
        (b"PK\x03\x04....archive/data.pkl", "PyTorch checkpoint (zip)"),
        (b"PK\x03\x04....a.npy", "npz"),
        (b"PK\x03\x04....", "zip archive"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\x82\xa6params", "msgpack"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x93NUMPY\x01\0", "npy"),
        (b"\x02\0\0\0\0\0\0\0{}", "safetensors"),
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
        let error = read(file).expect_err(message);
        assert!(error.to_string().contains(message), "expected {message:?}, got: {error}");
        assert!(error.to_string().contains("flax checkpoints are read"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Format);
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let open = |path: &Path| open(path, &mut Monitor::silent()).unwrap_err().kind();
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(open(&directory.path().join("missing.ckpt")), ErrorKind::Io);
    assert_eq!(open(directory.path()), ErrorKind::Io);
    assert_eq!(open(Path::new("/dev/zero")), ErrorKind::Io);
}

#[test]
fn progress_ends_at_one_and_cancelling_stops() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.ckpt");
    fs::write(&path, leaf(&array(&vec![0.5; 3 << 20]))).unwrap();
    let mut fractions = Vec::new();
    let report = |progress: &crate::monitor::Progress| {
        assert_eq!(progress.stage, Stage::Load);
        fractions.push(progress.fraction);
        true
    };
    open(&path, &mut Monitor::new(report, || false, log_nothing())).unwrap();
    assert_eq!(fractions, [0.2, 0.4, 0.6, 0.8, 1.0]);
    let mut stopping = Monitor::new(|_| true, || true, log_nothing());
    assert_eq!(open(&path, &mut stopping).unwrap_err().kind(), ErrorKind::Cancelled);
}

/// What a checkpoint of the network holds: ones, and a head of 5 classes.
fn complete(parameters: &Parameters) -> BTreeMap<String, Tensor> {
    let spec = BACKBONES[0];
    let ones = |shape: &[i64]| Tensor::ones(shape, (Kind::Float, Device::Cpu));
    let mut tensors: BTreeMap<String, Tensor> =
        parameters.iter().map(|p| (p.name.clone(), ones(&p.tensor.size()))).collect();
    tensors.insert(spec.head_weight.to_owned(), ones(&[5, spec.n_features, 1, 1, 1]));
    tensors.insert(spec.head_bias.to_owned(), ones(&[5]));
    tensors
}

fn fit_tensors(tensors: BTreeMap<String, Tensor>, wanted: bool) -> Result<VideoWeights> {
    let checkpoint = Checkpoint { tensors, sha256: String::new(), container: "" };
    let i3d = Wanted::any(BACKBONES[0]);
    fit(checkpoint, wanted.then_some(&i3d), Device::Cpu)
}

#[test]
fn a_complete_checkpoint_fills_the_network() {
    let network =
        Network::new(Architecture::default_of(BACKBONES[0]), Device::Cpu, Start::Zeros).unwrap();
    for wanted in [false, true] {
        let video = fit_tensors(complete(&network.parameters), wanted).unwrap();
        assert_eq!(video.head_weight.size(), [5, BACKBONES[0].n_features]);
        assert_eq!(video.head_bias.size(), [5]);
        for parameter in video.network.parameters.iter() {
            assert_eq!(parameter.tensor.min().double_value(&[]), 1.0, "{}", parameter.name);
        }
    }
}

#[test]
fn everything_that_does_not_fit_is_listed() {
    let spec = BACKBONES[0];
    let network = Network::new(Architecture::default_of(spec), Device::Cpu, Start::Zeros).unwrap();
    let names: Vec<&str> = network.parameters.iter().map(|p| p.name.as_str()).collect();
    let ones = |shape: &[i64]| Tensor::ones(shape, (Kind::Float, Device::Cpu));
    let refused = |tensors: BTreeMap<String, Tensor>, wanted: bool| {
        let error: Error = fit_tensors(tensors, wanted).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::ModelMismatch);
        error.to_string()
    };

    let mut tensors = complete(&network.parameters);
    tensors.remove(names[0]);
    tensors.insert(names[1].to_owned(), ones(&[1]));
    tensors.insert("extra".to_owned(), ones(&[1]));
    tensors.remove(spec.head_bias);
    let message = refused(tensors, false);
    for part in [
        format!("looks like {}, but: ", spec.name),
        format!("missing: {}", names[0]),
        format!("{}: shape [1], the network needs", names[1]),
        "unexpected: extra".to_owned(),
        format!("missing: {}", spec.head_bias),
    ] {
        assert!(message.contains(&part), "{part:?} is not in: {message}");
    }

    let mut tensors = complete(&network.parameters);
    tensors.insert(spec.head_bias.to_owned(), ones(&[6]));
    let message = refused(tensors, true);
    assert!(
        message.contains("with a bias of shape [6], the network needs [classes, "),
        "{message}"
    );

    let mut tensors = complete(&network.parameters);
    names.iter().take(30).for_each(|name| drop(tensors.remove(*name)));
    assert!(refused(tensors, true).ends_with("; and 10 more"));

    let foreign = BTreeMap::from([("fc.weight".to_owned(), ones(&[400, 512]))]);
    let message = refused(foreign, false);
    assert!(message.contains("no network that is known (i3d"), "{message}");
    assert!(message.contains("fc.weight [400, 512]"), "{message}");
}

#[test]
fn the_message_begins_with_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("small.ckpt");
    fs::write(&path, leaf(&array(&[1.0]))).unwrap();
    let error = load_video(&path, None, Device::Cpu, &mut Monitor::silent()).err().unwrap();
    assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
    assert_eq!(error.kind(), ErrorKind::ModelMismatch);
}
