//! Gaussian filters along one axis after the other.
//!
//! Each voxel is a sum over the same values in the same order, whatever block and thread computes it: results do not
//! depend on the division, to the last bit. Tensor operators, which pick their order by size, could not promise that.

use std::ops::Range;

use crate::{allocation, error::Result, parallel::in_slabs};

/// Standard deviations after which a Gaussian is cut off, as `scipy.ndimage.gaussian_filter` does.
const TRUNCATE: f64 = 4.0;

/// Voxels that are summed up side by side.
const LANES: usize = 32;

/// One half of a Gaussian, its middle first; the whole adds up to 1.
#[derive(Debug)]
pub(super) struct Gaussian(Vec<f32>);

impl Gaussian {
    /// A Gaussian of standard deviation `sigma` voxels, cut off and scaled as scipy's.
    pub(super) fn new(sigma: f64) -> Gaussian {
        let reach = (TRUNCATE * sigma + 0.5) as usize;
        let half: Vec<f64> =
            (0..=reach).map(|i| (-0.5 * (i as f64 / sigma).powi(2)).exp()).collect();
        let sum = 2.0 * half.iter().sum::<f64>() - half[0];
        Gaussian(half.iter().map(|weight| (weight / sum) as f32).collect())
    }

    /// The weights of the middle and of one side.
    pub(super) fn half(&self) -> &[f32] {
        &self.0
    }

    /// Voxels on each side of the middle.
    pub(super) fn reach(&self) -> usize {
        self.0.len() - 1
    }

    /// `out[i]` becomes the weighted sum of `line(k)[i]` over k from 0 to twice the reach.
    fn sum<'a>(&self, out: &mut [f32], line: impl Fn(usize) -> &'a [f32]) {
        let reach = self.reach();
        let n = out.len();
        let (chunks, rest) = out.as_chunks_mut::<LANES>();
        for (index, chunk) in chunks.iter_mut().enumerate() {
            let start = index * LANES;
            let lanes = |k: usize| &line(k)[start..start + LANES];
            let middle = lanes(reach);
            let mut sum = [0.0f32; LANES];
            for lane in 0..LANES {
                sum[lane] = self.0[0] * middle[lane];
            }
            for (k, &weight) in self.0.iter().enumerate().skip(1) {
                let (before, after) = (lanes(reach - k), lanes(reach + k));
                for lane in 0..LANES {
                    sum[lane] += weight * (before[lane] + after[lane]);
                }
            }
            *chunk = sum;
        }
        let start = n - rest.len();
        for (i, value) in rest.iter_mut().enumerate() {
            let at = |k: usize| line(k)[start + i];
            let mut sum = self.0[0] * at(reach);
            for (k, &weight) in self.0.iter().enumerate().skip(1) {
                sum += weight * (at(reach - k) + at(reach + k));
            }
            *value = sum;
        }
    }
}

/// One axis of a block: which of its voxels are summed up for which result. Beyond the tomogram its mirror image goes
/// on, its outermost voxel repeated (scipy's mode "reflect").
#[derive(Debug)]
pub(super) struct Along {
    /// Number of voxels in the block.
    n_in: usize,
    /// Number of results.
    pub(super) n_out: usize,
    /// Voxel of the block under tap k of result i: entry i + k.
    pub(super) sources: Vec<usize>,
}

impl Along {
    pub(super) fn new(input: &Range<i64>, output: &Range<i64>, extent: i64, reach: usize) -> Along {
        let reach = reach as i64;
        let sources = (output.start - reach..output.end + reach)
            .map(|index| (mirrored(index, extent) - input.start) as usize)
            .collect();
        let n = |range: &Range<i64>| (range.end - range.start) as usize;
        Along { n_in: n(input), n_out: n(output), sources }
    }
}

/// The voxel of `0..extent` that stands at `index` when mirror images go on for ever.
fn mirrored(index: i64, extent: i64) -> i64 {
    let folded = index.rem_euclid(2 * extent);
    folded.min(2 * extent - 1 - folded)
}

/// What filters the blocks of a tomogram, with the memory for it.
#[derive(Debug)]
pub(super) struct Passes {
    shape: [i64; 3],
    n_threads: usize,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Passes {
    /// For a tomogram of `shape` voxels.
    pub(super) fn new(shape: [i64; 3], n_threads: usize) -> Passes {
        Passes { shape, n_threads, first: Vec::new(), second: Vec::new() }
    }

    /// Filters the block `voxels`, which holds the part `input` of the tomogram, and hands row after row of the part
    /// `output` to `take`, together with the row of `out` that it belongs to. Fails with `OutOfMemory`.
    pub(super) fn filter(
        &mut self,
        gaussian: &Gaussian,
        voxels: &[f32],
        [input, output]: [&[Range<i64>; 3]; 2],
        out: &mut [f32],
        take: impl Fn(&mut [f32], &[f32]) + Sync,
    ) -> Result<()> {
        let [z, y, x] = [0, 1, 2].map(|axis| {
            Along::new(&input[axis], &output[axis], self.shape[axis], gaussian.reach())
        });
        let plane = y.n_in * x.n_in;
        let n_threads = self.n_threads;
        allocation::resize(&mut self.first, z.n_out * plane, 0.0)?;
        in_slabs(&mut self.first, plane, n_threads, |first, planes| {
            // Rows of equal y in all planes fit into the cache together; whole planes do not.
            for row in 0..y.n_in {
                for (i, out) in planes.chunks_mut(plane).enumerate() {
                    let line = |k: usize| {
                        let start = z.sources[first + i + k] * plane + row * x.n_in;
                        &voxels[start..start + x.n_in]
                    };
                    gaussian.sum(&mut out[row * x.n_in..(row + 1) * x.n_in], line);
                }
            }
        });
        allocation::resize(&mut self.second, z.n_out * y.n_out * x.n_in, 0.0)?;
        let first_pass = &self.first;
        in_slabs(&mut self.second, y.n_out * x.n_in, n_threads, |first, planes| {
            for (i, out) in planes.chunks_mut(y.n_out * x.n_in).enumerate() {
                let from = &first_pass[(first + i) * plane..][..plane];
                for (row, out) in out.chunks_mut(x.n_in).enumerate() {
                    let line = |k: usize| &from[y.sources[row + k] * x.n_in..][..x.n_in];
                    gaussian.sum(out, line);
                }
            }
        });
        let second_pass = &self.second;
        in_slabs(out, y.n_out * x.n_out, n_threads, |first, planes| {
            let mut wide = vec![0.0; x.sources.len()];
            let mut filtered = vec![0.0; x.n_out];
            for (i, out) in planes.chunks_mut(x.n_out).enumerate() {
                let from = &second_pass[(first * y.n_out + i) * x.n_in..][..x.n_in];
                for (value, &source) in wide.iter_mut().zip(&x.sources) {
                    *value = from[source];
                }
                gaussian.sum(&mut filtered, |k| &wide[k..]);
                take(out, &filtered);
            }
        });
        Ok(())
    }
}

#[cfg(test)]
#[path = "gaussian_test.rs"]
mod tests;
