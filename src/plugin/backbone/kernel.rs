//! libtorch's tensors in and out of our own kernels, whose maps have the channels last.

use cinetomo_kernels::{Convolution, Finish, Geometry, Map, Method, Windows};
use tch::{Device, Kind, Tensor};

use super::{
    folded::Ending,
    layers::{Conv3dConfig, Taps},
    precision::{Precision, current},
};
use crate::error::{Error, ErrorKind, Result};

/// Whether our own kernels compute on such values: single precision on the CPU.
pub fn is_ours(tensor: &Tensor) -> bool {
    current() == Precision::F32 && tensor.device() == Device::Cpu && tensor.kind() == Kind::Float
}

/// How the windows of a convolution, its taps that is, lie over an input of that size.
pub fn windows_of(config: &Conv3dConfig, input: [i64; 3]) -> Windows {
    let Taps { kernel, padding, .. } = config.taps(input);
    windows(kernel, config.stride, padding, input)
}

/// How windows lie over an input with so many voxels of padding before and after it.
pub fn windows(
    kernel: [i64; 3],
    stride: [i64; 3],
    amount: [[i64; 2]; 3],
    input: [i64; 3],
) -> Windows {
    let size = std::array::from_fn(|axis| {
        let padded = input[axis] + amount[axis].iter().sum::<i64>();
        ((padded - kernel[axis]) / stride[axis] + 1) as usize
    });
    Windows { size, before: amount.map(|[before, _]| before as usize) }
}

/// Sizes, none of which is below 0.
pub fn unsigned(sizes: [i64; 3]) -> [usize; 3] {
    sizes.map(|extent| extent as usize)
}

/// The values of a tensor that `is_ours` and contiguous.
pub fn values(tensor: &Tensor) -> Result<&[f32]> {
    let message = "a layer was given values that are not f32 on the CPU";
    cinetomo_tensors::values(tensor).ok_or_else(|| Error::new(ErrorKind::Panic, message))
}

/// One of our own kernels, with its weights in the order that it reads.
pub fn prepared(
    geometry: Geometry,
    method: Method,
    weight: &Tensor,
    bias: &Tensor,
) -> Result<Convolution> {
    let (weight, bias) = (weight.f_contiguous()?, bias.f_contiguous()?);
    Convolution::new(geometry, method, values(&weight)?, values(&bias)?, n_threads())
        .map_err(out_of_memory)
}

/// The output `[n, n_out, z', y', x']` of a kernel.
pub fn run(
    kernel: &Convolution,
    n_out: i64,
    windows: Windows,
    input: &Tensor,
    ending: Ending<'_>,
) -> Result<Tensor> {
    let voxels = voxels(input)?;
    let summand = ending.summand.map(self::voxels).transpose()?;
    let map = map(&voxels)?;
    let finish = Finish { summand: summand.as_ref().map(values).transpose()?, relu: ending.relu };
    let [z, y, x] = windows.size.map(|extent| extent as i64);
    let output = cinetomo_tensors::filled(&[input.size()[0], z, y, x, n_out], |out| {
        kernel.run(map, windows, finish, out, n_threads()).map_err(out_of_memory)
    })?;
    channels_first(&output)
}

/// `[n, c, z, y, x]` as contiguous `[n, z, y, x, c]`: no copy where the channels come last already.
pub fn voxels(map: &Tensor) -> Result<Tensor> {
    Ok(map.f_permute([0, 2, 3, 4, 1])?.f_contiguous()?)
}

/// `[n, z, y, x, c]` seen as `[n, c, z, y, x]`.
pub fn channels_first(voxels: &Tensor) -> Result<Tensor> {
    Ok(voxels.f_permute([0, 4, 1, 2, 3])?)
}

/// Contiguous `[n, z, y, x, c]` for the kernels.
pub fn map(voxels: &Tensor) -> Result<Map<'_>> {
    let (_, z, y, x, n_channels) = voxels.size5()?;
    let size = unsigned([z, y, x]);
    Ok(Map { values: values(voxels)?, size, n_channels: n_channels as usize })
}

/// As many as libtorch takes.
pub fn n_threads() -> usize {
    usize::try_from(tch::get_num_threads()).unwrap_or(1)
}

/// There is no memory for what a kernel needs.
pub fn out_of_memory(error: std::collections::TryReserveError) -> Error {
    Error::new(ErrorKind::OutOfMemory, format!("values of a layer: {error}"))
}
