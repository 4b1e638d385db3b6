//! Files of cryo-electron tomography, read strictly and written whole or not at all: volumes, particle lists,
//! structures. No network and no libtorch.
//!
//! Axes are z, y, x everywhere, z slowest, as MRC files have them on disk; voxel sizes are in angstrom, 0 = unknown.

#![forbid(unsafe_code)]

mod cells;
pub mod csv;
mod dtype;
pub mod dynamo;
pub mod em;
mod error;
pub mod montage;
pub mod mrc;
pub mod npy;
pub mod npz;
pub mod particle_list;
mod source;
pub mod star;
pub mod structure;
pub mod tiff;
pub mod volumes;
mod voxels;
mod whole;

pub use dtype::{Dtype, Endian};
pub use error::{Error, ErrorKind, Result};
pub use whole::write;
