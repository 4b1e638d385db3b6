//! Convolutions of any kernel and stride as products of matrices: the voxels under the kernel, copied side by side for some outputs at a
//! time, times the weights.

use std::{collections::TryReserveError, ops::Range};

use pulp::{Simd, WithSimd};

use crate::{
    convolution::{Geometry, Windows},
    map::{Finish, Map, load, store},
    matrix::Packed,
};

/// Outputs whose voxels are copied at once: a multiple of the rows that are multiplied at once.
const BLOCK: usize = 48;

/// Values under the kernel that are copied at once for an output, about: 48 times as many stay in the second-level cache.
const BAND: usize = 1536;

/// Weights of a convolution as a matrix.
pub struct Direct {
    /// `[z * y * x * n_in, n_out]`.
    weights: Packed,
    geometry: Geometry,
}

impl Direct {
    /// Packs weights `[n_out, n_in, z, y, x]` on up to `n_threads` threads.
    pub fn new(
        weights: &[f32],
        geometry: Geometry,
        n_threads: usize,
    ) -> Result<Direct, TryReserveError> {
        let weights = Packed::new(weights, [geometry.n_in, geometry.n_out], n_threads)?;
        Ok(Direct { weights, geometry })
    }

    /// Bytes that the weights take.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.weights.bytes()
    }

    /// Values that a thread works in.
    pub fn scratch_values(geometry: Geometry) -> usize {
        BLOCK * lines_at_once(geometry) * geometry.kernel[2] * geometry.n_in
    }
}

/// Lines of the kernel whose voxels are copied at once.
fn lines_at_once(Geometry { n_in, kernel, .. }: Geometry) -> usize {
    (BAND / (kernel[2] * n_in)).clamp(1, kernel[0] * kernel[1])
}

/// Some consecutive outputs of a convolution.
pub struct Outputs<'a> {
    /// The weights.
    pub weights: &'a Direct,
    /// Added to each output channel.
    pub bias: &'a [f32],
    /// What is convolved.
    pub input: Map<'a>,
    /// How the outputs lie over it.
    pub windows: Windows,
    /// What is done to the sums.
    pub finish: Finish<'a>,
    /// Voxels of the output, in the order n, z, y, x.
    pub voxels: Range<usize>,
    /// Their values.
    pub out: &'a mut [f32],
    /// What is worked in: `scratch_values` of them.
    pub scratch: &'a mut [f32],
}

impl WithSimd for Outputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let out = std::mem::take(&mut self.out);
        let geometry = self.weights.geometry;
        let Geometry { n_in, n_out, kernel, .. } = geometry;
        let at_once = lines_at_once(geometry);
        let n_lines = kernel[0] * kernel[1];
        let of_line = kernel[2] * n_in;
        let scratch = std::mem::take(&mut self.scratch);
        let blocks = self.voxels.clone().step_by(BLOCK);
        for (first_voxel, out) in std::iter::zip(blocks, out.chunks_mut(BLOCK * n_out)) {
            let block = first_voxel..first_voxel + out.len() / n_out;
            for first in (0..n_lines).step_by(at_once) {
                let lines = first..(first + at_once).min(n_lines);
                let (band, add) = (lines.start * of_line..lines.end * of_line, first > 0);
                if self.is_plain() {
                    let there = &self.input.values[block.start * n_in..][..block.len() * n_in];
                    self.weights.weights.multiply_rows(simd, there, band, out, add);
                    continue;
                }
                let columns = &mut scratch[..block.len() * band.len()];
                for (voxel, columns) in
                    std::iter::zip(block.clone(), columns.chunks_exact_mut(band.len()))
                {
                    self.copy_lines(voxel, lines.clone(), columns);
                }
                self.weights.weights.multiply_rows(simd, columns, band, out, add);
            }
            for (voxel, out) in std::iter::zip(block, out.chunks_exact_mut(n_out)) {
                for channel in (0..n_out).step_by(S::F32_LANES) {
                    let (sum, bias) = (load::<S>(out, channel), load::<S>(self.bias, channel));
                    let value = self.finish.apply(simd, sum, bias, voxel * n_out + channel);
                    store::<S>(out, channel, value);
                }
            }
        }
    }
}

impl Outputs<'_> {
    /// Whether an output sees one voxel, its own.
    fn is_plain(&self) -> bool {
        let Geometry { kernel, stride, .. } = self.weights.geometry;
        kernel == [1; 3] && stride == [1; 3]
    }

    /// Copies the voxels under these lines of the kernel (z * y of them), as an output sees them; zeros around the map.
    #[inline(always)]
    fn copy_lines(&self, voxel: usize, lines: Range<usize>, columns: &mut [f32]) {
        let Geometry { n_in, kernel, stride, .. } = self.weights.geometry;
        let Windows { size: [n_z, n_y, n_x], before } = self.windows;
        let at = [voxel / (n_y * n_x) % n_z, voxel / n_x % n_y, voxel % n_x];
        let sample = voxel / (n_z * n_y * n_x);
        // The first voxel under the kernel; before 0 is a large number.
        let corner: [usize; 3] =
            std::array::from_fn(|axis| (at[axis] * stride[axis]).wrapping_sub(before[axis]));
        let [in_z, in_y, in_x] = self.input.size;
        // The voxels of a line that are inside.
        let first = (0..kernel[2]).find(|x| corner[2].wrapping_add(*x) < in_x).unwrap_or(kernel[2]);
        let inside = (first..kernel[2]).take_while(|x| corner[2].wrapping_add(*x) < in_x).count();
        for (line, columns) in lines.zip(columns.chunks_exact_mut(kernel[2] * n_in)) {
            let z = corner[0].wrapping_add(line / kernel[1]);
            let y = corner[1].wrapping_add(line % kernel[1]);
            if z >= in_z || y >= in_y || inside == 0 {
                columns.fill(0.0);
                continue;
            }
            let x = corner[2].wrapping_add(first);
            let start = (((sample * in_z + z) * in_y + y) * in_x + x) * n_in;
            let (left, rest) = columns.split_at_mut(first * n_in);
            let (middle, right) = rest.split_at_mut(inside * n_in);
            left.fill(0.0);
            middle.copy_from_slice(&self.input.values[start..][..inside * n_in]);
            right.fill(0.0);
        }
    }
}
