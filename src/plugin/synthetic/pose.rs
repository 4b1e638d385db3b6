//! How a particle lies in its subtomogram, and its density seen that way.

use rand::{Rng, RngExt};
use tch::{Kind, Tensor};

use super::rotation::{self, Rotation, apply, inverse};
use crate::error::Result;

/// Densities are resampled from a grid this many times finer.
const OVERSAMPLING: i64 = 2;

/// `grid_sampler`: linear interpolation, zeros outside.
const LINEAR: i64 = 0;
const ZEROS: i64 = 0;

/// Orientation and position of a particle.
#[derive(Clone, Debug)]
pub(super) struct Pose {
    /// Turns the density about its centre.
    pub(super) rotation: Rotation,
    /// From the centre of the box, `[z, y, x]` in voxels.
    pub(super) shift: [f64; 3],
}

impl Pose {
    /// Any orientation, and any position up to `max_shift` voxels from the centre along each axis.
    pub(super) fn random(generator: &mut impl Rng, max_shift: f64) -> Pose {
        let rotation = rotation::random(generator);
        let shift = [(); 3].map(|()| max_shift * (2.0 * generator.random::<f64>() - 1.0));
        Pose { rotation, shift }
    }
}

/// The density `[1, d, d, d]` on a grid twice as fine, `[1, 1, 2 d, 2 d, 2 d]`, by padding its Fourier transform: old
/// voxel i is new voxel 2 i. On it, linear interpolation keeps 81 % of the amplitude at the Nyquist frequency along
/// an axis, instead of 41 %.
pub(super) fn oversample(density: &Tensor) -> Result<Tensor> {
    let axes = [1i64, 2, 3];
    let edge = density.size()[1];
    // Zero frequency is voxel edge / 2 of the centred spectrum, and has to become voxel fine_edge / 2.
    let fine_edge = OVERSAMPLING * edge;
    let before = fine_edge / 2 - edge / 2;
    let after = fine_edge - edge - before;
    let spectrum = density
        .f_to_kind(Kind::Float)?
        .f_fft_fftn(None::<&[i64]>, &axes[..], "forward")?
        .f_fft_fftshift(&axes[..])?
        .f_constant_pad_nd([before, after, before, after, before, after])?
        .f_fft_ifftshift(&axes[..])?;
    // The Nyquist plane of an even edge lands on one side only; the real part shares it between both.
    let fine = spectrum.f_fft_ifftn(None::<&[i64]>, &axes[..], "forward")?.f_real()?;
    Ok(fine.f_contiguous()?.f_unsqueeze(0)?)
}

/// The density whose oversampled cube is `fine`, in boxes `[n, z, y, x]` of `box_size`^3 voxels, one for each pose.
/// Voxel `d / 2` of the density (its own edge being d) comes to lie at voxel `box_size / 2` plus the shift.
pub(super) fn resample(fine: &Tensor, poses: &[Pose], box_size: i64) -> Result<Tensor> {
    let n = poses.len() as i64;
    let fine_edge = fine.size()[2];
    let theta: Vec<f32> =
        poses.iter().flat_map(|pose| from_box_to_density(pose, box_size, fine_edge)).collect();
    let theta = Tensor::f_from_slice(&theta)?.f_view([n, 3, 4])?.f_to_device(fine.device())?;
    let shape = [n, 1, box_size, box_size, box_size];
    let grid = Tensor::f_affine_grid_generator(&theta, shape, true)?;
    // The same density for all: a view, not copies.
    let densities = fine.f_expand([n, 1, fine_edge, fine_edge, fine_edge], false)?;
    Ok(densities.f_grid_sampler_3d(&grid, LINEAR, ZEROS, true)?.f_squeeze_dim(1)?)
}

/// The affine map of `affine_grid`: three rows of `[matrix, offset]`, in the order x, y, z, both grids running from -1
/// to 1 between the centres of their outermost voxels.
fn from_box_to_density(pose: &Pose, box_size: i64, fine_edge: i64) -> [f32; 12] {
    let back = inverse(&pose.rotation);
    let half_box = (box_size - 1) as f64 / 2.0;
    let half_density = (fine_edge - 1) as f64 / 2.0;
    // Fine voxel = OVERSAMPLING * (back * (half_box * (v + 1) - centre) + density_centre), v from -1 to 1.
    let centre = pose.shift.map(|shift| half_box - (box_size / 2) as f64 - shift);
    let density_centre = (OVERSAMPLING * (fine_edge / OVERSAMPLING / 2)) as f64;
    let oversampling = OVERSAMPLING as f64;
    let moved = apply(&back, centre);
    let mut theta = [0.0; 12];
    for row in 0..3 {
        for column in 0..3 {
            let scale = oversampling * half_box / half_density;
            theta[4 * (2 - row) + (2 - column)] = (scale * back[row][column]) as f32;
        }
        let offset = (oversampling * moved[row] + density_centre) / half_density - 1.0;
        theta[4 * (2 - row) + 3] = offset as f32;
    }
    theta
}

#[cfg(test)]
#[path = "pose_test.rs"]
mod tests;
