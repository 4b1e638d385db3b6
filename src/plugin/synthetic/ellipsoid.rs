//! Blurred ellipsoids: what phantoms are made of, and how they are drawn.

use std::f64::consts::{PI, SQRT_2};

use super::{
    rotation::{Rotation, apply, from_euler, inverse, multiply},
    symmetry::Placement,
};

/// Finest detail of a phantom in angstrom; coarser where the voxels cannot hold it. Subtomograms at 10 angstrom per
/// voxel end at 20 angstrom.
const RESOLUTION: f64 = 20.0;

/// Standard deviation of the blur over the resolution: the Fourier transform of the Gaussian falls to 1/e at the
/// wave number 1/resolution. (Pintilie et al. 2010, J. Struct. Biol. 170:427; "molmap" of UCSF Chimera.)
const BLUR: f64 = 1.0 / (PI * SQRT_2);

/// Distance, in standard deviations of the blur, beyond which the edge of an ellipsoid is over: the density there is
/// below 1e-5.
const REACH: f64 = 4.5;

/// A solid ellipsoid of protein.
#[derive(Clone, Copy, Debug)]
pub struct Blob {
    /// Centre `[z, y, x]` in angstrom.
    pub centre: [f64; 3],
    /// Half axes `[z, y, x]` in angstrom, before it is turned.
    pub radii: [f64; 3],
    /// Euler angles in degrees: turned about z by the third, about y by the second, about z by the first.
    pub euler: [f64; 3],
    /// Density inside: 1 = filled with protein.
    pub weight: f64,
}

impl Blob {
    /// An upright ellipsoid filled with protein.
    pub const fn new(centre: [f64; 3], radii: [f64; 3]) -> Blob {
        Blob { centre, radii, euler: [0.0; 3], weight: 1.0 }
    }

    /// The same, turned.
    pub const fn turned(self, euler: [f64; 3]) -> Blob {
        Blob { euler, ..self }
    }

    /// The same, of another density.
    pub const fn weighted(self, weight: f64) -> Blob {
        Blob { weight, ..self }
    }

    /// Volume times density, in cubic angstrom of protein.
    pub fn volume(&self) -> f64 {
        4.0 / 3.0 * PI * self.radii.iter().product::<f64>() * self.weight
    }
}

/// One ellipsoid in its final place, blurred, ready to be drawn.
///
/// A blurred ball has a closed form; the ellipsoid is such a ball, stretched to have the mass and the second moments
/// that a solid ellipsoid has after a Gaussian blur.
#[derive(Debug)]
pub(super) struct Ellipsoid {
    centre: [f64; 3],
    radii: [f64; 3],
    /// From the ellipsoid's own axes to those of the volume.
    rotation: Rotation,
    weight: f64,
    /// Standard deviation of the blur, in radii.
    blur: f64,
}

impl Ellipsoid {
    /// A copy of a blob, blurred to what voxels of this size can hold.
    pub(super) fn new(blob: &Blob, placement: &Placement, voxel_size: f64) -> Ellipsoid {
        let mut centre = apply(&placement.rotation, blob.centre);
        centre[0] += placement.rise;
        let sigma = BLUR * RESOLUTION.max(2.0 * voxel_size);
        let blur = sigma / blob.radii.iter().product::<f64>().cbrt();
        // Along its axis, a solid ellipsoid of radius a has variance a^2 / 5.
        let radii =
            blob.radii.map(|a| ((0.2 * a * a + sigma * sigma) / (0.2 + blur * blur)).sqrt());
        let growth: f64 = (0..3).map(|axis| radii[axis] / blob.radii[axis]).product();
        Ellipsoid {
            centre,
            radii,
            rotation: multiply(&placement.rotation, &from_euler(blob.euler)),
            weight: blob.weight / growth,
            blur,
        }
    }

    /// Density at a point `[z, y, x]` in angstrom.
    pub(super) fn at(&self, point: [f64; 3]) -> f64 {
        let offset = [0, 1, 2].map(|axis| point[axis] - self.centre[axis]);
        let own = apply(&inverse(&self.rotation), offset);
        let square: f64 = (0..3).map(|axis| (own[axis] / self.radii[axis]).powi(2)).sum();
        if square > (1.0 + REACH * self.blur).powi(2) {
            return 0.0;
        }
        self.weight * blurred_ball(square.sqrt(), self.blur)
    }

