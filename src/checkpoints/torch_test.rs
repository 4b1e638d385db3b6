//! Pickles of PyTorch that mean harm or are damaged, in both containers.

use crate::{
    ErrorKind,
    checkpoint_test::values,
    container_test::describe,
    instructions::{dict, int, pickle, shape, text, tuple},
    written::{Member, TORCH_LEGACY, torch_legacy, torch_zip, zip},
};

/// A reference to the storage "0".
fn storage(class: &str, n_values: Vec<u8>, view: &[u8]) -> Vec<u8> {
    let class = format!("c{}\n", class.replace('.', "\n"));
    [b"(", &text("storage")[..], class.as_bytes(), &text("0"), &text("cpu"), &n_values, view, b"tQ"]
        .concat()
}

/// A tensor of that storage.
fn tensor_of(storage: Vec<u8>, start: Vec<u8>, shape: Vec<u8>, strides: Vec<u8>) -> Vec<u8> {
    let arguments = tuple(&[storage, start, shape, strides, b"\x89".to_vec(), b"}".to_vec()]);
    [b"ctorch._utils\n_rebuild_tensor_v2\n", &arguments[..], b"R"].concat()
}

fn floats(n_values: i32) -> Vec<u8> {
    storage("torch.FloatStorage", int(n_values), b"")
}

/// A tensor of shape [2] whose storage has two values.
fn tensor() -> Vec<u8> {
    tensor_of(floats(2), int(0), shape(&[2]), shape(&[1]))
}

/// A file whose storage "0" has the values 1 and 2.
fn in_zip(object: &[u8]) -> Vec<u8> {
    let values = [1f32.to_le_bytes(), 2f32.to_le_bytes()].concat();
    let members = [("a/data.pkl", pickle(object)), ("a/data/0", values)];
    zip(&members.map(|(name, data)| Member::plain(name, data)))
}

fn in_legacy(object: &[u8], keys: &[u8], storages: &[u8]) -> Vec<u8> {
    [TORCH_LEGACY, &pickle(object), &pickle(keys), storages].concat()
}

#[track_caller]
fn refused(file: Vec<u8>, message: &str) {
    let error = describe(file).err().expect(message);
    assert!(error.to_string().contains(message), "expected {message:?}, got: {error}");
    assert_eq!(error.kind(), ErrorKind::Format, "{error}");
}

#[test]
fn what_these_tests_write_is_read() {
    let named =
        [("a".to_owned(), vec![2, 1], vec![1.0, 2.0]), ("b".to_owned(), vec![1], vec![3.0])];
    for file in [torch_zip(&named), torch_legacy(&named), in_zip(&dict(&[("a", tensor())]))] {
        let checkpoint = describe(file).unwrap();
        let tensor = checkpoint.tensors().iter().find(|tensor| tensor.name == "a").unwrap();
        assert_eq!(values(&checkpoint, tensor).unwrap(), [1.0, 2.0]);
    }
    // A part of a storage, as PyTorch before 0.4 wrote slices of storages.
    let view = storage("torch.FloatStorage", int(2), &tuple(&[text("v"), int(1), int(1)]));
    let object = dict(&[("a", tensor_of(view, int(0), shape(&[1]), shape(&[1])))]);
    let keys = [b"](", &text("0")[..], b"e"].concat();
    let data = [&2u64.to_le_bytes()[..], &1f32.to_le_bytes(), &2f32.to_le_bytes()].concat();
    let checkpoint = describe(in_legacy(&object, &keys, &data)).unwrap();
    assert_eq!(values(&checkpoint, &checkpoint.tensors()[0]).unwrap(), [2.0]);
}

#[test]
fn no_name_but_those_of_checkpoints_is_accepted_anywhere() {
    let evil = b"cos\nsystem\n\x8c\x02ls\x85R";
    let message = "asks for \"os.system\"; only what checkpoints of weights are made of";
    let beside = [dict(&[("state_dict", dict(&[("a", tensor())])), ("x", evil.to_vec())])].concat();
    refused(in_zip(evil), message);
    refused(in_zip(&beside), message);
    refused(in_legacy(evil, b"]", b""), message);
    refused(in_legacy(&beside, b"]", b""), message);
    refused(in_legacy(&dict(&[]), evil, b""), message);
    refused([&TORCH_LEGACY[..15], &pickle(evil)].concat(), message);
    refused([&TORCH_LEGACY[..21], &pickle(evil)].concat(), message);
    for name in
        ["builtins\neval", "torch\nload", "torch.nn.modules.conv\nConv3d", "__builtin__\ngetattr"]
    {
        let object = [format!("c{name}\n").as_bytes(), b")R"].concat();
        refused(in_zip(&object), &format!("asks for {:?}", name.replace('\n', ".")));
    }
}

