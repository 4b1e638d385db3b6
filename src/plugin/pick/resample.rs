//! Boxes between the voxels of a tomogram.

use std::f64::consts::PI;

use super::options::Resampling;
use crate::{allocation, error::Result};

/// Voxels of the tomogram that are read beyond a box for FOURIER. Its interpolation takes the region for a period: the
/// jump where one period meets the next rings, and this far away the ringing has fallen below a percent of the jump.
const FOURIER_MARGIN: i64 = 16;

/// One axis of a box: which voxels of the tomogram it needs, and how each of its own comes from them.
#[derive(Debug)]
pub(super) struct Axis {
    /// First voxel of the tomogram, which may lie outside.
    pub(super) first: i64,
    /// Number of voxels of the tomogram.
    pub(super) extent: i64,
    /// For each voxel of the box the weights of all `extent` voxels.
    weights: Vec<f32>,
}

impl Axis {
    /// The axis of a box of `box_size` voxels, each `scale` voxels of the tomogram wide, whose voxel `box_size / 2` lies
    /// at `centre`.
    pub(super) fn new(centre: f64, box_size: i64, scale: f64, resampling: Resampling) -> Axis {
        let centre = if resampling == Resampling::Nearest { nearest(centre) } else { centre };
        let at = |index: i64| centre + (index - box_size / 2) as f64 * scale;
        let (lowest, highest) = (at(0).floor() as i64, at(box_size - 1).ceil() as i64);
        let margin = if resampling == Resampling::Fourier { FOURIER_MARGIN } else { 0 };
        let first = lowest - margin;
        let mut extent = highest + margin + 1 - first;
        if resampling == Resampling::Fourier && extent % 2 == 0 {
            // An odd number has no frequency that is its own mirror image.
            extent += 1;
        }
        let mut weights = Vec::with_capacity((box_size * extent) as usize);
        for index in 0..box_size {
            for voxel in first..first + extent {
                let distance = at(index) - voxel as f64;
                let weight = match resampling {
                    Resampling::Fourier => periodic_sinc(distance, extent, scale),
                    Resampling::Linear | Resampling::Nearest => (1.0 - distance.abs()).max(0.0),
                };
                weights.push(weight as f32);
            }
        }
        Axis { first, extent, weights }
    }

    fn row(&self, index: usize) -> &[f32] {
        let n = self.extent as usize;
        &self.weights[index * n..(index + 1) * n]
    }
}

/// The nearest voxel; of two, the upper one.
pub(super) fn nearest(position: f64) -> f64 {
    (position + 0.5).floor()
}

/// Weight of a voxel at `distance` in a series of odd length `n` that is continued periodically: the sum of all waves
/// that fit into it, or, where voxels of the box are `scale` > 1 wide, of those below their Nyquist frequency.
///
/// `sum over |k| <= K of cos(2 pi k d / n) / n = sin(pi (2K + 1) d / n) / (n sin(pi d / n))`, the Dirichlet kernel.
fn periodic_sinc(distance: f64, n: i64, scale: f64) -> f64 {
    let n = n as f64;
    let highest = (0.5 * n / scale.max(1.0)).ceil() - 1.0;
    let waves = 2.0 * highest.max(0.0) + 1.0;
    let angle = PI * distance / n;
    // The limit: whole periods away, and so at the voxel itself.
    if angle.sin().abs() < 1e-9 { waves / n } else { (waves * angle).sin() / (n * angle.sin()) }
}

/// A box, x fastest, from the region `[z, y, x]` that its axes need: the product of the weights along each axis. Fails with
/// `OutOfMemory`.
pub(super) fn resample(
    region: &[f32],
    axes: &[Axis; 3],
    box_size: usize,
    out: &mut [f32],
) -> Result<()> {
    let [z, y, x] = axes;
    let [ny, nx] = [y.extent as usize, x.extent as usize];
    let mut planes = allocation::filled(box_size * ny * nx, 0.0f32)?;
    for (index, plane) in planes.chunks_mut(ny * nx).enumerate() {
        add_weighted(plane, z.row(index), region);
    }
    let mut rows = allocation::filled(box_size * box_size * nx, 0.0f32)?;
    for (index, row) in rows.chunks_mut(nx).enumerate() {
        let plane = &planes[index / box_size * ny * nx..][..ny * nx];
        add_weighted(row, y.row(index % box_size), plane);
    }
    for (index, voxel) in out.iter_mut().enumerate() {
        let row = &rows[index / box_size * nx..][..nx];
        *voxel = row.iter().zip(x.row(index % box_size)).map(|(v, weight)| v * weight).sum();
    }
    Ok(())
}

/// Adds the pieces of `from`, each as long as `out`, each times its weight.
fn add_weighted(out: &mut [f32], weights: &[f32], from: &[f32]) {
    for (&weight, piece) in weights.iter().zip(from.chunks(out.len())) {
        if weight != 0.0 {
            out.iter_mut().zip(piece).for_each(|(sum, value)| *sum += weight * value);
        }
    }
}

#[cfg(test)]
#[path = "resample_test.rs"]
mod tests;
