//! How good scores are: what labels say of them. No network is needed here.

mod classes;
mod probabilities;
mod roc;

use ndarray::Array2;

use crate::{
    allocation,
    error::{Error, ErrorKind, Result},
};

pub use classes::ClassMetrics;
pub use probabilities::{N_RELIABILITY_BINS, ReliabilityBin};
pub use roc::RocPoint;

/// How well scores agree with labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// Subtomograms whose label is not -1.
    pub n_evaluated: usize,
    /// Fraction whose highest score is at the label; of equal scores the first counts. With two classes and
    /// probabilities this is the accuracy at a threshold of 0.5.
    pub accuracy: f64,
    /// Area under the ROC curve, one class against the rest, mean over the classes that have both examples and
    /// counterexamples; with two classes the area for class 1. NaN if no class has both.
    pub macro_auc: f64,
    /// Counts `[label, predicted class]`, in standard layout.
    pub confusion: Array2<i64>,
    /// Mean recall of the classes that have examples.
    pub balanced_accuracy: f64,
    /// Mean F1 of the classes that have examples or were predicted.
    pub macro_f1: f64,
    /// Expected calibration error (Guo et al. 2017, eq. 3) over `N_RELIABILITY_BINS` bins; NaN if the scores are no
    /// probabilities.
    pub expected_calibration_error: f64,
    /// Sum over the classes of the squared difference between probability and truth (Brier 1950), 0 to 2, mean over the
    /// subtomograms; NaN if the scores are no probabilities.
    pub brier_score: f64,
    /// Mean of -ln of the probability of the label, in nats; NaN if the scores are no probabilities.
    pub log_loss: f64,
    /// Two classes only, else NaN: the accuracy at the threshold on the score of class 1 that gives the highest accuracy
    /// **on these very labels**. Optimistic; here because the paper reports it for its binary sets.
    pub best_threshold_accuracy: f64,
    /// That threshold: scores of class 1 from it on are counted as class 1. Infinite if class 0 throughout is best.
    pub best_threshold: f64,
}

/// Compares `scores` `[n, n_classes]` (probabilities, logits, or anything that rises with them) with `n` labels;
/// label -1 is left out. Fails as `Scored::new`.
pub fn evaluate(scores: &[f32], labels: &[i32], n_classes: usize) -> Result<Metrics> {
    Scored::new(scores, labels, n_classes)?.metrics()
}

/// Rows of scores beside their labels; those without label are left out.
#[derive(Debug)]
pub struct Scored<'a> {
    rows: Vec<(&'a [f32], usize)>,
    n_classes: usize,
}

impl<'a> Scored<'a> {
    /// `scores` `[n, n_classes]`, row-major, and `n` labels; -1 leaves a row out.
    ///
    /// # Errors
    /// `InvalidArgument` if lengths disagree, a label is out of range or none is left; `NonFinite` if a score that
    /// counts is NaN or infinite.
    pub fn new(scores: &'a [f32], labels: &[i32], n_classes: usize) -> Result<Scored<'a>> {
        check(scores, labels, n_classes)?;
        let rows = scores
            .chunks_exact(n_classes)
            .zip(labels)
            .filter_map(|(row, &label)| Some((row, usize::try_from(label).ok()?)));
        Ok(Scored { rows: allocation::collected(rows)?, n_classes })
    }

    /// All that is one number. Fails with `OutOfMemory`.
    pub fn metrics(&self) -> Result<Metrics> {
        let confusion = self.confusion()?;
        // With two classes the second area is the first.
        let classes = if self.n_classes == 2 { 1..2 } else { 0..self.n_classes };
        let areas = classes.map(|class| self.area_under_roc(class));
        let macro_auc = mean(areas.collect::<Result<Vec<f64>>>()?.into_iter());
        let table = self.classes()?;
        let [brier_score, log_loss] = self.proper_scores();
        let (best_threshold_accuracy, best_threshold) = self.best_threshold()?;
        Ok(Metrics {
            n_evaluated: self.rows.len(),
            accuracy: confusion.diag().sum() as f64 / self.rows.len() as f64,
            macro_auc,
            confusion,
            balanced_accuracy: mean(table.iter().map(|class| class.recall)),
            macro_f1: mean(table.iter().map(|class| class.f1)),
            expected_calibration_error: self.expected_calibration_error(),
            brier_score,
            log_loss,
            best_threshold_accuracy,
            best_threshold,
        })
    }
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
pub fn first_highest(row: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = index;
        }
    }
    best
}

/// Mean of the numbers among the values; NaN if there is none.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut n) = (0.0, 0.0);
    for value in values.filter(|value| !value.is_nan()) {
        sum += value;
        n += 1.0;
    }
    // 0 / 0 is NaN.
    sum / n
}

#[cfg(test)]
#[path = "metrics_test.rs"]
mod tests;
