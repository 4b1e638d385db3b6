//! What scores are worth class by class.

use ndarray::Array2;

use super::{Scored, first_highest};

/// One class against the rest. What would be 0 / 0 is NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassMetrics {
    /// Subtomograms with this label.
    pub n_examples: usize,
    /// Subtomograms whose highest score is at this class.
    pub n_predicted: usize,
    /// Of those predicted, the fraction that has this label; NaN if none was predicted.
    pub precision: f64,
    /// Of those with this label, the fraction that was predicted; NaN without examples.
    pub recall: f64,
    /// Harmonic mean of precision and recall; NaN for a class that neither has examples nor was predicted.
    pub f1: f64,
    /// Area under the ROC curve of this class's score; NaN unless there are examples and counterexamples.
    pub auc: f64,
}

impl Scored<'_> {
    /// Counts `[label, predicted class]`; of equal scores the first counts.
    pub fn confusion(&self) -> Array2<i64> {
        let mut confusion = Array2::<i64>::zeros([self.n_classes; 2]);
        for (row, label) in &self.rows {
            confusion[[*label, first_highest(row)]] += 1;
        }
        confusion
    }

    /// The classes, in order.
    pub fn classes(&self) -> Vec<ClassMetrics> {
        let confusion = self.confusion();
        let of_class = |class: usize| {
            let n_examples = confusion.row(class).sum();
            let n_predicted = confusion.column(class).sum();
            let n_correct = confusion[[class, class]] as f64;
            ClassMetrics {
                n_examples: n_examples as usize,
                n_predicted: n_predicted as usize,
                precision: n_correct / n_predicted as f64,
                recall: n_correct / n_examples as f64,
                f1: 2.0 * n_correct / (n_examples + n_predicted) as f64,
                auc: self.area_under_roc(class),
            }
        };
        (0..self.n_classes).map(of_class).collect()
    }
}
