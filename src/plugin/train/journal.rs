//! What a training tells the host: progress in even steps, and log lines.

use super::{config::FineTune, split::Split};
use crate::{
    error::Result,
    model::{EpochRecord, Model},
    monitor::{Monitor, Progress, Stage},
};

/// Ratio of class sizes that users are warned of: above the 3 of the paper's smallest training set.
const IMBALANCE: usize = 10;

/// Below this number, the standard error of an accuracy of 0.8 is more than 9 points.
const FEW_FOR_VALIDATION: usize = 20;

/// Work on one subtomogram: a forward pass without gradients, a training step, and its share of fitting the probe.
///
/// Measured with I3D on two CPU cores. Only the evenness of the progress depends on these.
pub(super) const FORWARD_WORK: usize = 4;
pub(super) const TRAIN_WORK: usize = 4 * FORWARD_WORK;
pub(super) const PROBE_WORK: usize = FORWARD_WORK / 4;

/// Reports progress for a training.
pub(super) struct Journal<'m, 'a> {
    /// Receives progress and log lines.
    pub monitor: &'m mut Monitor<'a>,
    /// What is reported next, but for stage, step and fraction.
    pub state: Progress,
    done: usize,
    total: usize,
}

impl<'m, 'a> Journal<'m, 'a> {
    /// A journal of so much work.
    pub fn new(monitor: &'m mut Monitor<'a>, total: usize) -> Journal<'m, 'a> {
        Journal { monitor, state: Progress::batch(Stage::Features, 0, 0), done: 0, total }
    }

    /// Reports step `step` (from 0) of `n_steps` as done and so much work with it; fails if the host wants to stop.
    pub fn advance(
        &mut self,
        stage: Stage,
        step: usize,
        n_steps: usize,
        work: usize,
    ) -> Result<()> {
        self.done += work;
        let fraction = self.done as f64 / self.total as f64;
        let step = step + 1;
        self.monitor.report(Progress { stage, step, n_steps, fraction, ..self.state })
    }

    /// Counts work as done that an earlier run did.
    pub fn skip(&mut self, work: usize) {
        self.done += work;
    }

    /// Reports that all is done, also what was found not to be needed.
    pub fn finish(&mut self, stage: Stage) -> Result<()> {
        if self.done < self.total {
            self.monitor.report(Progress { stage, fraction: 1.0, ..self.state })?;
        }
        Ok(())
    }

    /// Reports that `part`, 0 to 1, of a piece of work without steps is done; the piece still has to be added.
    pub fn within(&mut self, stage: Stage, part: f64, work: usize) -> Result<()> {
        let fraction = (self.done as f64 + part * work as f64) / self.total as f64;
        self.monitor.report(Progress { stage, fraction, ..self.state })
    }
}

/// Logs what was chosen, and warns of labels that a training should not be judged by.
pub(super) fn tell_choices(model: &Model, config: &FineTune, split: &Split, monitor: &Monitor<'_>) {
    let Split { validation, n_per_class, .. } = split;
    let batch_norm = match model.network.has_batch_norm() {
        true => format!("BatchNorm {:?}", config.batch_norm),
        false => "no BatchNorm".to_owned(),
    };
    monitor.info(format_args!(
        "fine-tuning {}: {n_per_class:?} subtomograms a class, {} of them for validation; {} \
         epochs, {:?} at {:e}, {batch_norm}, head {:?}, {} of {} stages frozen",
        model.network.spec().name,
        validation.len(),
        config.n_epochs,
        config.optimizer,
        config.learning_rate.unwrap_or(f64::NAN),
        config.head,
        config.n_frozen_stages,
        model.network.stages.len(),
    ));
    for (name, _) in model.class_names.iter().zip(n_per_class).filter(|(_, n)| **n == 0) {
        monitor
            .warn(format_args!("class {name:?} has no labelled subtomogram: it cannot be learnt"));
    }
    let present = || n_per_class.iter().filter(|n| **n > 0);
    if let (Some(least), Some(most)) = (present().min(), present().max())
        && most >= &(IMBALANCE * least)
    {
        monitor.warn(format_args!(
            "the largest class has {most} labelled subtomograms, the smallest {least}: rare classes \
             will be missed"
        ));
    }
    if config.validation_fraction > 0.0 && validation.len() < FEW_FOR_VALIDATION {
        monitor.warn(format_args!(
            "only {} subtomograms for validation: its accuracy is a rough guess",
            validation.len()
        ));
    }
}

/// Logs what an epoch came to.
pub(super) fn tell_epoch(record: &EpochRecord, n_epochs: usize, monitor: &Monitor<'_>) {
    let EpochRecord { epoch, loss, accuracy, validation_accuracy, .. } = record;
    let or_nan = |value: &Option<f64>| value.unwrap_or(f64::NAN);
    let validation = match validation_accuracy {
        Some(accuracy) => format!(", validation accuracy {accuracy:.3}"),
        None => String::new(),
    };
    monitor.info(format_args!(
        "epoch {epoch} of {n_epochs}: loss {:.4}, accuracy {:.3}{validation}",
        or_nan(loss),
        or_nan(accuracy)
    ));
}
