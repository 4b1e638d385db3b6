//! How the subunits of a complex are placed.

use std::f64::consts::{PI, TAU};

use super::rotation::{Axis, Rotation, about, multiply};

/// Symmetry of a complex. The main axis is z.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Symmetry {
    /// Cn: n-fold about z.
    Cyclic(u32),
    /// Dn: n-fold about z, two-fold about x.
    Dihedral(u32),
    /// O: four-fold about z, y and x.
    Octahedral,
    /// No point group: `copies` subunits of a right-handed screw about z, centred on the origin, each turned by a
    /// full turn / `copies` from the one before.
    Spiral {
        /// Number of subunits, which fill one turn.
        copies: u32,
        /// Distance along z between neighbours, in angstrom.
        rise: f64,
    },
}

/// Where one copy of the subunit goes: rotated, then moved along z.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placement {
    pub(super) rotation: Rotation,
    /// Angstrom.
    pub(super) rise: f64,
}

impl Symmetry {
    /// One placement for each copy of the subunit.
    pub(super) fn placements(self) -> Vec<Placement> {
        let turn = |n: u32| about(Axis::Z, TAU / f64::from(n));
        let generators = match self {
            Symmetry::Cyclic(n) => vec![turn(n)],
            Symmetry::Dihedral(n) => vec![turn(n), about(Axis::X, PI)],
            Symmetry::Octahedral => vec![turn(4), about(Axis::X, PI / 2.0)],
            Symmetry::Spiral { copies, rise } => {
                return (0..copies)
                    .map(|copy| Placement {
                        rotation: about(Axis::Z, f64::from(copy) * TAU / f64::from(copies)),
                        rise: rise * (f64::from(copy) - f64::from(copies - 1) / 2.0),
                    })
                    .collect();
            }
        };
        group(&generators).into_iter().map(|rotation| Placement { rotation, rise: 0.0 }).collect()
    }
}

/// All products of the generators, the identity first.
fn group(generators: &[Rotation]) -> Vec<Rotation> {
    let mut elements = vec![about(Axis::Z, 0.0)];
    let mut index = 0;
    while index < elements.len() {
        for generator in generators {
            let product = multiply(generator, &elements[index]);
            if !elements.iter().any(|element| is_same(element, &product)) {
                elements.push(product);
            }
        }
        index += 1;
    }
    elements
}

/// Elements of a point group are far apart; rounding is not.
fn is_same(a: &Rotation, b: &Rotation) -> bool {
    a.iter().flatten().zip(b.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-6)
}
