//! How sure a model may be: its temperature, and from where on it should rather say nothing.

mod mahalanobis;
mod temperature;
mod threshold;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub use mahalanobis::{Mahalanobis, MahalanobisRecord};
pub use temperature::{TemperatureFit, fit_temperature};
pub use threshold::{Shortfall, Threshold, Wish};

/// What was learnt on labelled subtomograms that the model was not trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confidence {
    /// Logits are divided by it before they become probabilities; 1 = as the network says.
    pub temperature: f64,
    /// How that was found; `None` = the model was never calibrated.
    pub calibration: Option<CalibrationRecord>,
    /// The lowest probability of the predicted class that is accepted.
    pub probability: Option<Threshold>,
    /// The greatest distance from the nearest class that is accepted.
    pub distance: Option<Threshold>,
}

/// How a temperature was found. Errors and losses are those of the same subtomograms, so the later ones flatter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationRecord {
    /// Labelled subtomograms that it rests on.
    pub n_subtomograms: usize,
    /// Fraction of them that is classified correctly; no temperature changes it.
    pub accuracy: f64,
    /// Standard error of the temperature; `None` if none was fitted, or none is the best.
    pub temperature_error: Option<f64>,
    /// Mean of -ln of the probability of the label, in nats, at temperature 1 and at the one found.
    pub log_loss: [f64; 2],
    /// Expected calibration error at temperature 1 and at the one found.
    pub expected_calibration_error: [f64; 2],
}

impl Default for Confidence {
    /// Never calibrated.
    fn default() -> Confidence {
        Confidence { temperature: 1.0, calibration: None, probability: None, distance: None }
    }
}

impl Confidence {
    /// Fails if a value makes no sense: what comes from a file is checked before it is used.
    pub fn check(&self) -> Result<()> {
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            return Err(Error::invalid(format!("temperature {}", self.temperature)));
        }
        for threshold in [self.probability, self.distance].into_iter().flatten() {
            threshold.check()?;
        }
        Ok(())
    }
}

/// Which rules may reject a subtomogram: it is accepted if all of them accept it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reject {
    /// Its most probable class is not probable enough.
    pub probability: bool,
    /// Its embedding is too far from all classes: it may be of a class that the model does not know.
    pub distance: bool,
}

impl Reject {
    /// From the sum of `CINETOMO_REJECT_*`. Fails with `InvalidArgument` if it has a bit of no meaning.
    pub fn from_bits(bits: i32) -> Result<Reject> {
        use cinetomo_abi::cinetomo_reject as Bit;
        const PROBABILITY: i32 = Bit::Probability as i32;
        const DISTANCE: i32 = Bit::Distance as i32;
        let unknown = bits & !(PROBABILITY | DISTANCE);
        if unknown != 0 {
            return Err(Error::invalid(format!(
                "reject {bits}: {unknown:#x} is no rule; 0 (none), {PROBABILITY} (probability) and {DISTANCE} \
                 (distance) are"
            )));
        }
        Ok(Reject { probability: bits & PROBABILITY != 0, distance: bits & DISTANCE != 0 })
    }

    /// The inverse of `from_bits`.
    pub fn bits(self) -> i32 {
        use cinetomo_abi::cinetomo_reject as Bit;
        let bit = |on: bool, bit: Bit| if on { bit as i32 } else { 0 };
        bit(self.probability, Bit::Probability) | bit(self.distance, Bit::Distance)
    }
}
