//! Gradients of the weights of convolutions of 3 x 3 x 3 kernels and stride 1, by Winograd's way.
//!
//! The transformed output of a tile is the product, place by place, of transformed weights and transformed input. So the gradient of the transformed
//! weights is, place by place, the product of the transformed input with the gradient of the output, brought to the places by the transposed output
//! transform; summed over the tiles, that is one product of matrices a place. The transposed weight transform brings it back to 27 taps.
//!
//! Tiles are taken some at a time, in chunks that depend on the channels only, so that no sum depends on the number of threads.

#![allow(
    clippy::needless_range_loop,
    reason = "places of a tile are turned over, and indices say how"
)]

use std::collections::TryReserveError;

use pulp::{Arch, Simd, WithSimd};

use crate::{
    map::{Map, load, store},
    matrix::PANEL,
    threads::divided,
    winograd::{TILE_Z, corner, gradient_line, kernel_lines, n_places, n_tiles, transform_input},
};

/// Tiles whose transformed values lie together.
const GROUP: usize = 16;

/// Bytes of the transformed tiles of a chunk, about: half of a third-level cache.
const CHUNK_BYTES: usize = 16 << 20;

/// Input and output channels of a convolution, and the outputs of its tiles along y and x: 2 or 4.
#[derive(Clone, Copy)]
struct Plan {
    n_in: usize,
    n_out: usize,
    tile: usize,
}

impl Plan {
    /// Values of a group of tiles, `[places, n_in / 16, 16, 16]` and `[places, n_out / 16, 16, 16]`.
    fn of_group(self) -> usize {
        n_places(self.tile) * GROUP * (self.n_in + self.n_out)
    }

    /// Groups of a chunk.
    fn at_once(self) -> usize {
        (CHUNK_BYTES / size_of::<f32>() / self.of_group()).max(2)
    }

    /// Values of the gradient at all places.
    fn of_places(self) -> usize {
        n_places(self.tile) * self.n_in * self.n_out
    }
}

/// Bytes that `weight_gradient` works in for so many maps of that size.
pub fn weight_gradient_bytes(
    [n_in, n_out]: [usize; 2],
    tile: usize,
    n: usize,
    size: [usize; 3],
) -> usize {
    let plan = Plan { n_in, n_out, tile };
    let n_groups = (n * n_tiles(size, tile)).div_ceil(GROUP);
    (plan.at_once().min(n_groups) * plan.of_group() + plan.of_places()) * size_of::<f32>()
}

/// Fills `out`, `[n_out, n_in, 3, 3, 3]`, with the gradient of the weights of a convolution from `input` to a map of the same size, of which `gradient` is
/// the gradient, on up to `n_threads` threads. The tiles have 2 or 4 outputs along y and x; channels are multiples of 16. It works in
/// `scratch`, whatever that holds, and makes it longer where it must. Fails if there is no memory for that.
pub fn weight_gradient(
    input: Map<'_>,
    gradient: Map<'_>,
    tile: usize,
    out: &mut [f32],
    scratch: &mut Vec<f32>,
    n_threads: usize,
) -> Result<(), TryReserveError> {
    let plan = Plan { n_in: input.n_channels, n_out: gradient.n_channels, tile };
    let Plan { n_in, n_out, .. } = plan;
    assert!(n_in.is_multiple_of(PANEL) && n_out.is_multiple_of(PANEL), "{n_in} to {n_out}");
    assert_eq!((input.size, input.n()), (gradient.size, gradient.n()), "maps");
    assert_eq!(out.len(), n_out * n_in * 27, "values of the weights");
    let arch = Arch::new();
    let n_tiles = input.n() * n_tiles(input.size, tile);
    let n_groups = n_tiles.div_ceil(GROUP);
    let n_transformed = plan.at_once().min(n_groups) * plan.of_group();
    let n_values = n_transformed + plan.of_places();
    scratch.try_reserve_exact(n_values.saturating_sub(scratch.len()))?;
    scratch.resize(n_values.max(scratch.len()), 0.0);
    let (transformed, sums) = scratch[..n_values].split_at_mut(n_transformed);
    for first in (0..n_groups).step_by(plan.at_once()) {
        let n = plan.at_once().min(n_groups - first);
        let chunk = &mut transformed[..n * plan.of_group()];
        let start = |group: usize| group * plan.of_group();
        divided(n_threads, n, start, chunk, |groups, out| {
            for (group, out) in groups.zip(out.chunks_exact_mut(plan.of_group())) {
                let tiles = [(first + group) * GROUP, n_tiles];
                arch.dispatch(Transform { plan, input, gradient, tiles, out });
            }
        });
        let (chunk, start) = (&*chunk, |place: usize| place * n_in * n_out);
        divided(n_threads, n_places(tile), start, sums, |places, out| {
            for (place, sums) in places.zip(out.chunks_exact_mut(n_in * n_out)) {
                arch.dispatch(Sum { plan, chunk, place, add: first > 0, sums });
            }
        });
    }
    let (sums, start) = (&*sums, |panel: usize| panel * PANEL * n_in * 27);
    divided(n_threads, n_out / PANEL, start, out, |panels, out| {
        for (panel, out) in panels.zip(out.chunks_exact_mut(PANEL * n_in * 27)) {
            arch.dispatch(
                #[inline(always)]
                || match tile {
                    2 => taps::<4>(plan, sums, panel, out),
                    _ => taps::<6>(plan, sums, panel, out),
                },
            );
        }
    });
    Ok(())
}

