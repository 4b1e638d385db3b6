//! What the microscope lets through: the contrast transfer function and the missing wedge, in Fourier space.

use std::f64::consts::PI;

use super::options::Simulation;

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

/// Whether a tilt series about y from minus to plus `tilt_range` degrees, the beam along z, sees the frequency
/// `[z, y, x]`: whether the central section through it is tilted by at most that angle. The edge itself is seen.
pub fn is_seen(tilt_range: f64, frequency: [f64; 3]) -> bool {
    frequency[0].abs().atan2(frequency[2].abs()).to_degrees() <= tilt_range
}

/// What each frequency of a real transform is multiplied by, `[z, y, x]` with the half `x >= 0` of a cube of
/// `box_size`^3, zero frequency first. The wedge alone, and the wedge times the contrast transfer function.
pub(super) fn filters(simulation: &Simulation) -> (Vec<f32>, Vec<f32>) {
    let options = simulation.options();
    let edge = options.box_size;
    let signed = |index: i64| (if 2 * index < edge { index } else { index - edge }) as f64;
    let n = (edge * edge * (edge / 2 + 1)) as usize;
    let (mut wedge, mut transfer) = (Vec::with_capacity(n), Vec::with_capacity(n));
    for z in (0..edge).map(signed) {
        for y in (0..edge).map(signed) {
            for x in (0..=edge / 2).map(|index| index as f64) {
                let seen = is_seen(options.tilt_range, [z, y, x]);
                let cycles_per_box = (z * z + y * y + x * x).sqrt();
                let frequency = cycles_per_box / (edge as f64 * options.voxel_size);
                let factor = if seen { contrast_transfer(simulation, frequency) } else { 0.0 };
                wedge.push(f32::from(u8::from(seen)));
                transfer.push(factor as f32);
            }
        }
    }
    (wedge, transfer)
}

#[cfg(test)]
#[path = "transfer_test.rs"]
mod tests;
