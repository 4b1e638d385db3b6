//! Boxes around particles.

use std::sync::{Mutex, PoisonError};

use super::{
    options::{Edge, Extraction, Resampling},
    resample::{Axis, nearest, resample},
    tomogram::{Region, Tomogram},
};
use crate::{
    allocation,
    error::{Error, Result},
    monitor::{Monitor, Progress, Stage},
    parallel::in_slabs,
};

/// Most boxes that are read before they are resampled side by side, and bytes that what is read for them may take.
const PER_BATCH: usize = 16;
const BATCH_BYTES: usize = 256 << 20;

/// Longest edge of what is read for a box, in voxels of the tomogram: 130 megabytes a box.
const LONGEST_REGION: i64 = 320;

/// Boxes cut out of a tomogram.
#[derive(Debug)]
pub struct Boxes {
    /// `[n, z, y, x]`, x fastest.
    pub voxels: Vec<f32>,
    /// Number of boxes that reach beyond the tomogram and were filled up.
    pub n_padded: usize,
}

/// Which of the particles at `positions` `[z, y, x]` (voxels of a tomogram of `shape`, counted from the centre of the
/// first) get a box: all, or those whose boxes lie within the tomogram where the edge policy is to skip the others.
///
/// Fails if a position is not finite or, but for that policy, not within the tomogram, and if a box reaches beyond it
/// where that is an error.
pub fn kept(
    positions: &[[f32; 3]],
    shape: [i64; 3],
    extraction: &Extraction,
) -> Result<Vec<usize>> {
    let edge = extraction.options().edge;
    let mut kept = allocation::room(positions.len())?;
    for (index, position) in positions.iter().enumerate() {
        if position.iter().any(|along| !along.is_finite()) {
            return Err(Error::invalid(format!(
                "position {index} is {position:?}; it must be z, y, x in voxels"
            )));
        }
        let is_whole = is_whole(position, shape, extraction);
        if edge == Edge::Skip {
            if is_whole {
                kept.push(index);
            }
            continue;
        }
        let is_inside =
            (0..3).all(|axis| (-0.5..shape[axis] as f32 - 0.5).contains(&position[axis]));
        if !is_inside {
            return Err(Error::invalid(format!(
                "position {index} is {position:?}, outside the tomogram of {shape:?} voxels; positions are z, y, x in \
                 its voxels, counted from 0"
            )));
        }
        if edge == Edge::Fail && !is_whole {
            return Err(Error::invalid(format!(
                "position {index} is {position:?}: its box of {} voxels, each {:.4} of the tomogram's, reaches beyond \
                 the tomogram of {shape:?}",
                extraction.options().box_size,
                extraction.scale()
            )));
        }
        kept.push(index);
    }
    Ok(kept)
}

/// Whether the centres of all voxels of a box lie within the tomogram.
fn is_whole(position: &[f32; 3], shape: [i64; 3], extraction: &Extraction) -> bool {
    let options = extraction.options();
    (0..3).all(|axis| {
        let mut centre = f64::from(position[axis]);
        if options.resampling == Resampling::Nearest {
            centre = nearest(centre);
        }
        let at = |index: i64| centre + (index - options.box_size / 2) as f64 * extraction.scale();
        at(0) >= -0.5 && at(options.box_size - 1) <= shape[axis] as f64 - 0.5
    })
}

