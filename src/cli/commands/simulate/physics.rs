//! How it is seen: the microscope, the tilt series, the noise.

use cinetomo_host::abi::{cinetomo_axis, cinetomo_contrast, cinetomo_synthetic_options};
use clap::{Args, ValueEnum};

use crate::{
    boxes::{Axis, Contrast},
    failure::Result,
    session::Session,
};

/// How particles are seen.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Simulation")]
pub struct PhysicsArgs {
    /// Start from the settings of a publication
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// Edge of a box in voxels [default: 32]
    #[arg(long, value_name = "N", conflicts_with = "tomogram")]
    box_size: Option<i64>,
    /// Edge of a voxel in angstrom [default: 10]
    #[arg(long, value_name = "ANGSTROM")]
    voxel_size: Option<f64>,
    /// Power of the signal over that of the noise; inf = no noise [default: 0.1]
    #[arg(long, value_name = "X")]
    snr: Option<f64>,
    /// The tilt series runs from minus to plus this angle, in degrees [default: 60]
    #[arg(long, value_name = "DEGREES")]
    tilt_range: Option<f64>,
    /// The axis about which the specimen is tilted [default: y]
    #[arg(long, value_enum)]
    tilt_axis: Option<Axis>,
    /// The axis along the electron beam [default: z]
    #[arg(long, value_enum)]
    beam: Option<Axis>,
    /// Largest shift from the centre along each axis, in voxels [default: 2]
    #[arg(long, value_name = "VOXELS", conflicts_with = "tomogram")]
    max_shift: Option<f64>,
    /// Other particles, of any class, packed around each [default: 0]
    #[arg(long, value_name = "N", conflicts_with = "tomogram")]
    neighbours: Option<i32>,
    /// Underfocus in micrometre; 0 = no contrast transfer function [default: 5]
    #[arg(long, value_name = "MICROMETRE")]
    defocus: Option<f64>,
    /// Acceleration voltage [default: 300]
    #[arg(long, value_name = "KILOVOLT")]
    voltage: Option<f64>,
    /// Spherical aberration [default: 2.7]
    #[arg(long, value_name = "MILLIMETRE")]
    spherical_aberration: Option<f64>,
    /// Where a Gaussian envelope falls to 1/e, in units of Nyquist's frequency; 0 = none [default: 0]
    #[arg(long, value_name = "X")]
    envelope: Option<f64>,
    /// Highest frequency, in units of Nyquist's; 0 = no limit [default: 0]
    #[arg(long, value_name = "X")]
    band_limit: Option<f64>,
    /// How far beyond the band limit transmission falls to 1/e, in units of Nyquist's frequency [default: 0]
    #[arg(long, value_name = "X")]
    band_edge: Option<f64>,
    /// Share of the noise's variance from before the lens [default: 0]
    #[arg(long, value_name = "X")]
    noise_before: Option<f64>,
    /// What of a wave's amplitude the detector passes at Nyquist's frequency [default: 1]
    #[arg(long, value_name = "X")]
    mtf: Option<f64>,
    /// Particles against their surroundings [default: dark]
    #[arg(long, value_enum, default_value_t = Contrast::Unknown, hide_default_value = true)]
    contrast: Contrast,
}

/// Settings of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Liu et al. 2020, the simulator behind the paper's simulated data: crowded, SNR 0.03, bright
    Liu2020,
}

impl PhysicsArgs {
    /// The plugin's defaults or those of the preset, changed as asked.
    ///
    /// # Errors
    /// The plugin cannot simulate.
    pub fn options(&self, session: &Session) -> Result<cinetomo_synthetic_options> {
        let simulator = session.context.synthetic()?;
        let mut options = match self.preset {
            None => simulator.options()?,
            Some(Preset::Liu2020) => simulator.options_liu_2020()?,
        };
        let set = |option: &mut f64, asked: Option<f64>| *option = asked.unwrap_or(*option);
        set(&mut options.voxel_size, self.voxel_size);
        set(&mut options.snr, self.snr);
        set(&mut options.tilt_range, self.tilt_range);
        set(&mut options.max_shift, self.max_shift);
        set(&mut options.defocus, self.defocus);
        set(&mut options.voltage, self.voltage);
        set(&mut options.spherical_aberration, self.spherical_aberration);
        set(&mut options.envelope, self.envelope);
        set(&mut options.band_limit, self.band_limit);
        set(&mut options.band_edge, self.band_edge);
        set(&mut options.noise_before, self.noise_before);
        set(&mut options.mtf, self.mtf);
        options.box_size = self.box_size.unwrap_or(options.box_size);
        options.n_neighbours = self.neighbours.unwrap_or(options.n_neighbours);
        options.tilt_axis = self.tilt_axis.map_or(options.tilt_axis, number);
        options.beam_axis = self.beam.map_or(options.beam_axis, number);
        match self.contrast {
            Contrast::Unknown => {}
            Contrast::Dark => options.contrast = cinetomo_contrast::Dark as i32,
            Contrast::Bright => options.contrast = cinetomo_contrast::Bright as i32,
        }
        Ok(options)
    }
}

fn number(axis: Axis) -> i32 {
    (match axis {
        Axis::Z => cinetomo_axis::Z,
        Axis::Y => cinetomo_axis::Y,
        Axis::X => cinetomo_axis::X,
    }) as i32
}
