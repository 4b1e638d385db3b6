//! What scores are worth class by class.

use ndarray::Array2;

use super::{Scored, first_highest};
use crate::{
    allocation,
    error::{Error, Result},
};

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
    /// Counts `[label, predicted class]`; of equal scores the first counts. Fails with `OutOfMemory`.
    pub fn confusion(&self) -> Result<Array2<i64>> {
        let n = self.n_classes;
        let counts = allocation::filled(n.saturating_mul(n), 0)?;
        // As many counts as the shape has.
        let mut confusion = Array2::from_shape_vec([n; 2], counts)
            .map_err(|error| Error::invalid(error.to_string()))?;
        for (row, label) in &self.rows {
            confusion[[*label, first_highest(row)]] += 1;
        }
        Ok(confusion)
    }

    /// The classes, in order. Fails with `OutOfMemory`.
    pub fn classes(&self) -> Result<Vec<ClassMetrics>> {
        // No square of counts: a host may have few rows and very many classes.
        let [mut n_examples, mut n_predicted, mut n_correct] =
            [self.zeros()?, self.zeros()?, self.zeros()?];
        for (row, label) in &self.rows {
            let predicted = first_highest(row);
            n_examples[*label] += 1;
            n_predicted[predicted] += 1;
            n_correct[predicted] += usize::from(predicted == *label);
        }
        let mut classes = allocation::room(self.n_classes)?;
        for class in 0..self.n_classes {
            let (n_examples, n_predicted) = (n_examples[class], n_predicted[class]);
            let n_correct = n_correct[class] as f64;
            classes.push(ClassMetrics {
                n_examples,
                n_predicted,
                precision: n_correct / n_predicted as f64,
                recall: n_correct / n_examples as f64,
                f1: 2.0 * n_correct / (n_examples + n_predicted) as f64,
                auc: self.area_under_roc(class)?,
            });
        }
        Ok(classes)
    }

    /// A count for each class.
    fn zeros(&self) -> Result<Vec<usize>> {
        allocation::filled(self.n_classes, 0)
    }
}
