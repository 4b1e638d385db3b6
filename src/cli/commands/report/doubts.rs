//! What to doubt in a measurement, from what it rests on. Thresholds are rules of thumb, stated where they are used.

use serde_json::Value;

use super::{findings::Findings, history, numbers::percent};
use crate::boxes::Contrast;

/// A reason to trust numbers less.
#[derive(Clone, Debug, PartialEq)]
pub struct Doubt {
    /// Whether the numbers should not be quoted before it is settled.
    pub is_serious: bool,
    pub title: String,
    /// Why, and what can be done.
    pub text: String,
}

/// Half the width of a normal distribution's interval that holds 95 %, in standard deviations.
const Z: f64 = 1.96;

/// The interval of 95 % around a fraction of n (Wilson 1927).
pub fn interval(fraction: f64, n: f64) -> [f64; 2] {
    let spread = Z * (fraction * (1.0 - fraction) / n + Z * Z / (4.0 * n * n)).sqrt();
    let centre = fraction + Z * Z / (2.0 * n);
    let scale = 1.0 + Z * Z / n;
    [((centre - spread) / scale).max(0.0), ((centre + spread) / scale).min(1.0)]
}

fn doubt(is_serious: bool, title: impl Into<String>, text: impl Into<String>) -> Doubt {
    Doubt { is_serious, title: title.into(), text: text.into() }
}

/// All reasons, the serious ones first.
pub fn doubts(findings: &Findings) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    of_measurement(findings, &mut doubts);
    of_training(findings, &mut doubts);
    of_probabilities(findings, &mut doubts);
    of_boxes(findings, &mut doubts);
    doubts.sort_by_key(|doubt| !doubt.is_serious);
    doubts
}

fn of_measurement(findings: &Findings, doubts: &mut Vec<Doubt>) {
    let found = &findings.evaluation;
    let n = found.n_evaluated as f64;
    if findings.n_trained_on > 0 {
        doubts.push(doubt(
            true,
            format!("{} of these boxes were in the training", findings.n_trained_on),
            "A network knows what it was trained on by heart: accuracy on such boxes says little about others. Measure on \
             boxes that were labelled but not trained on.",
        ));
    }
    let largest = findings.n_per_class.iter().copied().max().unwrap_or(0) as f64 / n;
    let [low, high] = interval(found.accuracy, n);
    if low <= largest {
        doubts.push(doubt(
            true,
            "Not clearly better than no network at all",
            format!(
                "Calling every box the most frequent class is right for {}; the accuracy is somewhere between {} and {}.",
                percent(largest),
                percent(low),
                percent(high)
            ),
        ));
    }
    // 0.05: differences between methods are usually smaller.
    if high - low > 0.1 {
        doubts.push(doubt(
            false,
            format!("Few boxes to measure on: {}", found.n_evaluated),
            format!(
                "They leave the accuracy anywhere between {} and {} (95 %), and that of single classes less certain still.",
                percent(low),
                percent(high)
            ),
        ));
    }
    let names = &findings.info.class_names;
    let absent: Vec<&str> = (0..names.len())
        .filter(|&class| findings.n_per_class[class] == 0)
        .map(|class| names[class].as_str())
        .collect();
    if !absent.is_empty() {
        doubts.push(doubt(
            true,
            format!("No boxes of {}", absent.join(", ")),
            "Nothing is known of how well these classes are found. The other numbers leave them out.",
        ));
    }
    of_classes(findings, doubts);
}

fn of_classes(findings: &Findings, doubts: &mut Vec<Doubt>) {
    let names = &findings.info.class_names;
    let present = findings.n_per_class.iter().copied().filter(|&n| n > 0);
    let (fewest, most) = (present.clone().min().unwrap_or(0), present.max().unwrap_or(0));
    // 3: where accuracy and balanced accuracy begin to tell different stories.
    if most >= 3 * fewest.max(1) {
        doubts.push(doubt(
            false,
            format!("Classes of different sizes: {fewest} to {most} boxes"),
            "Accuracy is mostly that of the large classes. Look at balanced accuracy and at each class.",
        ));
    }
    let confusion = &findings.evaluation.confusion;
    for (class, metrics) in findings.classes.iter().enumerate() {
        // Half of the boxes lost: the class is not found.
        if metrics.n_examples == 0 || metrics.recall >= 0.5 {
            continue;
        }
        let row = &confusion[class * names.len()..(class + 1) * names.len()];
        let others = row.iter().enumerate().filter(|&(other, &n)| other != class && n > 0);
        let text = match others.max_by_key(|(_, n)| **n) {
            Some((other, n)) => format!(
                "Most often ({n} of {}) it is taken for {}. More labels of both would help most.",
                metrics.n_examples, names[other]
            ),
            None => String::new(),
        };
        let title =
            format!("{} is found in {} of its boxes", names[class], percent(metrics.recall));
        doubts.push(doubt(false, title, text));
    }
}

