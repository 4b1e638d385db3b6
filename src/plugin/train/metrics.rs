//! How good scores are.

use ndarray::Array2;

use crate::error::{Error, ErrorKind, Result};

/// How well scores agree with labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// Subtomograms whose label is not -1.
    pub n_evaluated: usize,
    /// Fraction whose highest score is at the label; of equal scores the first counts.
    pub accuracy: f64,
    /// Area under the ROC curve, one class against the rest, mean over the classes that have both examples and
    /// counterexamples; with two classes the area for class 1. NaN if no class has both.
    pub macro_auc: f64,
    /// Counts `[label, predicted class]`, in standard layout.
    pub confusion: Array2<i64>,
}

/// Compares `scores` `[n, n_classes]` (probabilities, logits, or anything that rises with them) with `n` labels;
/// label -1 is left out.
///
/// # Errors
/// `InvalidArgument` if lengths disagree, a label is out of range or none is left; `NonFinite` if a score that counts
/// is NaN or infinite.
pub fn evaluate(scores: &[f32], labels: &[i32], n_classes: usize) -> Result<Metrics> {
    check(scores, labels, n_classes)?;
    let rows: Vec<(&[f32], usize)> = scores
        .chunks_exact(n_classes)
        .zip(labels)
        .filter_map(|(row, &label)| Some((row, usize::try_from(label).ok()?)))
        .collect();
    let mut confusion = Array2::<i64>::zeros([n_classes; 2]);
    for (row, label) in &rows {
        confusion[[*label, first_highest(row)]] += 1;
    }

    let classes = if n_classes == 2 { 1..2 } else { 0..n_classes };
    let areas: Vec<f64> = classes.filter_map(|class| area_under_roc(&rows, class)).collect();
    Ok(Metrics {
        n_evaluated: rows.len(),
        accuracy: confusion.diag().sum() as f64 / rows.len() as f64,
        // 0 / 0 is NaN.
        macro_auc: areas.iter().sum::<f64>() / areas.len() as f64,
        confusion,
    })
}

fn check(scores: &[f32], labels: &[i32], n_classes: usize) -> Result<()> {
    if n_classes < 2 {
        return Err(Error::invalid(format!("n_classes is {n_classes}; it must be at least 2")));
    }
    if labels.len().checked_mul(n_classes) != Some(scores.len()) {
        return Err(Error::invalid(format!(
            "{} scores for {} labels and {n_classes} classes; labels x classes are needed",
            scores.len(),
            labels.len()
        )));
    }
    for (index, (row, &label)) in scores.chunks_exact(n_classes).zip(labels).enumerate() {
        if label == -1 {
            continue;
        }
        if label < 0 || label as usize >= n_classes {
            return Err(Error::invalid(format!(
                "label {index} is {label}; it must be from 0 to {}, or -1 to leave it out",
                n_classes - 1
            )));
        }
        if let Some(class) = row.iter().position(|score| !score.is_finite()) {
            return Err(Error::new(
                ErrorKind::NonFinite,
                format!("score of subtomogram {index} for class {class} is {}", row[class]),
            ));
        }
    }
    if labels.iter().all(|&label| label == -1) {
        return Err(Error::invalid(format!(
            "no label to compare with: {} labels, all of them -1",
            labels.len()
        )));
    }
    Ok(())
}

/// Index of the highest value, of equal ones the first.
pub(super) fn first_highest(row: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = index;
        }
    }
    best
}

/// Probability that an example of `class` scores higher than another subtomogram, ties counting half: the
/// Mann-Whitney statistic from midranks. `None` if there is nothing to compare.
fn area_under_roc(rows: &[(&[f32], usize)], class: usize) -> Option<f64> {
    let mut scored: Vec<(f32, bool)> =
        rows.iter().map(|(row, label)| (row[class], *label == class)).collect();
    let n_positive = scored.iter().filter(|(_, positive)| *positive).count();
    let n_negative = scored.len() - n_positive;
    if n_positive == 0 || n_negative == 0 {
        return None;
    }
    scored.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut rank_sum = 0.0;
    let mut n_below = 0;
    // -0 and 0 are the same score; `total_cmp` has put them side by side.
    for tied in scored.chunk_by(|a, b| a.0 == b.0) {
        let midrank = n_below as f64 + 0.5 * (tied.len() + 1) as f64;
        rank_sum += midrank * tied.iter().filter(|(_, positive)| *positive).count() as f64;
        n_below += tied.len();
    }
    let (n_positive, n_negative) = (n_positive as f64, n_negative as f64);
    Some((rank_sum - 0.5 * n_positive * (n_positive + 1.0)) / (n_positive * n_negative))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// A case of tests/reference/metrics.py.
    #[derive(Deserialize)]
    struct Case {
        name: String,
        n_classes: usize,
        scores: Vec<f32>,
        labels: Vec<i32>,
        accuracy: f64,
        macro_auc: Option<f64>,
        confusion: Vec<i64>,
    }

    #[test]
    fn agree_with_scikit_learn() {
        let text = include_str!("../../../tests/reference/metrics.json");
        let cases: Vec<Case> = serde_json::from_str(text).expect("reference");
        assert!(cases.len() >= 6);
        for case in cases {
            let got = evaluate(&case.scores, &case.labels, case.n_classes).expect(&case.name);
            let n_evaluated = case.labels.iter().filter(|label| **label >= 0).count();
            assert_eq!(got.n_evaluated, n_evaluated, "{}", case.name);
            assert!((got.accuracy - case.accuracy).abs() < 1e-12, "{}", case.name);
            assert_eq!(got.confusion.into_raw_vec_and_offset().0, case.confusion, "{}", case.name);
            match case.macro_auc {
                Some(area) => assert!(
                    (got.macro_auc - area).abs() < 1e-12,
                    "{}: {} is not {area}",
                    case.name,
                    got.macro_auc
                ),
                None => assert!(got.macro_auc.is_nan(), "{}: {}", case.name, got.macro_auc),
            }
        }
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
    }
}
