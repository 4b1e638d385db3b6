use tch::{Device, Kind};

use super::*;
use crate::{
    backbone::layers::{BatchNormConfig, Chain, Conv3dConfig, Padding, max_pool3d},
    parameters::{Parameters, Start},
};

fn waves(size: &[i64], frequency: f64) -> Tensor {
    let n = size.iter().product::<i64>();
    let index = Tensor::arange(n, (Kind::Double, Device::Cpu));
    ((&index * frequency).sin() + (&index * 0.013).sin()).reshape(size)
}

/// Their distance over the length of the second.
fn apart(found: &Tensor, expected: &Tensor) -> f64 {
    let length = |tensor: &Tensor| tensor.to_kind(Kind::Double).norm().double_value(&[]);
    assert_eq!(found.size(), expected.size());
    length(&(found.to_kind(Kind::Double) - expected)) / length(expected)
}

/// A convolution that is `grey` or not, with BatchNorm, a sum and ReLU.
struct Case {
    config: Conv3dConfig,
    n_groups: i64,
    grey: bool,
    mode: BatchNormMode,
}

impl Case {
    /// Output, gradients of input and summand, then of the weights, then the running statistics; in double precision they are libtorch's.
    fn run(&self, kind: Kind) -> Vec<Tensor> {
        let mut parameters = Parameters::new(Device::Cpu, Start::random(1));
        let norm = BatchNormConfig::pytorch(self.config.n_out);
        let chain = Chain::grouped(&mut parameters, ["c.", "b."], self.config, self.n_groups, norm);
        let chain = chain.unwrap();
        let (mut weights, mut statistics) = (Vec::new(), Vec::new());
        for parameter in parameters.iter() {
            let mut tensor = parameter.tensor.shallow_clone();
            let change = (waves(&tensor.size(), 0.9) * 0.1).to_kind(Kind::Float);
            tensor.set_data(&(&tensor + change).to_kind(kind));
            if parameter.name.contains("running") {
                statistics.push(tensor);
            } else {
                weights.push(tensor.set_requires_grad(true));
            }
        }
        let leaf = |size: &[i64], frequency| {
            waves(size, frequency).to_kind(Kind::Float).to_kind(kind).set_requires_grad(true)
        };
        let n_in = if self.grey { 1 } else { self.config.n_in };
        let input = leaf(&[2, n_in, 5, 7, 10], 0.7).set_requires_grad(!self.grey);
        let size = tch::no_grad(|| {
            chain.forward(&leaf(&[1, self.config.n_in, 5, 7, 10], 0.1), BatchNormMode::Running)
        });
        let mut size = size.unwrap().size();
        size[0] = 2;
        // Far from 0, so that no ReLU goes the other way for a rounding.
        let summand = (waves(&size, 0.21).sign() * 8.0).to_kind(kind).set_requires_grad(true);
        let (output, tape) = tape::recorded(|| {
            let ending = Ending { summand: Some(&summand), relu: true };
            chain.with_ending(&input, self.grey, ending, self.mode)
        })
        .unwrap();
        assert_eq!(output.is_leaf(), kind == Kind::Float, "the tape is for single precision");
        let loss = (&output * waves(&size, 1.3).to_kind(kind)).sum(kind);
        let mut of = vec![summand];
        of.extend(input.requires_grad().then_some(input));
        of.extend(weights);
        let mut found = tape.gradients(&loss, &of).unwrap();
        found.push(output.detach());
        found.extend(statistics);
        found
    }
}

#[test]
fn gradients_of_every_kind_of_convolution_are_those_of_double_precision() {
    for (channels, kernel, stride, padding, n_groups, grey) in [
        ([64, 64], [3, 3, 3], [1, 1, 1], Padding::Centred, 1, false),
        ([32, 48], [3, 3, 3], [1, 1, 1], Padding::Same, 1, false),
        ([256, 256], [3, 3, 3], [1, 1, 1], Padding::Same, 1, false),
        ([32, 32], [3, 3, 3], [1, 1, 1], Padding::Fixed([0; 3]), 1, false),
        ([24, 64], [3, 3, 3], [1, 1, 1], Padding::Same, 1, false),
        ([16, 32], [3, 3, 3], [2, 2, 2], Padding::Same, 1, false),
        ([3, 64], [7, 7, 7], [1, 2, 2], Padding::Centred, 1, true),
        ([3, 64], [7, 7, 7], [2, 2, 2], Padding::Same, 1, true),
        ([3, 45], [1, 7, 7], [1, 2, 2], Padding::Centred, 1, true),
        ([48, 24], [1, 1, 1], [1, 1, 1], Padding::Same, 1, false),
        ([48, 80], [1, 1, 1], [2, 2, 2], Padding::Centred, 1, false),
        ([32, 45], [1, 3, 3], [1, 1, 1], Padding::Centred, 1, false),
        ([64, 64], [3, 3, 3], [1, 1, 1], Padding::Centred, 32, false),
    ] {
        for mode in [BatchNormMode::Running, BatchNormMode::Estimate(0.3)] {
            let [n_in, n_out] = channels;
            let config = Conv3dConfig { n_in, n_out, kernel, stride, padding, bias: false };
            let case = Case { config, n_groups, grey, mode };
            let expected = case.run(Kind::Double);
            for (index, found) in case.run(Kind::Float).iter().enumerate() {
                let error = apart(found, &expected[index]);
                assert!(error < 1e-4, "{channels:?} {kernel:?} {mode:?}, {index}: {error}");
            }
        }
    }
}

/// Of pools and of maps one after the other.
#[test]
fn gradients_of_what_has_no_weights_are_those_of_double_precision() {
    let run = |kind: Kind| {
        let leaf = |frequency| waves(&[2, 16, 5, 7, 10], frequency).to_kind(kind);
        let maps = [leaf(0.7).set_requires_grad(true), leaf(0.3).set_requires_grad(true)];
        let (output, tape) = tape::recorded(|| {
            let maps = [
                max_pool3d(&maps[0], [3; 3], [1; 3], Padding::Same)?,
                max_pool3d(&maps[1], [3; 3], [1; 3], Padding::Centred)?,
            ];
            let both = crate::backbone::layers::concatenate(&maps)?;
            max_pool3d(&both, [1, 3, 3], [1, 2, 2], Padding::Same)
        })
        .unwrap();
        assert_eq!(output.is_leaf(), kind == Kind::Float);
        let loss = (&output * waves(&output.size(), 1.3).to_kind(kind)).sum(kind);
        tape.gradients(&loss, &maps).unwrap()
    };
    for (found, expected) in std::iter::zip(run(Kind::Float), run(Kind::Double)) {
        assert!(apart(&found, &expected) < 1e-6);
    }
}
