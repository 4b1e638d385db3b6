//! Calibration: what a model learns of its own mistakes, on labelled subtomograms that it was not trained on.

use serde::Serialize;

use super::{
    config::FineTune,
    fine_tune::check_labels,
    journal::{FORWARD_WORK, Journal},
    passes::Passes,
    split::{Split, members_of},
};
use crate::{
    allocation::{collected, values},
    confidence::{
        CalibrationRecord, Confidence, Mahalanobis, Reject, Threshold, Wish, fit_temperature,
    },
    error::{Error, Result},
    metrics::{Metrics, evaluate, first_highest},
    model::Model,
    monitor::{Monitor, Stage},
    predict::{Scores, no_class_means},
    volume::Volume,
};

/// Coverage where nothing is wished for: what studies of unknown classes state their errors at (Liang et al. 2018).
const DEFAULT_COVERAGE: f64 = 0.95;

/// Below this number a precision of 0.9 has a 95 % interval of more than 20 points.
const FEW: usize = 40;

/// Relative slack of thresholds: more than what rounding in batches of another size changes, so that the last accepted
/// is accepted again.
const SLACK: f64 = 1e-5;

/// How to calibrate. `Default` gives the defaults of the C contract (`cinetomo_calibration_options`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// Find the temperature; otherwise it is 1.
    pub temperature: bool,
    /// Rules that get a threshold.
    pub reject: Reject,
    /// Wanted fraction of the accepted that is classified correctly, above 0 and at most 1.
    pub precision: Option<f64>,
    /// Wanted fraction that is accepted, above 0 and at most 1. `None`: 0.95 if no precision is wanted either.
    pub coverage: Option<f64>,
}

impl Default for Calibration {
    fn default() -> Calibration {
        Calibration {
            temperature: true,
            reject: Reject { probability: true, distance: false },
            precision: None,
            coverage: None,
        }
    }
}

impl Calibration {
    /// Fails if a value is out of its range.
    pub fn validate(&self) -> Result<()> {
        for (name, wish) in [("precision", self.precision), ("coverage", self.coverage)] {
            if let Some(wish) = wish.filter(|wish| !(*wish > 0.0 && *wish <= 1.0)) {
                return Err(Error::invalid(format!(
                    "{name} is {wish}; it must be above 0 and at most 1, or 0 if none is wanted"
                )));
            }
        }
        Ok(())
    }

    /// Whether labelled subtomograms are needed that the model was not trained on.
    fn wants_validation(&self) -> bool {
        self.temperature || self.reject != Reject::default()
    }

    fn wish(&self) -> Wish {
        let coverage = match (self.precision, self.coverage) {
            (None, None) => Some(DEFAULT_COVERAGE),
            (_, coverage) => coverage,
        };
        Wish { precision: self.precision, coverage }
    }
}

/// A copy of `model` that is calibrated on the subtomograms of `volume` that have a label (-1: none); what an earlier
/// calibration chose is forgotten. They must be others than those of the fine-tuning: on those a model is right and sure.
///
/// # Errors
/// `InvalidArgument` names an option, label or subtomogram that makes no sense, a wish that cannot be met, or a rule on
/// distances for a model without class means; otherwise as `Model::classify`.
pub fn calibrate(
    model: &Model,
    volume: &Volume<'_>,
    labels: &[i32],
    config: &Calibration,
    monitor: &mut Monitor<'_>,
) -> Result<Model> {
    config.validate()?;
    check_labels(volume, labels)?;
    let members = members_of(labels, model.class_names.len())?;
    let mut indices = collected(members.into_iter().flatten())?;
    indices.sort_unstable();
    if indices.is_empty() {
        return Err(Error::invalid(
            "no subtomogram has a label; calibration needs labelled subtomograms that the model was not trained on",
        ));
    }
    if config.reject.distance && model.mahalanobis.is_none() {
        return Err(no_class_means());
    }
    model.check_volume(volume, monitor)?;
    let mut calibrated = model.duplicate()?;
    calibrated.confidence = Confidence::default();
    if !config.wants_validation() {
        return Ok(calibrated);
    }
    let batch_size = model.batch_size(volume.box_size())?;
    let passes = Passes { volume, labels, batch_size };
    let mut journal = Journal::new(monitor, indices.len() * work_of_one(model));
    let scores = passes.scores(&calibrated, &indices, Stage::Validate, &mut journal)?;
    let out_of_reach = settle(&mut calibrated, &scores, &passes, &indices, config, monitor)?;
    match out_of_reach.first() {
        None => Ok(calibrated),
        Some(message) => Err(Error::invalid(message)),
    }
}

