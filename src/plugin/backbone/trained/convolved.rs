//! Convolutions without bias by our own kernels, forward and back, or by libtorch's where those are faster.

use cinetomo_kernels::{
    Convolution, Geometry, Method, Windows, stem_gradient, stem_gradient_bytes, weight_gradient,
    weight_gradient_bytes,
};
use tch::{Device, Kind, Tensor};

use crate::{
    backbone::{
        folded::{self, Ending},
        kernel::{
            channels_first, map, n_threads, out_of_memory, prepared, run, unsigned, values, voxels,
            windows, windows_of,
        },
        layers::{Conv3d, Conv3dConfig, spatial_size},
    },
    error::Result,
};

/// A convolution's output, and how it came about.
pub struct Convolved {
    /// `[n, z', y', x', n_out]`.
    pub output: Tensor,
    way: Way,
}

enum Way {
    /// Our own kernels of 3 x 3 x 3, by Winograd's way.
    Winograd(Geometry, usize),
    /// Our own kernels of a grey input, which wants no gradient.
    Stem(Geometry, Windows),
    /// A product of matrices.
    Pointwise,
    /// libtorch's: input and output in a graph of their own.
    Libtorch(Tensor, Tensor),
}

impl Convolved {
    /// Of `[n, n_in, z, y, x]`; the kernels see a grey input if `grey`.
    pub fn new(convolution: &Conv3d, input: &Tensor, grey: bool) -> Result<Convolved> {
        let Conv3dConfig { n_in, n_out, kernel, stride, .. } = convolution.config;
        let weight = convolution.weight.f_detach()?;
        if convolution.n_groups == 1 && (kernel, stride) == ([1; 3], [1; 3]) && !grey {
            let weight = weight.f_reshape([n_out, n_in])?;
            let output = voxels(&input.f_detach()?)?.f_matmul(&weight.f_transpose(0, 1)?)?;
            return Ok(Convolved { output, way: Way::Pointwise });
        }
        let windows = windows_of(&convolution.config, spatial_size(input)?);
        let convolved = |geometry: Geometry, method: Method, weight: &Tensor| {
            let bias = Tensor::f_zeros([n_out], (Kind::Float, Device::Cpu))?;
            let kernel = prepared(geometry, method, weight, &bias)?;
            voxels(&run(&kernel, n_out, windows, &input.f_detach()?, Ending::default())?)
        };
        if let Some((geometry, tile)) = winograd(convolution, input, grey)? {
            let output = convolved(geometry, Method::Winograd(tile), &weight)?;
            return Ok(Convolved { output, way: Way::Winograd(geometry, tile) });
        }
        if let Some((geometry, Method::Stem)) = folded::kernel(convolution, grey)
            && !input.requires_grad()
        {
            let weight = weight.f_sum_dim_intlist([1i64].as_slice(), true, None)?;
            let output = convolved(geometry, Method::Stem, &weight)?;
            return Ok(Convolved { output, way: Way::Stem(geometry, windows) });
        }
        let leaf = input.f_detach()?.f_set_requires_grad(input.requires_grad())?;
        let output = tch::with_grad(|| match grey {
            true => convolution.forward_grey(&leaf),
            false => convolution.forward(&leaf),
        })?;
        Ok(Convolved { output: voxels(&output.f_detach()?)?, way: Way::Libtorch(leaf, output) })
    }

