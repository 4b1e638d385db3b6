//! Fine-tuning: from a model and labelled subtomograms to a new model.

use super::{
    balance::{class_weights, epoch_order},
    calibrate::{self, calibrate_tuned},
    config::{BatchNorm, FineTune, OptimizerKind, Regularizer},
    delta::{self, Delta},
    head_start::{self, start_head},
    journal::{FORWARD_WORK, Journal, TRAIN_WORK, tell_choices, tell_epoch},
    optimizer::Optimizer,
    passes::{Passes, Tally, targets},
    regularizer::Anchor,
    resume::{Checkpoint, Run},
    schedule::learning_rate,
    split::{Purpose, Split, batches, epoch_generator, stratified},
    step::{Batch, Stepper},
    trainable::{Best, Trainable},
};
use crate::{
    backbone::{BatchNormMode, layers::spatial_size},
    confidence::Confidence,
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
    let at_once = config.batch_size.min(config.micro_batch_size);
    let largest_batch = at_once.min(split.training.len().max(split.validation.len()));
    let memory = work(model, &config, &split, volume.box_size())?;
    model.warn_of_memory(volume.box_size(), largest_batch, memory, monitor)?;

    let mut tuned = model.duplicate()?;
    // They were those of other weights.
    (tuned.confidence, tuned.mahalanobis) = (Confidence::default(), None);
    let start_work = start_work(model, &config, &split)?;
    let calibration_work = calibrate::work(model, &config.calibration, &split);
    let total = start_work + config.n_epochs * epoch_work(&split) + calibration_work;
    let mut journal = Journal::new(monitor, total);
    let passes = Passes { volume, labels, batch_size: config.batch_size };
    let checkpoint = Checkpoint::of(&config, model, volume, labels, journal.monitor)?;
    let saved = checkpoint.as_ref().map(Checkpoint::open).transpose()?.flatten();
    let mut run = Run::default();
    if let Some(saved) = &saved {
        saved.shape(&mut tuned)?;
    } else {
        if config.batch_norm == BatchNorm::Recalibrated {
            passes.recalibrate(&tuned, &split.training, config.n_frozen_stages, &mut journal)?;
        }
        run.probe = start_head(&mut tuned, &config, &passes, &split.training, &mut journal)?;
    }

    let mut delta = Delta::new(&config, model, &tuned)?;
    if let (Some(delta), None) = (&mut delta, &saved) {
        delta.weigh(&config, &tuned, &passes, &split.training, &mut journal)?;
    }

    let trainable = Trainable::new(&tuned, &config);
    let anchor = Anchor::new(&config, trainable.backbone())?;
    let factors = trainable.rate_factors.iter().copied();
    let mut optimizer = Optimizer::new(&config, trainable.weights.iter().zip(factors))?;
    if let Some(saved) = saved {
        run = saved.restore(&trainable, &mut optimizer, delta.as_ref())?;
        delta.iter().try_for_each(|delta| delta.follow_statistics(&config, &tuned))?;
        journal.skip(start_work + run.n_done * epoch_work(&split));
        journal.monitor.info(format_args!("going on after epoch {}", run.n_done));
    } else if !split.validation.is_empty() {
        let validated = passes.validate(&tuned, &split.validation, &mut journal)?;
        run.epochs.push(record(0, None, Some(&validated)));
        run.best = Some(Best::new(&trainable, validated)?);
    }
    trainable.require_gradients(true)?;
    let class_weights = class_weights(config.balance, &split.n_training_per_class(labels));
    let mut stepper =
        Stepper::new(&tuned, &config, delta.as_ref(), &trainable.weights, &class_weights)?;
    let range = tuned.input_range();

    while run.n_done < config.n_epochs && !is_stale(&config, &run) {
        let epoch = run.n_done + 1;
        (journal.state.epoch, journal.state.n_epochs) = (epoch, config.n_epochs);
        let random = |purpose| epoch_generator(config.seed, purpose, epoch);
        let mut augmentation = random(Purpose::Augment);
        let mut dropout = random(Purpose::Dropout);
        let order =
            epoch_order(config.balance, &split.training, labels, &mut random(Purpose::Shuffle))?;
        let mut tally = Tally::default();
        let mut rate = initial_rate;
        let batches = batches(order.len(), config.batch_size);
        let n_steps = batches.len();
        for (step, (batch, next)) in batches.enumerate() {
            let boxes = &order[batch];
            let input = tuned.prepare(volume, boxes)?;
            volume.announce(&order[next]);
            let size = spatial_size(&input)?;
            let variations = config.augment.draw(boxes.len(), size, &mut augmentation)?;
            let batch = Batch {
                input: variations.apply(&input, range)?,
                targets: targets(&tuned, labels, boxes)?,
                mixup: variations.into_mixup(),
                dropout: Batch::draw_dropout(&tuned, boxes.len(), &mut dropout)?,
            };
            let batch_norm = batch_norm_mode(&config, (epoch - 1) * n_steps + step);
            rate = learning_rate(&config, initial_rate, epoch, step, n_steps);
            let (mut gradients, loss) =
                stepper.gradients(&batch, batch_norm, &mut tally, journal.monitor)?;
            if !loss.is_finite() {
                return Err(diverged(format!("epoch {epoch}, step {}: the loss", step + 1), rate));
            }
            anchor.pull(&mut gradients)?;
            delta.iter().try_for_each(|delta| delta.pull(&trainable.weights, &mut gradients))?;
            optimizer.step(&gradients, rate)?;
            anchor.project()?;
            (journal.state.loss, journal.state.accuracy) = (tally.loss(), tally.accuracy());
            journal.advance(Stage::Train, step, n_steps, boxes.len() * TRAIN_WORK)?;
        }
        // The last step may have gone too far, after its loss was computed.
        if !trainable.is_finite()? {
            return Err(diverged(format!("after epoch {epoch}: a weight"), rate));
        }
        let mut validated = None;
        if let Some(best) = &mut run.best {
            let tally = passes.validate(&tuned, &split.validation, &mut journal)?;
            best.consider(&trainable, epoch, tally)?;
            validated = Some(tally);
        }
        let record = record(epoch, Some((rate, &tally)), validated.as_ref());
        tell_epoch(&record, config.n_epochs, journal.monitor);
        run.epochs.push(record);
        run.n_done = epoch;
        if let Some(checkpoint) = &checkpoint {
            checkpoint.keep(
                &run,
                epoch == config.n_epochs,
                &trainable,
                &optimizer,
                delta.as_ref(),
            )?;
        }
    }

    let selected_epoch = match run.best {
        Some(best) if config.select_best => best.restore(&trainable, journal.monitor)?,
        _ => run.n_done,
    };
    trainable.require_gradients(false)?;
    calibrate_tuned(&mut tuned, &config, &passes, &split, &mut journal)?;
    journal.finish(Stage::Train)?;
    tuned.history.push(TrainingRecord {
        config: serde_json::to_value(&config)
            .map_err(|error| Error::new(ErrorKind::Panic, format!("options as JSON: {error}")))?,
        n_subtomograms: split.n_per_class.iter().sum(),
        n_per_class: split.n_per_class,
        epochs: run.epochs,
        selected_epoch,
        probe: run.probe,
        precision: tuned.network.precision,
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
    check_labels(volume, labels)?;
    let n_stages = model.network.stages.len();
    if config.n_frozen_stages > n_stages {
        return Err(Error::invalid(format!(
            "n_frozen_stages is {}; {} has {n_stages} stages",
            config.n_frozen_stages,
            model.network.spec().name
        )));
    }
    if delta::is_wanted(config) {
        delta::chosen(config, &model.network)?;
    }
    Ok(())
}

/// That there is one label for each subtomogram.
pub(super) fn check_labels(volume: &Volume<'_>, labels: &[i32]) -> Result<()> {
    if labels.len() == volume.len() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{} labels for {} subtomograms; each needs one, -1 if it has none",
        labels.len(),
        volume.len()
    )))
}

