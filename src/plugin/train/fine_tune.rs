//! Fine-tuning: from a model and labelled subtomograms to a new model.

use rand::seq::SliceRandom;
use tch::Tensor;

use super::{
    config::{BatchNorm, FineTune, HeadStart},
    journal::{Journal, work},
    optimizer::Optimizer,
    passes::{Passes, Tally, cross_entropy, targets, training_logits},
    probe,
    schedule::learning_rate,
    split::{Purpose, Split, batches, generator, stratified},
};
use crate::{
    backbone::BatchNormMode,
    error::{Error, ErrorKind, Result},
    model::{EpochRecord, Head, Model, Origin, ProbeRecord, TrainingRecord},
    monitor::{Monitor, Stage},
    parameters::Role,
    volume::{Contrast, Volume},
};

/// Fine-tunes a copy of `model` on the subtomograms of `volume` that have a label: `labels[i]` is the class of
/// subtomogram i, -1 one that is left out. The voxels are read again in every epoch.
///
/// # Errors
/// `InvalidArgument` names an option, label or subtomogram that makes no sense, `ModelMismatch` a box that is too
/// small; `NonFinite` if a voxel, the loss or a weight is no longer a number; `Cancelled`; `OutOfMemory`.
pub fn fine_tune(
    model: &Model,
    volume: &Volume<'_>,
    labels: &[i32],
    config: &FineTune,
    monitor: &mut Monitor<'_>,
) -> Result<Model> {
    check(model, volume, labels, config)?;
    model.check_volume(volume, monitor)?;
    let from_video = matches!(model.origin, Origin::Video { .. });
    let last = model.history.last().map(|record| FineTune::recorded_batch_norm(&record.config));
    let config = config.resolve(from_video, last);
    let initial_rate = config.initial_learning_rate(from_video);
    let Split { training, validation } =
        stratified(labels, model.class_names.len(), config.validation_fraction, config.seed)?;
    let n_per_class = count(labels, model.class_names.len());
    tell_choices(model, &config, &n_per_class, &validation, monitor);

    let mut tuned = model.duplicate()?;
    let mut journal = Journal::new(monitor, total_work(&config, training.len(), validation.len()));
    let passes = Passes { volume, labels, batch_size: config.batch_size };
    if config.batch_norm == BatchNorm::Recalibrated {
        passes.recalibrate(&tuned, &training, config.n_frozen_stages, &mut journal)?;
    }
    let probe = start_head(&mut tuned, &config, &passes, &training, &mut journal)?;

    let weights = trained_tensors(&tuned, config.n_frozen_stages, Role::Weight);
    for weight in &weights {
        let _ = weight.f_set_requires_grad(true)?;
    }
    let mut optimizer = Optimizer::new(&config, &weights)?;
    let mut shuffling = generator(config.seed, Purpose::Shuffle);
    let mut augmentation = generator(config.seed, Purpose::Augment);
    let mut dropout = generator(config.seed, Purpose::Dropout);
    let mut epochs: Vec<EpochRecord> = Vec::new();
    let mut best: Option<Best> = None;
    if !validation.is_empty() {
        let tally = passes.validate(&tuned, &validation, &mut journal)?;
        epochs.push(record(0, None, Some(&tally)));
        if config.select_best {
            best = Some(Best::new(&tuned, config.n_frozen_stages, tally)?);
        }
    }

    let mut order = training;
    for epoch in 1..=config.n_epochs {
        (journal.state.epoch, journal.state.n_epochs) = (epoch, config.n_epochs);
        order.shuffle(&mut shuffling);
        let mut tally = Tally::default();
        let mut rate = initial_rate;
        let batches = batches(order.len(), config.batch_size);
        let n_steps = batches.len();
        for (step, batch) in batches.enumerate() {
            let boxes = &order[batch];
            rate = learning_rate(&config, initial_rate, epoch, step, n_steps);
            let input = tuned.prepare(volume, boxes)?;
            let input = config.augment.draw(boxes.len(), &mut augmentation).apply(&input)?;
            let targets = targets(&tuned, labels, boxes)?;
            // The host may have switched gradients off for this thread.
            let (logits, loss) = tch::with_grad(|| -> Result<(Tensor, Tensor)> {
                let n_frozen = config.n_frozen_stages;
                let batch_norm = batch_norm_mode(&config, (epoch - 1) * n_steps + step);
                let logits = training_logits(&tuned, &input, n_frozen, batch_norm, &mut dropout)?;
                let loss = cross_entropy(&logits, &targets)?;
                optimizer.step(&loss, rate)?;
                Ok((logits, loss))
            })?;
            let loss = tally.add(&logits, &targets, &loss)?;
            if !loss.is_finite() {
                return Err(diverged(format!("epoch {epoch}, step {}: the loss", step + 1), rate));
            }
            (journal.state.loss, journal.state.accuracy) = (tally.loss(), tally.accuracy());
            journal.advance(Stage::Train, step, n_steps, boxes.len() * work::TRAIN)?;
        }

        let validated = if validation.is_empty() {
            None
        } else {
            Some(passes.validate(&tuned, &validation, &mut journal)?)
        };
        epochs.push(record(epoch, Some((rate, &tally)), validated.as_ref()));
        if let Some((best, tally)) = best.as_mut().zip(validated) {
            best.consider(epoch, tally)?;
        }
        tell_epoch(epochs.last(), config.n_epochs, journal.monitor);
    }

    let selected_epoch = match best {
        Some(best) => best.restore(journal.monitor)?,
        None => config.n_epochs,
    };
    optimizer.release_gradients()?;
    for weight in &weights {
        let _ = weight.f_set_requires_grad(false)?;
    }
    // The last step may have gone too far, after its loss was computed.
    let statistics = trained_tensors(&tuned, config.n_frozen_stages, Role::Statistic);
    for tensor in weights.iter().chain(&statistics) {
        if tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
            return Err(diverged("after the last step: a weight".to_owned(), initial_rate));
        }
    }
    tuned.history.push(TrainingRecord {
        config: serde_json::to_value(&config)
            .map_err(|error| Error::new(ErrorKind::Panic, format!("options as JSON: {error}")))?,
        n_subtomograms: n_per_class.iter().sum(),
        n_per_class,
        epochs,
        selected_epoch,
        probe,
    });
    // What this volume does not state, an earlier one may have stated.
    if volume.voxel_size() > 0.0 {
        tuned.voxel_size = volume.voxel_size();
    }
    if volume.contrast() != Contrast::Unknown {
        tuned.contrast = volume.contrast();
    }
    Ok(tuned)
}

