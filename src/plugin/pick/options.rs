//! How particles are picked, and how boxes around them are cut out.

/// Words of the C contract: the sign of the particles; which peaks are particles; boxes at the edge; resampling.
pub use cinetomo_abi::{
    cinetomo_contrast as Contrast, cinetomo_edge as Edge, cinetomo_resampling as Resampling,
    cinetomo_threshold_rule as ThresholdRule,
};

use crate::error::{Error, Result};

/// How particles are picked; the defaults are those of `cinetomo_pick_options`.
#[derive(Clone, Debug, PartialEq)]
pub struct PickOptions {
    /// Standard deviation of the narrower Gaussian in voxels, 0.5 to 100; 0 = from the diameter, or from the voxel size.
    pub sigma: f64,
    /// Diameter of the particles in angstrom, from which `sigma` follows; 0 = unknown.
    pub particle_diameter: f64,
    /// The wider Gaussian over the narrower one, above 1 and at most 10.
    pub sigma_ratio: f64,
    /// Smallest distance between two picks in voxels, 0 to 10,000; 0 = `sigma`.
    pub min_distance: f64,
    /// What `threshold_rule` makes a threshold of.
    pub threshold: f64,
    /// Which peaks count as particles.
    pub threshold_rule: ThresholdRule,
    /// Most particles that are returned, 1 to 10,000,000.
    pub n_max: i64,
    /// Voxels at the edge of the tomogram where nothing is picked, 0 to 10,000.
    pub border: i64,
    /// Whether positions are refined to a fraction of a voxel.
    pub refine: bool,
    /// Bytes that blocks of the tomogram may take at a time, at least 1 MiB.
    pub max_memory: u64,
}

impl Default for PickOptions {
    /// The contract's defaults.
    fn default() -> PickOptions {
        PickOptions {
            sigma: 0.0,
            particle_diameter: 0.0,
            sigma_ratio: 1.1,
            min_distance: 0.0,
            threshold: 3.0,
            threshold_rule: ThresholdRule::PeakRange,
            n_max: 1000,
            border: 0,
            refine: true,
            max_memory: 512 << 20,
        }
    }
}

/// Picking options that have been checked, for tomograms of one voxel size.
#[derive(Clone, Debug, PartialEq)]
pub struct Picking {
    options: PickOptions,
    sigma: f64,
}

/// The paper's pipeline takes a standard deviation of 7 nm, rounded down to voxels, and at least 2 voxels (Pei et al.
/// 2016, BMC Bioinformatics 17:405; the picking script of AITom).
const USUAL_SIGMA: f64 = 70.0;

impl Picking {
    /// Checks the options. `voxel_size` is the tomogram's, in angstrom, 0 if unknown. The error names the first option
    /// that is out of range, its value and the range.
    pub fn new(options: PickOptions, voxel_size: f64) -> Result<Picking> {
        let range = |name: &str, value: f64, [lowest, highest]: [f64; 2]| {
            if (lowest..=highest).contains(&value) {
                return Ok(());
            }
            Err(Error::invalid(format!("{name} is {value}; it must be {lowest} to {highest}")))
        };
        if options.sigma != 0.0 {
            range("sigma", options.sigma, [0.5, 100.0])?;
        }
        range("particle_diameter", options.particle_diameter, [0.0, 1e5])?;
        if !(options.sigma_ratio > 1.0 && options.sigma_ratio <= 10.0) {
            return Err(Error::invalid(format!(
                "sigma_ratio is {}; it must be above 1 and at most 10",
                options.sigma_ratio
            )));
        }
        range("min_distance", options.min_distance, [0.0, 1e4])?;
        range("threshold", options.threshold, [-1e30, 1e30])?;
        range("n_max", options.n_max as f64, [1.0, 1e7])?;
        range("border", options.border as f64, [0.0, 1e4])?;
        if options.max_memory < 1 << 20 {
            return Err(Error::invalid(format!(
                "max_memory is {} bytes; it must be at least {}",
                options.max_memory,
                1 << 20
            )));
        }
        let sigma = sigma(&options, voxel_size)?;
        Ok(Picking { options, sigma })
    }

    /// The options that were checked.
    pub fn options(&self) -> &PickOptions {
        &self.options
    }

    /// Standard deviations of both Gaussians, in voxels.
    pub fn sigmas(&self) -> [f64; 2] {
        [self.sigma, self.sigma * self.options.sigma_ratio]
    }

    /// Smallest distance between two picks in voxels.
    pub fn min_distance(&self) -> f64 {
        if self.options.min_distance > 0.0 { self.options.min_distance } else { self.sigma }
    }
}