/// The boxes around `positions`, which `kept` has accepted: the position lies on voxel `box_size / 2`, rounded down,
/// along each axis.
///
/// Memory: the result, and up to 256 MiB for boxes with their surroundings. The tomogram is read on this thread, box by box. Fails if
/// a voxel of one is not finite, or `monitor` stops it; it is asked once a batch.
pub fn extract(
    tomogram: &mut Tomogram<'_>,
    positions: &[[f32; 3]],
    extraction: &Extraction,
    n_threads: usize,
    monitor: &mut Monitor<'_>,
) -> Result<Boxes> {
    let edge = extraction.options().box_size as usize;
    let n_voxels = edge.pow(3);
    let mut voxels = allocation::filled(positions.len() * n_voxels, 0.0)?;
    let per_batch = per_batch(extraction);
    let n_steps = positions.len().div_ceil(per_batch);
    let mut n_padded = 0;
    for (step, of_batch) in positions.chunks(per_batch).enumerate() {
        monitor.check()?;
        let mut sources = allocation::room(of_batch.len())?;
        for (index, position) in of_batch.iter().enumerate() {
            let source = Source::read(tomogram, position, extraction)
                .map_err(|error| error.within(format!("box {}", step * per_batch + index)))?;
            sources.push(source);
            n_padded += usize::from(!is_whole(position, tomogram.shape(), extraction));
        }
        let start = step * per_batch * n_voxels;
        let out = &mut voxels[start..start + of_batch.len() * n_voxels];
        let failure = Mutex::new(None);
        in_slabs(out, n_voxels, n_threads, |first, slab| {
            for (out, source) in slab.chunks_mut(n_voxels).zip(&sources[first..]) {
                if let Err(error) = resample(&source.voxels, &source.axes, edge, out) {
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    return;
                }
                if extraction.inverts() {
                    out.iter_mut().for_each(|voxel| *voxel = -*voxel);
                }
            }
        });
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        monitor.report(Progress::batch(Stage::Extract, step + 1, n_steps))?;
    }
    if n_padded > 0 {
        monitor.info(format_args!(
            "{n_padded} of {} boxes reach beyond the tomogram and were filled with their means",
            positions.len()
        ));
    }
    Ok(Boxes { voxels, n_padded })
}

/// Boxes to a batch.
fn per_batch(extraction: &Extraction) -> usize {
    let options = extraction.options();
    let axis = Axis::new(0.5, options.box_size, extraction.scale(), options.resampling);
    // What is too long is refused when it is read.
    let edge = axis.extent.min(LONGEST_REGION) as usize;
    (BATCH_BYTES / (4 * edge.pow(3))).clamp(1, PER_BATCH)
}

/// What a box is made of.
struct Source {
    axes: [Axis; 3],
    /// The region that the axes need; beyond the tomogram, the mean of what lies within it.
    voxels: Vec<f32>,
}

impl Source {
    fn read(
        tomogram: &mut Tomogram<'_>,
        position: &[f32; 3],
        extraction: &Extraction,
    ) -> Result<Source> {
        let options = extraction.options();
        let (box_size, scale) = (options.box_size, extraction.scale());
        let axes = position
            .map(|centre| Axis::new(f64::from(centre), box_size, scale, options.resampling));
        let extent = [0, 1, 2].map(|axis| axes[axis].extent);
        if let Some(longest) = extent.iter().find(|&&extent| extent > LONGEST_REGION) {
            return Err(Error::invalid(format!(
                "box_size {box_size} takes {longest} voxels of the tomogram along an edge; at most {LONGEST_REGION} \
                 are read: take smaller boxes, or bin the tomogram"
            )));
        }
        let shape = tomogram.shape();
        let start = [0, 1, 2].map(|axis| axes[axis].first.max(0));
        let end = [0, 1, 2].map(|axis| (axes[axis].first + extent[axis]).min(shape[axis]));
        let within = Region { start, extent: [0, 1, 2].map(|axis| end[axis] - start[axis]) };
        let mut inside = Vec::new();
        tomogram.read(&within, &mut inside)?;
        if within.extent == extent {
            return Ok(Source { axes, voxels: inside });
        }
        let sum: f64 = inside.iter().map(|&voxel| f64::from(voxel)).sum();
        let mean = (sum / inside.len() as f64) as f32;
        let mut voxels = allocation::filled(extent.iter().product::<i64>() as usize, mean)?;
        let length = within.extent[2] as usize;
        for (row, values) in inside.chunks(length).enumerate() {
            let row = row as i64;
            let z = row / within.extent[1] + start[0] - axes[0].first;
            let y = row % within.extent[1] + start[1] - axes[1].first;
            let x = start[2] - axes[2].first;
            let to = ((z * extent[1] + y) * extent[2] + x) as usize;
            voxels[to..to + length].copy_from_slice(values);
        }
        Ok(Source { axes, voxels })
    }
}

#[cfg(test)]
#[path = "extract_test.rs"]
mod tests;