fn check(model: &Model, volume: &Volume<'_>, labels: &[i32], config: &FineTune) -> Result<()> {
    config.validate()?;
    if labels.len() != volume.len() {
        return Err(Error::invalid(format!(
            "{} labels for {} subtomograms; each needs one, -1 if it has none",
            labels.len(),
            volume.len()
        )));
    }
    let n_stages = model.network.stages.len();
    if config.n_frozen_stages > n_stages {
        return Err(Error::invalid(format!(
            "n_frozen_stages is {}; {} has {n_stages} stages",
            config.n_frozen_stages, model.network.spec.name
        )));
    }
    Ok(())
}

/// Labelled subtomograms of each class; the labels are in range or -1.
fn count(labels: &[i32], n_classes: usize) -> Vec<usize> {
    let mut counts = vec![0; n_classes];
    for &label in labels.iter().filter(|label| **label >= 0) {
        counts[label as usize] += 1;
    }
    counts
}

fn total_work(config: &FineTune, n_training: usize, n_validation: usize) -> usize {
    let recalibration = match config.batch_norm {
        BatchNorm::Recalibrated => n_training * work::FORWARD,
        _ => 0,
    };
    let head = match config.head {
        HeadStart::Probe => n_training * (work::FORWARD + work::PROBE),
        _ => 0,
    };
    let training = config.n_epochs * n_training * work::TRAIN;
    let validation = (config.n_epochs + 1) * n_validation * work::FORWARD;
    recalibration + head + training + validation
}

/// How BatchNorm works in step `step`, counted from 0 over the whole training.
///
/// TRAINED: the running statistics are the mean over the first ten batches, then follow with PyTorch's default momentum,
/// as in the paper's code. A network's own momentum suits its training on video: I3D's 0.001 would hardly move them in
/// the few steps of a fine-tuning.
fn batch_norm_mode(config: &FineTune, step: usize) -> BatchNormMode {
    const MOMENTUM: f64 = 0.1;
    match config.batch_norm {
        BatchNorm::Trained => BatchNormMode::Estimate((1.0 / (step + 1) as f64).max(MOMENTUM)),
        _ => BatchNormMode::Running,
    }
}

/// Gives the model the head that the training starts from.
fn start_head(
    tuned: &mut Model,
    config: &FineTune,
    passes: &Passes<'_>,
    training: &[usize],
    journal: &mut Journal<'_, '_>,
) -> Result<Option<ProbeRecord>> {
    let n_classes = tuned.class_names.len();
    match config.head {
        HeadStart::Auto | HeadStart::Keep => Ok(None),
        HeadStart::Random => {
            let n_features = tuned.network.spec.n_features;
            tuned.head = Head::random(n_classes, n_features, config.seed, tuned.device)?;
            Ok(None)
        }
        HeadStart::Probe => {
            let features = passes.features(tuned, training, journal)?;
            let classes: Vec<usize> =
                training.iter().map(|&index| passes.labels[index] as usize).collect();
            let work = classes.len() * work::PROBE;
            let (head, probe) =
                probe::fit(&features, &classes, n_classes, config.seed, &mut |part| {
                    journal.within(Stage::Probe, part, work)
                })?;
            journal.advance(Stage::Probe, 0, 1, work)?;
            tuned.head = head;
            let accuracy = match probe.cross_validated_accuracy {
                Some(accuracy) => format!("{accuracy:.3} accurate by cross-validation"),
                None => "a class of one example does not allow cross-validation".to_owned(),
            };
            journal.monitor.info(format_args!("probe: penalty {}, {accuracy}", probe.penalty));
            Ok(Some(probe))
        }
    }
}

