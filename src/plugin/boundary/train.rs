//! `cinetomo_fine_tune_options` and the fine-tuning call.

use std::ptr;

use cinetomo_abi::{
    cinetomo_balance as BalanceChoice, cinetomo_batch_norm as BatchNormChoice, cinetomo_error,
    cinetomo_fine_tune_options, cinetomo_head as HeadChoice, cinetomo_hooks, cinetomo_model,
    cinetomo_optimizer as OptimizerChoice, cinetomo_regularizer as RegularizerChoice,
    cinetomo_schedule as ScheduleChoice, cinetomo_volume,
};

use super::{
    calibrate::calibration,
    guard::boundary,
    hooks,
    model::{MODELS, ModelObject},
    read::{self, sized_struct},
    volume,
    write::{self, OutHandle},
};
use crate::{
    augment::Augment,
    error::{Error, Result},
    train::{
        self, Balance, BatchNorm, FineTune, HeadStart, OptimizerKind, Preset, Regularizer,
        Schedule, presets,
    },
};

sized_struct!(cinetomo_fine_tune_options, 112, to_c(Preset::Default));

/// Every preset, by its number.
pub(super) const PRESETS: [(i32, Preset); 4] = [
    (Preset::Default as i32, Preset::Default),
    (Preset::PaperVideo as i32, Preset::PaperVideo),
    (Preset::PaperRandom as i32, Preset::PaperRandom),
    (Preset::Probe as i32, Preset::Probe),
];

/// What C sees of a preset. Its milestones live for ever.
fn to_c(preset: Preset) -> cinetomo_fine_tune_options {
    let config = presets::fine_tune(preset);
    let (schedule, milestones, gamma): (_, &'static [i32], f64) = match config.schedule {
        Schedule::Cosine => (ScheduleChoice::Cosine, &[], 0.1),
        Schedule::Constant => (ScheduleChoice::Constant, &[], 0.1),
        Schedule::Step { gamma, .. } => (ScheduleChoice::Step, presets::milestones(preset), gamma),
    };
    cinetomo_fine_tune_options {
        struct_size: size_of::<cinetomo_fine_tune_options>(),
        // 0 stands for `None`.
        learning_rate: config.learning_rate.unwrap_or(0.0),
        momentum: config.momentum,
        weight_decay: config.weight_decay,
        gamma,
        milestones: if milestones.is_empty() { ptr::null() } else { milestones.as_ptr() },
        n_milestones: milestones.len(),
        validation_fraction: config.validation_fraction,
        seed: config.seed,
        n_epochs: config.n_epochs as i32,
        batch_size: config.batch_size as i32,
        n_frozen_stages: config.n_frozen_stages as i32,
        optimizer: config.optimizer as i32,
        schedule: schedule as i32,
        batch_norm: config.batch_norm as i32,
        head: config.head as i32,
        augment: config.augment.bits(),
        select_best: config.select_best.into(),
        regularizer: config.regularizer as i32,
        regularizer_strength: config.regularizer_strength,
        label_smoothing: config.label_smoothing,
        stage_rate_decay: config.stage_rate_decay,
        checkpoint: ptr::null(),
        balance: config.balance as i32,
        micro_batch_size: 0,
        patience: config.patience as i32,
        schedule_interval: config.schedule_interval as i32,
        checkpoint_interval: config.checkpoint_interval as i32,
        reserved: 0,
        calibration: ptr::null(),
        regularizer_stages: ptr::null(),
    }
}

/// Fills `out_options` with the defaults: what was measured to be best at few labels. `struct_size` is
/// `sizeof *out_options`.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_fine_tune_options_init(
    out_options: *mut cinetomo_fine_tune_options,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_options, struct_size)) }
}

/// Fills `out_options` with the training that `preset`, a `CINETOMO_PRESET_*`, names. `struct_size` is
/// `sizeof *out_options`. The milestones in it live as long as the process.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_fine_tune_options_preset(
    out_options: *mut cinetomo_fine_tune_options,
    struct_size: usize,
    preset: i32,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(ptr::null_mut(), || {
            let preset = read::choice(preset, &PRESETS, "preset")?;
            write::init_with(out_options, struct_size, to_c(preset))
        })
    }
}

/// Fine-tunes a model on labelled subtomograms and returns the result as a new model; `model` stays as it is.
///
/// `labels` holds one class per subtomogram, counted from 0; -1 marks one without label, which is left out.
/// `options` (NULL = defaults) and `hooks` may be NULL. Progress comes after every batch. On the CPU the same model,
/// voxels, labels, options and thread count give the same result, bit by bit. The voxels are read again in every epoch.
/// Sets that are larger than memory: extension cinetomo.dataset/1.
///
/// Where subtomograms are held out (`validation_fraction`), the new model is calibrated on them; what could not be learnt
/// from them is logged. Without, its probabilities are the network's own: calibrate it with `cinetomo_model_calibrate`.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT names the option, label or subtomogram; NON_FINITE for voxels, or with the
/// epoch if the loss is no longer a number; MODEL_MISMATCH if the box is too small; OUT_OF_MEMORY; CANCELLED within one
/// batch. [any thread; calls on one model take turns]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_model_fine_tune(
    model: *const cinetomo_model,
    subtomograms: *const cinetomo_volume,
    labels: *const i32,
    n_labels: usize,
    options: *const cinetomo_fine_tune_options,
    hooks: *const cinetomo_hooks,
    out_model: *mut *mut cinetomo_model,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutHandle::new(out_model, "out_model")?;
            let object = MODELS.get(model, "model")?;
            let volume = volume::volume(subtomograms, "subtomograms")?;
            let labels = read::slice(labels, n_labels, "labels")?;
            let config = fine_tune(&read::sized_or_default(options, "options")?)?;
            let mut monitor = hooks::monitor(hooks, &object.context)?;
            object.context.compute();
            let tuned = train::fine_tune(&*object.lock()?, &volume, labels, &config, &mut monitor)?;
            out.write(MODELS.insert(ModelObject::new(object.context.clone(), tuned)));
            Ok(())
        })
    }
}