fn of_training(findings: &Findings, doubts: &mut Vec<Doubt>) {
    let Some(training) = history::trainings(&findings.metadata).last() else {
        doubts.push(doubt(
            true,
            "This model was never trained on subtomograms",
            "Its head is still what it started from. Fine-tune it first.",
        ));
        return;
    };
    let n_per_class: Vec<u64> = training["n_per_class"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_u64)
        .collect();
    let fewest = n_per_class.iter().copied().min().unwrap_or(0);
    // 10: what the measurements of this software begin at.
    if fewest < 10 {
        doubts.push(doubt(
            false,
            format!("Few labels: {fewest} in the smallest class"),
            "Another choice of boxes to label would give another model. Label more, or train with several seeds and see how \
             far the results differ.",
        ));
    }
    let fraction = training["config"]["validation_fraction"].as_f64().unwrap_or(0.0);
    let n_held_out = fraction * fewest as f64;
    if fraction == 0.0 {
        doubts.push(doubt(
            false,
            "Trained without validation",
            "Nothing watched the training for overfitting, and the epoch was not chosen. With labels enough, hold some out \
             (--validation 0.2).",
        ));
    } else if n_held_out < 5.0 {
        doubts.push(doubt(
            false,
            format!("A small validation: {} boxes of the smallest class", n_held_out.round()),
            "The epoch, and the calibration, were chosen by a handful of boxes.",
        ));
    }
    let last = training["epochs"].as_array().and_then(|epochs| epochs.last());
    let on_training = last.and_then(|epoch| epoch["accuracy"].as_f64()).unwrap_or(f64::NAN);
    let gap = on_training - findings.evaluation.accuracy;
    // 0.15: beyond what few boxes explain.
    if gap > 0.15 {
        doubts.push(doubt(
            false,
            format!("Overfitted: {} on its training boxes", percent(on_training)),
            format!(
                "That is {:.0} points more than here. More labels, or labels from more tomograms, close the gap.",
                100.0 * gap
            ),
        ));
    }
}

fn of_probabilities(findings: &Findings, doubts: &mut Vec<Doubt>) {
    let found = &findings.evaluation;
    if findings.confidence.n_calibration == 0 {
        doubts.push(doubt(
            false,
            "Probabilities are not calibrated",
            "They rank boxes, but 0.9 need not mean right in nine of ten cases. cinetomo calibrate learns that from labelled \
             boxes of their own.",
        ));
    }
    // 0.1: a tenth off on average; below it few boxes alone explain the error.
    if found.expected_calibration_error > 0.1 {
        doubts.push(doubt(
            false,
            format!("Probabilities are off by {} on average", percent(found.expected_calibration_error)),
            "See the reliability diagram: points below the diagonal are too sure. Do not choose boxes by these probabilities \
             before calibrating. Of few boxes the error comes out too large.",
        ));
    }
    doubts.push(doubt(
        false,
        "Every box gets one of the known classes",
        format!(
            "Particles of other kinds, ice and gold too, are put into {}. {}",
            if findings.info.class_names.len() == 1 { "it" } else { "one of them" },
            if findings.confidence.n_calibration > 0 {
                "The option reject of cinetomo classify leaves out what is unlikely."
            } else {
                "A calibrated model can leave out what is unlikely; a class for \"other\" helps, too."
            }
        ),
    ));
}

fn of_boxes(findings: &Findings, doubts: &mut Vec<Doubt>) {
    let (model, boxes) = (findings.info.voxel_size, findings.voxel_size);
    // 5 %: about what magnifications are known to.
    if model > 0.0 && boxes > 0.0 && (model / boxes - 1.0).abs() > 0.05 {
        doubts.push(doubt(
            true,
            "Another voxel size",
            format!("The model was trained on voxels of {model} angstrom; these have {boxes}. Particles look larger or smaller to it."),
        ));
    }
    let contrast = findings.contrast.of_contract() as i32;
    if findings.contrast != Contrast::Unknown
        && findings.info.contrast > 0
        && findings.info.contrast != contrast
    {
        doubts.push(doubt(
            true,
            "The other contrast",
            "The model was trained on boxes whose particles have the other sign.",
        ));
    }
    let n_of_unknown: usize = findings.n_of_unknown.values().sum();
    if n_of_unknown > 0 {
        let classes = findings.n_of_unknown.iter().map(|(class, n)| format!("{class} {n}"));
        let classes: Vec<String> = classes.collect();
        doubts.push(doubt(
            false,
            format!("{n_of_unknown} boxes are of classes that the model does not know"),
            format!(
                "They are {}, and in none of the numbers here. Each gets a known class, unless --reject leaves it out: \
                 cinetomo evaluate tells how often it does.",
                classes.join(", ")
            ),
        ));
    }
    if findings.n_without_label > 0 {
        doubts.push(doubt(
            false,
            format!("{} boxes without a label were left out", findings.n_without_label),
            "If hard boxes were left unlabelled, the numbers here are too good.",
        ));
    }
    if !findings.has_groups {
        doubts.push(doubt(
            false,
            "Whether tomograms are shared is not known",
            "Boxes of a tomogram resemble each other. If training and test boxes come from the same tomograms, expect less in \
             a new one. A column \"group\" in the labels names tomograms.",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of statsmodels 0.15.0, `proportion_confint(..., method="wilson")`.
    #[test]
    fn intervals_are_wilsons() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-4;
        let [low, high] = interval(0.8, 50.0);
        assert!(close(low, 0.669_629) && close(high, 0.887_562), "{low} {high}");
        let [low, high] = interval(1.0, 10.0);
        assert!(close(low, 0.722_467) && close(high, 1.0), "{low} {high}");
    }
}
