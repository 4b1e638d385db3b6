//! Layers that the networks share. Each creates its tensors as `<prefix><leaf>`, with PyTorch's leaf names
//! (`weight`, `bias`, `running_mean`, `running_var`); the prefix ends in the separator of the network's checkpoints.

use tch::{Device, Tensor};

use super::{
    BatchNormMode,
    ledger::{self, F32},
    precision::{rounded, single},
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
    fn amount(self, input: [i64; 3], kernel: [i64; 3], stride: [i64; 3]) -> [[i64; 2]; 3] {
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

/// A 3D convolution.
pub struct Conv3d {
    weight: Tensor,
    bias: Option<Tensor>,
    config: Conv3dConfig,
    n_groups: i64,
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
        self.convolve(input, &self.weight)
    }

    /// From a grey input `[n, 1, z, y, x]` to what `forward` gives when that input fills every input channel.
    ///
    /// Convolution is linear, so the kernels are summed over the input channels instead: the same output and the same
    /// gradients for `1 / n_in` of the work.
    pub fn forward_grey(&self, input: &Tensor) -> Result<Tensor> {
        let weight = self.weight.f_sum_dim_intlist([1i64].as_slice(), true, None)?;
        if input.device() != Device::Cpu {
            return self.convolve(input, &weight);
        }
        // Channels last: the same voxels with the stride of a channel that comes last. oneDNN keeps that layout
        // through the network, which makes I3D's inference 1.4 to 1.5 times and its training 1.1 to 1.3 times as fast.
        let voxels = input.f_squeeze_dim(1)?.f_contiguous()?.f_unsqueeze(-1)?;
        self.convolve(&voxels.f_permute([0, 4, 1, 2, 3])?, &weight)
    }

    fn convolve(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let Conv3dConfig { kernel, stride, padding, .. } = self.config;
        let padding = padding.amount(spatial_size(input)?, kernel, stride);
        // With one thread libtorch does not let oneDNN have kernels that are one voxel along y and x unless they are dilated,
        // and its own code takes 2 to 4 times as long and gives up channels last. One voxel dilates to itself.
        let flat = kernel[1..] == [1, 1] && input.device() == Device::Cpu;
        let dilation = if flat { [1, 1, 2] } else { [1; 3] };
        let (input, weight) = (&rounded(input)?, &rounded(weight)?);
        let bias = self.bias.as_ref().map(rounded).transpose()?;
        let (bias, groups) = (bias.as_ref(), self.n_groups);
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
    scale: Option<Tensor>,
    shift: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    config: BatchNormConfig,
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
        let (training, momentum) = match mode {
            BatchNormMode::Running => (false, 0.0),
            BatchNormMode::Batch => (true, self.config.momentum),
            BatchNormMode::Estimate(factor) => (true, factor),
        };
        let size = input.size();
        let n_values = size.iter().product::<i64>() / self.config.n_channels.max(1);
        if training && n_values < 2 {
            return Err(Error::invalid(format!(
                "BatchNorm of a batch of shape {size:?} has {n_values} value per channel and no variance: use larger \
                 batches, larger boxes or the running statistics"
            )));
        }
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
}

/// Convolutions one after the other, BatchNorm after each, ReLU between them.
pub struct Chain {
    first: (Conv3d, BatchNorm3d),
    rest: Vec<(Conv3d, BatchNorm3d)>,
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
        Ok(Chain { first: (convolution, batch_norm), rest: Vec::new() })
    }

    /// `next` after this one.
    pub fn then(mut self, next: Chain) -> Chain {
        self.rest.push(next.first);
        self.rest.extend(next.rest);
        self
    }

    /// From `[n, n_in, z, y, x]` to `[n, n_out, z', y', x']`, no ReLU at the end.
    pub fn forward(&self, input: &Tensor, mode: BatchNormMode) -> Result<Tensor> {
        self.finish(self.first.0.forward(input)?, mode)
    }

    /// As `forward`, with a ReLU at the end.
    pub fn rectified(&self, input: &Tensor, mode: BatchNormMode) -> Result<Tensor> {
        Ok(self.forward(input, mode)?.f_relu_()?)
    }

    /// As `rectified`, from a grey input `[n, 1, z, y, x]`; see `Conv3d::forward_grey`.
    pub fn rectified_grey(&self, input: &Tensor, mode: BatchNormMode) -> Result<Tensor> {
        Ok(self.finish(self.first.0.forward_grey(input)?, mode)?.f_relu_()?)
    }

    /// From the output of the first convolution, which is let go before the next.
    fn finish(&self, convolved: Tensor, mode: BatchNormMode) -> Result<Tensor> {
        let mut x = self.first.1.forward(&convolved, mode)?;
        drop(convolved);
        for (convolution, batch_norm) in &self.rest {
            // In place: the gradient of BatchNorm needs its input only, that of ReLU its output only.
            x = batch_norm.forward(&convolution.forward(&x.f_relu_()?)?, mode)?;
        }
        Ok(x)
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