    /// Adds the density to a cube of `box_size`^3 voxels, z slowest, whose origin is voxel `box_size / 2`.
    pub(super) fn add_to(&self, cube: &mut [f32], box_size: usize, voxel_size: f64) {
        let middle = (box_size / 2) as f64;
        let [zs, ys, xs] = [0, 1, 2].map(|axis| {
            let square: f64 =
                (0..3).map(|own| (self.rotation[axis][own] * self.radii[own]).powi(2)).sum();
            let reach = (1.0 + REACH * self.blur) * square.sqrt();
            // Casts of floats saturate: a reach outside the cube gives an empty or shortened range.
            let first = ((self.centre[axis] - reach) / voxel_size + middle).ceil() as usize;
            let last = ((self.centre[axis] + reach) / voxel_size + middle + 1.0).floor() as usize;
            first..last.min(box_size)
        });
        for z in zs {
            for y in ys.clone() {
                for x in xs.clone() {
                    let point = [z, y, x].map(|index| (index as f64 - middle) * voxel_size);
                    cube[(z * box_size + y) * box_size + x] += self.at(point) as f32;
                }
            }
        }
    }
}

/// The uniform ball of radius 1 convolved with a Gaussian of standard deviation `blur`, at distance `r` from its
/// centre.
fn blurred_ball(r: f64, blur: f64) -> f64 {
    // The formula divides by r; the ball is flat there.
    let r = r.max(1e-4);
    let edge = |distance: f64| distance / (SQRT_2 * blur);
    let (near, far) = (edge(1.0 - r), edge(1.0 + r));
    let gaussians = (-near * near).exp() - (-far * far).exp();
    0.5 * (erf(near) + erf(far)) - blur / (r * (2.0 * PI).sqrt()) * gaussians
}

/// The error function, to 1.5e-7: Abramowitz and Stegun, Handbook of Mathematical Functions, 1964, 7.1.26.
fn erf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let series = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592]
        .iter()
        .fold(0.0, |sum, coefficient| (sum + coefficient) * t);
    (1.0 - series * (-x * x).exp()).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{numbers, reference, symmetry::Symmetry};

    #[test]
    fn blurred_ball_is_the_convolution() {
        for case in reference()["ball"].as_array().unwrap() {
            let [r, blur, density] = numbers(case).try_into().unwrap();
            let ours = blurred_ball(r, blur);
            assert!((ours - density).abs() < 1e-6, "r {r}, blur {blur}: {ours}, not {density}");
        }
    }

    #[test]
    fn a_drawn_blob_has_its_mass_place_and_axes() {
        let blob = Blob::new([6.0, -9.0, 4.0], [12.0, 18.0, 30.0]).turned([0.0, 0.0, 90.0]);
        // Half a turn about z, and up by 4.
        let place = Symmetry::Spiral { copies: 2, rise: 8.0 }.placements()[1];
        let centre = [10.0, 9.0, -4.0];
        for (edge, voxel_size) in [(48, 3.0), (49, 3.0), (24, 7.0)] {
            let mut cube = vec![0.0f32; edge * edge * edge];
            Ellipsoid::new(&blob, &place, voxel_size).add_to(&mut cube, edge, voxel_size);
            let mut moments = [[0.0; 3]; 2];
            let mut mass = 0.0;
            for (index, &voxel) in cube.iter().enumerate() {
                let voxel = f64::from(voxel) * voxel_size.powi(3);
                mass += voxel;
                let indices = [index / edge / edge, index / edge % edge, index % edge];
                for axis in 0..3 {
                    let at = (indices[axis] as f64 - (edge / 2) as f64) * voxel_size;
                    moments[0][axis] += voxel * at;
                    moments[1][axis] += voxel * (at - centre[axis]).powi(2);
                }
            }
            assert!((mass / blob.volume() - 1.0).abs() < 2e-3, "{mass}, not {}", blob.volume());
            // A quarter turn about z: the axis of 30 angstrom now lies along y.
            let radii = [12.0, 30.0, 18.0];
            let sigma = BLUR * RESOLUTION;
            for axis in 0..3 {
                assert!((moments[0][axis] / mass - centre[axis]).abs() < 0.05);
                let variance = radii[axis] * radii[axis] / 5.0 + sigma * sigma;
                assert!((moments[1][axis] / mass / variance - 1.0).abs() < 0.01, "axis {axis}");
            }
        }
    }
}
