//! Layers that the networks share. Each creates its tensors as `<prefix><leaf>`, with PyTorch's leaf names
//! (`weight`, `bias`, `running_mean`, `running_var`); the prefix ends in the separator of the network's checkpoints.

use std::cell::RefCell;

use tch::{Device, Kind, Tensor};

use super::{
    BatchNormMode,
    folded::{self, Ending, Folded},
    ledger::{self, F32},
    precision::{rounded, single},
    trained,
};
use crate::{
    error::{Error, Result},
    parameters::{Parameters, Role},
};

/// How a convolution or pool treats its borders.
#[derive(Clone, Copy, Debug)]
pub enum Padding {
    /// So many voxels on both sides along z, y, x.
    Fixed([i64; 3]),
    /// (kernel - 1) / 2 voxels on both sides, rounded down: the windows of odd kernels are centred on voxels.
    Centred,
    /// TensorFlow's SAME: output = ceil(input / stride), the odd voxel at the far end.
    Same,
}

impl Padding {
    /// Padding `[before, after]` along z, y, x of an input of that size.
    pub fn amount(self, input: [i64; 3], kernel: [i64; 3], stride: [i64; 3]) -> [[i64; 2]; 3] {
        std::array::from_fn(|axis| match self {
            Padding::Fixed(padding) => [padding[axis]; 2],
            Padding::Centred => [(kernel[axis] - 1) / 2; 2],
            Padding::Same => {
                let (input, stride) = (input[axis], stride[axis]);
                let n_outputs = (input + stride - 1) / stride;
                let total = ((n_outputs - 1) * stride + kernel[axis] - input).max(0);
                [total / 2, total - total / 2]
            }
        })
    }
}

/// What a convolution is.
#[derive(Clone, Copy, Debug)]
pub struct Conv3dConfig {
    /// Input channels.
    pub n_in: i64,
    /// Output channels.
    pub n_out: i64,
    /// Kernel size along z, y, x.
    pub kernel: [i64; 3],
    /// Stride along z, y, x.
    pub stride: [i64; 3],
    /// Zeros around the input.
    pub padding: Padding,
    /// Whether a bias is added.
    pub bias: bool,
}

impl Conv3dConfig {
    /// What of the kernels meets an input of that size.
    pub fn taps(&self, input: [i64; 3]) -> Taps {
        let Conv3dConfig { mut kernel, stride, padding, .. } = *self;
        let mut padding = padding.amount(input, kernel, stride);
        let mut first = [0; 3];
        for axis in (0..3).filter(|axis| stride[*axis] == 1) {
            let n = input[axis] + padding[axis].iter().sum::<i64>();
            let last_window = (n - kernel[axis]).max(0);
            // What is in the zeros with every window.
            let unseen = padding[axis].map(|amount| (amount - last_window).max(0));
            padding[axis] = padding[axis].map(|amount| amount.min(last_window));
            kernel[axis] -= unseen[0] + unseen[1];
            first[axis] = unseen[0];
        }
        Taps { kernel, padding, first }
    }
}

/// What of a convolution's kernels meets an input, on which they lie a voxel apart: where a map is smaller than they are, their borders see nothing but zeros.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taps {
    /// Size along z, y, x.
    pub kernel: [i64; 3],
    /// Zeros `[before, after]` around the input along z, y, x.
    pub padding: [[i64; 2]; 3],
    /// Where they begin in the kernels.
    first: [i64; 3],
}

impl Taps {
    /// Of the weight `[n_out, n_in, z, y, x]`.
    pub fn of(&self, weight: &Tensor) -> Result<Tensor> {
        let mut taps = weight.shallow_clone();
        for (axis, first) in (2..).zip(self.first) {
            let n = self.kernel[axis as usize - 2];
            if n < taps.size()[axis as usize] {
                taps = taps.f_narrow(axis, first, n)?;
            }
        }
        Ok(taps)
    }
}

/// A 3D convolution.
pub struct Conv3d {
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    pub(super) config: Conv3dConfig,
    pub(super) n_groups: i64,
}

