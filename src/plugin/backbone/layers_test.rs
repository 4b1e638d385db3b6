//! Layers against what their definitions say, computed by other means.

use tch::{Device, Kind, Tensor};

use super::{
    BatchNormMode,
    layers::{BatchNorm3d, BatchNormConfig, Conv3d, Conv3dConfig, Padding, max_pool3d},
};
use crate::{
    error::ErrorKind,
    parameters::{Parameters, Role, Start},
};

fn waves(size: &[i64]) -> Tensor {
    let n = size.iter().product::<i64>();
    (Tensor::arange(n, (Kind::Float, Device::Cpu)) * 0.7).sin().reshape(size)
}

fn random() -> Parameters {
    Parameters::new(Device::Cpu, Start::random(1))
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

/// TensorFlow's SAME along one axis, from its definition: `ceil(n / stride)` windows; the one at index `i` begins at
/// `i * stride - before`, where `before` is half of the padding that the last window needs, rounded down.
fn same_windows(n: i64, kernel: i64, stride: i64) -> Vec<Vec<i64>> {
    let n_windows = (n as f64 / stride as f64).ceil() as i64;
    let padding = ((n_windows - 1) * stride + kernel - n).max(0);
    let window = |i: i64| {
        let start = i * stride - padding / 2;
        (start..start + kernel).filter(|position| (0..n).contains(position)).collect()
    };
    (0..n_windows).map(window).collect()
}

#[test]
fn same_pools_take_tensorflows_windows() {
    for n in 1..12 {
        for kernel in 1..5 {
            for stride in 1..4 {
                // All values negative: a padding of zeros would win.
                let values: Vec<f32> = (0..n).map(|i| (i as f32 * 2.3).sin() - 2.0).collect();
                let expected: Vec<f32> = same_windows(n, kernel, stride)
                    .iter()
                    .map(|window| window.iter().map(|i| values[*i as usize]))
                    .map(|window| window.fold(f32::NEG_INFINITY, f32::max))
                    .collect();
                for axis in 0..3 {
                    let along = |length: i64| {
                        let mut size = [1; 3];
                        size[axis] = length;
                        size
                    };
                    let [z, y, x] = along(n);
                    let input = Tensor::from_slice(&values).reshape([1, 1, z, y, x]);
                    let output =
                        max_pool3d(&input, along(kernel), along(stride), Padding::Same).unwrap();
                    let found = Vec::<f32>::try_from(output.reshape([-1])).unwrap();
                    assert_eq!(found, expected, "{n} voxels, kernel {kernel}, stride {stride}");
                }
            }
        }
    }
}

#[test]
fn same_convolutions_take_tensorflows_windows() {
    for n in 1..12 {
        for kernel in 1..8 {
            for stride in 1..4 {
                for axis in 0..3 {
                    let along = |length: i64| {
                        let mut size = [1; 3];
                        size[axis] = length;
                        size
                    };
                    let config = Conv3dConfig {
                        n_in: 1,
                        n_out: 1,
                        kernel: along(kernel),
                        stride: along(stride),
                        padding: Padding::Same,
                        bias: false,
                    };
                    let mut parameters = random();
                    let convolution = Conv3d::new(&mut parameters, "", config).unwrap();
                    let weights = parameters.get("weight").unwrap().tensor.reshape([-1]);
                    let weights = Vec::<f32>::try_from(weights).unwrap();
                    let values = Vec::<f32>::try_from(waves(&[n])).unwrap();
                    let n_windows = (n + stride - 1) / stride;
                    let padding = ((n_windows - 1) * stride + kernel - n).max(0) / 2;
                    let expected: Vec<f32> = same_windows(n, kernel, stride)
                        .iter()
                        .enumerate()
                        .map(|(i, window)| {
                            let start = i as i64 * stride - padding;
                            let product =
                                |p: &i64| weights[(p - start) as usize] * values[*p as usize];
                            window.iter().map(product).sum()
                        })
                        .collect();
                    let [z, y, x] = along(n);
                    let input = waves(&[1, 1, z, y, x]);
                    let output = convolution.forward(&input).unwrap().reshape([-1]);
                    let difference = largest_difference(&output, &Tensor::from_slice(&expected));
                    let case = format!("{n} voxels, kernel {kernel}, stride {stride}, axis {axis}");
                    assert!(difference < 1e-5, "{case}");
                }
            }
        }
    }
}

#[test]
fn channels_stay_last_with_one_thread() {
    let n_threads = tch::get_num_threads();
    tch::set_num_threads(1);
    for kernel in [[1, 1, 1], [3, 1, 1], [1, 3, 3], [3, 3, 3]] {
        let config = Conv3dConfig {
            n_in: 16,
            n_out: 24,
            kernel,
            stride: [1; 3],
            padding: Padding::Centred,
            bias: false,
        };
        let mut parameters = random();
        let convolution = Conv3d::new(&mut parameters, "", config).unwrap();
        let input = waves(&[2, 4, 8, 8, 16]).permute([0, 4, 1, 2, 3]);
        let output = convolution.forward(&input).unwrap();
        assert_eq!(output.size(), [2, 24, 4, 8, 8]);
        assert_eq!(output.stride()[1], 1, "kernel {kernel:?}");

        let weight = &parameters.get("weight").unwrap().tensor;
        let padding = kernel.map(|edge| edge / 2);
        let expected =
            input.contiguous().conv3d(weight, None::<&Tensor>, [1; 3], padding, [1; 3], 1);
        assert!(largest_difference(&output, &expected) < 1e-5, "kernel {kernel:?}");
    }
    tch::set_num_threads(n_threads);
}

#[test]
fn kernels_larger_than_the_map_are_as_if_they_were_used_whole() {
    let padding = [1, 2, 3];
    let config = Conv3dConfig {
        n_in: 3,
        n_out: 4,
        kernel: [3, 5, 7],
        stride: [1; 3],
        padding: Padding::Fixed(padding),
        bias: false,
    };
    let mut parameters = random();
    let convolution = Conv3d::new(&mut parameters, "", config).unwrap();
    let weight = parameters.get("weight").unwrap().tensor.shallow_clone().set_requires_grad(true);
    for (size, seen) in [
        ([1, 1, 1], [1, 1, 1]),
        ([2, 2, 2], [3, 3, 3]),
        ([1, 2, 3], [1, 3, 5]),
        ([3; 3], [3, 5, 5]),
    ] {
        assert_eq!(config.taps(size).kernel, seen, "{size:?}");
        let [z, y, x] = size;
        let input = waves(&[2, 3, z, y, x]).set_requires_grad(true);
        let gradients = |output: &Tensor| {
            let sum = (output * waves(&output.size())).sum(Kind::Float);
            Tensor::run_backward(&[sum], &[&weight, &input], false, false)
        };
        let found = convolution.forward(&input).unwrap();
        let expected = input.conv3d(&weight, None::<&Tensor>, [1; 3], padding, [1; 3], 1);
        assert!(largest_difference(&found, &expected) < 1e-5, "{size:?}");
        for (found, expected) in gradients(&found).iter().zip(gradients(&expected)) {
            assert!(largest_difference(found, &expected) < 1e-5, "{size:?}");
        }
    }
}

#[test]
fn grey_input_equals_three_equal_channels() {
    let config = Conv3dConfig {
        n_in: 3,
        n_out: 4,
        kernel: [3, 5, 7],
        stride: [1, 2, 2],
        padding: Padding::Same,
        bias: true,
    };
    let mut parameters = random();
    let convolution = Conv3d::new(&mut parameters, "", config).unwrap();
    let weight = parameters.get("weight").unwrap().tensor.shallow_clone().set_requires_grad(true);
    let bias = parameters.get("bias").unwrap().tensor.shallow_clone().set_requires_grad(true);
    // 6 and 8 want padding on one side more than on the other, 7 does not.
    for size in [[2, 1, 5, 6, 8], [2, 1, 5, 7, 7]] {
        let input = waves(&size);
        let gradients = |output: &Tensor| {
            weight.shallow_clone().zero_grad();
            bias.shallow_clone().zero_grad();
            (output * waves(&output.size())).sum(Kind::Float).backward();
            [weight.grad().copy(), bias.grad().copy()]
        };
        let found = convolution.forward_grey(&input).unwrap();
        let found_gradients = gradients(&found);

        let [before_y, before_x] = [(5 - 2 + size[3] % 2) / 2, (7 - 2 + size[4] % 2) / 2];
        let around = [before_x, 3, before_y, 2, 1, 1];
        let padded = input.repeat([1, 3, 1, 1, 1]).constant_pad_nd(around);
        let expected = padded.conv3d(&weight, Some(&bias), [1, 2, 2], [0; 3], [1; 3], 1);
        let expected_gradients = gradients(&expected);
        assert!(largest_difference(&found, &expected) < 1e-5);
        for (found, expected) in std::iter::zip(found_gradients, expected_gradients) {
            let scale = expected.abs().max().double_value(&[]);
            assert!(largest_difference(&found, &expected) < 1e-5 * scale);
        }
    }
}

#[test]
fn batch_norm_modes() {
    let config = BatchNormConfig { n_channels: 3, epsilon: 1e-3, momentum: 0.25, scale: true };
    let input = waves(&[4, 3, 2, 5, 3]) * 2.0 + 1.0;
    let over = [0i64, 2, 3, 4];
    let mean = input.mean_dim(over.as_slice(), false, None);
    let variance = |unbiased: bool| input.var_dim(over.as_slice(), unbiased, false);
    let normalised = |mean: &Tensor, variance: &Tensor| {
        let channels = |tensor: &Tensor| tensor.reshape([1, 3, 1, 1, 1]);
        (&input - channels(mean)) / channels(&(variance + 1e-3)).sqrt()
    };
    let (zeros, ones) = (Tensor::zeros_like(&mean), Tensor::ones_like(&mean));
    for (mode, momentum) in [
        (BatchNormMode::Running, None),
        (BatchNormMode::Batch, Some(0.25)),
        (BatchNormMode::Estimate(0.5), Some(0.5)),
        (BatchNormMode::Estimate(1.0), Some(1.0)),
    ] {
        let mut parameters = random();
        let layer = BatchNorm3d::new(&mut parameters, "bn.", config).unwrap();
        let output = layer.forward(&input, mode).unwrap();
        let statistic = |name: &str| parameters.get(name).unwrap().tensor.shallow_clone();
        let (expected, kept) = match momentum {
            None => (normalised(&zeros, &ones), 1.0),
            Some(momentum) => (normalised(&mean, &variance(false)), 1.0 - momentum),
        };
        assert!(largest_difference(&output, &expected) < 1e-5, "{mode:?}");
        let expected_mean = &mean * (1.0 - kept);
        let expected_var = &ones * kept + variance(true) * (1.0 - kept);
        assert!(largest_difference(&statistic("bn.running_mean"), &expected_mean) < 1e-6);
        assert!(largest_difference(&statistic("bn.running_var"), &expected_var) < 1e-5);
    }
}

#[test]
fn a_batch_without_variance_is_refused() {
    let config = BatchNormConfig { n_channels: 2, epsilon: 1e-3, momentum: 0.1, scale: false };
    let mut parameters = random();
    let layer = BatchNorm3d::new(&mut parameters, "", config).unwrap();
    assert!(parameters.get("weight").is_none());
    let one = waves(&[1, 2, 1, 1, 1]);
    assert!(layer.forward(&one, BatchNormMode::Running).is_ok());
    for mode in [BatchNormMode::Batch, BatchNormMode::Estimate(1.0)] {
        let error = layer.forward(&one, mode).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("1 value per channel"), "{error}");
    }
}

#[test]
fn weights_start_as_he_et_al_say() {
    let config = Conv3dConfig {
        n_in: 16,
        n_out: 64,
        kernel: [3; 3],
        stride: [1; 3],
        padding: Padding::Fixed([1; 3]),
        bias: false,
    };
    let mut parameters = random();
    Conv3d::new(&mut parameters, "", config).unwrap();
    let weight = &parameters.get("weight").unwrap().tensor;
    let expected = (2.0f64 / (16.0 * 27.0)).sqrt();
    // 27648 values: the standard deviation is known to 0.4 %, the mean to 0.6 % of it.
    assert!((weight.std(true).double_value(&[]) / expected - 1.0).abs() < 0.02);
    assert!(weight.mean(Kind::Double).double_value(&[]).abs() < 0.03 * expected);
    assert_eq!(parameters.get("weight").unwrap().role, Role::Weight);
}

#[test]
fn input_of_another_rank_is_refused() {
    let error = max_pool3d(&waves(&[1, 4, 4, 4]), [2; 3], [2; 3], Padding::Same).unwrap_err();
    assert!(error.to_string().contains("[n, c, z, y, x], not shape [1, 4, 4, 4]"), "{error}");
}
