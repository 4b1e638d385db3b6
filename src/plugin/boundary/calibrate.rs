//! Calibration: `cinetomo_calibration_options`, the call, and what a model tells of it.

use std::ptr;

use cinetomo_abi::{
    cinetomo_calibration_options, cinetomo_confidence, cinetomo_error, cinetomo_hooks,
    cinetomo_model, cinetomo_threshold, cinetomo_volume,
};

use super::{
    guard::boundary,
    hooks,
    model::{MODELS, ModelObject},
    read::{self, sized_struct},
    volume,
    write::{self, OutHandle},
};
use crate::{
    confidence::{Confidence, Mahalanobis, Reject, Threshold},
    error::Result,
    model::Model,
    train::{self, Calibration},
};

sized_struct!(cinetomo_calibration_options, 32, {
    let config = Calibration::default();
    cinetomo_calibration_options {
        struct_size: size_of::<cinetomo_calibration_options>(),
        // 0 stands for `None`; the rest is the Rust side's.
        precision: 0.0,
        coverage: 0.0,
        temperature: config.temperature.into(),
        reject: config.reject.bits(),
    }
});

/// Fills `out_options` with the defaults: a temperature, and a threshold on probabilities that accepts 95 %.
/// `struct_size` is `sizeof *out_options`.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_calibration_options_init(
    out_options: *mut cinetomo_calibration_options,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_options, struct_size)) }
}

/// The options that C passed; NULL means the defaults.
///
/// # Safety
/// `options` is NULL or a valid `cinetomo_calibration_options`.
pub(super) unsafe fn calibration(
    options: *const cinetomo_calibration_options,
    argument: &str,
) -> Result<Calibration> {
    // SAFETY: passed on from the caller.
    let options = unsafe { read::sized_or_default(options, argument) }?;
    // Exactly 0 means that nothing is asked; anything else is checked.
    let wish = |fraction: f64| (fraction != 0.0).then_some(fraction);
    let config = Calibration {
        temperature: read::choice(
            options.temperature,
            &[(0, false), (1, true)],
            &format!("{argument}.temperature"),
        )?,
        reject: Reject::from_bits(options.reject).map_err(|error| error.within(argument))?,
        precision: wish(options.precision),
        coverage: wish(options.coverage),
    };
    config.validate().map_err(|error| error.within(argument))?;
    Ok(config)
}

/// Calibrates a model on labelled subtomograms that it was not trained on, and returns the result as a new model; `model`
/// stays as it is. The new one's probabilities say how often it is right, and it has the thresholds that
/// `cinetomo_model_predict` rejects by. What an earlier calibration found is forgotten. `cinetomo_model_fine_tune` does
/// the same by itself on the subtomograms that it holds out (`validation_fraction`).
///
/// `labels` holds one class per subtomogram, counted from 0; -1 marks one without label, which is left out. On
/// subtomograms that the model was trained on it is right and sure, and would stay so: take others. A few dozen are
/// needed at least; `cinetomo_model_confidence_get` and the log say what the result is worth. `options` (NULL = defaults)
/// and `hooks` may be NULL.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT names the option, label or subtomogram, and says what could be had if a wanted
/// precision or coverage cannot, or that the model has no class means to measure distances from; NON_FINITE;
/// MODEL_MISMATCH if the box is too small; OUT_OF_MEMORY; CANCELLED. [any thread; calls on one model take turns]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_model_calibrate(
    model: *const cinetomo_model,
    subtomograms: *const cinetomo_volume,
    labels: *const i32,
    n_labels: usize,
    options: *const cinetomo_calibration_options,
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
            let config = calibration(options, "options")?;
            let mut monitor = hooks::monitor(hooks, &object.context)?;
            object.context.compute();
            let calibrated =
                train::calibrate(&*object.lock()?, &volume, labels, &config, &mut monitor)?;
            out.write(MODELS.insert(ModelObject::new(object.context.clone(), calibrated)));
            Ok(())
        })
    }
}

sized_struct!(cinetomo_confidence, 136, to_c(&Confidence::default(), None));

/// Fills `out_confidence` with that of a model that was never calibrated. `struct_size` is `sizeof *out_confidence`.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_confidence_init(
    out_confidence: *mut cinetomo_confidence,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_confidence, struct_size)) }
}

/// Tells how sure a model is: its temperature, the thresholds that it can reject by, and what they rest on.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_model_confidence_get(
    model: *const cinetomo_model,
    out_confidence: *mut cinetomo_confidence,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let object = MODELS.get(model, "model")?;
            let struct_size = write::stated_size(out_confidence, "out_confidence")?;
            write::sized(out_confidence, struct_size, object.confidence());
            Ok(())
        })
    }
}

/// The confidence of a model, as C sees it.
pub(super) fn confidence(model: &Model) -> cinetomo_confidence {
    to_c(&model.confidence, model.mahalanobis.as_ref())
}

fn to_c(confidence: &Confidence, mahalanobis: Option<&Mahalanobis>) -> cinetomo_confidence {
    let calibration = confidence.calibration.as_ref();
    let [before, after] = calibration.map_or([f64::NAN; 2], |record| record.log_loss);
    cinetomo_confidence {
        struct_size: size_of::<cinetomo_confidence>(),
        n_calibration: calibration.map_or(0, |record| record.n_subtomograms as i64),
        temperature: confidence.temperature,
        temperature_error: calibration
            .and_then(|record| record.temperature_error)
            .unwrap_or(f64::NAN),
        log_loss_before: before,
        log_loss_after: after,
        probability: threshold(confidence.probability),
        distance: threshold(confidence.distance),
        n_class_means: mahalanobis.map_or(0, |fitted| fitted.record.n_subtomograms as i64),
    }
}

fn threshold(threshold: Option<Threshold>) -> cinetomo_threshold {
    let [precision_low, precision_high] =
        threshold.map_or([f64::NAN; 2], |threshold| threshold.precision_interval());
    cinetomo_threshold {
        value: threshold.map_or(f64::NAN, |threshold| threshold.value),
        n_accepted: threshold.map_or(0, |threshold| threshold.n_accepted as i64),
        n_correct: threshold.map_or(0, |threshold| threshold.n_correct as i64),
        precision_low,
        precision_high,
    }
}
