//! Fine-tuning: from a model and labelled subtomograms to a new model.

use rand::seq::SliceRandom;
use tch::Tensor;

use super::{
    config::{BatchNorm, FineTune, OptimizerKind},
    head_start::{self, start_head},
    journal::{FORWARD_WORK, Journal, TRAIN_WORK, tell_choices, tell_epoch},
    optimizer::Optimizer,
    passes::{Passes, Tally, cross_entropy, targets, training_logits},
    schedule::learning_rate,
    split::{Purpose, Split, batches, generator, stratified},
    trainable::{Best, Trainable},
};
use crate::{
    backbone::BatchNormMode,
    error::{Error, ErrorKind, Result},
    memory::Work,
    model::{EpochRecord, Model, Origin, TrainingRecord},
    monitor::{Monitor, Stage},
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
    let config = config.suited_to(&model.network, from_video && last.is_none(), monitor);
    let (config, initial_rate) = config.resolve(model.network.spec(), from_video, last);
    let split =
        stratified(labels, model.class_names.len(), config.validation_fraction, config.seed)?;
    tell_choices(model, &config, &split, monitor);
    let largest_batch = config.batch_size.min(split.training.len().max(split.validation.len()));
    model.warn_of_memory(volume.box_size(), largest_batch, work(&config, &split), monitor)?;

    let mut tuned = model.duplicate()?;
    let mut journal = Journal::new(monitor, total_work(&config, &split));
    let passes = Passes { volume, labels, batch_size: config.batch_size };
    if config.batch_norm == BatchNorm::Recalibrated {
        passes.recalibrate(&tuned, &split.training, config.n_frozen_stages, &mut journal)?;
    }
    let probe = start_head(&mut tuned, &config, &passes, &split.training, &mut journal)?;

    let trainable = Trainable::new(&tuned, config.n_frozen_stages);
    trainable.require_gradients(true)?;
    let mut optimizer = Optimizer::new(&config, &trainable.weights)?;
    let mut shuffling = generator(config.seed, Purpose::Shuffle);
    let mut augmentation = generator(config.seed, Purpose::Augment);
    let mut dropout = generator(config.seed, Purpose::Dropout);
    let mut epochs = Vec::new();
    let mut best = None;
    if !split.validation.is_empty() {
        let validated = passes.validate(&tuned, &split.validation, &mut journal)?;
        epochs.push(record(0, None, Some(&validated)));
        if config.select_best {
            best = Some(Best::new(&trainable, validated)?);
        }
    }

    let mut order = split.training.clone();
    for epoch in 1..=config.n_epochs {
        (journal.state.epoch, journal.state.n_epochs) = (epoch, config.n_epochs);
        order.shuffle(&mut shuffling);
        let mut tally = Tally::default();
        let mut rate = initial_rate;
        let batches = batches(order.len(), config.batch_size);
        let n_steps = batches.len();
        for (step, batch) in batches.enumerate() {
            let boxes = &order[batch];
            let input = tuned.prepare(volume, boxes)?;
            let input = config.augment.draw(boxes.len(), &mut augmentation).apply(&input)?;
            let targets = targets(&tuned, labels, boxes)?;
            let batch_norm = batch_norm_mode(&config, (epoch - 1) * n_steps + step);
            rate = learning_rate(&config, initial_rate, epoch, step, n_steps);
            // The host may have switched gradients off for this thread.
            let (logits, loss) = tch::with_grad(|| -> Result<(Tensor, Tensor)> {
                let logits = training_logits(&tuned, &input, &config, batch_norm, &mut dropout)?;
                let loss = cross_entropy(&logits, &targets)?;
                optimizer.step(&loss, rate)?;
                Ok((logits, loss))
            })?;
            let loss = tally.add(&logits, &targets, &loss)?;
            if !loss.is_finite() {
                return Err(diverged(format!("epoch {epoch}, step {}: the loss", step + 1), rate));
            }
            (journal.state.loss, journal.state.accuracy) = (tally.loss(), tally.accuracy());
            journal.advance(Stage::Train, step, n_steps, boxes.len() * TRAIN_WORK)?;
        }
        // The last step may have gone too far, after its loss was computed.
        if !trainable.is_finite()? {
            return Err(diverged(format!("after epoch {epoch}: a weight"), rate));
        }
        let mut validated = None;
        if !split.validation.is_empty() {
            let tally = passes.validate(&tuned, &split.validation, &mut journal)?;
            if let Some(best) = &mut best {
                best.consider(&trainable, epoch, tally)?;
            }
            validated = Some(tally);
        }
        let record = record(epoch, Some((rate, &tally)), validated.as_ref());
        tell_epoch(&record, config.n_epochs, journal.monitor);
        epochs.push(record);
    }

    let selected_epoch = match best {
        Some(best) => best.restore(&trainable, journal.monitor)?,
        None => config.n_epochs,
    };
    optimizer.release_gradients()?;
    trainable.require_gradients(false)?;
    tuned.history.push(TrainingRecord {
        config: serde_json::to_value(&config)
            .map_err(|error| Error::new(ErrorKind::Panic, format!("options as JSON: {error}")))?,
        n_subtomograms: split.n_per_class.iter().sum(),
        n_per_class: split.n_per_class,
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
            config.n_frozen_stages,
            model.network.spec().name
        )));
    }
    Ok(())
}

/// All the work, for even progress.
fn total_work(config: &FineTune, split: &Split) -> usize {
    let (n_training, n_validation) = (split.training.len(), split.validation.len());
    let recalibration = match config.batch_norm {
        BatchNorm::Recalibrated => n_training * FORWARD_WORK,
        _ => 0,
    };
    let training = config.n_epochs * n_training * TRAIN_WORK;
    let validation = (config.n_epochs + 1) * n_validation * FORWARD_WORK;
    recalibration + head_start::work(config, n_training) + training + validation
}

/// What the training keeps in memory.
fn work(config: &FineTune, split: &Split) -> Work {
    let n_moments = match config.optimizer {
        OptimizerKind::Adam | OptimizerKind::AdamW => 2,
        OptimizerKind::Sgd => u64::from(config.momentum != 0.0),
    };
    let best = u64::from(config.select_best && !split.validation.is_empty());
    Work::Training { n_frozen_stages: config.n_frozen_stages, n_copies: 1 + n_moments + best }
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

#[cfg(test)]
#[path = "fine_tune_test.rs"]
mod tests;
