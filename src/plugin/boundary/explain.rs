//! Class activation maps: `cinetomo_grad_cam_options` and the call.

use std::ptr;

use cinetomo_abi::{
    cinetomo_error, cinetomo_grad_cam_options, cinetomo_hooks, cinetomo_model, cinetomo_volume,
};

use super::{
    guard::boundary,
    infer::infer,
    read::{self, sized_struct},
    write::{self, OutBuffer},
};
use crate::{
    error::{Error, Result},
    insight::{CamMethod, Explanation},
    model::Model,
    volume::Volume,
};

sized_struct!(cinetomo_grad_cam_options, 32, {
    // -1 stands for `None`; the rest is the Rust side's.
    cinetomo_grad_cam_options {
        struct_size: size_of::<cinetomo_grad_cam_options>(),
        stage: ptr::null(),
        class_index: -1,
        method: Explanation::default().method as i32,
        rectify: -1,
        reserved: 0,
    }
});

/// Fills `out_options` with the defaults: Grad-CAM of the predicted class. `struct_size` is `sizeof *out_options`.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_grad_cam_options_init(
    out_options: *mut cinetomo_grad_cam_options,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_options, struct_size)) }
}

/// Computes where in each box the evidence for a class lies. `out_maps` receives one map per subtomogram, of the size of
/// the box and with its axes in the caller's order (z, y, x, x fastest, whatever `beam_axis` and strides are): how much
/// the class's logit draws on what is there, on the scale of the method. `*out_len` receives the number of all voxels;
/// with `capacity` 0 only that is written. `options` (NULL = defaults) and `hooks` may be NULL.
///
/// A stage's map is coarse, a few positions along an axis (its strides divide the network's input, see `input_size` of
/// `cinetomo_preprocess`); it is stretched over the box by linear interpolation, along each axis by itself, which also
/// undoes any resizing. The subtomogram is explained as it comes, not averaged over mirror images. Takes somewhat longer
/// than classification, but a small part of that if `class_index` names the class.
///
/// Errors: as `cinetomo_model_classify`; INVALID_ARGUMENT too if there is no such class or stage, or if the class does not
/// depend on positions there, as past the last attention: the message names a stage.
/// [any thread; calls on one model take turns]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_model_grad_cam(
    model: *const cinetomo_model,
    subtomograms: *const cinetomo_volume,
    options: *const cinetomo_grad_cam_options,
    hooks: *const cinetomo_hooks,
    out_maps: *mut f32,
    capacity: usize,
    out_len: *mut usize,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutBuffer::new(out_maps, capacity, out_len, "out_maps")?;
            let explanation = explanation(options)?;
            let n_voxels =
                |_: &Model, volume: &Volume<'_>| volume.box_size().iter().product::<i64>() as usize;
            infer(model, subtomograms, hooks, out, n_voxels, |model, volume, monitor| {
                model.explain(volume, &explanation, monitor)
            })
        })
    }
}

/// The options that C passed; NULL means the defaults.
///
/// # Safety
/// `options` is NULL or a valid `cinetomo_grad_cam_options`.
unsafe fn explanation(options: *const cinetomo_grad_cam_options) -> Result<Explanation> {
    // SAFETY: passed on from the caller.
    let options = unsafe { read::sized_or_default(options, "options") }?;
    read::check_reserved(options.reserved, "options")?;
    Ok(Explanation {
        stage: match options.stage.is_null() {
            true => None,
            // SAFETY: terminated, by contract.
            false => Some(unsafe { read::text(options.stage, "options.stage") }?.to_owned()),
        },
        class: match options.class_index {
            -1 => None,
            index => Some(usize::try_from(index).map_err(|_| {
                Error::invalid(format!(
                    "options.class_index is {index}; it must be a class, counted from 0, or -1 for the predicted one"
                ))
            })?),
        },
        method: read::choice(
            options.method,
            &[CamMethod::GradCam, CamMethod::RespondCam].map(|m| (m as i32, m)),
            "options.method",
        )?,
        rectify: read::choice(
            options.rectify,
            &[(-1, None), (0, Some(false)), (1, Some(true))],
            "options.rectify",
        )?,
    })
}