#[test]
fn a_damaged_object_has_its_message() {
    let one = |tensor: Vec<u8>| in_zip(&dict(&[("a", tensor)]));
    let of = |storage: Vec<u8>| one(tensor_of(storage, int(0), shape(&[2]), shape(&[1])));
    let shaped = |start: i32, sizes: &[i32], strides: &[i32]| {
        one(tensor_of(floats(2), int(start), shape(sizes), shape(strides)))
    };
    let long = |digits: &str| [b"L", digits.as_bytes(), b"L\n"].concat();
    let rebuilt =
        |arguments: &[u8]| one([b"ctorch._utils\n_rebuild_tensor_v2\n", arguments, b"R"].concat());
    let cyclic =
        [b"}\x94".to_vec(), text("a"), tensor(), b"s".to_vec(), text("b"), b"h\0s".to_vec()]
            .concat();
    for (file, message) in [
        // Sizes.
        (
            shaped(0, &[3], &[1]),
            "a: shape [3], strides [1] and type float32 from byte 0 on do not fit",
        ),
        (shaped(1, &[2], &[1]), "do not fit into the 8 bytes"),
        (shaped(0, &[2], &[2]), "do not fit"),
        (shaped(0, &[2, 2], &[1]), "do not fit"),
        (shaped(0, &[i32::MAX; 9], &[0; 9]), "do not fit"),
        (shaped(0, &[i32::MAX; 3], &[i32::MAX; 3]), "do not fit"),
        (shaped(-1, &[2], &[1]), "the first value of a tensor is the integer -1"),
        (shaped(0, &[-2], &[1]), "the shape of a tensor is the integer -2"),
        (shaped(0, &[2], &[-1]), "the strides of a tensor is the integer -1"),
        (
            one(tensor_of(floats(2), long("9223372036854775807"), shape(&[2]), shape(&[1]))),
            "begins beyond its storage",
        ),
        (
            one(tensor_of(floats(2), long("99999999999999999999"), shape(&[2]), shape(&[1]))),
            "more than 64 bits",
        ),
        (of(floats(3)), "a storage of 3 values of float32 has 8 bytes"),
        (
            of(storage("torch.DoubleStorage", int(2), b"")),
            "a storage of 2 values of float64 has 8 bytes",
        ),
        (of(storage("torch.FloatStorage", long("9223372036854775807"), b"")), "has 8 bytes"),
        (
            of(storage("torch.FloatStorage", int(2), &tuple(&[text("v"), int(1), int(2)]))),
            "begins beyond its storage",
        ),
        (
            of(storage("torch.FloatStorage", int(2), &tuple(&[text("v"), int(1)]))),
            "the view of a storage has not 3 parts",
        ),
        // What refers to what.
        (of(storage("torch.Size", int(2), b"")), "the type of a storage is not known"),
        (of([b"(", &text("module")[..], b"NNNtQ"].concat()), "a tensor's storage is source code"),
        (of([b"(", &text("file")[..], b"tQ"].concat()), "a reference of kind \"file\" to outside"),
        (of(b")Q".to_vec()), "a reference to nothing"),
        (of(b"NQ".to_vec()), "a reference to outside is None, not a tuple"),
        (of(b"N".to_vec()), "a tensor's storage is None"),
        (rebuilt(b")"), "a tensor without a storage"),
        (rebuilt(b"(NNNNNN}K\x01K\x02st"), "a tensor's storage is None"),
        (
            rebuilt(&tuple(&[
                floats(2),
                int(0),
                shape(&[2]),
                shape(&[1]),
                b"\x89".to_vec(),
                b"}".to_vec(),
                dict(&[("conj", b"\x88".to_vec())]),
            ])),
            "conjugated or negated",
        ),
        (one(b"ctorch.nn.parameter\nParameter\n)R".to_vec()), "a parameter without a tensor"),
        // The tree.
        (in_zip(b"N"), "the file holds None, not a dict"),
        (in_zip(&tensor()), "the file holds an object of a class, not a dict"),
        (in_zip(b"}"), "a PyTorch file without tensors: a dict of 0"),
        (
            in_zip(&dict(&[("epoch", int(3))])),
            "without tensors: a dict of 1 (\"epoch\": the integer 3)",
        ),
        (in_zip(&dict(&[("optimizer", dict(&[]))])), "holds only the state of an optimiser"),
        (
            in_zip(&dict(&[("state", dict(&[])), ("param_groups", b"]".to_vec())])),
            "only the state of an optimiser",
        ),
        (in_zip(&dict(&[("a", tensor()), ("a", tensor())])), "two tensors are named a"),
        (
            in_zip(&dict(&[("a.b", tensor()), ("a", dict(&[("b", tensor())]))])),
            "two tensors are named a.b",
        ),
        (in_zip(&dict(&[("a\nb", tensor())])), "a key that makes no name"),
        (
            in_zip(&dict(&[("state_dict", cyclic.clone())])),
            "a dict occurs twice, or contains itself",
        ),
        (in_zip(&cyclic), "a dict occurs twice, or contains itself"),
        // The archive.
        (
            zip(&[Member::plain("a/data.pkl", pickle(&dict(&[("a", tensor())])))]),
            "the storage \"0\" of a tensor is missing",
        ),
        (zip(&[Member::plain("a/data.pkl", vec![])]), "a/data.pkl: byte"),
        (
            zip(&[
                Member::plain("a/data.pkl", pickle(b"}")),
                Member::plain("a/byteorder", b"middle".to_vec()),
            ]),
            "byteorder is neither",
        ),
        (
            zip(&[
                Member::plain("a/data.pkl", pickle(b"}")),
                Member::plain("a/constants.pkl", vec![]),
            ]),
            "TorchScript",
        ),
    ] {
        refused(file, message);
    }
}

