//! Maximum over windows of a map.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use crate::{
    convolution::Windows,
    map::{Map, load, store},
    matrix::PANEL,
    threads::divided,
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
    let pool = Pool { input, kernel, stride, windows };
    let arch = Arch::new();
    divided(n_threads, input.n() * n_z * n_y, start, out, |rows, out| {
        arch.dispatch(Rows { pool, rows, out });
    });
}

/// Windows over maps.
#[derive(Clone, Copy)]
struct Pool<'a> {
    input: Map<'a>,
    kernel: [usize; 3],
    stride: [usize; 3],
    windows: Windows,
}

impl Pool<'_> {
    /// The voxels of a window along an axis.
    #[inline(always)]
    fn inside(&self, axis: usize, window: usize) -> Range<usize> {
        let (first, before) = (window * self.stride[axis], self.windows.before[axis]);
        let end = (first + self.kernel[axis]).saturating_sub(before);
        first.saturating_sub(before)..end.min(self.input.size[axis])
    }
}

/// Some consecutive rows of the output.
struct Rows<'a> {
    pool: Pool<'a>,
    /// The rows, in the order n, z, y.
    rows: Range<usize>,
    out: &'a mut [f32],
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Map { values, size: [in_z, in_y, in_x], n_channels } = self.pool.input;
        let [n_z, n_y, n_x] = self.pool.windows.size;
        let least = simd.splat_f32s(f32::NEG_INFINITY);
        for (row, out) in std::iter::zip(self.rows, self.out.chunks_exact_mut(n_x * n_channels)) {
            let (rest, y) = (row / n_y, row % n_y);
            let (sample, z) = (rest / n_z, rest % n_z);
            let (along_z, along_y) = (self.pool.inside(0, z), self.pool.inside(1, y));
            for (x, out) in out.chunks_exact_mut(n_channels).enumerate() {
                let along_x = self.pool.inside(2, x);
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

/// Fills `out`, of the shape of `input`, with the gradient of `input`, whose maxima `max_pool` has found to be `maxima`, `[n, z', y', x', n_channels]`, and
/// of which `gradient` is the gradient. Each goes to the first of the voxels that are the maximum.
pub fn max_pool_back(
    input: Map<'_>,
    [kernel, stride]: [[usize; 3]; 2],
    windows: Windows,
    [maxima, gradient]: [&[f32]; 2],
    out: &mut [f32],
    n_threads: usize,
) {
    assert!(input.n_channels.is_multiple_of(PANEL), "{} channels", input.n_channels);
    assert_eq!(out.len(), input.values.len(), "values of the gradient");
    let of_map = input.size.iter().product::<usize>() * input.n_channels;
    let pool = Pool { input, kernel, stride, windows };
    let arch = Arch::new();
    // Windows overlap: a map is one thread's.
    let start = |map: usize| map * of_map;
    divided(n_threads, input.n(), start, out, |maps, out| {
        arch.dispatch(Maps { pool, maxima, gradient, maps, out });
    });
}

/// The gradients of some consecutive maps.
struct Maps<'a> {
    pool: Pool<'a>,
    maxima: &'a [f32],
    gradient: &'a [f32],
    maps: Range<usize>,
    out: &'a mut [f32],
}

impl WithSimd for Maps<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Map { values, size: [in_z, in_y, in_x], n_channels } = self.pool.input;
        let [n_z, n_y, n_x] = self.pool.windows.size;
        let of_map = in_z * in_y * in_x * n_channels;
        let none = simd.splat_f32s(0.0);
        for (map, out) in std::iter::zip(self.maps, self.out.chunks_exact_mut(of_map)) {
            let values = &values[map * of_map..][..of_map];
            out.fill(0.0);
            for window in 0..n_z * n_y * n_x {
                let along_z = self.pool.inside(0, window / (n_y * n_x));
                let along_y = self.pool.inside(1, window / n_x % n_y);
                let along_x = self.pool.inside(2, window % n_x);
                let start = (map * n_z * n_y * n_x + window) * n_channels;
                for channel in (0..n_channels).step_by(S::F32_LANES) {
                    let maximum = load::<S>(self.maxima, start + channel);
                    let mut left = load::<S>(self.gradient, start + channel);
                    for z in along_z.clone() {
                        for y in along_y.clone() {
                            for x in along_x.clone() {
                                let voxel = ((z * in_y + y) * in_x + x) * n_channels + channel;
                                let is_maximum = simd.equal_f32s(load::<S>(values, voxel), maximum);
                                let taken = simd.select_f32s(is_maximum, left, none);
                                left = simd.select_f32s(is_maximum, none, left);
                                let sum = simd.add_f32s(load::<S>(out, voxel), taken);
                                store::<S>(out, voxel, sum);
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "pool_test.rs"]
mod pool_test;
