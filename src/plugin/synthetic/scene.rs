//! What is in front of the microscope: particles at their places, and the density that they make.

use tch::Tensor;

use super::{
    pose::{Pose, oversample, resample},
    rotation::Rotation,
};
use crate::error::{Error, ErrorKind, Result};

/// Fraction of a density's highest value that counts as the particle: the bounding sphere reaches to the farthest such
/// voxel. The edge of a density blurred to two voxels falls from a half to a tenth within one voxel.
const EDGE_OF_PARTICLE: f64 = 0.1;

/// A particle of a simulated subtomogram or tomogram: the ground truth.
#[derive(Clone, Debug, PartialEq)]
pub struct Particle {
    /// Which density it is of.
    pub label: i32,
    /// Where the centre of the density (voxel d / 2, d being its edge) lies: `[z, y, x]` in voxels, counted from the
    /// centre of voxel 0.
    pub position: [f64; 3],
    /// Takes an offset `[z, y, x]` from the centre of the density to the offset in the volume.
    pub rotation: Rotation,
    /// Radius of its bounding sphere, in voxels.
    pub radius: f64,
}

/// The densities of a simulation, ready to be turned and moved.
pub(super) struct Densities {
    /// Oversampled cubes; `None` where no particle needs one.
    fine: Vec<Option<Tensor>>,
    /// Radii of the bounding spheres, in voxels.
    radii: Vec<f64>,
    /// Edge of the densities in voxels.
    edge: i64,
}

impl Densities {
    /// Takes densities `[class, 1, d, d, d]`, of which those in `needed` will be drawn. Fails if one of them is constant
    /// or not finite.
    pub(super) fn new(densities: &Tensor, needed: impl Fn(i32) -> bool) -> Result<Densities> {
        let shape = densities.size();
        let &[n, 1, edge, y, x] = &shape[..] else { return Err(wrong_shape(&shape)) };
        if n == 0 || edge < 2 || edge != y || edge != x {
            return Err(wrong_shape(&shape));
        }
        let (mut fine, mut radii) = (Vec::new(), Vec::new());
        for label in 0..n {
            let density = densities.f_get(label)?;
            check(&density, label)?;
            radii.push(bounding_radius(&density)?);
            fine.push(if needed(label as i32) { Some(oversample(&density)?) } else { None });
        }
        Ok(Densities { fine, radii, edge })
    }

    /// Number of densities.
    pub(super) fn len(&self) -> i32 {
        self.radii.len() as i32
    }

    /// The bounding sphere of density `label` in voxels; a label that names none is refused.
    pub(super) fn radius(&self, label: i32, label_index: usize) -> Result<f64> {
        usize::try_from(label).ok().and_then(|label| self.radii.get(label)).copied().ok_or_else(
            || {
                Error::invalid(format!(
                    "label {label_index} is {label}; there are {} densities, counted from 0",
                    self.radii.len()
                ))
            },
        )
    }

    /// Edge of a cube that holds a density in any orientation.
    pub(super) fn reach(&self) -> i64 {
        (self.edge as f64 * 3f64.sqrt()).ceil() as i64 + 2
    }

    /// The same densities for another thread: tensors share their memory, which is only read.
    pub(super) fn share(&self) -> Densities {
        let fine = self.fine.iter().map(|cube| cube.as_ref().map(Tensor::shallow_clone)).collect();
        Densities { fine, radii: self.radii.clone(), edge: self.edge }
    }

    /// Particles drawn into a cube `[z, y, x]` of `box_size`^3 voxels; what lies outside is left out.
    pub(super) fn draw(&self, particles: &[Particle], box_size: i64) -> Result<Option<Tensor>> {
        let mut scene: Option<Tensor> = None;
        // Beyond this distance from the middle a density cannot reach the cube.
        let far = (self.reach() + box_size) as f64 / 2.0;
        for particle in particles {
            let shift = particle.position.map(|along| along - (box_size / 2) as f64);
            let fine = self.fine.get(particle.label as usize).and_then(Option::as_ref);
            let Some(fine) = fine.filter(|_| shift.iter().all(|along| along.abs() < far)) else {
                continue;
            };
            let pose = Pose { rotation: particle.rotation, shift };
            let drawn = resample(fine, &[pose], box_size)?.f_squeeze_dim(0)?;
            scene = Some(match scene {
                Some(scene) => scene.f_add(&drawn)?,
                None => drawn,
            });
        }
        Ok(scene)
    }
}

fn wrong_shape(shape: &[i64]) -> Error {
    Error::invalid(format!(
        "densities have shape {shape:?}; expected [classes, 1, d, d, d] with at least one class and d at least 2"
    ))
}

fn check(density: &Tensor, label: i64) -> Result<()> {
    if density.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
        let message = format!("density {label} has a voxel that is not finite");
        return Err(Error::new(ErrorKind::NonFinite, message));
    }
    if density.f_max()?.f_double_value(&[])? == density.f_min()?.f_double_value(&[])? {
        return Err(Error::invalid(format!(
            "density {label} is constant; there is nothing to see"
        )));
    }
    Ok(())
}

/// Radius of the sphere about voxel d / 2 that holds every voxel of the particle, in voxels.
fn bounding_radius(density: &Tensor) -> Result<f64> {
    let limit = EDGE_OF_PARTICLE * density.f_max()?.f_double_value(&[])?;
    let inside = density.f_squeeze_dim(0)?.f_ge(limit)?.f_nonzero()?;
    let middle = density.size()[1] / 2;
    let offsets = inside.f_sub_scalar(middle)?;
    let square = offsets.f_square()?.f_sum_dim_intlist(&[1i64][..], false, None)?.f_max()?;
    // Half a voxel more: the farthest voxel has an extent of its own.
    Ok((square.f_int64_value(&[])? as f64).sqrt() + 0.5)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::synthetic::phantoms;

    #[test]
    fn bounding_spheres_hold_the_published_sizes() {
        let densities = phantoms::densities(32, 10.0).unwrap();
        let densities = Densities::new(&densities, |_| false).unwrap();
        // Half of the longest extent: ferritin 60 A, hemagglutinin 135 A long with the head above the middle, the
        // proteasome's 148 A by 113 A from the middle to the rim.
        for (label, radius) in [(6, 6.0), (1, 7.5), (2, 9.3)] {
            let ours = densities.radius(label, 0).unwrap();
            assert!((radius..radius + 2.0).contains(&ours), "{label}: {ours}");
        }
    }

    #[test]
    fn the_radius_is_that_of_the_farthest_voxel() {
        let density = Tensor::zeros([1, 1, 15, 15, 15], (Kind::Float, Device::Cpu));
        let _ = density.get(0).get(0).get(7).get(7).get(7).fill_(1.0);
        let _ = density.get(0).get(0).get(10).get(3).get(7).fill_(0.1001);
        let _ = density.get(0).get(0).get(0).get(0).get(0).fill_(0.0999);
        let densities = Densities::new(&density, |_| false).unwrap();
        assert_eq!(densities.radius(0, 0).unwrap(), 5.5);
    }
}
