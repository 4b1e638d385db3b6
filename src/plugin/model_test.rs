use std::sync::Mutex;

use super::*;
use crate::{
    preprocess::Normalization,
    volume::{Axis, Dtype},
};

fn config(class_names: &[&str]) -> ModelConfig {
    ModelConfig {
        backbone: None,
        class_names: class_names.iter().map(|&name| name.to_owned()).collect(),
        preprocess: Preprocess { n_views: 1, ..Preprocess::default() },
        seed: 3,
        dropout: 0.0,
    }
}

fn model() -> Model {
    Model::random(config(&["ribosome", "proteasome", "nothing"]), Device::Cpu).unwrap()
}

/// `n` boxes of 8 voxels an edge, all different.
fn voxels(n: usize) -> Vec<f32> {
    (0..n * 512).map(|i| ((i * i * 31 + i * 7919 + i / 512 * 101) % 1009) as f32).collect()
}

fn volume(n: usize) -> Volume<'static> {
    Volume::from_slice(&voxels(n), [n as i64, 8, 8, 8]).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(&tensor.reshape([-1])).unwrap()
}

#[test]
fn probabilities_are_the_softmax_of_a_linear_head() {
    let (model, volume) = (model(), volume(3));
    let probabilities = model.classify(&volume, &mut Monitor::silent()).unwrap();
    let embeddings = model.embed(&volume, &mut Monitor::silent()).unwrap();
    let (weight, bias) = (values(&model.head.weight), values(&model.head.bias));
    assert_eq!((probabilities.len(), embeddings.len()), (3 * 3, 3 * 1024));
    for (row, embedding) in probabilities.chunks(3).zip(embeddings.chunks(1024)) {
        let logits: Vec<f64> = (0..3)
            .map(|class| {
                let weight = &weight[class * 1024..][..1024];
                let products = weight.iter().zip(embedding).map(|(w, x)| f64::from(w * x));
                products.sum::<f64>() + f64::from(bias[class])
            })
            .collect();
        let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
        for (found, logit) in row.iter().zip(logits) {
            assert!((f64::from(*found) - logit.exp() / sum).abs() < 1e-5);
        }
    }
    // The three boxes are told apart, or the comparison would mean little.
    assert!((embeddings[0] - embeddings[1024]).abs() > 1e-4);
}

