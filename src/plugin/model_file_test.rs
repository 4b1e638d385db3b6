use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
    sync::OnceLock,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::{
    backbone::Precision,
    confidence::{CalibrationRecord, Threshold},
    model::{EpochRecord, ProbeRecord, StageRecord},
    monitor::Monitor,
    preprocess::{GreyScale, Interpolation, Normalization},
    volume::Volume,
};

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(&tensor.detach().reshape([-1])).unwrap()
}

/// A model of which nothing has its default.
fn model() -> Model {
    let preprocess = Preprocess {
        normalization: Normalization::Percentile,
        interpolation: Interpolation::Linear,
        input_size: [0, 12, 12],
        percentile: [0.1, 99.7],
        contrast: Contrast::Bright,
        n_views: 4,
        fixed: GreyScale { mean: 1.0 / 3.0, deviation: 54.4 },
    };
    let config = ModelConfig {
        backbone: None,
        class_names: ["ribosome", "\"core\" 20S é", "無"].map(str::to_owned).to_vec(),
        preprocess,
        seed: u64::MAX,
        dropout: 0.1 + 0.2,
    };
    let mut model = Model::random(config, Device::Cpu).unwrap();
    model.voxel_size = 13.48;
    model.contrast = Contrast::Dark;
    model.origin = Origin::Video { checkpoint: "i3d.ckpt".to_owned(), sha256: "0a".repeat(32) };
    model.history = vec![TrainingRecord {
        config: json!({"learning_rate": 1e-4, "seed": u64::MAX, "milestones": [1, 2]}),
        n_subtomograms: 30,
        n_per_class: vec![10, 12, 8],
        epochs: vec![EpochRecord {
            epoch: 1,
            learning_rate: Some(1e-4 / 3.0),
            loss: Some(0.123_456_789_012_345_67),
            accuracy: Some(2.0 / 3.0),
            validation_loss: None,
            validation_accuracy: Some(1.0 / 3.0),
        }],
        selected_epoch: 1,
        probe: Some(ProbeRecord {
            penalty: 0.3,
            cross_validated_accuracy: Some(0.7),
            stage: Some("Mixed_4c".to_owned()),
            stages: vec![StageRecord {
                stage: "Mixed_4c".to_owned(),
                cross_validated_accuracy: 0.7,
            }],
        }),
        precision: Precision::Bf16,
    }];
    model.confidence = Confidence {
        temperature: 1.0 + 1.0 / 3.0,
        calibration: Some(CalibrationRecord {
            n_subtomograms: 21,
            accuracy: 17.0 / 21.0,
            temperature_error: None,
            log_loss: [0.9, 0.7],
            expected_calibration_error: [0.2, 0.1],
        }),
        probability: Some(threshold(0.1f32.into())),
        distance: Some(threshold(23.4)),
    };
    model.mahalanobis = Some(Mahalanobis {
        record: MahalanobisRecord { classes: vec![0, 2], n_subtomograms: 9, shrinkage: 0.3 },
        means: ramp(&[2, 1024]),
        whitening: ramp(&[1024, 1024]),
    });
    model
}

fn threshold(value: f64) -> Threshold {
    Threshold { value, n_subtomograms: 21, n_accepted: 20, n_correct: 17 }
}

fn ramp(shape: &[i64]) -> Tensor {
    Tensor::arange(shape.iter().product::<i64>(), (Kind::Float, Device::Cpu)).reshape(shape) / 1e5
}

fn scores(model: &Model) -> Vec<u32> {
    let voxels: Vec<f32> = (0..2 * 512).map(|i| ((i * i * 31 + i) % 1009) as f32).collect();
    let volume = Volume::from_slice(&voxels, [2, 8, 8, 8]).unwrap();
    let scores = model.classify(&volume, &mut Monitor::silent()).unwrap();
    scores.into_iter().map(f32::to_bits).collect()
}

