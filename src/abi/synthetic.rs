//! Extension `cinetomo.synthetic/1`: simulated subtomograms and tomograms, for demonstrations, tests and training.

use std::ffi::c_char;

use super::{cinetomo_context, cinetomo_error, cinetomo_hooks, cinetomo_volume};

/// How subtomograms and tomograms are simulated. Fill with `options_init` of the extension's table.
///
/// A simulated volume is what a reconstruction shows of particles in ice: their densities, turned and moved, through
/// envelope and contrast transfer function, with noise from before and behind the lens, missing wedge and band limit.
/// SNR is the power of the signal over that of the noise in the finished volume. The noise's power is its variance; the
/// signal's is its variance over the box of a subtomogram, and in a tomogram its mean squared difference from the
/// tomogram's mean over the voxels within the particles' bounding spheres.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_synthetic_options {
    /// `sizeof(cinetomo_synthetic_options)` as the caller was compiled; set by `options_init`.
    pub struct_size: usize,
    /// Edge of the cubic subtomograms in voxels, 8 to 256. Default: 32. Unused for tomograms.
    pub box_size: i64,
    /// Edge of a voxel in angstrom, 0.1 to 100. Default: 10.
    pub voxel_size: f64,
    /// Power of the signal over power of the noise, above 0; infinity = no noise. Default: 0.1.
    pub snr: f64,
    /// The tilt series runs from minus to plus this angle about the tilt axis, in degrees, above 0 and at most 90; what
    /// it does not see is the missing wedge. Default: 60.
    pub tilt_range: f64,
    /// Largest random shift from the centre along each axis, in voxels, 0 to half the box. Default: 2. Unused for
    /// tomograms.
    pub max_shift: f64,
    /// Underfocus in micrometre, 0 to 100; 0 = no contrast transfer function. Default: 5.
    pub defocus: f64,
    /// Acceleration voltage in kilovolt, 1 to 3000. Default: 300.
    pub voltage: f64,
    /// Spherical aberration in millimetre, 0 to 100. Default: 2.7.
    pub spherical_aberration: f64,
    /// Seed. Same seed, same subtomograms, on any number of threads. Default: 0.
    pub seed: u64,
    /// Sign of the particles, CINETOMO_CONTRAST_DARK (default) or CINETOMO_CONTRAST_BRIGHT.
    pub contrast: i32,
    /// Zero.
    pub reserved: i32,
    /// Envelope: the signal is multiplied by exp(-(f / (envelope * Nyquist))^2), f being the spatial frequency. 0 to
    /// 100; 0 (default) = none.
    pub envelope: f64,
    /// Highest frequency that passes unweakened, in units of Nyquist's, 0 to 2; 0 (default) = no limit.
    pub band_limit: f64,
    /// How far beyond the band limit transmission falls to 1/e (as a Gaussian), in units of Nyquist's frequency, 0 to
    /// 1; 0 (default) = at once.
    pub band_edge: f64,
    /// Share of the noise's variance that was there before the lens, so that the contrast transfer function and the
    /// envelope shape it as they do the signal, 0 to 1. The rest is white but for `mtf`. Default: 0.
    pub noise_before: f64,
    /// What of a wave's amplitude the detector passes at Nyquist's frequency, above 0 and at most 1: noise from behind
    /// the lens is multiplied by mtf^((f / Nyquist)^2). Default: 1.
    pub mtf: f64,
    /// Number of particles, of random densities, that are packed around the target of each subtomogram without overlap
    /// of their bounding spheres, 0 to 32. Default: 0. Unused for tomograms.
    pub n_neighbours: i32,
    /// The axis about which the specimen is tilted, a `CINETOMO_AXIS_*` other than `beam_axis`. Default: Y.
    pub tilt_axis: i32,
    /// The axis along the electron beam, a `CINETOMO_AXIS_*`. Default: Z.
    pub beam_axis: i32,
    /// Zero.
    pub reserved_2: i32,
}

/// A particle of a simulated subtomogram or tomogram: the ground truth. This struct does not grow.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_synthetic_particle {
    /// Where the centre of its density lies (voxel d / 2 of a density of d voxels, rounded down): z, y, x in voxels,
    /// counted from the centre of the first voxel.
    pub position: [f64; 3],
    /// Rotation matrix, row by row, rows and columns in the order z, y, x: takes an offset from the centre of the
    /// density to the offset from `position`.
    pub rotation: [f64; 9],
    /// Radius of its bounding sphere in voxels: the farthest voxel of the density with a tenth of its highest value.
    pub radius: f64,
    /// SNR, as measured, of the subtomogram or tomogram that it is in.
    pub snr: f64,
    /// Which density it is of.
    pub label: i32,
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
    /// Fills `options` with the settings of the simulator behind the paper's simulated data (Liu et al. 2020, BMC
    /// Bioinformatics 21:399): 32 voxels of 10 angstrom, a target up to 8 voxels off the centre among 4 neighbours, tilt
    /// range 60 degrees, 300 kV, 2 mm, 5 micrometre, envelope 0.4, band limit 0.5, half of the noise from before the
    /// lens, SNR 0.03, bright. `struct_size` is `sizeof *options`. [any thread]
    pub options_init_liu_2020: unsafe extern "C" fn(
        out_options: *mut cinetomo_synthetic_options,
        struct_size: usize,
    ) -> i32,
    /// As `simulate`, and says what is in the subtomograms: `out_particles` receives 1 + `n_neighbours` particles for
    /// each, the target first; neighbours may lie partly or wholly outside the box. It is NULL with
    /// `particle_capacity` 0, or has room for all of them. [any thread]
    pub simulate_particles: unsafe extern "C" fn(
        context: *const cinetomo_context,
        densities: *const cinetomo_volume,
        labels: *const i32,
        n_labels: usize,
        options: *const cinetomo_synthetic_options,
        hooks: *const cinetomo_hooks,
        out_voxels: *mut f32,
        capacity: usize,
        out_len: *mut usize,
        out_particles: *mut cinetomo_synthetic_particle,
        particle_capacity: usize,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// Simulates a tomogram of `shape` (z, y, x) voxels, at least 8 along each axis and at most 2^27 in all, that holds
    /// one particle for each label, at random places: bounding spheres lie within the tomogram and do not overlap.
    /// About a third of a tomogram can be filled; it is an error if a particle finds no place.
    ///
    /// `densities`, `options` and `hooks` are as for `simulate`. `out_voxels` receives the tomogram, x fastest;
    /// `*out_len` the number of its voxels; with `capacity` 0 that is all that happens. `out_particles` receives one
    /// particle for each label, in that order; it is NULL with `particle_capacity` 0, or has room for all of them.
    /// Takes 24 bytes of memory a voxel. [any thread]
    pub simulate_tomogram: unsafe extern "C" fn(
        context: *const cinetomo_context,
        densities: *const cinetomo_volume,
        labels: *const i32,
        n_labels: usize,
        shape: *const i64,
        options: *const cinetomo_synthetic_options,
        hooks: *const cinetomo_hooks,
        out_voxels: *mut f32,
        capacity: usize,
        out_len: *mut usize,
        out_particles: *mut cinetomo_synthetic_particle,
        particle_capacity: usize,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
}
