//! A convolution with its weights prepared, by whichever method is faster for it.

use std::collections::TryReserveError;

use pulp::Arch;

use crate::{
    direct::{Direct, Outputs},
    map::{Finish, Map},
    matrix::PANEL,
    stem::{Rows, Stem},
    threads::{Scratch, on_threads},
    winograd::{Planes, TILE_Z, Way, Winograd, n_places, n_tiles},
};

/// What a convolution is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Geometry {
    /// Input channels.
    pub n_in: usize,
    /// Output channels.
    pub n_out: usize,
    /// Size of the kernel along z, y, x.
    pub kernel: [usize; 3],
    /// Along z, y, x.
    pub stride: [usize; 3],
}

/// How the windows of a convolution lie over its input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Windows {
    /// How many there are along z, y, x: the size of the output. Zeros lie around the input as far as they reach.
    pub size: [usize; 3],
    /// Zeros before the first voxel along z, y, x.
    pub before: [usize; 3],
}

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// As products of matrices.
    Direct,
    /// As sums over windows that are read where they lie: of one input channel.
    Stem,
    /// By Winograd's F(2, 3) along z and F(m, 3) along y and x, of this m: 2 or 4.
    Winograd(usize),
}

impl Method {
    /// The faster method for that geometry and maps of that size, if there is any: the number of output channels must be a multiple of 16.
    pub fn of(
        Geometry { n_in, n_out, kernel, stride }: Geometry,
        size: [usize; 3],
    ) -> Option<Method> {
        let fits = |n: usize| n.is_multiple_of(PANEL);
        let n_products = |tile| n_tiles(size, tile) * n_places(tile);
        match fits(n_out) {
            false => None,
            true if kernel == [3; 3] && stride == [1; 3] && fits(n_in) => match n_in * n_out {
                n if n <= LARGE_TILES && n_products(4) <= n_products(2) => {
                    Some(Method::Winograd(4))
                }
                n if n <= SMALL_TILES => Some(Method::Winograd(2)),
                _ => Some(Method::Direct),
            },
            true if n_in == 1 => Some(Method::Stem),
            true => Some(Method::Direct),
        }
    }
}

/// Most pairs of channels for which tiles of 4 x 4 outputs are taken in the plane: beyond, their 144 products for each pair take more memory than the
/// time they save is worth.
const LARGE_TILES: usize = 192 * 192;

/// Most pairs of channels for which Winograd's way is taken.
const SMALL_TILES: usize = 384 * 384;

/// Multiply-adds that are worth a thread that is there already: some 3 microseconds.
const LEAST_WORK: usize = 1 << 18;

/// A convolution with a bias.
pub struct Convolution {
    geometry: Geometry,
    method: Method,
    weights: Weights,
    bias: Vec<f32>,
    arch: Arch,
}

enum Weights {
    Direct(Direct),
    Stem(Stem),
    Winograd(Winograd),
}

impl Convolution {
    /// Prepares weights `[n_out, n_in, z, y, x]` and a bias `[n_out]` on up to `n_threads` threads. The method must be possible for that geometry. Fails
    /// if there is no memory.
    pub fn new(
        geometry: Geometry,
        method: Method,
        weights: &[f32],
        bias: &[f32],
        n_threads: usize,
    ) -> Result<Convolution, TryReserveError> {
        let channels = [geometry.n_in, geometry.n_out];
        let weights = match method {
            Method::Direct => Weights::Direct(Direct::new(weights, geometry, n_threads)?),
            Method::Stem => Weights::Stem(Stem::new(weights, geometry)?),
            Method::Winograd(tile) => {
                let way = Way::Forward;
                Weights::Winograd(Winograd::new(weights, channels, tile, way, n_threads)?)
            }
        };
        Ok(Convolution { geometry, method, weights, bias: bias.to_vec(), arch: Arch::new() })
    }

    /// What takes the gradient of the output of a convolution of 3 x 3 x 3 and stride 1, with weights `[n_out, n_in, 3, 3, 3]`, to that of its input, by
    /// Winograd's way with tiles of 2 or 4 outputs. `geometry` is that of the convolution whose output the gradient is of.
    pub fn back(
        geometry: Geometry,
        tile: usize,
        weights: &[f32],
        n_threads: usize,
    ) -> Result<Convolution, TryReserveError> {
        let Geometry { n_in, n_out, .. } = geometry;
        let back = Winograd::new(weights, [n_out, n_in], tile, Way::Back, n_threads)?;
        Ok(Convolution {
            geometry: Geometry { n_in: n_out, n_out: n_in, ..geometry },
            method: Method::Winograd(tile),
            weights: Weights::Winograd(back),
            bias: vec![0.0; n_in],
            arch: Arch::new(),
        })
    }

