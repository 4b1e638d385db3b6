#[path = "fine_tune_test/labels.rs"]
mod labels;
#[path = "fine_tune_test/probes.rs"]
mod probes;
#[path = "fine_tune_test/running.rs"]
mod running;
#[path = "fine_tune_test/steps.rs"]
mod steps;

use std::{cell::Cell, sync::Mutex};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde_json::json;
use tch::{Device, Tensor};

use super::*;
use crate::{
    augment::{Augment, Augmentation},
    backbone::Pass,
    metrics::evaluate,
    model::ModelConfig,
    monitor::{Progress, log_nothing},
    preprocess::Preprocess,
    train::{Balance, Calibration, HeadStart, OptimizerKind, Schedule},
    volume::{Axis, Dtype},
};

const EDGE: usize = 16;
const N_VOXELS: usize = EDGE * EDGE * EDGE;

fn model(n_classes: usize) -> Model {
    model_of(None, n_classes)
}

fn model_of(backbone: Option<&str>, n_classes: usize) -> Model {
    let config = ModelConfig {
        backbone: backbone.map(str::to_owned),
        class_names: (0..n_classes).map(|class| format!("class {class}")).collect(),
        preprocess: Preprocess::default(),
        seed: 1,
        dropout: 0.0,
    };
    Model::random(config, Device::Cpu).expect("model")
}

/// Boxes of noise around a shell whose radius is the class's, the classes in turn.
fn shells(n: usize, n_classes: usize) -> (Vec<f32>, Vec<i32>) {
    let noise: StandardNormal = StandardNormal;
    let mut voxels: Vec<f32> =
        noise.sample_iter(ChaCha8Rng::seed_from_u64(2)).take(n * N_VOXELS).collect();
    let centre = (EDGE as f32 - 1.0) / 2.0;
    for (index, subtomogram) in voxels.chunks_exact_mut(N_VOXELS).enumerate() {
        let radius = 1.0 + 2.5 * (index % n_classes) as f32;
        for (place, voxel) in subtomogram.iter_mut().enumerate() {
            let [z, y, x] = [place / EDGE / EDGE, place / EDGE % EDGE, place % EDGE];
            let distance = [z, y, x].map(|at| (at as f32 - centre).powi(2)).iter().sum::<f32>();
            *voxel += 4.0 * (-(distance.sqrt() - radius).powi(2)).exp();
        }
    }
    (voxels, (0..n).map(|index| (index % n_classes) as i32).collect())
}

fn volume(voxels: &[f32]) -> Volume<'static> {
    let edge = EDGE as i64;
    Volume::from_slice(voxels, [(voxels.len() / N_VOXELS) as i64, edge, edge, edge])
        .expect("volume")
}

fn tune(model: &Model, n: usize, config: &FineTune) -> Result<Model> {
    let (voxels, labels) = shells(n, model.class_names.len());
    fine_tune(model, &volume(&voxels), &labels, config, &mut Monitor::silent())
}

fn short() -> FineTune {
    FineTune { n_epochs: 1, batch_size: 4, ..FineTune::default() }
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(&tensor.reshape([-1])).expect("values")
}

/// Every number of a model: bit patterns, with the names of their tensors.
fn bits(model: &Model) -> Vec<(String, Vec<u32>)> {
    let backbone = model
        .network
        .parameters
        .iter()
        .map(|parameter| (parameter.name.as_str(), &parameter.tensor));
    backbone
        .chain([("head weight", &model.head.weight), ("head bias", &model.head.bias)])
        .map(|(name, tensor)| {
            (name.to_owned(), values(tensor).into_iter().map(f32::to_bits).collect())
        })
        .collect()
}

#[test]
fn same_seed_same_result_bit_by_bit() {
    let mut model = model(2);
    model.dropout = 0.3;
    let before = bits(&model);
    let config = FineTune { n_epochs: 2, validation_fraction: 0.25, ..short() };
    let tuned = tune(&model, 8, &config).expect("tuned");
    let again = tune(&model, 8, &config).expect("tuned");
    assert_eq!(bits(&tuned), bits(&again));
    assert_eq!(tuned.history, again.history);
    let other = tune(&model, 8, &FineTune { seed: 1, ..config.clone() }).expect("tuned");
    assert_ne!(bits(&tuned), bits(&other));
    // The model that was given stays as it was, and nothing is left of the training.
    assert_eq!(bits(&model), before);
    for trained in Trainable::new(&tuned, &config).weights {
        assert!(!trained.requires_grad() && !trained.grad().defined());
    }
    for given in Trainable::new(&model, &config).weights {
        assert!(!given.requires_grad());
    }
}