/// Calibrates a model that was just trained on `split.training`: class means from these, all else from
/// `split.validation`, if there is any. A wish that cannot be met is logged: the training was long.
pub(super) fn calibrate_tuned(
    tuned: &mut Model,
    training: &FineTune,
    passes: &Passes<'_, '_>,
    split: &Split,
    journal: &mut Journal<'_, '_>,
) -> Result<()> {
    let config = &training.calibration;
    if config.reject.distance {
        let scores = passes.scores(tuned, &split.training, Stage::Embed, journal)?;
        let classes = passes.classes(&split.training)?;
        tuned.mahalanobis = Mahalanobis::fit(&scores.embeddings, &classes)?;
        match &tuned.mahalanobis {
            Some(fitted) => journal.monitor.info(format_args!(
                "class means from {} embeddings, covariance shrunk by {:.3}",
                classes.len(),
                fitted.record.shrinkage
            )),
            None => journal.monitor.warn(format_args!(
                "no class has two training subtomograms that differ: there are no distances"
            )),
        }
    }
    if !config.wants_validation() || split.validation.is_empty() {
        return Ok(());
    }
    if training.select_best && training.n_epochs > 0 {
        journal.monitor.warn(format_args!(
            "the subtomograms that calibrate the model also chose its epoch and flatter it: its probabilities will be too \
             sure; set select_best to 0, or calibrate it on others"
        ));
    }
    let scores = passes.scores(tuned, &split.validation, Stage::Validate, journal)?;
    let out_of_reach = settle(tuned, &scores, passes, &split.validation, config, journal.monitor)?;
    for message in out_of_reach {
        journal.monitor.warn(format_args!("no threshold: {message}"));
    }
    Ok(())
}

/// What `calibrate_tuned` takes.
pub(super) fn work(model: &Model, config: &Calibration, split: &Split) -> usize {
    let training = if config.reject.distance { split.training.len() } else { 0 };
    let validation = if config.wants_validation() { split.validation.len() } else { 0 };
    (training + validation) * work_of_one(model)
}

fn work_of_one(model: &Model) -> usize {
    model.images().len() * FORWARD_WORK
}