    /// Fills `out`, `[n, z', y', x', n_out]`, with the convolution of `input` on up to `n_threads` threads, which end before this does. Fails if
    /// there is no memory to work in.
    pub fn run(
        &self,
        input: Map<'_>,
        windows: Windows,
        finish: Finish<'_>,
        out: &mut [f32],
        n_threads: usize,
    ) -> Result<(), TryReserveError> {
        let (n_out, bias) = (self.geometry.n_out, &self.bias[..]);
        let [n_z, n_y, n_x] = windows.size;
        assert_eq!(input.n_channels, self.geometry.n_in, "channels of the input");
        assert_eq!(out.len(), input.n() * n_z * n_y * n_x * n_out, "values of the output");
        let (arch, n) = (self.arch, input.n());
        let n_scratch = Convolution::scratch_values(self.geometry, self.method);
        let n_threads = n_threads.min(self.multiply_adds(out.len()) / LEAST_WORK).max(1);
        let mut scratch = Scratch::of_threads(n_threads, n_scratch)?;
        let threads = &mut scratch[..];
        match &self.weights {
            Weights::Direct(weights) => {
                let (n_voxels, start) = (n * n_z * n_y * n_x, |voxel| voxel * n_out);
                on_threads(threads, n_voxels, start, out, |scratch, voxels, out| {
                    let scratch = scratch.values();
                    let outputs =
                        Outputs { weights, bias, input, windows, finish, voxels, out, scratch };
                    arch.dispatch(outputs);
                });
            }
            Weights::Stem(weights) => {
                let (n_rows, start) = (n * n_z * n_y, |row| row * n_x * n_out);
                on_threads(threads, n_rows, start, out, |scratch, rows, out| {
                    let scratch = scratch.values();
                    let rows = Rows { weights, bias, input, windows, finish, rows, out, scratch };
                    arch.dispatch(rows);
                });
            }
            Weights::Winograd(weights) => {
                assert_eq!(windows, Windows { size: input.size, before: [1; 3] }, "windows");
                let pairs_of_map = n_z.div_ceil(TILE_Z);
                // The last pair of a map may be one plane.
                let start = |pair: usize| {
                    let plane = pair / pairs_of_map * n_z + pair % pairs_of_map * TILE_Z;
                    plane * n_y * n_x * n_out
                };
                on_threads(threads, n * pairs_of_map, start, out, |scratch, pairs, out| {
                    let out_start = start(pairs.start);
                    let scratch = scratch.values();
                    let planes =
                        Planes { weights, bias, input, finish, pairs, out, out_start, scratch };
                    arch.dispatch(planes);
                });
            }
        }
        Ok(())
    }

    /// What so many values of the output take.
    fn multiply_adds(&self, n_values: usize) -> usize {
        let of_pair = match self.method {
            Method::Direct | Method::Stem => self.geometry.kernel.iter().product(),
            Method::Winograd(2) => 8,
            Method::Winograd(_) => 5,
        };
        n_values * self.geometry.n_in * of_pair
    }

    /// Bytes that the weights take, prepared by that method.
    pub fn bytes(geometry: Geometry, method: Method) -> usize {
        let channels = [geometry.n_in, geometry.n_out];
        match method {
            Method::Direct | Method::Stem => {
                let n_rows = geometry.kernel.iter().product::<usize>() * geometry.n_in;
                n_rows * geometry.n_out.next_multiple_of(PANEL) * size_of::<f32>()
            }
            Method::Winograd(tile) => Winograd::bytes(channels, tile),
        }
    }

    /// Bytes that each thread works in.
    pub fn scratch_bytes(geometry: Geometry, method: Method) -> usize {
        Convolution::scratch_values(geometry, method) * size_of::<f32>()
    }

    fn scratch_values(geometry: Geometry, method: Method) -> usize {
        match method {
            Method::Direct => Direct::scratch_values(geometry),
            Method::Stem => Stem::scratch_values(geometry),
            Method::Winograd(tile) => {
                Winograd::scratch_values([geometry.n_in, geometry.n_out], tile)
            }
        }
    }
}

/// So many zeros, if there is memory for them.
pub fn zeros(n: usize) -> Result<Vec<f32>, TryReserveError> {
    let mut values = Vec::new();
    values.try_reserve_exact(n)?;
    values.resize(n, 0.0);
    Ok(values)
}

#[cfg(test)]
#[path = "convolution_test.rs"]
mod convolution_test;
