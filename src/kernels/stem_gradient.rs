//! Gradients of the weights of convolutions of one input channel.

use std::{collections::TryReserveError, ops::Range};

use pulp::{Arch, Simd, WithSimd};

use crate::{
    convolution::{Geometry, Windows, zeros},
    map::Map,
    matrix::PANEL,
    threads::{Scratch, on_threads},
};

/// Parts that the rows of the output are cut into, each with sums of its own: as many whatever the number of threads.
const PARTS: usize = 32;

/// Bytes that `stem_gradient` works in.
pub fn stem_gradient_bytes(geometry: Geometry) -> usize {
    PARTS * n_taps(geometry) * geometry.n_out * size_of::<f32>()
}

fn n_taps(Geometry { kernel, .. }: Geometry) -> usize {
    kernel.iter().product()
}

/// Fills `out`, `[n_out, 1, z, y, x]`, with the gradient of the weights of a convolution of `input`, of one channel, from the gradient of its output,
/// `[n, z', y', x', n_out]`, on up to `n_threads` threads. The number of output channels is a multiple of 16. Fails if there is no memory to work in.
pub fn stem_gradient(
    geometry: Geometry,
    input: Map<'_>,
    windows: Windows,
    gradient: &[f32],
    out: &mut [f32],
    n_threads: usize,
) -> Result<(), TryReserveError> {
    let Geometry { n_in, n_out, kernel, stride } = geometry;
    let [n_z, n_y, n_x] = windows.size;
    assert_eq!((n_in, input.n_channels, n_out % PANEL), (1, 1, 0), "channels");
    assert_eq!(gradient.len(), input.n() * n_z * n_y * n_x * n_out, "values of the gradient");
    let (n_rows, of_part) = (input.n() * n_z * n_y, n_taps(geometry) * n_out);
    let at_once = n_rows.div_ceil(PARTS).max(1);
    let n_parts = n_rows.div_ceil(at_once);
    let mut sums = zeros(n_parts * of_part)?;
    let length = (n_x.max(1) - 1) * stride[2] + kernel[2];
    let mut lines = Scratch::of_threads(n_threads, length)?;
    let (arch, start) = (Arch::new(), |part: usize| part * of_part);
    on_threads(&mut lines, n_parts, start, &mut sums, |line, parts, sums| {
        for (part, sums) in parts.zip(sums.chunks_exact_mut(of_part)) {
            let rows = part * at_once..((part + 1) * at_once).min(n_rows);
            let line = line.values();
            arch.dispatch(Rows { geometry, input, windows, gradient, rows, line, sums });
        }
    });
    for (channel, taps) in out.chunks_exact_mut(n_taps(geometry)).enumerate() {
        for (tap, value) in taps.iter_mut().enumerate() {
            let of_parts = sums.chunks_exact(of_part).map(|sums| sums[tap * n_out + channel]);
            *value = of_parts.map(f64::from).sum::<f64>() as f32;
        }
    }
    Ok(())
}

/// Adds what some rows of the output sum up to.
struct Rows<'a> {
    geometry: Geometry,
    input: Map<'a>,
    windows: Windows,
    gradient: &'a [f32],
    /// The rows, in the order n, z, y.
    rows: Range<usize>,
    /// Room for a row of the input, as far as windows reach.
    line: &'a mut [f32],
    /// `[z * y * x, n_out]`.
    sums: &'a mut [f32],
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Rows { geometry, input, windows, gradient, rows, line, sums } = self;
        let Geometry { n_out, kernel, stride, .. } = geometry;
        let Windows { size: [n_z, n_y, n_x], before } = windows;
        let [in_z, in_y, in_x] = input.size;
        for row in rows {
            let gradient = &gradient[row * n_x * n_out..][..n_x * n_out];
            let (sample, z, y) = (row / (n_z * n_y), row / n_y % n_z, row % n_y);
            for (of_line, sums) in sums.chunks_exact_mut(kernel[2] * n_out).enumerate() {
                // Before 0 is a large number.
                let z = (z * stride[0] + of_line / kernel[1]).wrapping_sub(before[0]);
                let y = (y * stride[1] + of_line % kernel[1]).wrapping_sub(before[1]);
                if z >= in_z || y >= in_y {
                    continue;
                }
                let values = &input.values[((sample * in_z + z) * in_y + y) * in_x..][..in_x];
                let n_inside = in_x.min(line.len().saturating_sub(before[2]));
                line.fill(0.0);
                if n_inside > 0 {
                    line[before[2]..][..n_inside].copy_from_slice(&values[..n_inside]);
                }
                let product = Product { simd, gradient, line, step: stride[2], n_out };
                match S::F32_LANES {
                    16 => product.add_to::<4, 1>(sums, kernel[2]),
                    8 => product.add_to::<1, 2>(sums, kernel[2]),
                    4 => product.add_to::<1, 4>(sums, kernel[2]),
                    _ => product.add_to::<1, PANEL>(sums, kernel[2]),
                }
            }
        }
    }
}

/// The taps of a line of the kernel: products of a row of the input with a row of the gradient, `[x', n_out]`.
struct Product<'a, S> {
    simd: S,
    gradient: &'a [f32],
    line: &'a [f32],
    step: usize,
    n_out: usize,
}

