//! The inference form of convolutions and linear layers: the BatchNorm after a convolution folded into weights and bias, sum and ReLU in the same pass,
//! weights in the order that the kernels read.
//!
//! It is made when a pass first asks for it (`BatchNormMode::Folded`), and made anew when its tensors have changed since.

use std::cell::{Cell, RefCell};

use cinetomo_kernels::{Convolution, Finish, Geometry, Map, Method, Windows};
use tch::{Device, Kind, Tensor};

use super::{
    kernel::{
        channels_first, is_ours, n_threads, out_of_memory, prepared, run, unsigned, values,
        windows, windows_of,
    },
    layers::{BatchNorm3d, Conv3d, Conv3dConfig, spatial_size},
    ledger::{self, F32},
    precision::rounded,
    scoped::during,
};
use crate::error::{Error, Result};

thread_local! {
    /// Whether this thread is in a pass in the inference form.
    static INFERENCE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `pass`, whose layers on this thread work in their inference form if `is_inference`; those that are told the pass need not ask.
pub fn in_form<T>(is_inference: bool, pass: impl FnOnce() -> T) -> T {
    during(&INFERENCE, is_inference, pass)
}

/// Whether this thread is in a pass in the inference form, which has no gradients.
pub fn is_inference() -> bool {
    INFERENCE.get()
}

/// The inference form of a linear layer.
#[derive(Default)]
pub struct Packed(RefCell<Option<(Vec<i64>, Convolution)>>);

impl Packed {
    /// From `[..., n_in]` to `[..., n_out]` with the weight `[n_out, n_in]`; `None` if the pass is not in the inference form or it has none.
    pub fn forward(
        &self,
        input: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Option<Tensor>> {
        let (n_out, n_in) = weight.size2()?;
        let ours = is_inference() && is_ours(weight);
        let Some((geometry, method)) = linear(n_in, n_out).filter(|_| ours) else {
            return Ok(None);
        };
        let mut size = input.size();
        if let Some(last) = size.last_mut() {
            *last = n_out;
        }
        if ledger::is_walking() {
            enter_kernel(geometry, method);
            return Ok(Some(Tensor::f_empty(&size, (Kind::Float, Device::Cpu))?));
        }
        let versions = versions([Some(weight), bias].into_iter().flatten())?;
        let mut packed = self.0.borrow_mut();
        let (_, kernel) = match packed.take() {
            Some(current) if current.0 == versions => packed.insert(current),
            _ => {
                let bias = match bias {
                    Some(bias) => bias.shallow_clone(),
                    None => Tensor::f_zeros([n_out], (Kind::Float, Device::Cpu))?,
                };
                packed.insert((versions, prepared(geometry, method, weight, &bias)?))
            }
        };
        let tokens = input.f_contiguous()?;
        let n_tokens = tokens.numel() / n_in as usize;
        let map =
            Map { values: values(&tokens)?, size: [1, 1, n_tokens], n_channels: n_in as usize };
        let windows = Windows { size: [1, 1, n_tokens], before: [0; 3] };
        let finish = Finish { summand: None, relu: false };
        let output = cinetomo_tensors::filled(&size, |out| {
            kernel.run(map, windows, finish, out, n_threads()).map_err(out_of_memory)
        })?;
        Ok(Some(output))
    }
}

/// How our own kernels compute a linear layer, if they do: as a convolution of single voxels.
fn linear(n_in: i64, n_out: i64) -> Option<(Geometry, Method)> {
    let [n_in, n_out] = [n_in, n_out].map(|n| n as usize);
    let geometry = Geometry { n_in, n_out, kernel: [1; 3], stride: [1; 3] };
    Method::of(geometry, [1; 3]).map(|method| (geometry, method))
}

/// The maximum over windows of `[n, c, z, y, x]` by our own kernel, `None` where it has none or gradients are wanted.
pub fn max_pool(
    input: &Tensor,
    kernel: [i64; 3],
    stride: [i64; 3],
    amount: [[i64; 2]; 3],
) -> Result<Option<Tensor>> {
    let n_channels = input.size()[1];
    if n_channels % 16 != 0 || input.requires_grad() || ledger::is_walking() || !is_ours(input) {
        return Ok(None);
    }
    let voxels = input.f_permute([0, 2, 3, 4, 1])?;
    let Some(values) = cinetomo_tensors::values(&voxels) else { return Ok(None) };
    let size = spatial_size(input)?;
    let windows = windows(kernel, stride, amount, size);
    let map = Map { values, size: unsigned(size), n_channels: n_channels as usize };
    let [z, y, x] = windows.size.map(|extent| extent as i64);
    let output = cinetomo_tensors::filled(&[input.size()[0], z, y, x, n_channels], |out| {
        let window = [unsigned(kernel), unsigned(stride)];
        cinetomo_kernels::max_pool(map, window, windows, out, n_threads());
        Ok::<(), Error>(())
    })?;
    Ok(Some(channels_first(&output)?))
}

/// What a convolution adds to its output, and what follows.
#[derive(Clone, Copy, Default)]
pub struct Ending<'a> {
    /// Added, of the shape of the output.
    pub summand: Option<&'a Tensor>,
    /// Whether what is below 0 then becomes 0.
    pub relu: bool,
}

impl Ending<'_> {
    /// A ReLU.
    pub const RELU: Ending<'static> = Ending { summand: None, relu: true };
}

