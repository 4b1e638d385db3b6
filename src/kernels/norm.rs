//! BatchNorm of maps with the channels last, forward and back, with the sum and ReLU that follow it in the same pass.
//!
//! Sums over voxels are made of the sums of parts of a fixed size, so that they do not depend on the number of threads.

use std::{collections::TryReserveError, ops::Range};

use pulp::Arch;

use crate::{convolution::zeros, threads::divided};

/// Voxels whose values are summed up in single precision.
const PART: usize = 256;

/// Of each channel, mean and biased variance, in double precision.
pub struct Moments {
    /// Means.
    pub mean: Vec<f64>,
    /// Variances.
    pub variance: Vec<f64>,
}

/// The moments of the channels of `values`, `[voxels, n_channels]`. Fails if there is no memory to work in.
pub fn moments(
    values: &[f32],
    n_channels: usize,
    n_threads: usize,
) -> Result<Moments, TryReserveError> {
    let of_parts = each_part(values.len() / n_channels, n_channels, n_threads, |voxels, out| {
        let n = voxels.len() as f32;
        let values = &values[voxels.start * n_channels..voxels.end * n_channels];
        let (mean, squares) = out.split_at_mut(n_channels);
        for voxel in values.chunks_exact(n_channels) {
            mean.iter_mut().zip(voxel).for_each(|(sum, value)| *sum += value);
        }
        mean.iter_mut().for_each(|sum| *sum /= n);
        for voxel in values.chunks_exact(n_channels) {
            for ((square, mean), value) in squares.iter_mut().zip(&*mean).zip(voxel) {
                *square += (value - mean) * (value - mean);
            }
        }
    })?;
    // Chan, Golub & LeVeque 1983, "Algorithms for Computing the Sample Variance", eq. 2.1.
    let mut moments = Moments { mean: vec![0.0; n_channels], variance: vec![0.0; n_channels] };
    let (n_voxels, mut n_before) = (values.len() / n_channels, 0.0);
    for (part, of_part) in of_parts.chunks_exact(2 * n_channels).enumerate() {
        let n = PART.min(n_voxels - part * PART) as f64;
        let (means, squares) = of_part.split_at(n_channels);
        for channel in 0..n_channels {
            let apart = f64::from(means[channel]) - moments.mean[channel];
            let share = n / (n_before + n);
            moments.mean[channel] += apart * share;
            moments.variance[channel] +=
                f64::from(squares[channel]) + apart * apart * n_before * share;
        }
        n_before += n;
    }
    moments.variance.iter_mut().for_each(|square| *square /= n_voxels as f64);
    Ok(moments)
}

/// Fills `out` with `values` times the scale of their channel, plus its shift and the summand, if there is one; then, with `relu`, what is below 0
/// becomes 0.
pub fn scale_and_shift(
    values: &[f32],
    [scale, shift]: [&[f32]; 2],
    summand: Option<&[f32]>,
    relu: bool,
    out: &mut [f32],
    n_threads: usize,
) {
    let n_channels = scale.len();
    let arch = Arch::new();
    // NaN stays NaN.
    let least = if relu { 0.0 } else { f32::NEG_INFINITY };
    let n_voxels = values.len() / n_channels;
    divided(
        n_threads,
        n_voxels,
        |voxel| voxel * n_channels,
        out,
        |voxels, out| {
            let range = voxels.start * n_channels..voxels.end * n_channels;
            let values = values[range.clone()].chunks_exact(n_channels);
            let summand = summand.map(|summand| &summand[range]);
            arch.dispatch(
                #[inline(always)]
                || {
                    for (index, (out, values)) in
                        out.chunks_exact_mut(n_channels).zip(values).enumerate()
                    {
                        for (channel, out) in out.iter_mut().enumerate() {
                            *out = values[channel] * scale[channel] + shift[channel];
                        }
                        if let Some(summand) = summand {
                            let summand = &summand[index * n_channels..][..n_channels];
                            out.iter_mut().zip(summand).for_each(|(out, summand)| *out += summand);
                        }
                        out.iter_mut()
                            .for_each(|out| *out = if *out < least { least } else { *out });
                    }
                },
            );
        },
    );
}

/// What comes back to a BatchNorm, of maps `[voxels, channels]`.
#[derive(Clone, Copy)]
pub struct Back<'a> {
    /// The gradient of what followed it.
    pub gradient: &'a [f32],
    /// Its output behind a ReLU, if one followed.
    pub rectified: Option<&'a [f32]>,
    /// Its input.
    pub input: &'a [f32],
}

