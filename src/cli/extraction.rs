//! Boxes cut out of a tomogram, a few at a time.

use cinetomo_host::abi::{cinetomo_edge, cinetomo_extract_options, cinetomo_resampling};
use clap::{Args, ValueEnum};

use crate::{
    boxes::Contrast, console::Bar, failure::Result, interrupt, session::Session,
    tomogram::OpenTomogram,
};

/// Bytes of boxes that are in memory at once; the plugin needs them twice.
const CHUNK_BYTES: usize = 16 << 20;

/// How boxes are cut out.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Boxes")]
pub struct ExtractArgs {
    /// Edge of the boxes in voxels [default: 32]
    #[arg(long, value_name = "N")]
    pub box_size: Option<i64>,
    /// Edge of the boxes' voxels in angstrom, if not the tomogram's: boxes are rescaled
    #[arg(long, value_name = "ANGSTROM")]
    pub box_voxel_size: Option<f64>,
    /// Sign of the particles in the boxes: voxels are negated if the tomogram has the other one
    #[arg(long, value_enum, default_value_t = Contrast::Unknown)]
    pub box_contrast: Contrast,
    /// Boxes that reach beyond the tomogram [default: pad]
    #[arg(long, value_enum)]
    pub edge: Option<Edge>,
    /// How voxels are sampled at positions between those of the tomogram [default: fourier]
    #[arg(long, value_enum)]
    pub resampling: Option<Resampling>,
}

/// Boxes that reach beyond the tomogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Edge {
    /// What is missing becomes the mean of what is there
    Pad,
    /// They are left out
    Skip,
    /// They end the run
    Fail,
}

/// How voxels are sampled between those of the tomogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Resampling {
    /// All frequencies, unweakened
    Fourier,
    /// Linear: quick, weakens fine detail
    Linear,
    /// Positions are rounded to voxels; no rescaling
    Nearest,
}

impl ExtractArgs {
    /// The plugin's defaults, changed as asked.
    pub fn options(&self, session: &Session) -> Result<cinetomo_extract_options> {
        let defaults = session.context.pick()?.extract_options()?;
        let edge = self.edge.map(|edge| match edge {
            Edge::Pad => cinetomo_edge::Pad,
            Edge::Skip => cinetomo_edge::Skip,
            Edge::Fail => cinetomo_edge::Fail,
        } as i32);
        let resampling = self.resampling.map(|resampling| match resampling {
            Resampling::Fourier => cinetomo_resampling::Fourier,
            Resampling::Linear => cinetomo_resampling::Linear,
            Resampling::Nearest => cinetomo_resampling::Nearest,
        } as i32);
        Ok(cinetomo_extract_options {
            box_size: self.box_size.unwrap_or(defaults.box_size),
            voxel_size: self.box_voxel_size.unwrap_or(defaults.voxel_size),
            contrast: self.box_contrast.of_contract() as i32,
            edge: edge.unwrap_or(defaults.edge),
            resampling: resampling.unwrap_or(defaults.resampling),
            ..defaults
        })
    }
}

/// What boxes of a tomogram are, with these options.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoxKind {
    /// Edge in voxels.
    pub edge: usize,
    /// Edge of a voxel in angstrom; 0 = unknown.
    pub voxel_size: f64,
    /// Sign of the particles.
    pub contrast: Contrast,
}

impl BoxKind {
    /// Boxes that these options cut out of this tomogram.
    pub fn of(options: &cinetomo_extract_options, tomogram: &OpenTomogram) -> BoxKind {
        let asked = [Contrast::Dark, Contrast::Bright]
            .into_iter()
            .find(|contrast| contrast.of_contract() as i32 == options.contrast);
        BoxKind {
            // The plugin refuses what is not positive.
            edge: usize::try_from(options.box_size).unwrap_or(0),
            voxel_size: if options.voxel_size > 0.0 {
                options.voxel_size
            } else {
                tomogram.voxel_size()
            },
            contrast: asked.unwrap_or(tomogram.contrast()),
        }
    }
}

/// Cuts out the boxes around positions `[z, y, x]` (voxels, from 0) a few at a time and hands them to `found`: the
/// indices of their positions, and their voxels. `found` may fill the bar that it gets.
///
/// # Errors
/// The tomogram cannot be read, an option or position is refused, the run was interrupted, or `found` fails.
pub fn for_boxes(
    session: &Session,
    tomogram: &OpenTomogram,
    positions: &[[f32; 3]],
    options: &cinetomo_extract_options,
    title: &str,
    mut found: impl FnMut(&Bar, &[usize], &[f32]) -> Result<()>,
) -> Result<()> {
    let picker = session.context.pick()?;
    let edge = usize::try_from(options.box_size).unwrap_or(0).clamp(1, 1 << 10);
    let step = (CHUNK_BYTES / (4 * edge.pow(3))).max(1);
    let n = positions.len();
    let mut n_constant = 0;
    let mut bar = session.console.bar(title);
    for start in (0..n).step_by(step) {
        let end = (start + step).min(n);
        // Most of the time goes into what is done with the boxes.
        let quarter = end - start;
        bar.part(4 * start, 4 * start + quarter, 4 * n);
        let cut = session
            .call(&bar, |hooks| {
                let mut tomogram = tomogram.lend();
                picker.extract(&mut tomogram, &positions[start..end], options, hooks)
            })
            .map_err(|error| {
                let name = tomogram.name();
                error.within(format!("{name}: particles {} to {end}", start + 1))
            })?;
        // Indices of particles that exist.
        let mut indices: Vec<usize> =
            cut.indices.iter().map(|&index| start + index as usize).collect();
        let mut voxels = cut.voxels;
        n_constant += leave_out_constant(&mut indices, &mut voxels);
        bar.part(4 * start + quarter, 4 * end, 4 * n);
        if !indices.is_empty() {
            found(&bar, &indices, &voxels)?;
        }
    }
    if n_constant > 0 {
        session.console.warn(format!(
            "{}: {n_constant} of {n} particles are where all voxels are equal; they are left out",
            tomogram.name()
        ));
    }
    interrupt::check()
}

/// Takes out boxes whose voxels are all equal, which no network can say anything of; returns how many there were.
fn leave_out_constant(indices: &mut Vec<usize>, voxels: &mut Vec<f32>) -> usize {
    let n_voxels = voxels.len() / indices.len().max(1);
    let varies = |voxels: &[f32]| voxels.iter().any(|voxel| *voxel != voxels[0]);
    let mut n_kept = 0;
    for index in 0..indices.len() {
        let from = index * n_voxels;
        if varies(&voxels[from..from + n_voxels]) {
            voxels.copy_within(from..from + n_voxels, n_kept * n_voxels);
            indices[n_kept] = indices[index];
            n_kept += 1;
        }
    }
    let n_constant = indices.len() - n_kept;
    indices.truncate(n_kept);
    voxels.truncate(n_kept * n_voxels);
    n_constant
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_boxes_are_left_out() {
        let (mut indices, mut voxels) = (vec![4, 5, 6], vec![1.0, 2.0, 3.0, 3.0, 0.0, 4.0]);
        assert_eq!(leave_out_constant(&mut indices, &mut voxels), 1);
        assert_eq!((indices, voxels), (vec![4, 6], vec![1.0, 2.0, 0.0, 4.0]));
        assert_eq!(leave_out_constant(&mut Vec::new(), &mut Vec::new()), 0);
    }
}
