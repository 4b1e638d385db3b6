use std::collections::HashMap;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde_json::Value;
use tch::Device;

use super::*;
use crate::{
    backbone::{Architecture, Stage as NetworkStage, find},
    error::ErrorKind,
    memory::Work,
    model::ModelConfig,
    monitor::{Monitor, Progress, log_nothing},
    parameters::{Parameters, Start},
    train::{
        fine_tune,
        passes::Tally,
        step::{Batch, Stepper},
        trainable::Trainable,
    },
    volume::Volume,
};

/// The network of tests/reference/delta.py, with these weights.
fn network(one: &Tensor, two: &Tensor) -> Network {
    let stage = |name, weight: &Tensor| {
        let weight = weight.shallow_clone();
        let forward = move |x: &Tensor, _: Pass| -> Result<Tensor> {
            Ok(x.f_conv3d(&weight, None::<Tensor>, 1, 1, 1, 1)?.f_relu()?)
        };
        NetworkStage { name, view: View::Map, forward: Box::new(forward) }
    };
    let pool = |x: &Tensor, _: Pass| crate::backbone::layers::average(x);
    let pool = NetworkStage { name: "pool", view: View::Pooled, forward: Box::new(pool) };
    Network {
        architecture: Architecture::default_of(find("i3d").unwrap()),
        parameters: Parameters::new(Device::Cpu, Start::Zeros),
        stages: vec![stage("one", one), stage("two", two), pool],
        precision: Default::default(),
        n_features: 4,
        cut_after: None,
        is_prepared: Default::default(),
        inference_cost: Default::default(),
    }
}

