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

/// Three steps of momentum SGD on a linear head over fixed features, in double precision by hand.
#[test]
fn steps_of_a_linear_head_are_those_computed_by_hand() {
    const N: usize = 6;
    const CLASSES: usize = 3;
    let (rate, momentum, decay) = (0.05, 0.8, 0.01);
    let model = model(CLASSES);
    let (voxels, labels) = shells(N, CLASSES);
    let volume = volume(&voxels);
    let config = FineTune {
        optimizer: OptimizerKind::Sgd,
        learning_rate: Some(rate),
        momentum,
        weight_decay: decay,
        schedule: Schedule::Constant,
        n_epochs: 3,
        batch_size: N,
        n_frozen_stages: model.network.stages.len(),
        head: HeadStart::Keep,
        augment: Augment::default(),
        ..FineTune::default()
    };
    let tuned = fine_tune(&model, &volume, &labels, &config, &mut Monitor::silent());
    let tuned = tuned.expect("tuned");

    let features = model.embed(&volume, &mut Monitor::silent()).expect("features");
    let n_features = features.len() / N;
    // One row a class: its weights, then its bias; each row of features ends with 1.
    let mut head: Vec<Vec<f64>> = (0..CLASSES)
        .map(|class| {
            let weight = &values(&model.head.weight)[class * n_features..][..n_features];
            weight.iter().chain([&values(&model.head.bias)[class]]).map(|v| f64::from(*v)).collect()
        })
        .collect();
    let rows: Vec<Vec<f64>> = features
        .chunks_exact(n_features)
        .map(|row| row.iter().chain([&1.0]).map(|value| f64::from(*value)).collect())
        .collect();
    let mut velocity = vec![vec![0.0; n_features + 1]; CLASSES];
    let mut losses = Vec::new();
    for _ in 0..3 {
        let mut gradient = vec![vec![0.0; n_features + 1]; CLASSES];
        let mut loss = 0.0;
        for (row, label) in rows.iter().zip(&labels) {
            let product = |w: &Vec<f64>| w.iter().zip(row).map(|(w, x)| w * x).sum::<f64>().exp();
            let exponentials: Vec<f64> = head.iter().map(product).collect();
            let sum: f64 = exponentials.iter().sum();
            for (class, gradient) in gradient.iter_mut().enumerate() {
                let target = if class == *label as usize { 1.0 } else { 0.0 };
                let error = exponentials[class] / sum - target;
                gradient.iter_mut().zip(row).for_each(|(g, x)| *g += error * x / N as f64);
            }
            loss -= (exponentials[*label as usize] / sum).ln() / N as f64;
        }
        losses.push(loss);
        for ((weights, velocity), gradient) in head.iter_mut().zip(&mut velocity).zip(&gradient) {
            for ((w, v), g) in weights.iter_mut().zip(velocity).zip(gradient) {
                *v = momentum * *v + g + decay * *w;
                *w -= rate * *v;
            }
        }
    }
    let expected: Vec<f64> = head.iter().flat_map(|row| row[..n_features].to_vec()).collect();
    let moved: f32 = values(&(&tuned.head.weight - &model.head.weight).abs().max())[0];
    assert!(moved > 1e-3, "the steps must be visible: {moved}");
    for (got, expected) in values(&tuned.head.weight).iter().zip(expected) {
        assert!((f64::from(*got) - expected).abs() < 1e-6, "{got} is not {expected}");
    }
    for (got, row) in values(&tuned.head.bias).iter().zip(&head) {
        assert!((f64::from(*got) - row[n_features]).abs() < 1e-6);
    }
    for (epoch, loss) in tuned.history[0].epochs.iter().zip(losses) {
        assert!((epoch.loss.expect("loss") - loss).abs() < 1e-5, "{epoch:?}: {loss}");
    }
}

#[test]
fn frozen_stages_stay_as_they_are() {
    let model = model(2);
    let n_frozen = 5;
    for batch_norm in [BatchNorm::Trained, BatchNorm::Recalibrated] {
        let config = FineTune { n_frozen_stages: n_frozen, batch_norm, ..short() };
        let tuned = tune(&model, 4, &config).expect("tuned");
        for (before, after) in model.network.parameters.iter().zip(tuned.network.parameters.iter())
        {
            let same = values(&before.tensor) == values(&after.tensor);
            assert_eq!(same, before.stage < n_frozen, "{batch_norm:?} {}", before.name);
        }
    }
}

