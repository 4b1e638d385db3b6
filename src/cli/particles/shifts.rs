//! Refined shifts: what a refinement moved each particle by.

use cinetomo_formats::particle_list::{ParticleList, ShiftUnit};

use super::PositionArgs;
use crate::console::Console;

/// Refined shifts that are applied.
#[derive(Debug)]
pub struct Shifts {
    /// `[z, y, x]`.
    of_particles: Vec<[f32; 3]>,
    unit: ShiftUnit,
    /// Angstrom, of the image of each particle; 0 = unknown. Only where shifts count them.
    image_voxel_sizes: Vec<f32>,
}

impl Shifts {
    /// Those of a list, unless there are none or they are to be ignored; says what is done with them.
    pub fn of(list: &ParticleList, args: &PositionArgs, console: &Console) -> Option<Shifts> {
        let unit = list.shift_unit?;
        let n = list.particles.iter().filter(|particle| particle.shift != [0.0; 3]).count();
        let (path, first) = (list.path.display(), list.columns.shift.last()?);
        if args.ignore_shifts {
            if n > 0 {
                console.info(format!("{path}: refined shifts ({first} ...) are not applied"));
            }
            return None;
        }
        if n > 0 {
            console.info(format!(
                "{path}: refined shifts ({first} ...) of {n} particles are applied; --ignore-shifts leaves them out"
            ));
        }
        let sizes = list.particles.iter().map(|particle| particle.voxel_size as f32);
        Some(Shifts {
            of_particles: list.particles.iter().map(|particle| particle.shift).collect(),
            unit,
            image_voxel_sizes: match unit {
                ShiftUnit::ImageVoxel => sizes.collect(),
                ShiftUnit::Voxel | ShiftUnit::Angstrom => Vec::new(),
            },
        })
    }

    /// Whether they count angstrom.
    pub fn are_in_angstrom(&self) -> bool {
        self.unit == ShiftUnit::Angstrom
    }

    /// The shift of a particle in voxels of `size` angstrom (0 = unknown); `scale` is the edge of a voxel that positions
    /// count, over that.
    pub fn voxels(&self, index: usize, scale: f64, size: f64) -> [f64; 3] {
        let voxels = match self.unit {
            ShiftUnit::Voxel => scale,
            // Not asked for where the size is unknown.
            ShiftUnit::Angstrom => 1.0 / size,
            ShiftUnit::ImageVoxel => {
                let image = f64::from(self.image_voxel_sizes[index]);
                // Of unknown size, images were most likely cut out as they were.
                if image > 0.0 && size > 0.0 { image / size } else { scale }
            }
        };
        self.of_particles[index].map(|along| f64::from(along) * voxels)
    }
}