impl Conv3d {
    /// Creates `weight` `[n_out, n_in, z, y, x]`, drawn from a normal distribution of variance 2 / fan-in (He et al.
    /// 2015, eq. 10), and, if asked for, `bias` `[n_out]`, zero.
    pub fn new(parameters: &mut Parameters, prefix: &str, config: Conv3dConfig) -> Result<Conv3d> {
        Conv3d::grouped(parameters, prefix, config, 1)
    }

    /// The same for channels in `n_groups` groups, which divide `n_in` and `n_out`: every output channel sees the input channels of its
    /// group, so `weight` is `[n_out, n_in / n_groups, z, y, x]`.
    pub fn grouped(
        parameters: &mut Parameters,
        prefix: &str,
        config: Conv3dConfig,
        n_groups: i64,
    ) -> Result<Conv3d> {
        let Conv3dConfig { n_in, n_out, kernel: [z, y, x], bias, .. } = config;
        let fan_in = (n_in / n_groups * z * y * x) as f64;
        let shape = [n_out, n_in / n_groups, z, y, x];
        let weight =
            parameters.normal(&format!("{prefix}weight"), &shape, (2.0 / fan_in).sqrt())?;
        let bias = if bias {
            Some(parameters.constant(&format!("{prefix}bias"), &[n_out], 0.0, Role::Weight)?)
        } else {
            None
        };
        Ok(Conv3d { weight, bias, config, n_groups })
    }

    /// From `[n, n_in, z, y, x]` to `[n, n_out, z', y', x']`.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.with_bias(input, &self.weight)
    }

    /// From a grey input `[n, 1, z, y, x]` to what `forward` gives when that input fills every input channel.
    ///
    /// Convolution is linear, so the kernels are summed over the input channels instead: the same output and the same
    /// gradients for `1 / n_in` of the work.
    pub fn forward_grey(&self, input: &Tensor) -> Result<Tensor> {
        let weight = self.weight.f_sum_dim_intlist([1i64].as_slice(), true, None)?;
        if input.device() != Device::Cpu {
            return self.with_bias(input, &weight);
        }
        // Channels last: the same voxels with the stride of a channel that comes last. oneDNN keeps that layout
        // through the network, which makes I3D's inference 1.4 to 1.5 times and its training 1.1 to 1.3 times as fast.
        let voxels = input.f_squeeze_dim(1)?.f_contiguous()?.f_unsqueeze(-1)?;
        self.with_bias(&voxels.f_permute([0, 4, 1, 2, 3])?, &weight)
    }

    fn with_bias(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(rounded).transpose()?;
        self.convolve(input, weight, bias.as_ref())
    }

    /// The convolution with another weight and bias.
    pub(super) fn convolve(
        &self,
        input: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        let stride = self.config.stride;
        let taps = self.config.taps(spatial_size(input)?);
        let Taps { kernel, padding, .. } = taps;
        // With one thread libtorch does not let oneDNN have kernels that are one voxel along y and x unless they are dilated,
        // and its own code takes 2 to 4 times as long and gives up channels last. One voxel dilates to itself.
        let flat = kernel[1..] == [1, 1] && input.device() == Device::Cpu;
        let dilation = if flat { [1, 1, 2] } else { [1; 3] };
        let (input, weight) = (&rounded(input)?, &rounded(&taps.of(weight)?)?);
        let groups = self.n_groups;
        let output = if padding.iter().all(|[before, after]| before == after) {
            let padding = padding.map(|[before, _]| before);
            input.f_conv3d(weight, bias, stride, padding, dilation, groups)?
        } else {
            // One more copy of the input, which convolutions with symmetric padding are spared.
            let [z, y, x] = padding;
            let padded = input.f_constant_pad_nd([x[0], x[1], y[0], y[1], z[0], z[1]])?;
            ledger::enter(&padded, F32, 0);
            padded.f_conv3d(weight, bias, stride, [0; 3], dilation, groups)?
        };
        ledger::enter_copy(weight);
        ledger::enter(&output, F32, weight.size()[1..].iter().product());
        Ok(output)
    }
}

