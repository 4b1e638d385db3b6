use tch::{Device, Kind, Tensor};

use super::*;
use crate::{
    backbone::layers::{BatchNormConfig, Chain, Padding},
    backbone::{Architecture, BACKBONES, BatchNormMode, Network, Precision},
    parameters::{Parameter, Parameters, Role, Start},
};

fn waves(size: &[i64], frequency: f64) -> Tensor {
    let n = size.iter().product::<i64>();
    (Tensor::arange(n, (Kind::Double, Device::Cpu)) * frequency)
        .sin()
        .to_kind(Kind::Float)
        .reshape(size)
}

/// Statistics, scales and shifts that do something.
fn disturb<'a>(parameters: impl Iterator<Item = &'a Parameter>) {
    for (index, parameter) in parameters.enumerate() {
        let mut tensor = parameter.tensor.shallow_clone();
        if tensor.dim() != 1 {
            continue;
        }
        let wave = waves(&tensor.size(), 0.9 + index as f64 * 0.01);
        let is_variance = parameter.role == Role::Statistic && parameter.name.ends_with("var");
        let value = if is_variance { (wave * 0.4).exp() } else { &tensor + wave * 0.2 };
        tch::no_grad(|| tensor.copy_(&value));
    }
}

fn relative_error(found: &Tensor, expected: &Tensor) -> f64 {
    let (found, expected) = (found.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    let largest = expected.abs().max().double_value(&[]);
    (found - expected).abs().max().double_value(&[]) / largest
}

#[test]
fn the_inference_form_of_every_network_gives_what_its_training_form_gives() {
    for spec in BACKBONES {
        let architecture = Architecture::default_of(spec);
        let network = Network::new(architecture, Device::Cpu, Start::random(3)).unwrap();
        disturb(network.parameters.iter());
        let head = waves(&[4, spec.n_features], 0.37) / (spec.n_features as f64).sqrt();
        let [z, y, x] = std::array::from_fn(|axis| [9, 37, 35][axis].max(spec.min_input[axis]));
        let input = waves(&[2, 1, z, y, x], 0.013);
        let features = |mode| tch::no_grad(|| network.features(&input, mode)).unwrap();
        let (expected, found) = (features(BatchNormMode::Running), features(BatchNormMode::Folded));
        let error = relative_error(&found, &expected);
        assert!(error < 2e-5, "{}: features {error}", spec.name);
        let probabilities = |features: &Tensor| {
            let deviation = expected.std(true).double_value(&[]);
            (features / deviation).matmul(&head.transpose(0, 1)).softmax(1, Kind::Float)
        };
        let apart = (probabilities(&found) - probabilities(&expected)).abs().max();
        assert!(apart.double_value(&[]) < 1e-5, "{}: probabilities {apart:?}", spec.name);
        // What the walk through its layers says of them.
        let walked = network.cost_of_inference([z, y, x]).unwrap();
        let trained = network.cost([z, y, x]).unwrap();
        if spec.name.starts_with("swin3d") {
            // What is padding, or kept apart, is not multiplied.
            let share = walked.multiply_adds as f64 / trained.multiply_adds as f64;
            assert!(share > 0.3 && share < 1.0, "{}: {share}", spec.name);
        } else {
            assert_eq!(walked.multiply_adds, trained.multiply_adds, "{}", spec.name);
        }
        assert!(walked.prepared > 0 && trained.prepared == 0, "{}", spec.name);
    }
}

/// Against libtorch's convolution in double precision.
#[test]
fn convolutions_of_every_kind_are_those_of_double_precision() {
    for (channels, kernel, stride, padding, n_groups) in [
        ([64, 64], [3, 3, 3], [1, 1, 1], Padding::Centred, 1),
        ([256, 256], [3, 3, 3], [1, 1, 1], Padding::Same, 1),
        ([512, 512], [3, 3, 3], [1, 1, 1], Padding::Centred, 1),
        ([24, 64], [3, 3, 3], [1, 1, 1], Padding::Same, 1),
        ([16, 32], [3, 3, 3], [2, 2, 2], Padding::Same, 1),
        ([3, 64], [7, 7, 7], [1, 2, 2], Padding::Centred, 1),
        ([3, 64], [7, 7, 7], [2, 2, 2], Padding::Same, 1),
        ([48, 80], [1, 1, 1], [1, 1, 1], Padding::Same, 1),
        ([48, 80], [1, 1, 1], [2, 2, 2], Padding::Centred, 1),
        ([32, 45], [1, 3, 3], [1, 1, 1], Padding::Centred, 1),
        ([64, 64], [3, 3, 3], [1, 1, 1], Padding::Centred, 32),
    ] {
        let mut parameters = Parameters::new(Device::Cpu, Start::random(1));
        let [n_in, n_out] = channels;
        let config = Conv3dConfig { n_in, n_out, kernel, stride, padding, bias: true };
        let norm = BatchNormConfig { epsilon: 1e-3, ..BatchNormConfig::pytorch(n_out) };
        let chain = Chain::grouped(&mut parameters, ["c.", "b."], config, n_groups, norm).unwrap();
        disturb(parameters.iter());
        let double = |name: &str| parameters.get(name).unwrap().tensor.to_kind(Kind::Double);
        let input = waves(&[2, n_in, 5, 7, 10], 0.7);
        let amount = padding.amount([5, 7, 10], kernel, stride);
        let [z, y, x] = amount;
        let padded =
            input.to_kind(Kind::Double).constant_pad_nd([x[0], x[1], y[0], y[1], z[0], z[1]]);
        let bias = Some(double("c.bias"));
        let sums = padded.conv3d(&double("c.weight"), bias, stride, 0, 1, n_groups);
        let channel = |name: &str| double(name).reshape([n_out, 1, 1, 1]);
        let expected = (sums - channel("b.running_mean"))
            / (channel("b.running_var") + 1e-3).sqrt()
            * channel("b.weight")
            + channel("b.bias");
        let summand = waves(&expected.size(), 0.21);
        let plain = chain.forward(&input, BatchNormMode::Folded).unwrap();
        let error = relative_error(&plain, &expected);
        assert!(error < 1e-5, "{channels:?} {kernel:?} {stride:?}: {error}");
        let ending = Ending { summand: Some(&summand), relu: true };
        let found = chain.with_ending(&input, false, ending, BatchNormMode::Folded).unwrap();
        assert!(relative_error(&found, &(expected + summand).relu()) < 1e-5);
    }
}

#[test]
fn weights_that_change_are_folded_anew() {
    let mut parameters = Parameters::new(Device::Cpu, Start::random(1));
    let config = Conv3dConfig {
        n_in: 16,
        n_out: 16,
        kernel: [3; 3],
        stride: [1; 3],
        padding: Padding::Centred,
        bias: false,
    };
    let norm = BatchNormConfig::pytorch(16);
    let chain = Chain::new(&mut parameters, ["c.", "b."], config, norm).unwrap();
    let input = waves(&[1, 16, 4, 4, 4], 0.7);
    let folded = || chain.forward(&input, BatchNormMode::Folded).unwrap();
    let running = || chain.forward(&input, BatchNormMode::Running).unwrap();
    assert!(relative_error(&folded(), &running()) < 1e-5);
    for name in ["c.weight", "b.weight", "b.bias", "b.running_mean", "b.running_var"] {
        let before = folded();
        let mut tensor = parameters.get(name).unwrap().tensor.shallow_clone();
        let _ = tch::no_grad(|| tensor.f_add_scalar_(0.5)).unwrap();
        assert!(relative_error(&folded(), &before) > 1e-2, "{name}");
        assert!(relative_error(&folded(), &running()) < 1e-5, "{name}");
    }
}

#[test]
fn the_same_weights_serve_both_precisions() {
    let network = Architecture::parse("resnet3d_10").unwrap();
    let mut network = Network::new(network, Device::Cpu, Start::random(0)).unwrap();
    let input = waves(&[1, 1, 8, 32, 32], 0.013);
    let mut features = |precision| {
        network.precision = precision;
        network.features(&input, BatchNormMode::Folded).unwrap()
    };
    let single = features(Precision::F32);
    let rounded = features(Precision::Bf16);
    let error = relative_error(&rounded, &single);
    assert!(error > 1e-5 && error < 0.05, "{error}");
    assert_eq!(features(Precision::F32), single);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let before = tch::get_num_threads();
    let network = Architecture::parse("resnet3d_18").unwrap();
    let network = Network::new(network, Device::Cpu, Start::random(0)).unwrap();
    let input = waves(&[2, 1, 8, 32, 32], 0.013);
    let with = |n_threads| {
        tch::set_num_threads(n_threads);
        network.through(
            0..4,
            &input,
            crate::backbone::Pass::of(&input, BatchNormMode::Folded).unwrap(),
        )
    };
    let one = with(1).unwrap();
    for n_threads in [2, 3, 16] {
        assert_eq!(with(n_threads).unwrap(), one, "{n_threads} threads");
    }
    tch::set_num_threads(before);
}
