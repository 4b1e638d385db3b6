//! The built-in phantoms: the seven complexes of the paper's experimental data, drawn from published sizes, masses
//! and symmetries. They are sketches at 20 angstrom, not atomic models: domains are ellipsoids, placed by hand.
//!
//! The samples are those of Noble et al. 2018, eLife 7:e34257.

use tch::Tensor;

use super::{
    check_grid,
    ellipsoid::{Blob, Ellipsoid},
    symmetry::Symmetry,
};
use crate::{
    allocation,
    error::{Error, Result},
};

/// Mass of a cubic angstrom of protein in dalton: 1.35 g/cm3, the partial specific volume of 0.74 cm3/g of
/// Matthews 1968, J. Mol. Biol. 33:491.
const DALTON_PER_CUBIC_ANGSTROM: f64 = 1.35 / 1.660_539;

/// A complex as data.
#[derive(Debug)]
pub struct Phantom {
    /// English name, used as class name.
    pub name: &'static str,
    /// How the copies of `subunit` are placed.
    pub symmetry: Symmetry,
    /// What is repeated, in angstrom around the complex's centre, main axis along z.
    pub subunit: &'static [Blob],
    /// Where size, mass and symmetry come from.
    pub source: &'static str,
}

/// The seven complexes, in the order of the paper's classes C1 to C7.
pub static PHANTOMS: &[Phantom] = &[
    Phantom {
        name: "rabbit muscle aldolase",
        symmetry: Symmetry::Dihedral(2),
        // One (beta/alpha)8 barrel.
        subunit: &[Blob::new([8.0, 22.0, 20.0], [22.0, 23.5, 22.3])],
        source: "PDB 1ZAH, 5VY5; 4 x 363 residues, 157 kDa, 222 symmetry: Sygusch et al. 1987, PNAS 84:7846",
    },
    Phantom {
        name: "hemagglutinin",
        symmetry: Symmetry::Cyclic(3),
        subunit: &[
            // Receptor-binding head and vestigial esterase of HA1.
            Blob::new([37.0, 0.0, 21.0], [22.5, 17.5, 18.5]),
            Blob::new([7.0, 6.0, 25.0], [15.0, 12.0, 12.0]),
            // Helices of HA2, and the domain at the membrane.
            Blob::new([-19.0, 0.0, 10.5], [35.0, 9.8, 9.8]),
            Blob::new([-56.0, 0.0, 16.5], [18.5, 14.0, 14.0]),
        ],
        source: "PDB 1HGF, ectodomain of 3 x 503 residues, 169 kDa without glycans, 135 A long, radius 15 to 40 A: \
                 Wilson, Skehel and Wiley 1981, Nature 289:366",
    },
    Phantom {
        name: "T20S proteasome",
        symmetry: Symmetry::Dihedral(7),
        subunit: &[
            // Alpha, and its end that narrows the gate to 13 A.
            Blob::new([54.0, 0.0, 37.0], [20.0, 18.0, 19.5]),
            Blob::new([67.0, 0.0, 14.5], [6.0, 7.5, 8.0]),
            // Beta, and the annulus between outer and central chamber.
            Blob::new([18.5, 0.0, 38.0], [18.5, 18.0, 18.5]),
            Blob::new([35.0, 0.0, 19.0], [6.0, 8.0, 8.0]),
        ],
        source: "PDB 1PMA; alpha7 beta7 beta7 alpha7, 673 kDa, 148 x 113 A, three chambers: Loewe et al. 1995, \
                 Science 268:533",
    },
    Phantom {
        name: "DnaB helicase-helicase loader",
        symmetry: Symmetry::Spiral { copies: 6, rise: 3.0 },
        subunit: &[
            // The two tiers of DnaB: N-terminal collar, C-terminal motor.
            Blob::new([40.0, 0.0, 30.0], [19.0, 16.5, 17.5]),
            Blob::new([2.0, 0.0, 37.0], [21.5, 21.0, 22.0]),
            // Five loaders over six sites.
            Blob::new([-37.0, 0.0, 40.0], [25.0, 17.5, 17.5]).weighted(5.0 / 6.0),
        ],
        source: "PDB 6BBM; E. coli DnaB6 (6 x 52.4 kDa) and phage lambda P5 (5 x 26.5 kDa), an open right-handed \
                 spiral: Chase et al. 2018, eLife 7:e41140. Its rise is our estimate between closed ring and 4ESV",
    },
    Phantom {
        name: "glutamate dehydrogenase",
        symmetry: Symmetry::Dihedral(3),
        subunit: &[
            // Glutamate-binding domain, NAD-binding domain, antenna.
            Blob::new([17.0, 4.0, 26.0], [20.0, 19.0, 20.0]),
            Blob::new([41.0, 14.0, 33.0], [19.0, 18.5, 20.0]).turned([23.0, 0.0, 0.0]),
            Blob::new([57.0, -3.0, 12.5], [16.0, 10.0, 10.0]).turned([0.0, -20.0, 0.0]),
        ],
        source: "PDB 1HWY, 3JCZ; bovine, 6 x 501 residues, 334 kDa, 32 symmetry, antennae along the three-fold \
                 axis: Peterson and Smith 1999, Structure 7:769; Borgnia et al. 2016, Mol. Pharmacol. 89:645",
    },
    Phantom {
        name: "insulin-bound insulin receptor",
        symmetry: Symmetry::Cyclic(2),
        subunit: &[
            // L1 with insulin and alpha-CT, CR, L2: half of the bar of the T.
            Blob::new([36.0, -12.0, 26.5], [17.0, 17.0, 25.5]),
            Blob::new([27.0, -8.0, 58.0], [24.0, 14.5, 14.5]).turned([0.0, -25.0, 0.0]),
            Blob::new([0.0, 8.0, 43.0], [18.0, 16.5, 17.5]),
            // FnIII-1, FnIII-2 with the insert domain, FnIII-3: half of its stem.
            Blob::new([9.0, 12.0, 16.0], [20.0, 14.0, 14.5]),
            Blob::new([-30.0, 0.0, 15.5], [29.0, 15.5, 15.5]),
            Blob::new([-68.0, 2.0, 12.5], [20.0, 13.0, 13.0]),
        ],
        source: "PDB 6CE9, 6SOF; ectodomain 2 x (929 residues + insulin), 222 kDa without glycans, T-shaped: Scapin \
                 et al. 2018, Nature 556:122; Gutmann et al. 2020, J. Cell Biol. 219:e201907210",
    },
    Phantom {
        name: "apoferritin",
        symmetry: Symmetry::Octahedral,
        subunit: &[
            // A four-helix bundle beside the two-fold axis, its long axis in the shell; helix E at the four-fold axis.
            Blob::new([8.0, 43.1, 26.9], [27.5, 16.5, 11.6]).turned([-45.0, 35.0, 90.0]),
            Blob::new([46.0, 7.5, 2.0], [12.0, 7.0, 7.0]),
        ],
        source: "PDB 1IER, 2W0O; horse spleen, 24 x 174 residues, 480 kDa, 432 symmetry, shell from 80 to 120 A \
                 across: Harrison and Arosio 1996, Biochim. Biophys. Acta 1275:161",
    },
];