#[test]
fn batch_norm_does_as_told() {
    let model = model(2);
    let statistics = |model: &Model| -> Vec<Vec<f32>> {
        Trainable::new(model, &FineTune::default()).statistics.iter().map(values).collect()
    };
    let tuned = |batch_norm, n_epochs| {
        tune(&model, 8, &FineTune { batch_norm, n_epochs, ..short() }).expect("tuned")
    };
    let before = statistics(&model);
    assert_eq!(statistics(&tuned(BatchNorm::Frozen, 1)), before);
    // Estimated before the training, then kept.
    let recalibrated = statistics(&tuned(BatchNorm::Recalibrated, 0));
    assert_ne!(recalibrated, before);
    assert_eq!(statistics(&tuned(BatchNorm::Recalibrated, 1)), recalibrated);
    assert_ne!(statistics(&tuned(BatchNorm::Trained, 1)), before);
}

/// Whatever is asked of BatchNorm, a network without any is tuned at its own rates, from video after a probe.
#[test]
fn a_network_without_batch_norm_is_tuned_at_its_own_rates() {
    let mut model = model_of(Some("swin3d_t"), 2);
    let [video, random] = model.network.spec().learning_rates;
    let tuned = |model: &Model, batch_norm| {
        let tuned = tune(model, 4, &FineTune { batch_norm, ..short() }).expect("tuned");
        let config = tuned.history.last().expect("a record").config.clone();
        let rate = config["learning_rate"].as_f64().expect("a number");
        (tuned, rate, config["head"].as_str().expect("a name").to_owned())
    };
    let (first, rate, head) = tuned(&model, BatchNorm::Auto);
    assert_eq!((rate, head.as_str()), (random, "random"));
    assert_ne!(bits(&first), bits(&model));
    for batch_norm in [BatchNorm::Frozen, BatchNorm::Recalibrated] {
        assert_eq!(bits(&tuned(&model, batch_norm).0), bits(&first));
    }
    let (_, rate, head) = tuned(&first, BatchNorm::Auto);
    assert_eq!((rate, head.as_str()), (random, "keep"));

    model.origin = Origin::Video { checkpoint: String::new(), sha256: String::new() };
    let (second, rate, head) = tuned(&model, BatchNorm::Auto);
    assert_eq!((rate, head.as_str()), (video, "probe"));
    let (_, rate, head) = tuned(&second, BatchNorm::Auto);
    assert_eq!((rate, head.as_str()), (video, "keep"));
    let whole = FineTune { n_epochs: 16, ..short() };
    let suited = whole.suited_to(&model.network, true, &Monitor::silent());
    assert_eq!(suited.head, HeadStart::Probe);
}

/// Statistics of one batch are what that batch is normalised by, up to the n / (n - 1) of the unbiased variance; those
/// of two batches are their mean.
#[test]
fn recalibrated_statistics_are_means_over_the_batches() {
    let (voxels, labels) = shells(8, 2);
    let volume = volume(&voxels);
    let recalibrated = |indices: &[usize]| {
        let model = model(2);
        let mut monitor = Monitor::silent();
        let mut journal = Journal::new(&mut monitor, 1000);
        let passes = Passes { volume: &volume, labels: &labels, batch_size: 4 };
        passes.recalibrate(&model, indices, 0, &mut journal).expect("recalibrated");
        model
    };
    let [first, second] = [[0, 1, 2, 3], [4, 5, 6, 7]];
    let (a, b) = (recalibrated(&first), recalibrated(&second));
    let both = recalibrated(&[first, second].concat());
    let statistics = |model| Trainable::new(model, &FineTune::default()).statistics;
    for ((a, b), both) in statistics(&a).iter().zip(statistics(&b)).zip(statistics(&both)) {
        let difference = ((a + &b) / 2.0 - &both).abs().max().double_value(&[]);
        assert!(difference <= 1e-5 * both.abs().max().double_value(&[]), "{difference}");
        assert!((a - &b).abs().max().double_value(&[]) > 0.0);
    }
    let input = a.prepare(&volume, &first).expect("input");
    // The first stage's batches have 4 * 8 * 8 * 8 values a channel.
    let stage = &a.network.stages[0].forward;
    let pass = |mode| Pass::of(&input, mode).expect("pass");
    let running = stage(&input, pass(BatchNormMode::Running)).expect("running");
    let batch = stage(&input, pass(BatchNormMode::Batch)).expect("batch");
    let difference = (running - &batch).abs().max().double_value(&[]);
    assert!(difference < 1e-3 * batch.abs().max().double_value(&[]), "{difference}");
}