/// A group of tiles of input and gradient at their places; there are zeros where there is no tile.
struct Transform<'a> {
    plan: Plan,
    input: Map<'a>,
    gradient: Map<'a>,
    /// The first of the tiles, and how many there are in all.
    tiles: [usize; 2],
    out: &'a mut [f32],
}

impl WithSimd for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.plan.tile {
            2 => self.transform::<S, 2, 4>(simd),
            _ => self.transform::<S, 4, 6>(simd),
        }
    }
}

impl Transform<'_> {
    #[inline(always)]
    fn transform<S: Simd, const M: usize, const N: usize>(self, simd: S) {
        let Transform { plan, input, gradient, tiles: [first, n_tiles], out } = self;
        let (of_input, of_gradient) = out.split_at_mut(n_places(M) * GROUP * plan.n_in);
        if first + GROUP > n_tiles {
            of_input.fill(0.0);
            of_gradient.fill(0.0);
        }
        for index in 0..GROUP.min(n_tiles - first) {
            let corner = corner::<M>(input.size, first + index);
            let at = |place, channel| in_group([place, channel], plan.n_in, index);
            transform_input::<S, N>(simd, input, corner, of_input, at);
            transform_gradient::<S, M, N>(simd, gradient, corner, of_gradient, index);
        }
    }
}

/// Where the value of tile `index` of a group is, `[places, n_channels / 16, 16, 16]`.
#[inline(always)]
fn in_group([place, channel]: [usize; 2], n_channels: usize, index: usize) -> usize {
    let panel = place * (n_channels / PANEL) + channel / PANEL;
    (panel * GROUP + index) * PANEL + channel % PANEL
}

/// Writes the gradient of the outputs of tile `index` of a group at their places to `out`, `[places, n_out / 16, 16, 16]`.
#[inline(always)]
fn transform_gradient<S: Simd, const M: usize, const N: usize>(
    simd: S,
    gradient: Map<'_>,
    [sample, z0, y0, x0]: [usize; 4],
    out: &mut [f32],
    index: usize,
) {
    let Map { values, size: [n_z, n_y, n_x], n_channels } = gradient;
    let zero = simd.splat_f32s(0.0);
    for channel in (0..n_channels).step_by(S::F32_LANES) {
        let mut planes = [[[zero; N]; N]; TILE_Z];
        for (z, plane) in (z0..n_z).zip(&mut planes) {
            let mut rows = [[zero; N]; M];
            for (y, row) in (y0..n_y).zip(&mut rows) {
                let mut line = [zero; M];
                for (x, value) in (x0..n_x).zip(&mut line) {
                    let voxel = ((sample * n_z + z) * n_y + y) * n_x + x;
                    *value = load::<S>(values, voxel * n_channels + channel);
                }
                *row = gradient_line(simd, line);
            }
            for x in 0..N {
                let column: [S::f32s; M] = std::array::from_fn(|y| rows[y][x]);
                let column: [S::f32s; N] = gradient_line(simd, column);
                for y in 0..N {
                    plane[y][x] = column[y];
                }
            }
        }
        for y in 0..N {
            for x in 0..N {
                let column: [S::f32s; TILE_Z] = std::array::from_fn(|z| planes[z][y][x]);
                let column: [S::f32s; TILE_Z + 2] = gradient_line(simd, column);
                for (z, value) in column.into_iter().enumerate() {
                    let place = (z * N + y) * N + x;
                    store::<S>(out, in_group([place, channel], n_channels, index), value);
                }
            }
        }
    }
}

/// What the tiles of a chunk sum up to at a place, `[n_out / 16, n_in, 16]`.
struct Sum<'a> {
    plan: Plan,
    chunk: &'a [f32],
    place: usize,
    /// Whether there is a sum already.
    add: bool,
    sums: &'a mut [f32],
}

impl WithSimd for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As many sums as the registers hold.
        match S::F32_LANES {
            16 => self.all::<S, 8, 2, 1>(simd),
            8 => self.all::<S, 4, 1, 2>(simd),
            4 => self.all::<S, 4, 1, 4>(simd),
            _ => self.all::<S, 1, 1, PANEL>(simd),
        }
    }
}

