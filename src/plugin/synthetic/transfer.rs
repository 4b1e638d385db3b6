//! What the microscope lets through, in Fourier space: contrast transfer, envelope, detector, missing wedge, band limit.

use std::f64::consts::PI;

use super::options::{Simulation, SimulationOptions};
use crate::{allocation, error::Result};

/// Fraction of amplitude contrast of proteins in ice: Toyoshima and Unwin 1988, Ultramicroscopy 25:279.
const AMPLITUDE_CONTRAST: f64 = 0.07;

/// Relativistic wavelength of electrons in angstrom, for an acceleration voltage in kilovolt.
///
/// `h / sqrt(2 m e U (1 + e U / (2 m c^2)))` with the constants of CODATA 2018.
pub fn electron_wavelength(voltage: f64) -> f64 {
    const PLANCK: f64 = 6.626_070_15e-34; // J s
    const ELECTRON_MASS: f64 = 9.109_383_701_5e-31; // kg
    const CHARGE: f64 = 1.602_176_634e-19; // C
    const LIGHT_SPEED: f64 = 299_792_458.0; // m/s
    let energy = CHARGE * voltage * 1e3;
    let rest_energy = ELECTRON_MASS * LIGHT_SPEED * LIGHT_SPEED;
    let momentum = (2.0 * ELECTRON_MASS * energy * (1.0 + energy / (2.0 * rest_energy))).sqrt();
    PLANCK / momentum * 1e10
}

/// Contrast transfer function at a spatial frequency in 1/angstrom: positive where protein appears as protein. 1
/// everywhere if the defocus is 0.
///
/// `sin(pi l k^2 (D - l^2 k^2 Cs / 2) + asin A)` with wavelength l, underfocus D, spherical aberration Cs and
/// amplitude contrast A: Rohou and Grigorieff 2015, J. Struct. Biol. 192:216, equations 2 and 3, negated, since
/// theirs describes bright-field images, where protein is dark.
pub fn contrast_transfer(simulation: &Simulation, frequency: f64) -> f64 {
    let options = simulation.options();
    if options.defocus == 0.0 {
        return 1.0;
    }
    let wavelength = electron_wavelength(options.voltage);
    let defocus = options.defocus * 1e4; // micrometre to angstrom
    let aberration = options.spherical_aberration * 1e7; // millimetre to angstrom
    let k2 = frequency * frequency;
    let phase = PI * wavelength * k2 * (defocus - 0.5 * wavelength * wavelength * k2 * aberration);
    (phase + AMPLITUDE_CONTRAST.asin()).sin()
}

/// What is left of a frequency (1/angstrom) by the envelope: `exp(-(f / (e N))^2)`, N being Nyquist's frequency and e
/// the option, as in Liu et al. 2020. It stands for partial coherence, motion and errors of the alignment alike.
pub fn envelope(simulation: &Simulation, frequency: f64) -> f64 {
    match simulation.options().envelope {
        0.0 => 1.0,
        fraction => (-(in_nyquist(simulation, frequency) / fraction).powi(2)).exp(),
    }
}

/// What passes of a frequency (1/angstrom) at the end of the reconstruction: 1 up to the band limit, and beyond it
/// `exp(-((f - limit) / edge)^2)`.
pub fn band(simulation: &Simulation, frequency: f64) -> f64 {
    let options = simulation.options();
    let beyond = in_nyquist(simulation, frequency) - options.band_limit;
    if options.band_limit == 0.0 || beyond <= 0.0 {
        1.0
    } else if options.band_edge == 0.0 {
        0.0
    } else {
        (-(beyond / options.band_edge).powi(2)).exp()
    }
}

/// What the detector passes of a frequency (1/angstrom): `m^((f / N)^2)`, a Gaussian that has fallen to m, the option,
/// at Nyquist's frequency N.
pub fn detector_transfer(simulation: &Simulation, frequency: f64) -> f64 {
    simulation.options().mtf.powf(in_nyquist(simulation, frequency).powi(2))
}

/// A frequency in units of Nyquist's.
fn in_nyquist(simulation: &Simulation, frequency: f64) -> f64 {
    2.0 * simulation.options().voxel_size * frequency
}

/// Whether the tilt series sees the frequency `[z, y, x]`: whether the central section through it is tilted by at most
/// `tilt_range` against the plane across the beam. The edge itself is seen.
pub fn is_seen(options: &SimulationOptions, frequency: [f64; 3]) -> bool {
    let (beam, tilt) = (options.beam_axis as usize, options.tilt_axis as usize);
    // The checked options have two different axes; 0 + 1 + 2 = 3.
    let across = 3 - beam - tilt;
    frequency[beam].abs().atan2(frequency[across].abs()).to_degrees() <= options.tilt_range
}

/// What each frequency of a real transform is multiplied by: `[z, y, x]` with the half `x >= 0` of a volume of `shape`
/// voxels, zero frequency first.
pub(super) struct Filters {
    /// From the specimen to the tomogram: contrast transfer, envelope, wedge, band limit.
    pub(super) lens: Vec<f32>,
    /// From the detector to the tomogram: its own response, wedge, band limit.
    pub(super) detector: Vec<f32>,
}

impl Filters {
    pub(super) fn new(simulation: &Simulation, shape: [i64; 3]) -> Result<Filters> {
        let options = simulation.options();
        let [nz, ny, nx] = shape;
        let n = (nz * ny * (nx / 2 + 1)) as usize;
        let along = |index: i64, extent: i64| {
            let cycles = if 2 * index < extent { index } else { index - extent };
            cycles as f64 / (extent as f64 * options.voxel_size)
        };
        let mut filters = Filters { lens: allocation::room(n)?, detector: allocation::room(n)? };
        for z in (0..nz).map(|index| along(index, nz)) {
            for y in (0..ny).map(|index| along(index, ny)) {
                // Its sign does not matter where the extent is even: no factor depends on it.
                for x in (0..=nx / 2).map(|index| along(index, nx)) {
                    let (mut lens, mut detector) = (0.0, 0.0);
                    if is_seen(options, [z, y, x]) {
                        let frequency = (z * z + y * y + x * x).sqrt();
                        let limit = band(simulation, frequency);
                        lens = contrast_transfer(simulation, frequency)
                            * envelope(simulation, frequency)
                            * limit;
                        detector = detector_transfer(simulation, frequency) * limit;
                    }
                    filters.lens.push(lens as f32);
                    filters.detector.push(detector as f32);
                }
            }
        }
        Ok(filters)
    }
}

#[cfg(test)]
#[path = "transfer_test.rs"]
mod tests;
