//! Particles as extrema of the difference of two Gaussian filters.

use tch::Device;

use super::{
    blocks::{Block, divide},
    difference::Difference,
    gaussian::Gaussian,
    options::{Contrast, Picking},
    select::{Peak, select},
    tomogram::{Region, Tomogram},
};
use crate::{
    allocation,
    error::{Error, Result},
    monitor::{Monitor, Progress, Stage},
    parallel::in_slabs,
};

/// Edge of the middle part of the tomogram whose mean is taken off everywhere: the filters would do that exactly, if
/// numbers had no end.
const MIDDLE: i64 = 64;

/// Picks particles: extrema of the tomogram filtered with the narrower Gaussian minus that filtered with the wider one
/// (Voss et al. 2009, J. Struct. Biol. 166:205; Pei et al. 2016, BMC Bioinformatics 17:405). The best comes first.
///
/// The filters are those of `scipy.ndimage.gaussian_filter`: cut off at four standard deviations, the tomogram mirrored
/// at its edges. A peak is a voxel that is higher than its 26 neighbours (lower, for dark particles); of equal ones,
/// the first in the order z, y, x. Positions are refined with a parabola along each axis.
///
/// Filters run on `device`, the search for peaks on `n_threads` threads. The result depends neither on `max_memory` nor
/// on `n_threads`. Besides `max_memory` it takes 28 bytes for each peak.
/// Fails if the tomogram's contrast is unknown, a voxel is not finite, or `monitor` stops it; it is asked once a block.
pub fn pick(
    tomogram: &mut Tomogram<'_>,
    picking: &Picking,
    device: Device,
    n_threads: usize,
    monitor: &mut Monitor<'_>,
) -> Result<Vec<Peak>> {
    if tomogram.contrast() == Contrast::Unknown {
        return Err(Error::invalid(
            "the tomogram's contrast is unknown; state whether particles are dark or bright",
        ));
    }
    let reach = Gaussian::new(picking.sigmas()[1]).reach() as i64;
    let filters = Difference::on(device, tomogram.shape(), n_threads);
    let max_memory = picking.options().max_memory;
    let blocks = divide(tomogram.shape(), reach, max_memory, filters.n_buffers())?;
    let peaks = in_blocks(tomogram, picking, filters, &blocks, n_threads, monitor)?;
    let n_peaks = peaks.len();
    let picked = select(peaks, picking)?;
    monitor.info(format_args!(
        "{} particles of {n_peaks} peaks, with standard deviations of {:.2} and {:.2} voxels",
        picked.len(),
        picking.sigmas()[0],
        picking.sigmas()[1]
    ));
    Ok(picked)
}

/// All peaks, block by block.
fn in_blocks(
    tomogram: &mut Tomogram<'_>,
    picking: &Picking,
    filters: Difference,
    blocks: &[Block],
    n_threads: usize,
    monitor: &mut Monitor<'_>,
) -> Result<Vec<Peak>> {
    let mut finder = Finder {
        sign: if tomogram.contrast() == Contrast::Dark { -1.0 } else { 1.0 },
        gaussians: picking.sigmas().map(Gaussian::new),
        shape: tomogram.shape(),
        level: level(tomogram)?,
        border: picking.options().border,
        refine: picking.options().refine,
        n_threads,
        voxels: Vec::new(),
        filters,
        difference: Vec::new(),
    };
    let mut peaks = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        monitor.check()?;
        finder.find(tomogram, block, &mut peaks)?;
        monitor.report(Progress::batch(Stage::Pick, index + 1, blocks.len()))?;
    }
    Ok(peaks)
}

/// Mean of the middle of the tomogram.
fn level(tomogram: &mut Tomogram<'_>) -> Result<f32> {
    let extent = tomogram.shape().map(|extent| extent.min(MIDDLE));
    let start = [0, 1, 2].map(|axis| (tomogram.shape()[axis] - extent[axis]) / 2);
    let mut voxels = Vec::new();
    tomogram.read(&Region { start, extent }, &mut voxels)?;
    let sum: f64 = voxels.iter().map(|&voxel| f64::from(voxel)).sum();
    Ok((sum / voxels.len() as f64) as f32)
}

/// What finds the peaks of a block, with the memory for it.
struct Finder {
    /// 1 for bright particles, -1 for dark ones.
    sign: f32,
    gaussians: [Gaussian; 2],
    shape: [i64; 3],
    level: f32,
    border: i64,
    refine: bool,
    n_threads: usize,
    voxels: Vec<f32>,
    filters: Difference,
    /// Difference of the filtered tomograms, particles bright.
    difference: Vec<f32>,
}