impl Phantom {
    /// Volume of protein in the whole complex, in cubic angstrom.
    pub fn volume(&self) -> f64 {
        let subunit: f64 = self.subunit.iter().map(Blob::volume).sum();
        subunit * self.symmetry.placements().len() as f64
    }

    /// Its mass in dalton.
    pub fn mass(&self) -> f64 {
        self.volume() * DALTON_PER_CUBIC_ANGSTROM
    }

    /// Its ellipsoids, blurred to what voxels of this size can hold.
    fn ellipsoids(&self, voxel_size: f64) -> Vec<Ellipsoid> {
        self.symmetry
            .placements()
            .iter()
            .flat_map(|place| self.subunit.iter().map(|b| Ellipsoid::new(b, place, voxel_size)))
            .collect()
    }
}

/// Names of the phantoms, in the order of their indices.
pub fn names() -> impl ExactSizeIterator<Item = &'static str> {
    PHANTOMS.iter().map(|phantom| phantom.name)
}

/// Density `[z, y, x]` of a phantom: f32 on the CPU, 1 where protein fills the voxel and 0 outside, unrotated, its
/// centre in voxel `box_size / 2`. What lies outside the cube is cut off. Voxels above 10 angstrom blur it further, to
/// twice their size.
///
/// `box_size` is 8 to 256, `voxel_size` 0.1 to 100 angstrom.
pub fn density(phantom_index: usize, box_size: i64, voxel_size: f64) -> Result<Tensor> {
    check_grid(box_size, voxel_size)?;
    let phantom = PHANTOMS.get(phantom_index).ok_or_else(|| {
        Error::invalid(format!(
            "phantom {phantom_index}: there are {} phantoms, counted from 0",
            PHANTOMS.len()
        ))
    })?;
    let edge = box_size as usize;
    let mut cube = allocation::filled(edge * edge * edge, 0.0f32)?;
    for ellipsoid in phantom.ellipsoids(voxel_size) {
        ellipsoid.add_to(&mut cube, edge, voxel_size);
    }
    Ok(Tensor::f_from_slice(&cube)?.f_view([box_size; 3])?)
}

/// Densities `[phantom, 1, z, y, x]` of all phantoms, each as `density` draws it: what `simulate` takes.
pub fn densities(box_size: i64, voxel_size: f64) -> Result<Tensor> {
    let cubes = (0..PHANTOMS.len())
        .map(|index| density(index, box_size, voxel_size))
        .collect::<Result<Vec<Tensor>>>()?;
    Ok(Tensor::f_stack(&cubes, 0)?.f_unsqueeze(1)?)
}

#[cfg(test)]
#[path = "phantoms_test.rs"]
mod tests;
