//! Extension `cinetomo.synthetic/1`: simulated subtomograms, for demonstrations, tests and training.

use std::ffi::c_char;

use super::{cinetomo_context, cinetomo_error, cinetomo_hooks, cinetomo_volume};

/// How subtomograms are simulated. Fill with `options_init` of the extension's table.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_synthetic_options {
    /// `sizeof(cinetomo_synthetic_options)` as the caller was compiled; set by `options_init`.
    pub struct_size: usize,
    /// Edge of the cubic subtomograms in voxels, 8 to 256. Default: 32.
    pub box_size: i64,
    /// Edge of a voxel in angstrom, 0.1 to 100. Default: 10.
    pub voxel_size: f64,
    /// Variance of the signal over variance of the noise, both over the whole box, above 0; infinity = no noise.
    /// Default: 0.1.
    pub snr: f64,
    /// The tilt series runs from minus to plus this angle about y, in degrees, above 0 and at most 90; what it does
    /// not see is the missing wedge. Default: 60.
    pub tilt_range: f64,
    /// Largest random shift from the centre along each axis, in voxels, 0 to half the box. Default: 2.
    pub max_shift: f64,
    /// Underfocus in micrometre, 0 to 100; 0 = no contrast transfer function. Default: 5.
    pub defocus: f64,
    /// Acceleration voltage in kilovolt, 1 to 3000. Default: 300.
    pub voltage: f64,
    /// Spherical aberration in millimetre, 0 to 100. Default: 2.7.
    pub spherical_aberration: f64,
    /// Seed. Same seed, same subtomograms. Default: 0.
    pub seed: u64,
    /// Sign of the particles, CINETOMO_CONTRAST_DARK (default) or CINETOMO_CONTRAST_BRIGHT.
    pub contrast: i32,
    /// Zero.
    pub reserved: i32,
}

/// The functions of `cinetomo.synthetic/1`, from `cinetomo_get_extension`. Valid for the life of the process.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_synthetic_api {
    /// Size of this table as the library knows it.
    pub struct_size: usize,
    /// Number of built-in phantoms: the seven classes of the paper's experimental data (Noble et al. 2018).
    /// [any thread]
    pub n_phantoms: unsafe extern "C" fn() -> usize,
    /// Name of a built-in phantom, valid for the life of the process; NULL if there is no such phantom. [any thread]
    pub phantom_name: unsafe extern "C" fn(phantom_index: usize) -> *const c_char,
    /// Fills `options` with the defaults; `struct_size` is `sizeof *options`. [any thread]
    pub options_init: unsafe extern "C" fn(
        out_options: *mut cinetomo_synthetic_options,
        struct_size: usize,
    ) -> i32,
    /// Draws the density of a built-in phantom, centred and unrotated, into a cube of `box_size`^3 voxels, z slowest,
    /// bright on zero. `*out_len` receives `box_size`^3; with `capacity` 0 that is all that happens. [any thread]
    pub phantom_density: unsafe extern "C" fn(
        phantom_index: usize,
        box_size: i64,
        voxel_size: f64,
        out_density: *mut f32,
        capacity: usize,
        out_len: *mut usize,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// Simulates one subtomogram for each label: the density of that index, randomly rotated and shifted, seen
    /// through the contrast transfer function and the missing wedge (beam along z), with noise.
    ///
    /// `densities` holds one cubic density per class, bright on zero, at the voxel size of the options (n, z, y, x;
    /// any dtype); NULL = the built-in phantoms. `hooks` and `options` may be NULL. `out_voxels` receives
    /// `n_labels` x `box_size`^3 floats; `*out_len` their number; with `capacity` 0 that is all that happens.
    /// [any thread]
    pub simulate: unsafe extern "C" fn(
        context: *const cinetomo_context,
        densities: *const cinetomo_volume,
        labels: *const i32,
        n_labels: usize,
        options: *const cinetomo_synthetic_options,
        hooks: *const cinetomo_hooks,
        out_voxels: *mut f32,
        capacity: usize,
        out_len: *mut usize,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
}
