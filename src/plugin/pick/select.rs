//! Which peaks are particles: above a threshold, apart from each other, the best first.

use std::{cmp::Ordering, collections::HashMap};

use super::options::{Picking, ThresholdRule};
use crate::{
    allocation::{collected, no_memory_for, push},
    error::Result,
};

/// A peak of the filtered tomogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// Its voxel `[z, y, x]`.
    pub voxel: [i32; 3],
    /// From the centre of that voxel to the refined position, in voxels.
    pub offset: [f32; 3],
    /// Its height: more is better, for dark and bright particles alike.
    pub score: f32,
}

impl Peak {
    /// Its position `[z, y, x]` in voxels, counted from the centre of the first voxel.
    pub fn position(&self) -> [f32; 3] {
        [0, 1, 2].map(|axis| self.voxel[axis] as f32 + self.offset[axis])
    }
}

/// Median absolute deviation to standard deviation of a normal distribution.
const DEVIATION_PER_MAD: f64 = 1.4826;

/// The peaks that count as particles, the best first.
///
/// Peaks above the threshold are taken in the order of their scores (of equal ones, the first in the order z, y, x),
/// unless one that was taken before is nearer than the smallest distance, up to the most that are wanted.
pub(super) fn select(mut peaks: Vec<Peak>, picking: &Picking) -> Result<Vec<Peak>> {
    let Some(threshold) = threshold(&peaks, picking)? else { return Ok(Vec::new()) };
    peaks.retain(|peak| f64::from(peak.score) >= threshold);
    peaks.sort_unstable_by(by_score);
    let distance = picking.min_distance();
    // Taken peaks by cells as wide as the smallest distance: only neighbouring cells can hold one that is too near.
    let cell_of = |peak: &Peak| peak.voxel.map(|along| (f64::from(along) / distance) as i64);
    let mut cells: HashMap<[i64; 3], Vec<[i32; 3]>> = HashMap::new();
    let mut taken = Vec::new();
    for peak in peaks {
        if taken.len() as i64 == picking.options().n_max {
            break;
        }
        let cell = cell_of(&peak);
        let crowded = (0..27).any(|i: i64| {
            let near = [cell[0] + i / 9 - 1, cell[1] + i / 3 % 3 - 1, cell[2] + i % 3 - 1];
            cells.get(&near).into_iter().flatten().any(|other| is_nearer(other, &peak, distance))
        });
        if !crowded {
            cells.try_reserve(1).map_err(|_| no_memory_for::<[i32; 3]>(1))?;
            push(cells.entry(cell).or_default(), peak.voxel)?;
            push(&mut taken, peak)?;
        }
    }
    Ok(taken)
}

fn is_nearer(voxel: &[i32; 3], peak: &Peak, distance: f64) -> bool {
    let square: f64 = (0..3).map(|axis| f64::from(voxel[axis] - peak.voxel[axis]).powi(2)).sum();
    square < distance * distance
}

fn by_score(a: &Peak, b: &Peak) -> Ordering {
    b.score.total_cmp(&a.score).then(a.voxel.cmp(&b.voxel))
}

/// The lowest score of a particle; `None` if there are no peaks.
fn threshold(peaks: &[Peak], picking: &Picking) -> Result<Option<f64>> {
    let t = picking.options().threshold;
    let scores = || peaks.iter().map(|peak| f64::from(peak.score));
    let (lowest, highest) = (scores().min_by(f64::total_cmp), scores().max_by(f64::total_cmp));
    let (Some(lowest), Some(highest)) = (lowest, highest) else { return Ok(None) };
    Ok(Some(match picking.options().threshold_rule {
        ThresholdRule::Score => t,
        // Pei et al. 2016: the range of the peaks' heights in twenty levels.
        ThresholdRule::PeakRange => lowest + t * (highest - lowest) / 20.0,
        ThresholdRule::Deviations => {
            let mut values = collected(scores())?;
            let middle = median(&mut values);
            values.iter_mut().for_each(|value| *value = (*value - middle).abs());
            middle + t * DEVIATION_PER_MAD * median(&mut values)
        }
    }))
}

/// The median of at least one value: of an even number, the mean of the two in the middle.
fn median(values: &mut [f64]) -> f64 {
    let half = values.len() / 2;
    let is_even = values.len().is_multiple_of(2);
    let (below, &mut upper, _) = values.select_nth_unstable_by(half, f64::total_cmp);
    match below.iter().copied().max_by(f64::total_cmp) {
        Some(lower) if is_even => (lower + upper) / 2.0,
        _ => upper,
    }
}

#[cfg(test)]
#[path = "select_test.rs"]
mod tests;
