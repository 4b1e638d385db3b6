//! The inference form of a convolution: the BatchNorm after it folded into weights and bias, sum and ReLU in the same pass.
//!
//! It is made when a pass first asks for it, and made anew when its tensors have changed since.

use cinetomo_kernels::{Convolution, Finish, Geometry, Map, Method, Windows};
use tch::{Device, Kind, Tensor};

use super::{
    layers::{BatchNorm3d, Conv3d, Conv3dConfig, spatial_size},
    ledger::{self, F32},
    precision::{Precision, current, rounded},
};
use crate::error::{Error, ErrorKind, Result};

/// What a convolution adds to its output, and what follows.
#[derive(Clone, Copy, Default)]
pub struct Ending<'a> {
    /// Added, of the shape of the output.
    pub summand: Option<&'a Tensor>,
    /// Whether what is below 0 then becomes 0.
    pub relu: bool,
}

/// A convolution with its BatchNorm folded in.
pub struct Folded {
    /// Versions of the tensors that it was made of.
    versions: Vec<i64>,
    form: Form,
}

enum Form {
    /// Our own kernels: single precision on the CPU.
    Kernel(Convolution),
    /// libtorch's: weight and bias.
    Libtorch(Tensor, Tensor),
}

impl Folded {
    /// Folds `batch_norm`, if there is one, into `convolution`, in double precision; a grey one has its kernels summed over the input channels.
    pub fn new(
        convolution: &Conv3d,
        batch_norm: Option<&BatchNorm3d>,
        grey: bool,
    ) -> Result<Folded> {
        let _guard = tch::no_grad_guard();
        let mut weight = convolution.weight.f_to_kind(Kind::Double)?;
        if grey {
            weight = weight.f_sum_dim_intlist([1i64].as_slice(), true, None)?;
        }
        let n_out = weight.size()[0];
        let mut bias = match &convolution.bias {
            Some(bias) => bias.f_to_kind(Kind::Double)?,
            None => Tensor::f_zeros([n_out], (Kind::Double, weight.device()))?,
        };
        if let Some(batch_norm) = batch_norm {
            let (scale, shift) = batch_norm.as_scale_and_shift()?;
            weight = weight.f_mul(&scale.f_reshape([n_out, 1, 1, 1, 1])?)?;
            bias = bias.f_mul(&scale)?.f_add(&shift)?;
        }
        let (weight, bias) = (weight.f_to_kind(Kind::Float)?, bias.f_to_kind(Kind::Float)?);
        let form = match kernel(convolution, grey) {
            Some((geometry, method)) => {
                let (weight, bias) = (weight.f_contiguous()?, bias.f_contiguous()?);
                let values = |tensor| cinetomo_tensors::values(tensor).ok_or_else(not_on_cpu);
                Form::Kernel(
                    Convolution::new(geometry, method, values(&weight)?, values(&bias)?)
                        .map_err(out_of_memory)?,
                )
            }
            None => Form::Libtorch(weight, bias),
        };
        Ok(Folded { versions: versions(convolution, batch_norm)?, form })
    }

    /// Whether the tensors that it was made of are still the same, and what computes it.
    pub fn is_current(
        &self,
        convolution: &Conv3d,
        batch_norm: Option<&BatchNorm3d>,
    ) -> Result<bool> {
        let same_form =
            matches!(self.form, Form::Kernel(_)) == kernel(convolution, false).is_some();
        Ok(same_form && self.versions == versions(convolution, batch_norm)?)
    }

    /// From `[n, n_in, z, y, x]` to `[n, n_out, z', y', x']`.
    pub fn forward(
        &self,
        convolution: &Conv3d,
        input: &Tensor,
        ending: Ending<'_>,
    ) -> Result<Tensor> {
        match &self.form {
            Form::Kernel(kernel) => {
                let windows = windows(&convolution.config, spatial_size(input)?);
                run(kernel, convolution.config.n_out, windows, input, ending)
            }
            Form::Libtorch(weight, bias) => {
                let bias = rounded(bias)?;
                let mut output = convolution.convolve(input, weight, Some(&bias))?;
                if let Some(summand) = ending.summand {
                    output = output.f_add_(&rounded(summand)?)?;
                }
                Ok(if ending.relu { output.f_relu_()? } else { output })
            }
        }
    }
}

