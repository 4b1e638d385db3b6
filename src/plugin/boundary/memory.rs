//! `cinetomo_memory_estimate`.

use cinetomo_abi::{cinetomo_error, cinetomo_model, cinetomo_stage as Stage};

use super::{
    guard::boundary,
    model::MODELS,
    read::{self, null_argument},
};
use crate::{
    error::Error,
    memory::{Work, check_box},
    train::FineTune,
};

/// Estimates how many bytes a model and the work on it take at once on its device: weights, activations and, in
/// training, gradients, the optimiser's state and the new model. The caller's voxels and libtorch itself are not counted.
///
/// `z`, `y`, `x` are the voxels of a subtomogram, the beam along z. `batch_size` 0 stands for what classification takes
/// at once, or for the default of `cinetomo_fine_tune_options`. `stage` is CINETOMO_STAGE_CLASSIFY, CINETOMO_STAGE_EMBED
/// or CINETOMO_STAGE_TRAIN (Adam, no stage frozen, no validation). Nothing is computed: the call takes milliseconds.
/// Measured on the CPU, estimates of full batches were within 15 %; benches/record/networks.md has them.
///
/// Classification and fine-tuning log a warning if their estimate exceeds the memory that the machine has available.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT; MODEL_MISMATCH if the box is too small for the network. [any thread; calls on
/// one model take turns]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_memory_estimate(
    model: *const cinetomo_model,
    z: i64,
    y: i64,
    x: i64,
    batch_size: i64,
    stage: i32,
    out_bytes: *mut u64,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            if out_bytes.is_null() {
                return Err(null_argument("out_bytes"));
            }
            let object = MODELS.get(model, "model")?;
            let works = [
                (Stage::Train as i32, Work::TRAINING),
                (Stage::Classify as i32, Work::Inference),
                (Stage::Embed as i32, Work::Inference),
            ];
            let work = read::choice(stage, &works, "stage")?;
            let batch_size = usize::try_from(batch_size).map_err(|_| {
                Error::invalid(format!("batch_size is {batch_size}; it must not be negative"))
            })?;
            object.context.compute();
            let (model, size) = (object.lock()?, [z, y, x]);
            check_box(size)?;
            let batch_size = match (batch_size, work) {
                (0, Work::Inference) => model.batch_size(size)?,
                (0, Work::Training { .. }) => FineTune::default().batch_size,
                (n, _) => n,
            };
            out_bytes.write_unaligned(model.memory_estimate(size, batch_size, work)?);
            Ok(())
        })
    }
}
