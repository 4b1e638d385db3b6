//! Ranking: receiver operating characteristic curves.

use super::Scored;
use crate::{
    allocation::{collected, room},
    error::{Error, Result},
};

/// A point of a ROC curve: what counting scores from `threshold` on as the class comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RocPoint {
    /// The lowest score that counts; infinite for the first point, where none does.
    pub threshold: f64,
    /// Fraction of the counterexamples that count as the class.
    pub false_positive_rate: f64,
    /// Fraction of the examples that count as the class.
    pub true_positive_rate: f64,
}

/// A point of a ROC curve in counts.
struct Counts {
    threshold: f64,
    n_false: usize,
    n_true: usize,
}

impl Scored<'_> {
    /// The ROC curve of the score of `class`, one class against the rest: a point for no subtomogram, then one for each
    /// distinct score, highest first. Empty if the class has no example or no counterexample: then there is no curve.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such class.
    pub fn roc(&self, class: usize) -> Result<Vec<RocPoint>> {
        if class >= self.n_classes {
            return Err(Error::invalid(format!(
                "class_index is {class}; the scores have {} classes",
                self.n_classes
            )));
        }
        let curve = self.curve(class)?;
        let (n_negative, n_positive) = match curve.last() {
            Some(last) if last.n_false > 0 && last.n_true > 0 => (last.n_false, last.n_true),
            _ => return Ok(Vec::new()),
        };
        let point = |counts: &Counts| RocPoint {
            threshold: counts.threshold,
            false_positive_rate: counts.n_false as f64 / n_negative as f64,
            true_positive_rate: counts.n_true as f64 / n_positive as f64,
        };
        collected(curve.iter().map(point))
    }

    /// Probability that an example of `class` scores higher than another subtomogram, ties counting half: the area
    /// under the ROC curve by trapezoids. NaN if there is nothing to compare.
    pub(super) fn area_under_roc(&self, class: usize) -> Result<f64> {
        let curve = self.curve(class)?;
        let mut doubled_area = 0;
        for pair in curve.windows(2) {
            doubled_area += (pair[1].n_false - pair[0].n_false) * (pair[1].n_true + pair[0].n_true);
        }
        // Without examples or counterexamples 0 / 0.
        let whole = curve.last().map_or(0, |last| last.n_false * last.n_true);
        Ok(doubled_area as f64 / (2.0 * whole as f64))
    }

    /// The highest accuracy that a threshold on the score of class 1 of two reaches, and that threshold: the highest if
    /// several do. NaN for more classes.
    pub(super) fn best_threshold(&self) -> Result<(f64, f64)> {
        if self.n_classes != 2 {
            return Ok((f64::NAN, f64::NAN));
        }
        let curve = self.curve(1)?;
        let n_negative = curve.last().map_or(0, |last| last.n_false);
        let (mut most, mut threshold) = (0, f64::INFINITY);
        for counts in &curve {
            let n_correct = counts.n_true + n_negative - counts.n_false;
            if n_correct > most {
                (most, threshold) = (n_correct, counts.threshold);
            }
        }
        Ok((most as f64 / self.rows.len() as f64, threshold))
    }

    /// From no subtomogram to all of them, one point for each distinct score.
    fn curve(&self, class: usize) -> Result<Vec<Counts>> {
        let scored = self.rows.iter().map(|(row, label)| (row[class], *label == class));
        let mut scored = collected(scored)?;
        scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let mut curve = room(scored.len() + 1)?;
        curve.push(Counts { threshold: f64::INFINITY, n_false: 0, n_true: 0 });
        let (mut n_false, mut n_true) = (0, 0);
        // -0 and 0 are the same score; `total_cmp` has put them side by side.
        for tied in scored.chunk_by(|a, b| a.0 == b.0) {
            let n_positive = tied.iter().filter(|(_, positive)| *positive).count();
            (n_false, n_true) = (n_false + tied.len() - n_positive, n_true + n_positive);
            curve.push(Counts { threshold: tied[0].0.into(), n_false, n_true });
        }
        Ok(curve)
    }
}