/// The bytes of that model's file.
fn file() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("model");
        save(&model(), &path).unwrap();
        fs::read(path).unwrap()
    })
}

/// Header and tensors of that file.
fn parts() -> (Value, &'static [u8]) {
    let n = u64::from_le_bytes(file()[..8].try_into().unwrap()) as usize;
    (serde_json::from_slice(&file()[8..8 + n]).unwrap(), &file()[8 + n..])
}

fn assembled(header: &Value, data: &[u8]) -> Vec<u8> {
    let header = serde_json::to_vec(header).unwrap();
    [&(header.len() as u64).to_le_bytes(), header.as_slice(), data].concat()
}

/// Loads a file of these bytes and, behind them, so many zeros that take no space.
fn load_bytes(bytes: &[u8], n_zeros: usize) -> Result<Model> {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("model");
    let mut file = File::create(&path).unwrap();
    file.write_all(bytes).unwrap();
    file.set_len((bytes.len() + n_zeros) as u64).unwrap();
    load(&path, Device::Cpu)
}

#[track_caller]
fn refused(bytes: &[u8], kind: ErrorKind, part: &str) {
    refused_padded(bytes, 0, kind, part);
}

/// Refuses a file with that header, and tensors of zeros in the place of the model's own.
#[track_caller]
fn refused_header(header: &Value, kind: ErrorKind, part: &str) {
    refused_padded(&assembled(header, &[]), parts().1.len(), kind, part);
}

#[track_caller]
fn refused_padded(bytes: &[u8], n_zeros: usize, kind: ErrorKind, part: &str) {
    let Err(error) = load_bytes(bytes, n_zeros) else { panic!("loaded; {part} was expected") };
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(part), "{error}");
    assert!(error.to_string().contains("/model: "), "no path: {error}");
}

/// Refuses the file with its document changed.
#[track_caller]
fn refused_document(change: impl FnOnce(&mut Value), kind: ErrorKind, part: &str) {
    let (mut header, _) = parts();
    let text = &mut header["__metadata__"]["cinetomo"];
    let mut document = serde_json::from_str(text.as_str().unwrap()).unwrap();
    change(&mut document);
    *text = json!(document.to_string());
    refused_header(&header, kind, part);
}

#[test]
fn a_model_comes_back_bit_for_bit() {
    let model = model();
    let loaded = load_bytes(file(), 0).unwrap();
    assert_eq!(metadata_json(&loaded), metadata_json(&model));
    assert_eq!(
        (&loaded.class_names, &loaded.preprocess, &loaded.origin, &loaded.history),
        (&model.class_names, &model.preprocess, &model.origin, &model.history)
    );
    assert_eq!(loaded.confidence, model.confidence);
    let record = |model: &Model| model.mahalanobis.as_ref().unwrap().record.clone();
    assert_eq!(record(&loaded), record(&model));
    assert_eq!(
        (loaded.dropout, loaded.voxel_size, loaded.seed, loaded.contrast),
        (model.dropout, model.voxel_size, model.seed, model.contrast)
    );
    let pairs = tensors(&loaded).into_iter().zip(tensors(&model));
    for ((name, found), (expected_name, expected)) in pairs {
        assert_eq!(name, expected_name);
        let bits = |tensor| values(&tensor).into_iter().map(f32::to_bits);
        assert!(bits(found).eq(bits(expected)), "{name}");
    }
    assert_eq!(scores(&loaded), scores(&model));
    // And the same model makes the same file.
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("again");
    save(&loaded, &path).unwrap();
    assert!(fs::read(path).unwrap() == file());
}

