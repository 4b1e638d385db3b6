//! Simulated subtomograms and tomograms, for demonstrations, tests and training: phantoms of seven complexes, and a
//! simulator of any densities.
//!
//! A volume v is made from the particles p in it as
//!
//! ```text
//! v = s F^-1[ W B (C E F[p] + b C E F[n] + a D F[m]) ]        n, m: white Gaussian noise
//! ```
//!
//! - `F` is the Fourier transform of the volume, without padding: what leaves it on one side comes back on the other.
//! - `p` is a sum of densities, each turned by a uniform random rotation about its centre and moved by a random
//!   sub-voxel shift. The centre of `n` voxels is voxel `n / 2`, rounded down, of densities and boxes alike. In a
//!   subtomogram, neighbours may be packed around the target, bounding sphere to bounding sphere (`packing`); in a
//!   tomogram, particles lie at uniform random places where their bounding spheres do not overlap.
//! - `C` is the contrast transfer function, the same in all directions, as in programs that average subtomograms; it
//!   leaves aside that the defocus varies with the tilt and the height. `E` is the envelope.
//! - `n` is noise from before the lens, such as that of the ice, and passes it as the signal does. `m` is noise from
//!   behind it, of counting and of the detector, with the detector's response `D`. `a` and `b` give each its share of
//!   the noise's variance as it arrives.
//! - `W` is the missing wedge: 1 where a central section of the tilt series comes by, 0 elsewhere. `B` is the band
//!   limit. Noise passes both: a reconstruction holds none of it there either.
//! - `s` is -1 for dark contrast.
//!
//! **SNR** is the power of the signal over that of the noise, each by itself in the finished volume (everything that
//! passes `F^-1`), which is the definition of Frank and Al-Ali 1975, Nature 256:376. The noise's power is its variance
//! over the volume. The signal's is its variance over the whole box of a subtomogram; in a tomogram, where that would
//! depend on how empty it is, its mean squared difference from the tomogram's mean over the voxels within the
//! bounding spheres of the particles. Noise is scaled so that each volume has the SNR asked for; what is measured on
//! the scaled noise is returned with it.
//!
//! It follows the simulator behind the paper's simulated data (Liu et al. 2020, BMC Bioinformatics 21:399);
//! `SimulationOptions::liu_2020` has its settings. Subtomogram number i draws from stream i of a ChaCha8 generator:
//! rotation and shift, neighbours, then noise. A tomogram draws from the last stream.

mod ellipsoid;
mod microscope;
mod options;
mod packing;
pub mod phantoms;
mod pose;
mod rotation;
mod scene;
mod simulate;
mod symmetry;
mod tomogram;
mod transfer;

pub use ellipsoid::Blob;
pub use options::{Axis, Contrast, Simulation, SimulationOptions};
pub use scene::Particle;
pub use simulate::{Subtomograms, simulate};
pub use symmetry::Symmetry;
pub(crate) use tomogram::check_shape as check_tomogram_shape;
pub use tomogram::{Tomogram, simulate_tomogram};
pub use transfer::{
    band, contrast_transfer, detector_transfer, electron_wavelength, envelope, is_seen,
};

use crate::error::{Error, Result};

/// Checks what every volume here needs: its edge in voxels, and theirs in angstrom.
pub(crate) fn check_grid(box_size: i64, voxel_size: f64) -> Result<()> {
    if !(8..=256).contains(&box_size) {
        return Err(Error::invalid(format!("box_size is {box_size}; it must be 8 to 256 voxels")));
    }
    check_range("voxel_size", voxel_size, [0.1, 100.0])
}

fn check_range(name: &str, value: f64, [lowest, highest]: [f64; 2]) -> Result<()> {
    if (lowest..=highest).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(format!("{name} is {value}; it must be {lowest} to {highest}")))
}

/// What tests/reference/synthetic.py computed.
#[cfg(test)]
fn reference() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../tests/reference/synthetic.json")).unwrap()
}

/// The numbers of a nested JSON list, one after the other.
#[cfg(test)]
fn numbers(value: &serde_json::Value) -> Vec<f64> {
    match value {
        serde_json::Value::Array(list) => list.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}
