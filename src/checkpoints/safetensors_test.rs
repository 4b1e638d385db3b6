//! Safetensors files and indices that lie.

use std::path::Path;

use crate::{Checkpoint, Error, ErrorKind, Source, container_test::describe};

fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

#[test]
fn a_header_that_lies_is_refused() {
    let tensor = |shape: &str, offsets: &str| {
        format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}"#)
    };
    let one = |shape: &str, offsets: &str| format!(r#"{{"a":{}}}"#, tensor(shape, offsets));
    let two = |first: &str, second: &str| {
        format!(r#"{{"a":{},"b":{}}}"#, tensor("[1]", first), tensor("[1]", second))
    };
    assert!(describe(file(&one("[2]", "[0,8]"), &[0; 8])).is_ok());
    let not = "the header is not that of safetensors";
    for (file, message) in [
        (file(&one("[2]", "[0,8]"), &[0; 7]), "cut short: the file has"),
        (file(&one("[2]", "[0,8]"), &[0; 9]), "something was appended"),
        (file(&one("[3]", "[0,8]"), &[0; 8]), not),
        (file(&one("[2]", "[8,0]"), &[0; 8]), not),
        (file(&one("[2]", "[8,16]"), &[0; 16]), not),
        (file(&one("[4294967296,4294967296,4294967296]", "[0,8]"), &[0; 8]), not),
        (file(&one("[-1]", "[0,8]"), &[0; 8]), not),
        (file(&two("[0,4]", "[0,4]"), &[0; 4]), not),
        (file(&two("[0,4]", "[8,12]"), &[0; 12]), not),
        (file(r#"{"a":1}"#, &[]), not),
        (file(r#"{"a":{"dtype":"F9","shape":[],"data_offsets":[0,0]}}"#, &[]), not),
        (file(&format!("{{\"a\":{}", "[".repeat(10_000)), &[]), not),
        (file("{\"\\u0000\":", &[]), not),
        (
            file(&format!(r#"{{"a":{0},"a":{0}}}"#, tensor("[1]", "[0,4]")), &[0; 4]),
            "\"a\" is there twice",
        ),
        (
            file(&one("[2]", "[0,8]").replace("\"a\"", "\"a\\nb\""), &[0; 8]),
            "is no name of a tensor",
        ),
        (file(r#"{"__metadata__":{"cinetomo":"{}"}}"#, &[]), "load it with model_load"),
        (
            [&(1u64 << 39).to_le_bytes()[..], b"{}"].concat(),
            "a safetensors header of 549755813888 bytes in a file of 10",
        ),
        (
            [&9u64.to_le_bytes()[..], b"{}"].concat(),
            "a safetensors header of 9 bytes in a file of 10",
        ),
    ] {
        let error = describe(file).err().expect(message);
        assert!(error.to_string().contains(message), "expected {message:?}, got: {error}");
        assert_eq!(error.kind(), ErrorKind::Format);
    }
}

/// Lengths that begin as pickles, zip archives, gzip and others do.
#[test]
fn a_header_of_any_length_is_recognised() {
    for n in [0x80u64, 0x0280, 0x0480, 0x8b1f, 0xa181, 0x7b22, 0x4d42] {
        let tensor = r#"{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}"#;
        let header = format!("{tensor}{}}}", " ".repeat(n as usize - tensor.len() - 1));
        assert_eq!(describe(file(&header, &[0; 4])).unwrap().tensors().len(), 1, "{n:#x}");
    }
}

/// The checkpoint of that index, the files beside it being safetensors with the tensors of those names.
fn indexed(index: &str, files: &[(&str, &[&str])]) -> Result<Checkpoint, Error> {
    let beside = |name: &str| -> Result<Box<dyn Source>, Error> {
        let found = files.iter().find(|(file, _)| *file == name);
        let (_, tensors) = found.ok_or_else(|| Error::format("is not there"))?;
        let tensors: Vec<String> = tensors
            .iter()
            .map(|name| match *name {
                "index" => "\"weight_map\":{}".to_owned(),
                name => format!(r#""{name}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#),
            })
            .collect();
        let header = format!("{{{}}}", tensors.join(","));
        Ok(Box::new(if header.contains("weight_map") { header.into() } else { file(&header, &[]) }))
    };
    Checkpoint::describe(Path::new("some/index.json"), Box::new(index.as_bytes().to_vec()), beside)
}

#[test]
fn an_index_that_lies_is_refused() {
    let map = |pairs: &str| format!(r#"{{"metadata": {{}}, "weight_map": {{{pairs}}}}}"#);
    let files: &[(&str, &[&str])] =
        &[("1.st", &["a", "b"]), ("2.st", &["c"]), ("3.st", &["a"]), ("index.json", &["index"])];
    let whole = map(r#""a":"1.st","b":"1.st","c":"2.st""#);
    assert_eq!(indexed(&whole, files).unwrap().tensors().len(), 3);
    for (index, message) in [
        (map(r#""a":"1.st","b":"1.st","c":"1.st""#), "c is not in 1.st, where the index has it"),
        (map(r#""a":"1.st""#), "1.st holds b, which the index does not name"),
        (map(r#""a":"1.st","b":"1.st","d":"3.st""#), "a is in 1.st and in 3.st"),
        (map(r#""a":"1.st","a":"1.st""#), "\"a\" is there twice"),
        (map(r#""a":"4.st""#), "some/4.st: is not there"),
        (map(r#""a":"index.json""#), "an index within an index"),
        (map(r#""a":"../1.st""#), "which is no file beside it"),
        (map(r#""a":"/etc/passwd""#), "which is no file beside it"),
        (map(r#""a":"..""#), "which is no file beside it"),
        (map(r#""a":"""#), "which is no file beside it"),
        (map(r#""a":"1.st\u0000""#), "which is no file beside it"),
        (map(r#""a":1"#), "is not an index of weights in JSON"),
        (map(""), "an index of no tensors"),
        ("{}".to_owned(), "a JSON file without a weight_map"),
        ("{\"a\"".to_owned(), "is not an index of weights in JSON"),
        ("{\"weight_map\":".to_owned() + &"[".repeat(10_000), "is not an index of weights in JSON"),
    ] {
        let error = indexed(&index, files).err().expect(message);
        assert!(error.to_string().contains(message), "expected {message:?}, got: {error}");
        assert_eq!(error.kind(), ErrorKind::Format);
    }
}
