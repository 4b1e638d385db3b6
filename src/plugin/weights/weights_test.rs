//! Which network a checkpoint holds, what keeps it from being one, and that it is loaded as it is.

use std::{collections::BTreeMap, fs, path::Path};

use cinetomo_checkpoints::Checkpoint;
use safetensors::{Dtype, tensor::TensorView};
use tch::Device;

use super::{Inspection, VideoWeights, fit, inspect, load_video};
use crate::{
    backbone::{Architecture, BACKBONES, Network, Wanted},
    error::{Error, ErrorKind, Result},
    monitor::{Monitor, Stage, log_nothing},
    parameters::{Parameters, Start},
};

/// Shape and values of a tensor in a file.
type Stored = (Vec<usize>, Dtype, Vec<u8>);

fn ones(shape: &[i64]) -> Stored {
    let shape: Vec<usize> = shape.iter().map(|extent| *extent as usize).collect();
    let values = 1f32.to_le_bytes().repeat(shape.iter().product());
    (shape, Dtype::F32, values)
}

/// A safetensors file.
fn file_of(tensors: &BTreeMap<String, Stored>) -> Vec<u8> {
    let views = tensors.iter().map(|(name, (shape, dtype, bytes))| {
        (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

fn load(file: &[u8], wanted: Option<&Wanted>, monitor: &mut Monitor<'_>) -> Result<VideoWeights> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("small.safetensors");
    fs::write(&path, file).unwrap();
    load_video(&path, wanted, Device::Cpu, monitor)
}

fn default_network() -> Network {
    Network::new(Architecture::default_of(BACKBONES[0]), Device::Cpu, Start::Shapes).unwrap()
}

/// What a checkpoint of the network holds: ones, and a head of 5 classes.
fn complete(parameters: &Parameters) -> BTreeMap<String, Stored> {
    let spec = BACKBONES[0];
    let mut tensors: BTreeMap<String, Stored> =
        parameters.iter().map(|p| (p.name.clone(), ones(&p.tensor.size()))).collect();
    tensors.insert(spec.head_weight.to_owned(), ones(&[5, spec.n_features, 1, 1, 1]));
    tensors.insert(spec.head_bias.to_owned(), ones(&[5]));
    tensors
}

fn complete_default() -> BTreeMap<String, Stored> {
    complete(&default_network().parameters)
}

/// Without reading a value.
fn fits(tensors: &BTreeMap<String, Stored>, wanted: bool) -> Result<fit::Fit> {
    let beside = |_: &str| unreachable!("one file");
    let file = Box::new(file_of(tensors));
    let checkpoint = Checkpoint::describe(Path::new("small.safetensors"), file, beside)?;
    let i3d = Wanted::any(BACKBONES[0]);
    fit::find(&checkpoint, wanted.then_some(&i3d))
}

fn refused(tensors: &BTreeMap<String, Stored>, wanted: bool) -> String {
    let error: Error = fits(tensors, wanted).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::ModelMismatch);
    error.to_string()
}

#[test]
fn a_complete_checkpoint_fills_the_network() {
    let i3d = Wanted::any(BACKBONES[0]);
    let file = file_of(&complete_default());
    for wanted in [None, Some(&i3d)] {
        let mut fractions = Vec::new();
        let report = |progress: &crate::monitor::Progress| {
            assert_eq!(progress.stage, Stage::Load);
            fractions.push(progress.fraction);
            true
        };
        let mut monitor = Monitor::new(report, || false, log_nothing());
        let video = load(&file, wanted, &mut monitor).unwrap();
        drop(monitor);
        assert!(fractions.len() > 10 && fractions.is_sorted() && fractions.ends_with(&[1.0]));
        let head = video.head.unwrap();
        assert_eq!(head.weight.size(), [5, BACKBONES[0].n_features]);
        assert_eq!(head.bias.size(), [5]);
        for parameter in video.network.parameters.iter() {
            assert_eq!(parameter.tensor.min().double_value(&[]), 1.0, "{}", parameter.name);
            assert_eq!(parameter.tensor.max().double_value(&[]), 1.0, "{}", parameter.name);
        }
    }
}

#[test]
fn cancelling_stops() {
    let file = file_of(&complete_default());
    let mut stopping = Monitor::new(|_| true, || true, log_nothing());
    assert_eq!(load(&file, None, &mut stopping).err().unwrap().kind(), ErrorKind::Cancelled);
    let mut stopping = Monitor::new(|progress| progress.fraction < 0.5, || false, log_nothing());
    assert_eq!(load(&file, None, &mut stopping).err().unwrap().kind(), ErrorKind::Cancelled);
}

#[test]
fn a_network_without_its_head_is_loaded_and_half_a_head_refused() {
    let spec = BACKBONES[0];
    let mut tensors = complete_default();
    tensors.remove(spec.head_weight);
    assert!(refused(&tensors, false).contains(&format!("missing: {}", spec.head_weight)));
    tensors.remove(spec.head_bias);
    let video = load(&file_of(&tensors), None, &mut Monitor::silent()).unwrap();
    assert!(video.head.is_none());
}

#[test]
fn prefixes_that_wrappers_add_and_counts_of_batches_do_not_matter() {
    let plain = complete_default();
    for prefix in ["", "module.", "model.module.", "module._orig_mod.backbone.", "net."] {
        let mut tensors: BTreeMap<String, Stored> = plain
            .iter()
            .map(|(name, stored)| (format!("{prefix}{name}"), stored.clone()))
            .collect();
        let count = (vec![], Dtype::I64, vec![0; 8]);
        tensors.insert(format!("{prefix}norm.num_batches_tracked"), count);
        for wanted in [false, true] {
            assert!(fits(&tensors, wanted).unwrap().head.is_some(), "{prefix}");
        }
    }
    // Not those that only one tensor has.
    let mut tensors = plain.clone();
    let (name, stored) = tensors.pop_first().unwrap();
    tensors.insert(format!("model.{name}"), stored);
    let message = refused(&tensors, true);
    assert!(message.contains(&format!("missing: {name}")), "{message}");
    assert!(message.contains(&format!("unexpected: model.{name}")), "{message}");
}

#[test]
fn everything_that_does_not_fit_is_listed() {
    let spec = BACKBONES[0];
    let network = default_network();
    let names: Vec<&str> = network.parameters.iter().map(|p| p.name.as_str()).collect();

    let mut tensors = complete_default();
    tensors.remove(names[0]);
    tensors.insert(names[1].to_owned(), ones(&[1]));
    tensors.insert("extra".to_owned(), ones(&[1]));
    let n = tensors[names[2]].2.len();
    let shape = tensors[names[2]].0.clone();
    tensors.insert(names[2].to_owned(), (shape, Dtype::I32, vec![0; n]));
    tensors.remove(spec.head_bias);
    let message = refused(&tensors, false);
    for part in [
        format!("looks like {}, but: ", spec.name),
        format!("missing: {}", names[0]),
        format!("{}: shape [1], the network needs", names[1]),
        format!("{}: values of type int32, the network needs floats", names[2]),
        "unexpected: extra".to_owned(),
        format!("missing: {}", spec.head_bias),
    ] {
        assert!(message.contains(&part), "{part:?} is not in: {message}");
    }

    let mut tensors = complete_default();
    tensors.insert(spec.head_bias.to_owned(), ones(&[6]));
    let message = refused(&tensors, true);
    assert!(
        message.contains("with a bias of shape [6], the network needs [classes, "),
        "{message}"
    );

    let mut tensors = complete_default();
    names.iter().take(30).for_each(|name| drop(tensors.remove(*name)));
    assert!(refused(&tensors, true).ends_with("; and 10 more"));

    let foreign = BTreeMap::from([("fc.weight".to_owned(), ones(&[400, 77]))]);
    let message = refused(&foreign, false);
    assert!(message.contains("no network that is known (i3d"), "{message}");
    assert!(message.contains("fc.weight [400, 77]"), "{message}");
    let flat = |name: &str| (name.to_owned(), ones(&[4, 3, 7, 7]));
    let images = BTreeMap::from([flat("stem.a"), flat("stem.b")]);
    assert!(refused(&images, false).contains("a network for images"));
}

#[test]
fn weights_that_are_not_finite_are_refused_by_name() {
    let network = default_network();
    let name = network.parameters.iter().nth(3).unwrap().name.clone();
    let mut tensors = complete_default();
    let stored = tensors.get_mut(&name).unwrap();
    let n = stored.2.len() / 4;
    stored.2[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let error = load(&file_of(&tensors), None, &mut Monitor::silent()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NonFinite);
    let expected = format!("small.safetensors: {name}: 1 of {n} weights are NaN or infinite");
    assert!(error.to_string().ends_with(&expected), "{error}");
}

#[test]
fn the_message_begins_with_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("small.safetensors");
    fs::write(&path, file_of(&BTreeMap::from([("a".to_owned(), ones(&[1]))]))).unwrap();
    let error = load_video(&path, None, Device::Cpu, &mut Monitor::silent()).err().unwrap();
    assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
    assert_eq!(error.kind(), ErrorKind::ModelMismatch);
}

/// Looks into that file.
fn inspected(file: &[u8]) -> Inspection {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("small.safetensors");
    fs::write(&path, file).unwrap();
    let inspection = inspect(&path, true).unwrap();
    assert_eq!(inspection.path, path.display().to_string());
    inspection
}

#[test]
fn looking_into_a_checkpoint_says_what_it_holds() {
    let spec = BACKBONES[0];
    let mut tensors = complete_default();
    let file = file_of(&tensors);
    let whole = inspected(&file);
    assert_eq!(whole.container, "safetensors file");
    assert_eq!((whole.n_parts, whole.n_bytes), (1, file.len() as u64));
    assert_eq!(whole.tensors.len(), tensors.len());
    assert!(whole.tensors.is_sorted_by(|a, b| a.name < b.name));
    assert_eq!(whole.network.as_deref(), Some(spec.name));
    assert_eq!(whole.n_classes, Some(5));
    assert_eq!((whole.nearest, whole.wrong.len()), (None, 0));
    let video = load(&file, None, &mut Monitor::silent()).unwrap();
    assert_eq!(whole.sha256, Some(video.sha256));

    let (name, _) = tensors.pop_first().unwrap();
    let part = inspected(&file_of(&tensors));
    assert_eq!(part.network, None);
    assert_eq!(part.nearest.as_deref(), Some(spec.name));
    assert_eq!(part.wrong, [format!("missing: {name}")]);

    let foreign = BTreeMap::from([("fc.weight".to_owned(), ones(&[400, 77]))]);
    let foreign = inspected(&file_of(&foreign));
    assert_eq!((foreign.network, foreign.nearest), (None, None));
    let tensor = &foreign.tensors[0];
    assert_eq!(
        (&*tensor.name, &*tensor.dtype, &*tensor.shape),
        ("fc.weight", "float32", &[400, 77][..])
    );
    assert_eq!(tensor.n_bytes, 400 * 77 * 4);
}

#[test]
fn a_part_of_a_checkpoint_is_told_from_a_whole_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model-00002-of-00003.safetensors");
    fs::write(&path, file_of(&BTreeMap::from([("a".to_owned(), ones(&[1]))]))).unwrap();
    assert!(inspect(&path, false).unwrap().guess.contains("one of several parts"));
    let error = load_video(&path, None, Device::Cpu, &mut Monitor::silent()).err().unwrap();
    assert!(error.to_string().contains("one of several parts"), "{error}");
}