impl Finder {
    /// Adds the peaks of a block, in the order z, y, x.
    fn find(
        &mut self,
        tomogram: &mut Tomogram<'_>,
        block: &Block,
        peaks: &mut Vec<Peak>,
    ) -> Result<()> {
        tomogram.read(&block.region(), &mut self.voxels)?;
        let level = self.level;
        self.voxels.iter_mut().for_each(|voxel| *voxel -= level);
        let extent = block.filtered.clone().map(|range| (range.end - range.start) as usize);
        allocation::resize(&mut self.difference, extent.iter().product(), 0.0)?;
        let ranges = [&block.input, &block.filtered];
        let (voxels, out) = (&self.voxels, &mut self.difference);
        self.filters.compute(&self.gaussians, self.sign, voxels, ranges, out)?;
        self.collect(block, extent, peaks)
    }

    fn collect(&self, block: &Block, extent: [usize; 3], peaks: &mut Vec<Peak>) -> Result<()> {
        let planes = &block.core[0];
        let nothing_yet = (0..planes.end - planes.start).map(|_| Ok(Vec::new()));
        let mut found = allocation::collected(nothing_yet)?;
        in_slabs(&mut found, 1, self.n_threads, |first, slab| {
            for (index, peaks) in slab.iter_mut().enumerate() {
                *peaks = self.of_plane(block, extent, planes.start + (first + index) as i64);
            }
        });
        for of_plane in found {
            let of_plane = of_plane?;
            // In steps that grow with what there is: as `extend`.
            of_plane.into_iter().try_for_each(|peak| allocation::push(peaks, peak))?;
        }
        Ok(())
    }

    fn of_plane(&self, block: &Block, extent: [usize; 3], z: i64) -> Result<Vec<Peak>> {
        let mut peaks = Vec::new();
        let inside = |axis: usize| {
            let range = &block.core[axis];
            range.start.max(self.border)..range.end.min(self.shape[axis] - self.border)
        };
        if !inside(0).contains(&z) {
            return Ok(peaks);
        }
        for y in inside(1) {
            for x in inside(2) {
                let at = [z, y, x];
                let place = [0, 1, 2].map(|axis| (at[axis] - block.filtered[axis].start) as usize);
                let score = self.at(extent, place);
                if self.is_peak(extent, place, score) {
                    let offset = match self.refine {
                        true => [0, 1, 2].map(|axis| self.vertex(extent, place, axis)),
                        false => [0.0; 3],
                    };
                    let peak = Peak { voxel: at.map(|along| along as i32), offset, score };
                    allocation::push(&mut peaks, peak)?;
                }
            }
        }
        Ok(peaks)
    }

    fn at(&self, [_, ny, nx]: [usize; 3], [z, y, x]: [usize; 3]) -> f32 {
        self.difference[(z * ny + y) * nx + x]
    }

    /// Whether no neighbour is higher, and none that comes before is as high. Beyond the tomogram there are none.
    fn is_peak(&self, extent: [usize; 3], place: [usize; 3], score: f32) -> bool {
        let [zs, ys, xs] = [0, 1, 2]
            .map(|axis| place[axis].saturating_sub(1)..=(place[axis] + 1).min(extent[axis] - 1));
        for z in zs {
            for y in ys.clone() {
                for x in xs.clone() {
                    let neighbour = [z, y, x];
                    let value = self.at(extent, neighbour);
                    if value > score || (value == score && neighbour < place) {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// How far from a peak along an axis the parabola through it and its neighbours is highest, at most half a voxel.
    fn vertex(&self, extent: [usize; 3], place: [usize; 3], axis: usize) -> f32 {
        if place[axis] == 0 || place[axis] + 1 == extent[axis] {
            return 0.0;
        }
        let along = |step: usize| {
            let mut there = place;
            there[axis] = place[axis] + step - 1;
            self.at(extent, there)
        };
        let (before, here, after) = (along(0), along(1), along(2));
        let bend = before - 2.0 * here + after;
        // On a plateau there is nothing to refine.
        if bend >= 0.0 { 0.0 } else { (0.5 * (before - after) / bend).clamp(-0.5, 0.5) }
    }
}

#[cfg(test)]
#[path = "dog_test.rs"]
mod tests;
