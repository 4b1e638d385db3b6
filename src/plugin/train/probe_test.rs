use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use super::*;

/// tests/reference/probe.py, made by scikit-learn.
#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
    cross_validation: CrossValidation,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    n_features: i64,
    n_classes: usize,
    features: Vec<f64>,
    classes: Vec<usize>,
    penalty: f64,
    weight: Vec<f64>,
    bias: Vec<f64>,
    probabilities: Vec<f64>,
}

#[derive(Deserialize)]
struct CrossValidation {
    n_features: i64,
    n_classes: usize,
    features: Vec<f64>,
    classes: Vec<usize>,
    folds: Vec<usize>,
    strength: f64,
    accuracy: f64,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../../../tests/reference/probe.json")).expect("reference")
}

fn rows(values: &[f64], n_columns: i64) -> Tensor {
    Tensor::from_slice(values).reshape([-1, n_columns])
}

fn largest_difference(got: &Tensor, expected: &[f64]) -> f64 {
    let expected = Tensor::from_slice(expected).reshape(got.size());
    (got.to_kind(Kind::Double) - expected).abs().max().double_value(&[])
}

#[test]
fn agrees_with_scikit_learn() {
    let cases = reference().cases;
    assert_eq!(cases.len(), 9);
    for case in cases {
        let features = rows(&case.features, case.n_features);
        let data = Data::new(&features, &case.classes, case.n_classes).expect("data");
        let head = data.fit(case.penalty).expect("fit");
        let size = case.weight.iter().chain(&case.bias).fold(0.0f64, |m, v| m.max(v.abs()));
        for (what, got, expected) in
            [("weight", &head.weight, &case.weight), ("bias", &head.bias, &case.bias)]
        {
            let difference = largest_difference(got, expected);
            assert!(difference < 1e-5 * size, "{}: {what} off by {difference}", case.name);
        }
        let logits = features.matmul(&head.weight.to_kind(Kind::Double).transpose(0, 1))
            + head.bias.to_kind(Kind::Double);
        let probabilities = logits.softmax(1, Kind::Double);
        let difference = largest_difference(&probabilities, &case.probabilities);
        assert!(difference < 1e-4, "{}: probabilities off by {difference}", case.name);
    }
}

#[test]
fn cross_validation_agrees_with_scikit_learn() {
    let case = reference().cross_validation;
    let features = rows(&case.features, case.n_features);
    let data = Data::new(&features, &case.classes, case.n_classes).expect("data");
    let mut told = Vec::new();
    let Trial { strength, accuracy, .. } = data
        .cross_validate(&case.folds, 4, &mut |done| {
            told.push(done);
            Ok(())
        })
        .expect("cross-validation");
    assert_eq!((strength, accuracy), (case.strength, case.accuracy));
    assert!(told.is_sorted() && told.len() == 4 * STRENGTHS.len() && told[told.len() - 1] < 1.0);
}

/// Classes 0, 2 and 3 of 5 around points far apart; the classes that `counts` leaves out have no example.
fn blobs(counts: [usize; 5], n_features: usize) -> (Tensor, Vec<usize>) {
    let mut generator = ChaCha8Rng::seed_from_u64(5);
    let classes: Vec<usize> =
        counts.iter().enumerate().flat_map(|(class, count)| vec![class; *count]).collect();
    let values: Vec<f32> = classes
        .iter()
        .flat_map(|class| (0..n_features).map(move |feature| (class, feature)))
        .map(|(class, feature)| {
            let centre = if feature % 5 == *class { 2.0 } else { 0.0 };
            centre + generator.random::<f32>()
        })
        .collect();
    (Tensor::from_slice(&values).reshape([-1, n_features as i64]), classes)
}

#[test]
fn classes_without_examples_are_never_predicted() {
    let (features, classes) = blobs([6, 0, 6, 6, 0], 10);
    let Probe { head, accuracies, .. } =
        fit(&[features.shallow_clone()], &classes, 5, 0, &mut |_| Ok(())).expect("fit");
    assert_eq!(accuracies, [1.0]);
    let predicted = head.forward(&features).expect("logits").argmax(1, false);
    let expected: Vec<i64> = classes.iter().map(|class| *class as i64).collect();
    assert_eq!(Vec::<i64>::try_from(predicted).expect("classes"), expected);
    assert_eq!(head.weight.size(), [5, 10]);
    for absent in [1, 4] {
        assert_eq!(head.weight.select(0, absent).abs().max().double_value(&[]), 0.0);
    }
}