impl Back<'_> {
    /// Of each channel, the sum of the gradients of the output, and that of their products with the input less `mean`. Fails if there is no memory to work
    /// in.
    pub fn sums(self, mean: &[f32], n_threads: usize) -> Result<[Vec<f64>; 2], TryReserveError> {
        let n_channels = mean.len();
        let n_voxels = self.input.len() / n_channels;
        let (rectified, least) = self.rectified();
        let of_parts = each_part(n_voxels, n_channels, n_threads, |voxels, out| {
            let (sums, products) = out.split_at_mut(n_channels);
            for voxel in voxels {
                let there = voxel * n_channels..(voxel + 1) * n_channels;
                let (gradient, input) = (&self.gradient[there.clone()], &self.input[there.clone()]);
                let rectified = &rectified[there];
                for channel in 0..n_channels {
                    let gradient = passed(gradient[channel], rectified[channel], least);
                    sums[channel] += gradient;
                    products[channel] += gradient * (input[channel] - mean[channel]);
                }
            }
        })?;
        let mut both = [vec![0.0; n_channels], vec![0.0; n_channels]];
        for of_part in of_parts.chunks_exact(2 * n_channels) {
            for (sums, of_part) in both.iter_mut().zip(of_part.chunks_exact(n_channels)) {
                sums.iter_mut().zip(of_part).for_each(|(sum, part)| *sum += f64::from(*part));
            }
        }
        Ok(both)
    }

    /// Fills `out` with the gradient of the output times the first factor of its channel, plus the input times the second, plus the third.
    pub fn combine(self, factors: [&[f32]; 3], out: &mut [f32], n_threads: usize) {
        let [of_gradient, of_input, constant] = factors;
        let n_channels = constant.len();
        let (rectified, least) = self.rectified();
        let arch = Arch::new();
        let (n_voxels, start) = (self.input.len() / n_channels, |voxel| voxel * n_channels);
        divided(n_threads, n_voxels, start, out, |voxels, out| {
            arch.dispatch(
                #[inline(always)]
                || {
                    for (voxel, out) in voxels.zip(out.chunks_exact_mut(n_channels)) {
                        let there = voxel * n_channels..(voxel + 1) * n_channels;
                        let gradient = &self.gradient[there.clone()];
                        let (rectified, input) = (&rectified[there.clone()], &self.input[there]);
                        for channel in 0..n_channels {
                            let gradient = passed(gradient[channel], rectified[channel], least);
                            out[channel] = gradient * of_gradient[channel]
                                + input[channel] * of_input[channel]
                                + constant[channel];
                        }
                    }
                },
            );
        });
    }

    /// Fills `out` with the gradient of the output, which is that of a summand, too.
    pub fn pass(self, out: &mut [f32], n_threads: usize) {
        let (rectified, least) = self.rectified();
        let arch = Arch::new();
        divided(
            n_threads,
            out.len(),
            |index| index,
            out,
            |indices, out| {
                let (gradient, rectified) = (&self.gradient[indices.clone()], &rectified[indices]);
                arch.dispatch(
                    #[inline(always)]
                    || {
                        for (out, (gradient, rectified)) in
                            out.iter_mut().zip(gradient.iter().zip(rectified))
                        {
                            *out = passed(*gradient, *rectified, least);
                        }
                    },
                );
            },
        );
    }

    /// What is above the least value where a gradient passes; without a ReLU any values, and NaN, which nothing is below.
    fn rectified(&self) -> (&[f32], f32) {
        match self.rectified {
            Some(rectified) => (rectified, 0.0),
            None => (self.gradient, f32::NAN),
        }
    }
}

/// The gradient behind a ReLU.
#[inline(always)]
fn passed(gradient: f32, rectified: f32, least: f32) -> f32 {
    if rectified <= least { 0.0 } else { gradient }
}

/// Two sums for each channel, of each part of the voxels, `[parts, 2, n_channels]`: `sum` gets the voxels of a part, and zeros to add to.
fn each_part(
    n_voxels: usize,
    n_channels: usize,
    n_threads: usize,
    sum: impl Fn(Range<usize>, &mut [f32]) + Sync,
) -> Result<Vec<f32>, TryReserveError> {
    let n_parts = n_voxels.div_ceil(PART);
    let mut sums = zeros(n_parts * 2 * n_channels)?;
    let arch = Arch::new();
    let start = |part: usize| part * 2 * n_channels;
    divided(n_threads, n_parts, start, &mut sums, |parts, out| {
        for (part, out) in parts.zip(out.chunks_exact_mut(2 * n_channels)) {
            let voxels = part * PART..((part + 1) * PART).min(n_voxels);
            arch.dispatch(
                #[inline(always)]
                || sum(voxels, out),
            );
        }
    });
    Ok(sums)
}

#[cfg(test)]
#[path = "norm_test.rs"]
mod norm_test;
