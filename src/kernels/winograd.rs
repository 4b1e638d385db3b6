//! Convolutions of 3 x 3 x 3 kernels and stride 1 with fewer multiplications (Winograd 1980, "Arithmetic Complexity of Computations";
//! Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks", <https://arxiv.org/abs/1509.09308>; in three dimensions Jia,
//! Zlateski, Durand & Li 2018, "Optimizing N-Dimensional, Winograd-Based Convolution for Manycore CPUs").
//!
//! Along an axis F(m, 3) gives m outputs of a filter of three taps from m + 2 products instead of 3 m. The input of a tile of outputs is
//! transformed, multiplied place by place with the transformed weights, where each place sums over the channels and so is a product of
//! matrices, and transformed back. Here it is F(2, 3) along z, and along y and x either F(2, 3), which takes 8 products for an output and
//! pair of channels instead of 27, or F(4, 3), which takes 4.5.

#![allow(
    clippy::needless_range_loop,
    reason = "places of a tile are turned over, and indices say how"
)]

use std::{collections::TryReserveError, ops::Range};

use pulp::{Arch, Simd, WithSimd};

use crate::{
    convolution::zeros,
    map::{Finish, Map, load, store},
    matrix::{PANEL, Panels},
    threads::divided,
};

/// Outputs of a tile along z.
pub const TILE_Z: usize = 2;

/// Input places of a tile along z.
const PLACES_Z: usize = TILE_Z + 2;

/// Bytes of the transformed tiles that are multiplied at once, and of their products, together: most of the second-level cache of a core.
const BLOCK_BYTES: usize = 768 << 10;

/// Fewest tiles that are multiplied at once, so that weights from memory serve several.
const LEAST_BLOCK: usize = 24;

/// Points where F(4, 3) evaluates its polynomials, beside 0 and infinity: 1 and -1, over and times the root of 2. They lose half as much to
/// rounding as 1, -1, 2 and -2.
const NEAR: f64 = std::f64::consts::FRAC_1_SQRT_2;
const FAR: f64 = std::f64::consts::SQRT_2;

/// Weights of a convolution of 3 x 3 x 3, transformed.
pub struct Winograd {
    /// `[n_out / 16, places, n_in, 16]`, the places of a tile in the order z, y, x.
    values: Vec<f32>,
    n_in: usize,
    n_out: usize,
    /// Outputs of a tile along y and along x: 2 or 4.
    tile: usize,
}

/// Which way a convolution goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// From input to output, with weights `[n_out, n_in, z, y, x]`.
    Forward,
    /// From the gradient of that output to that of the input. It is a convolution, too: its input channels are the outputs of the other, and its
    /// weights `[n_in, n_out, z, y, x]` lie the other way round along each axis.
    Back,
}

impl Winograd {
    /// Transforms, in double precision, the weights of a convolution of so many channels that goes that way, for tiles of 2 or 4 outputs along y and
    /// x, on up to `n_threads` threads. Both numbers of channels are multiples of 16.
    pub fn new(
        weights: &[f32],
        [n_in, n_out]: [usize; 2],
        tile: usize,
        way: Way,
        n_threads: usize,
    ) -> Result<Winograd, TryReserveError> {
        debug_assert!(
            n_in.is_multiple_of(PANEL)
                && n_out.is_multiple_of(PANEL)
                && weights.len() == n_in * n_out * 27
        );
        let mut values = zeros(Winograd::bytes([n_in, n_out], tile) / size_of::<f32>())?;
        let of_panel = n_places(tile) * n_in * PANEL;
        let arch = Arch::new();
        let start = |panel: usize| panel * of_panel;
        divided(n_threads, n_out / PANEL, start, &mut values, |panels, out| {
            for (panel, out) in panels.zip(out.chunks_exact_mut(of_panel)) {
                let first = panel * PANEL;
                // The value of a tap for an input channel and an output channel of the panel.
                let value = |tap: usize, input: usize, lane: usize| match way {
                    Way::Forward => weights[((first + lane) * n_in + input) * 27 + tap],
                    Way::Back => weights[(input * n_out + first + lane) * 27 + 26 - tap],
                };
                arch.dispatch(
                    #[inline(always)]
                    || match tile {
                        2 => transform_panel::<4>(n_in, kernel_lines(2), value, out),
                        _ => transform_panel::<6>(n_in, kernel_lines(4), value, out),
                    },
                );
            }
        });
        Ok(Winograd { values, n_in, n_out, tile })
    }