#[test]
fn a_random_network_learns_an_easy_task() {
    let (voxels, labels) = shells(30, 3);
    let config = FineTune { n_epochs: 6, ..FineTune::default() };
    let volume = volume(&voxels);
    let tuned = fine_tune(&model(3), &volume, &labels, &config, &mut Monitor::silent());
    let tuned = tuned.expect("tuned");
    let epochs = &tuned.history[0].epochs;
    assert!(epochs[5].loss < epochs[0].loss);
    // In inference, with the running statistics: what the statistics' momentum is for.
    let scores = tuned.classify(&volume, &mut Monitor::silent()).expect("scores");
    let accuracy = evaluate(&scores, &labels, 3).expect("metrics").accuracy;
    assert!(accuracy > 0.8, "accuracy {accuracy}");
}

#[test]
fn a_loss_that_is_no_number_is_an_error() {
    let config = FineTune {
        optimizer: OptimizerKind::Sgd,
        learning_rate: Some(1e30),
        n_epochs: 3,
        ..short()
    };
    let error = tune(&model(2), 8, &config).err().expect("must diverge");
    assert_eq!(error.kind(), ErrorKind::NonFinite);
    assert!(error.to_string().starts_with("epoch 1, step 2: the loss is NaN"), "{error}");
    assert!(error.to_string().contains("lower the learning rate (now"), "{error}");
    // One step only: its loss was a number, but the weights no longer are.
    let config = FineTune { n_epochs: 1, batch_size: 8, learning_rate: Some(3e38), ..config };
    let error = tune(&model(2), 8, &config).err().expect("must diverge");
    assert_eq!(error.kind(), ErrorKind::NonFinite);
    assert!(error.to_string().starts_with("after epoch 1: a weight is NaN"), "{error}");
}

#[test]
fn what_makes_no_sense_is_named() {
    let model = model(2);
    let (voxels, _) = shells(4, 2);
    let volume = volume(&voxels);
    let message = |labels: &[i32], config: FineTune| {
        let error = fine_tune(&model, &volume, labels, &config, &mut Monitor::silent());
        error.err().expect("must be refused").to_string()
    };
    assert!(message(&[0, 1, 0], short()).starts_with("3 labels for 4 subtomograms"));
    assert!(message(&[0, 1, 2, 0], short()).starts_with("label 2 is 2;"));
    assert!(message(&[0, 0, 0, -1], short()).starts_with("1 of 2 classes"));
    assert!(message(&[-1; 4], short()).starts_with("no subtomogram has a label: all 4 are -1"));
    let frozen = FineTune { n_frozen_stages: 14, ..short() };
    assert!(message(&[0, 1, 0, 1], frozen).starts_with("n_frozen_stages is 14; i3d has 13"));
    let batch = FineTune { batch_size: 0, ..short() };
    assert!(message(&[0, 1, 0, 1], batch).starts_with("batch_size is 0;"));
}

/// Keeps lines, whatever their level.
#[derive(Default)]
struct Sink(Mutex<Vec<(log::Level, String)>>);

impl log::Log for Sink {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push((record.level(), record.args().to_string()));
    }
    fn flush(&self) {}
}

#[test]
fn the_model_remembers() {
    let edge = EDGE as i64;
    let (voxels, labels) = shells(4, 2);
    let stated = |voxel_size, contrast| {
        let view = Tensor::from_slice(&voxels).reshape([4, edge, edge, edge]);
        Volume::from_view(view, Dtype::F32, voxel_size, contrast, Axis::Z).expect("volume")
    };
    let tune = |model: &Model, volume: &Volume<'_>| {
        fine_tune(model, volume, &labels, &short(), &mut Monitor::silent()).expect("tuned")
    };
    let once = tune(&model(2), &stated(10.0, Contrast::Dark));
    let twice = tune(&once, &stated(0.0, Contrast::Unknown));
    for tuned in [&once, &twice] {
        assert_eq!((tuned.voxel_size, tuned.contrast), (10.0, Contrast::Dark));
    }
    assert_eq!((once.history.len(), twice.history.len()), (1, 2));
    assert_eq!(twice.history[0], once.history[0]);
    // What was left to the library: a random start, then one that goes on.
    let chosen = |record: &TrainingRecord| {
        ["batch_norm", "head", "learning_rate"].map(|key| record.config[key].clone())
    };
    assert_eq!(chosen(&twice.history[0]), [json!("trained"), json!("random"), json!(1e-3)]);
    assert_eq!(chosen(&twice.history[1]), [json!("trained"), json!("keep"), json!(1e-3)]);
    assert_eq!(once.history[0].n_subtomograms, 4);
    assert_eq!(once.history[0].selected_epoch, 1);
}
