//! Temperature scaling (Guo et al. 2017, section 4.2): one number that all logits are divided by.

use crate::{allocation::collected, error::Result, metrics::first_highest};

/// Inverse temperatures that are searched. Outside, probabilities hardly differ from 0 and 1 or from each other, and
/// the data cannot tell by how much.
const RANGE: [f64; 2] = [1.0 / 20.0, 20.0];

/// What a fit found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TemperatureFit {
    /// The temperature with the lowest log loss. Where that would be below 1/20, 1: then next to all subtomograms are
    /// classified correctly, and how sure the model may be cannot be told from them. At most 20.
    pub temperature: f64,
    /// Its standard error, from the curvature of the log loss; `None` at an end of the range.
    pub standard_error: Option<f64>,
    /// Fraction of the subtomograms whose highest logit is at the label.
    pub accuracy: f64,
}

/// Finds the temperature with the lowest log loss of softmax(logits / temperature) for `logits` `[n, n_classes]` and
/// `n` classes, at least one. Logits may be logarithms of probabilities.
pub fn fit_temperature(
    logits: &[f32],
    classes: &[usize],
    n_classes: usize,
) -> Result<TemperatureFit> {
    let rows = logits.chunks_exact(n_classes).zip(classes.iter().copied());
    let rows = collected(rows)?;
    let n_correct = rows.iter().filter(|(row, class)| first_highest(row) == *class).count();
    let accuracy = n_correct as f64 / rows.len() as f64;
    // The loss is convex in the inverse temperature: its slope changes its sign once.
    let [mut low, mut high] = RANGE;
    if slope(&rows, high)[0] <= 0.0 {
        return Ok(TemperatureFit { temperature: 1.0, standard_error: None, accuracy });
    }
    if slope(&rows, low)[0] >= 0.0 {
        return Ok(TemperatureFit { temperature: 1.0 / low, standard_error: None, accuracy });
    }
    let mut inverse = 1.0;
    // Newton's method, or bisection where it leads out of what is left: never slower than the latter.
    for _ in 0..200 {
        let [slope, curvature] = slope(&rows, inverse);
        if slope < 0.0 {
            low = inverse;
        } else {
            high = inverse;
        }
        let newton = inverse - slope / curvature;
        let next = if low < newton && newton < high { newton } else { 0.5 * (low + high) };
        let step = (next - inverse).abs();
        inverse = next;
        if step <= 1e-14 * inverse {
            break;
        }
    }
    let curvature = slope(&rows, inverse)[1];
    // Of the inverse by the Fisher information, of the temperature by its derivative 1 / inverse^2.
    let standard_error = 1.0 / (curvature * rows.len() as f64).sqrt() / (inverse * inverse);
    let standard_error = Some(standard_error);
    Ok(TemperatureFit { temperature: 1.0 / inverse, standard_error, accuracy })
}

/// First and second derivative of the mean log loss by the inverse temperature: mean and variance of the logits under
/// the probabilities, the former minus the logit of the true class.
fn slope(rows: &[(&[f32], usize)], inverse: f64) -> [f64; 2] {
    let (mut first, mut second) = (0.0, 0.0);
    for (row, class) in rows {
        // Differences from the true class: no digits are lost, and no exponential of the largest overflows.
        let relative = |logit: f32| f64::from(logit) - f64::from(row[*class]);
        let highest = relative(row[first_highest(row)]);
        let (mut sum, mut mean, mut square) = (0.0, 0.0, 0.0);
        for &logit in *row {
            let logit = relative(logit);
            let weight = (inverse * (logit - highest)).exp();
            sum += weight;
            mean += weight * logit;
            square += weight * logit * logit;
        }
        mean /= sum;
        first += mean;
        second += square / sum - mean * mean;
    }
    let n = rows.len() as f64;
    [first / n, second / n]
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// A case of tests/reference/confidence.py.
    #[derive(Deserialize)]
    struct Case {
        name: String,
        n_classes: usize,
        logits: Vec<f32>,
        classes: Vec<usize>,
        temperature: f64,
        standard_error: f64,
    }

    #[derive(Deserialize)]
    struct Reference {
        temperatures: Vec<Case>,
    }

    #[test]
    fn temperatures_agree_with_scipy() {
        let text = include_str!("../../../tests/reference/confidence.json");
        let reference: Reference = serde_json::from_str(text).expect("reference");
        assert!(reference.temperatures.len() >= 5);
        for case in reference.temperatures {
            let fit = fit_temperature(&case.logits, &case.classes, case.n_classes).unwrap();
            let relative = fit.temperature / case.temperature - 1.0;
            assert!(relative.abs() < 1e-7, "{}: {fit:?}, {}", case.name, case.temperature);
            let relative = fit.standard_error.expect("an optimum") / case.standard_error - 1.0;
            assert!(relative.abs() < 1e-4, "{}: {fit:?}, {}", case.name, case.standard_error);
        }
    }

    #[test]
    fn where_there_is_no_best_temperature_none_is_made_up() {
        // All correct: the colder, the better.
        let fit = fit_temperature(&[2.0, 0.0, 0.0, 1.0], &[0, 1], 2).unwrap();
        assert_eq!((fit.temperature, fit.standard_error, fit.accuracy), (1.0, None, 1.0));
        // All wrong: the hotter, the better.
        let fit = fit_temperature(&[2.0, 0.0, 0.0, 1.0], &[1, 0], 2).unwrap();
        assert_eq!((fit.temperature, fit.standard_error, fit.accuracy), (20.0, None, 0.0));
        // Logits that say nothing.
        let fit = fit_temperature(&[0.5; 6], &[1, 0], 3).unwrap();
        assert_eq!((fit.temperature, fit.standard_error), (1.0, None));
    }

    /// By hand: of two equal margins m one right and three of four right; the best inverse makes the probability 3/4.
    #[test]
    fn four_subtomograms_by_hand() {
        let margin = 5.0f32;
        let fit = fit_temperature(&[margin, 0.0].repeat(4), &[0, 0, 1, 0], 2).unwrap();
        assert!((fit.temperature - 5.0 / 3f64.ln()).abs() < 1e-12, "{fit:?}");
        assert_eq!(fit.accuracy, 0.75);
    }

    #[test]
    fn huge_logits_are_no_trouble() {
        let logits = [3e4, 0.0, -1e4, 0.0, 2e4, 1e4, 0.0, 0.0, 1e4];
        let fit = fit_temperature(&logits, &[1, 1, 2], 3).unwrap();
        assert_eq!(fit.temperature, 20.0);
    }
}
