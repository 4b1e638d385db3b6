//! Gradients of the weights of convolutions of 3 x 3 x 3 kernels and stride 1, by Winograd's way.
//!
//! The transformed output of a tile is the product, place by place, of transformed weights and transformed input. So the gradient of the transformed
//! weights is, place by place, the product of the transformed input with the gradient of the output, brought to the places by the transposed output
//! transform; summed over the tiles, that is one product of matrices a place. The transposed weight transform brings it back to 27 taps.
//!
//! Tiles are taken some at a time, in chunks that depend on the channels only, so that no sum depends on the number of threads.

use std::collections::TryReserveError;

use pulp::{Arch, Simd, WithSimd};

use crate::{
    convolution::zeros,
    map::{Map, load, store},
    matrix::PANEL,
    threads::on_threads,
    winograd::{TILE_Z, corner, gradient_line, kernel_lines, n_places, transform_input},
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
    /// Values of a group of tiles, `[places, 16, n_in]` and `[places, n_out / 16, 16, 16]`.
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

/// Bytes that `weight_gradient` works in.
pub fn weight_gradient_bytes([n_in, n_out]: [usize; 2], tile: usize) -> usize {
    let plan = Plan { n_in, n_out, tile };
    (plan.at_once() * plan.of_group() + plan.of_places()) * size_of::<f32>()
}

/// Fills `out`, `[n_out, n_in, 3, 3, 3]`, with the gradient of the weights of a convolution from `input` to a map of the same size, of which `gradient` is
/// the gradient, on up to `n_threads` threads. The tiles have 2 or 4 outputs along y and x; channels are multiples of 16. Fails if there is no memory
/// to work in.
pub fn weight_gradient(
    input: Map<'_>,
    gradient: Map<'_>,
    tile: usize,
    out: &mut [f32],
    n_threads: usize,
) -> Result<(), TryReserveError> {
    let plan = Plan { n_in: input.n_channels, n_out: gradient.n_channels, tile };
    let Plan { n_in, n_out, .. } = plan;
    assert!(n_in.is_multiple_of(PANEL) && n_out.is_multiple_of(PANEL), "{n_in} to {n_out}");
    assert_eq!((input.size, input.n()), (gradient.size, gradient.n()), "maps");
    assert_eq!(out.len(), n_out * n_in * 27, "values of the weights");
    let (arch, mut threads) = (Arch::new(), vec![(); n_threads.max(1)]);
    let [n_z, n_y, n_x] = input.size;
    let n_tiles = input.n() * n_z.div_ceil(TILE_Z) * n_y.div_ceil(tile) * n_x.div_ceil(tile);
    let n_groups = n_tiles.div_ceil(GROUP);
    let mut transformed = zeros(plan.at_once().min(n_groups) * plan.of_group())?;
    let mut sums = zeros(plan.of_places())?;
    for first in (0..n_groups).step_by(plan.at_once()) {
        let n = plan.at_once().min(n_groups - first);
        let chunk = &mut transformed[..n * plan.of_group()];
        let start = |group: usize| group * plan.of_group();
        on_threads(&mut threads, n, start, chunk, |_, groups, out| {
            for (group, out) in groups.zip(out.chunks_exact_mut(plan.of_group())) {
                let tiles = [(first + group) * GROUP, n_tiles];
                arch.dispatch(Transform { plan, input, gradient, tiles, out });
            }
        });
        let (chunk, start) = (&*chunk, |place: usize| place * n_in * n_out);
        on_threads(&mut threads, n_places(tile), start, &mut sums, |_, places, out| {
            for (place, sums) in places.zip(out.chunks_exact_mut(n_in * n_out)) {
                arch.dispatch(Sum { plan, chunk, place, sums });
            }
        });
    }
    let (sums, start) = (&sums[..], |panel: usize| panel * PANEL * n_in * 27);
    on_threads(&mut threads, n_out / PANEL, start, out, |_, panels, out| {
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
            transform_input::<S, N>(simd, input, corner, of_input, [GROUP, index]);
            transform_gradient::<S, M, N>(simd, gradient, corner, of_gradient, index);
        }
    }
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
        let (panel, lane) = (channel / PANEL, channel % PANEL);
        for y in 0..N {
            for x in 0..N {
                let column: [S::f32s; TILE_Z] = std::array::from_fn(|z| planes[z][y][x]);
                let column: [S::f32s; TILE_Z + 2] = gradient_line(simd, column);
                for (z, value) in column.into_iter().enumerate() {
                    let place = (z * N + y) * N + x;
                    let row = (place * (n_channels / PANEL) + panel) * GROUP + index;
                    store::<S>(out, row * PANEL + lane, value);
                }
            }
        }
    }
}

