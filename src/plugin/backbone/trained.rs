//! The training form of layers: our own kernels forward and back, where these are faster than libtorch's, in passes whose gradients come from a tape.
//!
//! Single precision on the CPU. What is kept for the way back is what libtorch keeps: a convolution's input and output, and what a ReLU lets through.

mod convolved;
mod norm;

use cinetomo_kernels::Back;
use tch::Tensor;

use self::{convolved::Convolved, norm::Norm};
use super::{
    BatchNormMode,
    folded::{self, Ending},
    kernel::{channels_first, is_ours, map, n_threads, unsigned, values, voxels, windows},
    layers::{BatchNorm3d, Conv3d, spatial_size},
    ledger, tape,
};
use crate::error::{Error, Result};

/// A convolution, BatchNorm and `ending`; the kernels see a grey input if `grey`. `None` if the pass is not recorded, or the values not ours.
pub fn convolve_and_norm(
    convolution: &Conv3d,
    batch_norm: &BatchNorm3d,
    input: &Tensor,
    grey: bool,
    ending: Ending<'_>,
    mode: BatchNormMode,
) -> Result<Option<Tensor>> {
    if ledger::is_walking() {
        ledger::enter_training_scratch(convolved::scratch_bytes(convolution, grey) as u64);
    }
    if !tape::is_recording() || !is_ours(input) || convolution.bias.is_some() {
        return Ok(None);
    }
    let _guard = tch::no_grad_guard();
    let convolved = Convolved::new(convolution, input, grey)?;
    let norm = Norm::new(batch_norm, &convolved.output, mode)?;
    let summand = ending.summand.map(|summand| summand.shallow_clone());
    let output = norm.forward(&convolved.output, summand.as_ref(), ending.relu)?;
    let weight = convolution.weight.shallow_clone();
    let [scale, shift] = [batch_norm.scale.as_ref(), Some(&batch_norm.shift)]
        .map(|parameter| parameter.map(Tensor::shallow_clone));
    let rectified = ending.relu.then(|| output.shallow_clone());
    let input = input.shallow_clone();
    let output = tape::enter(channels_first(&output)?, move |gradient, scratch| {
        let gradient = voxels(&gradient)?;
        let mut found = Vec::new();
        let back = Back {
            gradient: values(&gradient)?,
            rectified: rectified.as_ref().map(values).transpose()?,
            input: values(&convolved.output)?,
        };
        if let Some(summand) = summand {
            let passed = cinetomo_tensors::filled(&gradient.size(), |out| {
                back.pass(out, n_threads());
                Ok::<(), Error>(())
            })?;
            found.push((summand, channels_first(&passed)?));
        }
        let (of_scale, of_shift, of_convolved) = norm.back(back, &gradient.size())?;
        found.extend(scale.map(|scale| (scale, of_scale)));
        found.extend(shift.map(|shift| (shift, of_shift)));
        drop((gradient, rectified));
        let (of_weight, of_input) = convolved.back(&weight, &input, &of_convolved, scratch)?;
        found.push((weight, of_weight));
        found.extend(of_input.map(|gradient| (input, gradient)));
        Ok(found)
    })?;
    Ok(Some(output))
}

/// The maximum over windows of `[n, c, z, y, x]`; `None` as for `convolve_and_norm`.
pub fn max_pool(
    input: &Tensor,
    kernel: [i64; 3],
    stride: [i64; 3],
    amount: [[i64; 2]; 3],
) -> Result<Option<Tensor>> {
    if !tape::is_recording() || !input.requires_grad() {
        return Ok(None);
    }
    let _guard = tch::no_grad_guard();
    let plain = channels_first(&voxels(&input.f_detach()?)?)?;
    let Some(output) = folded::max_pool(&plain, kernel, stride, amount)? else { return Ok(None) };
    let (input, maxima) = (input.shallow_clone(), output.shallow_clone());
    let output = tape::enter(output, move |gradient, _| {
        let [there, maxima, gradient] = [voxels(&plain)?, voxels(&maxima)?, voxels(&gradient)?];
        let windows = windows(kernel, stride, amount, spatial_size(&plain)?);
        let window = [unsigned(kernel), unsigned(stride)];
        let (map, values) = (map(&there)?, [values(&maxima)?, values(&gradient)?]);
        let of_input = cinetomo_tensors::filled(&there.size(), |out| {
            cinetomo_kernels::max_pool_back(map, window, windows, values, out, n_threads());
            Ok::<(), Error>(())
        })?;
        Ok(vec![(input, channels_first(&of_input)?)])
    })?;
    Ok(Some(output))
}

/// Maps `[n, c, z, y, x]` one after the other along the channels; `None` as for `convolve_and_norm`.
pub fn concatenate(maps: &[Tensor]) -> Result<Option<Tensor>> {
    if !tape::is_recording() || !maps.iter().all(is_ours) {
        return Ok(None);
    }
    let _guard = tch::no_grad_guard();
    let maps: Vec<Tensor> = maps.iter().map(Tensor::shallow_clone).collect();
    let output = Tensor::f_cat(&maps, 1)?;
    let output = tape::enter(output, move |gradient, _| {
        let mut first = 0;
        maps.into_iter()
            .map(|map| {
                let n = map.size()[1];
                let of_map = gradient.f_narrow(1, first, n)?;
                first += n;
                Ok((map, of_map))
            })
            .collect()
    })?;
    Ok(Some(output))
}

#[cfg(test)]
#[path = "trained_test.rs"]
mod trained_test;
