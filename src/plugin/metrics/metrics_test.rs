use serde::Deserialize;

use super::*;

/// A case of tests/reference/metrics.py; what is not a number there is null.
#[derive(Deserialize)]
struct Case {
    name: String,
    n_classes: usize,
    scores: Vec<f32>,
    labels: Vec<i32>,
    accuracy: f64,
    macro_auc: Option<f64>,
    confusion: Vec<i64>,
    balanced_accuracy: f64,
    macro_f1: f64,
    precision: Vec<Option<f64>>,
    recall: Vec<Option<f64>>,
    f1: Vec<Option<f64>>,
    support: Vec<usize>,
    auc: Vec<Option<f64>>,
    curve_of_class_1: Vec<f64>,
    best_threshold_accuracy: Option<f64>,
    calibration: Option<Calibration>,
}

#[derive(Deserialize)]
struct Calibration {
    ece: f64,
    /// Index, subtomograms, mean confidence and accuracy of the bins that have any.
    bins: Vec<(usize, usize, f64, f64)>,
    brier: f64,
    log_loss: f64,
}

fn cases() -> Vec<Case> {
    let text = include_str!("../../../tests/reference/metrics.json");
    serde_json::from_str(text).expect("reference")
}

#[track_caller]
fn assert_near(got: f64, expected: Option<f64>, what: &str) {
    match expected {
        Some(expected) => {
            assert!((got - expected).abs() < 1e-9, "{what}: {got} is not {expected}");
        }
        None => assert!(got.is_nan(), "{what}: {got} is a number"),
    }
}

#[test]
fn agree_with_scikit_learn() {
    assert!(cases().len() >= 17);
    for case in cases() {
        let name = |metric: &str| format!("{}: {metric}", case.name);
        let got = evaluate(&case.scores, &case.labels, case.n_classes).expect(&case.name);
        let n_evaluated = case.labels.iter().filter(|label| **label >= 0).count();
        assert_eq!(got.n_evaluated, n_evaluated, "{}", case.name);
        assert_eq!(got.confusion.into_raw_vec_and_offset().0, case.confusion, "{}", case.name);
        assert_near(got.accuracy, Some(case.accuracy), &name("accuracy"));
        assert_near(got.macro_auc, case.macro_auc, &name("macro_auc"));
        assert_near(got.balanced_accuracy, Some(case.balanced_accuracy), &name("balanced"));
        assert_near(got.macro_f1, Some(case.macro_f1), &name("macro_f1"));
        let best = case.best_threshold_accuracy;
        assert_near(got.best_threshold_accuracy, best, &name("best_threshold_accuracy"));
        let calibration = case.calibration.as_ref();
        let ece = calibration.map(|calibration| calibration.ece);
        assert_near(got.expected_calibration_error, ece, &name("ece"));
        assert_near(got.brier_score, calibration.map(|c| c.brier), &name("brier"));
        assert_near(got.log_loss, calibration.map(|c| c.log_loss), &name("log_loss"));
    }
}

#[test]
fn classes_and_curves_agree_with_scikit_learn() {
    for case in cases() {
        let name = |metric: &str| format!("{}: {metric}", case.name);
        let scored = Scored::new(&case.scores, &case.labels, case.n_classes).expect(&case.name);
        for (index, class) in scored.classes().unwrap().into_iter().enumerate() {
            assert_eq!(class.n_examples, case.support[index], "{}", case.name);
            let n_predicted: i64 = case.confusion.iter().skip(index).step_by(case.n_classes).sum();
            assert_eq!(class.n_predicted as i64, n_predicted, "{}", case.name);
            assert_near(class.precision, case.precision[index], &name("precision"));
            assert_near(class.recall, case.recall[index], &name("recall"));
            assert_near(class.f1, case.f1[index], &name("f1"));
            assert_near(class.auc, case.auc[index], &name("auc"));
        }
        let curve = scored.roc(1).expect("there is a class 1");
        assert_eq!(curve.is_empty(), case.curve_of_class_1.is_empty(), "{}", case.name);
        let Some((first, rest)) = curve.split_first() else { continue };
        assert_eq!((first.false_positive_rate, first.true_positive_rate), (0.0, 0.0));
        assert_eq!(first.threshold, f64::INFINITY);
        assert_eq!(rest.len() * 3, case.curve_of_class_1.len(), "{}", case.name);
        for (point, expected) in rest.iter().zip(case.curve_of_class_1.chunks_exact(3)) {
            assert_near(point.threshold, Some(expected[0]), &name("threshold"));
            assert_near(point.false_positive_rate, Some(expected[1]), &name("false positives"));
            assert_near(point.true_positive_rate, Some(expected[2]), &name("true positives"));
        }
    }
}

