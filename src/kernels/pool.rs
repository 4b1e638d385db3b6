//! Maximum over windows of a map.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use crate::{
    convolution::Windows,
    map::{Map, load, store},
    matrix::PANEL,
    threads::{divided, on_threads},
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
    divided(n_threads, input.n() * n_z * n_y, start, out, |rows, out| {
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
    let Map { values, size: [in_z, in_y, in_x], n_channels } = input;
    let [n_z, n_y, n_x] = windows.size;
    let of_map = in_z * in_y * in_x * n_channels;
    let inside = |axis: usize, window: usize| {
        let first = (window * stride[axis]).saturating_sub(windows.before[axis]);
        let end = (window * stride[axis] + kernel[axis]).saturating_sub(windows.before[axis]);
        first..end.min(input.size[axis])
    };
    let arch = Arch::new();
    let mut threads = vec![vec![0.0; n_channels]; n_threads.max(1)];
    // Windows overlap: a map is one thread's.
    on_threads(
        &mut threads,
        input.n(),
        |map| map * of_map,
        out,
        |left, maps, out| {
            arch.dispatch(
                #[inline(always)]
                || {
                    for (sample, out) in maps.zip(out.chunks_exact_mut(of_map)) {
                        let values = &values[sample * of_map..][..of_map];
                        out.fill(0.0);
                        for window in 0..n_z * n_y * n_x {
                            let at = [window / (n_y * n_x), window / n_x % n_y, window % n_x];
                            let start = (sample * n_z * n_y * n_x + window) * n_channels;
                            let maxima = &maxima[start..][..n_channels];
                            left.copy_from_slice(&gradient[start..][..n_channels]);
                            for z in inside(0, at[0]) {
                                for y in inside(1, at[1]) {
                                    for x in inside(2, at[2]) {
                                        let voxel = ((z * in_y + y) * in_x + x) * n_channels;
                                        let values = &values[voxel..][..n_channels];
                                        let out = &mut out[voxel..][..n_channels];
                                        for channel in 0..n_channels {
                                            let is_maximum = values[channel] == maxima[channel];
                                            let taken =
                                                if is_maximum { left[channel] } else { 0.0 };
                                            out[channel] += taken;
                                            left[channel] =
                                                if is_maximum { 0.0 } else { left[channel] };
                                        }
                                    }
                                }
                            }
                        }
                    }
                },
            );
        },
    );
}

#[cfg(test)]
#[path = "pool_test.rs"]
mod pool_test;
