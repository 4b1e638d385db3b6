use std::sync::Mutex;

use tch::{Device, Tensor};

use super::{super::split::stratified, *};
use crate::{
    model::ModelConfig,
    monitor::log_nothing,
    preprocess::Preprocess,
    train::{FineTune, fine_tune},
};

const EDGE: usize = 8;
const N_CLASSES: usize = 3;

/// A model of random numbers whose head is made steep enough to be sure of something.
fn model() -> Model {
    let config = ModelConfig {
        backbone: None,
        class_names: (0..N_CLASSES).map(|class| format!("class {class}")).collect(),
        preprocess: Preprocess { n_views: 4, ..Preprocess::default() },
        seed: 5,
        dropout: 0.0,
    };
    let mut model = Model::random(config, Device::Cpu).expect("model");
    model.head.weight = &model.head.weight * 40.0;
    model
}

/// Boxes of noise of a texture of their own.
fn volume(n: usize) -> Volume<'static> {
    let n_voxels = EDGE * EDGE * EDGE;
    let voxels: Vec<f32> = (0..n * n_voxels)
        .map(|i| {
            let period = 3 + i / n_voxels * 7 % 31;
            ((i * i * 31 + i * 7919) % 1009) as f32 + 500.0 * (i % period) as f32
        })
        .collect();
    let edge = EDGE as i64;
    Volume::from_slice(&voxels, [n as i64, edge, edge, edge]).expect("volume")
}

/// What the model says, but for every fifth another class: a model that is right four times in five.
fn mostly_right(model: &Model, volume: &Volume<'_>) -> Vec<i32> {
    let scores = model.classify(volume, &mut Monitor::silent()).expect("scores");
    let classes = scores.chunks(N_CLASSES).map(first_highest).enumerate();
    classes.map(|(i, class)| ((class + usize::from(i % 5 == 0)) % N_CLASSES) as i32).collect()
}

const BOTH: Reject = Reject { probability: true, distance: true };

fn config(reject: Reject) -> Calibration {
    Calibration { reject, ..Calibration::default() }
}

fn calibrated(model: &Model, volume: &Volume<'_>, labels: &[i32], config: Calibration) -> Model {
    calibrate(model, volume, labels, &config, &mut Monitor::silent()).expect("calibrated")
}

/// The log loss of p^(1/t) over its sum, in double precision.
fn log_loss(probabilities: &[f32], labels: &[i32], temperature: f64) -> f64 {
    let rows = probabilities.chunks(N_CLASSES).zip(labels).filter(|(_, label)| **label >= 0);
    let losses: Vec<f64> = rows
        .map(|(row, &label)| {
            let powers: Vec<f64> =
                row.iter().map(|&p| f64::from(p).powf(1.0 / temperature)).collect();
            -(powers[label as usize] / powers.iter().sum::<f64>()).ln()
        })
        .collect();
    losses.iter().sum::<f64>() / losses.len() as f64
}

#[test]
fn the_temperature_is_the_best_for_what_classify_returns() {
    let (model, volume) = (model(), volume(25));
    let mut labels = mostly_right(&model, &volume);
    labels[3] = -1;
    let raw = model.classify(&volume, &mut Monitor::silent()).expect("scores");
    let calibrated = calibrated(&model, &volume, &labels, Calibration::default());
    let temperature = calibrated.confidence.temperature;
    assert!((temperature - 1.0).abs() > 0.05, "{temperature}: nothing to see");
    let best = log_loss(&raw, &labels, temperature);
    for other in [0.98, 1.02] {
        assert!(best < log_loss(&raw, &labels, other * temperature), "{temperature}");
    }
    let record = calibrated.confidence.calibration.as_ref().expect("a record");
    assert_eq!(record.n_subtomograms, 24);
    assert!((record.log_loss[0] - log_loss(&raw, &labels, 1.0)).abs() < 1e-5);
    assert!((record.log_loss[1] - best).abs() < 1e-5);
    let scores = calibrated.classify(&volume, &mut Monitor::silent()).expect("scores");
    let metrics = evaluate(&scores, &labels, N_CLASSES).expect("metrics");
    assert!((metrics.log_loss - best).abs() < 1e-5);
    assert!(
        (metrics.expected_calibration_error - record.expected_calibration_error[1]).abs() < 1e-5
    );
    assert!((metrics.accuracy - record.accuracy).abs() < 1e-12);
    // Calibrated again, it is no different, and with nothing asked for it is the network's own.
    let again = super::calibrate(
        &calibrated,
        &volume,
        &labels,
        &Calibration::default(),
        &mut Monitor::silent(),
    );
    assert_eq!(again.expect("calibrated").confidence, calibrated.confidence);
    let nothing = Calibration { temperature: false, ..config(Reject::default()) };
    let undone = super::calibrate(&calibrated, &volume, &labels, &nothing, &mut Monitor::silent());
    assert_eq!(undone.expect("uncalibrated").confidence, Confidence::default());
    assert_eq!(model.confidence, Confidence::default(), "the model that was given stays");
}

