//! Files of the reference libraries (tests/reference/checkpoints.py) are read value for value.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::Value as Json;

use crate::{Checkpoint, Container, Error, TensorInfo};

pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/checkpoints").join(name)
}

fn open(name: &str) -> Checkpoint {
    Checkpoint::open(&fixture(name)).unwrap()
}

/// What the script says of the tensors of that group.
fn expected(group: &str) -> BTreeMap<String, Json> {
    let json: Json =
        serde_json::from_slice(&std::fs::read(fixture("expected.json")).unwrap()).unwrap();
    serde_json::from_value(json[group].clone()).unwrap()
}

pub(crate) fn values(checkpoint: &Checkpoint, tensor: &TensorInfo) -> Result<Vec<f32>, Error> {
    let mut all = Vec::new();
    checkpoint.read(tensor, |values| -> Result<(), Error> {
        all.extend_from_slice(values);
        Ok(())
    })?;
    Ok(all)
}

#[track_caller]
fn compare(checkpoint: &Checkpoint, prefix: &str, expected: &BTreeMap<String, Json>) {
    let mut names: Vec<&str> = checkpoint
        .tensors()
        .iter()
        .map(|tensor| tensor.name.strip_prefix(prefix).unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, expected.keys().map(String::as_str).collect::<Vec<_>>());
    for tensor in checkpoint.tensors() {
        let expected = &expected[&tensor.name[prefix.len()..]];
        assert_eq!(tensor.dtype.name(), expected["dtype"], "{}", tensor.name);
        let shape: Vec<u64> = serde_json::from_value(expected["shape"].clone()).unwrap();
        assert_eq!(tensor.shape, shape, "{}", tensor.name);
        let expected: Vec<f32> = serde_json::from_value(expected["values"].clone()).unwrap();
        assert_eq!(values(checkpoint, tensor).unwrap(), expected, "{}", tensor.name);
    }
}

#[test]
fn every_container_is_read_value_for_value() {
    use Container::{Npz, Safetensors, TorchLegacy, TorchZip};
    for (name, container, prefix, group) in [
        ("zip.pth", TorchZip, "", "today"),
        ("zip_deflated.pth", TorchZip, "", "today"),
        ("zip_big_endian.pth", TorchZip, "", "today"),
        ("zip64.pth", TorchZip, "", "today"),
        ("zip_training.pth", TorchZip, "module.", "today"),
        ("legacy.pth", TorchLegacy, "", "network"),
        ("legacy_protocol4.pth", TorchLegacy, "", "network"),
        ("legacy_training.pth", TorchLegacy, "module.", "network"),
        ("python2.pth", TorchLegacy, "", "network"),
        ("python2_training.pth", TorchLegacy, "module.", "network"),
        ("python2_2018.pth", TorchLegacy, "", "network"),
        ("one.safetensors", Safetensors, "", "today"),
        ("pytorch_model.bin.index.json", TorchZip, "", "today"),
        ("vivit/model.safetensors.index.json", Safetensors, "", "vivit"),
        ("stored.npz", Npz, "", "npz"),
        ("deflated.npz", Npz, "", "npz"),
    ] {
        let checkpoint = open(name);
        assert_eq!(checkpoint.container(), container, "{name}");
        compare(&checkpoint, prefix, &expected(group));
    }
}

#[test]
fn arrays_under_flax_names_get_pytorchs_names_and_axes() {
    let checkpoint = open("flax.npz");
    let shapes: Vec<(&str, &[u64])> =
        checkpoint.tensors().iter().map(|tensor| (&*tensor.name, &*tensor.shape)).collect();
    assert_eq!(shapes, [("conv/weight", &[2, 2, 2, 1, 3][..]), ("norm/running_mean", &[3])]);
    // np.arange(24).reshape(2, 1, 3, 2, 2).transpose(4, 3, 0, 1, 2)
    let transposed =
        [0, 4, 8, 12, 16, 20, 2, 6, 10, 14, 18, 22, 1, 5, 9, 13, 17, 21, 3, 7, 11, 15, 19, 23];
    let kernel = values(&checkpoint, &checkpoint.tensors()[0]).unwrap();
    assert_eq!(kernel, transposed.map(|value| value as f32));
}

#[test]
fn plain_values_beside_the_network_are_told() {
    for name in ["zip_training.pth", "legacy_training.pth", "python2_training.pth"] {
        let checkpoint = open(name);
        let metadata: BTreeMap<&str, &str> =
            checkpoint.metadata().iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(metadata, BTreeMap::from([("arch", "resnet3d-34"), ("epoch", "3")]), "{name}");
    }
    let expected = [("epoch".to_owned(), "3".to_owned()), ("format".to_owned(), "pt".to_owned())];
    assert_eq!(open("one.safetensors").metadata(), expected);
}

#[test]
fn the_state_of_an_optimiser_is_no_network() {
    let error = Checkpoint::open(&fixture("optimizer.pth")).err().unwrap();
    assert!(error.to_string().contains("holds only the state of an optimiser"), "{error}");
}

/// Expected: `sha256sum one.safetensors`, and `cat model.safetensors.index.json model-*.safetensors | sha256sum`.
#[test]
fn the_hash_is_that_of_the_files() {
    use sha2::{Digest, Sha256};
    let of = |names: &[&str]| {
        let mut hash = Sha256::new();
        names.iter().for_each(|name| hash.update(std::fs::read(fixture(name)).unwrap()));
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let one = open("one.safetensors");
    assert_eq!(one.sha256(|_| true).unwrap(), Some(of(&["one.safetensors"])));
    assert_eq!(one.sha256(|n| n == 0).unwrap(), None);
    let parts = [
        "vivit/model.safetensors.index.json",
        "vivit/model-00001-of-00002.safetensors",
        "vivit/model-00002-of-00002.safetensors",
    ];
    assert_eq!(open(parts[0]).sha256(|_| true).unwrap(), Some(of(&parts)));
    assert_eq!(open(parts[0]).n_parts(), 2);
    assert_eq!(one.n_parts(), 1);
}
