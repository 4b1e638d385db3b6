//! What probabilities are worth as probabilities: calibration, Brier score, log loss.

use super::{Scored, first_highest};
use crate::error::{Error, Result};

/// Bins of the expected calibration error: those of Guo et al. 2017, section 4.
pub const N_RELIABILITY_BINS: usize = 15;

/// Most bins that may be asked for: more than any plot shows.
const MAX_BINS: usize = 1000;

/// How far a row of probabilities may be from adding up to 1: what single precision and a few printed digits leave.
const SUM_TOLERANCE: f64 = 1e-3;

/// A probability below this counts as this in the log loss: the spacing of doubles at 1, as in scikit-learn.
const LEAST_PROBABILITY: f64 = f64::EPSILON;

/// The subtomograms whose highest probability lies above `low` and at most at `high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReliabilityBin {
    /// Lower end, excluded (but 0 itself belongs to the first bin).
    pub low: f64,
    /// Upper end, included.
    pub high: f64,
    /// Subtomograms in the bin.
    pub n: usize,
    /// Mean of their highest probabilities; NaN if there are none.
    pub confidence: f64,
    /// Fraction of them that is classified correctly; NaN if there are none.
    pub accuracy: f64,
}

impl Scored<'_> {
    /// `n_bins` bins of equal width, lowest first (Guo et al. 2017, eq. 2 and before).
    ///
    /// # Errors
    /// `InvalidArgument` if there is no bin or too many, or a row is not one of probabilities.
    pub fn reliability(&self, n_bins: usize) -> Result<Vec<ReliabilityBin>> {
        if !(1..=MAX_BINS).contains(&n_bins) {
            return Err(Error::invalid(format!("n_bins is {n_bins}; it must be 1 to {MAX_BINS}")));
        }
        if let Some((row, sum)) = self.improbable() {
            return Err(Error::invalid(format!(
                "scores {row:?} add up to {sum}; probabilities from 0 to 1 that add up to 1 are \
                 needed"
            )));
        }
        Ok(self.bins(n_bins))
    }

    /// Mean over the subtomograms of the distance between confidence and accuracy of their bins.
    pub(super) fn expected_calibration_error(&self) -> f64 {
        if self.improbable().is_some() {
            return f64::NAN;
        }
        let gap = |bin: &ReliabilityBin| bin.n as f64 * (bin.accuracy - bin.confidence).abs();
        let bins = self.bins(N_RELIABILITY_BINS);
        bins.iter().filter(|bin| bin.n > 0).map(gap).sum::<f64>() / self.rows.len() as f64
    }

    /// Brier score and log loss.
    pub(super) fn proper_scores(&self) -> [f64; 2] {
        if self.improbable().is_some() {
            return [f64::NAN; 2];
        }
        let (mut brier, mut log_loss) = (0.0, 0.0);
        for (row, label) in &self.rows {
            for (class, &probability) in row.iter().enumerate() {
                let truth = if class == *label { 1.0 } else { 0.0 };
                brier += (f64::from(probability) - truth).powi(2);
            }
            log_loss -= f64::from(row[*label]).max(LEAST_PROBABILITY).ln();
        }
        [brier, log_loss].map(|sum| sum / self.rows.len() as f64)
    }

    fn bins(&self, n_bins: usize) -> Vec<ReliabilityBin> {
        let edge = |index: usize| index as f64 / n_bins as f64;
        let mut sums = vec![(0, 0.0, 0); n_bins];
        for (row, label) in &self.rows {
            let class = first_highest(row);
            let confidence = f64::from(row[class]);
            // Rounding may bring a probability a little above 1.
            let bin = ((confidence * n_bins as f64).ceil() as usize).clamp(1, n_bins) - 1;
            let (n, confidences, n_correct) = &mut sums[bin];
            (*n, *confidences) = (*n + 1, *confidences + confidence);
            *n_correct += usize::from(class == *label);
        }
        let bin =
            |(index, (n, confidences, n_correct)): (usize, (usize, f64, usize))| ReliabilityBin {
                low: edge(index),
                high: edge(index + 1),
                n,
                confidence: confidences / n as f64,
                accuracy: n_correct as f64 / n as f64,
            };
        sums.into_iter().enumerate().map(bin).collect()
    }

    /// A row that is not one of probabilities, and its sum.
    fn improbable(&self) -> Option<(&[f32], f64)> {
        self.rows.iter().find_map(|(row, _)| {
            let sum: f64 = row.iter().copied().map(f64::from).sum();
            let within = row.iter().all(|&p| (0.0..=1.0 + SUM_TOLERANCE as f32).contains(&p));
            (!within || (sum - 1.0).abs() > SUM_TOLERANCE).then_some((*row, sum))
        })
    }
}