    /// Gradients of the weight and, if it wants one, of the input, from that of the output, `[n, z', y', x', n_out]`.
    pub fn back(
        self,
        weight: &Tensor,
        input: &Tensor,
        gradient: &Tensor,
        scratch: &mut Vec<f32>,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let is_wanted = input.requires_grad();
        let (kernels, input) = (weight.f_detach()?, input.f_detach()?);
        match self.way {
            Way::Pointwise => {
                let (n_out, n_in) = (kernels.size()[0], kernels.size()[1]);
                let rows = gradient.f_reshape([-1, n_out])?;
                let of_weight =
                    rows.f_transpose(0, 1)?.f_mm(&voxels(&input)?.f_reshape([-1, n_in])?)?;
                let of_input =
                    || channels_first(&gradient.f_matmul(&kernels.f_reshape([n_out, n_in])?)?);
                Ok((of_weight.f_reshape(kernels.size())?, is_wanted.then(of_input).transpose()?))
            }
            Way::Winograd(geometry, tile) => {
                let of_input = if is_wanted {
                    let kernels = kernels.f_contiguous()?;
                    let back = Convolution::back(geometry, tile, values(&kernels)?, n_threads())
                        .map_err(out_of_memory)?;
                    let windows = windows([3; 3], [1; 3], [[1; 2]; 3], spatial_size(&input)?);
                    let n_in = geometry.n_in as i64;
                    let gradient = channels_first(gradient)?;
                    Some(run(&back, n_in, windows, &gradient, Ending::default())?)
                } else {
                    None
                };
                let input = voxels(&input)?;
                let (input, gradient) = (map(&input)?, map(gradient)?);
                let of_weight = cinetomo_tensors::filled(&kernels.size(), |out| {
                    weight_gradient(input, gradient, tile, out, scratch, n_threads())
                        .map_err(out_of_memory)
                })?;
                Ok((of_weight, of_input))
            }
            Way::Stem(geometry, windows) => {
                let mut size = kernels.size();
                size[1] = 1;
                let input = voxels(&input)?;
                let (input, gradient) = (map(&input)?, values(gradient)?);
                let of_sum = cinetomo_tensors::filled(&size, |out| {
                    stem_gradient(geometry, input, windows, gradient, out, n_threads())
                        .map_err(out_of_memory)
                })?;
                // That of a sum is that of every summand.
                Ok((of_sum.f_expand(kernels.size(), false)?.f_contiguous()?, None))
            }
            Way::Libtorch(leaf, output) => {
                let gradients = tch::with_grad(|| -> Result<_> {
                    // The gradient of this product is that of the output.
                    let product = output.f_permute([0, 2, 3, 4, 1])?.f_mul(gradient)?;
                    let leaves = [weight, &leaf];
                    let leaves = &leaves[..if is_wanted { 2 } else { 1 }];
                    let sum = product.f_sum(Kind::Float)?;
                    Ok(Tensor::f_run_backward(&[sum], leaves, false, false)?)
                })?;
                let mut gradients = gradients.into_iter();
                Ok((gradients.next().unwrap_or_default(), gradients.next()))
            }
        }
    }
}

/// Fewest voxels for which it is worth the while to transform the weights, twice, and the gradient of the weights back: 64 numbers for each pair of
/// channels go through memory six times, as long as libtorch takes for the products of 400 voxels at 200 GFLOP/s.
const LEAST_VOXELS: i64 = 400;

/// Fewest voxels for which this holds for tiles of 4 outputs, too, with 144 numbers.
const LARGE_TILES: i64 = 2000;

/// The geometry and the size of the tiles, if Winograd's way is faster.
fn winograd(convolution: &Conv3d, input: &Tensor, grey: bool) -> Result<Option<(Geometry, usize)>> {
    let Some((geometry, Method::Winograd(tile))) = folded::kernel(convolution, grey) else {
        return Ok(None);
    };
    let size = spatial_size(input)?;
    let windows = windows_of(&convolution.config, size);
    let is_centred = windows.size == unsigned(size) && windows.before == [1; 3];
    let n_voxels = input.size()[0] * size.iter().product::<i64>();
    if !is_centred || n_voxels < LEAST_VOXELS {
        return Ok(None);
    }
    Ok(Some((geometry, if n_voxels < LARGE_TILES { 2 } else { tile })))
}

/// Bytes that a convolution works in, forward or back.
pub fn scratch_bytes(convolution: &Conv3d, grey: bool) -> usize {
    let all_threads = |geometry, method| {
        Convolution::bytes(geometry, method)
            + Convolution::scratch_bytes(geometry, method) * n_threads()
    };
    match folded::kernel(convolution, grey) {
        Some((geometry, method @ Method::Winograd(tile))) => {
            let channels = [geometry.n_in, geometry.n_out];
            // What gradients of weights work in is kept for the next ones.
            all_threads(geometry, method) + weight_gradient_bytes(channels, tile)
        }
        Some((geometry, Method::Stem)) => {
            all_threads(geometry, Method::Stem).max(stem_gradient_bytes(geometry))
        }
        _ => 0,
    }
}