/// What the probe sees: first the subtomograms as they are, then turned and mirrored.
#[test]
fn features_of_mirror_images_are_those_of_mirrored_voxels() {
    let model = model(2);
    let (voxels, labels) = shells(3, 2);
    // Turned by 180 degrees about x, z and y reversed: rows of x, from the last to the first.
    let turned: Vec<f32> = voxels
        .chunks_exact(N_VOXELS)
        .flat_map(|subtomogram| subtomogram.chunks_exact(EDGE).rev().flatten().copied())
        .collect();
    let volume = volume(&voxels);
    let passes = Passes { volume: &volume, labels: &labels, batch_size: 2 };
    let mut monitor = Monitor::silent();
    let mut journal = Journal::new(&mut monitor, 1000);
    let copies = [[false; 3], [true, true, false]];
    let features = passes.features(&model, &[0, 1, 2], &copies, &mut journal).expect("features");
    let embed = |voxels| model.embed(&super::tests::volume(voxels), &mut Monitor::silent());
    let expected = [embed(&voxels).expect("features"), embed(&turned).expect("features")].concat();
    let scale = expected.iter().fold(0.0f32, |scale, value| scale.max(value.abs()));
    let got = values(&features);
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(&expected) {
        assert!((got - expected).abs() < 1e-5 * scale, "{got} is not {expected}");
    }
}

#[test]
fn subtomograms_without_label_play_no_part() {
    let model = model(2);
    let (voxels, labels) = shells(4, 2);
    let directory = tempfile::tempdir().unwrap();
    let kept = FineTune { checkpoint: Some(directory.path().join("training")), ..short() };
    let expected = fine_tune(&model, &volume(&voxels), &labels, &short(), &mut Monitor::silent());
    // In between, boxes that could not even be read.
    let (mut more, mut more_labels) = (Vec::new(), Vec::new());
    for (subtomogram, label) in voxels.chunks_exact(N_VOXELS).zip(labels) {
        more.extend_from_slice(subtomogram);
        more.extend_from_slice(&[f32::NAN; N_VOXELS]);
        more_labels.extend([label, -1]);
    }
    let got = fine_tune(&model, &volume(&more), &more_labels, &kept, &mut Monitor::silent());
    let (expected, got) = (expected.expect("tuned"), got.expect("tuned"));
    // Which half is shuffled to which place depends on the positions alone, and those keep their order.
    assert_eq!(bits(&expected), bits(&got));
    assert_eq!(got.history[0].n_per_class, [2, 2]);
}

/// 101 to 1: how sure the model is of the class's only example, which it has seen in training.
#[test]
fn a_class_of_one_example_is_learnt_if_classes_are_balanced() {
    let (voxels, mut labels) = shells(202, 2);
    // All of class 0, and one of class 1.
    let rare = 101;
    for (index, label) in labels.iter_mut().enumerate() {
        *label = if *label == 0 || index == rare { *label } else { -1 };
    }
    let rare_one = volume(&voxels[rare * N_VOXELS..][..N_VOXELS]);
    let volume = volume(&voxels);
    let mut start = model(2);
    start.preprocess.n_views = 1;
    let n_stages = start.network.stages.len();
    let sure_of = |balance| {
        let config = FineTune {
            balance,
            n_frozen_stages: n_stages,
            learning_rate: Some(3e-3),
            n_epochs: 4,
            batch_size: 100,
            micro_batch_size: 10,
            validation_fraction: 0.2,
            select_best: false,
            calibration: Calibration { temperature: false, ..Calibration::default() },
            augment: Augment::default(),
            ..FineTune::default()
        };
        let tuned = fine_tune(&start, &volume, &labels, &config, &mut Monitor::silent());
        let tuned = tuned.expect("tuned");
        assert_eq!(tuned.history[0].n_per_class, [101, 1]);
        let split = stratified(&labels, 2, 0.2, config.seed).expect("split");
        assert!(split.training.contains(&rare) && split.validation.len() == 20);
        tuned.classify(&rare_one, &mut Monitor::silent()).expect("scores")[1]
    };
    let [plain, weights, sampling] =
        [Balance::None, Balance::Weights, Balance::Sampling].map(sure_of);
    assert!(plain < 0.4 && weights > 0.5 && sampling > 0.5, "{plain} {weights} {sampling}");
}