/// The work ahead of the first epoch.
fn start_work(model: &Model, config: &FineTune, split: &Split) -> Result<usize> {
    let n_training = split.training.len();
    let recalibration = match config.batch_norm {
        BatchNorm::Recalibrated => n_training * FORWARD_WORK,
        _ => 0,
    };
    Ok(recalibration
        + head_start::work(model, config, n_training)
        + delta::work(config, &model.network, n_training)?
        + split.validation.len() * FORWARD_WORK)
}

/// The work of an epoch.
fn epoch_work(split: &Split) -> usize {
    split.training.len() * TRAIN_WORK + split.validation.len() * FORWARD_WORK
}

/// Whether the validation has not become better for as long as the caller has patience.
fn is_stale(config: &FineTune, run: &Run) -> bool {
    let best_epoch = run.best.as_ref().map_or(run.n_done, |best| best.epoch);
    config.patience > 0 && run.n_done - best_epoch >= config.patience
}

/// What the training keeps in memory.
fn work(model: &Model, config: &FineTune, split: &Split, box_size: [i64; 3]) -> Result<Work> {
    let n_moments = match config.optimizer {
        OptimizerKind::Adam | OptimizerKind::AdamW => 2,
        OptimizerKind::Sgd => u64::from(config.momentum != 0.0),
    };
    let best = u64::from(!split.validation.is_empty());
    let start = u64::from(matches!(config.regularizer, Regularizer::L2Sp | Regularizer::Mars));
    let sums = u64::from(config.micro_batch_size < config.batch_size);
    let n_copies = sums + n_moments + best + start;
    let maps = delta::bytes(config, &model.network, model.input_size(box_size)?)?;
    let n_of_step = config.batch_size.min(split.training.len()) as u64;
    Ok(Work::Training { n_frozen_stages: config.n_frozen_stages, n_copies, maps, n_of_step })
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