/// What an empty input walks through: the shape of the output, entered with what `Folded` would take.
pub fn walk(convolution: &Conv3d, input: &Tensor, grey: bool) -> Result<Tensor> {
    let Conv3dConfig { n_in, n_out, kernel: [z, y, x], .. } = convolution.config;
    let windows = windows(&convolution.config, spatial_size(input)?);
    let of_output = if grey { 1 } else { n_in / convolution.n_groups };
    let n_weights = of_output * z * y * x * n_out;
    match kernel(convolution, grey) {
        Some((geometry, method)) => {
            ledger::enter_prepared(Convolution::bytes(geometry, method) as u64);
            let scratch = Convolution::scratch_bytes(geometry, method) as u64;
            ledger::enter_scratch(scratch * n_threads() as u64);
        }
        None => {
            ledger::enter_prepared(n_weights as u64 * F32);
            ledger::enter_copy(&convolution.weight);
        }
    }
    let [z, y, x] = windows.size.map(|extent| extent as i64);
    let output = Tensor::f_empty([0, n_out, z, y, x], (Kind::Float, input.device()))?;
    ledger::enter(&output, F32, n_weights / n_out);
    Ok(output)
}

/// How our own kernels compute the convolution, if they do.
fn kernel(convolution: &Conv3d, grey: bool) -> Option<(Geometry, Method)> {
    let Conv3dConfig { n_in, n_out, kernel, stride, .. } = convolution.config;
    let n_in = if grey { 1 } else { n_in };
    let size = |sizes: [i64; 3]| sizes.map(|extent| extent as usize);
    let geometry = Geometry {
        n_in: n_in as usize,
        n_out: n_out as usize,
        kernel: size(kernel),
        stride: size(stride),
    };
    let ours = current() == Precision::F32
        && convolution.weight.device() == Device::Cpu
        && convolution.n_groups == 1;
    if ours { Method::of(geometry).map(|method| (geometry, method)) } else { None }
}

/// How the windows lie over an input of that size.
fn windows(config: &Conv3dConfig, input: [i64; 3]) -> Windows {
    let Conv3dConfig { kernel, stride, padding, .. } = *config;
    let amount = padding.amount(input, kernel, stride);
    let size = std::array::from_fn(|axis| {
        let padded = input[axis] + amount[axis].iter().sum::<i64>();
        ((padded - kernel[axis]) / stride[axis] + 1) as usize
    });
    Windows { size, before: amount.map(|[before, _]| before as usize) }
}

fn run(
    kernel: &Convolution,
    n_out: i64,
    windows: Windows,
    input: &Tensor,
    ending: Ending<'_>,
) -> Result<Tensor> {
    let channels_last = |map: &Tensor| map.f_permute([0, 2, 3, 4, 1])?.f_contiguous();
    let voxels = channels_last(input)?;
    let summand = ending.summand.map(channels_last).transpose()?;
    let values = |tensor| cinetomo_tensors::values(tensor).ok_or_else(not_on_cpu);
    let map = Map {
        values: values(&voxels)?,
        size: spatial_size(input)?.map(|extent| extent as usize),
        n_channels: input.size()[1] as usize,
    };
    let finish = Finish { summand: summand.as_ref().map(values).transpose()?, relu: ending.relu };
    let [z, y, x] = windows.size.map(|extent| extent as i64);
    let output = cinetomo_tensors::filled(&[input.size()[0], z, y, x, n_out], |out| {
        kernel.run(map, windows, finish, out, n_threads()).map_err(out_of_memory)
    })?;
    Ok(output.f_permute([0, 4, 1, 2, 3])?)
}

/// As many as libtorch takes.
fn n_threads() -> usize {
    usize::try_from(tch::get_num_threads()).unwrap_or(1)
}

fn versions(convolution: &Conv3d, batch_norm: Option<&BatchNorm3d>) -> Result<Vec<i64>> {
    let tensors = [Some(&convolution.weight), convolution.bias.as_ref()].into_iter().flatten();
    let tensors = tensors.chain(batch_norm.into_iter().flat_map(BatchNorm3d::tensors));
    tensors.map(|tensor| Ok(tensor.f_internal_version()?)).collect()
}

fn out_of_memory(error: std::collections::TryReserveError) -> Error {
    Error::new(ErrorKind::OutOfMemory, format!("a convolution: {error}"))
}

fn not_on_cpu() -> Error {
    Error::new(ErrorKind::Panic, "a convolution was given values that are not f32 on the CPU")
}

#[cfg(test)]
#[path = "folded_test.rs"]
mod folded_test;
