use std::collections::HashMap;

use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use super::{Precision, in_precision};
use crate::{
    backbone::{
        BatchNormMode, Network,
        attention::{LayerNorm, Linear, add_branch, attend, merge_heads, split_heads},
        layers::{BatchNorm3d, BatchNormConfig, Conv3d, Conv3dConfig, Padding},
    },
    parameters::{Parameters, Start},
};

fn waves(size: &[i64], offset: f64) -> Tensor {
    let n = size.iter().product::<i64>();
    let phases = Tensor::arange(n, (Kind::Double, Device::Cpu)) * 0.7 + offset;
    phases.sin().to_kind(Kind::Float).reshape(size)
}

/// tests/reference/autocast.py
#[derive(Deserialize)]
struct Case {
    dtype: String,
    values: Vec<f32>,
}

fn assert_near(got: &Tensor, case: &str) {
    let text = include_str!("../../../tests/reference/autocast.json");
    let mut cases: HashMap<String, Case> = serde_json::from_str(text).unwrap();
    let Case { dtype, values } = cases.remove(case).unwrap();
    let kind = if dtype == "torch.bfloat16" { Kind::BFloat16 } else { Kind::Float };
    assert_eq!(got.kind(), kind, "{case}");
    let got = Vec::<f32>::try_from(got.to_kind(Kind::Float).reshape([-1])).unwrap();
    assert_eq!(got.len(), values.len());
    for (got, expected) in got.iter().zip(&values) {
        // One step of bfloat16: sums may be taken in another order before they are rounded.
        let step = expected.abs().max(1e-3) / 128.0;
        assert!((got - expected).abs() <= step, "{case}: {got}, not {expected}");
    }
}

fn fill(parameters: &Parameters, name: &str, values: Tensor) {
    parameters.get(name).unwrap().tensor.shallow_clone().copy_(&values);
}

#[test]
fn a_convolution_rounds_what_autocast_rounds() {
    let mut parameters = Parameters::new(Device::Cpu, Start::Zeros);
    let config = Conv3dConfig {
        n_in: 2,
        n_out: 4,
        kernel: [3; 3],
        stride: [1, 2, 2],
        padding: Padding::Fixed([1; 3]),
        bias: false,
    };
    let convolution = Conv3d::new(&mut parameters, "c.", config).unwrap();
    let norm = BatchNorm3d::new(&mut parameters, "n.", BatchNormConfig::pytorch(4)).unwrap();
    fill(&parameters, "c.weight", waves(&[4, 2, 3, 3, 3], 1.0));
    fill(&parameters, "n.running_mean", waves(&[4], 2.0));
    fill(&parameters, "n.running_var", waves(&[4], 3.0) + 1.5);
    fill(&parameters, "n.weight", waves(&[4], 4.0) + 1.5);
    fill(&parameters, "n.bias", waves(&[4], 5.0));
    let output = in_precision(Precision::Bf16, || {
        let x = convolution.forward(&waves(&[2, 2, 3, 5, 5], 0.0)).unwrap();
        norm.forward(&x, BatchNormMode::Running).unwrap().relu()
    });
    assert_near(&output, "convolution");
}

#[test]
fn a_transformer_block_rounds_what_autocast_rounds() {
    let mut parameters = Parameters::new(Device::Cpu, Start::Zeros);
    let norm = LayerNorm::new(&mut parameters, "n.", 8, 1e-6).unwrap();
    let linear: Vec<Linear> = (0..4)
        .map(|i| Linear::new(&mut parameters, &format!("{i}."), 8, 8, true).unwrap())
        .collect();
    fill(&parameters, "n.weight", waves(&[8], 1.5));
    fill(&parameters, "n.bias", waves(&[8], 2.5));
    for (i, (weight, bias)) in [(3.5, 6.5), (4.5, 7.5), (5.5, 8.5), (9.5, 10.5)].iter().enumerate()
    {
        fill(&parameters, &format!("{i}.weight"), waves(&[8, 8], *weight));
        fill(&parameters, &format!("{i}.bias"), waves(&[8], *bias));
    }
    let tokens = waves(&[2, 5, 8], 0.5);
    let output = in_precision(Precision::Bf16, || {
        let normed = norm.forward(&tokens).unwrap();
        let heads = |i: usize| split_heads(&linear[i].forward(&normed).unwrap(), 2).unwrap();
        let attended = attend(&heads(0), &heads(1), &heads(2), None).unwrap();
        add_branch(linear[3].forward(&merge_heads(&attended).unwrap()).unwrap(), &tokens).unwrap()
    });
    assert_near(&output, "transformer");
}

/// Features and gradients, which stay f32, are near those in single precision, but not the same.
pub fn check_rounding(network: &mut Network) {
    let spec = network.spec();
    let weight = network.parameters.iter().next().unwrap().tensor.shallow_clone();
    let _ = weight.set_requires_grad(true);
    let [z, y, x] = spec.min_input;
    let input = waves(&[4, 1, z + 9, y + 9, x + 9], 0.1);
    let mut pass = |precision| {
        network.precision = precision;
        let features = network.features(&input, BatchNormMode::Running).unwrap();
        assert_eq!(features.kind(), Kind::Float, "{}", spec.name);
        let loss = (&features * waves(&features.size(), 0.3)).sum(Kind::Float);
        let gradient = Tensor::run_backward(&[loss], &[&weight], false, false).remove(0);
        assert_eq!(gradient.kind(), Kind::Float, "{}", spec.name);
        [features.detach(), gradient]
    };
    let (rounded, single) = (pass(Precision::Bf16), pass(Precision::F32));
    let _ = weight.set_requires_grad(false);
    for (what, limit, (single, rounded)) in [
        ("features", 0.05, (&single[0], &rounded[0])),
        ("gradient", 0.5, (&single[1], &rounded[1])),
    ] {
        let difference = ((rounded - single).norm() / single.norm()).double_value(&[]);
        println!("{} {what}: {difference:.4}", spec.name);
        assert!(difference > 1e-5 && difference < limit, "{} {what}: {difference}", spec.name);
    }
}