impl<S: Simd> Product<'_, S> {
    /// Adds to `[n_taps, n_out]`, `P` panels of `V` registers at once.
    #[inline(always)]
    fn add_to<const P: usize, const V: usize>(&self, sums: &mut [f32], n_taps: usize) {
        let mut panel = 0;
        while panel + P <= self.n_out / PANEL {
            self.panels::<P, V>(sums, n_taps, panel);
            panel += P;
        }
        while panel < self.n_out / PANEL {
            self.panels::<1, V>(sums, n_taps, panel);
            panel += 1;
        }
    }

    #[inline(always)]
    fn panels<const P: usize, const V: usize>(
        &self,
        sums: &mut [f32],
        n_taps: usize,
        panel: usize,
    ) {
        let mut tap = 0;
        while tap + 4 <= n_taps {
            self.block::<4, P, V>(sums, tap, panel);
            tap += 4;
        }
        match n_taps - tap {
            3 => self.block::<3, P, V>(sums, tap, panel),
            2 => self.block::<2, P, V>(sums, tap, panel),
            1 => self.block::<1, P, V>(sums, tap, panel),
            _ => {}
        }
    }

    #[inline(always)]
    fn block<const R: usize, const P: usize, const V: usize>(
        &self,
        sums: &mut [f32],
        tap: usize,
        panel: usize,
    ) {
        let Product { simd, gradient, line, step, n_out } = *self;
        let mut block = [[[simd.splat_f32s(0.0); V]; P]; R];
        for (x, gradient) in gradient.chunks_exact(n_out).enumerate() {
            let there = S::as_simd_f32s(&gradient[panel * PANEL..][..P * PANEL]).0;
            let values = &line[x * step + tap..][..R];
            for r in 0..R {
                let value = simd.splat_f32s(values[r]);
                for p in 0..P {
                    for v in 0..V {
                        block[r][p][v] =
                            simd.mul_add_e_f32s(value, there[p * V + v], block[r][p][v]);
                    }
                }
            }
        }
        for (r, block) in block.iter().enumerate() {
            let there = &mut sums[(tap + r) * n_out + panel * PANEL..][..P * PANEL];
            let there = S::as_mut_simd_f32s(there).0;
            for (there, sum) in there.iter_mut().zip(block.as_flattened()) {
                *there = simd.add_f32s(*there, *sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_of_weights_are_what_their_definition_says() {
        for (n_out, kernel, stride, n, size, before, out) in [
            (64, [7; 3], [1, 2, 2], 2, [5, 16, 26], [3; 3], [5, 8, 13]),
            (16, [7; 3], [2; 3], 1, [6, 7, 5], [2; 3], [3, 4, 3]),
            (96, [3, 7, 6], [1, 2, 2], 2, [4, 8, 12], [1, 3, 2], [4, 4, 6]),
            (16, [3; 3], [1; 3], 1, [1, 1, 1], [1; 3], [1, 1, 1]),
        ] {
            let waves = |n: usize, frequency: f32| -> Vec<f32> {
                (0..n).map(|i| (i as f32 * frequency).sin() + (i as f32 * 0.01).cos()).collect()
            };
            let n_taps = kernel.iter().product::<usize>();
            let n_voxels = n * out.iter().product::<usize>();
            let input = waves(n * size.iter().product::<usize>(), 0.7);
            let gradient = waves(n_voxels * n_out, 1.3);
            let mut expected = vec![0.0; n_out * n_taps];
            let [out_z, out_y, out_x] = out;
            for voxel in 0..n_voxels {
                let at = [voxel / (out_y * out_x) % out_z, voxel / out_x % out_y, voxel % out_x];
                for tap in 0..n_taps {
                    let offset = [
                        tap / (kernel[1] * kernel[2]),
                        tap / kernel[2] % kernel[1],
                        tap % kernel[2],
                    ];
                    let place: [usize; 3] = std::array::from_fn(|axis| {
                        (at[axis] * stride[axis] + offset[axis]).wrapping_sub(before[axis])
                    });
                    if std::iter::zip(place, size).any(|(place, extent)| place >= extent) {
                        continue;
                    }
                    let sample = voxel / (out_z * out_y * out_x);
                    let [z, y, x] = place;
                    let value = input[((sample * size[0] + z) * size[1] + y) * size[2] + x];
                    for channel in 0..n_out {
                        expected[channel * n_taps + tap] +=
                            f64::from(value) * f64::from(gradient[voxel * n_out + channel]);
                    }
                }
            }
            let geometry = Geometry { n_in: 1, n_out, kernel, stride };
            let found = |n_threads| {
                let mut found = vec![f32::NAN; expected.len()];
                let map = Map { values: &input, size, n_channels: 1 };
                let windows = Windows { size: out, before };
                stem_gradient(geometry, map, windows, &gradient, &mut found, n_threads).unwrap();
                found
            };
            let greatest = expected.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
            for (found, expected) in found(1).iter().zip(&expected) {
                let apart = (f64::from(*found) - expected).abs();
                assert!(apart <= 1e-5 * greatest, "{kernel:?}: {found}, not {expected}");
            }
            assert_eq!(found(3), found(1));
        }
    }
}
