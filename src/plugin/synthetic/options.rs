//! How subtomograms are simulated.

/// Sign of the particles against their surroundings.
pub use cinetomo_abi::cinetomo_contrast as Contrast;

use super::{check_grid, check_range};
use crate::error::{Error, Result};

/// How subtomograms are simulated; the defaults are those of `cinetomo_synthetic_options`.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulationOptions {
    /// Edge of the cubic subtomograms in voxels, 8 to 256.
    pub box_size: i64,
    /// Edge of a voxel in angstrom, 0.1 to 100.
    pub voxel_size: f64,
    /// Variance of the signal over variance of the noise, both over the whole box and inside the wedge, above 0;
    /// infinity = no noise.
    pub snr: f64,
    /// The tilt series runs from minus to plus this angle about y, in degrees, above 0 and at most 90.
    pub tilt_range: f64,
    /// Largest random shift from the centre along each axis, in voxels, 0 to half the box.
    pub max_shift: f64,
    /// Underfocus in micrometre, 0 to 100; 0 = no contrast transfer function.
    pub defocus: f64,
    /// Acceleration voltage in kilovolt, 1 to 3000.
    pub voltage: f64,
    /// Spherical aberration in millimetre, 0 to 100.
    pub spherical_aberration: f64,
    /// Seed. Same seed, same subtomograms.
    pub seed: u64,
    /// Sign of the particles: dark or bright.
    pub contrast: Contrast,
}

impl Default for SimulationOptions {
    /// The contract's defaults: 32 voxels of 10 angstrom, SNR 0.1, 60 degrees, 2 voxels, 5 micrometre, 300 kV, 2.7 mm
    /// (an FEI Titan Krios), seed 0, dark.
    fn default() -> SimulationOptions {
        SimulationOptions {
            box_size: 32,
            voxel_size: 10.0,
            snr: 0.1,
            tilt_range: 60.0,
            max_shift: 2.0,
            defocus: 5.0,
            voltage: 300.0,
            spherical_aberration: 2.7,
            seed: 0,
            contrast: Contrast::Dark,
        }
    }
}

/// Options that have been checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulation(SimulationOptions);

impl Simulation {
    /// Checks the options. The error names the first that is out of range, its value and the range.
    pub fn new(options: SimulationOptions) -> Result<Simulation> {
        check_grid(options.box_size, options.voxel_size)?;
        let above_0 = |name: &str, value: f64, highest: f64| {
            if value > 0.0 && value <= highest {
                return Ok(());
            }
            Err(Error::invalid(format!(
                "{name} is {value}; it must be above 0 and at most {highest}"
            )))
        };
        above_0("snr", options.snr, f64::INFINITY)?;
        above_0("tilt_range", options.tilt_range, 90.0)?;
        check_range("max_shift", options.max_shift, [0.0, options.box_size as f64 / 2.0])?;
        check_range("defocus", options.defocus, [0.0, 100.0])?;
        check_range("voltage", options.voltage, [1.0, 3000.0])?;
        check_range("spherical_aberration", options.spherical_aberration, [0.0, 100.0])?;
        if options.contrast == Contrast::Unknown {
            return Err(Error::invalid("contrast is unknown; it must be dark or bright"));
        }
        Ok(Simulation(options))
    }

    /// The options that were checked.
    pub fn options(&self) -> &SimulationOptions {
        &self.0
    }
}