/// Gives the model temperature and thresholds by what it says of the subtomograms `indices`; returns what cannot be had.
fn settle(
    model: &mut Model,
    scores: &Scores,
    passes: &Passes<'_, '_>,
    indices: &[usize],
    config: &Calibration,
    monitor: &Monitor<'_>,
) -> Result<Vec<String>> {
    if indices.len() < FEW {
        monitor.warn(format_args!(
            "calibrated on {} subtomograms: temperature and thresholds are rough guesses",
            indices.len()
        ));
    }
    let n_classes = model.class_names.len();
    let classes = passes.classes(indices)?;
    let labels = collected(classes.iter().map(|&class| class as i32))?;
    let measure = |model: &Model| -> Result<(Vec<f32>, Metrics)> {
        let probabilities = values(&model.probabilities(&scores.log_probabilities)?)?;
        let metrics = evaluate(&probabilities, &labels, n_classes)?;
        Ok((probabilities, metrics))
    };
    model.confidence = Confidence::default();
    let (_, before) = measure(model)?;
    let mut temperature_error = None;
    if config.temperature {
        let fit = fit_temperature(&values(&scores.log_probabilities)?, &classes, n_classes)?;
        (model.confidence.temperature, temperature_error) = (fit.temperature, fit.standard_error);
    }
    let (probabilities, after) = measure(model)?;
    tell_temperature(
        model.confidence.temperature,
        temperature_error,
        config,
        &before,
        &after,
        monitor,
    );
    model.confidence.calibration = Some(CalibrationRecord {
        n_subtomograms: indices.len(),
        accuracy: after.accuracy,
        temperature_error,
        log_loss: [before.log_loss, after.log_loss],
        expected_calibration_error: [
            before.expected_calibration_error,
            after.expected_calibration_error,
        ],
    });

    let predicted = probabilities.chunks_exact(n_classes).zip(&classes);
    let predicted: Vec<(f64, bool)> = collected(
        predicted
            .map(|(row, &class)| (row[first_highest(row)].into(), first_highest(row) == class)),
    )?;
    let mut out_of_reach = Vec::new();
    if config.reject.probability {
        let chosen = choose("probability", &predicted, config, monitor, &mut out_of_reach)?;
        model.confidence.probability =
            chosen.map(|t| Threshold { value: t.value * (1.0 - SLACK), ..t });
    }
    if let Some(mahalanobis) = model.mahalanobis.as_ref().filter(|_| config.reject.distance) {
        // The nearer, the surer.
        let distances = values::<f32>(&mahalanobis.distances(&scores.embeddings)?)?;
        let nearness = distances.iter().zip(&predicted);
        let nearness =
            collected(nearness.map(|(&distance, (_, correct))| (-f64::from(distance), *correct)))?;
        let chosen = choose("distance", &nearness, config, monitor, &mut out_of_reach)?;
        model.confidence.distance =
            chosen.map(|t| Threshold { value: -t.value * (1.0 + SLACK), ..t });
    }
    Ok(out_of_reach)
}

/// The threshold of a rule, told in the log; or why there is none, told to the caller.
fn choose(
    rule: &str,
    values: &[(f64, bool)],
    config: &Calibration,
    monitor: &Monitor<'_>,
    out_of_reach: &mut Vec<String>,
) -> Result<Option<Threshold>> {
    Ok(match config.wish().threshold(values)? {
        Ok(threshold) => {
            let [low, high] = threshold.precision_interval();
            monitor.info(format_args!(
                "threshold on {rule} {:.4}: accepts {} of {}, {} of them correct (precision {:.3}; 95 % interval \
                 {low:.3} to {high:.3}, before the choice)",
                threshold.value.abs(),
                threshold.n_accepted,
                threshold.n_subtomograms,
                threshold.n_correct,
                threshold.precision(),
            ));
            Some(threshold)
        }
        Err(shortfall) => {
            let nearest = shortfall.nearest;
            let coverage = match config.coverage {
                Some(coverage) => format!(" at a coverage of {coverage}"),
                None => String::new(),
            };
            out_of_reach.push(format!(
                "a precision of {}{coverage} is out of reach for the rule on {rule}: the nearest on these {} \
                 subtomograms is {:.3} at a coverage of {:.3}; ask for less, or label more",
                config.precision.unwrap_or(f64::NAN),
                nearest.n_subtomograms,
                nearest.precision(),
                nearest.coverage(),
            ));
            None
        }
    })
}

fn tell_temperature(
    temperature: f64,
    error: Option<f64>,
    config: &Calibration,
    before: &Metrics,
    after: &Metrics,
    monitor: &Monitor<'_>,
) {
    let n = before.n_evaluated;
    match error {
        _ if !config.temperature => {}
        Some(error) => monitor.info(format_args!(
            "temperature {temperature:.3} (standard error {error:.3}) by {n} subtomograms: log loss {:.3} becomes \
             {:.3}, calibration error {:.3} becomes {:.3}",
            before.log_loss,
            after.log_loss,
            before.expected_calibration_error,
            after.expected_calibration_error,
        )),
        None if temperature == 1.0 => monitor.warn(format_args!(
            "no temperature can be told from {n} subtomograms of which {:.0} % are classified correctly; it stays 1",
            100.0 * before.accuracy
        )),
        None => monitor.warn(format_args!(
            "the model is wrong more often than chance on these {n} subtomograms: its probabilities are made nearly \
             equal (temperature {temperature})"
        )),
    }
}

#[cfg(test)]
#[path = "calibrate_test.rs"]
mod tests;
