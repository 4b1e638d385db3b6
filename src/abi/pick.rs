//! Extension `cinetomo.pick/1`: particles in a tomogram, and boxes around them.

use std::ffi::c_void;

use super::{cinetomo_context, cinetomo_error, cinetomo_hooks, cinetomo_volume};

/// Which peaks of the filtered tomogram count as particles. t is the option `threshold`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_threshold_rule {
    /// Those of at least m + t (M - m) / 20, m and M being the lowest and the highest score of all peaks (Pei et al.
    /// 2016, the paper's pipeline). A single very dense object, such as a gold bead, raises it for all.
    PeakRange = 0,
    /// Those of at least the median of all scores plus t times 1.4826 times their median absolute deviation: t standard
    /// deviations, for most of the peaks are noise. Hardly changed by a few very dense objects; but where a third of the
    /// peaks are particles, as in a crowded tomogram under wide Gaussians, 3 leaves out many of them.
    Deviations = 1,
    /// Those whose score is at least t.
    Score = 2,
}

/// What happens to boxes that reach beyond the tomogram.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_edge {
    /// What is missing becomes the mean of what is there.
    Pad = 0,
    /// They are left out.
    Skip = 1,
    /// The call fails and names the first of them.
    Fail = 2,
}

/// How a box is sampled between the voxels of the tomogram.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_resampling {
    /// All frequencies that tomogram and box can both hold, unweakened, shifted and rescaled in Fourier space. The box is
    /// taken with 16 voxels around it.
    Fourier = 0,
    /// Trilinear: quick, weakens fine detail; not for boxes of much larger voxels, where it aliases.
    Linear = 1,
    /// Positions are rounded to voxels, and voxels copied. Cannot change the voxel size.
    Nearest = 2,
}

/// A tomogram in the caller's memory, or one that the caller reads piece by piece. Fill with `tomogram_init`, then set
/// either `voxels`, or `read`, `shape`, `voxel_size` and `contrast`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_tomogram {
    /// `sizeof(cinetomo_tomogram)` as the caller was compiled; set by `tomogram_init`.
    pub struct_size: usize,
    /// The tomogram as a volume with n = 1, of any type and strides and any size; `beam_axis` does not matter. NULL
    /// (default) = `read` fetches it.
    pub voxels: *const cinetomo_volume,
    /// Fetches the box of `nz` x `ny` x `nx` voxels that begins at voxel `z0`, `y0`, `x0` into `out`, x fastest; boxes
    /// lie within the tomogram. Returns 0, or anything else to stop the call with CINETOMO_STATUS_IO. Always called on
    /// the thread that made the call, never after it returned, one box at a time; boxes may overlap. Must not throw or
    /// longjmp. NULL (default) = the tomogram is in `voxels`.
    pub read: Option<
        unsafe extern "C" fn(
            user_data: *mut c_void,
            z0: i64,
            y0: i64,
            x0: i64,
            nz: i64,
            ny: i64,
            nx: i64,
            out: *mut f32,
        ) -> i32,
    >,
    /// Handed to `read` as it is.
    pub user_data: *mut c_void,
    /// Number of voxels along z, y, x, with `read`; at most 2^20. All 0 (default) with `voxels`.
    pub shape: [i64; 3],
    /// Edge of a voxel in angstrom, with `read`; 0 (default) = unknown.
    pub voxel_size: f64,
    /// A `CINETOMO_CONTRAST_*`, with `read`. Default: UNKNOWN.
    pub contrast: i32,
    /// Zero.
    pub reserved: i32,
}

/// How particles are picked. Fill with `pick_options_init`.
///
/// The tomogram is filtered with two Gaussians of which one is a little wider; particles are the extrema of their
/// difference. The narrower one should fit the particles: its standard deviation is taken from `sigma`, else from
/// `particle_diameter`, else it is 70 angstrom, rounded down to voxels, and at least two voxels. That fits
/// particles of 250 angstrom, such as ribosomes; state the diameter of smaller ones.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_pick_options {
    /// `sizeof(cinetomo_pick_options)` as the caller was compiled; set by `pick_options_init`.
    pub struct_size: usize,
    /// Standard deviation of the narrower Gaussian in voxels, 0.5 to 100; 0 (default) = see above.
    pub sigma: f64,
    /// Diameter of the particles in angstrom: `sigma` becomes what a solid ball of that diameter answers most to, 0.29
    /// diameters divided by the square root of `sigma_ratio`. 0 (default) = unknown. Needs the tomogram's voxel size.
    pub particle_diameter: f64,
    /// The wider Gaussian over the narrower one, above 1 and at most 10. Default: 1.1.
    pub sigma_ratio: f64,
    /// Smallest distance between two picks in voxels, up to 10,000: of two that are nearer, the one with the lower score
    /// is dropped. 0 (default) = as `sigma`. The diameter of the particles is the most that makes sense.
    pub min_distance: f64,
    /// What `threshold_rule` makes a threshold of. Default: 3.
    pub threshold: f64,
    /// Most particles that are returned, the best ones: 1 to 10,000,000. Default: 1000.
    pub n_max: i64,
    /// Voxels at the edge of the tomogram where nothing is picked, 0 to 10,000. Default: 0.
    pub border: i64,
    /// Bytes that blocks of the tomogram may take at a time, at least 1 MiB; results do not depend on it. Default: 512
    /// MiB. Besides, 28 bytes are taken for each peak, of which noise has about one in 30 sigma^3 voxels.
    pub max_memory: u64,
    /// A `CINETOMO_THRESHOLD_RULE_*`. Default: PEAK_RANGE.
    pub threshold_rule: i32,
    /// Whether positions are refined to a fraction of a voxel (by a parabola along each axis), 0 or 1. Default: 1.
    pub refine: i32,
}