#[test]
fn the_best_epoch_is_returned() {
    let (voxels, labels) = shells(16, 2);
    let volume = volume(&voxels);
    let config = FineTune { n_epochs: 4, validation_fraction: 0.5, ..short() };
    let last = FineTune { select_best: false, ..config.clone() };
    // Validation looks at each subtomogram once; classification shall, too.
    let mut start = model(2);
    start.preprocess.n_views = 1;
    let train = |config: &FineTune| {
        let tuned = fine_tune(&start, &volume, &labels, config, &mut Monitor::silent());
        tuned.expect("tuned")
    };
    let (best, last) = (train(&config), train(&last));
    let record = &best.history[0];
    assert_eq!(record.epochs, last.history[0].epochs);
    assert_eq!((record.epochs.len(), record.epochs[0].epoch, record.epochs[0].loss), (5, 0, None));
    // By the rule in the contract: accuracy, then loss, then the earlier.
    let rank = |epoch: &EpochRecord| {
        let accuracy = epoch.validation_accuracy.expect("validated");
        (-accuracy, epoch.validation_loss.expect("validated"), epoch.epoch)
    };
    let mut ranked: Vec<_> = record.epochs.iter().map(rank).collect();
    ranked.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
    assert_eq!(record.selected_epoch, ranked[0].2);
    assert_eq!(last.history[0].selected_epoch, 4);

    // Both models do on the validation subtomograms what their records say.
    let split = stratified(&labels, 2, 0.5, config.seed).expect("split");
    for tuned in [&best, &last] {
        let record = &tuned.history[0];
        let scores = tuned.classify(&volume, &mut Monitor::silent()).expect("scores");
        let right = |index: &&usize| {
            let row = &scores[**index * 2..][..2];
            (row[1] > row[0]) == (labels[**index] == 1)
        };
        let accuracy = split.validation.iter().filter(right).count() as f64 / 8.0;
        let recorded = record.epochs[record.selected_epoch].validation_accuracy;
        assert_eq!(Some(accuracy), recorded, "epoch {}", record.selected_epoch);
    }
}

