//! How subtomograms are simulated.

/// Sign of the particles against their surroundings; an axis of a volume.
pub use cinetomo_abi::{cinetomo_axis as Axis, cinetomo_contrast as Contrast};

use super::{check_grid, check_range};
use crate::error::{Error, Result};

/// How subtomograms are simulated; the defaults are those of `cinetomo_synthetic_options`.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulationOptions {
    /// Edge of the cubic subtomograms in voxels, 8 to 256.
    pub box_size: i64,
    /// Edge of a voxel in angstrom, 0.1 to 100.
    pub voxel_size: f64,
    /// Power of the signal over power of the noise, above 0; infinity = no noise. What they are is said at the top of
    /// this module.
    pub snr: f64,
    /// The tilt series runs from minus to plus this angle about the tilt axis, in degrees, above 0 and at most 90.
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
    /// Frequency, in units of Nyquist's, at which the envelope has fallen to 1/e, 0 to 100; 0 = no envelope.
    pub envelope: f64,
    /// Highest frequency that passes unweakened, in units of Nyquist's, 0 to 2; 0 = no limit.
    pub band_limit: f64,
    /// How far beyond the band limit transmission falls to 1/e, in units of Nyquist's frequency, 0 to 1; 0 = at once.
    pub band_edge: f64,
    /// Share of the noise's variance that was there before the lens, 0 to 1: noise that the contrast transfer function
    /// shapes as it does the signal.
    pub noise_before: f64,
    /// What of a wave's amplitude the detector passes at Nyquist's frequency, above 0 and at most 1.
    pub mtf: f64,
    /// Number of other particles that are packed around each target, 0 to 32.
    pub n_neighbours: i32,
    /// The axis about which the specimen is tilted.
    pub tilt_axis: Axis,
    /// The axis along the electron beam at tilt 0.
    pub beam_axis: Axis,
}

impl Default for SimulationOptions {
    /// The contract's defaults: 32 voxels of 10 angstrom, SNR 0.1, 60 degrees about y, beam along z, 2 voxels, 5
    /// micrometre, 300 kV, 2.7 mm (an FEI Titan Krios), seed 0, dark; alone, no envelope, no band limit, white noise.
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
            envelope: 0.0,
            band_limit: 0.0,
            band_edge: 0.0,
            noise_before: 0.0,
            mtf: 1.0,
            n_neighbours: 0,
            tilt_axis: Axis::Y,
            beam_axis: Axis::Z,
        }
    }
}

impl SimulationOptions {
    /// The simulator behind the paper's simulated data: Liu et al. 2020, BMC Bioinformatics 21:399, with the settings
    /// of AITom, the authors' software, for it.
    ///
    /// 32 voxels of 10 angstrom; a target up to 8 voxels off the centre among 4 neighbours; tilt range 60 degrees; 300
    /// kV, 2 mm, 5 micrometre; envelope 0.4; frequencies up to half of Nyquist's, falling to 1/e within 2 of the 32
    /// Fourier voxels; half of the noise from before the lens, half from behind it, where the band limit is the
    /// detector's low-pass; SNR 0.03, as the paper states for its data; bright particles.
    pub fn liu_2020() -> SimulationOptions {
        SimulationOptions {
            snr: 0.03,
            max_shift: 8.0,
            spherical_aberration: 2.0,
            contrast: Contrast::Bright,
            envelope: 0.4,
            band_limit: 0.5,
            band_edge: 0.125,
            noise_before: 0.5,
            n_neighbours: 4,
            ..SimulationOptions::default()
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
        above_0("mtf", options.mtf, 1.0)?;
        check_range("max_shift", options.max_shift, [0.0, options.box_size as f64 / 2.0])?;
        check_range("defocus", options.defocus, [0.0, 100.0])?;
        check_range("voltage", options.voltage, [1.0, 3000.0])?;
        check_range("spherical_aberration", options.spherical_aberration, [0.0, 100.0])?;
        check_range("envelope", options.envelope, [0.0, 100.0])?;
        check_range("band_limit", options.band_limit, [0.0, 2.0])?;
        check_range("band_edge", options.band_edge, [0.0, 1.0])?;
        check_range("noise_before", options.noise_before, [0.0, 1.0])?;
        check_range("n_neighbours", f64::from(options.n_neighbours), [0.0, 32.0])?;
        if options.tilt_axis == options.beam_axis {
            return Err(Error::invalid(format!(
                "tilt_axis and beam_axis are both {:?}; the specimen is tilted about an axis across the beam",
                options.tilt_axis
            )));
        }
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