/// What the training changes: tensors of that role in the stages from `n_frozen` on and, if weights, the head.
fn trained_tensors(model: &Model, n_frozen: usize, role: Role) -> Vec<Tensor> {
    let mut tensors: Vec<Tensor> = model
        .network
        .parameters
        .iter()
        .filter(|parameter| parameter.role == role && parameter.stage >= n_frozen)
        .map(|parameter| parameter.tensor.shallow_clone())
        .collect();
    if role == Role::Weight {
        tensors.extend([model.head.weight.shallow_clone(), model.head.bias.shallow_clone()]);
    }
    tensors
}

/// The epoch with the best validation so far, and what the model was then: a copy on the device of all that training
/// changes.
struct Best {
    epoch: usize,
    tally: Tally,
    /// The model's tensor, and its values in that epoch.
    tensors: Vec<(Tensor, Tensor)>,
}

impl Best {
    /// The start, epoch 0.
    fn new(model: &Model, n_frozen: usize, tally: Tally) -> Result<Best> {
        let mut tensors = trained_tensors(model, n_frozen, Role::Weight);
        tensors.extend(trained_tensors(model, n_frozen, Role::Statistic));
        let tensors = tensors
            .into_iter()
            .map(|tensor| Ok((tensor.shallow_clone(), tensor.f_detach_copy()?)))
            .collect::<Result<_>>()?;
        Ok(Best { epoch: 0, tally, tensors })
    }

    fn consider(&mut self, epoch: usize, tally: Tally) -> Result<()> {
        if !tally.beats(&self.tally) {
            return Ok(());
        }
        (self.epoch, self.tally) = (epoch, tally);
        let _guard = tch::no_grad_guard();
        for (tensor, copy) in &mut self.tensors {
            copy.f_copy_(tensor)?;
        }
        Ok(())
    }

    /// Makes the model what it was then, and returns the epoch.
    fn restore(self, monitor: &Monitor<'_>) -> Result<usize> {
        let _guard = tch::no_grad_guard();
        for (mut tensor, copy) in self.tensors {
            tensor.f_copy_(&copy)?;
        }
        let accuracy = self.tally.accuracy();
        monitor.info(format_args!(
            "returning epoch {}: validation accuracy {accuracy:.3}",
            self.epoch
        ));
        Ok(self.epoch)
    }
}

fn record(epoch: usize, trained: Option<(f64, &Tally)>, validated: Option<&Tally>) -> EpochRecord {
    EpochRecord {
        epoch,
        learning_rate: trained.map(|(rate, _)| rate),
        loss: trained.map(|(_, tally)| tally.loss()),
        accuracy: trained.map(|(_, tally)| tally.accuracy()),
        validation_loss: validated.map(Tally::loss),
        validation_accuracy: validated.map(Tally::accuracy),
    }
}

fn diverged(what: String, rate: f64) -> Error {
    Error::new(
        ErrorKind::NonFinite,
        format!("{what} is NaN or infinite; lower the learning rate (now {rate:e})"),
    )
}

/// Logs what was chosen, and warns of labels that a training should not be judged by.
fn tell_choices(
    model: &Model,
    config: &FineTune,
    n_per_class: &[usize],
    validation: &[usize],
    monitor: &Monitor<'_>,
) {
    monitor.info(format_args!(
        "fine-tuning {}: {n_per_class:?} subtomograms a class, {} of them for validation; {} \
         epochs, {:?} at {:e}, BatchNorm {:?}, head {:?}, {} of {} stages frozen",
        model.network.spec.name,
        validation.len(),
        config.n_epochs,
        config.optimizer,
        config.learning_rate.unwrap_or(f64::NAN),
        config.batch_norm,
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

/// Ratio of class sizes that users are warned of: above the 3 of the paper's smallest training set.
const IMBALANCE: usize = 10;

/// Below this number, the standard error of an accuracy of 0.8 is more than 9 points.
const FEW_FOR_VALIDATION: usize = 20;

fn tell_epoch(record: Option<&EpochRecord>, n_epochs: usize, monitor: &Monitor<'_>) {
    let Some(EpochRecord { epoch, loss: Some(loss), accuracy: Some(accuracy), .. }) = record else {
        return;
    };
    let validation = match record.and_then(|record| record.validation_accuracy) {
        Some(accuracy) => format!(", validation accuracy {accuracy:.3}"),
        None => String::new(),
    };
    monitor.info(format_args!(
        "epoch {epoch} of {n_epochs}: loss {loss:.4}, accuracy {accuracy:.3}{validation}"
    ));
}

#[cfg(test)]
#[path = "fine_tune_test.rs"]
mod tests;