/// Training with an absurd learning rate ruins what the probe found, and epoch 0 takes part.
#[test]
fn a_training_that_ruins_the_start_returns_the_start() {
    let config = FineTune {
        n_epochs: 1,
        learning_rate: Some(0.02),
        validation_fraction: 0.5,
        batch_norm: BatchNorm::Recalibrated,
        head: HeadStart::Probe,
        ..short()
    };
    let start = tune(&model(2), 16, &FineTune { n_epochs: 0, ..config.clone() }).expect("start");
    let tuned = tune(&model(2), 16, &config).expect("tuned");
    let epochs = &tuned.history[0].epochs;
    assert!(epochs[1].validation_accuracy < epochs[0].validation_accuracy, "{epochs:?}");
    assert_eq!(tuned.history[0].selected_epoch, 0);
    assert_eq!(bits(&tuned), bits(&start));
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
fn progress_is_even_and_ends_at_one() {
    let (voxels, labels) = shells(8, 2);
    let config = FineTune {
        n_epochs: 2,
        validation_fraction: 0.25,
        batch_norm: BatchNorm::Recalibrated,
        head: HeadStart::Probe,
        ..short()
    };
    let mut seen: Vec<Progress> = Vec::new();
    let sink = Sink::default();
    let mut monitor = Monitor::new(
        |progress| {
            seen.push(*progress);
            true
        },
        || false,
        &sink,
    );
    fine_tune(&model(2), &volume(&voxels), &labels, &config, &mut monitor).expect("tuned");
    drop(monitor);
    let mut stages: Vec<Stage> = seen.iter().map(|progress| progress.stage).collect();
    stages.dedup();
    use Stage::{Features, Probe, Recalibrate, Train, Validate};
    let expected = [Recalibrate, Features, Probe, Validate, Train, Validate, Train, Validate];
    assert_eq!(stages, expected);
    assert!(seen.is_sorted_by(|a, b| a.fraction <= b.fraction));
    assert_eq!(seen.last().map(|last| last.fraction), Some(1.0));
    let steps: Vec<_> = seen
        .iter()
        .filter(|progress| progress.stage == Train)
        .map(|progress| (progress.epoch, progress.n_epochs, progress.step, progress.n_steps))
        .collect();
    assert_eq!(steps, [(1, 2, 1, 2), (1, 2, 2, 2), (2, 2, 1, 2), (2, 2, 2, 2)]);
    for progress in &seen {
        let training = progress.epoch > 0;
        assert_eq!(progress.loss.is_finite() && progress.accuracy.is_finite(), training);
    }
    assert!(seen.last().is_some_and(|last| last.validation_accuracy.is_finite()));

    let lines = sink.0.into_inner().unwrap();
    let told = |level, text: &str| lines.iter().any(|(l, line)| *l == level && line.contains(text));
    use log::Level::{Info, Warn};
    assert!(told(Info, "BatchNorm Recalibrated, head Probe"), "{lines:?}");
    assert!(told(Info, "probe: penalty"), "{lines:?}");
    assert!(told(Info, "epoch 2 of 2: loss"), "{lines:?}");
    assert!(told(Info, "returning epoch"), "{lines:?}");
    assert!(told(Warn, "only 2 subtomograms for validation"), "{lines:?}");
}

#[test]
fn labels_that_teach_little_are_warned_of() {
    let model = model(3);
    let sink = Sink::default();
    let monitor = Monitor::new(|_| true, || false, &sink);
    let labels = [vec![0; 20], vec![1; 2]].concat();
    let split = stratified(&labels, 3, 0.0, 0).expect("split");
    tell_choices(&model, &short(), &split, &monitor);
    drop(monitor);
    let lines = sink.0.into_inner().unwrap();
    let warnings: Vec<_> = lines.iter().filter(|(level, _)| *level == log::Level::Warn).collect();
    assert_eq!(warnings.len(), 2, "{lines:?}");
    assert!(warnings[0].1.starts_with("class \"class 2\" has no labelled subtomogram"));
    assert!(warnings[1].1.starts_with("the largest class has 20 labelled"));
}

#[test]
fn the_host_can_stop_it_at_every_batch() {
    let (voxels, labels) = shells(4, 2);
    let config = FineTune { batch_size: 2, ..short() };
    let n_reports = 2;
    for stop_at in 0..n_reports {
        let n_seen = Cell::new(0);
        let mut monitor = Monitor::new(
            |_| {
                n_seen.set(n_seen.get() + 1);
                n_seen.get() <= stop_at
            },
            || false,
            log_nothing(),
        );
        let stopped = fine_tune(&model(2), &volume(&voxels), &labels, &config, &mut monitor);
        assert_eq!(stopped.err().expect("stopped").kind(), ErrorKind::Cancelled);
        drop(monitor);
        assert_eq!(n_seen.get(), stop_at + 1);
    }
}

/// Four standard errors for what is counted.
#[test]
fn dropout_silences_features_and_strengthens_the_rest() {
    let mut model = model(2);
    let mut draw = |dropout, seed| {
        model.dropout = dropout;
        Batch::draw_dropout(&model, 8, &mut epoch_generator(seed, Purpose::Dropout, 1)).unwrap()
    };
    assert!(draw(0.0, 0).is_none());
    let factors = draw(0.2, 0).unwrap();
    assert_eq!(factors.size(), [8, 1024]);
    let factors = values(&factors);
    let n = factors.len() as f64;
    let n_silent = factors.iter().filter(|factor| **factor == 0.0).count() as f64;
    assert!((n_silent / n - 0.2).abs() < 4.0 * (0.2 * 0.8 / n).sqrt(), "{n_silent} of {n}");
    assert!(factors.iter().all(|factor| *factor == 0.0 || (factor - 1.25).abs() < 1e-6));
    assert_ne!(values(&draw(0.2, 1).unwrap()), factors);
}

/// Without batch statistics a step does not depend on how it is cut up.
#[test]
fn micro_batches_give_the_gradients_of_the_batch() {
    let model = model(3);
    let config = FineTune {
        batch_norm: BatchNorm::Frozen,
        optimizer: OptimizerKind::Sgd,
        learning_rate: Some(1e-2),
        label_smoothing: 0.1,
        balance: Balance::Weights,
        augment: Augment::of(&[Augmentation::Mirror, Augmentation::Mixup]),
        ..FineTune { batch_size: 5, ..short() }
    };
    let whole = tune(&model, 7, &config).expect("tuned");
    let parts = tune(&model, 7, &FineTune { micro_batch_size: 2, ..config }).expect("tuned");
    for (whole, parts) in whole.network.parameters.iter().zip(parts.network.parameters.iter()) {
        let difference = (&whole.tensor - &parts.tensor).abs().max().double_value(&[]);
        assert!(difference < 1e-5, "{}: {difference}", whole.name);
    }
    let moved = (&whole.head.weight - &model.head.weight).abs().max().double_value(&[]);
    assert!(moved > 1e-4, "{moved}");
}

#[test]
fn a_training_goes_on_from_its_checkpoint_bit_by_bit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("training");
    let (voxels, labels) = shells(9, 3);
    let mut model = model(3);
    model.dropout = 0.1;
    let config = FineTune {
        n_epochs: 4,
        validation_fraction: 0.34,
        augment: Augment::from_bits(255).unwrap(),
        checkpoint: Some(path.clone()),
        ..short()
    };
    let run = |config: &FineTune, stop_after: Option<(usize, usize)>| {
        let mut stop = |progress: &Progress| Some((progress.epoch, progress.step)) != stop_after;
        let mut monitor = Monitor::new(&mut stop, || false, log_nothing());
        fine_tune(&model, &volume(&voxels), &labels, config, &mut monitor)
    };
    let straight = run(&FineTune { checkpoint: None, ..config.clone() }, None).expect("tuned");
    // Stopped in the middle of the third epoch: the checkpoint is that after the second.
    let stopped = run(&config, Some((3, 1))).err().expect("stopped");
    assert_eq!(stopped.kind(), ErrorKind::Cancelled);
    assert!(path.exists());
    let resumed = run(&config, None).expect("resumed");
    assert_eq!(bits(&resumed), bits(&straight));
    assert_eq!(resumed.history, straight.history);
    // Of a training that is over, the result.
    assert_eq!(bits(&run(&config, None).expect("again")), bits(&straight));

    let refused = |config: &FineTune| run(config, None).err().expect("refused");
    let other = refused(&FineTune { seed: 9, ..config.clone() });
    assert_eq!(other.kind(), ErrorKind::ModelMismatch);
    assert!(other.to_string().contains("is of another training"), "{other}");
    std::fs::write(&path, "no checkpoint").unwrap();
    let damaged = refused(&config);
    assert_eq!(damaged.kind(), ErrorKind::Format);
    assert!(damaged.to_string().contains("not a checkpoint of a training"), "{damaged}");
}

