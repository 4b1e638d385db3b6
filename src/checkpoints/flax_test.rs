//! Checkpoints that numpy wrote, and pickles that mean harm.

use serde_json::Value as Json;

use crate::{
    ErrorKind,
    checkpoint_test::values,
    container_test::describe,
    error::Result,
    instructions::{bytes, dict, int, pickle, shape, text, tuple},
};

/// Name, shape and values of a tensor.
type Tensor = (String, Vec<u64>, Vec<f32>);

/// The file's description and all its values.
fn read(file: &[u8]) -> Result<Vec<Tensor>> {
    let checkpoint = describe(file.to_vec())?;
    let tensors = checkpoint.tensors().iter();
    tensors
        .map(|tensor| Ok((tensor.name.clone(), tensor.shape.clone(), values(&checkpoint, tensor)?)))
        .collect()
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

/// A checkpoint with one leaf, `layer/bias`.
fn leaf(value: &[u8]) -> Vec<u8> {
    pickle(&dict(&[("params", dict(&[("layer", dict(&[("bias", value.to_vec())]))]))]))
}

fn numpy_pickles() -> impl Iterator<Item = (Vec<u8>, Json)> {
    [
        include_str!("../../tests/reference/numpy_pickles_1.json"),
        include_str!("../../tests/reference/numpy_pickles_2.json"),
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
        let tensors = read(&file).unwrap();
        let expected = expected.as_object().unwrap();
        let mut names: Vec<&String> = tensors.iter().map(|(name, ..)| name).collect();
        names.sort_unstable();
        assert_eq!(names, expected.keys().collect::<Vec<_>>());
        for (name, shape, values) in &tensors {
            let expected = &expected[name];
            assert_eq!(serde_json::to_value(shape).unwrap(), expected["shape"], "{name}");
            let expected: Vec<f32> = serde_json::from_value(expected["values"].clone()).unwrap();
            assert_eq!(*values, expected, "{name}");
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
    assert_eq!(read(&file).unwrap(), [("bias".to_owned(), vec![1], vec![3.0])]);
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
                let _ = read(&file);
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
        (leaf(b"cnumpy\nndarray\n)\x81"), "is an object of a class, neither"),
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
        (leaf(b"\x8a\x09123456789"), "is an integer of more than 64 bits, neither"),
        (leaf(b"I12L3\n"), "an integer that is no number"),
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
        (pickle(&crowd), "more than 65536 arrays"),
        // The arrays.
        (leaf(&array_of(one(), dtype("O8", "|"), b"](Ne".to_vec())), "dtype \"O8\""),
        (leaf(&array_of(one(), dtype("V8", "|"), bytes(&[0; 8]))), "dtype \"V8\""),
        (leaf(&array_of(one(), dtype("c8", "<"), bytes(&[0; 8]))), "type complex64 are not read"),
        (leaf(&array_of(one(), dtype("f4", "?"), four())), "byte order \"?\""),
        (leaf(&array_of(one(), text("f4"), four())), "type is text, not a numpy dtype"),
        (leaf(&array_of(one(), f4(), b"](Ne".to_vec())), "an array of Python objects"),
        (leaf(&array_of(one(), f4(), b"N".to_vec())), "None, where numpy writes bytes"),
        (
            leaf(&array_of(shape(&[2]), f4(), four())),
            "shape [2] and type float32 comes with 4 bytes",
        ),
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
        assert!(error.to_string().contains("file.pth: "), "{error}");
        assert_eq!(error.kind(), ErrorKind::Format, "{error}");
    }
}

/// A hundred arrays of the same bytes take no memory until they are read, and then one at a time.
#[test]
fn arrays_may_share_their_bytes() {
    let shared: Vec<u8> = {
        let first =
            array_of(shape(&[1024]), dtype("f4", "<"), [&bytes(&[0; 4096])[..], b"q\x07"].concat());
        let again = || array_of(shape(&[1024]), dtype("f4", "<"), b"h\x07".to_vec());
        let names: Vec<String> = (0..100).map(|index| format!("z{index}")).collect();
        let mut items = vec![("a", first)];
        items.extend(names.iter().map(|name| (name.as_str(), again())));
        pickle(&dict(&[("params", dict(&items))]))
    };
    assert_eq!(read(&shared).unwrap().len(), 101);
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
