//! Files of cryo-electron tomography, read strictly and written whole or not at all: volumes, particle lists,
//! structures. No network and no libtorch.
//!
//! Axes are z, y, x everywhere, z slowest, as MRC files have them on disk; voxel sizes are in angstrom, 0 = unknown.

#![forbid(unsafe_code)]

mod cells;
pub mod csv;
pub mod dynamo;
mod error;
pub mod particle_list;
pub mod star;
pub mod structure;
mod whole;

pub use error::{Error, ErrorKind, Result};