#[test]
fn thresholds_do_what_they_say() {
    let (mut model, volume) = (model(), volume(25));
    let labels = mostly_right(&model, &volume);
    let embeddings = model.embed(&volume, &mut Monitor::silent()).expect("embeddings");
    let embeddings = Tensor::from_slice(&embeddings).reshape([25, -1]);
    let classes: Vec<usize> = labels.iter().map(|&label| label as usize).collect();
    model.mahalanobis = Mahalanobis::fit(&embeddings, &classes).expect("finite");
    for (precision, coverage) in
        [(None, None), (None, Some(0.5)), (Some(0.85), None), (Some(0.85), Some(0.1))]
    {
        let wish = Calibration { precision, coverage, ..config(BOTH) };
        let calibrated = calibrated(&model, &volume, &labels, wish);
        let confidence = &calibrated.confidence;
        for (reject, threshold) in [
            (Reject { probability: true, distance: false }, confidence.probability),
            (Reject { probability: false, distance: true }, confidence.distance),
        ] {
            let threshold = threshold.expect("a threshold");
            let predictions =
                calibrated.predict(&volume, reject, false, &mut Monitor::silent()).expect("labels");
            let accepted: Vec<usize> = (0..25).filter(|&i| predictions.labels[i] >= 0).collect();
            let correct = accepted.iter().filter(|&&i| predictions.labels[i] == labels[i]);
            assert_eq!(accepted.len(), threshold.n_accepted, "{reject:?} {wish:?}");
            assert_eq!(correct.count(), threshold.n_correct, "{reject:?} {wish:?}");
            if let Some(precision) = precision {
                assert!(threshold.precision() >= precision);
            }
            let wanted = coverage.or((precision.is_none()).then_some(0.95)).unwrap_or(0.0);
            assert!(threshold.coverage() >= wanted, "{threshold:?}");
        }
    }
}

/// What fine-tuning learns on its validation subtomograms is what the call learns on the same, and class means come from
/// the others.
#[test]
fn fine_tuning_calibrates_on_what_it_held_out() {
    let (model, volume) = (model(), volume(24));
    let labels: Vec<i32> = (0..24).map(|i| i % N_CLASSES as i32).collect();
    let options = FineTune {
        n_epochs: 1,
        batch_size: 4,
        validation_fraction: 0.5,
        calibration: config(BOTH),
        ..FineTune::default()
    };
    let tuned = fine_tune(&model, &volume, &labels, &options, &mut Monitor::silent());
    let tuned = tuned.expect("tuned");
    let record = tuned.confidence.calibration.as_ref().expect("a record");
    assert_eq!(record.n_subtomograms, 12);
    let means = &tuned.mahalanobis.as_ref().expect("class means").record;
    assert_eq!((means.n_subtomograms, &means.classes[..]), (12, &[0, 1, 2][..]));

    let split = stratified(&labels, N_CLASSES, 0.5, options.seed).expect("a split");
    let held_out: Vec<i32> =
        (0..24).map(|i| if split.validation.contains(&i) { labels[i] } else { -1 }).collect();
    let again = calibrated(&tuned, &volume, &held_out, config(BOTH));
    let (found, expected) = (&tuned.confidence, &again.confidence);
    assert!((found.temperature / expected.temperature - 1.0).abs() < 1e-4);
    for (found, expected) in
        [(found.probability, expected.probability), (found.distance, expected.distance)]
    {
        let (found, expected) = (found.expect("found"), expected.expect("expected"));
        assert!((found.value / expected.value - 1.0).abs() < 1e-3, "{found:?} {expected:?}");
    }
    // The weights are those of a training without calibration.
    let without = Calibration { temperature: false, ..config(Reject::default()) };
    let without = FineTune { calibration: without, ..options };
    let plain = fine_tune(&model, &volume, &labels, &without, &mut Monitor::silent());
    let plain = plain.expect("tuned");
    assert_eq!((&plain.confidence, plain.mahalanobis.is_none()), (&Confidence::default(), true));
    assert_eq!(plain.head.weight, tuned.head.weight);
    // Tuned on, it forgets: other weights need another temperature.
    let options = FineTune { n_epochs: 0, validation_fraction: 0.0, ..FineTune::default() };
    let further = fine_tune(&tuned, &volume, &labels, &options, &mut Monitor::silent());
    let further = further.expect("tuned");
    assert_eq!(further.confidence, Confidence::default());
    assert!(further.mahalanobis.is_none());
}