/// A convolution with its BatchNorm folded in.
pub struct Folded {
    /// Versions of the tensors that it was made of.
    versions: Vec<i64>,
    /// How our own kernels compute it, if they do.
    way: Option<(Geometry, Method)>,
    form: Form,
}

enum Form {
    /// Our own kernels: single precision on the CPU.
    Kernel(Convolution),
    /// libtorch's: weight and bias.
    Libtorch(Tensor, Tensor),
}

impl Folded {
    /// Folds `batch_norm`, if there is one, into `convolution` for inputs of that size; a grey one has its kernels summed over the input channels.
    pub fn new(
        convolution: &Conv3d,
        batch_norm: Option<&BatchNorm3d>,
        grey: bool,
        input: [i64; 3],
    ) -> Result<Folded> {
        let _guard = tch::no_grad_guard();
        let mut weight = convolution.weight.shallow_clone();
        if grey {
            weight = weight.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Double)?;
        }
        let n_out = weight.size()[0];
        let mut bias = match &convolution.bias {
            Some(bias) => bias.f_to_kind(Kind::Double)?,
            None => Tensor::f_zeros([n_out], (Kind::Double, weight.device()))?,
        };
        if let Some(batch_norm) = batch_norm {
            let (scale, shift) = batch_norm.as_scale_and_shift()?;
            bias = bias.f_mul(&scale)?.f_add(&shift)?;
            // In the weight's own precision: a copy of all weights in another costs more than the rest of the work.
            let scale = scale.f_to_kind(weight.f_kind()?)?;
            weight = weight.f_mul(&scale.f_reshape([n_out, 1, 1, 1, 1])?)?;
        }
        let (weight, bias) = (weight.f_to_kind(Kind::Float)?, bias.f_to_kind(Kind::Float)?);
        let way = kernel(convolution, grey, input);
        let form = match way {
            Some((geometry, method)) => {
                let weight = convolution.config.taps(input).of(&weight)?;
                Form::Kernel(prepared(geometry, method, &weight, &bias)?)
            }
            None => Form::Libtorch(weight, bias),
        };
        Ok(Folded { versions: versions_of(convolution, batch_norm)?, way, form })
    }

    /// Whether the tensors that it was made of are still the same, and what computes it for inputs of that size.
    pub fn is_current(
        &self,
        convolution: &Conv3d,
        batch_norm: Option<&BatchNorm3d>,
        grey: bool,
        input: [i64; 3],
    ) -> Result<bool> {
        let same_way = self.way == kernel(convolution, grey, input);
        Ok(same_way && self.versions == versions_of(convolution, batch_norm)?)
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
                let windows = windows_of(&convolution.config, spatial_size(input)?);
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
    let Conv3dConfig { n_in, n_out, .. } = convolution.config;
    let size = spatial_size(input)?;
    let [z, y, x] = convolution.config.taps(size).kernel;
    let windows = windows_of(&convolution.config, size);
    let of_output = if grey { 1 } else { n_in / convolution.n_groups };
    let n_seen = of_output * z * y * x;
    match kernel(convolution, grey, size) {
        Some((geometry, method)) => enter_kernel(geometry, method),
        None => {
            // libtorch's form has the whole kernels, which are cut in every pass.
            let n_taps = convolution.config.kernel.iter().product::<i64>();
            ledger::enter_prepared((of_output * n_taps * n_out) as u64 * F32);
            ledger::enter_copy(&convolution.weight);
        }
    }
    let [z, y, x] = windows.size.map(|extent| extent as i64);
    let output = Tensor::f_empty([0, n_out, z, y, x], (Kind::Float, input.device()))?;
    ledger::enter(&output, F32, n_seen);
    Ok(output)
}

/// Enters what one of our own kernels takes.
fn enter_kernel(geometry: Geometry, method: Method) {
    ledger::enter_prepared(Convolution::bytes(geometry, method) as u64);
    let scratch = Convolution::scratch_bytes(geometry, method) as u64;
    ledger::enter_scratch(scratch * n_threads() as u64);
}

/// How our own kernels compute the convolution of inputs of that size, if they do: its taps that is.
pub fn kernel(convolution: &Conv3d, grey: bool, input: [i64; 3]) -> Option<(Geometry, Method)> {
    let Conv3dConfig { n_in, n_out, stride, .. } = convolution.config;
    let kernel = convolution.config.taps(input).kernel;
    let n_in = if grey { 1 } else { n_in };
    let geometry = Geometry {
        n_in: n_in as usize,
        n_out: n_out as usize,
        kernel: unsigned(kernel),
        stride: unsigned(stride),
    };
    if is_ours(&convolution.weight) && convolution.n_groups == 1 {
        Method::of(geometry, unsigned(input)).map(|method| (geometry, method))
    } else {
        None
    }
}

fn versions_of(convolution: &Conv3d, batch_norm: Option<&BatchNorm3d>) -> Result<Vec<i64>> {
    let tensors = [Some(&convolution.weight), convolution.bias.as_ref()].into_iter().flatten();
    versions(tensors.chain(batch_norm.into_iter().flat_map(BatchNorm3d::tensors)))
}

/// How often each tensor was changed.
pub fn versions<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Result<Vec<i64>> {
    tensors.map(|tensor| Ok(tensor.f_internal_version()?)).collect()
}

#[cfg(test)]
#[path = "folded_test.rs"]
mod folded_test;