/// The stage whose features cross-validate best is kept with its head, and what comes after it is left out.
#[test]
fn a_probe_of_all_stages_keeps_the_best() {
    let (voxels, labels) = shells(24, 3);
    let volume = volume(&voxels);
    let mut start = model(3);
    start.preprocess.n_views = 1;
    let config = FineTune { n_epochs: 0, head: HeadStart::ProbeStages, ..FineTune::default() };
    let tune = |model: &Model, config: &FineTune| {
        fine_tune(model, &volume, &labels, config, &mut Monitor::silent()).expect("tuned")
    };
    let probed = tune(&start, &config);
    let record = probed.history[0].probe.clone().expect("a probe");
    let names: Vec<&str> = record.stages.iter().map(|record| record.stage.as_str()).collect();
    let stages: Vec<&str> = start.network.stages.iter().map(|stage| stage.name).collect();
    assert_eq!(names, stages);
    let best = record.stages.iter().map(|record| record.cross_validated_accuracy);
    assert_eq!(record.cross_validated_accuracy, best.reduce(f64::max));
    let chosen = record.stage.expect("a stage");
    assert_eq!(probed.network.cut_after, Some(chosen.as_str()));

    // By the network that was not cut.
    let all: Vec<usize> = (0..24).collect();
    let input = start.prepare(&volume, &all).expect("input");
    let pass = Pass::of(&input, BatchNormMode::Running).expect("pass");
    let (index, stage) = start.network.stage(&chosen).expect("known");
    assert!(index + 1 < start.network.stages.len(), "the test needs another best stage");
    let output = start.network.through(0..index + 1, &input, pass).expect("output");
    let map = stage.map(&output, pass).expect("map");
    let features = map.mean_dim([2i64, 3, 4].as_slice(), false, None);
    let expected = values(&probed.logits(&features).expect("logits").softmax(1, None));
    let scores = probed.classify(&volume, &mut Monitor::silent()).expect("scores");
    for (got, expected) in scores.iter().zip(&expected) {
        assert!((got - expected).abs() < 1e-4, "{got} is not {expected}");
    }

    // Saved and loaded; trained on, though more stages are to be frozen than there are; explained.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model");
    crate::model_file::save(&probed, &path).expect("saved");
    let loaded = crate::model_file::load(&path, Device::Cpu).expect("loaded");
    assert_eq!(bits(&loaded), bits(&probed));
    assert_eq!(loaded.classify(&volume, &mut Monitor::silent()).expect("scores"), scores);
    let frozen = FineTune { n_frozen_stages: probed.network.stages.len(), ..short() };
    assert_ne!(bits(&tune(&loaded, &frozen)), bits(&loaded));
    let trained = tune(&loaded, &short());
    assert_eq!(trained.network.cut_after, probed.network.cut_after);
    let maps = trained.explain(&volume, &Default::default(), &mut Monitor::silent());
    assert_eq!(maps.expect("maps").len(), voxels.len());
}

