//! How particles are picked, and picking them.

use cinetomo_host::{
    Picked,
    abi::{cinetomo_pick_options, cinetomo_threshold_rule},
};
use clap::{Args, ValueEnum};

use crate::{
    boxes::Contrast,
    failure::{Failure, Result},
    session::Session,
    tomogram::OpenTomogram,
};

/// How particles are picked: by difference of Gaussians, as in the paper.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Picking")]
pub struct PickArgs {
    /// Diameter of the particles in angstrom: the filter is fitted to it
    #[arg(long, value_name = "ANGSTROM", conflicts_with = "sigma")]
    pub diameter: Option<f64>,
    /// Standard deviation of the narrower Gaussian in voxels [default: 70 angstrom, the paper's]
    #[arg(long, value_name = "VOXELS")]
    pub sigma: Option<f64>,
    /// The wider Gaussian over the narrower one [default: 1.1]
    #[arg(long, value_name = "X")]
    pub sigma_ratio: Option<f64>,
    /// What the threshold counts [default: peak-range]
    #[arg(long, value_enum)]
    pub rule: Option<Rule>,
    /// The threshold; higher picks fewer [default: 3]
    #[arg(long, value_name = "T")]
    pub threshold: Option<f64>,
    /// Most particles, the best ones [default: 1000]
    #[arg(long, value_name = "N")]
    pub max_picks: Option<i64>,
    /// Smallest distance between two picks in voxels; the diameter of the particles is the most that makes sense
    /// [default: the narrower Gaussian's standard deviation]
    #[arg(long, value_name = "VOXELS")]
    pub min_distance: Option<f64>,
    /// Voxels at the edges of the tomogram where nothing is picked [default: 0]
    #[arg(long, value_name = "VOXELS")]
    pub border: Option<i64>,
    /// Megabytes that blocks of the tomogram may take [default: 512]
    #[arg(long, value_name = "MIB")]
    pub pick_memory: Option<u64>,
}

/// What the threshold counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Rule {
    /// Twentieths of the way from the lowest peak to the highest (the paper's pipeline)
    PeakRange,
    /// Standard deviations above the noise: hardly changed by gold beads
    Deviations,
    /// Scores
    Score,
}

impl PickArgs {
    /// Picks particles, the best first.
    ///
    /// # Errors
    /// The contrast is not stated, an option is out of range, the tomogram cannot be read, or the run was interrupted.
    pub fn pick(&self, session: &Session, tomogram: &OpenTomogram) -> Result<Vec<Picked>> {
        if tomogram.contrast() == Contrast::Unknown {
            return Err(Failure::Usage(
                "--contrast: say whether particles are dark (as tomograms are reconstructed) or bright"
                    .to_owned(),
            ));
        }
        let picker = session.context.pick()?;
        let options = self.options(&picker.pick_options()?);
        let bar = session.console.bar("picking");
        session
            .call(&bar, |hooks| picker.pick(&mut tomogram.lend(), &options, hooks))
            .map_err(|error| error.within(tomogram.name()))
    }

    fn options(&self, defaults: &cinetomo_pick_options) -> cinetomo_pick_options {
        let rule = self.rule.map(|rule| match rule {
            Rule::PeakRange => cinetomo_threshold_rule::PeakRange,
            Rule::Deviations => cinetomo_threshold_rule::Deviations,
            Rule::Score => cinetomo_threshold_rule::Score,
        } as i32);
        cinetomo_pick_options {
            sigma: self.sigma.unwrap_or(defaults.sigma),
            particle_diameter: self.diameter.unwrap_or(defaults.particle_diameter),
            sigma_ratio: self.sigma_ratio.unwrap_or(defaults.sigma_ratio),
            min_distance: self.min_distance.unwrap_or(defaults.min_distance),
            threshold: self.threshold.unwrap_or(defaults.threshold),
            n_max: self.max_picks.unwrap_or(defaults.n_max),
            border: self.border.unwrap_or(defaults.border),
            max_memory: self
                .pick_memory
                .map_or(defaults.max_memory, |megabytes| megabytes.saturating_mul(1 << 20)),
            threshold_rule: rule.unwrap_or(defaults.threshold_rule),
            ..*defaults
        }
    }
}
