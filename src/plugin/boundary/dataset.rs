//! Extension `cinetomo.dataset/1`.

use std::{
    ffi::{CStr, c_char},
    ptr,
};

use cinetomo_abi::{
    cinetomo_axis as Axis, cinetomo_calibration_options, cinetomo_contrast as Contrast,
    cinetomo_dataset, cinetomo_dataset_api, cinetomo_error, cinetomo_fine_tune_options,
    cinetomo_hooks, cinetomo_model,
};

use super::{
    calibrate::calibration,
    exit,
    guard::boundary,
    hooks,
    model::{MODELS, ModelObject},
    read::{self, sized_struct},
    train, volume,
    write::{self, OutBuffer, OutHandle},
};
use crate::{
    allocation::collected,
    dataset::Dataset,
    error::{Error, ErrorKind, Result},
    model::Model,
    monitor::Monitor,
    train::{calibrate as calibrated, fine_tune as fine_tuned},
    volume::Volume,
};

/// Room for what a reader says of its failure, its terminator included.
const MESSAGE_BYTES: usize = 1024;

/// Subtomograms that a message names; of more it tells the number.
const MOST_NAMED: usize = 4;

sized_struct!(
    cinetomo_dataset,
    80,
    cinetomo_dataset {
        struct_size: size_of::<cinetomo_dataset>(),
        read: None,
        user_data: ptr::null_mut(),
        identity: ptr::null(),
        shape: [0; 4],
        voxel_size: 0.0,
        contrast: Contrast::Unknown as i32,
        beam_axis: Axis::Z as i32,
    }
);

pub(super) static API: cinetomo_dataset_api = cinetomo_dataset_api {
    struct_size: size_of::<cinetomo_dataset_api>(),
    dataset_init,
    fine_tune,
    calibrate,
    classify,
};

unsafe extern "C" fn dataset_init(out_dataset: *mut cinetomo_dataset, struct_size: usize) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_dataset, struct_size)) }
}

unsafe extern "C" fn fine_tune(
    model: *const cinetomo_model,
    dataset: *const cinetomo_dataset,
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
            let dataset = self::dataset(dataset)?;
            let labels = read::slice(labels, n_labels, "labels")?;
            let config = train::fine_tune(&read::sized_or_default(options, "options")?)?;
            let tuned = work(&object, dataset, hooks, |model, volume, monitor| {
                fine_tuned(model, volume, labels, &config, monitor)
            })?;
            out.write(MODELS.insert(ModelObject::new(object.context.clone(), tuned)));
            Ok(())
        })
    }
}

unsafe extern "C" fn calibrate(
    model: *const cinetomo_model,
    dataset: *const cinetomo_dataset,
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
            let dataset = self::dataset(dataset)?;
            let labels = read::slice(labels, n_labels, "labels")?;
            let config = calibration(options, "options")?;
            let model = work(&object, dataset, hooks, |model, volume, monitor| {
                calibrated(model, volume, labels, &config, monitor)
            })?;
            out.write(MODELS.insert(ModelObject::new(object.context.clone(), model)));
            Ok(())
        })
    }
}

unsafe extern "C" fn classify(
    model: *const cinetomo_model,
    dataset: *const cinetomo_dataset,
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
            let object = MODELS.get(model, "model")?;
            let dataset = self::dataset(dataset)?;
            // The number of subtomograms is bounded: this does not overflow.
            let n_values = dataset.n() as usize * object.lock()?.class_names.len();
            if out.wants(n_values)? {
                out.write(&work(&object, dataset, hooks, Model::classify)?);
            }
            Ok(())
        })
    }
}

/// Does `work` on a thread with the context's share of CPU threads, while this one fetches boxes.
///
/// # Safety
/// As the exports that call it.
unsafe fn work<T: Send>(
    object: &ModelObject,
    dataset: Dataset<'_>,
    hooks: *const cinetomo_hooks,
    work: impl FnOnce(&Model, &Volume<'_>, &mut Monitor<'_>) -> Result<T> + Send,
) -> Result<T> {
    // SAFETY: passed on from the caller.
    let mut monitor = unsafe { hooks::monitor(hooks, &object.context) }?;
    object.context.compute();
    let mut model = object.lock()?;
    let prepare = || {
        object.context.enter();
        // The end of the process waits for that thread, too.
        exit::Call::begin()
    };
    dataset.serve(model.for_another_thread(), &mut monitor, prepare, work)
}

/// The caller's subtomograms, behind its callback.
///
/// # Safety
/// `pointer` is NULL or a valid `cinetomo_dataset`, whose callback and user data may be used for `'a`.
unsafe fn dataset<'a>(pointer: *const cinetomo_dataset) -> Result<Dataset<'a>> {
    // SAFETY: passed on from the caller.
    let host = unsafe { read::sized(pointer, "dataset") }?;
    let Some(read) = host.read else {
        return Err(read::null_argument("dataset.read"));
    };
    let within = |error: Error| error.within("dataset");
    volume::check_shape(host.shape).map_err(within)?;
    if !host.voxel_size.is_finite() || host.voxel_size < 0.0 {
        return Err(Error::invalid(format!(
            "dataset.voxel_size is {}; it must be a number of angstrom, or 0 for unknown",
            host.voxel_size
        )));
    }
    let contrast = volume::contrast(host.contrast, "dataset.contrast")?;
    let beam_axis = volume::beam_axis(host.beam_axis, "dataset.beam_axis")?;
    let identity = match host.identity.is_null() {
        true => None,
        // SAFETY: passed on from the caller.
        false => Some(unsafe { read::text(host.identity, "dataset.identity") }?.to_owned()),
    };
    let fetch = move |indices: &[usize], out: &mut [f32]| {
        let numbers = collected(indices.iter().map(|&index| index as i64))?;
        let mut message: [c_char; MESSAGE_BYTES] = [0; MESSAGE_BYTES];
        // SAFETY: the host's own function, called as it declared it, on the thread that made the call; `out` has room for
        // as many boxes as are asked for, `message` for one byte more than it is told.
        let answer = exit::aside(|| unsafe {
            read(
                host.user_data,
                numbers.as_ptr(),
                numbers.len(),
                out.as_mut_ptr(),
                message.as_mut_ptr(),
                MESSAGE_BYTES - 1,
            )
        });
        if answer == 0 {
            return Ok(());
        }
        message[MESSAGE_BYTES - 1] = 0;
        // SAFETY: its last byte is 0.
        let message = unsafe { CStr::from_ptr(message.as_ptr()) }.to_string_lossy().into_owned();
        Err(failed(answer, indices, &message))
    };
    Ok(Dataset::new(host.shape, host.voxel_size, contrast, beam_axis, identity, fetch))
}

fn failed(answer: i32, indices: &[usize], message: &str) -> Error {
    let mut boxes: Vec<String> =
        indices.iter().take(MOST_NAMED).map(|index| index.to_string()).collect();
    if indices.len() > MOST_NAMED {
        boxes.push(format!("{} more", indices.len() - MOST_NAMED));
    }
    let colon = if message.is_empty() { "" } else { ": " };
    let boxes = boxes.join(", ");
    let message = format!("dataset.read returned {answer} for boxes {boxes}{colon}{message}");
    Error::new(ErrorKind::Io, message)
}
