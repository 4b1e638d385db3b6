//! Atoms to density.

use std::f64::consts::{PI, SQRT_2};

use ndarray::Array3;

use super::Structure;
use crate::error::{Error, ErrorKind, Result};

/// Standard deviation of the blur over the resolution: the Fourier transform of the Gaussian falls to 1/e at the
/// wave number 1/resolution. (Pintilie et al. 2010, J. Struct. Biol. 170:427; "molmap" of UCSF Chimera.)
const BLUR: f64 = 1.0 / (PI * SQRT_2);

/// Distance in standard deviations beyond which a Gaussian is over: 4e-6 of its peak.
const REACH: f64 = 5.0;

/// Distance in standard deviations that must lie between an atom and the edge of the box: what is lost beyond is at
/// most 0.14 percent of it.
const MARGIN: f64 = 3.0;

/// `h^2 / (2 pi m e)` in volt square angstrom: a potential is this times scattering factors per volume. (Kirkland,
/// Advanced Computing in Electron Microscopy, 2nd ed. 2010, appendix C; from CODATA 2018.)
const VOLT: f64 = 47.877_6;

/// The largest box, in voxels: a gigabyte while it is filled.
const MAX_BOX_SIZE: usize = 512;

/// How to sample a structure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DensityOptions {
    /// Edge of the cube in voxels; `None` takes the smallest even one that holds the structure in every orientation.
    pub box_size: Option<usize>,
    /// Angstrom.
    pub voxel_size: f64,
    /// Angstrom, at least two voxels.
    pub resolution: f64,
}

/// A structure's density.
#[derive(Clone, Debug, PartialEq)]
pub struct Density {
    /// Electrostatic potential in volt, `[z, y, x]`, bright on dark. Its centre of scattering lies on voxel
    /// `box_size / 2` along each axis. The structure is in vacuum: around it is 0.
    pub values: Array3<f32>,
    /// Angstrom.
    pub voxel_size: f64,
}

/// The density of a structure: each atom is a Gaussian as wide as the resolution says, whose integral is its
/// scattering factor for electrons times its occupancy. Atoms are taken as neutral points; their own widths and
/// displacements (B-factors) are far below the resolutions of subtomograms.
///
/// Time grows with atoms times the cube of `resolution / voxel_size`: 100,000 atoms at 20 and 10 angstrom take a
/// tenth of a second.
///
/// # Errors
/// An option makes no sense, or the box is too small; the message says what would do.
pub fn density(structure: &Structure, options: &DensityOptions) -> Result<Density> {
    let invalid = |message: String| Error::new(ErrorKind::Invalid, &structure.path, message);
    let &DensityOptions { box_size, voxel_size, resolution } = options;
    if !(voxel_size.is_finite() && voxel_size > 0.0) {
        return Err(invalid(format!(
            "a voxel size of {voxel_size} angstrom; expected a positive one"
        )));
    }
    if !(resolution.is_finite() && resolution >= 2.0 * voxel_size) {
        return Err(invalid(format!(
            "a resolution of {resolution} angstrom in voxels of {voxel_size}; expected at least two voxels"
        )));
    }
    let sigma = BLUR * resolution;
    let centre = centre(structure).ok_or_else(|| invalid("all occupancies are 0".to_owned()))?;
    let extent = Extent::of(structure, centre);
    let margin = MARGIN * sigma;
    let needed = |distance: f64| 2.0 * (((distance + margin) / voxel_size).ceil() + 1.0);
    let box_size = match box_size {
        // Casts of floats saturate.
        None => needed(extent.radius) as usize,
        Some(box_size) => box_size,
    };
    if box_size > MAX_BOX_SIZE || box_size == 0 {
        return Err(invalid(format!(
            "a box of {box_size} voxels of {voxel_size} angstrom; expected 1 to {MAX_BOX_SIZE}"
        )));
    }
    let middle = (box_size / 2) as f64;
    let last = (box_size - 1) as f64 - middle;
    if (extent.up + margin) / voxel_size > last || (extent.down + margin) / voxel_size > middle {
        return Err(invalid(format!(
            "does not fit into {box_size} voxels of {voxel_size} angstrom; expected a box of at \
             least {}",
            needed(extent.up.max(extent.down))
        )));
    }
    let mut values: Vec<f64> = zeros(box_size.pow(3)).map_err(&invalid)?;
    let height = VOLT * (2.0 * PI * sigma * sigma).powf(-1.5);
    let mut profiles = [(); 3].map(|()| Vec::new());
    for atom in &structure.atoms {
        let starts = [0, 1, 2].map(|axis| {
            let at = (atom.position[axis] - centre[axis]) / voxel_size + middle;
            profile(&mut profiles[axis], at, sigma / voxel_size, box_size)
        });
        let weight = height * atom.occupancy * atom.element.scattering_factor();
        let [zs, ys, xs] = &profiles;
        for (z, along_z) in (starts[0]..).zip(zs) {
            for (y, along_y) in (starts[1]..).zip(ys) {
                let row = (z * box_size + y) * box_size + starts[2];
                let factor = weight * along_z * along_y;
                for (value, along_x) in values[row..row + xs.len()].iter_mut().zip(xs) {
                    *value += factor * along_x;
                }
            }
        }
    }
    let mut rounded: Vec<f32> = zeros(values.len()).map_err(&invalid)?;
    rounded.iter_mut().zip(&values).for_each(|(rounded, &value)| *rounded = value as f32);
    let values = Array3::from_shape_vec([box_size; 3], rounded)
        .map_err(|error| invalid(format!("a box of {box_size} voxels: {error}")))?;
    Ok(Density { values, voxel_size })
}

