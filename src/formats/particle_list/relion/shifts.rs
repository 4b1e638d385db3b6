//! Refined shifts: how far from its position a particle was found to be.
//!
//! A particle is at its position minus `rlnOrigin...`: in pixels of its image up to RELION 3.0, in angstrom from 3.1 on
//! (`src/preprocessing.cpp` of RELION 3.1.3, re-extraction with `--recenter`). Since RELION 4 particles may have been
//! turned before they were refined; then their shifts are along axes that `rlnTomoSubtomogramRot`, `Tilt` and `Psi` turn
//! back into the tomogram's (`ParticleSet::getPosition` in `src/jaz/tomography/particle_set.cpp` of RELION 5).

use super::super::ShiftUnit;
use crate::{
    error::Result,
    star::{Row, Table},
};

/// Columns along z, y, x.
const ANGSTROM: [&str; 3] = ["rlnOriginZAngst", "rlnOriginYAngst", "rlnOriginXAngst"];
const PIXEL: [&str; 3] = ["rlnOriginZ", "rlnOriginY", "rlnOriginX"];

/// How a subtomogram was turned when it was made.
const TURNED: [&str; 3] =
    ["rlnTomoSubtomogramRot", "rlnTomoSubtomogramTilt", "rlnTomoSubtomogramPsi"];

/// Where a list has its shifts.
pub(super) struct Shifts {
    pub(super) unit: ShiftUnit,
    pub(super) labels: Vec<String>,
    /// Along z, y, x; what is not there is 0.
    columns: [Option<usize>; 3],
    turned: Option<[usize; 3]>,
}

impl Shifts {
    /// The shifts of a table: of both units, where it has them, angstrom as in RELION.
    pub(super) fn find(table: Table<'_>) -> Option<Shifts> {
        let of = |labels: [&str; 3], unit| {
            let columns = labels.map(|label| table.column(label));
            let is_there = columns.iter().any(Option::is_some);
            let labels = labels.into_iter().zip(columns).filter(|(_, column)| column.is_some());
            let labels = labels.map(|(label, _)| label.to_owned()).collect();
            let turned = match TURNED.map(|label| table.column(label)) {
                [Some(rot), Some(tilt), Some(psi)] => Some([rot, tilt, psi]),
                _ => None,
            };
            is_there.then_some(Shifts { unit, labels, columns, turned })
        };
        of(ANGSTROM, ShiftUnit::Angstrom).or_else(|| of(PIXEL, ShiftUnit::ImageVoxel))
    }

    /// What must be added to a particle's position, `[z, y, x]`.
    pub(super) fn read(&self, row: &Row<'_>) -> Result<[f32; 3]> {
        let mut origin = [0.0; 3];
        for (value, column) in origin.iter_mut().zip(self.columns) {
            if let Some(column) = column {
                *value = row.get(column).number()?;
            }
        }
        if let Some(columns) = self.turned {
            let mut angles = [0.0; 3];
            for (angle, column) in angles.iter_mut().zip(columns) {
                *angle = row.get(column).number()?;
            }
            origin = turned(origin, angles);
        }
        Ok(origin.map(|value| -value as f32))
    }
}

/// A vector `[z, y, x]` turned by RELION's matrix of three angles in degrees, rot, tilt and psi: about z, y and z
/// (Heymann, Chagoyen & Belnap 2005, J. Struct. Biol. 151:196).
fn turned([z, y, x]: [f64; 3], [rot, tilt, psi]: [f64; 3]) -> [f64; 3] {
    let about_z = |angle: f64, [z, y, x]: [f64; 3]| {
        let (sin, cos) = angle.to_radians().sin_cos();
        [z, cos * y - sin * x, sin * y + cos * x]
    };
    let about_y = |angle: f64, [z, y, x]: [f64; 3]| {
        let (sin, cos) = angle.to_radians().sin_cos();
        [sin * x + cos * z, y, cos * x - sin * z]
    };
    about_z(psi, about_y(tilt, about_z(rot, [z, y, x])))
}

#[cfg(test)]
mod tests {
    use super::turned;

    #[test]
    fn vectors_turn_as_relions_matrix_has_it() {
        let close = |a: [f64; 3], b: [f64; 3]| a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-12);
        let vector = [3.0, 2.0, 1.0];
        // Rows of the matrix for x, y, z by hand: rot 90 is [[0, 1, 0], [-1, 0, 0], [0, 0, 1]], tilt 90
        // [[0, 0, -1], [0, 1, 0], [1, 0, 0]], psi 90 as rot.
        for (angles, expected) in [
            ([0.0, 0.0, 0.0], [3.0, 2.0, 1.0]),
            ([90.0, 0.0, 0.0], [3.0, -1.0, 2.0]),
            ([0.0, 90.0, 0.0], [1.0, 2.0, -3.0]),
            ([0.0, 0.0, 90.0], [3.0, -1.0, 2.0]),
            // First rot: (x, y, z) = (2, -1, 3); then tilt: (-3, -1, 2).
            ([90.0, 90.0, 0.0], [2.0, -1.0, -3.0]),
            // And psi: (-1, 3, 2).
            ([90.0, 90.0, 90.0], [2.0, 3.0, -1.0]),
        ] {
            let ours = turned(vector, angles);
            assert!(close(ours, expected), "{angles:?}: {ours:?}, not {expected:?}");
        }
        // By numpy, from the nine elements that RELION's Euler_angles_relion.h has.
        let expected = [3.4975913382698924, 1.174129965811979, 0.6231160837611092];
        let ours = turned(vector, [30.0, 40.0, 50.0]);
        assert!(close(ours, expected), "{ours:?}");
    }
}