/// Tensors of tests/reference/delta.json by their names, and the rest.
fn reference() -> (HashMap<&'static str, Tensor>, Value) {
    let text = include_str!("../../../tests/reference/delta.json");
    let reference: Value = serde_json::from_str(text).unwrap();
    let size: Vec<i64> = serde_json::from_value(reference["size"].clone()).unwrap();
    let [one, two] = [vec![3, 1, 3, 3, 3], vec![4, 3, 3, 3, 3]];
    let shapes = [
        ("input", size),
        ("start one", one.clone()),
        ("start two", two.clone()),
        ("tuned one", one.clone()),
        ("tuned two", two.clone()),
        ("gradient one", one),
        ("gradient two", two),
        ("head", vec![2, 4]),
        ("bias", vec![2]),
        ("channels one", vec![3]),
        ("channels two", vec![4]),
    ];
    let tensors = shapes.into_iter().map(|(name, shape)| {
        let values: Vec<f32> = serde_json::from_value(reference[name].clone()).unwrap();
        (name, Tensor::from_slice(&values).reshape(&shape))
    });
    (tensors.collect(), reference)
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

#[test]
fn penalty_gradients_and_weights_of_channels_are_those_of_pytorch() {
    let (tensors, numbers) = reference();
    let strength = numbers["strength"].as_f64().unwrap();
    let ones = |n| Tensor::ones([n], (Kind::Float, Device::Cpu));
    let mut delta = Delta {
        start: network(&tensors["start one"], &tensors["start two"]),
        stages: vec![(0, ones(3)), (1, ones(4))],
        strength,
    };
    let head =
        Head { weight: tensors["head"].shallow_clone(), bias: tensors["bias"].shallow_clone() };
    let input = &tensors["input"];
    let targets: Vec<i64> = serde_json::from_value(numbers["targets"].clone()).unwrap();
    let n = targets.len() as f64;
    let targets = Tensor::from_slice(&targets);
    let mut n_told = 0;
    let increases = delta.increases(&head, input, &targets, &mut || {
        n_told += 1;
        Ok(())
    });
    for ((_, weights), sum) in delta.stages.iter_mut().zip(increases.unwrap()) {
        *weights = attention(&(sum / n)).unwrap();
    }
    assert_eq!(n_told, 7);
    for (weights, name) in delta.weights().zip(["channels one", "channels two"]) {
        assert!(difference(weights, &tensors[name]) < 1e-5, "{name}: {weights}");
    }

    let tuned = ["tuned one", "tuned two"].map(|name| tensors[name].set_requires_grad(true));
    let tuned_network = network(&tuned[0], &tuned[1]);
    let mode = BatchNormMode::Running;
    let (features, penalty) = delta.forward(&tuned_network, input, 0, mode).unwrap();
    assert_eq!(features, tuned_network.features(input, mode).unwrap());
    let expected = numbers["penalty"].as_f64().unwrap();
    assert!((penalty.double_value(&[]) / expected - 1.0).abs() < 1e-5, "{penalty} {expected}");
    let gradients = Tensor::run_backward(&[penalty], &tuned, false, false);
    for (gradient, name) in gradients.iter().zip(["gradient one", "gradient two"]) {
        assert!(difference(gradient, &tensors[name]) < 1e-5, "{name}");
    }

    // Where nothing has changed, nothing is added; and a frozen stage is the start's.
    let (_, nothing) = delta.forward(&delta.start, input, 0, mode).unwrap();
    assert_eq!(nothing.double_value(&[]), 0.0);
    drop(delta.stages.remove(0));
    let half_frozen = network(&tensors["start one"], &tuned[1]);
    let [(_, whole), (_, frozen)] =
        [0, 1].map(|n_frozen| delta.forward(&half_frozen, input, n_frozen, mode).unwrap());
    assert_eq!(whole.double_value(&[]), frozen.double_value(&[]));
}

fn model() -> Model {
    let config = ModelConfig {
        backbone: Some("resnet3d_10".to_owned()),
        class_names: ["a", "b"].map(str::to_owned).to_vec(),
        preprocess: Default::default(),
        seed: 3,
        dropout: 0.0,
    };
    Model::random(config, Device::Cpu).unwrap()
}

fn uniform() -> FineTune {
    FineTune { regularizer: Regularizer::DeltaUniform, ..FineTune::default() }
}

/// By hand: the squared weights of the head, halved, have the weights as their gradient.
#[test]
fn the_head_is_pulled_towards_nothing() {
    let config = FineTune { regularizer_strength: 0.5, ..uniform() };
    let delta = Delta::new(&config, &model(), &model()).unwrap().unwrap();
    let weights = [[9.0f32], [2.0], [-4.0]].map(|values| Tensor::from_slice(&values));
    let mut gradients = [[1.0f32], [1.0], [1.0]].map(|values| Tensor::from_slice(&values));
    delta.pull(&weights, &mut gradients).unwrap();
    let found = gradients.map(|gradient| gradient.double_value(&[0]));
    assert_eq!(found, [1.0, 2.0, -1.0]);
}

#[test]
fn stages_are_named_or_the_last_four() {
    let network = model().network;
    let names: Vec<&str> = network.stages.iter().map(|stage| stage.name).collect();
    assert_eq!(names, ["conv1", "layer1", "layer2", "layer3", "layer4", "avgpool"]);
    assert_eq!(chosen(&uniform(), &network).unwrap(), [1, 2, 3, 4]);
    let frozen = FineTune { n_frozen_stages: 3, ..uniform() };
    assert_eq!(chosen(&frozen, &network).unwrap(), [3, 4]);
    let named = |names: &[&str]| FineTune {
        regularizer_stages: names.iter().map(|name| (*name).to_owned()).collect(),
        ..frozen.clone()
    };
    assert_eq!(chosen(&named(&["layer4", "layer3", "layer4"]), &network).unwrap(), [3, 4]);
    let message = |config: &FineTune| chosen(config, &network).unwrap_err().to_string();
    assert!(message(&named(&["layer2"])).contains("\"layer2\" is frozen"));
    assert!(message(&named(&["avgpool"])).contains("\"avgpool\" has no feature maps"));
    assert!(message(&named(&["layer9"])).starts_with("regularizer_stages: stage \"layer9\": "));
    let all_frozen = FineTune { n_frozen_stages: 5, ..uniform() };
    assert!(message(&all_frozen).contains("no stage is left"), "{}", message(&all_frozen));
    let other = FineTune { regularizer: Regularizer::Mars, ..named(&["layer4"]) };
    let message = other.validate().unwrap_err().to_string();
    assert_eq!(
        message,
        "regularizer_stages names layer4, but the regulariser is Mars; it is for DELTA"
    );
}

#[test]
fn channels_are_weighed_by_as_many_of_each_class() {
    let labels: Vec<i32> = (0..100).map(|index| i32::from(index >= 90)).collect();
    let training: Vec<usize> = (0..100).collect();
    let found = weighed(&training, &labels).unwrap();
    assert!(found.is_sorted() && found.len() == MOST_WEIGHED);
    assert_eq!(found.iter().filter(|&&index| labels[index] == 1).count(), 10);
    assert_eq!(weighed(&[1, 95], &labels).unwrap(), [1, 95]);
}

/// Micro-batches add up to the batch, with the penalty in each.
#[test]
fn the_penalty_adds_up_over_micro_batches() {
    let (start, mut tuned) = (model(), model());
    let mut seed = 0;
    for parameter in tuned.network.parameters.iter().filter(|p| p.role == Role::Weight) {
        seed += 1;
        let n = parameter.tensor.numel() as i64;
        let wave = (Tensor::arange(n, (Kind::Float, Device::Cpu)) * 0.7 + seed).sin() * 0.01;
        let changed = &parameter.tensor + wave.reshape(parameter.tensor.size());
        parameter.tensor.shallow_clone().copy_(&changed);
    }
    let weights: Vec<Tensor> = tuned
        .network
        .parameters
        .iter()
        .filter(|parameter| parameter.role == Role::Weight)
        .map(|parameter| parameter.tensor.set_requires_grad(true))
        .chain([&tuned.head.weight, &tuned.head.bias].map(|tensor| tensor.set_requires_grad(true)))
        .collect();
    tuned.head.weight = weights[weights.len() - 2].shallow_clone();
    tuned.head.bias = weights[weights.len() - 1].shallow_clone();
    let input = (Tensor::arange(4 * 16 * 16 * 16, (Kind::Float, Device::Cpu)) * 0.37).sin();
    let batch = Batch {
        input: input.reshape([4, 1, 16, 16, 16]),
        targets: Tensor::from_slice(&[0i64, 1, 0, 1]),
        mixup: None,
        dropout: None,
    };
    let gradients = |config: &FineTune| {
        let delta = Delta::new(config, &start, &start).unwrap();
        let mut stepper =
            Stepper::new(&tuned, config, delta.as_ref(), &weights, &[1.0; 2]).unwrap();
        let (mode, silent) = (BatchNormMode::Running, Monitor::silent());
        stepper.gradients(&batch, mode, &mut Tally::default(), &silent).unwrap().0
    };
    let whole = FineTune { regularizer_strength: 3.0, ..uniform() };
    let parts = FineTune { micro_batch_size: 3, ..whole.clone() };
    let without = FineTune { regularizer: Regularizer::None, ..whole.clone() };
    let [whole, parts, without] = [&whole, &parts, &without].map(gradients);
    let size = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
    let mut largest: f64 = 0.0;
    for ((whole, parts), without) in whole.iter().zip(&parts).zip(&without) {
        assert!(difference(whole, parts) < 1e-4 * size(whole) + 1e-6);
        largest = largest.max(difference(whole, without));
    }
    assert!(largest > 1e-3, "the penalty pulls: {largest}");
}

/// Noise of 16 voxels an edge, the classes in turn.
fn noise() -> (Volume<'static>, Vec<i32>) {
    let n = 8 * 16 * 16 * 16;
    let noise = StandardNormal;
    let voxels: Vec<f32> = noise.sample_iter(ChaCha8Rng::seed_from_u64(4)).take(n).collect();
    let volume = Volume::from_slice(&voxels, [8, 16, 16, 16]).unwrap();
    (volume, (0..8).map(|index| index % 2).collect())
}

/// Weighed channels, statistics that the start gets from subtomograms, and a head that is not the probe's.
fn weighed_training() -> FineTune {
    FineTune {
        regularizer: Regularizer::Delta,
        regularizer_strength: 0.1,
        regularizer_stages: vec!["layer4".to_owned()],
        batch_norm: BatchNorm::Recalibrated,
        head: HeadStart::Random,
        learning_rate: Some(1e-3),
        n_epochs: 2,
        batch_size: 4,
        ..FineTune::default()
    }
}

#[test]
fn a_training_with_weighed_channels_goes_on_bit_by_bit() {
    let (volume, labels) = noise();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("training");
    let config = weighed_training();
    let kept = FineTune { checkpoint: Some(path.clone()), ..config.clone() };
    let run = |config: &FineTune, last: usize| {
        let mut n_probe_steps = 0;
        let (mut fraction, mut before_training) = (0.0, 0.0);
        let report = |progress: &Progress| {
            n_probe_steps += usize::from(progress.stage == Stage::Probe);
            fraction = progress.fraction;
            if progress.stage != Stage::Train && progress.epoch == 0 {
                before_training = fraction;
            }
            progress.epoch <= last
        };
        let mut monitor = Monitor::new(report, || false, log_nothing());
        let tuned = fine_tune(&model(), &volume, &labels, config, &mut monitor);
        drop(monitor);
        assert!(before_training < 0.99, "the work ahead is counted: {before_training}");
        (tuned, n_probe_steps, fraction)
    };
    let (straight, n_probe_steps, fraction) = run(&config, 2);
    let straight = straight.unwrap();
    assert!(n_probe_steps > 512, "a report a channel: {n_probe_steps}");
    assert_eq!(fraction, 1.0);
    let (stopped, ..) = run(&kept, 1);
    assert_eq!(stopped.err().unwrap().kind(), ErrorKind::Cancelled);
    let (resumed, n_probe_steps, fraction) = run(&kept, 2);
    let resumed = resumed.unwrap();
    assert_eq!((n_probe_steps, fraction), (0, 1.0));
    for (a, b) in straight.network.parameters.iter().zip(resumed.network.parameters.iter()) {
        assert_eq!(a.tensor, b.tensor, "{}", a.name);
    }
    assert_eq!(straight.head.weight, resumed.head.weight);
    assert_eq!(straight.history[0].config["regularizer"], "delta");
}

/// The maps that are compared lie between layers with gradients of their own.
#[test]
fn gradients_of_the_penalty_are_those_of_libtorch() {
    let (volume, _) = noise();
    let (start, tuned) = (model(), model());
    let input = start.prepare(&volume, &[0, 1, 2, 3]).unwrap();
    let config = FineTune { regularizer_strength: 2.0, ..uniform() };
    let delta = Delta::new(&config, &start, &tuned).unwrap().unwrap();
    let trainable = Trainable::new(&tuned, &config);
    for weight in trainable.backbone() {
        let _ = weight.shallow_clone().f_mul_scalar_(1.05).unwrap().set_requires_grad(true);
    }
    let loss = || -> Result<Tensor> {
        let network = &tuned.network;
        let (features, distance) = delta.forward(network, &input, 1, BatchNormMode::Running)?;
        Ok(features.f_sum(Kind::Float)?.f_add(&distance)?)
    };
    let weights = trainable.backbone();
    let expected = Tensor::run_backward(&[loss().unwrap()], weights, false, false);
    let (sum, tape) = tape::recorded(loss).unwrap();
    let found = tape.gradients(&sum, weights).unwrap();
    for (found, expected) in std::iter::zip(found, expected) {
        assert_eq!(found.defined(), expected.defined());
        if expected.defined() {
            let apart = (&found - &expected).norm().double_value(&[]);
            assert!(apart < 1e-3 * expected.norm().double_value(&[]), "{apart}");
        }
    }
}

#[test]
fn what_the_network_sees_stays_near_its_start() {
    let (volume, labels) = noise();
    let start = model();
    let input = start.prepare(&volume, &[0, 1, 2, 3]).unwrap();
    let distance = |config: &FineTune| {
        let tuned = fine_tune(&start, &volume, &labels, config, &mut Monitor::silent()).unwrap();
        let all_alike = FineTune { regularizer_strength: 2.0, ..uniform() };
        let delta = Delta::new(&all_alike, &start, &start).unwrap().unwrap();
        let mode = BatchNormMode::Running;
        delta.forward(&tuned.network, &input, 0, mode).unwrap().1.double_value(&[])
    };
    let free = FineTune {
        batch_norm: BatchNorm::Frozen,
        // Larger steps of this network, which nothing normalises, lead anywhere.
        learning_rate: Some(1e-4),
        regularizer: Regularizer::None,
        regularizer_stages: Vec::new(),
        ..weighed_training()
    };
    let held = FineTune {
        regularizer: Regularizer::DeltaUniform,
        regularizer_strength: 1e3,
        ..free.clone()
    };
    let (free, held) = (distance(&free), distance(&held));
    assert!(held < 0.5 * free, "{held} with, {free} without");
}

#[test]
fn the_start_and_the_maps_are_counted() {
    let model = model();
    let bytes = |maps| {
        let work = Work::Training { n_frozen_stages: 0, n_copies: 2, maps, n_of_step: 0 };
        model.memory_estimate([32; 3], 4, work).unwrap()
    };
    let size = model.input_size([32; 3]).unwrap();
    assert_eq!(super::bytes(&FineTune::default(), &model.network, size).unwrap(), 0);
    let maps = super::bytes(&uniform(), &model.network, size).unwrap();
    let mut x = Tensor::zeros([1, 1, size[0], size[1], size[2]], (Kind::Float, Device::Cpu));
    let pass = Pass::of(&x, BatchNormMode::Running).unwrap();
    let mut n_values = 0;
    for (index, size) in model.network.map_sizes(size).unwrap().into_iter().enumerate() {
        x = model.network.through(index..index + 1, &x, pass).unwrap();
        assert_eq!(model.network.stages[index].map(&x, pass).unwrap().size()[1..], size);
        n_values += if (1..5).contains(&index) { x.numel() as u64 } else { 0 };
    }
    // Three f32 a value.
    assert_eq!(maps, 12 * n_values);
    let n_weights: i64 = model.network.parameters.iter().map(|p| p.tensor.numel() as i64).sum();
    assert!(bytes(maps) - bytes(0) > 4 * n_weights as u64 + 4 * maps);
}