/// What a BatchNorm is.
#[derive(Clone, Copy, Debug)]
pub struct BatchNormConfig {
    /// Channels.
    pub n_channels: i64,
    /// Added to the variance.
    pub epsilon: f64,
    /// How far a batch moves the running statistics (PyTorch's momentum, 1 - TensorFlow's decay).
    pub momentum: f64,
    /// Whether channels are scaled; they are always shifted.
    pub scale: bool,
}

impl BatchNormConfig {
    /// PyTorch's defaults.
    pub fn pytorch(n_channels: i64) -> BatchNormConfig {
        BatchNormConfig { n_channels, epsilon: 1e-5, momentum: 0.1, scale: true }
    }
}

/// Batch normalisation of `[n, c, z, y, x]` (Ioffe & Szegedy 2015).
pub struct BatchNorm3d {
    pub(super) scale: Option<Tensor>,
    pub(super) shift: Tensor,
    pub(super) running_mean: Tensor,
    pub(super) running_var: Tensor,
    pub(super) config: BatchNormConfig,
}

impl BatchNorm3d {
    /// Creates, each `[n_channels]`, `weight` (1) if channels are scaled, `bias` (0), `running_mean` (0) and
    /// `running_var` (1).
    pub fn new(
        parameters: &mut Parameters,
        prefix: &str,
        config: BatchNormConfig,
    ) -> Result<BatchNorm3d> {
        let mut constant = |leaf: &str, value: f64, role: Role| {
            parameters.constant(&format!("{prefix}{leaf}"), &[config.n_channels], value, role)
        };
        Ok(BatchNorm3d {
            scale: config.scale.then(|| constant("weight", 1.0, Role::Weight)).transpose()?,
            shift: constant("bias", 0.0, Role::Weight)?,
            running_mean: constant("running_mean", 0.0, Role::Statistic)?,
            running_var: constant("running_var", 1.0, Role::Statistic)?,
            config,
        })
    }

    /// From `[n, c, z, y, x]` to the same shape. As in PyTorch, a batch is normalised by its biased variance, and the
    /// unbiased one enters the running variance.
    pub fn forward(&self, input: &Tensor, mode: BatchNormMode) -> Result<Tensor> {
        let momentum = self.batch_momentum(input, mode)?;
        let (training, momentum) = (momentum.is_some(), momentum.unwrap_or(0.0));
        let output = input.f_batch_norm(
            self.scale.as_ref(),
            Some(&self.shift),
            Some(&self.running_mean),
            Some(&self.running_var),
            training,
            momentum,
            self.config.epsilon,
            true,
        )?;
        ledger::enter(&output, F32, 0);
        Ok(output)
    }

    /// How far the batch moves the running statistics, `None` if these normalise. Fails with `InvalidArgument` if the batch has no variance.
    pub(super) fn batch_momentum(
        &self,
        input: &Tensor,
        mode: BatchNormMode,
    ) -> Result<Option<f64>> {
        let momentum = match mode {
            BatchNormMode::Running | BatchNormMode::Folded => return Ok(None),
            BatchNormMode::Batch => self.config.momentum,
            BatchNormMode::Estimate(factor) => factor,
        };
        let size = input.size();
        let n_values = size.iter().product::<i64>() / self.config.n_channels.max(1);
        if n_values < 2 {
            return Err(Error::invalid(format!(
                "BatchNorm of a batch of shape {size:?} has {n_values} value per channel and no variance: use larger \
                 batches, larger boxes or the running statistics"
            )));
        }
        Ok(Some(momentum))
    }

