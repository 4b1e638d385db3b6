//! Classification and embedding.

use cinetomo_abi::{cinetomo_error, cinetomo_hooks, cinetomo_model, cinetomo_volume};

use super::{guard::boundary, hooks, model::MODELS, volume, write::OutBuffer};
use crate::{error::Result, model::Model, monitor::Monitor, volume::Volume};

/// Classifies subtomograms. `out_probabilities` receives one row of `n_classes` probabilities per subtomogram, in the
/// order of the model's class names, each row adding up to 1; `*out_len` their number. With `capacity` 0 only
/// `*out_len` is written. `hooks` may be NULL.
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
            infer(model, subtomograms, hooks, out, |model| model.class_names.len(), Model::classify)
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
            let n_features = |model: &Model| model.network.spec().n_features as usize;
            infer(model, subtomograms, hooks, out, n_features, Model::embed)
        })
    }
}

/// One row of `row_len` numbers per subtomogram, from `compute`.
///
/// # Safety
/// As the exports that call it.
unsafe fn infer(
    model: *const cinetomo_model,
    subtomograms: *const cinetomo_volume,
    hooks: *const cinetomo_hooks,
    out: OutBuffer<f32>,
    row_len: impl Fn(&Model) -> usize,
    compute: impl Fn(&Model, &Volume<'_>, &mut Monitor<'_>) -> Result<Vec<f32>>,
) -> Result<()> {
    // SAFETY: passed on from the caller.
    unsafe {
        let object = MODELS.get(model, "model")?;
        let volume = volume::volume(subtomograms, "subtomograms")?;
        let mut monitor = hooks::monitor(hooks, &object.context)?;
        let model = object.lock()?;
        // `volume` bounds the number of subtomograms and no row is long: this does not overflow.
        if out.wants(volume.len() * row_len(&model))? {
            object.context.compute();
            out.write(&compute(&model, &volume, &mut monitor)?);
        }
        Ok(())
    }
}