/// What messages call the stages that DELTA compares.
const STAGES: &str = "options.regularizer_stages";

/// The options that C passed.
///
/// # Safety
/// The milestones are NULL or valid for their length, texts and the calibration options NULL or valid.
pub(super) unsafe fn fine_tune(options: &cinetomo_fine_tune_options) -> Result<FineTune> {
    read::check_reserved(options.reserved, "options")?;
    // SAFETY: passed on from the caller.
    let milestones =
        unsafe { read::slice(options.milestones, options.n_milestones, "options.milestones") }?;
    let schedule = match read::choice(
        options.schedule,
        &[ScheduleChoice::Cosine, ScheduleChoice::Step, ScheduleChoice::Constant]
            .map(|s| (s as i32, s)),
        "options.schedule",
    )? {
        ScheduleChoice::Cosine => Schedule::Cosine,
        ScheduleChoice::Step => Schedule::Step {
            milestones: milestones
                .iter()
                .map(|&epoch| count(epoch, "options.milestones"))
                .collect::<Result<_>>()?,
            gamma: options.gamma,
        },
        ScheduleChoice::Constant => Schedule::Constant,
    };
    let config = FineTune {
        optimizer: read::choice(
            options.optimizer,
            &[
                (OptimizerChoice::Adam as i32, OptimizerKind::Adam),
                (OptimizerChoice::AdamW as i32, OptimizerKind::AdamW),
                (OptimizerChoice::Sgd as i32, OptimizerKind::Sgd),
            ],
            "options.optimizer",
        )?,
        // Exactly 0 means "choose for me"; anything else is checked.
        learning_rate: (options.learning_rate != 0.0).then_some(options.learning_rate),
        momentum: options.momentum,
        weight_decay: options.weight_decay,
        schedule,
        n_epochs: count(options.n_epochs, "options.n_epochs")?,
        batch_size: count(options.batch_size, "options.batch_size")?,
        seed: options.seed,
        validation_fraction: options.validation_fraction,
        select_best: read::choice(
            options.select_best,
            &[(0, false), (1, true)],
            "options.select_best",
        )?,
        n_frozen_stages: count(options.n_frozen_stages, "options.n_frozen_stages")?,
        batch_norm: read::choice(
            options.batch_norm,
            &[
                (BatchNormChoice::Auto as i32, BatchNorm::Auto),
                (BatchNormChoice::Frozen as i32, BatchNorm::Frozen),
                (BatchNormChoice::Recalibrated as i32, BatchNorm::Recalibrated),
                (BatchNormChoice::Trained as i32, BatchNorm::Trained),
            ],
            "options.batch_norm",
        )?,
        head: read::choice(
            options.head,
            &[
                (HeadChoice::Auto as i32, HeadStart::Auto),
                (HeadChoice::Keep as i32, HeadStart::Keep),
                (HeadChoice::Random as i32, HeadStart::Random),
                (HeadChoice::Probe as i32, HeadStart::Probe),
                (HeadChoice::ProbeStages as i32, HeadStart::ProbeStages),
            ],
            "options.head",
        )?,
        augment: Augment::from_bits(options.augment)?,
        regularizer: read::choice(
            options.regularizer,
            &[
                (RegularizerChoice::None as i32, Regularizer::None),
                (RegularizerChoice::L2Sp as i32, Regularizer::L2Sp),
                (RegularizerChoice::Mars as i32, Regularizer::Mars),
                (RegularizerChoice::Delta as i32, Regularizer::Delta),
                (RegularizerChoice::DeltaUniform as i32, Regularizer::DeltaUniform),
            ],
            "options.regularizer",
        )?,
        regularizer_strength: options.regularizer_strength,
        regularizer_stages: match options.regularizer_stages.is_null() {
            true => Vec::new(),
            // SAFETY: passed on from the caller.
            false => names(unsafe { read::text(options.regularizer_stages, STAGES) }?),
        },
        balance: read::choice(
            options.balance,
            &[
                (BalanceChoice::None as i32, Balance::None),
                (BalanceChoice::Weights as i32, Balance::Weights),
                (BalanceChoice::Sampling as i32, Balance::Sampling),
            ],
            "options.balance",
        )?,
        label_smoothing: options.label_smoothing,
        stage_rate_decay: options.stage_rate_decay,
        // 0 means all of a step.
        micro_batch_size: match count(options.micro_batch_size, "options.micro_batch_size")? {
            0 => FineTune::default().micro_batch_size,
            size => size,
        },
        patience: count(options.patience, "options.patience")?,
        schedule_interval: count(options.schedule_interval, "options.schedule_interval")?,
        checkpoint: match options.checkpoint.is_null() {
            true => None,
            // SAFETY: passed on from the caller.
            false => Some(unsafe { read::text(options.checkpoint, "options.checkpoint") }?.into()),
        },
        checkpoint_interval: count(options.checkpoint_interval, "options.checkpoint_interval")?,
        // SAFETY: passed on from the caller.
        calibration: unsafe { calibration(options.calibration, "options.calibration") }?,
    };
    config.validate()?;
    Ok(config)
}

/// Names with commas between them.
fn names(text: &str) -> Vec<String> {
    text.split(',').map(|name| name.trim().to_owned()).collect()
}

fn count(value: i32, argument: &str) -> Result<usize> {
    usize::try_from(value)
        .map_err(|_| Error::invalid(format!("{argument} is {value}; it must not be negative")))
}
