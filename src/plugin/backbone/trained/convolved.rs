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
        layers::{Conv3d, Conv3dConfig, Taps, spatial_size},
        ledger::{self, F32, Layer},
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
        let Conv3dConfig { n_in, n_out, .. } = convolution.config;
        let weight = convolution.weight.f_detach()?;
        let windows = windows_of(&convolution.config, spatial_size(input)?);
        let convolved = |geometry: Geometry, method: Method, weight: &Tensor| {
            let bias = Tensor::f_zeros([n_out], (Kind::Float, Device::Cpu))?;
            let kernel = prepared(geometry, method, weight, &bias)?;
            voxels(&run(&kernel, n_out, windows, &input.f_detach()?, Ending::default())?)
        };
        let (output, way) = match Plan::of(convolution, input, input.size()[0], grey)? {
            Plan::Pointwise => {
                let weight = weight.f_reshape([n_out, n_in])?.f_transpose(0, 1)?;
                (voxels(&input.f_detach()?)?.f_matmul(&weight)?, Way::Pointwise)
            }
            Plan::Winograd(geometry, tile) => {
                let output = convolved(geometry, Method::Winograd(tile), &weight)?;
                (output, Way::Winograd(geometry, tile))
            }
            Plan::Stem(geometry) => {
                let weight = weight.f_sum_dim_intlist([1i64].as_slice(), true, None)?;
                (convolved(geometry, Method::Stem, &weight)?, Way::Stem(geometry, windows))
            }
            Plan::Libtorch => {
                let leaf = input.f_detach()?.f_set_requires_grad(input.requires_grad())?;
                let output = tch::with_grad(|| match grey {
                    true => convolution.forward_grey(&leaf),
                    false => convolution.forward(&leaf),
                })?;
                (voxels(&output.f_detach()?)?, Way::Libtorch(leaf, output))
            }
        };
        Ok(Convolved { output, way })
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
        let Convolved { output, way } = self;
        drop(output);
        match way {
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
                    let leaves = [weight, &leaf];
                    let leaves = &leaves[..if is_wanted { 2 } else { 1 }];
                    // The gradient of this product is that of the output.
                    let sum =
                        output.f_permute([0, 2, 3, 4, 1])?.f_mul(gradient)?.f_sum(Kind::Float)?;
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

/// How a convolution is computed.
enum Plan {
    Winograd(Geometry, usize),
    Stem(Geometry),
    Pointwise,
    Libtorch,
}

impl Plan {
    /// For a batch of `n` inputs like `input`, which may be empty.
    fn of(convolution: &Conv3d, input: &Tensor, n: i64, grey: bool) -> Result<Plan> {
        let Conv3dConfig { kernel, stride, .. } = convolution.config;
        if convolution.n_groups == 1 && (kernel, stride) == ([1; 3], [1; 3]) && !grey {
            return Ok(Plan::Pointwise);
        }
        let size = spatial_size(input)?;
        Ok(match folded::kernel(convolution, grey, size) {
            // Its gradient would be that of some taps.
            Some((geometry, _)) if geometry.kernel != unsigned(kernel) => Plan::Libtorch,
            Some((geometry, Method::Winograd(tile))) => {
                let windows = windows_of(&convolution.config, size);
                let is_centred = windows.size == unsigned(size) && windows.before == [1; 3];
                match n * size.iter().product::<i64>() {
                    n_voxels if !is_centred || n_voxels < LEAST_VOXELS => Plan::Libtorch,
                    n_voxels if n_voxels < LARGE_TILES => Plan::Winograd(geometry, 2),
                    _ => Plan::Winograd(geometry, tile),
                }
            }
            Some((geometry, Method::Stem)) if !input.requires_grad() => Plan::Stem(geometry),
            _ => Plan::Libtorch,
        })
    }
}

/// What a step takes for a convolution from the empty `input` to `output`: `kept` beside the output; `back` with the gradient of the input and what
/// libtorch makes of that of the output.
pub fn cost(convolution: &Conv3d, input: &Tensor, output: &Tensor, grey: bool) -> Result<Layer> {
    let Conv3dConfig { n_in, kernel, .. } = convolution.config;
    let weights = convolution.weight.numel() as u64 * F32;
    let of_input = if input.requires_grad() { ledger::of_batch(input) } else { 0 };
    let size = spatial_size(input)?;
    let n = ledger::batch_size();
    let layer = Layer { weights, ..Layer::default() };
    Ok(match Plan::of(convolution, input, n as i64, grey)? {
        Plan::Pointwise => Layer { back: of_input, ..layer },
        Plan::Winograd(geometry, tile) => {
            let (there, method) = ([geometry.n_in, geometry.n_out], Method::Winograd(tile));
            let back = Geometry { n_in: there[1], n_out: there[0], ..geometry };
            // Transformed weights are gone before their gradient is computed.
            let of_back = all_threads(back, method).saturating_sub(weights);
            let wanted = if input.requires_grad() { of_input + of_back } else { 0 };
            let scratch = weight_gradient_bytes(there, tile, n as usize, unsigned(size)) as u64;
            Layer { forward: all_threads(geometry, method), back: wanted, scratch, ..layer }
        }
        Plan::Stem(geometry) => Layer {
            forward: all_threads(geometry, Method::Stem),
            back: stem_gradient_bytes(geometry) as u64,
            ..layer
        },
        Plan::Libtorch => {
            let Taps { kernel: [z, y, x], padding, .. } = convolution.config.taps(size);
            let padded = if padding.iter().all(|[before, after]| before == after) {
                0
            } else {
                let n_voxels = std::iter::zip(size, padding).map(|(n, [a, b])| n + a + b);
                n * n_voxels.product::<i64>() as u64 * if grey { 1 } else { n_in as u64 } * F32
            };
            let seen = weights / kernel.iter().product::<i64>() as u64 * (z * y * x) as u64;
            // Weights with the channels last and in oneDNN's own order; back the same of their gradient.
            let back = 2 * ledger::of_batch(output) + padded + of_input + 2 * seen;
            Layer { kept: padded, forward: 2 * seen, back, ..layer }
        }
    })
}

/// Bytes of one of our own kernels, and of what its threads work in.
fn all_threads(geometry: Geometry, method: Method) -> u64 {
    let of_threads = Convolution::scratch_bytes(geometry, method) * n_threads();
    (Convolution::bytes(geometry, method) + of_threads) as u64
}