/// Adds what the tiles of a chunk sum up to at a place to `sums`, `[n_in, n_out]`.
struct Sum<'a> {
    plan: Plan,
    chunk: &'a [f32],
    place: usize,
    sums: &'a mut [f32],
}

impl WithSimd for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let n_panels = self.plan.n_out / PANEL;
        let mut panel = 0;
        // As many sums as the registers hold.
        if S::F32_LANES == PANEL {
            while panel + 4 <= n_panels {
                self.panels::<S, 4, 1>(simd, panel);
                panel += 4;
            }
            if panel + 2 <= n_panels {
                self.panels::<S, 2, 1>(simd, panel);
                panel += 2;
            }
        }
        for panel in panel..n_panels {
            match S::F32_LANES {
                16 => self.panels::<S, 1, 1>(simd, panel),
                8 => self.panels::<S, 1, 2>(simd, panel),
                4 => self.panels::<S, 1, 4>(simd, panel),
                _ => self.panels::<S, 1, PANEL>(simd, panel),
            }
        }
    }
}

impl Sum<'_> {
    /// `P` panels of the output channels, each of `V` registers.
    #[inline(always)]
    fn panels<S: Simd, const P: usize, const V: usize>(&mut self, simd: S, panel: usize) {
        let mut row = 0;
        while row + 6 <= self.plan.n_in {
            self.block::<S, 6, P, V>(simd, row, panel);
            row += 6;
        }
        // What 6 leaves of a multiple of 16 is even.
        while row + 2 <= self.plan.n_in {
            self.block::<S, 2, P, V>(simd, row, panel);
            row += 2;
        }
    }

    /// `R` input channels by `P` panels.
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
            let a = &of_input[self.place * GROUP * n_in..][..GROUP * n_in];
            let start = (self.place * (n_out / PANEL) + panel) * GROUP * PANEL;
            let b = S::as_simd_f32s(&of_gradient[start..][..P * GROUP * PANEL]).0;
            for (k, a) in a.chunks_exact(n_in).enumerate() {
                let a = &a[row..][..R];
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
            let there = &mut self.sums[(row + r) * n_out + panel * PANEL..][..P * PANEL];
            let (there, _) = S::as_mut_simd_f32s(there);
            for (there, sum) in there.iter_mut().zip(sums.as_flattened()) {
                *there = simd.add_f32s(*there, *sum);
            }
        }
    }
}

/// A value for each output channel of a panel.
type Lanes = [f32; PANEL];

/// Writes the gradients of the taps of 16 output channels, `[16, n_in, 27]`, from the sums at the places, `[places, n_in, n_out]`.
#[inline(always)]
fn taps<const N: usize>(plan: Plan, sums: &[f32], panel: usize, out: &mut [f32]) {
    let Plan { n_in, n_out, tile } = plan;
    let lines = kernel_lines::<N>(tile).map(|line| line.map(|factor| factor as f32));
    let along_z = kernel_lines::<4>(TILE_Z).map(|line| line.map(|factor| factor as f32));
    for input in 0..n_in {
        let mut planes = [[[[0.0; PANEL]; N]; N]; 3];
        for (z, factors) in along_z.iter().enumerate() {
            for y in 0..N {
                for x in 0..N {
                    let start = (((z * N + y) * N + x) * n_in + input) * n_out + panel * PANEL;
                    let lanes = &sums[start..][..PANEL];
                    for (tap, factor) in factors.iter().enumerate() {
                        add(&mut planes[tap][y][x], *factor, lanes);
                    }
                }
            }
        }
        for (z, plane) in planes.iter().enumerate() {
            let mut rows = [[[0.0; PANEL]; N]; 3];
            for (places, factors) in plane.iter().zip(&lines) {
                for (row, factor) in rows.iter_mut().zip(factors) {
                    for (sum, lanes) in row.iter_mut().zip(places) {
                        add(sum, *factor, lanes);
                    }
                }
            }
            for (y, row) in rows.iter().enumerate() {
                let mut taps = [[0.0; PANEL]; 3];
                for (lanes, factors) in row.iter().zip(&lines) {
                    for (tap, factor) in taps.iter_mut().zip(factors) {
                        add(tap, *factor, lanes);
                    }
                }
                for (x, lanes) in taps.iter().enumerate() {
                    for (lane, value) in lanes.iter().enumerate() {
                        out[(lane * n_in + input) * 27 + (z * 3 + y) * 3 + x] = *value;
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn add(sum: &mut Lanes, factor: f32, lanes: &[f32]) {
    for (sum, lane) in sum.iter_mut().zip(lanes) {
        *sum += factor * lane;
    }
}

#[cfg(test)]
#[path = "gradient_test.rs"]
mod gradient_test;