/// Without features only the shares of the classes are left: softmax of the bias is (n_0, n_1, 0.5) / sum.
#[test]
fn features_that_say_nothing_leave_the_shares_of_the_classes() {
    let features = Tensor::full([8, 3], 2.5, (Kind::Float, Device::Cpu));
    let classes = [0, 0, 0, 0, 0, 1, 1, 1];
    let fitted = fit(&[features.shallow_clone()], &classes, 3, 0, &mut |_| Ok(())).expect("fit");
    let shares =
        fitted.head.forward(&features.narrow(0, 0, 1)).expect("logits").softmax(1, Kind::Double);
    assert!(largest_difference(&shares, &[5.0, 3.0, 0.5].map(|n| n / 8.5)) < 1e-6);
}

#[test]
fn a_class_of_one_example_gets_the_fallback() {
    let (features, classes) = blobs([6, 0, 1, 6, 0], 10);
    let other = features.narrow(1, 0, 5);
    let Probe { place, penalty, accuracies, .. } =
        fit(&[other, features], &classes, 5, 0, &mut |_| Ok(())).expect("fit");
    assert_eq!((place, penalty, accuracies), (1, FALLBACK_STRENGTH * 10.0, vec![]));
}

#[test]
fn a_feature_that_is_no_number_is_refused() {
    let features = Tensor::from_slice(&[1.0f32, f32::NAN, 2.0, 3.0]).reshape([2, 2]);
    let error = fit(&[features], &[0, 1], 2, 0, &mut |_| Ok(())).expect_err("must be refused");
    assert_eq!(error.kind(), ErrorKind::NonFinite);
}

#[test]
fn progress_can_stop_the_fit() {
    let (features, classes) = blobs([6, 0, 6, 6, 0], 10);
    let mut n_calls = 0;
    let stopped = fit(&[features], &classes, 5, 0, &mut |_| {
        n_calls += 1;
        match n_calls {
            3 => Err(Error::new(ErrorKind::Cancelled, "stop")),
            _ => Ok(()),
        }
    });
    assert_eq!(stopped.expect_err("stopped").kind(), ErrorKind::Cancelled);
    assert_eq!(n_calls, 3);
}

/// Copies that say nothing new change nothing.
#[test]
fn an_example_counts_once_whatever_its_copies() {
    let (features, classes) = blobs([6, 0, 4, 5, 0], 10);
    let thrice = Tensor::cat(&[&features; 3], 0);
    let fit = |features: Tensor| fit(&[features], &classes, 5, 0, &mut |_| Ok(())).expect("fit");
    let (once, copied) = (fit(features.shallow_clone()), fit(thrice));
    assert_eq!((once.penalty, &once.accuracies), (copied.penalty, &copied.accuracies));
    let (once, copied) = (once.head, copied.head);
    for (a, b) in [(&once.weight, &copied.weight), (&once.bias, &copied.bias)] {
        assert!((a - b).abs().max().double_value(&[]) < 1e-5 * a.abs().max().double_value(&[]));
    }
}

/// Of features that are noise, features that tell the classes and the same again, the last of the good ones is taken, with
/// the head that it gets alone.
#[test]
fn the_candidate_that_cross_validates_best_is_taken() {
    let (features, classes) = blobs([8, 0, 8, 8, 0], 10);
    let mut generator = ChaCha8Rng::seed_from_u64(1);
    let noise: Vec<f32> = (0..24 * 6).map(|_| generator.random()).collect();
    let noise = || Tensor::from_slice(&noise).reshape([24, 6]);
    let mut told = Vec::new();
    let candidates =
        [noise(), features.shallow_clone(), features.shallow_clone(), noise(), noise()];
    let chosen = fit(&candidates, &classes, 5, 0, &mut |part| {
        told.push(part);
        Ok(())
    });
    let chosen = chosen.expect("fit");
    assert_eq!((chosen.place, chosen.accuracies.len()), (2, 5));
    assert_eq!(chosen.accuracies[1..3], [1.0; 2]);
    assert!(chosen.accuracies[0] < 0.8 && chosen.accuracies[0] == chosen.accuracies[4]);
    assert!(told.is_sorted() && told.last() == Some(&1.0));
    let alone = fit(&[features], &classes, 5, 0, &mut |_| Ok(())).expect("fit");
    assert_eq!(chosen.head.weight, alone.head.weight);
}
