//! Densities in, subtomograms out.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Kind, Tensor};

use super::{
    options::{Contrast, Simulation, SimulationOptions},
    pose::{Pose, oversample, resample},
    transfer::filters,
};
use crate::{
    error::{Error, ErrorKind, Result},
    monitor::{Monitor, Progress, Stage},
};

/// Voxels in flight at once: 64 boxes of 32^3. That takes some 25 bytes for each, besides the result.
const VOXELS_PER_BATCH: i64 = 64 * 32 * 32 * 32;

/// Simulates one subtomogram for each label: f32 `[n, z, y, x]` on the CPU.
///
/// `densities` are cubes `[class, 1, d, d, d]` of any floating type, bright on zero, at the voxel size of the
/// options, centred on voxel `d / 2`; work is done on their device. `d` need not be the box size. Density number
/// `labels[i]` is turned and shifted about voxel `box_size / 2` of subtomogram i.
///
/// Subtomogram i depends on the seed, on i, on its density and on the options, and on nothing else: neither on how
/// many are asked for nor on the number of threads. Fails if a density is constant or not finite, if a label names
/// none, or if `monitor` stops it; it is asked once a batch.
pub fn simulate(
    densities: &Tensor,
    labels: &[i32],
    simulation: &Simulation,
    monitor: &mut Monitor<'_>,
) -> Result<Tensor> {
    check_densities(densities)?;
    let edge = simulation.options().box_size;
    let n_classes = densities.size()[0];
    let batch_size = (VOXELS_PER_BATCH / edge.pow(3)).max(1) as usize;
    let particles = by_label(labels, n_classes)?;
    let n_batches = particles.iter().map(|of_class| of_class.len().div_ceil(batch_size)).sum();

    tch::no_grad(|| {
        let microscope = Microscope::new(simulation, densities.device())?;
        let mut subtomograms =
            Tensor::f_zeros([labels.len() as i64, edge, edge, edge], (Kind::Float, Device::Cpu))?;
        let mut batch_index = 0;
        for (label, of_class) in particles.iter().enumerate() {
            if of_class.is_empty() {
                continue;
            }
            let density = densities.f_get(label as i64)?;
            let fine = on_one_thread(|| oversample(&density))?;
            for indices in of_class.chunks(batch_size) {
                monitor.check()?;
                let batch = microscope
                    .image(&fine, indices)
                    .map_err(|error| error.within(format!("density {label}")))?;
                let rows: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
                let batch = batch.f_to_device(Device::Cpu)?;
                let _ = subtomograms.f_index_copy_(0, &Tensor::f_from_slice(&rows)?, &batch)?;
                batch_index += 1;
                monitor.report(Progress::batch(Stage::Simulate, batch_index, n_batches))?;
            }
        }
        Ok(subtomograms)
    })
}

/// Indices of the subtomograms of each class.
fn by_label(labels: &[i32], n_classes: i64) -> Result<Vec<Vec<usize>>> {
    let mut particles = vec![Vec::new(); n_classes as usize];
    for (index, &label) in labels.iter().enumerate() {
        usize::try_from(label)
            .ok()
            .and_then(|label| particles.get_mut(label))
            .ok_or_else(|| {
                Error::invalid(format!(
                    "label {index} is {label}; there are {n_classes} densities, counted from 0"
                ))
            })?
            .push(index);
    }
    Ok(particles)
}

fn check_densities(densities: &Tensor) -> Result<()> {
    let shape = densities.size();
    if !matches!(shape[..], [n, 1, z, y, x] if n > 0 && z > 1 && z == y && z == x) {
        return Err(Error::invalid(format!(
            "densities have shape {shape:?}; expected [classes, 1, d, d, d] with at least one class and d at least 2"
        )));
    }
    for label in 0..shape[0] {
        let density = densities.f_get(label)?;
        if density.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
            let message = format!("density {label} has a voxel that is not finite");
            return Err(Error::new(ErrorKind::NonFinite, message));
        }
        if density.f_max()?.f_double_value(&[])? == density.f_min()?.f_double_value(&[])? {
            return Err(Error::invalid(format!(
                "density {label} is constant; there is nothing to see"
            )));
        }
    }
    Ok(())
}

/// The optics of a simulation.
struct Microscope<'a> {
    options: &'a SimulationOptions,
    wedge: Tensor,
    transfer: Tensor,
}

