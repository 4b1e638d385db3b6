//! Convolutions of one input channel, such as the first of a network: windows are read where they lie.

use std::{collections::TryReserveError, ops::Range};

use pulp::{Simd, WithSimd};

use crate::{
    convolution::{Geometry, Windows},
    map::{Finish, Map, load, store},
    matrix::{Line, Lines, Packed},
};

/// Outputs at the end of a row whose windows reach beyond the map, and which are computed at once, at most.
const BORDER: usize = 6;

/// Weights of a convolution of one channel.
pub struct Stem {
    /// `[z * y * x, n_out]`.
    weights: Packed,
    geometry: Geometry,
}

impl Stem {
    /// Packs weights `[n_out, 1, z, y, x]`.
    pub fn new(weights: &[f32], geometry: Geometry) -> Result<Stem, TryReserveError> {
        Ok(Stem { weights: Packed::new(weights, [1, geometry.n_out], 1)?, geometry })
    }

    /// Bytes that the weights take.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.weights.bytes()
    }

    /// Values that a thread works in.
    pub fn scratch_values(Geometry { kernel: [z, y, x], stride, .. }: Geometry) -> usize {
        z * y * border_length(x, stride[2])
    }
}

/// Values under the windows of a border.
fn border_length(kernel: usize, stride: usize) -> usize {
    (BORDER - 1) * stride + kernel
}

/// Some consecutive rows of the output of a convolution.
pub struct Rows<'a> {
    /// The weights.
    pub weights: &'a Stem,
    /// Added to each output channel.
    pub bias: &'a [f32],
    /// What is convolved.
    pub input: Map<'a>,
    /// How the outputs lie over it.
    pub windows: Windows,
    /// What is done to the sums.
    pub finish: Finish<'a>,
    /// The rows, in the order n, z, y.
    pub rows: Range<usize>,
    /// Their values.
    pub out: &'a mut [f32],
    /// What is worked in: `scratch_values` of them.
    pub scratch: &'a mut [f32],
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Geometry { n_out, kernel, stride, .. } = self.weights.geometry;
        let Windows { size: [_, _, n_x], before } = self.windows;
        let out = std::mem::take(&mut self.out);
        let scratch = std::mem::take(&mut self.scratch);
        let (step, length) = (stride[2], kernel[2]);
        // The outputs of a row whose windows do not reach beyond it.
        let first = before[2].div_ceil(step).min(n_x);
        let reach = self.input.size[2] + before[2];
        let end =
            if reach < length { first } else { ((reach - length) / step + 1).clamp(first, n_x) };
        for (row, out) in std::iter::zip(self.rows.clone(), out.chunks_exact_mut(n_x * n_out)) {
            let lines = self.lines(row);
            let inside = lines.clone().map(|Line { values, first_row }| Line {
                values: &values[(first * step).saturating_sub(before[2])..],
                first_row,
            });
            let inside = Lines { lines: inside, step, length };
            let there = &mut out[first * n_out..end * n_out];
            self.weights.weights.multiply_lines(simd, inside, there, false);
            for border in [0..first, end..n_x] {
                for start in border.clone().step_by(BORDER) {
                    let outputs = start..(start + BORDER).min(border.end);
                    let there = &mut out[outputs.start * n_out..outputs.end * n_out];
                    let copied = border_length(length, step);
                    for (line, copy) in
                        std::iter::zip(lines.clone(), scratch.chunks_exact_mut(copied))
                    {
                        let begin = outputs.start * step;
                        for (place, value) in copy.iter_mut().enumerate() {
                            // Before 0 is a large number.
                            let x = (begin + place).wrapping_sub(before[2]);
                            *value = line.values.get(x).copied().unwrap_or(0.0);
                        }
                    }
                    let copies = std::iter::zip(lines.clone(), scratch.chunks_exact(copied));
                    let copies = copies.map(|(line, values)| Line { values, ..line });
                    let copies = Lines { lines: copies, step, length };
                    self.weights.weights.multiply_lines(simd, copies, there, false);
                }
            }
            for (x, out) in out.chunks_exact_mut(n_out).enumerate() {
                for channel in (0..n_out).step_by(S::F32_LANES) {
                    let (sum, bias) = (load::<S>(out, channel), load::<S>(self.bias, channel));
                    let start = (row * n_x + x) * n_out + channel;
                    store::<S>(out, channel, self.finish.apply(simd, sum, bias, start));
                }
            }
        }
    }
}

impl<'a> Rows<'a> {
    /// The rows of the input under the kernels of a row of the output; those beyond the map are zeros, which add nothing.
    #[inline(always)]
    fn lines(&self, row: usize) -> impl Iterator<Item = Line<'a>> + Clone + use<'a> {
        let Geometry { kernel, stride, .. } = self.weights.geometry;
        let Windows { size: [n_z, n_y, _], before } = self.windows;
        let Map { values, size: [in_z, in_y, in_x], .. } = self.input;
        let (rest, y) = (row / n_y, row % n_y);
        let (sample, z) = (rest / n_z, rest % n_z);
        (0..kernel[0] * kernel[1]).filter_map(move |line| {
            // Before 0 is a large number.
            let z = (z * stride[0] + line / kernel[1]).wrapping_sub(before[0]);
            let y = (y * stride[1] + line % kernel[1]).wrapping_sub(before[1]);
            let start = ((sample * in_z).wrapping_add(z).wrapping_mul(in_y)).wrapping_add(y);
            (z < in_z && y < in_y).then(|| Line {
                values: &values[start * in_x..][..in_x],
                first_row: line * kernel[2],
            })
        })
    }
}
