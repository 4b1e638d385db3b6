//! The training form of layers: our own kernels forward and back, where these are faster than libtorch's, in passes whose gradients come from a tape.
//!
//! Single precision on the CPU. What is kept for the way back is what libtorch keeps: a convolution's input and output, and what a ReLU lets through.

mod convolved;
mod norm;

use cinetomo_kernels::Back;
use tch::{Device, Kind, Tensor};

use self::{convolved::Convolved, norm::Norm};
use super::{
    BatchNormMode,
    folded::{self, Ending},
    kernel::{
        channels_first, is_ours, map, n_threads, unsigned, values, voxels, windows, windows_of,
    },
    layers::{BatchNorm3d, Conv3d, spatial_size},
    ledger::{self, Layer},
    tape,
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
    if !tape::is_recording() || !is_ours(input) || convolution.bias.is_some() {
        return Ok(None);
    }
    if ledger::is_walking() {
        return walk(convolution, input, grey, ending.relu).map(Some);
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
    let output = tape::enter(channels_first(&output)?, move |of_output, scratch| {
        let gradient = voxels(&of_output)?;
        drop(of_output);
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

/// What an empty input walks through: the shape of the output, entered with what a step takes.
fn walk(convolution: &Conv3d, input: &Tensor, grey: bool, relu: bool) -> Result<Tensor> {
    let [z, y, x] = windows_of(&convolution.config, spatial_size(input)?).size;
    let size = [0, convolution.config.n_out, z as i64, y as i64, x as i64];
    let output = leaf(&size)?;
    let cost = convolved::cost(convolution, input, &output, grey)?;
    let of_output = ledger::of_batch(&output);
    ledger::enter_layer(Layer {
        kept: 2 * of_output + cost.kept,
        forward: cost.forward.saturating_sub(of_output),
        // Gradients behind and before BatchNorm, which needs the output if that was rectified; then those of the convolution, and the output is gone.
        back: (if relu { 2 } else { 1 } * of_output).max(cost.back.saturating_sub(of_output)),
        ..cost
    });
    Ok(output)
}

/// An empty output that gradients go back through.
fn leaf(size: &[i64]) -> Result<Tensor> {
    Ok(Tensor::f_empty(size, (Kind::Float, Device::Cpu))?.f_set_requires_grad(true)?)
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
    if ledger::is_walking() {
        let [z, y, x] = windows(kernel, stride, amount, spatial_size(input)?).size;
        let output = leaf(&[0, input.size()[1], z as i64, y as i64, x as i64])?;
        let [of_input, of_output] = [input, &output].map(ledger::of_batch);
        let back = of_input + of_output;
        ledger::enter_layer(Layer { kept: of_output, back, ..Layer::default() });
        return Ok(Some(output));
    }
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
    if ledger::is_walking() {
        let output = Tensor::f_cat(maps, 1)?.f_set_requires_grad(true)?;
        ledger::enter_layer(Layer { kept: ledger::of_batch(&output), ..Layer::default() });
        return Ok(Some(output));
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
