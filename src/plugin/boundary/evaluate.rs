//! `cinetomo_evaluate`.

use std::ptr;

use cinetomo_abi::{cinetomo_error, cinetomo_metrics};

use super::{
    guard::boundary,
    read::{self, sized_struct},
    write::{self, OutBuffer},
};
use crate::{error::Error, metrics};

sized_struct!(
    cinetomo_metrics,
    32,
    cinetomo_metrics {
        struct_size: size_of::<cinetomo_metrics>(),
        n_evaluated: 0,
        accuracy: f64::NAN,
        macro_auc: f64::NAN,
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
            let probabilities = read::slice(probabilities, n_probabilities, "probabilities")?;
            let labels = read::slice(labels, n_labels, "labels")?;
            let metrics = metrics::evaluate(probabilities, labels, n_classes)?;
            if let Some(buffer) = confusion {
                buffer.write(&metrics.confusion.into_raw_vec_and_offset().0);
            } else if !out_len.is_null() {
                out_len.write_unaligned(n_counts);
            }
            write::sized(
                out_metrics,
                struct_size,
                cinetomo_metrics {
                    struct_size,
                    n_evaluated: metrics.n_evaluated as i64,
                    accuracy: metrics.accuracy,
                    macro_auc: metrics.macro_auc,
                },
            );
            Ok(())
        })
    }
}