impl Sum<'_> {
    /// `R` input channels by `P` panels of output channels at a time, of `V` registers each.
    #[inline(always)]
    fn all<S: Simd, const R: usize, const P: usize, const V: usize>(mut self, simd: S) {
        let (n_in, n_panels) = (self.plan.n_in, self.plan.n_out / PANEL);
        let many = n_panels / P * P;
        for panel in (0..many).step_by(P) {
            for row in (0..n_in).step_by(R) {
                self.block::<S, R, P, V>(simd, row, panel);
            }
        }
        for panel in many..n_panels {
            for row in (0..n_in).step_by(R) {
                self.block::<S, R, 1, V>(simd, row, panel);
            }
        }
    }

    #[inline(always)]
    fn block<S: Simd, const R: usize, const P: usize, const V: usize>(
        &mut self,
        simd: S,
        row: usize,
        panel: usize,
    ) {
        let Plan { n_in, n_out, tile } = self.plan;
        let mut sums = [[[simd.splat_f32s(0.0); V]; P]; R];
        for group in self.chunk.chunks_exact(self.plan.of_group()) {
            let (of_input, of_gradient) = group.split_at(n_places(tile) * GROUP * n_in);
            let a = &of_input[in_group([self.place, row - row % PANEL], n_in, 0)..];
            let b = &of_gradient[in_group([self.place, panel * PANEL], n_out, 0)..];
            let b = S::as_simd_f32s(&b[..P * GROUP * PANEL]).0;
            for (k, a) in a[..GROUP * PANEL].chunks_exact(PANEL).enumerate() {
                let a = &a[row % PANEL..][..R];
                let factors: [[S::f32s; V]; P] =
                    std::array::from_fn(|p| std::array::from_fn(|v| b[(p * GROUP + k) * V + v]));
                for r in 0..R {
                    let factor = simd.splat_f32s(a[r]);
                    for p in 0..P {
                        for v in 0..V {
                            sums[r][p][v] =
                                simd.mul_add_e_f32s(factor, factors[p][v], sums[r][p][v]);
                        }
                    }
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (p, sums) in sums.iter().enumerate() {
                let start = ((panel + p) * n_in + row + r) * PANEL;
                let there = S::as_mut_simd_f32s(&mut self.sums[start..][..PANEL]).0;
                for (there, sum) in there.iter_mut().zip(sums) {
                    *there = if self.add { simd.add_f32s(*there, *sum) } else { *sum };
                }
            }
        }
    }
}

/// Input channels whose sums are brought to the taps at once: 512 bytes of each place are read in a row.
const AT_ONCE: usize = 8;

/// Writes the gradients of the taps of 16 output channels, `[16, n_in, 27]`, from the sums at the places, `[places, n_out / 16, n_in, 16]`.
#[inline(always)]
fn taps<const N: usize>(plan: Plan, sums: &[f32], panel: usize, out: &mut [f32]) {
    let Plan { n_in, n_out, tile } = plan;
    let lines = kernel_lines::<N>(tile).map(|line| line.map(|factor| factor as f32));
    let along_z = kernel_lines::<4>(TILE_Z).map(|line| line.map(|factor| factor as f32));
    for first in (0..n_in).step_by(AT_ONCE) {
        let mut planes = [[[[[0.0; PANEL]; AT_ONCE]; N]; N]; 3];
        for (z, factors) in along_z.iter().enumerate() {
            for y in 0..N {
                for x in 0..N {
                    let row = (((z * N + y) * N + x) * (n_out / PANEL) + panel) * n_in + first;
                    let lanes = &sums[row * PANEL..][..AT_ONCE * PANEL];
                    for (plane, factor) in planes.iter_mut().zip(factors) {
                        add(plane[y][x].as_flattened_mut(), *factor, lanes);
                    }
                }
            }
        }
        for (z, plane) in planes.iter().enumerate() {
            let mut rows = [[[[0.0; PANEL]; AT_ONCE]; N]; 3];
            for (places, factors) in plane.iter().zip(&lines) {
                for (row, factor) in rows.iter_mut().zip(factors) {
                    for (sum, lanes) in row.iter_mut().zip(places) {
                        add(sum.as_flattened_mut(), *factor, lanes.as_flattened());
                    }
                }
            }
            for (y, row) in rows.iter().enumerate() {
                let mut taps = [[[0.0; PANEL]; AT_ONCE]; 3];
                for (lanes, factors) in row.iter().zip(&lines) {
                    for (tap, factor) in taps.iter_mut().zip(factors) {
                        add(tap.as_flattened_mut(), *factor, lanes.as_flattened());
                    }
                }
                for lane in 0..PANEL {
                    for input in 0..AT_ONCE {
                        let there = (lane * n_in + first + input) * 27 + (z * 3 + y) * 3;
                        for (x, tap) in taps.iter().enumerate() {
                            out[there + x] = tap[input][lane];
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn add(sums: &mut [f32], factor: f32, lanes: &[f32]) {
    for (sum, lane) in sums.iter_mut().zip(lanes) {
        *sum += factor * lane;
    }
}

#[cfg(test)]
#[path = "gradient_test.rs"]
mod gradient_test;
