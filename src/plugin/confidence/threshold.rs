//! From where on a model is believed: thresholds for a wanted precision or coverage.
//!
//! Selective classification (Geifman & El-Yaniv 2017): what is not accepted gets no class, and those that are accepted are
//! to be right more often than all together.

use serde::{Deserialize, Serialize};

use crate::{
    allocation::collected,
    error::{Error, Result},
};

/// Two-sided 95 % of the normal distribution.
const NORMAL_QUANTILE: f64 = 1.959_963_984_540_054;

/// Fractions that differ by less are the same: 0.95 of 20 is not quite 19.
const ROUNDING: f64 = 1e-9;

/// What a threshold is to achieve on the subtomograms that it is chosen on. At least one is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wish {
    /// Fraction of the accepted that is classified correctly; as many as possible are accepted.
    pub precision: Option<f64>,
    /// Fraction that is accepted.
    pub coverage: Option<f64>,
}

/// A threshold and what it achieved on the subtomograms that it was chosen on, which flatter it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// The last value that is accepted.
    pub value: f64,
    /// Labelled subtomograms that it was chosen on.
    pub n_subtomograms: usize,
    /// Those of them that it accepts.
    pub n_accepted: usize,
    /// Those of the accepted that are classified correctly.
    pub n_correct: usize,
}

/// Why there is no threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shortfall {
    /// The threshold that comes nearest to the wanted precision, or the one that has it but accepts too few.
    pub nearest: Threshold,
}

impl Threshold {
    /// Fraction of the accepted that is classified correctly.
    pub fn precision(&self) -> f64 {
        self.n_correct as f64 / self.n_accepted as f64
    }

    /// Fraction that is accepted.
    pub fn coverage(&self) -> f64 {
        self.n_accepted as f64 / self.n_subtomograms as f64
    }

    /// Where the precision lies with 95 % confidence (Wilson 1927), were these subtomograms not the ones that chose.
    pub fn precision_interval(&self) -> [f64; 2] {
        let (n, p) = (self.n_accepted as f64, self.precision());
        let z2 = NORMAL_QUANTILE * NORMAL_QUANTILE;
        let centre = p + z2 / (2.0 * n);
        let half = NORMAL_QUANTILE * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
        [centre - half, centre + half].map(|end| (end / (1.0 + z2 / n)).clamp(0.0, 1.0))
    }

    pub(super) fn check(&self) -> Result<()> {
        let Threshold { value, n_subtomograms, n_accepted, n_correct } = *self;
        let sound = n_correct <= n_accepted && n_accepted <= n_subtomograms && n_accepted > 0;
        if value.is_finite() && sound {
            return Ok(());
        }
        Err(Error::invalid(format!("threshold {self:?}")))
    }
}

impl Wish {
    /// The threshold for these `(value, whether classified correctly)`, at least one; the surer, the higher the value.
    pub fn threshold(&self, values: &[(f64, bool)]) -> Result<Result<Threshold, Shortfall>> {
        let mut values = collected(values.iter().copied())?;
        values.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let (mut n_accepted, mut n_correct) = (0, 0);
        let candidate = |tied: &[(f64, bool)]| {
            n_accepted += tied.len();
            n_correct += tied.iter().filter(|(_, correct)| *correct).count();
            let n_subtomograms = values.len();
            Threshold { value: tied[0].0, n_subtomograms, n_accepted, n_correct }
        };
        let candidates = collected(values.chunk_by(|a, b| a.0 == b.0).map(candidate))?;
        let covers = |threshold: &Threshold| {
            self.coverage.is_none_or(|wanted| threshold.coverage() >= wanted - ROUNDING)
        };
        let Some(precision) = self.precision else {
            // All together cover everything.
            let strictest = candidates.iter().find(|threshold| covers(threshold));
            return Ok(Ok(*strictest.unwrap_or(&candidates[candidates.len() - 1])));
        };
        let loosest =
            candidates.iter().rfind(|threshold| threshold.precision() >= precision - ROUNDING);
        Ok(match loosest {
            Some(threshold) if covers(threshold) => Ok(*threshold),
            Some(threshold) => Err(Shortfall { nearest: *threshold }),
            None => {
                let best = candidates.iter().max_by(|a, b| a.precision().total_cmp(&b.precision()));
                Err(Shortfall { nearest: *best.unwrap_or(&candidates[0]) })
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the surest on: right, right, wrong, (right, right), wrong, right, wrong.
    const VALUES: [(f64, bool); 8] = [
        (0.5, true),
        (0.9, true),
        (0.3, false),
        (0.8, true),
        (0.4, false),
        (0.5, true),
        (0.7, false),
        (0.35, true),
    ];

    fn chosen(
        precision: Option<f64>,
        coverage: Option<f64>,
    ) -> std::result::Result<[f64; 3], [f64; 3]> {
        let of =
            |threshold: Threshold| [threshold.value, threshold.precision(), threshold.coverage()];
        let wish = Wish { precision, coverage };
        wish.threshold(&VALUES).unwrap().map(of).map_err(|shortfall| of(shortfall.nearest))
    }

    #[test]
    fn as_many_as_the_precision_allows() {
        assert_eq!(chosen(Some(1.0), None), Ok([0.8, 1.0, 0.25]));
        // Beyond the mistake at 0.7 the precision recovers; equal values stay together.
        assert_eq!(chosen(Some(0.8), None), Ok([0.5, 0.8, 0.625]));
        assert_eq!(chosen(Some(0.7), None), Ok([0.35, 5.0 / 7.0, 0.875]));
        assert_eq!(chosen(Some(0.5), None), Ok([0.3, 0.625, 1.0]));
    }

    #[test]
    fn no_more_than_the_coverage_needs() {
        assert_eq!(chosen(None, Some(0.25)), Ok([0.8, 1.0, 0.25]));
        assert_eq!(chosen(None, Some(0.5)), Ok([0.5, 0.8, 0.625]));
        assert_eq!(chosen(None, Some(1.0)), Ok([0.3, 0.625, 1.0]));
    }

    #[test]
    fn what_cannot_be_had_is_said() {
        assert_eq!(chosen(Some(0.8), Some(0.6)), Ok([0.5, 0.8, 0.625]));
        assert_eq!(chosen(Some(0.8), Some(0.7)), Err([0.5, 0.8, 0.625]));
        let wrong = [(0.9, false), (0.8, true), (0.1, false)];
        let wish = Wish { precision: Some(0.9), coverage: None };
        let nearest = wish.threshold(&wrong).unwrap().expect_err("out of reach").nearest;
        assert_eq!((nearest.value, nearest.precision()), (0.8, 0.5));
    }

    /// By scipy 1.17.1, `binomtest(n_correct, n).proportion_ci(method="wilson")`.
    #[test]
    fn intervals_are_wilsons() {
        let interval = |n_correct, n_accepted| {
            let n_subtomograms = n_accepted;
            Threshold { value: 0.5, n_subtomograms, n_accepted, n_correct }.precision_interval()
        };
        for (n_correct, n, expected) in [
            (10, 10, [0.722_467_200_137, 1.0]),
            (13, 14, [0.685_312_955_758, 0.987_277_784_752]),
            (0, 5, [0.0, 0.434_482_464_783]),
            (95, 100, [0.888_249_530_768, 0.978_456_320_846]),
        ] {
            let got = interval(n_correct, n);
            for (got, expected) in got.into_iter().zip(expected) {
                assert!((got - expected).abs() < 1e-11, "{n_correct} of {n}: {got}, {expected}");
            }
        }
    }
}