#[test]
fn reliability_agrees_with_scikit_learn() {
    let mut n_compared = 0;
    for case in cases() {
        let scored = Scored::new(&case.scores, &case.labels, case.n_classes).expect(&case.name);
        let Some(calibration) = case.calibration else {
            let error = scored.reliability(15).expect_err("no probabilities");
            assert!(error.to_string().contains("add up to"), "{}: {error}", case.name);
            continue;
        };
        let bins = scored.reliability(15).expect(&case.name);
        assert_eq!((bins.len(), bins[0].low, bins[14].high), (15, 0.0, 1.0));
        assert!(bins.windows(2).all(|pair| pair[0].high == pair[1].low));
        let filled: Vec<_> = bins.iter().enumerate().filter(|(_, bin)| bin.n > 0).collect();
        assert_eq!(filled.len(), calibration.bins.len(), "{}", case.name);
        for ((index, bin), expected) in filled.into_iter().zip(calibration.bins) {
            assert_eq!((index, bin.n), (expected.0, expected.1), "{}", case.name);
            assert_near(bin.confidence, Some(expected.2), &case.name);
            assert_near(bin.accuracy, Some(expected.3), &case.name);
        }
        n_compared += 1;
    }
    assert!(n_compared >= 8);
}

/// By hand: at 0.5 the last subtomogram (0.55) is wrong, at 0.6 none is.
#[test]
fn the_best_threshold_is_not_the_honest_one() {
    let scores = [0.4, 0.6, 0.3, 0.7, 0.8, 0.2, 0.45, 0.55];
    let got = evaluate(&scores, &[1, 1, 0, 0], 2).expect("valid");
    assert_eq!((got.accuracy, got.best_threshold_accuracy), (0.75, 1.0));
    assert_eq!(got.best_threshold, f64::from(0.6f32));
    // Scores that rank the wrong way round: class 0 throughout is right in three of four.
    let got = evaluate(&scores, &[0, 0, 1, 0], 2).expect("valid");
    assert_eq!((got.accuracy, got.best_threshold_accuracy), (0.0, 0.75));
    assert_eq!(got.best_threshold, f64::INFINITY);
}

#[test]
fn of_equal_scores_the_first_counts() {
    let got = evaluate(&[0.5, 0.5, 0.2, 0.2], &[0, 1], 2).expect("valid");
    assert_eq!(got.confusion, ndarray::array![[1, 0], [1, 0]]);
    assert_eq!(got.accuracy, 0.5);
}

#[test]
fn what_makes_no_sense_is_named() {
    let message = |scores: &[f32], labels: &[i32], n_classes| {
        let error = evaluate(scores, labels, n_classes).expect_err("must be refused");
        (error.kind(), error.to_string())
    };
    use ErrorKind::{InvalidArgument, NonFinite};
    let (kind, text) = message(&[0.1; 5], &[0, 1], 2);
    assert_eq!(kind, InvalidArgument);
    assert!(text.starts_with("5 scores for 2 labels and 2 classes"), "{text}");
    let (kind, text) = message(&[0.1; 4], &[0, 2], 2);
    assert_eq!(kind, InvalidArgument);
    assert!(text.starts_with("label 1 is 2; it must be from 0 to 1"), "{text}");
    let (kind, text) = message(&[0.1; 4], &[-2, 1], 2);
    assert_eq!(kind, InvalidArgument);
    assert!(text.starts_with("label 0 is -2;"), "{text}");
    let (kind, text) = message(&[0.1; 4], &[-1, -1], 2);
    assert_eq!(kind, InvalidArgument);
    assert!(text.starts_with("no label"), "{text}");
    let (kind, text) = message(&[0.1, 0.2, 0.3, f32::NAN], &[0, 1], 2);
    assert_eq!(kind, NonFinite);
    assert_eq!(text, "score of subtomogram 1 for class 1 is NaN");
    // A subtomogram that does not count may have no score.
    evaluate(&[0.1, 0.2, 0.3, f32::NAN], &[0, -1], 2).expect("label -1 is left out");

    let scored = Scored::new(&[0.1, 0.9], &[0], 2).expect("valid");
    let error = scored.roc(2).expect_err("no such class");
    assert_eq!(error.to_string(), "class_index is 2; the scores have 2 classes");
    for n_bins in [0, 1001] {
        let error = scored.reliability(n_bins).expect_err("must be refused").to_string();
        assert!(error.starts_with(&format!("n_bins is {n_bins};")), "{error}");
    }
}