    /// What normalising by the running statistics multiplies each channel by, and what it then adds: f64, `[n_channels]`.
    pub(super) fn as_scale_and_shift(&self) -> Result<(Tensor, Tensor)> {
        let variance = self.running_var.f_to_kind(Kind::Double)?;
        let mut scale = variance.f_add_scalar(self.config.epsilon)?.f_rsqrt()?;
        if let Some(weight) = &self.scale {
            scale = scale.f_mul(&weight.f_to_kind(Kind::Double)?)?;
        }
        let shift = self.running_mean.f_to_kind(Kind::Double)?.f_mul(&scale)?.f_neg()?;
        Ok((scale, shift.f_add(&self.shift.f_to_kind(Kind::Double)?)?))
    }

    /// Its tensors.
    pub(super) fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.scale.iter().chain([&self.shift, &self.running_mean, &self.running_var])
    }
}

/// A convolution with BatchNorm, and both as one when they have been folded.
struct Unit {
    convolution: Conv3d,
    batch_norm: BatchNorm3d,
    folded: RefCell<Option<Folded>>,
}

impl Unit {
    /// From `[n, n_in, z, y, x]` to `[n, n_out, z', y', x']`, `ending` included; the kernels see a grey input if `grey`.
    fn forward(
        &self,
        input: &Tensor,
        grey: bool,
        ending: Ending<'_>,
        mode: BatchNormMode,
    ) -> Result<Tensor> {
        if mode == BatchNormMode::Folded {
            return self.folded(input, grey, ending);
        }
        let Unit { convolution, batch_norm, .. } = self;
        if let Some(output) =
            trained::convolve_and_norm(convolution, batch_norm, input, grey, ending, mode)?
        {
            return Ok(output);
        }
        let convolved = match grey {
            true => convolution.forward_grey(input)?,
            false => convolution.forward(input)?,
        };
        let mut output = batch_norm.forward(&convolved, mode)?;
        // In place: the gradient of BatchNorm needs its input only, that of a sum neither summand, that of ReLU its output only.
        if let Some(summand) = ending.summand {
            output = output.f_add_(summand)?;
        }
        Ok(if ending.relu { output.f_relu_()? } else { output })
    }

    /// The inference form.
    fn folded(&self, input: &Tensor, grey: bool, ending: Ending<'_>) -> Result<Tensor> {
        if ledger::is_walking() {
            return folded::walk(&self.convolution, input, grey);
        }
        let (convolution, batch_norm) = (&self.convolution, Some(&self.batch_norm));
        let size = spatial_size(input)?;
        let mut folded = self.folded.borrow_mut();
        let form = match folded.take() {
            Some(form) if form.is_current(convolution, batch_norm, grey, size)? => form,
            _ => Folded::new(convolution, batch_norm, grey, size)?,
        };
        folded.insert(form).forward(convolution, input, ending)
    }
}

/// Convolutions one after the other, BatchNorm after each, ReLU between them.
pub struct Chain {
    first: Unit,
    rest: Vec<Unit>,
}

impl Chain {
    /// A single convolution with its BatchNorm. Creates their tensors under the first and the second prefix.
    pub fn new(
        parameters: &mut Parameters,
        prefixes: [&str; 2],
        convolution: Conv3dConfig,
        batch_norm: BatchNormConfig,
    ) -> Result<Chain> {
        Chain::grouped(parameters, prefixes, convolution, 1, batch_norm)
    }

    /// The same with the channels in groups; see `Conv3d::grouped`.
    pub fn grouped(
        parameters: &mut Parameters,
        prefixes: [&str; 2],
        convolution: Conv3dConfig,
        n_groups: i64,
        batch_norm: BatchNormConfig,
    ) -> Result<Chain> {
        let convolution = Conv3d::grouped(parameters, prefixes[0], convolution, n_groups)?;
        let batch_norm = BatchNorm3d::new(parameters, prefixes[1], batch_norm)?;
        let first = Unit { convolution, batch_norm, folded: RefCell::default() };
        Ok(Chain { first, rest: Vec::new() })
    }

    /// `next` after this one.
    pub fn then(mut self, next: Chain) -> Chain {
        self.rest.push(next.first);
        self.rest.extend(next.rest);
        self
    }