#[test]
fn a_probe_of_all_stages_goes_on_from_its_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let config = FineTune {
        n_epochs: 2,
        head: HeadStart::ProbeStages,
        n_frozen_stages: 12,
        checkpoint: Some(directory.path().join("training")),
        ..short()
    };
    let straight = tune(&model(2), 8, &config).expect("tuned");
    let again = tune(&model(2), 8, &config).expect("tuned");
    assert_eq!(bits(&again), bits(&straight));
    assert_eq!(again.history, straight.history);
    assert_eq!(again.network.cut_after, straight.network.cut_after);
}

#[test]
fn patience_ends_a_training_that_does_not_become_better() {
    let (voxels, labels) = shells(12, 2);
    // Nothing can become better at a rate of next to nothing.
    let config = FineTune {
        n_epochs: 9,
        patience: 2,
        validation_fraction: 0.5,
        batch_norm: BatchNorm::Frozen,
        learning_rate: Some(1e-30),
        ..short()
    };
    let mut last = 0.0;
    let mut see = |progress: &Progress| {
        last = progress.fraction;
        true
    };
    let mut monitor = Monitor::new(&mut see, || false, log_nothing());
    let tuned = fine_tune(&model(2), &volume(&voxels), &labels, &config, &mut monitor);
    let history = tuned.expect("tuned").history;
    drop(monitor);
    let epochs: Vec<usize> = history[0].epochs.iter().map(|epoch| epoch.epoch).collect();
    assert_eq!(epochs, [0, 1, 2]);
    assert_eq!(history[0].selected_epoch, 0);
    assert_eq!(last, 1.0);
}

#[test]
fn stages_near_the_input_learn_more_slowly() {
    let model = model(2);
    let config = FineTune { stage_rate_decay: 0.5, n_frozen_stages: 9, ..short() };
    let trainable = Trainable::new(&model, &config);
    // I3D has 12 stages with weights; those of the 10th to the 12th are trained, three layers of two tensors a unit.
    let factors = &trainable.rate_factors;
    assert_eq!(factors.len(), trainable.weights.len());
    assert!(factors.is_sorted());
    assert_eq!((factors[0], factors.last()), (0.125, Some(&1.0)));
    assert_eq!(factors.iter().filter(|factor| **factor == 1.0).count(), 2);
    assert_eq!(trainable.backbone().len(), factors.len() - 2);
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
