use tch::Device;

use super::*;
use crate::{
    confidence::Mahalanobis, error::ErrorKind, model::ModelConfig, preprocess::Preprocess,
};

const N: usize = 5;

/// A model of random numbers whose head is made steep enough to be sure of something.
fn model(n_views: i32) -> Model {
    let config = ModelConfig {
        backbone: None,
        class_names: ["ribosome", "proteasome", "nothing"].map(str::to_owned).to_vec(),
        preprocess: Preprocess { n_views, ..Preprocess::default() },
        seed: 3,
        dropout: 0.0,
    };
    let mut model = Model::random(config, Device::Cpu).unwrap();
    model.head.weight = &model.head.weight * 40.0;
    model
}

/// Boxes of 8 voxels an edge, all different.
fn volume() -> Volume<'static> {
    let voxels: Vec<f32> =
        (0..N * 512).map(|i| ((i * i * 31 + i * 7919 + i / 512 * 101) % 1009) as f32).collect();
    Volume::from_slice(&voxels, [N as i64, 8, 8, 8]).unwrap()
}

fn classify(model: &Model) -> Vec<f32> {
    model.classify(&volume(), &mut Monitor::silent()).unwrap()
}

fn predict(model: &Model, reject: Reject, with_distances: bool) -> Result<Predictions> {
    model.predict(&volume(), reject, with_distances, &mut Monitor::silent())
}

const NOTHING: Reject = Reject { probability: false, distance: false };
const BOTH: Reject = Reject { probability: true, distance: true };

fn threshold(value: f64) -> Option<Threshold> {
    Some(Threshold { value, n_subtomograms: 9, n_accepted: 9, n_correct: 9 })
}

/// Class means and a covariance from the boxes themselves.
fn with_class_means(mut model: Model) -> Model {
    let embeddings = model.embed(&volume(), &mut Monitor::silent()).unwrap();
    let embeddings = Tensor::from_slice(&embeddings).reshape([N as i64, -1]);
    model.mahalanobis = Mahalanobis::fit(&embeddings, &[0, 1, 0, 1, 1]).unwrap();
    model
}

/// softmax(log p / t) is p^(1/t) over its sum; with one view that is Guo's softmax(logits / t).
#[test]
fn the_temperature_is_applied_to_the_mean_of_the_views() {
    for n_views in [1, 8] {
        let mut model = model(n_views);
        let before = classify(&model);
        assert!(before.iter().any(|&p| p > 0.45), "{before:?}");
        model.confidence.temperature = 2.5;
        let after = classify(&model);
        for (before, after) in before.chunks(3).zip(after.chunks(3)) {
            assert_eq!(first_highest(before), first_highest(after));
            let powers: Vec<f64> = before.iter().map(|&p| f64::from(p).powf(0.4)).collect();
            let sum: f64 = powers.iter().sum();
            for (power, &after) in powers.iter().zip(after) {
                assert!((power / sum - f64::from(after)).abs() < 1e-5, "{power} {sum} {after}");
            }
        }
    }
}

/// Logits so far apart that single precision has no probability for the others.
#[test]
fn a_temperature_reaches_probabilities_that_were_0() {
    let mut model = model(1);
    model.head.weight = &model.head.weight * 0.0;
    model.head.bias = Tensor::from_slice(&[0.0f32, -200.0, -400.0]);
    assert_eq!(classify(&model)[..3], [1.0, 0.0, 0.0]);
    model.confidence.temperature = 20.0;
    let expected = [1.0, (-10f32).exp(), (-20f32).exp()];
    for (got, expected) in classify(&model).iter().zip(expected) {
        assert!((got / expected - 1.0).abs() < 1e-3, "{got} is not {expected}");
    }
}

#[test]
fn predictions_are_the_classification_and_its_classes() {
    let model = with_class_means(model(4));
    let predictions = predict(&model, NOTHING, false).unwrap();
    assert_eq!(predictions.probabilities, classify(&model));
    let classes: Vec<i32> =
        predictions.probabilities.chunks(3).map(|row| first_highest(row) as i32).collect();
    assert_eq!(predictions.labels, classes);
    assert!(predictions.distances.is_empty());
    let with_distances = predict(&model, NOTHING, true).unwrap();
    assert_eq!(with_distances.labels, classes);
    assert_eq!(with_distances.distances.len(), N);
}

#[test]
fn with_one_view_distances_are_those_of_the_embeddings() {
    let model = with_class_means(model(1));
    let embeddings = model.embed(&volume(), &mut Monitor::silent()).unwrap();
    let embeddings = Tensor::from_slice(&embeddings).reshape([N as i64, -1]);
    let expected = model.mahalanobis.as_ref().unwrap().distances(&embeddings).unwrap();
    let expected = Vec::<f32>::try_from(expected).unwrap();
    let got = predict(&model, NOTHING, true).unwrap().distances;
    for (got, expected) in got.iter().zip(expected) {
        assert!((got / expected - 1.0).abs() < 1e-4, "{got} is not {expected}");
    }
    // A mirrored box is not where the means are from, and averaging moves towards it.
    let averaged = Model { preprocess: Preprocess::default(), ..model };
    assert_ne!(predict(&averaged, NOTHING, true).unwrap().distances, got);
}

#[test]
fn each_rule_rejects_by_its_own_threshold() {
    let mut model = with_class_means(model(1));
    let all = predict(&model, NOTHING, true).unwrap();
    let mut surest: Vec<f32> =
        all.probabilities.chunks(3).map(|row| row[first_highest(row)]).collect();
    let mut nearest = all.distances.clone();
    let (sure, near) = (surest.clone(), nearest.clone());
    surest.sort_by(|a, b| b.total_cmp(a));
    nearest.sort_by(f32::total_cmp);
    // The value of the third is the last that is accepted.
    model.confidence.probability = threshold(surest[2].into());
    model.confidence.distance = threshold(nearest[2].into());
    let labels = |probability, distance| {
        predict(&model, Reject { probability, distance }, false).unwrap().labels
    };
    let expected = |accepts: &dyn Fn(usize) -> bool| -> Vec<i32> {
        (0..N).map(|index| if accepts(index) { all.labels[index] } else { -1 }).collect()
    };
    let by_probability = expected(&|index| sure[index] >= surest[2]);
    let by_distance = expected(&|index| near[index] <= nearest[2]);
    assert_eq!(by_probability.iter().filter(|label| **label == -1).count(), 2);
    assert_eq!(labels(true, false), by_probability);
    assert_eq!(labels(false, true), by_distance);
    let both = expected(&|index| by_probability[index] >= 0 && by_distance[index] >= 0);
    assert_eq!(labels(true, true), both);
    assert_eq!(labels(false, false), all.labels);
}

#[test]
fn what_the_model_cannot_tell_is_refused_with_the_way_out() {
    let refused = |model: &Model, reject, with_distances, words: &[&str]| {
        let error = predict(model, reject, with_distances).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        for word in words {
            assert!(error.to_string().contains(word), "{error}");
        }
    };
    let mut model = model(1);
    let way_out = ["cinetomo_model_calibrate", "validation_fraction"];
    refused(&model, BOTH, false, &[&["threshold on probability"][..], &way_out].concat());
    refused(&model, NOTHING, true, &["class means", "CINETOMO_REJECT_DISTANCE"]);
    model.confidence.probability = threshold(0.5);
    refused(&model, BOTH, false, &[&["threshold on distance"][..], &way_out].concat());
    model.confidence.distance = threshold(5.0);
    refused(&model, BOTH, false, &["class means"]);
}
