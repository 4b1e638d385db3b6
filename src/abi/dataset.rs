//! Extension `cinetomo.dataset/1`: sets of subtomograms that are larger than memory.

use std::ffi::{c_char, c_void};

use super::{
    cinetomo_calibration_options, cinetomo_error, cinetomo_fine_tune_options, cinetomo_hooks,
    cinetomo_model,
};

/// Subtomograms that the caller fetches when they are wanted. Fill with `dataset_init`, then set at least `read` and
/// `shape`. Borrowed for one call.
///
/// No more than two batches of voxels are in memory at once: one that is worked on, and the next, which is fetched
/// meanwhile. A training fetches every subtomogram once an epoch, for a linear probe once for each mirror image that it
/// sees, and once more to know it again where it keeps a checkpoint and `identity` is NULL.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_dataset {
    /// `sizeof(cinetomo_dataset)` as the caller was compiled; set by `dataset_init`.
    pub struct_size: usize,
    /// Fetches the subtomograms `indices`, each from 0 to `shape[0]` - 1, into `out_voxels`: one after the other in that
    /// order, `shape[1]` * `shape[2]` * `shape[3]` voxels each, x fastest. The buffer comes full of NaN, so that what is
    /// left unwritten is an error that names the subtomogram. An index may come several times in one call, and comes again
    /// in others; its voxels must always be the same.
    ///
    /// Returns 0; or anything else to end the call with CINETOMO_STATUS_IO and, if it likes, why as UTF-8 in
    /// `out_message`, which has `message_capacity` bytes and comes empty.
    ///
    /// Always called on the thread that made the call, never after it returned, once at a time; the network meanwhile
    /// computes on another thread, which ends before the call returns. Must not throw or longjmp, nor use the model that
    /// the call is made on.
    pub read: Option<
        unsafe extern "C" fn(
            user_data: *mut c_void,
            indices: *const i64,
            n_indices: usize,
            out_voxels: *mut f32,
            out_message: *mut c_char,
            message_capacity: usize,
        ) -> i32,
    >,
    /// Handed to `read` as it is.
    pub user_data: *mut c_void,
    /// What these voxels are to be known by when a training goes on from a checkpoint, such as a path with a date; NULL
    /// (default) = by themselves: all that have a label are fetched and hashed first. With a name, nothing is, and it is
    /// the caller who answers for voxels being those of that name. Labels and shape count in both cases.
    pub identity: *const c_char,
    /// n, z, y, x: number of subtomograms, at most 2^31 - 1, and voxels along each axis, at most 1024. All at least 1.
    pub shape: [i64; 4],
    /// Edge of a voxel in angstrom; 0 (default) = unknown.
    pub voxel_size: f64,
    /// A `CINETOMO_CONTRAST_*`. Default: UNKNOWN.
    pub contrast: i32,
    /// The axis along the electron beam, a `CINETOMO_AXIS_*`. Default: Z.
    pub beam_axis: i32,
}

/// The functions of `cinetomo.dataset/1`, from `cinetomo_get_extension`. Valid for the life of the process.
///
/// Each does what its namesake does with a volume, with the same options, and on the CPU comes to the same result, bit by
/// bit. Errors are those of the namesake, and IO if `read` fails.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_dataset_api {
    /// Size of this table as the library knows it.
    pub struct_size: usize,
    /// Fills `dataset` with the defaults; `struct_size` is `sizeof *dataset`. [any thread]
    pub dataset_init:
        unsafe extern "C" fn(out_dataset: *mut cinetomo_dataset, struct_size: usize) -> i32,
    /// `cinetomo_model_fine_tune`, with everything that it can: validation, probes, calibration, checkpoints. Beside the
    /// voxels it keeps 4 bytes a label and, while a probe is fitted, the features of each subtomogram that it sees (4 kB
    /// for I3D; of each stage, with PROBE_STAGES). [any thread; calls on one model take turns]
    pub fine_tune: unsafe extern "C" fn(
        model: *const cinetomo_model,
        dataset: *const cinetomo_dataset,
        labels: *const i32,
        n_labels: usize,
        options: *const cinetomo_fine_tune_options,
        hooks: *const cinetomo_hooks,
        out_model: *mut *mut cinetomo_model,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// `cinetomo_model_calibrate`. [any thread; calls on one model take turns]
    pub calibrate: unsafe extern "C" fn(
        model: *const cinetomo_model,
        dataset: *const cinetomo_dataset,
        labels: *const i32,
        n_labels: usize,
        options: *const cinetomo_calibration_options,
        hooks: *const cinetomo_hooks,
        out_model: *mut *mut cinetomo_model,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// `cinetomo_model_classify`. [any thread; calls on one model take turns]
    pub classify: unsafe extern "C" fn(
        model: *const cinetomo_model,
        dataset: *const cinetomo_dataset,
        hooks: *const cinetomo_hooks,
        out_probabilities: *mut f32,
        capacity: usize,
        out_len: *mut usize,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
}