fn sigma(options: &PickOptions, voxel_size: f64) -> Result<f64> {
    let unknown = |what| {
        Err(Error::invalid(format!(
            "{what}, and the tomogram's voxel size is unknown; state sigma in voxels, or the voxel size"
        )))
    };
    if options.sigma > 0.0 {
        return Ok(options.sigma);
    }
    if options.particle_diameter == 0.0 {
        if voxel_size == 0.0 {
            return unknown("sigma is 0");
        }
        return Ok((USUAL_SIGMA / voxel_size).floor().clamp(2.0, 100.0));
    }
    if voxel_size == 0.0 {
        return unknown("particle_diameter is stated");
    }
    // A ball of radius r answers most to a Laplacian of a Gaussian with standard deviation r / 3^(1/2) (Lindeberg 1998,
    // Int. J. Comput. Vis. 30:79); the difference of two Gaussians is that at their geometric mean.
    let matched = options.particle_diameter / (2.0 * 3f64.sqrt() * voxel_size);
    let sigma = matched / options.sigma_ratio.sqrt();
    if (0.5..=100.0).contains(&sigma) {
        return Ok(sigma);
    }
    Err(Error::invalid(format!(
        "particle_diameter is {} angstrom, for which sigma would be {sigma:.2} voxels of {voxel_size} angstrom; it \
         must be 0.5 to 100: bin the tomogram or take one that is less binned",
        options.particle_diameter
    )))
}

/// How boxes are cut out; the defaults are those of `cinetomo_extract_options`.
#[derive(Clone, Debug, PartialEq)]
pub struct ExtractOptions {
    /// Edge of the cubic boxes in voxels, 2 to 512.
    pub box_size: i64,
    /// Edge of their voxels in angstrom; 0 = as the tomogram's.
    pub voxel_size: f64,
    /// How boxes are sampled between voxels.
    pub resampling: Resampling,
    /// What happens to boxes that reach beyond the tomogram.
    pub edge: Edge,
    /// Sign of the particles in the boxes; unknown = as in the tomogram.
    pub contrast: Contrast,
}

impl Default for ExtractOptions {
    /// The contract's defaults.
    fn default() -> ExtractOptions {
        ExtractOptions {
            box_size: 32,
            voxel_size: 0.0,
            resampling: Resampling::Fourier,
            edge: Edge::Pad,
            contrast: Contrast::Unknown,
        }
    }
}

/// Extraction options that have been checked, for one tomogram.
#[derive(Clone, Debug, PartialEq)]
pub struct Extraction {
    options: ExtractOptions,
    scale: f64,
    inverts: bool,
}

impl Extraction {
    /// Checks the options for a tomogram of this voxel size (0 = unknown) and contrast. The error names the first
    /// option that is out of range, its value and the range.
    pub fn new(options: ExtractOptions, voxel_size: f64, contrast: Contrast) -> Result<Extraction> {
        if !(2..=512).contains(&options.box_size) {
            return Err(Error::invalid(format!(
                "box_size is {}; it must be 2 to 512 voxels",
                options.box_size
            )));
        }
        let wanted = options.voxel_size;
        if !wanted.is_finite() || wanted < 0.0 {
            return Err(Error::invalid(format!(
                "voxel_size is {wanted}; it must be a number of angstrom, or 0 for the tomogram's"
            )));
        }
        if wanted > 0.0 && voxel_size == 0.0 {
            return Err(Error::invalid(format!(
                "voxel_size is {wanted} angstrom, and the tomogram's is unknown; state it"
            )));
        }
        let scale = if wanted > 0.0 { wanted / voxel_size } else { 1.0 };
        if !(1.0 / 16.0..=16.0).contains(&scale) {
            return Err(Error::invalid(format!(
                "voxel_size is {wanted} angstrom, {scale:.4} times the tomogram's; it must be 1/16 to 16 times as large"
            )));
        }
        if scale != 1.0 && options.resampling == Resampling::Nearest {
            return Err(Error::invalid(format!(
                "voxel_size is {wanted} angstrom and the tomogram's is {voxel_size}: resampling NEAREST cannot change \
                 it; take FOURIER or LINEAR"
            )));
        }
        let inverts = match (options.contrast, contrast) {
            (Contrast::Unknown, _) => false,
            (_, Contrast::Unknown) => {
                return Err(Error::invalid(
                    "contrast is asked for, and the tomogram's is unknown; state it",
                ));
            }
            (wanted, given) => wanted != given,
        };
        Ok(Extraction { options, scale, inverts })
    }

    /// The options that were checked.
    pub fn options(&self) -> &ExtractOptions {
        &self.options
    }

    /// Voxels of the tomogram along the edge of a voxel of a box.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Whether voxels are negated.
    pub fn inverts(&self) -> bool {
        self.inverts
    }
}

#[cfg(test)]
#[path = "options_test.rs"]
mod tests;
