//! Simulated subtomograms, for demonstrations, tests and training: phantoms of seven complexes, and a simulator.
//!
//! A subtomogram v is made from the density p of a complex as
//!
//! ```text
//! v = s F^-1[ W (T F[R p] + a F[n]) ]        a^2 = var(signal) / (snr var(noise))
//! ```
//!
//! - `F` the Fourier transform of the box, without padding: what leaves the box on one side comes back on the other.
//! - `R` a uniform random rotation about the centre and a random sub-voxel shift. The centre of `n` voxels is voxel
//!   `n / 2`, rounded down, of densities and boxes alike.
//! - `T` the contrast transfer function, the same in all directions, as in programs that average subtomograms; it
//!   leaves aside that the defocus varies with the tilt and the height.
//! - `n` white Gaussian noise. It passes the wedge, not the contrast transfer function: noise of the detector and of
//!   counting is there after the lens, and a reconstruction holds none of it in the wedge either.
//! - `W` the missing wedge: 1 where a central section of the tilt series comes by, 0 elsewhere.
//! - Variances are those of the whole box behind `W`, of each subtomogram by itself: its SNR is exactly the one asked
//!   for. This is the definition of Frank and Al-Ali 1975, Nature 256:376.
//! - `s` is -1 for dark contrast.
//!
//! It follows the simulator behind the paper's simulated data (Liu et al. 2020, BMC Bioinformatics 21:399) and leaves
//! out crowding, envelope and detector response. Subtomogram number i draws from stream i of a ChaCha8 generator:
//! first rotation and shift, then noise.

mod ellipsoid;
mod options;
pub mod phantoms;
mod pose;
mod rotation;
mod simulate;
mod symmetry;
mod transfer;

pub use ellipsoid::Blob;
pub use options::{Contrast, Simulation, SimulationOptions};
pub use simulate::simulate;
pub use symmetry::Symmetry;
pub use transfer::{contrast_transfer, electron_wavelength, is_seen};

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
