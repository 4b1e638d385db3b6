use super::*;
use crate::error::ErrorKind;

/// Numbers of scikit-learn, and the digits that they are about: see `tests/reference/embedding.py`.
pub(crate) fn reference() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../tests/reference/embedding.json")).unwrap()
}

pub(crate) const N_FEATURES: usize = 64;

/// The digits, `[240, 64]`.
pub(crate) fn digits(reference: &serde_json::Value) -> Vec<f32> {
    let rows = reference["points"].as_array().unwrap().iter();
    rows.flat_map(|row| row.as_str().unwrap().bytes().map(|byte| f32::from(byte - b'a'))).collect()
}

pub(crate) fn integers(values: &serde_json::Value) -> Vec<i32> {
    values.as_array().unwrap().iter().map(|value| value.as_i64().unwrap() as i32).collect()
}

fn assert_agrees(found: &Separation, expected: &serde_json::Value) {
    let expect = |key: &str| expected[key].as_f64().unwrap();
    assert!((found.silhouette - expect("silhouette")).abs() < 1e-9, "{found:?}, {expected}");
    assert!((found.knn_accuracy - expect("knn_accuracy")).abs() < 1e-9, "{found:?}, {expected}");
}

#[test]
fn separation_is_that_of_scikit_learn() {
    let reference = reference();
    let (points, labels) = (digits(&reference), integers(&reference["labels"]));
    for expected in reference["separation"].as_array().unwrap() {
        let k = expected["n_neighbors"].as_u64().unwrap() as usize;
        let found = separation(&points, N_FEATURES, &labels, k, Device::Cpu).unwrap();
        assert_eq!(found.n_evaluated, labels.len());
        assert_agrees(&found, expected);
    }
    // A class of one member, and labels with gaps.
    let odd = integers(&reference["odd_labels"]);
    let found = separation(&points, N_FEATURES, &odd, 5, Device::Cpu).unwrap();
    assert_agrees(&found, &reference["odd_separation"]);
}

#[test]
fn what_has_no_label_is_left_out() {
    let reference = reference();
    let (mut points, mut labels) = (digits(&reference), integers(&reference["labels"]));
    points.splice(0..0, (0..3 * N_FEATURES).map(|i| i as f32));
    labels.splice(0..0, [-1; 3]);
    let found = separation(&points, N_FEATURES, &labels, 5, Device::Cpu).unwrap();
    assert_eq!(found.n_evaluated, 240);
    assert_agrees(&found, &reference["separation"][1]);
}

#[test]
fn silhouettes_need_classes() {
    let points = [0.0, 1.0, 5.0, 5.0];
    let of = |labels: [i32; 4]| separation(&points, 1, &labels, 1, Device::Cpu).unwrap();
    assert!(of([3; 4]).silhouette.is_nan() && of([0, 1, 2, 3]).silhouette.is_nan());
    assert_eq!((of([3; 4]).knn_accuracy, of([0, 1, 2, 3]).knn_accuracy), (1.0, 0.0));
    // By hand: a = 1, b = 5 and a = 1, b = 4; then 0 and 0 for two equal points with b = 4.5.
    let expected = (4.0 / 5.0 + 3.0 / 4.0 + 1.0 + 1.0) / 4.0;
    assert!((of([0, 0, 1, 1]).silhouette - expected).abs() < 1e-12);
    // All equal: nothing is nearer than anything else.
    let equal = separation(&[2.0; 4], 1, &[0, 0, 1, 1], 1, Device::Cpu).unwrap();
    assert_eq!(equal.silhouette, 0.0);
}

#[test]
fn what_makes_no_sense_is_named() {
    let message = |values: &[f32], n_features: usize, labels: &[i32], k: usize| {
        let error = separation(values, n_features, labels, k, Device::Cpu).unwrap_err();
        (error.kind(), error.to_string())
    };
    for (values, n_features, labels, k, word) in [
        (&[0.0, 1.0, 2.0][..], 1, &[0, 1][..], 1, "3 numbers for 2 labels"),
        (&[0.0, 1.0], 0, &[0, 1], 1, "n_features 0"),
        (&[], 1, &[], 1, "no rows"),
        (&[0.0, 1.0], usize::MAX, &[0, 1], 1, "features"),
        (&[0.0, 1.0], 1, &[0, -2], 1, "label 1 is -2"),
        (&[0.0, 1.0], 1, &[0, 1], 0, "n_neighbors is 0"),
        (&[0.0, 1.0, 2.0], 1, &[0, 1, -1], 2, "from 1 to 1"),
    ] {
        let (kind, message) = message(values, n_features, labels, k);
        assert!(kind == ErrorKind::InvalidArgument && message.contains(word), "{message}");
    }
    let (kind, message) = message(&[0.0, 1.0, 2.0, f32::NAN], 2, &[0, -1], 1);
    assert!(
        kind == ErrorKind::NonFinite && message.contains("embedding 1: feature 1"),
        "{message}"
    );
}
