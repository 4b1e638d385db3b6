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

use pulp::{Simd, WithSimd};

use crate::{
    map::{Finish, Map, load, store},
    matrix::{PANEL, Packed},
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
    /// `[n_in, n_out]` for each place of a tile, in the order z, y, x.
    places: Vec<Packed>,
    n_in: usize,
    /// Outputs of a tile along y and along x: 2 or 4.
    tile: usize,
}

impl Winograd {
    /// Transforms, in double precision, weights `[n_out, n_in, 3, 3, 3]` for tiles of 2 or 4 outputs along y and x. Both numbers of channels are
    /// multiples of 16.
    pub fn new(
        weights: &[f32],
        [n_in, n_out]: [usize; 2],
        tile: usize,
    ) -> Result<Winograd, TryReserveError> {
        debug_assert!(
            n_in.is_multiple_of(PANEL)
                && n_out.is_multiple_of(PANEL)
                && weights.len() == n_in * n_out * 27
        );
        let lines = [kernel_lines(TILE_Z), kernel_lines(tile), kernel_lines(tile)];
        let n_places = lines.iter().map(Vec::len).product();
        let mut places = (0..n_places)
            .map(|_| Packed::zeros(n_in, n_out))
            .collect::<Result<Vec<Packed>, TryReserveError>>()?;
        for (pair, kernel) in weights.chunks_exact(27).enumerate() {
            let transformed = transform_kernel(kernel, &lines);
            for (place, value) in std::iter::zip(&mut places, transformed) {
                place.set(pair % n_in, pair / n_in, value);
            }
        }
        Ok(Winograd { places, n_in, tile })
    }

    /// Bytes that weights take when they are transformed.
    pub fn bytes([n_in, n_out]: [usize; 2], tile: usize) -> usize {
        PLACES_Z * (tile + 2) * (tile + 2) * n_in * n_out * size_of::<f32>()
    }

    /// Bytes that the weights take.
    #[cfg(test)]
    pub fn own_bytes(&self) -> usize {
        self.places.iter().map(Packed::bytes).sum()
    }

    /// Values that a thread works in.
    pub fn scratch_values([n_in, n_out]: [usize; 2], tile: usize) -> usize {
        let of_tile = PLACES_Z * (tile + 2) * (tile + 2) * (n_in + n_out);
        of_tile * block(of_tile)
    }

    fn n_out(&self) -> usize {
        self.places[0].n_columns()
    }
}

/// Tiles that are multiplied at once.
fn block(values_of_tile: usize) -> usize {
    (BLOCK_BYTES / size_of::<f32>() / values_of_tile).max(LEAST_BLOCK)
}

/// What takes three taps to the places of a tile of m outputs: the matrix G, a row a place.
fn kernel_lines(m: usize) -> Vec<[f64; 3]> {
    // The taps as a polynomial, at each point, over the product of its distances from the others.
    let finite: &[f64] = if m == 2 { &[0.0, 1.0, -1.0] } else { &[0.0, NEAR, -NEAR, FAR, -FAR] };
    let mut rows: Vec<[f64; 3]> = finite
        .iter()
        .map(|point| {
            let others = finite.iter().filter(|other| *other != point);
            let scale = others.map(|other| point - other).product::<f64>();
            [1.0, *point, point * point].map(|power| power / scale)
        })
        .collect();
    rows.push([0.0, 0.0, 1.0]);
    rows
}

/// A kernel `[3, 3, 3]` at every place of a tile.
fn transform_kernel<'a>(
    kernel: &'a [f32],
    [along_z, along_y, along_x]: &'a [Vec<[f64; 3]>; 3],
) -> impl Iterator<Item = f32> + 'a {
    along_z.iter().flat_map(move |z| {
        let plane: [f64; 9] =
            std::array::from_fn(|i| (0..3).map(|j| z[j] * f64::from(kernel[j * 9 + i])).sum());
        along_y.iter().flat_map(move |y| {
            let line: [f64; 3] =
                std::array::from_fn(|i| (0..3).map(|j| y[j] * plane[j * 3 + i]).sum());
            along_x.iter().map(move |x| {
                std::iter::zip(x, line).map(|(factor, value)| factor * value).sum::<f64>() as f32
            })
        })
    })
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
        let (n_in, n_out) = (self.weights.n_in, self.weights.n_out());
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
                let corner = self.corner::<M>(first + index);
                self.transform_input::<S, N>(simd, corner, transformed, [n_tiles, index]);
            }
            for (place, weights) in self.weights.places.iter().enumerate() {
                let a = &transformed[place * n_tiles * n_in..][..n_tiles * n_in];
                let there = &mut products[place * n_tiles * n_out..][..n_tiles * n_out];
                weights.multiply(simd, a, there);
            }
            for index in 0..n_tiles {
                let corner = self.corner::<M>(first + index);
                self.transform_output::<S, M, N>(simd, corner, products, [n_tiles, index]);
            }
        }
    }

    /// Number of the map, and first output of the tile along z, y, x.
    #[inline(always)]
    fn corner<const M: usize>(&self, tile: usize) -> [usize; 4] {
        let [n_z, n_y, n_x] = self.input.size;
        let (rest, x) = (tile / n_x.div_ceil(M), tile % n_x.div_ceil(M));
        let (pair, y) = (rest / n_y.div_ceil(M), rest % n_y.div_ceil(M));
        let (sample, z) = (pair / n_z.div_ceil(TILE_Z), pair % n_z.div_ceil(TILE_Z));
        [sample, z * TILE_Z, y * M, x * M]
    }

    /// Writes the transformed input of tile `index` of `n_tiles` to `out`, `[places, n_tiles, n_in]`.
    #[inline(always)]
    fn transform_input<S: Simd, const N: usize>(
        &self,
        simd: S,
        [sample, z0, y0, x0]: [usize; 4],
        out: &mut [f32],
        [n_tiles, index]: [usize; 2],
    ) {
        let Map { values, size: [n_z, n_y, n_x], n_channels } = self.input;
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
                        store::<S>(out, (place * n_tiles + index) * n_channels + channel, value);
                    }
                }
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
        let ([n_z, n_y, n_x], n_out) = (self.input.size, self.weights.n_out());
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
