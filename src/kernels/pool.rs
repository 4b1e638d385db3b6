//! Maximum over windows of a map.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use crate::{
    convolution::Windows,
    map::{Map, load, store},
    matrix::PANEL,
    threads::on_threads,
};

/// Fills `out`, `[n, z', y', x', n_channels]`, with the maximum of `input` over windows of size `kernel`, `stride` apart, on up to `n_threads` threads. What
/// lies around the map never wins. The number of channels is a multiple of 16.
pub fn max_pool(
    input: Map<'_>,
    [kernel, stride]: [[usize; 3]; 2],
    windows: Windows,
    out: &mut [f32],
    n_threads: usize,
) {
    let [n_z, n_y, n_x] = windows.size;
    let n_channels = input.n_channels;
    assert!(n_channels.is_multiple_of(PANEL), "{n_channels} channels");
    assert_eq!(out.len(), input.n() * n_z * n_y * n_x * n_channels, "values of the output");
    let start = |row: usize| row * n_x * n_channels;
    let arch = Arch::new();
    let mut threads = vec![(); n_threads.max(1)];
    on_threads(&mut threads, input.n() * n_z * n_y, start, out, |_, rows, out| {
        arch.dispatch(Rows { input, kernel, stride, windows, rows, out });
    });
}

/// Some consecutive rows of the output.
struct Rows<'a> {
    input: Map<'a>,
    kernel: [usize; 3],
    stride: [usize; 3],
    windows: Windows,
    /// The rows, in the order n, z, y.
    rows: Range<usize>,
    out: &'a mut [f32],
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Map { values, size: [in_z, in_y, in_x], n_channels } = self.input;
        let Windows { size: [n_z, n_y, n_x], before } = self.windows;
        let least = simd.splat_f32s(f32::NEG_INFINITY);
        let inside = |axis: usize, window: usize, extent: usize| {
            let first = window * self.stride[axis];
            let end = (first + self.kernel[axis]).saturating_sub(before[axis]).min(extent);
            first.saturating_sub(before[axis])..end
        };
        for (row, out) in std::iter::zip(self.rows, self.out.chunks_exact_mut(n_x * n_channels)) {
            let (rest, y) = (row / n_y, row % n_y);
            let (sample, z) = (rest / n_z, rest % n_z);
            let (along_z, along_y) = (inside(0, z, in_z), inside(1, y, in_y));
            for (x, out) in out.chunks_exact_mut(n_channels).enumerate() {
                let along_x = inside(2, x, in_x);
                for channel in (0..n_channels).step_by(S::F32_LANES) {
                    let mut greatest = least;
                    for z in along_z.clone() {
                        for y in along_y.clone() {
                            let line = ((sample * in_z + z) * in_y + y) * in_x;
                            for x in along_x.clone() {
                                let value = load::<S>(values, (line + x) * n_channels + channel);
                                greatest = simd.max_f32s(greatest, value);
                            }
                        }
                    }
                    store::<S>(out, channel, greatest);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "pool_test.rs"]
mod pool_test;