/// Files from before there was confidence in them, and files that need none.
#[test]
fn a_file_without_confidence_is_uncalibrated() {
    let mut model = model();
    (model.confidence, model.mahalanobis) = (Confidence::default(), None);
    assert_eq!(format_version(&model), 3);
    model.preprocess.fixed = GreyScale::default();
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("model");
    save(&model, &path).unwrap();
    let bytes = fs::read(path).unwrap();
    let n = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + n]).unwrap();
    let text = header["__metadata__"]["cinetomo"].as_str().unwrap();
    let mut document: Value = serde_json::from_str(text).unwrap();
    assert_eq!(document["format_version"], 1);
    for key in ["confidence", "mahalanobis"] {
        document.as_object_mut().unwrap().remove(key).unwrap();
    }
    header["__metadata__"]["cinetomo"] = json!(document.to_string());
    let old = load_bytes(&assembled(&header, &bytes[8 + n..]), 0).unwrap();
    assert_eq!((old.confidence.temperature, old.mahalanobis.is_none()), (1.0, true));
    assert_eq!(scores(&old), scores(&model));
}

#[test]
fn a_loaded_model_can_be_trained() {
    let mut model = load_bytes(file(), 0).unwrap();
    let _ = model.head.weight.requires_grad_(true);
    let features = Tensor::ones([1, 1024], (Kind::Float, Device::Cpu));
    model.logits(&features).unwrap().sum(Kind::Float).backward();
    assert_eq!(values(&model.head.weight.grad()), vec![1.0; 3 * 1024]);
    // A model whose tensors want gradients is saved like any other.
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("model");
    model.head.weight = model.head.weight.set_requires_grad(true);
    save(&model, &path).unwrap();
    assert!(fs::read(path).unwrap() == file());
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let header = u64::from_le_bytes(file()[..8].try_into().unwrap()) as usize;
    let cut = |n: usize, part: &str| refused(&file()[..n], ErrorKind::Format, part);
    cut(0, "0 bytes are too few");
    cut(7, "7 bytes are too few");
    cut(8, "it would have a header");
    cut(8 + header / 2, "it would have a header");
    cut(8 + header - 1, "it would have a header");
    cut(8 + header, "cut short");
    cut(8 + header + 4, "cut short");
    cut(file().len() / 2, "cut short");
    cut(file().len() - 1, "cut short");
    refused(&[file(), &[0]].concat(), ErrorKind::Format, "something was appended");
}

#[test]
fn foreign_files_are_refused() {
    let advice = "video checkpoints are read by model_from_video";
    refused(b"PK\x03\x04 the start of a PyTorch checkpoint", ErrorKind::Format, advice);
    refused(&[0; 4096], ErrorKind::Format, advice);
    refused(&[0xFF; 4096], ErrorKind::Format, advice);
    refused(&assembled(&json!([1, 2]), &[]), ErrorKind::Format, advice);
    refused(&assembled(&json!({}), &[]), ErrorKind::Format, advice);
    // What other programs write: a safetensors file with metadata of its own.
    let (mut header, _) = parts();
    header["__metadata__"] = json!({"format": "pt"});
    refused_header(&header, ErrorKind::Format, advice);
    // Text that is no UTF-8, and JSON nested as deep as memory.
    refused(&[&2u64.to_le_bytes()[..], &[0xC3, 0x28]].concat(), ErrorKind::Format, advice);
    let deep = "[".repeat(1 << 20);
    let deep = [&(deep.len() as u64).to_le_bytes()[..], deep.as_bytes()].concat();
    refused(&deep, ErrorKind::Format, advice);
}

