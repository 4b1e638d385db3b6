//! BatchNorm by our own kernels, forward and back.

use cinetomo_kernels::{Back, Moments, moments, scale_and_shift};
use tch::{Kind, Tensor};

use crate::{
    backbone::{
        BatchNormMode,
        kernel::{channels_first, n_threads, out_of_memory, values, voxels},
        layers::BatchNorm3d,
    },
    error::{Error, Result},
};

/// BatchNorm as a scale and a shift of each channel.
pub struct Norm {
    moments: Moments,
    /// What the values less their mean are multiplied by.
    scale: Vec<f64>,
    /// One over the standard deviation.
    inverse: Vec<f64>,
    shift: Vec<f64>,
    /// Whether the moments are those of the batch.
    is_of_batch: bool,
    n_voxels: f64,
}

impl Norm {
    /// Of convolved voxels `[n, z, y, x, c]`; moves the running statistics.
    pub fn new(batch_norm: &BatchNorm3d, convolved: &Tensor, mode: BatchNormMode) -> Result<Norm> {
        let momentum = batch_norm.batch_momentum(&channels_first(convolved)?, mode)?;
        let n_channels = batch_norm.config.n_channels as usize;
        let n_voxels = (convolved.numel() / n_channels.max(1)) as f64;
        let numbers = |tensor: &Tensor| -> Result<Vec<f64>> {
            Ok(Vec::<f64>::try_from(tensor.f_detach()?.f_to_kind(Kind::Double)?)?)
        };
        let (running_mean, running_var) = (&batch_norm.running_mean, &batch_norm.running_var);
        let moments = match momentum {
            None => Moments { mean: numbers(running_mean)?, variance: numbers(running_var)? },
            Some(momentum) => {
                let moments =
                    moments(values(convolved)?, n_channels, n_threads()).map_err(out_of_memory)?;
                let unbiased = n_voxels / (n_voxels - 1.0);
                for (running, found, factor) in
                    [(running_mean, &moments.mean, 1.0), (running_var, &moments.variance, unbiased)]
                {
                    let found = Tensor::f_from_slice(found)?.f_mul_scalar(factor * momentum)?;
                    let found = found.f_to_kind(Kind::Float)?;
                    let mut running = running.shallow_clone();
                    let _ = running.f_mul_scalar_(1.0 - momentum)?.f_add_(&found)?;
                }
                moments
            }
        };
        let inverse: Vec<f64> = moments
            .variance
            .iter()
            .map(|variance| (variance + batch_norm.config.epsilon).sqrt().recip())
            .collect();
        let scale = match &batch_norm.scale {
            None => inverse.clone(),
            Some(weight) => {
                std::iter::zip(numbers(weight)?, &inverse).map(|(a, b)| a * b).collect()
            }
        };
        let shift = numbers(&batch_norm.shift)?;
        let is_of_batch = momentum.is_some();
        Ok(Norm { moments, scale, inverse, shift, is_of_batch, n_voxels })
    }

    /// Voxels `[n, z, y, x, c]` normalised, with the summand and a ReLU.
    pub fn forward(
        &self,
        convolved: &Tensor,
        summand: Option<&Tensor>,
        relu: bool,
    ) -> Result<Tensor> {
        let channels = self.scale.iter().zip(&self.shift).zip(&self.moments.mean);
        let shift: Vec<f32> =
            channels.map(|((scale, shift), mean)| (shift - mean * scale) as f32).collect();
        let summand = summand.map(voxels).transpose()?;
        let summand = summand.as_ref().map(values).transpose()?;
        let (input, scale) = (values(convolved)?, single(&self.scale));
        cinetomo_tensors::filled(&convolved.size(), |out| {
            scale_and_shift(input, [&scale, &shift], summand, relu, out, n_threads());
            Ok(())
        })
    }

    /// Gradients of the scale, the shift and the input, which has that size.
    ///
    /// With mean, variance and n voxels of the batch (Ioffe & Szegedy 2015, section 3): scale (g - mean(g) - (x - mean) / variance * mean(g (x - mean))).
    pub fn back(&self, back: Back<'_>, size: &[i64]) -> Result<(Tensor, Tensor, Tensor)> {
        let [sums, products] =
            back.sums(&single(&self.moments.mean), n_threads()).map_err(out_of_memory)?;
        let of_scale: Vec<f64> =
            std::iter::zip(&products, &self.inverse).map(|(sum, inverse)| sum * inverse).collect();
        let n_channels = self.scale.len();
        let (mut of_input, mut constant) = (vec![0.0; n_channels], vec![0.0; n_channels]);
        if self.is_of_batch {
            for channel in 0..n_channels {
                let (scale, inverse) = (self.scale[channel], self.inverse[channel]);
                of_input[channel] = -scale * inverse * of_scale[channel] / self.n_voxels;
                constant[channel] = -scale * sums[channel] / self.n_voxels
                    - of_input[channel] * self.moments.mean[channel];
            }
        }
        let factors = [&self.scale, &of_input, &constant].map(|factors| single(factors));
        let factors = factors.each_ref().map(Vec::as_slice);
        let of_convolved = cinetomo_tensors::filled(size, |out| {
            back.combine(factors, out, n_threads());
            Ok::<(), Error>(())
        })?;
        let tensor = |numbers: &[f64]| Tensor::f_from_slice(&single(numbers));
        Ok((tensor(&of_scale)?, tensor(&sums)?, of_convolved))
    }
}

fn single(numbers: &[f64]) -> Vec<f32> {
    numbers.iter().map(|number| *number as f32).collect()
}