/// With all eight views a box and its mirror image are the same box; with one they are not.
#[test]
fn classification_averages_over_mirror_images() {
    let mut model = model();
    let whole = voxels(2);
    // Rows of 8 voxels, reversed: mirrored along x.
    let mirrored: Vec<f32> = whole.chunks(8).flat_map(|row| row.iter().rev().copied()).collect();
    let [whole, mirrored] =
        [whole, mirrored].map(|voxels| Volume::from_slice(&voxels, [2, 8, 8, 8]).unwrap());
    let mut difference = |n_views| {
        model.preprocess.n_views = n_views;
        let scores = |volume| model.classify(volume, &mut Monitor::silent()).unwrap();
        let pairs = scores(&whole).into_iter().zip(scores(&mirrored));
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    assert!(difference(8) < 1e-6);
    assert!(difference(1) > 1e-4);
}

/// A box's result does not depend on the boxes that go through the network with it.
#[test]
fn a_box_does_not_see_its_batch() {
    let model = model();
    let n = 2 * MAX_BATCH + 3;
    let (voxels, volume) = (voxels(n), volume(n));
    let together = model.embed(&volume, &mut Monitor::silent()).unwrap();
    let scale = together.iter().fold(0f32, |scale, value| scale.max(value.abs()));
    for index in [0, 1, MAX_BATCH - 1, MAX_BATCH, n - 1] {
        let alone = Volume::from_slice(&voxels[index * 512..][..512], [1, 8, 8, 8]).unwrap();
        let alone = model.embed(&alone, &mut Monitor::silent()).unwrap();
        for (a, b) in alone.iter().zip(&together[index * 1024..]) {
            assert!((a - b).abs() < 1e-5 * scale, "box {index}: {a} alone, {b} among others");
        }
    }
}

#[test]
fn the_seed_decides_a_random_model() {
    let same = model();
    let other =
        Model::random(ModelConfig { seed: 4, ..config(&["a", "b", "c"]) }, Device::Cpu).unwrap();
    let model = model();
    assert_eq!(model.origin, Origin::Random { seed: 3 });
    let first =
        |model: &Model| model.network.parameters.iter().next().unwrap().tensor.shallow_clone();
    assert_eq!(model.head.weight, same.head.weight);
    assert_eq!(first(&model), first(&same));
    assert_ne!(model.head.weight, other.head.weight);
    assert_ne!(first(&model), first(&other));
}

/// Bounds and variance of PyTorch's `nn.Linear` start: U(-b, b) with b = 1/sqrt(features) has variance b^2 / 3.
#[test]
fn heads_start_as_in_pytorch() {
    let head = Head::random(50, 400, 0, Device::Cpu).unwrap();
    assert_eq!(head.weight.size(), [50, 400]);
    assert_eq!(head.bias.size(), [50]);
    let weights = values(&head.weight);
    let highest = weights.iter().fold(0f32, |most, weight| most.max(weight.abs()));
    assert!(highest <= 0.05 && highest > 0.0499, "{highest}");
    assert!(values(&head.bias).iter().all(|bias| bias.abs() <= 0.05));
    let variance = weights.iter().map(|weight| f64::from(weight * weight)).sum::<f64>() / 20_000.0;
    assert!((variance / (0.05 * 0.05 / 3.0) - 1.0).abs() < 0.03, "{variance}");
    let mean = weights.iter().map(|&weight| f64::from(weight)).sum::<f64>() / 20_000.0;
    // Five standard errors of the mean.
    assert!(mean.abs() < 5.0 * (0.05 / 3f64.sqrt()) / 20_000f64.sqrt(), "{mean}");
}

#[test]
fn a_duplicate_shares_nothing() {
    let model = model();
    let before = model.classify(&volume(2), &mut Monitor::silent()).unwrap();
    let copy = model.duplicate().unwrap();
    assert_eq!(copy.classify(&volume(2), &mut Monitor::silent()).unwrap(), before);
    for parameter in copy.network.parameters.iter() {
        let _ = parameter.tensor.shallow_clone().fill_(0.0);
    }
    for tensor in [&copy.head.weight, &copy.head.bias] {
        let _ = tensor.shallow_clone().fill_(0.25);
    }
    assert_eq!(model.classify(&volume(2), &mut Monitor::silent()).unwrap(), before);
    assert_ne!(copy.classify(&volume(2), &mut Monitor::silent()).unwrap(), before);
}

#[test]
fn senseless_configurations_are_refused() {
    let refused = |config: ModelConfig, part: &str| {
        let Err(error) = Model::random(config, Device::Cpu) else { panic!("{part}: not refused") };
        assert!(error.to_string().contains(part), "{error}");
        error.kind()
    };
    use ErrorKind::{InvalidArgument, Unsupported};
    assert_eq!(refused(config(&[]), "0 classes"), InvalidArgument);
    assert_eq!(refused(config(&["a"]), "1 classes"), InvalidArgument);
    assert_eq!(refused(config(&["a", ""]), "class 1"), InvalidArgument);
    assert_eq!(refused(config(&["a\0", "b"]), "class 0"), InvalidArgument);
    assert_eq!(refused(config(&["a", "b\n"]), "class 1"), InvalidArgument);
    assert_eq!(refused(config(&["a", "b", "a"]), "two classes"), InvalidArgument);
    for dropout in [1.0, -0.1, f64::NAN] {
        let config = ModelConfig { dropout, ..config(&["a", "b"]) };
        assert_eq!(refused(config, "dropout"), InvalidArgument);
    }
    let mut preprocess = Preprocess::default();
    preprocess.input_size[0] = -1;
    let bad_size = ModelConfig { preprocess, ..config(&["a", "b"]) };
    assert_eq!(refused(bad_size, "input_size"), InvalidArgument);
    let unknown = ModelConfig { backbone: Some("resnet".to_owned()), ..config(&["a", "b"]) };
    assert_eq!(refused(unknown, "this release has i3d"), Unsupported);
}

/// Keeps what is logged.
#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(format!("{} {}", record.level(), record.args()));
    }
    fn flush(&self) {}
}