/// Headers that promise what is not there must fail before anything of that size is allocated.
#[test]
fn lying_headers_are_refused() {
    let lie = |change: &dyn Fn(&mut Value), kind, part: &str| {
        let (mut header, _) = parts();
        change(&mut header);
        refused_header(&header, kind, part);
    };
    let mut longer = file().to_vec();
    longer[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    refused(&longer, ErrorKind::Format, "it would have a header of 18446744073709551615 bytes");
    let format = ErrorKind::Format;
    lie(&|header| header["head/bias"]["shape"] = json!([1u64 << 40]), format, "invalid shape");
    lie(
        &|header| header["head/bias"]["shape"] = json!([1u64 << 62, 4]),
        format,
        "overflow computing buffer size",
    );
    lie(&|header| header["head/bias"]["shape"] = json!([-3]), format, "safetensors");
    lie(&|header| header["head/bias"]["data_offsets"] = json!([0, 12]), format, "invalid offset");
    lie(
        &|header| {
            // Consistent in itself, but 4 TB long: the last tensor ends far behind the file.
            let start = header["mahalanobis/whitening"]["data_offsets"][0].as_u64().unwrap();
            header["mahalanobis/whitening"]["shape"] = json!([1u64 << 40]);
            header["mahalanobis/whitening"]["data_offsets"] = json!([start, start + (1u64 << 42)]);
        },
        format,
        "cut short",
    );
    lie(
        &|header| {
            let start = header["mahalanobis/whitening"]["data_offsets"][0].as_u64().unwrap();
            // The longest that its bits can still be counted.
            let n = (u64::MAX >> 5) as usize;
            header["mahalanobis/whitening"]["shape"] = json!([n]);
            header["mahalanobis/whitening"]["data_offsets"] =
                json!([start, start as usize + n * 4]);
        },
        format,
        "cut short",
    );
}

#[test]
fn other_tensors_than_the_networks_are_refused() {
    let change = |change: &dyn Fn(&mut Value), part: &str| {
        let (mut header, _) = parts();
        change(&mut header);
        refused_header(&header, ErrorKind::ModelMismatch, part);
    };
    let rename = |header: &mut Value, old: &str, new: &str| {
        let info = header.as_object_mut().unwrap().remove(old).unwrap();
        header[new] = info;
    };
    change(
        &|header| rename(header, "head/bias", "head/offset"),
        "missing: head/bias; unexpected: head/offset",
    );
    let name = "backbone/Conv3d_2b_1x1/Conv_0/weight";
    change(&|header| rename(header, name, "backbone/other"), &format!("missing: {name}"));
    change(&|header| header[name]["shape"] = json!([64, 64, 1, 1]), "must be [64, 64, 1, 1, 1]");
    // Shapes that libtorch would broadcast without a word.
    change(&|header| header["head/bias"]["shape"] = json!([3, 1]), "shape [3, 1], must be [3]");
    change(&|header| header["head/bias"]["dtype"] = json!("I32"), "head/bias: type I32");
    change(
        &|header| {
            header["head/bias"]["dtype"] = json!("F16");
            header["head/bias"]["shape"] = json!([6]);
        },
        "head/bias: type F16, must be F32",
    );
    let (mut header, data) = parts();
    header["extra"] =
        json!({"dtype": "F32", "shape": [1], "data_offsets": [data.len(), data.len() + 4]});
    let bytes = assembled(&header, &[]);
    refused_padded(&bytes, data.len() + 4, ErrorKind::ModelMismatch, "unexpected: extra");
}

#[test]
fn weights_that_are_not_finite_are_refused() {
    for (place, value) in [(0, f32::NAN), (file().len() / 8, f32::INFINITY)] {
        let (header, data) = parts();
        let mut data = data.to_vec();
        data[place * 4..][..4].copy_from_slice(&value.to_le_bytes());
        refused(&assembled(&header, &data), ErrorKind::NonFinite, "1 of ");
    }
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("model");
    let model = model();
    let _ = model.head.bias.get(1).fill_(f64::NAN);
    let error = save(&model, &path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NonFinite);
    assert!(error.to_string().contains("head/bias: 1 of 3"), "{error}");
    assert!(!path.exists());
}

#[test]
fn documents_that_make_no_sense_are_refused() {
    use ErrorKind::{Format, ModelMismatch, Unsupported};
    let (mut header, _) = parts();
    header["__metadata__"]["cinetomo"] = json!("{not json");
    refused_header(&header, Format, "damaged: cinetomo's metadata");
    refused_document(|document| *document = json!([]), Format, "damaged");
    refused_document(
        |document| document["format_version"] = json!(4),
        Unsupported,
        "written by cinetomo 0.1.0 in format 4; this is cinetomo 0.1.0, which reads up to format 3",
    );
    // A newer document may look like nothing that this release knows.
    refused_document(
        |document| *document = json!({"format_version": 7, "cinetomo_version": "9.1.0"}),
        Unsupported,
        "written by cinetomo 9.1.0 in format 7",
    );
    refused_document(|document| document["format_version"] = json!(0), Format, "format_version");
    refused_document(|document| document["backbone"] = json!("r3d"), Unsupported, "has i3d");
    let shape = "head/weight: shape [3, 1024], must be [2, 1024]";
    refused_document(
        |document| {
            document["class_names"] = json!(["a", "b"]);
            document["mahalanobis"]["classes"] = json!([0, 1]);
        },
        ModelMismatch,
        shape,
    );
    refused_document(|document| document["class_names"] = json!(["a", "a", "b"]), Format, "two");
    refused_document(|document| document["class_names"] = json!([]), Format, "0 classes");
    refused_document(|document| document["cut_after"] = json!("stem"), Format, "cut_after: stage");
    refused_document(|document| document["cut_after"] = json!("Mixed_3b"), ModelMismatch, "head/");
    refused_document(|document| document["dropout"] = json!(1.0), Format, "dropout");
    refused_document(|document| document["dropout"] = json!(null), Format, "damaged");
    refused_document(|document| document["voxel_size"] = json!(-1.0), Format, "voxel_size");
    refused_document(|document| document["contrast"] = json!("grey"), Format, "grey");
    refused_document(
        |document| document["preprocess"]["input_size"] = json!([0, 0, 1u64 << 40]),
        Format,
        "input_size",
    );
    refused_document(
        |document| document["preprocess"]["normalization"] = json!("none"),
        Format,
        "none",
    );
    for temperature in [json!(0.0), json!(-1.0), json!(null)] {
        let change = |document: &mut Value| document["confidence"]["temperature"] = temperature;
        refused_document(change, Format, "damaged");
    }
    refused_document(
        |document| document["confidence"]["probability"]["n_accepted"] = json!(22),
        Format,
        "threshold",
    );
    refused_document(
        |document| document["mahalanobis"]["classes"] = json!([0, 3]),
        Format,
        "class means",
    );
    refused_document(
        |document| document["mahalanobis"]["classes"] = json!([0]),
        ModelMismatch,
        "mahalanobis/means: shape [2, 1024], must be [1, 1024]",
    );
    refused_document(
        |document| document["mahalanobis"] = json!(null),
        Format,
        "distances from no class means",
    );
    refused_document(|document| document["origin"]["sha256"] = json!("A0"), Format, "sha256");
    refused_document(|document| document["origin"] = json!({"start": "x"}), Format, "damaged");
    refused_document(
        |document| {
            document.as_object_mut().unwrap().remove("seed");
        },
        Format,
        "seed",
    );
}

#[test]
fn a_model_that_could_not_be_loaded_is_not_saved() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("model");
    fs::write(&path, "old").unwrap();
    let mut model = model();
    let probe = model.history[0].probe.take().unwrap();
    model.history[0].probe = Some(ProbeRecord { penalty: f64::NAN, ..probe });
    let error = save(&model, &path).unwrap_err();
    assert!(error.to_string().contains("this model cannot be saved"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
}

#[test]
fn paths_that_are_no_files_are_refused() {
    let directory = TempDir::new().unwrap();
    let missing = directory.path().join("missing");
    for path in [missing.as_path(), directory.path(), Path::new("/dev/null")] {
        let Err(error) = load(path, Device::Cpu) else { panic!("{} loaded", path.display()) };
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    }
    for path in [missing.join("model"), directory.path().to_owned(), PathBuf::from("/dev/null")] {
        let error = save(&model(), &path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}