    /// From `[n, n_in, z, y, x]` to `[n, n_out, z', y', x']`, no ReLU at the end.
    pub fn forward(&self, input: &Tensor, mode: BatchNormMode) -> Result<Tensor> {
        self.with_ending(input, false, Ending::default(), mode)
    }

    /// As `forward`, with a ReLU at the end.
    pub fn rectified(&self, input: &Tensor, mode: BatchNormMode) -> Result<Tensor> {
        self.with_ending(input, false, Ending::RELU, mode)
    }

    /// As `rectified`, from a grey input `[n, 1, z, y, x]`; see `Conv3d::forward_grey`.
    pub fn rectified_grey(&self, input: &Tensor, mode: BatchNormMode) -> Result<Tensor> {
        self.with_ending(input, true, Ending::RELU, mode)
    }

    /// As `forward`, `ending` included; the first kernels see a grey input if `grey`.
    pub(super) fn with_ending(
        &self,
        input: &Tensor,
        grey: bool,
        ending: Ending<'_>,
        mode: BatchNormMode,
    ) -> Result<Tensor> {
        let Some((last, middle)) = self.rest.split_last() else {
            return self.first.forward(input, grey, ending, mode);
        };
        let mut x = self.first.forward(input, grey, Ending::RELU, mode)?;
        for unit in middle {
            x = unit.forward(&x, false, Ending::RELU, mode)?;
        }
        last.forward(&x, false, ending, mode)
    }
}

/// Maximum over windows of `[n, c, z, y, x]`; the padding never wins.
pub fn max_pool3d(
    input: &Tensor,
    kernel: [i64; 3],
    stride: [i64; 3],
    padding: Padding,
) -> Result<Tensor> {
    let amount = padding.amount(spatial_size(input)?, kernel, stride);
    if let Some(output) = trained::max_pool(input, kernel, stride, amount)? {
        return Ok(output);
    }
    if let Some(output) = folded::max_pool(input, kernel, stride, amount)? {
        return Ok(output);
    }
    let before = amount.map(|[before, _]| before);
    let symmetric = amount.iter().all(|[before, after]| before == after);
    // With a stride of 2 or more libtorch's ceil mode lets the last window hang over by the odd voxel: no copy.
    let overhang = !symmetric
        && std::iter::zip(amount, stride)
            .all(|([before, after], stride)| before == after || stride > 1);
    let output = if symmetric || overhang {
        input.f_max_pool3d(kernel, stride, before, [1; 3], overhang)?
    } else {
        let [z, y, x] = amount;
        let around = [x[0], x[1], y[0], y[1], z[0], z[1]];
        let padded = input.f_pad(around, "constant", f64::NEG_INFINITY)?;
        ledger::enter(&padded, F32, 0);
        padded.f_max_pool3d(kernel, stride, [0; 3], [1; 3], false)?
    };
    // libtorch keeps the place of each maximum, an i64.
    ledger::enter(&output, F32 + 8, 0);
    Ok(output)
}

/// Maps `[n, c, z, y, x]` one after the other along the channels.
pub fn concatenate(maps: &[Tensor]) -> Result<Tensor> {
    let output = match trained::concatenate(maps)? {
        Some(output) => output,
        None => Tensor::f_cat(maps, 1)?,
    };
    ledger::enter(&output, F32, 0);
    Ok(output)
}

/// Average over all positions: from `[n, c, z, y, x]` to `[n, c]`.
pub fn average(input: &Tensor) -> Result<Tensor> {
    Ok(single(input)?.f_mean_dim([2i64, 3, 4].as_slice(), false, None)?)
}

/// The last three sizes of `[n, c, z, y, x]`.
pub fn spatial_size(tensor: &Tensor) -> Result<[i64; 3]> {
    match tensor.size()[..] {
        [_, _, z, y, x] => Ok([z, y, x]),
        ref other => {
            Err(Error::invalid(format!("a network takes [n, c, z, y, x], not shape {other:?}")))
        }
    }
}