    /// Bytes that weights take when they are transformed.
    pub fn bytes([n_in, n_out]: [usize; 2], tile: usize) -> usize {
        n_places(tile) * n_in * n_out * size_of::<f32>()
    }

    /// Bytes that the weights take.
    #[cfg(test)]
    pub fn own_bytes(&self) -> usize {
        size_of_val(&self.values[..])
    }

    /// Values that a thread works in.
    pub fn scratch_values([n_in, n_out]: [usize; 2], tile: usize) -> usize {
        let of_tile = n_places(tile) * (n_in + n_out);
        of_tile * block(of_tile)
    }

    /// The weights of a place of a tile, `[n_in, n_out]`.
    fn place(&self, place: usize) -> Panels<'_> {
        let of_place = self.n_in * PANEL;
        Panels {
            values: &self.values[place * of_place..],
            n_rows: self.n_in,
            n_panels: self.n_out / PANEL,
            step: n_places(self.tile) * of_place,
        }
    }
}

/// Places of a tile.
pub fn n_places(tile: usize) -> usize {
    PLACES_Z * (tile + 2) * (tile + 2)
}

/// Tiles of a map of that size.
pub fn n_tiles([n_z, n_y, n_x]: [usize; 3], tile: usize) -> usize {
    n_z.div_ceil(TILE_Z) * n_y.div_ceil(tile) * n_x.div_ceil(tile)
}

/// Tiles that are multiplied at once.
fn block(values_of_tile: usize) -> usize {
    (BLOCK_BYTES / size_of::<f32>() / values_of_tile).max(LEAST_BLOCK)
}

/// What takes three taps to the places of a tile of N - 2 outputs: the matrix G, a row a place.
pub fn kernel_lines<const N: usize>(tile: usize) -> [[f64; 3]; N] {
    debug_assert_eq!(tile + 2, N, "places along an axis");
    // The taps as a polynomial, at each point, over the product of its distances from the others.
    let finite: &[f64] = if tile == 2 { &[0.0, 1.0, -1.0] } else { &[0.0, NEAR, -NEAR, FAR, -FAR] };
    std::array::from_fn(|place| match finite.get(place) {
        Some(point) => {
            let others = finite.iter().filter(|other| *other != point);
            let scale = others.map(|other| point - other).product::<f64>();
            [1.0, *point, point * point].map(|power| power / scale)
        }
        None => [0.0, 0.0, 1.0],
    })
}

/// A value for each column of a panel.
type Lanes = [f64; PANEL];

