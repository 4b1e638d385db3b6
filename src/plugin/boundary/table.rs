//! `cinetomo_get_api` and `cinetomo_get_extension`: everything behind one symbol.

use std::{
    ffi::{c_char, c_void},
    ptr,
};

use cinetomo_abi::{CINETOMO_ABI_VERSION, cinetomo_api};

use super::{
    calibrate::*, cancel::*, context::*, dataset, error::*, evaluate::*, explain::*,
    guard::boundary_or, hooks::*, infer::*, memory::*, model::*, model_options::*, pick, project2d,
    read, runtime::*, split::*, synthetic, train::*, volume::*, weights::*,
};

/// Returns the functions of this header as a table, or NULL if `abi_version` is not one that the library serves (this
/// one serves 1). Valid for the life of the process. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn cinetomo_get_api(abi_version: u32) -> *const cinetomo_api {
    boundary_or(ptr::null(), || {
        if abi_version == CINETOMO_ABI_VERSION { &raw const API } else { ptr::null() }
    })
}

/// Returns the table of an extension, or NULL if the library does not have it. Ids carry their revision:
/// "cinetomo.dataset/1" is a `cinetomo_dataset_api`, "cinetomo.pick/1" a `cinetomo_pick_api`, "cinetomo.project2d/1" a
/// `cinetomo_project2d_api`, "cinetomo.synthetic/1" a `cinetomo_synthetic_api`. Valid for the life of the process. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_get_extension(id: *const c_char) -> *const c_void {
    boundary_or(ptr::null(), || {
        // SAFETY: NULL or terminated, by contract.
        match unsafe { read::text(id, "id") } {
            Ok("cinetomo.dataset/1") => (&raw const dataset::API).cast(),
            Ok("cinetomo.pick/1") => (&raw const pick::API).cast(),
            Ok("cinetomo.project2d/1") => (&raw const project2d::API).cast(),
            Ok("cinetomo.synthetic/1") => (&raw const synthetic::API).cast(),
            _ => ptr::null(),
        }
    })
}

pub(super) static API: cinetomo_api = cinetomo_api {
    struct_size: size_of::<cinetomo_api>(),
    abi_version: cinetomo_abi_version,
    version: cinetomo_version,
    get_extension: cinetomo_get_extension,
    status_name: cinetomo_status_name,
    error_status: cinetomo_error_status,
    error_message: cinetomo_error_message,
    error_free: cinetomo_error_free,
    runtime_info_init: cinetomo_runtime_info_init,
    runtime_info_get: cinetomo_runtime_info_get,
    context_options_init: cinetomo_context_options_init,
    context_new: cinetomo_context_new,
    context_free: cinetomo_context_free,
    hooks_init: cinetomo_hooks_init,
    cancel_new: cinetomo_cancel_new,
    cancel_raise: cinetomo_cancel_raise,
    cancel_free: cinetomo_cancel_free,
    volume_init: cinetomo_volume_init,
    preprocess_init: cinetomo_preprocess_init,
    model_options_init: cinetomo_model_options_init,
    model_from_video: cinetomo_model_from_video,
    model_random: cinetomo_model_random,
    fine_tune_options_init: cinetomo_fine_tune_options_init,
    model_fine_tune: cinetomo_model_fine_tune,
    model_classify: cinetomo_model_classify,
    model_embed: cinetomo_model_embed,
    model_save: cinetomo_model_save,
    model_load: cinetomo_model_load,
    model_info_init: cinetomo_model_info_init,
    model_info_get: cinetomo_model_info_get,
    model_free: cinetomo_model_free,
    metrics_init: cinetomo_metrics_init,
    evaluate: cinetomo_evaluate,
    fine_tune_options_preset: cinetomo_fine_tune_options_preset,
    evaluate_classes: cinetomo_evaluate_classes,
    evaluate_roc: cinetomo_evaluate_roc,
    evaluate_reliability: cinetomo_evaluate_reliability,
    split_options_init: cinetomo_split_options_init,
    split: cinetomo_split,
    calibration_options_init: cinetomo_calibration_options_init,
    model_calibrate: cinetomo_model_calibrate,
    confidence_init: cinetomo_confidence_init,
    model_confidence_get: cinetomo_model_confidence_get,
    predictions_init: cinetomo_predictions_init,
    model_predict: cinetomo_model_predict,
    weights_inspect: cinetomo_weights_inspect,
    memory_estimate: cinetomo_memory_estimate,
    grad_cam_options_init: cinetomo_grad_cam_options_init,
    model_grad_cam: cinetomo_model_grad_cam,
    preprocess_preset: cinetomo_preprocess_preset,
};