/// Zeros, or why there is no room for them: an allocation that fails would end the process.
fn zeros<T: Clone + Default>(n: usize) -> Result<Vec<T>, String> {
    let mut values = Vec::new();
    values.try_reserve_exact(n).map_err(|_| format!("no memory for {n} voxels"))?;
    values.resize(n, T::default());
    Ok(values)
}

/// A Gaussian of height 1 at `centre` with standard deviation `sigma` (both in voxels), within the box; returns the
/// index of its first value.
fn profile(values: &mut Vec<f64>, centre: f64, sigma: f64, box_size: usize) -> usize {
    values.clear();
    // Casts of floats saturate; the atom lies within the box.
    let first = (centre - REACH * sigma).ceil().max(0.0) as usize;
    let last = ((centre + REACH * sigma).floor() as usize).min(box_size - 1);
    let at = |index: usize| (index as f64 - centre) / sigma;
    values.extend((first..=last).map(|index| (-0.5 * at(index) * at(index)).exp()));
    first
}

/// The centre of scattering `[z, y, x]`; `None` if nothing scatters.
fn centre(structure: &Structure) -> Option<[f64; 3]> {
    let mut total = 0.0;
    let mut sums = [0.0; 3];
    for atom in &structure.atoms {
        let weight = atom.occupancy * atom.element.scattering_factor();
        total += weight;
        for (sum, position) in sums.iter_mut().zip(atom.position) {
            *sum += weight * position;
        }
    }
    (total > 0.0).then(|| sums.map(|sum| sum / total))
}

/// How far atoms are from the centre, in angstrom.
struct Extent {
    radius: f64,
    /// Along the axes, whichever reaches farthest: towards larger and smaller indices.
    up: f64,
    down: f64,
}

impl Extent {
    fn of(structure: &Structure, centre: [f64; 3]) -> Extent {
        let mut extent = Extent { radius: 0.0, up: 0.0, down: 0.0 };
        for atom in &structure.atoms {
            let offset = [0, 1, 2].map(|axis| atom.position[axis] - centre[axis]);
            let square: f64 = offset.iter().map(|along| along * along).sum();
            extent.radius = extent.radius.max(square.sqrt());
            for along in offset {
                extent.up = extent.up.max(along);
                extent.down = extent.down.max(-along);
            }
        }
        extent
    }
}