/// How boxes are cut out of a tomogram. Fill with `extract_options_init`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_extract_options {
    /// `sizeof(cinetomo_extract_options)` as the caller was compiled; set by `extract_options_init`.
    pub struct_size: usize,
    /// Edge of the cubic boxes in voxels, 2 to 512. Default: 32. What is read for a box may be 320 voxels of the tomogram
    /// along an edge.
    pub box_size: i64,
    /// Edge of the boxes' voxels in angstrom, 1/16 to 16 times the tomogram's; 0 (default) = as the tomogram's.
    pub voxel_size: f64,
    /// A `CINETOMO_RESAMPLING_*`. Default: FOURIER.
    pub resampling: i32,
    /// A `CINETOMO_EDGE_*`. Default: PAD.
    pub edge: i32,
    /// Sign of the particles in the boxes, a `CINETOMO_CONTRAST_*`: voxels are negated if the tomogram states the other
    /// one. UNKNOWN (default) = as in the tomogram.
    pub contrast: i32,
    /// Zero.
    pub reserved: i32,
}

/// The functions of `cinetomo.pick/1`, from `cinetomo_get_extension`. Valid for the life of the process.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_pick_api {
    /// Size of this table as the library knows it.
    pub struct_size: usize,
    /// Fills `out_tomogram` with the defaults; `struct_size` is `sizeof *out_tomogram`. [any thread]
    pub tomogram_init:
        unsafe extern "C" fn(out_tomogram: *mut cinetomo_tomogram, struct_size: usize) -> i32,
    /// Fills `out_options` with the defaults; `struct_size` is `sizeof *out_options`. [any thread]
    pub pick_options_init:
        unsafe extern "C" fn(out_options: *mut cinetomo_pick_options, struct_size: usize) -> i32,
    /// Picks particles by difference of Gaussians, the best first. The tomogram's contrast must be known.
    ///
    /// `out_positions` receives z, y, x of each in voxels, counted from the centre of the first voxel; `out_scores`
    /// receives how much brighter (or darker) than its surroundings each is in the filtered tomogram, more being
    /// better; `*out_n` their number. `capacity` is the number of particles for which there is room: 3 x `capacity`
    /// positions and `capacity` scores. It is at least `n_max`, or 0: then `*out_n` receives `n_max`, and nothing else
    /// happens. Reading goes block by block through the tomogram, the surroundings of a block included. Filters run on
    /// the context's device, the search for peaks on its threads. `options` and `hooks` may be NULL.
    ///
    /// Errors: NULL_ARGUMENT; INVALID_ARGUMENT; NON_FINITE names the voxel; BUFFER_TOO_SMALL; IO if `read` failed;
    /// CANCELLED. [any thread]
    pub pick: unsafe extern "C" fn(
        context: *const cinetomo_context,
        tomogram: *const cinetomo_tomogram,
        options: *const cinetomo_pick_options,
        hooks: *const cinetomo_hooks,
        out_positions: *mut f32,
        out_scores: *mut f32,
        capacity: usize,
        out_n: *mut usize,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// Fills `out_options` with the defaults; `struct_size` is `sizeof *out_options`. [any thread]
    pub extract_options_init:
        unsafe extern "C" fn(out_options: *mut cinetomo_extract_options, struct_size: usize) -> i32,
    /// Cuts out boxes around particles: the position lies on voxel `box_size` / 2, rounded down, along each axis.
    ///
    /// `positions` holds z, y, x of `n_positions` particles, as `pick` writes them. `out_voxels` receives one box after
    /// the other, x fastest; `*out_len` the number of voxels; with `capacity` 0 that is all that happens, and nothing is
    /// read. `out_indices` receives for each box the index of its particle, which is of interest with
    /// CINETOMO_EDGE_SKIP; it is NULL with `index_capacity` 0, or has room for `n_positions`. A position outside the
    /// tomogram is an error, but for CINETOMO_EDGE_SKIP. Memory for the boxes is taken twice: many particles are best
    /// cut out by a few thousand a call. `options` and `hooks` may be NULL.
    ///
    /// Errors: NULL_ARGUMENT; INVALID_ARGUMENT names the position; NON_FINITE names the box and the voxel;
    /// BUFFER_TOO_SMALL; IO if `read` failed; CANCELLED. [any thread]
    pub extract: unsafe extern "C" fn(
        context: *const cinetomo_context,
        tomogram: *const cinetomo_tomogram,
        positions: *const f32,
        n_positions: usize,
        options: *const cinetomo_extract_options,
        hooks: *const cinetomo_hooks,
        out_voxels: *mut f32,
        capacity: usize,
        out_len: *mut usize,
        out_indices: *mut i64,
        index_capacity: usize,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
}