/// Kernels of 16 output channels, `value(tap, input channel, output channel)`, at every place of a tile: `[places, n_in, 16]`.
#[inline(always)]
fn transform_panel<const N: usize>(
    n_in: usize,
    lines: [[f64; 3]; N],
    value: impl Fn(usize, usize, usize) -> f32,
    out: &mut [f32],
) {
    let along_z = kernel_lines::<PLACES_Z>(TILE_Z);
    for input in 0..n_in {
        // Lane by lane: the taps of one lie together, and the lanes at distances that a cache has little room for.
        let mut taps: [Lanes; 27] = [[0.0; PANEL]; 27];
        for lane in 0..PANEL {
            for (tap, lanes) in taps.iter_mut().enumerate() {
                lanes[lane] = value(tap, input, lane).into();
            }
        }
        let mut rows = [[[0.0; PANEL]; N]; 9];
        for (row, taps) in rows.iter_mut().zip(taps.as_chunks::<3>().0) {
            for (place, line) in row.iter_mut().zip(&lines) {
                *place = combined(line, taps.each_ref());
            }
        }
        let mut planes = [[[[0.0; PANEL]; N]; N]; 3];
        for (plane, rows) in planes.iter_mut().zip(rows.as_chunks::<3>().0) {
            for (places, line) in plane.iter_mut().zip(&lines) {
                for (x, place) in places.iter_mut().enumerate() {
                    *place = combined(line, rows.each_ref().map(|row| &row[x]));
                }
            }
        }
        for (z, line) in along_z.iter().enumerate() {
            for y in 0..N {
                for x in 0..N {
                    let lanes = combined(line, planes.each_ref().map(|plane| &plane[y][x]));
                    let place = (z * N + y) * N + x;
                    let there = &mut out[(place * n_in + input) * PANEL..][..PANEL];
                    for (there, lane) in there.iter_mut().zip(lanes) {
                        *there = lane as f32;
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn combined([a, b, c]: &[f64; 3], [first, second, third]: [&Lanes; 3]) -> Lanes {
    std::array::from_fn(|lane| a * first[lane] + b * second[lane] + c * third[lane])
}

/// Some planes of the output of a convolution.
pub struct Planes<'a> {
    /// Transformed weights.
    pub weights: &'a Winograd,
    /// Added to each output channel.
    pub bias: &'a [f32],
    /// What is convolved, with a border of zeros.
    pub input: Map<'a>,
    /// What is done to the sums.
    pub finish: Finish<'a>,
    /// The planes, in pairs: those of the first map first, each map's last pair has one plane if there is an odd number.
    pub pairs: Range<usize>,
    /// Their output.
    pub out: &'a mut [f32],
    /// What of the whole output comes before.
    pub out_start: usize,
    /// What is worked in: `scratch_values` of them.
    pub scratch: &'a mut [f32],
}

impl WithSimd for Planes<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.weights.tile {
            2 => self.convolve::<S, 2, 4>(simd),
            _ => self.convolve::<S, 4, 6>(simd),
        }
    }
}

impl Planes<'_> {
    /// With tiles of `M` outputs along y and x, which have `N = M + 2` places there.
    #[inline(always)]
    fn convolve<S: Simd, const M: usize, const N: usize>(mut self, simd: S) {
        let Winograd { n_in, n_out, .. } = *self.weights;
        let n_places = PLACES_Z * N * N;
        let block = block(n_places * (n_in + n_out));
        let [_, n_y, n_x] = self.input.size;
        let of_pair = n_y.div_ceil(M) * n_x.div_ceil(M);
        let scratch = std::mem::take(&mut self.scratch);
        let (transformed, products) = scratch.split_at_mut(n_places * block * n_in);
        let end = self.pairs.end * of_pair;
        for first in (self.pairs.start * of_pair..end).step_by(block) {
            let n_tiles = block.min(end - first);
            for index in 0..n_tiles {
                let corner = corner::<M>(self.input.size, first + index);
                let at = |place, channel| (place * n_tiles + index) * n_in + channel;
                transform_input::<S, N>(simd, self.input, corner, transformed, at);
            }
            for place in 0..n_places {
                let a = &transformed[place * n_tiles * n_in..][..n_tiles * n_in];
                let there = &mut products[place * n_tiles * n_out..][..n_tiles * n_out];
                self.weights.place(place).multiply(simd, a, there);
            }
            for index in 0..n_tiles {
                let corner = corner::<M>(self.input.size, first + index);
                self.transform_output::<S, M, N>(simd, corner, products, [n_tiles, index]);
            }
        }
    }

    /// Writes the outputs of tile `index` of `n_tiles` from `products`, `[places, n_tiles, n_out]`.
    #[inline(always)]
    fn transform_output<S: Simd, const M: usize, const N: usize>(
        &mut self,
        simd: S,
        [sample, z0, y0, x0]: [usize; 4],
        products: &[f32],
        [n_tiles, index]: [usize; 2],
    ) {
        let ([n_z, n_y, n_x], n_out) = (self.input.size, self.weights.n_out);
        let zero = simd.splat_f32s(0.0);
        for channel in (0..n_out).step_by(S::F32_LANES) {
            let mut planes = [[[zero; N]; N]; TILE_Z];
            for y in 0..N {
                for x in 0..N {
                    let column: [S::f32s; PLACES_Z] = std::array::from_fn(|z| {
                        let place = (z * N + y) * N + x;
                        load::<S>(products, (place * n_tiles + index) * n_out + channel)
                    });
                    let pair: [S::f32s; TILE_Z] = output_line(simd, column);
                    for z in 0..TILE_Z {
                        planes[z][y][x] = pair[z];
                    }
                }
            }
            let bias = load::<S>(self.bias, channel);
            for (z, plane) in (z0..n_z).zip(&planes) {
                let mut rows = [[zero; N]; M];
                for x in 0..N {
                    let column: [S::f32s; N] = std::array::from_fn(|y| plane[y][x]);
                    let column: [S::f32s; M] = output_line(simd, column);
                    for y in 0..M {
                        rows[y][x] = column[y];
                    }
                }
                for (y, row) in (y0..n_y).zip(rows) {
                    let line: [S::f32s; M] = output_line(simd, row);
                    for (x, sum) in (x0..n_x).zip(line) {
                        let start = (((sample * n_z + z) * n_y + y) * n_x + x) * n_out + channel;
                        let value = self.finish.apply(simd, sum, bias, start);
                        store::<S>(self.out, start - self.out_start, value);
                    }
                }
            }
        }
    }
}

/// Number of the map, and first output of the tile along z, y, x.
#[inline(always)]
pub fn corner<const M: usize>([n_z, n_y, n_x]: [usize; 3], tile: usize) -> [usize; 4] {
    let (rest, x) = (tile / n_x.div_ceil(M), tile % n_x.div_ceil(M));
    let (pair, y) = (rest / n_y.div_ceil(M), rest % n_y.div_ceil(M));
    let (sample, z) = (pair / n_z.div_ceil(TILE_Z), pair % n_z.div_ceil(TILE_Z));
    [sample, z * TILE_Z, y * M, x * M]
}

/// Writes the transformed input of a tile to `out`, that of a place and of channels from one on `at(place, channel)`.
#[inline(always)]
pub fn transform_input<S: Simd, const N: usize>(
    simd: S,
    input: Map<'_>,
    [sample, z0, y0, x0]: [usize; 4],
    out: &mut [f32],
    at: impl Fn(usize, usize) -> usize,
) {
    let Map { values, size: [n_z, n_y, n_x], n_channels } = input;
    let zero = simd.splat_f32s(0.0);
    // Where the voxels of the tile begin, from one before the outputs; one before 0 wraps to a large number. None is outside.
    let starts: [[[Option<usize>; N]; N]; PLACES_Z] = std::array::from_fn(|z| {
        let z = (z0 + z).wrapping_sub(1);
        std::array::from_fn(|y| {
            let y = (y0 + y).wrapping_sub(1);
            std::array::from_fn(|x| {
                let x = (x0 + x).wrapping_sub(1);
                let inside = z < n_z && y < n_y && x < n_x;
                inside.then(|| (((sample * n_z + z) * n_y + y) * n_x + x) * n_channels)
            })
        })
    });
    let mut planes = [[[zero; N]; N]; PLACES_Z];
    for channel in (0..n_channels).step_by(S::F32_LANES) {
        for (starts, plane) in std::iter::zip(&starts, &mut planes) {
            let mut rows = [[zero; N]; N];
            for (starts, row) in std::iter::zip(starts, &mut rows) {
                let line = std::array::from_fn(|x| match starts[x] {
                    Some(start) => load::<S>(values, start + channel),
                    None => zero,
                });
                *row = input_line(simd, line);
            }
            for x in 0..N {
                let column: [S::f32s; N] = std::array::from_fn(|y| rows[y][x]);
                let column = input_line(simd, column);
                for y in 0..N {
                    plane[y][x] = column[y];
                }
            }
        }
        for y in 0..N {
            for x in 0..N {
                let column: [S::f32s; PLACES_Z] = std::array::from_fn(|z| planes[z][y][x]);
                for (z, value) in input_line(simd, column).into_iter().enumerate() {
                    let place = (z * N + y) * N + x;
                    store::<S>(out, at(place, channel), value);
                }
            }
        }
    }
}

/// A line of the input at its places: the matrix B^T, whose rows are the polynomials that vanish at all points but one.
#[inline(always)]
fn input_line<S: Simd, const N: usize>(simd: S, d: [S::f32s; N]) -> [S::f32s; N] {
    let mut places = d;
    if N == 4 {
        places[0] = simd.sub_f32s(d[2], d[0]);
        places[1] = simd.add_f32s(d[1], d[2]);
        places[2] = simd.sub_f32s(d[2], d[1]);
        places[3] = simd.sub_f32s(d[3], d[1]);
        return places;
    }
    // The squares of the points are 1/2 and 2: their product is 1, their sum 5/2.
    let [near, far, minus_near_2, minus_far_2, minus_sum] =
        [NEAR, FAR, -NEAR * NEAR, -FAR * FAR, -2.5].map(|factor| simd.splat_f32s(factor as f32));
    let even_near = simd.mul_add_e_f32s(minus_far_2, d[2], d[4]);
    let odd_near = simd.mul_add_e_f32s(minus_far_2, d[1], d[3]);
    let even_far = simd.mul_add_e_f32s(minus_near_2, d[2], d[4]);
    let odd_far = simd.mul_add_e_f32s(minus_near_2, d[1], d[3]);
    places[0] = simd.mul_add_e_f32s(minus_sum, d[2], simd.add_f32s(d[0], d[4]));
    places[1] = simd.mul_add_e_f32s(near, odd_near, even_near);
    places[2] = simd.negate_mul_add_e_f32s(near, odd_near, even_near);
    places[3] = simd.mul_add_e_f32s(far, odd_far, even_far);
    places[4] = simd.negate_mul_add_e_f32s(far, odd_far, even_far);
    places[5] = simd.mul_add_e_f32s(minus_sum, d[3], simd.add_f32s(d[1], d[5]));
    places
}

/// The outputs of the places of a line: the matrix A^T, whose rows are the powers of the points.
#[inline(always)]
fn output_line<S: Simd, const N: usize, const M: usize>(simd: S, p: [S::f32s; N]) -> [S::f32s; M] {
    let mut outputs = [p[0]; M];
    if N == 4 {
        outputs[0] = simd.add_f32s(simd.add_f32s(p[0], p[1]), p[2]);
        outputs[1] = simd.add_f32s(simd.sub_f32s(p[1], p[2]), p[3]);
        return outputs;
    }
    let powers = |point: f64| {
        let powers = [point, point * point, point * point * point];
        powers.map(|power| simd.splat_f32s(power as f32))
    };
    let (near, far) = (powers(NEAR), powers(FAR));
    let (even_near, odd_near) = (simd.add_f32s(p[1], p[2]), simd.sub_f32s(p[1], p[2]));
    let (even_far, odd_far) = (simd.add_f32s(p[3], p[4]), simd.sub_f32s(p[3], p[4]));
    let both = |power: usize, of_near: S::f32s, of_far: S::f32s| {
        simd.mul_add_e_f32s(near[power], of_near, simd.mul_f32s(far[power], of_far))
    };
    outputs[0] = simd.add_f32s(p[0], simd.add_f32s(even_near, even_far));
    outputs[1] = both(0, odd_near, odd_far);
    outputs[2] = both(1, even_near, even_far);
    outputs[3] = simd.add_f32s(p[5], both(2, odd_near, odd_far));
    outputs
}

/// The gradients of the outputs of a line at its places: the transposed matrix A.
#[inline(always)]
pub fn gradient_line<S: Simd, const M: usize, const N: usize>(
    simd: S,
    d: [S::f32s; M],
) -> [S::f32s; N] {
    let mut places = [d[0]; N];
    places[N - 1] = d[M - 1];
    if N == 4 {
        places[1] = simd.add_f32s(d[0], d[1]);
        places[2] = simd.sub_f32s(d[0], d[1]);
        return places;
    }
    for (place, point) in [(1, NEAR), (3, FAR)] {
        let powers = [point, point * point, point * point * point];
        let [one, two, three] = powers.map(|power| simd.splat_f32s(power as f32));
        let even = simd.mul_add_e_f32s(two, d[2], d[0]);
        let odd = simd.mul_add_e_f32s(three, d[3], simd.mul_f32s(one, d[1]));
        places[place] = simd.add_f32s(even, odd);
        places[place + 1] = simd.sub_f32s(even, odd);
    }
    places
}