/// A few hundred kilobytes that would take hours and gigabytes: references to one large thing from many places.
#[test]
fn small_files_of_large_work_are_refused_at_once() {
    let mut large = b"}\x94(".to_vec();
    (0..60_000).for_each(|n| large.extend([int(n), b"N".to_vec()].concat()));
    large.extend(b"u0");
    // Dicts, each with the large one as its only value, in a dict.
    let nested: Vec<u8> =
        (0..20_000).flat_map(|n| [int(n), b"}K\0h\0s".to_vec()].concat()).collect();
    let named: Vec<u8> =
        (0..20_000).flat_map(|n| [text(&n.to_string()), b"}K\0h\0s".to_vec()].concat()).collect();
    let pairs: Vec<u8> = (0..20_000)
        .flat_map(|n| [text(&n.to_string()), b"ccollections\nOrderedDict\nh\0R".to_vec()].concat())
        .collect();
    let list = [b"](", &b"]".repeat(60_000)[..], b"e\x85\x940"].concat();
    let ones = [b"(", &b"K\x01".repeat(400_000)[..], b"t\x940"].concat();
    let shaped: Vec<u8> = (0..10_000)
        .flat_map(|n| {
            [text(&n.to_string()), tensor_of(floats(2), int(0), b"h\0".to_vec(), b"h\0".to_vec())]
                .concat()
        })
        .collect();
    let start = std::time::Instant::now();
    refused(in_zip(&[&large[..], b"}(", &nested, b"u"].concat()), "more than 65536 values");
    refused(in_zip(&[&large[..], b"}(", &named, b"u"].concat()), "without end");
    refused(in_zip(&[&list[..], b"}(", &pairs, b"u"].concat()), "a pair has not two parts");
    refused(in_zip(&[&ones[..], b"}(", &shaped, b"u"].concat()), "has 400000 axes");
    assert!(start.elapsed().as_secs() < 20);
}

#[test]
fn storages_that_lie_about_their_sizes_are_refused() {
    let object = dict(&[("a", tensor())]);
    let keys = |keys: &[&str]| {
        [b"](", &keys.iter().flat_map(|key| text(key)).collect::<Vec<u8>>()[..], b"e"].concat()
    };
    let storage = |n: u64| [&n.to_le_bytes()[..], &[0; 8]].concat();
    let file = |names: &[&str], data: &[u8]| in_legacy(&object, &keys(names), data);
    assert!(describe(file(&["0"], &storage(2))).is_ok());
    refused(file(&["0"], &storage(3)), "the storage \"0\" has 3 values, its tensors say 2");
    refused(file(&["0"], &storage(u64::MAX)), "has 18446744073709551615 values");
    refused(file(&["0"], &storage(2)[..15]), "15 bytes are left for the storage \"0\" of 2 values");
    refused(file(&["0"], &[storage(2), vec![0]].concat()), "1 bytes follow the last storage");
    refused(file(&[], b""), "the storage \"0\" of a tensor is missing");
    refused(file(&["7"], &storage(2)), "no tensor describes the storage \"7\"");
    refused(file(&["0", "0"], &storage(2).repeat(2)), "the storage \"0\" is there twice");
    refused(in_legacy(&object, b"N", b""), "the keys of the storages are None");
    refused(
        [&TORCH_LEGACY[..15], &pickle(&int(7))].concat(),
        "the version of the format is the integer 7",
    );
}

#[test]
fn of_several_dicts_the_network_is_taken() {
    let first_names = |object: &[u8]| {
        let checkpoint = describe(in_zip(object)).unwrap();
        checkpoint.tensors().iter().map(|tensor| tensor.name.clone()).collect::<Vec<_>>()
    };
    let network = || dict(&[("a", tensor())]);
    let other = || dict(&[("b", tensor())]);
    assert_eq!(first_names(&dict(&[("ema", other()), ("model_state", network())])), ["a"]);
    assert_eq!(first_names(&dict(&[("optimizer", other()), ("teacher", network())])), ["a"]);
    assert_eq!(first_names(&dict(&[("model", dict(&[("state_dict", network())]))])), ["a"]);
    let mut parts = first_names(&dict(&[("body", network()), ("head", other())]));
    parts.sort_unstable();
    assert_eq!(parts, ["body.a", "head.b"]);
}
