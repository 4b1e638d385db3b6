//! Where particles lie side by side: packed around a target, or scattered over a tomogram, never overlapping.

use std::collections::HashMap;

use rand::{Rng, RngExt};

use crate::{
    allocation::{collected, filled},
    error::{Error, Result},
};

/// How often a packing is begun anew; the tightest is kept. (Liu et al. 2020.)
const N_STARTS: usize = 5;

/// Steps towards the centroid begin at a voxel, as in Liu et al. 2020, and are halved when none is possible down to
/// this.
const SHORTEST_STEP: f64 = 1.0 / 16.0;

/// Sweeps over all spheres after which a packing is as good as it gets. (Liu et al. 2020: 5,001 steps.)
const MOST_SWEEPS: usize = 5001;

/// Random places that are tried for a particle of a tomogram before it counts as full.
const MOST_TRIES: usize = 10_000;

/// Whether two spheres overlap.
fn overlap(centres: [[f64; 3]; 2], radii: [f64; 2]) -> bool {
    let square: f64 = (0..3).map(|axis| (centres[0][axis] - centres[1][axis]).powi(2)).sum();
    square < (radii[0] + radii[1]).powi(2)
}

/// Centres `[z, y, x]` of spheres of these radii, packed close together without overlap.
///
/// Spheres are scattered without overlap, then step by step moved towards their common centroid: gradient descent of
/// the sum of their distances from it. A step into another sphere is not made. Of five such packings, the one with
/// the smallest sum is returned. (Liu et al. 2020, BMC Bioinformatics 21:399.)
pub(super) fn pack(radii: &[f64], generator: &mut impl Rng) -> Vec<[f64; 3]> {
    let packings = (0..N_STARTS).map(|_| {
        let mut centres = scatter_freely(radii, generator);
        contract(&mut centres, radii);
        centres
    });
    packings.min_by(|a, b| spread(a).total_cmp(&spread(b))).unwrap_or_default()
}

/// Spheres at random in a cube so large that there is room for every one.
fn scatter_freely(radii: &[f64], generator: &mut impl Rng) -> Vec<[f64; 3]> {
    // Even if all were as large as the largest, they and the surroundings they keep free would fill less than half.
    let largest = radii.iter().copied().fold(0.0, f64::max);
    let edge = 5.0 * largest * (radii.len() as f64).cbrt();
    let mut centres: Vec<[f64; 3]> = Vec::with_capacity(radii.len());
    while let Some(&radius) = radii.get(centres.len()) {
        let candidate = [(); 3].map(|()| edge * generator.random::<f64>());
        if !centres.iter().zip(radii).any(|(&c, &r)| overlap([candidate, c], [radius, r])) {
            centres.push(candidate);
        }
    }
    centres
}

/// Moves spheres towards their centroid until none can.
fn contract(centres: &mut [[f64; 3]], radii: &[f64]) {
    let mut step = 1.0;
    let mut least = spread(centres);
    for _ in 0..MOST_SWEEPS {
        for index in 0..centres.len() {
            let aim = centroid(centres);
            let here = centres[index];
            let offset = [0, 1, 2].map(|axis| aim[axis] - here[axis]);
            let distance = offset.iter().map(|along| along * along).sum::<f64>().sqrt();
            if distance < step {
                continue;
            }
            let there = [0, 1, 2].map(|axis| here[axis] + step / distance * offset[axis]);
            let blocked = (0..centres.len()).any(|other| {
                other != index && overlap([there, centres[other]], [radii[index], radii[other]])
            });
            if !blocked {
                centres[index] = there;
            }
        }
        let now = spread(centres);
        // Less than a hundredth of a step was won: too coarse a step.
        if now > least - 0.01 * step {
            step /= 2.0;
            if step < SHORTEST_STEP {
                return;
            }
        }
        least = now;
    }
}

fn centroid(centres: &[[f64; 3]]) -> [f64; 3] {
    [0, 1, 2].map(|axis| centres.iter().map(|c| c[axis]).sum::<f64>() / centres.len() as f64)
}

/// Sum of the distances from the centroid.
fn spread(centres: &[[f64; 3]]) -> f64 {
    let middle = centroid(centres);
    let square = |c: &[f64; 3]| (0..3).map(|axis| (c[axis] - middle[axis]).powi(2)).sum::<f64>();
    centres.iter().map(|centre| square(centre).sqrt()).sum()
}

/// Centres `[z, y, x]` in voxels of spheres of these radii, at random in a tomogram of `shape` voxels, wholly inside
/// and without overlap: each, the largest first, at a uniform place among those still free.
pub(super) fn scatter(
    radii: &[f64],
    shape: [i64; 3],
    generator: &mut impl Rng,
) -> Result<Vec<[f64; 3]>> {
    let largest = radii.iter().copied().fold(0.0, f64::max);
    let mut order = collected(0..radii.len())?;
    order.sort_by(|&a, &b| radii[b].total_cmp(&radii[a]));
    let mut centres = filled(radii.len(), [0.0; 3])?;
    // Spheres by cells as wide as the largest sphere: only neighbouring cells can hold one that overlaps.
    let cell_of = |centre: [f64; 3]| centre.map(|along| (along / (2.0 * largest)) as i64);
    let mut cells: HashMap<[i64; 3], Vec<usize>> = HashMap::new();
    for (n_placed, &index) in order.iter().enumerate() {
        let radius = radii[index];
        let room = shape.map(|extent| (extent - 1) as f64 - 2.0 * radius);
        if room.iter().any(|&room| room < 0.0) {
            return Err(Error::invalid(format!(
                "particle {index} is {:.1} voxels across; it does not fit into a tomogram of {shape:?} voxels",
                2.0 * radius
            )));
        }
        let place = (0..MOST_TRIES).find_map(|_| {
            let centre = room.map(|room| radius + room * generator.random::<f64>());
            let free = neighbours(cell_of(centre)).all(|cell| {
                cells.get(&cell).into_iter().flatten().all(|&other: &usize| {
                    !overlap([centre, centres[other]], [radius, radii[other]])
                })
            });
            free.then_some(centre)
        });
        centres[index] = place.ok_or_else(|| {
            Error::invalid(format!(
                "{n_placed} of {} particles fill the tomogram of {shape:?} voxels: no place was found for particle \
                 {index} in {MOST_TRIES} tries; take fewer particles or a larger tomogram",
                radii.len()
            ))
        })?;
        cells.entry(cell_of(centres[index])).or_default().push(index);
    }
    Ok(centres)
}

/// A cell and the 26 around it.
fn neighbours(cell: [i64; 3]) -> impl Iterator<Item = [i64; 3]> {
    (0..27).map(move |i: i64| [cell[0] + i / 9 - 1, cell[1] + i / 3 % 3 - 1, cell[2] + i % 3 - 1])
}

#[cfg(test)]
#[path = "packing_test.rs"]
mod tests;
