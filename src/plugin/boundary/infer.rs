//! Classification, with a class or with none, and embedding.

use std::ptr;

use cinetomo_abi::{
    cinetomo_error, cinetomo_hooks, cinetomo_model, cinetomo_predictions, cinetomo_volume,
};

use super::{
    guard::boundary,
    hooks,
    model::MODELS,
    read::{self, sized_struct},
    volume,
    write::{self, OutArray, OutBuffer},
};
use crate::{confidence::Reject, error::Result, model::Model, monitor::Monitor, volume::Volume};

/// Classifies subtomograms. `out_probabilities` receives one row of `n_classes` probabilities per subtomogram, in the
/// order of the model's class names, each row adding up to 1; `*out_len` their number. With `capacity` 0 only
/// `*out_len` is written. `hooks` may be NULL. The probabilities of a calibrated model are calibrated (see
/// `cinetomo_model_calibrate`); those of another one are mostly too sure.
///
/// A log line warns if voxel size (by more than 10 %) or contrast differ from what the model was fine-tuned on.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT, among others for a subtomogram that is constant; NON_FINITE names the
/// subtomogram; MODEL_MISMATCH if the box is too small for the network; BUFFER_TOO_SMALL; OUT_OF_MEMORY; CANCELLED.
/// [any thread; calls on one model take turns]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_model_classify(
    model: *const cinetomo_model,
    subtomograms: *const cinetomo_volume,
    hooks: *const cinetomo_hooks,
    out_probabilities: *mut f32,
    capacity: usize,
    out_len: *mut usize,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutBuffer::new(out_probabilities, capacity, out_len, "out_probabilities")?;
            let n_classes = |model: &Model, _: &Volume<'_>| model.class_names.len();
            infer(model, subtomograms, hooks, out, n_classes, Model::classify)
        })
    }
}

sized_struct!(
    cinetomo_predictions,
    56,
    cinetomo_predictions {
        struct_size: size_of::<cinetomo_predictions>(),
        labels: ptr::null_mut(),
        labels_capacity: 0,
        probabilities: ptr::null_mut(),
        probabilities_capacity: 0,
        distances: ptr::null_mut(),
        distances_capacity: 0,
    }
);

/// Fills `out_predictions` with the defaults: no array. `struct_size` is `sizeof *out_predictions`.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_predictions_init(
    out_predictions: *mut cinetomo_predictions,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_predictions, struct_size)) }
}

/// Classifies subtomograms and says of which nothing should be said: each gets its most probable class, or -1 if one of
/// the rules in `reject` (a sum of `CINETOMO_REJECT_*`; 0 = none) does not accept it. The rules' thresholds are the
/// model's; see `cinetomo_model_calibrate`. `hooks` may be NULL.
///
/// What `out_predictions` points to receives the results, all from one pass over the subtomograms: `labels`, the same
/// probabilities as by `cinetomo_model_classify`, and distances. Arrays that are NULL are not written; the others must be
/// large enough: as many numbers as subtomograms, for probabilities times `n_classes`.
///
/// Errors: as `cinetomo_model_classify`, and INVALID_ARGUMENT if the model has no threshold for a rule, or no class means
/// to measure distances from; the message says how it gets them. [any thread; calls on one model take turns]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_model_predict(
    model: *const cinetomo_model,
    subtomograms: *const cinetomo_volume,
    reject: i32,
    hooks: *const cinetomo_hooks,
    out_predictions: *const cinetomo_predictions,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = read::sized(out_predictions, "out_predictions")?;
            let object = MODELS.get(model, "model")?;
            let volume = volume::volume(subtomograms, "subtomograms")?;
            let reject = Reject::from_bits(reject)?;
            let mut monitor = hooks::monitor(hooks, &object.context)?;
            let model = object.lock()?;
            let n = volume.len();
            let labels = OutArray::field(out.labels, out.labels_capacity, "labels")?;
            let probabilities =
                OutArray::field(out.probabilities, out.probabilities_capacity, "probabilities")?;
            let distances = OutArray::field(out.distances, out.distances_capacity, "distances")?;
            labels.check(n)?;
            probabilities.check(n * model.class_names.len())?;
            distances.check(n)?;
            object.context.compute();
            let predictions =
                model.predict(&volume, reject, distances.is_wanted(), &mut monitor)?;
            labels.write(predictions.labels);
            probabilities.write(predictions.probabilities);
            distances.write(predictions.distances);
            Ok(())
        })
    }
}

/// Computes embeddings: the pooled features that the head sees. `out_embeddings` receives one row of `n_features`
/// numbers per subtomogram (see `cinetomo_model_info`); otherwise as `cinetomo_model_classify`.
/// [any thread; calls on one model take turns]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_model_embed(
    model: *const cinetomo_model,
    subtomograms: *const cinetomo_volume,
    hooks: *const cinetomo_hooks,
    out_embeddings: *mut f32,
    capacity: usize,
    out_len: *mut usize,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutBuffer::new(out_embeddings, capacity, out_len, "out_embeddings")?;
            let n_features = |model: &Model, _: &Volume<'_>| model.network.n_features as usize;
            infer(model, subtomograms, hooks, out, n_features, Model::embed)
        })
    }
}

/// One row of `row_len` numbers per subtomogram, from `compute`.
///
/// # Safety
/// As the exports that call it.
pub(super) unsafe fn infer(
    model: *const cinetomo_model,
    subtomograms: *const cinetomo_volume,
    hooks: *const cinetomo_hooks,
    out: OutBuffer<f32>,
    row_len: impl Fn(&Model, &Volume<'_>) -> usize,
    compute: impl Fn(&Model, &Volume<'_>, &mut Monitor<'_>) -> Result<Vec<f32>>,
) -> Result<()> {
    // SAFETY: passed on from the caller.
    unsafe {
        let object = MODELS.get(model, "model")?;
        let volume = volume::volume(subtomograms, "subtomograms")?;
        let mut monitor = hooks::monitor(hooks, &object.context)?;
        let model = object.lock()?;
        // `volume` bounds the number of subtomograms and of their voxels, and no other row is long: this does not overflow.
        if out.wants(volume.len() * row_len(&model, &volume))? {
            object.context.compute();
            out.write(&compute(&model, &volume, &mut monitor)?);
        }
        Ok(())
    }
}
