//! `cinetomo_evaluate` and its companions for classes, curves and bins.

use std::ptr;

use cinetomo_abi::{
    cinetomo_class_metrics, cinetomo_error, cinetomo_metrics, cinetomo_reliability_bin,
    cinetomo_roc_point,
};

use super::{
    guard::boundary,
    read::{self, sized_struct},
    write::{self, OutBuffer},
};
use crate::{
    error::{Error, Result},
    metrics::{ClassMetrics, Metrics, ReliabilityBin, RocPoint, Scored},
};

sized_struct!(
    cinetomo_metrics,
    32,
    cinetomo_metrics {
        struct_size: size_of::<cinetomo_metrics>(),
        n_evaluated: 0,
        accuracy: f64::NAN,
        macro_auc: f64::NAN,
        balanced_accuracy: f64::NAN,
        macro_f1: f64::NAN,
        expected_calibration_error: f64::NAN,
        brier_score: f64::NAN,
        log_loss: f64::NAN,
        best_threshold_accuracy: f64::NAN,
        best_threshold: f64::NAN,
    }
);

/// Fills `out_metrics` with empty values. `struct_size` is `sizeof *out_metrics`.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_metrics_init(
    out_metrics: *mut cinetomo_metrics,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_metrics, struct_size)) }
}

/// Compares scores with true labels.
///
/// `probabilities` holds `n_labels` rows of `n_classes` scores, as `cinetomo_model_classify` writes them (any finite
/// scores will do). `labels` are counted from 0; -1 leaves a row out. `out_confusion` receives `n_classes` x
/// `n_classes` counts, the true class along the rows and the predicted one along the columns, and `*out_len` their
/// number; with `capacity` 0 the metrics alone are computed and `out_confusion` and `out_len` may be NULL.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT for lengths that do not agree, a label out of range, or no label at all;
/// NON_FINITE; BUFFER_TOO_SMALL. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_evaluate(
    probabilities: *const f32,
    n_probabilities: usize,
    labels: *const i32,
    n_labels: usize,
    n_classes: usize,
    out_metrics: *mut cinetomo_metrics,
    out_confusion: *mut i64,
    capacity: usize,
    out_len: *mut usize,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let struct_size = write::stated_size(out_metrics, "out_metrics")?;
            let n_counts = n_classes.checked_mul(n_classes).ok_or_else(|| {
                Error::invalid(format!(
                    "n_classes is {n_classes}; that many do not fit into memory"
                ))
            })?;
            let confusion = match capacity {
                0 => None,
                _ => Some(OutBuffer::new(out_confusion, capacity, out_len, "out_confusion")?),
            };
            if let Some(buffer) = &confusion {
                buffer.wants(n_counts)?;
            }
            let metrics =
                scored(probabilities, n_probabilities, labels, n_labels, n_classes)?.metrics()?;
            if let Some(buffer) = confusion {
                buffer.write(metrics.confusion.as_slice().unwrap_or_default());
            } else if !out_len.is_null() {
                out_len.write_unaligned(n_counts);
            }
            write::sized(out_metrics, struct_size, metrics_to_c(&metrics));
            Ok(())
        })
    }
}

fn metrics_to_c(metrics: &Metrics) -> cinetomo_metrics {
    cinetomo_metrics {
        struct_size: size_of::<cinetomo_metrics>(),
        n_evaluated: metrics.n_evaluated as i64,
        accuracy: metrics.accuracy,
        macro_auc: metrics.macro_auc,
        balanced_accuracy: metrics.balanced_accuracy,
        macro_f1: metrics.macro_f1,
        expected_calibration_error: metrics.expected_calibration_error,
        brier_score: metrics.brier_score,
        log_loss: metrics.log_loss,
        best_threshold_accuracy: metrics.best_threshold_accuracy,
        best_threshold: metrics.best_threshold,
    }
}

