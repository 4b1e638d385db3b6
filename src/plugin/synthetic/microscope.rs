//! From the density in front of the lens to the volume that is reconstructed: see the formula at the top of the module.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Tensor};

use super::{
    options::{Contrast, Simulation, SimulationOptions},
    transfer::Filters,
};
use crate::{
    allocation,
    error::{Error, Result},
};

/// The optics of a simulation for volumes of one shape.
pub(super) struct Microscope<'a> {
    options: &'a SimulationOptions,
    shape: [i64; 3],
    device: Device,
    lens: Tensor,
    detector: Tensor,
}

/// A volume as the microscope shows it.
pub(super) struct Image {
    /// Voxels `[z, y, x]`, f32.
    pub(super) voxels: Tensor,
    /// Power of the signal over power of the noise, measured.
    pub(super) snr: f64,
}

impl<'a> Microscope<'a> {
    pub(super) fn new(
        simulation: &'a Simulation,
        shape: [i64; 3],
        device: Device,
    ) -> Result<Microscope<'a>> {
        let half = [shape[0], shape[1], shape[2] / 2 + 1];
        let tensor = |values: &[f32]| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(values)?.f_view(half)?.f_to_device(device)?)
        };
        let filters = Filters::new(simulation, shape)?;
        let (lens, detector) = (tensor(&filters.lens)?, tensor(&filters.detector)?);
        Ok(Microscope { options: simulation.options(), shape, device, lens, detector })
    }

    /// The same for another thread: tensors share their memory, which is only read.
    pub(super) fn share(&self) -> Microscope<'a> {
        let (lens, detector) = (self.lens.shallow_clone(), self.detector.shallow_clone());
        Microscope { lens, detector, ..*self }
    }

    /// What becomes of a density `[z, y, x]`; `generator` makes the noise. `power` measures the signal as it arrives.
    pub(super) fn image(
        &self,
        scene: &Tensor,
        power: impl FnOnce(&Tensor) -> Result<f64>,
        generator: &mut impl Rng,
    ) -> Result<Image> {
        let mut voxels = self.through(&self.lens, scene)?;
        let signal = power(&voxels)?;
        if signal == 0.0 {
            return Err(Error::invalid("nothing of the density lies inside the box"));
        }
        let mut snr = f64::INFINITY;
        if self.options.snr.is_finite() {
            let noise = self.noise(generator)?;
            let gain = (signal / noise_power(&noise)? / self.options.snr).sqrt();
            let noise = noise.f_mul_scalar(gain)?;
            snr = signal / variance(&noise)?;
            voxels = voxels.f_add(&noise)?;
        }
        if self.options.contrast == Contrast::Dark {
            voxels = voxels.f_neg()?;
        }
        Ok(Image { voxels, snr })
    }

    /// Noise as it arrives, of any variance: the two kinds in the shares that the options ask for.
    fn noise(&self, generator: &mut impl Rng) -> Result<Tensor> {
        let share = self.options.noise_before;
        if share == 0.0 || share == 1.0 {
            let filter = if share == 0.0 { &self.detector } else { &self.lens };
            return self.through(filter, &self.white_noise(generator)?);
        }
        let mut part = |filter, share: f64| -> Result<Tensor> {
            let noise = self.through(filter, &self.white_noise(generator)?)?;
            Ok(noise.f_mul_scalar((share / noise_power(&noise)?).sqrt())?)
        };
        let before = part(&self.lens, share)?;
        Ok(before.f_add(&part(&self.detector, 1.0 - share)?)?)
    }

    /// A volume of independent normal numbers.
    fn white_noise(&self, generator: &mut impl Rng) -> Result<Tensor> {
        let n = self.shape.iter().product::<i64>() as usize;
        let normal = Distribution::<f32>::sample_iter(StandardNormal, generator);
        let mut values: Vec<f32> = allocation::room(n)?;
        values.extend(normal.take(n));
        Ok(Tensor::f_from_slice(&values)?.f_view(self.shape)?.f_to_device(self.device)?)
    }

    /// The volume `[z, y, x]`, each frequency multiplied by the filter.
    fn through(&self, filter: &Tensor, volume: &Tensor) -> Result<Tensor> {
        let axes = [0i64, 1, 2];
        let mut spectrum = volume.f_fft_rfftn(None::<&[i64]>, &axes[..], "backward")?;
        let _ = spectrum.f_mul_(filter)?;
        Ok(spectrum.f_fft_irfftn(&self.shape[..], &axes[..], "backward")?)
    }
}

/// Variance of noise, which something must be left of.
fn noise_power(noise: &Tensor) -> Result<f64> {
    match variance(noise)? {
        0.0 => Err(Error::invalid("wedge and band limit leave no frequency for the noise")),
        power => Ok(power),
    }
}

/// Variance of all voxels.
pub(super) fn variance(volume: &Tensor) -> Result<f64> {
    let n = volume.numel();
    let voxels = allocation::values::<f32>(volume)?;
    let mean = voxels.iter().map(|&voxel| f64::from(voxel)).sum::<f64>() / n as f64;
    let squares = voxels.iter().map(|&voxel| (f64::from(voxel) - mean).powi(2));
    Ok(squares.sum::<f64>() / n as f64)
}