#[test]
fn progress_counts_the_calibration() {
    let mut fractions = Vec::new();
    let mut monitor = Monitor::new(
        |progress| {
            fractions.push((progress.stage, progress.fraction));
            true
        },
        || false,
        log_nothing(),
    );
    let (model, volume) = (model(), volume(12));
    let labels: Vec<i32> = (0..12).map(|i| i % N_CLASSES as i32).collect();
    let options = FineTune {
        n_epochs: 1,
        validation_fraction: 0.25,
        calibration: config(BOTH),
        ..FineTune::default()
    };
    fine_tune(&model, &volume, &labels, &options, &mut monitor).expect("tuned");
    drop(monitor);
    let before_last = fractions[fractions.len() - 2];
    assert_eq!(
        (before_last.0, fractions[fractions.len() - 1]),
        (Stage::Embed, (Stage::Validate, 1.0))
    );
    assert!(before_last.1 < 1.0);
}

#[test]
fn what_cannot_be_had_is_refused_or_told() {
    let (model, volume) = (model(), volume(10));
    let labels = mostly_right(&model, &volume);
    let refused = |model: &Model, labels: &[i32], config: Calibration, words: &[&str]| {
        let error = calibrate(model, &volume, labels, &config, &mut Monitor::silent());
        let error = error.err().expect("must be refused").to_string();
        for word in words {
            assert!(error.contains(word), "{error}: no word of {word}");
        }
    };
    let default = Calibration::default();
    refused(&model, &[-1; 10], default, &["no subtomogram has a label"]);
    refused(&model, &labels[..9], default, &["9 labels for 10 subtomograms"]);
    refused(&model, &[3; 10], default, &["label 0 is 3;"]);
    refused(&model, &labels, config(BOTH), &["class means", "CINETOMO_REJECT_DISTANCE"]);
    let wish = |precision, coverage| Calibration { precision, coverage, ..default };
    refused(&model, &labels, wish(Some(0.0), None), &["precision is 0;"]);
    refused(&model, &labels, wish(None, Some(1.1)), &["coverage is 1.1;"]);
    let all_wrong: Vec<i32> = mostly_right(&model, &volume);
    let all_wrong: Vec<i32> = all_wrong.iter().map(|label| (label + 1) % 3).collect();
    refused(
        &model,
        &all_wrong,
        wish(Some(0.99), Some(0.9)),
        &["precision of 0.99 at a coverage of 0.9 is out of reach", "the nearest on these 10"],
    );

    // After a training it is a line in the log.
    struct Lines(Mutex<Vec<String>>);
    impl log::Log for Lines {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            self.0.lock().expect("lines").push(record.args().to_string());
        }
        fn flush(&self) {}
    }
    let lines = Lines(Mutex::default());
    let mut monitor = Monitor::new(|_| true, || false, &lines);
    let labels: Vec<i32> = (0..10).map(|i| i % 3).collect();
    let options = FineTune {
        n_epochs: 0,
        validation_fraction: 0.5,
        calibration: wish(Some(1.0), Some(1.0)),
        ..FineTune::default()
    };
    let tuned = fine_tune(&model, &volume, &labels, &options, &mut monitor).expect("tuned");
    drop(monitor);
    assert_eq!(tuned.confidence.probability, None);
    let lines = lines.0.into_inner().expect("lines");
    let told = |words: &str| lines.iter().any(|line| line.contains(words));
    assert!(told("no threshold: a precision of 1 at a coverage of 1 is out of reach"), "{lines:?}");
    assert!(told("rough guesses"), "{lines:?}");
}