/// Compares scores with true labels class by class. Scores, labels and errors are those of `cinetomo_evaluate`.
/// `out_classes` receives one struct a class; `*out_len` their number, `n_classes`. With `capacity` 0 that is all that
/// happens. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_evaluate_classes(
    probabilities: *const f32,
    n_probabilities: usize,
    labels: *const i32,
    n_labels: usize,
    n_classes: usize,
    out_classes: *mut cinetomo_class_metrics,
    capacity: usize,
    out_len: *mut usize,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutBuffer::new(out_classes, capacity, out_len, "out_classes")?;
            let scored = scored(probabilities, n_probabilities, labels, n_labels, n_classes)?;
            out.fill(scored.classes()?.into_iter().map(class_to_c))
        })
    }
}

fn class_to_c(class: ClassMetrics) -> cinetomo_class_metrics {
    cinetomo_class_metrics {
        n_examples: class.n_examples as i64,
        n_predicted: class.n_predicted as i64,
        precision: class.precision,
        recall: class.recall,
        f1: class.f1,
        auc: class.auc,
    }
}

/// The ROC curve of the score of class `class_index`, counted from 0, one class against the rest. Scores and labels are
/// those of `cinetomo_evaluate`. `out_points` receives the point where nothing counts as the class, then one point for each
/// distinct score, highest first; `*out_len` their number. It is 0 if the class has no subtomogram or all of them: then
/// there is no curve.
///
/// Errors: as `cinetomo_evaluate`, and INVALID_ARGUMENT if there is no such class. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_evaluate_roc(
    probabilities: *const f32,
    n_probabilities: usize,
    labels: *const i32,
    n_labels: usize,
    n_classes: usize,
    class_index: usize,
    out_points: *mut cinetomo_roc_point,
    capacity: usize,
    out_len: *mut usize,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutBuffer::new(out_points, capacity, out_len, "out_points")?;
            let scored = scored(probabilities, n_probabilities, labels, n_labels, n_classes)?;
            out.fill(scored.roc(class_index)?.into_iter().map(point_to_c))
        })
    }
}

fn point_to_c(point: RocPoint) -> cinetomo_roc_point {
    cinetomo_roc_point {
        threshold: point.threshold,
        false_positive_rate: point.false_positive_rate,
        true_positive_rate: point.true_positive_rate,
    }
}

/// How often subtomograms of each confidence (highest probability) are classified correctly: the reliability diagram, in
/// `n_bins` bins of equal width from 0 to 1 (1 to 1000; the calibration error of `cinetomo_evaluate` uses 15). Labels are
/// those of `cinetomo_evaluate`, scores must be probabilities. `out_bins` receives the bins, lowest first; `*out_len` their
/// number. With `capacity` 0 that is all that happens.
///
/// Errors: as `cinetomo_evaluate`, and INVALID_ARGUMENT if a row is not one of probabilities. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_evaluate_reliability(
    probabilities: *const f32,
    n_probabilities: usize,
    labels: *const i32,
    n_labels: usize,
    n_classes: usize,
    n_bins: usize,
    out_bins: *mut cinetomo_reliability_bin,
    capacity: usize,
    out_len: *mut usize,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutBuffer::new(out_bins, capacity, out_len, "out_bins")?;
            let scored = scored(probabilities, n_probabilities, labels, n_labels, n_classes)?;
            out.fill(scored.reliability(n_bins)?.into_iter().map(bin_to_c))
        })
    }
}

fn bin_to_c(bin: ReliabilityBin) -> cinetomo_reliability_bin {
    cinetomo_reliability_bin {
        low: bin.low,
        high: bin.high,
        n: bin.n as i64,
        confidence: bin.confidence,
        accuracy: bin.accuracy,
    }
}

/// The caller's scores and labels.
///
/// # Safety
/// Both arrays are NULL or valid for their lengths, and stay unchanged for `'a`.
unsafe fn scored<'a>(
    probabilities: *const f32,
    n_probabilities: usize,
    labels: *const i32,
    n_labels: usize,
    n_classes: usize,
) -> Result<Scored<'a>> {
    // SAFETY: passed on from the caller.
    let (probabilities, labels) = unsafe {
        (
            read::slice(probabilities, n_probabilities, "probabilities")?,
            read::slice::<i32>(labels, n_labels, "labels")?,
        )
    };
    Scored::new(probabilities, labels, n_classes)
}