#[test]
fn volumes_unlike_those_of_the_training_are_warned_of() {
    use Contrast::{Bright, Dark, Unknown};
    let mut model = model();
    for (network, trained, given, sizes, expected) in [
        // contrast: what the network wants, was trained on, is given; voxel size: trained on, given
        (Unknown, Unknown, Dark, [0.0, 10.0], None),
        (Unknown, Dark, Dark, [10.0, 10.9], None),
        (Unknown, Dark, Dark, [10.0, 9.1], None),
        (Unknown, Dark, Dark, [10.0, 0.0], None),
        (Unknown, Dark, Dark, [10.0, 11.1], Some("11.1 angstrom")),
        (Unknown, Dark, Dark, [10.0, 8.9], Some("8.9 angstrom")),
        (Unknown, Dark, Bright, [0.0, 0.0], Some("Bright on their background")),
        (Unknown, Bright, Dark, [0.0, 0.0], Some("Dark on their background")),
        (Unknown, Dark, Unknown, [0.0, 0.0], None),
        (Dark, Dark, Bright, [0.0, 0.0], None),
        (Dark, Dark, Unknown, [0.0, 0.0], Some("does not state its contrast")),
    ] {
        model.preprocess.contrast = network;
        (model.contrast, model.voxel_size) = (trained, sizes[0]);
        let view = Tensor::from_slice(&voxels(1)).reshape([1, 8, 8, 8]);
        let volume = Volume::from_view(view, Dtype::F32, sizes[1], given, Axis::Z).unwrap();
        let lines = Lines::default();
        let monitor = Monitor::new(|_| true, || false, &lines);
        model.check_volume(&volume, &monitor).unwrap();
        drop(monitor);
        let lines = lines.0.into_inner().unwrap();
        match expected {
            None => assert_eq!(lines, Vec::<String>::new()),
            Some(text) => {
                assert_eq!(lines.len(), 1, "{lines:?}");
                assert!(lines[0].starts_with("WARN") && lines[0].contains(text), "{lines:?}");
            }
        }
    }
}

#[test]
fn progress_rises_to_one_and_may_stop_the_call() {
    let (model, volume) = (model(), volume(MAX_BATCH + 1));
    let mut seen = Vec::new();
    let mut monitor = Monitor::new(
        |progress| {
            seen.push((progress.step, progress.n_steps, progress.fraction));
            true
        },
        || false,
        crate::monitor::log_nothing(),
    );
    model.classify(&volume, &mut monitor).unwrap();
    drop(monitor);
    assert_eq!(seen, [(1, 2, 0.5), (2, 2, 1.0)]);

    let mut stopping = Monitor::new(|_| false, || false, crate::monitor::log_nothing());
    let error = model.classify(&volume, &mut stopping).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let mut cancelled = Monitor::new(|_| true, || true, crate::monitor::log_nothing());
    let error = model.classify(&volume, &mut cancelled).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

/// Weights that overflow are an error that names the box, not a row of NaN.
#[test]
fn overflow_in_the_network_is_an_error() {
    let model = model();
    for parameter in
        model.network.parameters.iter().filter(|parameter| parameter.name.ends_with("weight"))
    {
        let _ = parameter.tensor.shallow_clone().fill_(1e30);
    }
    let error = model.classify(&volume(2), &mut Monitor::silent()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NonFinite);
    assert!(error.to_string().starts_with("box 0: the network's output"), "{error}");
}

/// Errors in a later batch name the box by its place in the volume, whoever finds them.
#[test]
fn boxes_are_named_by_their_place_in_the_volume() {
    let mut model = model();
    let n = MAX_BATCH + 2;
    let mut voxels = voxels(n);
    let last = (n - 1) * 512;
    voxels[last..].fill(0.0);
    voxels[last] = 1.0;
    model.preprocess.normalization = Normalization::Percentile;
    let volume = Volume::from_slice(&voxels, [n as i64, 8, 8, 8]).unwrap();
    let error = model.classify(&volume, &mut Monitor::silent()).unwrap_err();
    assert!(error.to_string().starts_with(&format!("box {}: percentiles", n - 1)), "{error}");
    voxels[last] = f32::NAN;
    let volume = Volume::from_slice(&voxels, [n as i64, 8, 8, 8]).unwrap();
    let error = model.classify(&volume, &mut Monitor::silent()).unwrap_err();
    assert!(error.to_string().starts_with(&format!("box {}: 1 voxel", n - 1)), "{error}");
}

#[test]
fn batches_are_bounded() {
    let model = model();
    let batch_size = |size| model.batch_size(size).unwrap();
    assert_eq!(batch_size([8, 8, 8]), MAX_BATCH);
    assert_eq!(batch_size([1024, 1024, 1024]), 1);
    // By voxels: 16 boxes of 32 an edge.
    assert_eq!(batch_size([32, 128, 128]), 4);
    assert_eq!(batch_size([33, 128, 128]), 3);
}