impl<'a> Microscope<'a> {
    fn new(simulation: &'a Simulation, device: Device) -> Result<Microscope<'a>> {
        let options = simulation.options();
        let shape = [options.box_size, options.box_size, options.box_size / 2 + 1];
        let tensor = |values: &[f32]| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(values)?.f_view(shape)?.f_to_device(device)?)
        };
        let (wedge, transfer) = filters(simulation);
        Ok(Microscope { options, wedge: tensor(&wedge)?, transfer: tensor(&transfer)? })
    }

    /// Subtomograms `[n, z, y, x]` number `indices`, all of the density whose oversampled cube is `fine`.
    fn image(&self, fine: &Tensor, indices: &[usize]) -> Result<Tensor> {
        let options = self.options;
        let (mut poses, mut generators) = (Vec::new(), Vec::new());
        for &index in indices {
            let mut generator = ChaCha8Rng::seed_from_u64(options.seed);
            generator.set_stream(index as u64);
            poses.push(Pose::random(&mut generator, options.max_shift));
            generators.push(generator);
        }
        let particles = resample(fine, &poses, options.box_size)?;
        let mut images = Vec::with_capacity(indices.len());
        for (row, generator) in generators.into_iter().enumerate() {
            let particle = particles.f_get(row as i64)?;
            let image = on_one_thread(|| self.one_image(&particle, generator))
                .map_err(|error| error.within(format!("subtomogram {}", indices[row])))?;
            images.push(image);
        }
        Ok(Tensor::f_stack(&images, 0)?)
    }

    /// What becomes of a particle `[z, y, x]`; `generator` makes the noise.
    fn one_image(&self, particle: &Tensor, generator: ChaCha8Rng) -> Result<Tensor> {
        let options = self.options;
        let mut image = self.through(&self.transfer, particle)?;
        let power = variance(&image)?;
        if power == 0.0 {
            return Err(Error::invalid("nothing of the density lies inside the box"));
        }
        if options.snr.is_finite() {
            let noise = self.through(&self.wedge, &self.white_noise(generator)?)?;
            let gain = (power / variance(&noise)? / options.snr).sqrt();
            image = image.f_add(&noise.f_mul_scalar(gain)?)?;
        }
        if options.contrast == Contrast::Dark { Ok(image.f_neg()?) } else { Ok(image) }
    }

    /// A box of independent normal numbers.
    fn white_noise(&self, generator: ChaCha8Rng) -> Result<Tensor> {
        let edge = self.options.box_size;
        let normal = Distribution::<f32>::sample_iter(StandardNormal, generator);
        let values: Vec<f32> = normal.take(edge.pow(3) as usize).collect();
        Ok(Tensor::f_from_slice(&values)?.f_view([edge; 3])?.f_to_device(self.wedge.device())?)
    }

    /// The box `[z, y, x]`, each frequency multiplied by the filter.
    fn through(&self, filter: &Tensor, volume: &Tensor) -> Result<Tensor> {
        let (axes, edges) = ([0i64, 1, 2], [self.options.box_size; 3]);
        let spectrum = volume.f_fft_rfftn(None::<&[i64]>, &axes[..], "backward")?.f_mul(filter)?;
        Ok(spectrum.f_fft_irfftn(&edges[..], &axes[..], "backward")?)
    }
}

/// Does the work with one libtorch thread. Transforms of a single small box gain little from more, and where cores are
/// busy they lose tenfold, waiting for each other.
fn on_one_thread<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    struct Restore(i32);
    impl Drop for Restore {
        fn drop(&mut self) {
            tch::set_num_threads(self.0);
        }
    }
    let _restore = Restore(tch::get_num_threads());
    tch::set_num_threads(1);
    work()
}

/// Variance of all voxels.
fn variance(volume: &Tensor) -> Result<f64> {
    let n = volume.numel();
    let mut voxels = vec![0.0f32; n];
    volume.f_copy_data(&mut voxels, n)?;
    let mean = voxels.iter().map(|&voxel| f64::from(voxel)).sum::<f64>() / n as f64;
    let squares = voxels.iter().map(|&voxel| (f64::from(voxel) - mean).powi(2));
    Ok(squares.sum::<f64>() / n as f64)
}

#[cfg(test)]
#[path = "simulate_test.rs"]
mod tests;
