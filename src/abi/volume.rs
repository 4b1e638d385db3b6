//! Voxels: a borrowed batch of subtomograms.

use std::ffi::c_void;

/// Type of a voxel.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_dtype {
    /// IEEE 754 binary32 (MRC mode 2).
    F32 = 0,
    /// IEEE 754 binary16 (MRC mode 12).
    F16 = 1,
    /// Unsigned byte.
    U8 = 2,
    /// Signed byte (MRC mode 0).
    I8 = 3,
    /// Unsigned 16-bit integer (MRC mode 6).
    U16 = 4,
    /// Signed 16-bit integer (MRC mode 1).
    I16 = 5,
}

/// Where a buffer lives; the numbers are those of DLPack.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_memory {
    /// Memory of the process.
    Cpu = 1,
    /// Memory of a CUDA device.
    Cuda = 2,
}

/// Sign of the particles against their surroundings.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_contrast {
    /// Not stated.
    Unknown = 0,
    /// Dark particles on a bright background, as tomograms are reconstructed.
    Dark = 1,
    /// Bright particles on a dark background, as RELION and Warp export them.
    Bright = 2,
}

/// An axis of a subtomogram, in the order of `shape`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_axis {
    /// `shape[1]`: the slowest axis, the section axis of an MRC file.
    Z = 0,
    /// `shape[2]`.
    Y = 1,
    /// `shape[3]`: the fastest axis.
    X = 2,
}

/// A batch of subtomograms in the caller's memory: borrowed for one call, never written, kept or freed.
/// Fill with `cinetomo_volume_init`, then set at least `data` and `shape`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_volume {
    /// `sizeof(cinetomo_volume)` as the caller was compiled; set by `cinetomo_volume_init`.
    pub struct_size: usize,
    /// First voxel, aligned to its type.
    pub data: *const c_void,
    /// Bytes readable at `data`. If not 0, shape and strides are checked against it. Default: 0 = not stated.
    pub data_bytes: usize,
    /// n, z, y, x: number of subtomograms and voxels along each axis. All at least 1.
    pub shape: [i64; 4],
    /// Distance between neighbours along n, z, y, x, in voxels, not bytes; all 0 (default) = contiguous, x fastest.
    /// Negative strides are refused; stride 0 along an axis repeats it.
    pub strides: [i64; 4],
    /// Edge of a voxel in angstrom; 0 (default) = unknown.
    pub voxel_size: f64,
    /// A `CINETOMO_DTYPE_*`. Default: F32.
    pub dtype: i32,
    /// A `CINETOMO_MEMORY_*`. Default: CPU.
    pub memory: i32,
    /// Which CUDA device, for CINETOMO_MEMORY_CUDA. Default: 0.
    pub memory_index: i32,
    /// A `CINETOMO_CONTRAST_*`. Default: UNKNOWN.
    pub contrast: i32,
    /// The axis along the electron beam, a `CINETOMO_AXIS_*`: it becomes the time axis of the video network.
    /// Default: Z, as in tomograms on disk.
    pub beam_axis: i32,
    /// Zero.
    pub reserved: i32,
}
