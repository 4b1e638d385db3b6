//! The function table: the whole contract behind one symbol.

use std::ffi::{c_char, c_void};

use super::*;

/// Every function of ABI 1, as `cinetomo_get_api(1)` returns it: for hosts that load the library at run time and
/// would rather look up one symbol than forty. Each entry is the function `cinetomo_<entry>` of this header.
/// Entries are only ever appended: read none beyond `struct_size`. Valid for the life of the process.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_api {
    /// Size of this table as the library knows it.
    pub struct_size: usize,
    /// See `cinetomo_abi_version`.
    pub abi_version: unsafe extern "C" fn() -> u32,
    /// See `cinetomo_version`.
    pub version: unsafe extern "C" fn() -> *const c_char,
    /// See `cinetomo_get_extension`.
    pub get_extension: unsafe extern "C" fn(id: *const c_char) -> *const c_void,
    /// See `cinetomo_status_name`.
    pub status_name: unsafe extern "C" fn(status: i32) -> *const c_char,
    /// See `cinetomo_error_status`.
    pub error_status: unsafe extern "C" fn(error: *const cinetomo_error) -> i32,
    /// See `cinetomo_error_message`.
    pub error_message: unsafe extern "C" fn(error: *const cinetomo_error) -> *const c_char,
    /// See `cinetomo_error_free`.
    pub error_free: unsafe extern "C" fn(error: *mut cinetomo_error),
    /// See `cinetomo_runtime_info_init`.
    pub runtime_info_init:
        unsafe extern "C" fn(out_info: *mut cinetomo_runtime_info, struct_size: usize) -> i32,
    /// See `cinetomo_runtime_info_get`.
    pub runtime_info_get: unsafe extern "C" fn(
        out_info: *mut cinetomo_runtime_info,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// See `cinetomo_context_options_init`.
    pub context_options_init:
        unsafe extern "C" fn(out_options: *mut cinetomo_context_options, struct_size: usize) -> i32,
    /// See `cinetomo_context_new`.
    pub context_new: unsafe extern "C" fn(
        options: *const cinetomo_context_options,
        out_context: *mut *mut cinetomo_context,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// See `cinetomo_context_free`.
    pub context_free: unsafe extern "C" fn(context: *mut cinetomo_context),
    /// See `cinetomo_hooks_init`.
    pub hooks_init: unsafe extern "C" fn(out_hooks: *mut cinetomo_hooks, struct_size: usize) -> i32,
    /// See `cinetomo_cancel_new`.
    pub cancel_new: unsafe extern "C" fn(
        out_cancel: *mut *mut cinetomo_cancel,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// See `cinetomo_cancel_raise`.
    pub cancel_raise: unsafe extern "C" fn(cancel: *const cinetomo_cancel),
    /// See `cinetomo_cancel_free`.
    pub cancel_free: unsafe extern "C" fn(cancel: *mut cinetomo_cancel),
    /// See `cinetomo_volume_init`.
    pub volume_init:
        unsafe extern "C" fn(out_volume: *mut cinetomo_volume, struct_size: usize) -> i32,
    /// See `cinetomo_preprocess_init`.
    pub preprocess_init:
        unsafe extern "C" fn(out_preprocess: *mut cinetomo_preprocess, struct_size: usize) -> i32,
    /// See `cinetomo_model_options_init`.
    pub model_options_init:
        unsafe extern "C" fn(out_options: *mut cinetomo_model_options, struct_size: usize) -> i32,
    /// See `cinetomo_model_from_video`.
    pub model_from_video: unsafe extern "C" fn(
        context: *const cinetomo_context,
        checkpoint_path: *const c_char,
        options: *const cinetomo_model_options,
        hooks: *const cinetomo_hooks,
        out_model: *mut *mut cinetomo_model,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// See `cinetomo_model_random`.
    pub model_random: unsafe extern "C" fn(
        context: *const cinetomo_context,
        options: *const cinetomo_model_options,
        out_model: *mut *mut cinetomo_model,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// See `cinetomo_fine_tune_options_init`.
    pub fine_tune_options_init: unsafe extern "C" fn(
        out_options: *mut cinetomo_fine_tune_options,
        struct_size: usize,
    ) -> i32,
    /// See `cinetomo_model_fine_tune`.
    pub model_fine_tune: unsafe extern "C" fn(
        model: *const cinetomo_model,
        subtomograms: *const cinetomo_volume,
        labels: *const i32,
        n_labels: usize,
        options: *const cinetomo_fine_tune_options,
        hooks: *const cinetomo_hooks,
        out_model: *mut *mut cinetomo_model,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// See `cinetomo_model_classify`.
    pub model_classify: unsafe extern "C" fn(
        model: *const cinetomo_model,
        subtomograms: *const cinetomo_volume,
        hooks: *const cinetomo_hooks,
        out_probabilities: *mut f32,
        capacity: usize,
        out_len: *mut usize,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// See `cinetomo_model_embed`.
    pub model_embed: unsafe extern "C" fn(
        model: *const cinetomo_model,
        subtomograms: *const cinetomo_volume,
        hooks: *const cinetomo_hooks,
        out_embeddings: *mut f32,
        capacity: usize,
        out_len: *mut usize,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// See `cinetomo_model_save`.
    pub model_save: unsafe extern "C" fn(
        model: *const cinetomo_model,
        path: *const c_char,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// See `cinetomo_model_load`.
    pub model_load: unsafe extern "C" fn(
        context: *const cinetomo_context,
        path: *const c_char,
        out_model: *mut *mut cinetomo_model,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// See `cinetomo_model_info_init`.
    pub model_info_init:
        unsafe extern "C" fn(out_info: *mut cinetomo_model_info, struct_size: usize) -> i32,
    /// See `cinetomo_model_info_get`.
    pub model_info_get: unsafe extern "C" fn(
        model: *const cinetomo_model,
        out_info: *mut cinetomo_model_info,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// See `cinetomo_model_free`.
    pub model_free: unsafe extern "C" fn(model: *mut cinetomo_model),
    /// See `cinetomo_metrics_init`.
    pub metrics_init:
        unsafe extern "C" fn(out_metrics: *mut cinetomo_metrics, struct_size: usize) -> i32,
    /// See `cinetomo_evaluate`.
    pub evaluate: unsafe extern "C" fn(
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
    ) -> i32,
    /// See `cinetomo_fine_tune_options_preset`.
    pub fine_tune_options_preset: unsafe extern "C" fn(
        out_options: *mut cinetomo_fine_tune_options,
        struct_size: usize,
        preset: i32,
    ) -> i32,
    /// See `cinetomo_evaluate_classes`.
    pub evaluate_classes: unsafe extern "C" fn(
        probabilities: *const f32,
        n_probabilities: usize,
        labels: *const i32,
        n_labels: usize,
        n_classes: usize,
        out_classes: *mut cinetomo_class_metrics,
        capacity: usize,
        out_len: *mut usize,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// See `cinetomo_evaluate_roc`.
    pub evaluate_roc: unsafe extern "C" fn(
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
    ) -> i32,
    /// See `cinetomo_evaluate_reliability`.
    pub evaluate_reliability: unsafe extern "C" fn(
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
    ) -> i32,
    /// See `cinetomo_split_options_init`.
    pub split_options_init:
        unsafe extern "C" fn(out_options: *mut cinetomo_split_options, struct_size: usize) -> i32,
    /// See `cinetomo_split`.
    pub split: unsafe extern "C" fn(
        labels: *const i32,
        groups: *const i32,
        n_labels: usize,
        options: *const cinetomo_split_options,
        out_parts: *mut i32,
        capacity: usize,
        out_len: *mut usize,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// See `cinetomo_calibration_options_init`.
    pub calibration_options_init: unsafe extern "C" fn(
        out_options: *mut cinetomo_calibration_options,
        struct_size: usize,
    ) -> i32,
    /// See `cinetomo_model_calibrate`.
    pub model_calibrate: unsafe extern "C" fn(
        model: *const cinetomo_model,
        subtomograms: *const cinetomo_volume,
        labels: *const i32,
        n_labels: usize,
        options: *const cinetomo_calibration_options,
        hooks: *const cinetomo_hooks,
        out_model: *mut *mut cinetomo_model,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// See `cinetomo_confidence_init`.
    pub confidence_init:
        unsafe extern "C" fn(out_confidence: *mut cinetomo_confidence, struct_size: usize) -> i32,
    /// See `cinetomo_model_confidence_get`.
    pub model_confidence_get: unsafe extern "C" fn(
        model: *const cinetomo_model,
        out_confidence: *mut cinetomo_confidence,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// See `cinetomo_predictions_init`.
    pub predictions_init:
        unsafe extern "C" fn(out_predictions: *mut cinetomo_predictions, struct_size: usize) -> i32,
    /// See `cinetomo_model_predict`.
    pub model_predict: unsafe extern "C" fn(
        model: *const cinetomo_model,
        subtomograms: *const cinetomo_volume,
        reject: i32,
        hooks: *const cinetomo_hooks,
        out_predictions: *const cinetomo_predictions,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// See `cinetomo_weights_inspect`.
    pub weights_inspect: unsafe extern "C" fn(
        path: *const c_char,
        out_json: *mut c_char,
        capacity: usize,
        out_len: *mut usize,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// See `cinetomo_memory_estimate`.
    pub memory_estimate: unsafe extern "C" fn(
        model: *const cinetomo_model,
        z: i64,
        y: i64,
        x: i64,
        batch_size: i64,
        stage: i32,
        out_bytes: *mut u64,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// See `cinetomo_grad_cam_options_init`.
    pub grad_cam_options_init: unsafe extern "C" fn(
        out_options: *mut cinetomo_grad_cam_options,
        struct_size: usize,
    ) -> i32,
    /// See `cinetomo_model_grad_cam`.
    pub model_grad_cam: unsafe extern "C" fn(
        model: *const cinetomo_model,
        subtomograms: *const cinetomo_volume,
        options: *const cinetomo_grad_cam_options,
        hooks: *const cinetomo_hooks,
        out_maps: *mut f32,
        capacity: usize,
        out_len: *mut usize,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// See `cinetomo_preprocess_preset`.
    pub preprocess_preset: unsafe extern "C" fn(
        out_preprocess: *mut cinetomo_preprocess,
        struct_size: usize,
        preset: i32,
    ) -> i32,
}
