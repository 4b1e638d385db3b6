//! Densities in, subtomograms out.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor};

use super::{
    microscope::{Microscope, variance},
    options::Simulation,
    packing::pack,
    pose::Pose,
    rotation,
    scene::{Densities, Particle},
};
use crate::{
    allocation,
    error::{Error, Result},
    monitor::{Monitor, Progress, Stage},
    parallel::in_order,
};

/// Subtomograms between two reports of progress.
const PER_REPORT: usize = 64;

/// Simulated subtomograms and what is in them.
#[derive(Debug)]
pub struct Subtomograms {
    /// `[n, z, y, x]`, x fastest.
    pub voxels: Vec<f32>,
    /// For each subtomogram its target, which has its label, and then its neighbours. A neighbour may lie partly or
    /// wholly outside the box.
    pub particles: Vec<Vec<Particle>>,
    /// Signal-to-noise ratio of each, measured.
    pub snr: Vec<f64>,
}

/// Simulates one subtomogram for each label.
///
/// `densities` are cubes `[class, 1, d, d, d]` of any floating type, bright on zero, at the voxel size of the
/// options, centred on voxel `d / 2`; work is done on their device. `d` need not be the box size. Density number
/// `labels[i]` is turned and shifted about voxel `box_size / 2` of subtomogram i. Neighbours are of all densities with
/// equal chances.
///
/// Subtomogram i depends on the seed, on i, on its label, on the densities and on the options, and on nothing else:
/// neither on how many are asked for nor on the number of threads, which is libtorch's for the calling thread.
/// Memory: the result, 32 bytes for each voxel of the densities, and some megabytes a thread.
///
/// Fails if a density is constant or not finite, if a label names none, or if `monitor` stops it; it is asked once a
/// subtomogram.
pub fn simulate(
    densities: &Tensor,
    labels: &[i32],
    simulation: &Simulation,
    monitor: &mut Monitor<'_>,
) -> Result<Subtomograms> {
    let options = simulation.options();
    let box_size = options.box_size;
    let has_neighbours = options.n_neighbours > 0;
    tch::no_grad(|| {
        let needed = |label| has_neighbours || labels.contains(&label);
        let prepared = Densities::new(densities, needed)?;
        for (index, &label) in labels.iter().enumerate() {
            prepared.radius(label, index)?;
        }
        let n_threads = n_threads(densities.device());
        let microscope = Microscope::new(simulation, [box_size; 3], densities.device())?;
        let mut all = Subtomograms {
            voxels: allocation::filled(labels.len() * box_size.pow(3) as usize, 0.0)?,
            particles: allocation::room(labels.len())?,
            snr: allocation::room(labels.len())?,
        };
        let n_steps = labels.len().div_ceil(PER_REPORT);
        let worker = || {
            let (densities, microscope) = (prepared.share(), microscope.share());
            Ok(move |index| {
                // What libtorch remembers of threads and gradients, it remembers for each thread.
                tch::set_num_threads(1);
                tch::no_grad(|| one(&densities, &microscope, simulation, labels, index))
                    .map_err(|error| error.within(format!("subtomogram {index}")))
            })
        };
        on_one_thread_each(|| {
            in_order(labels.len(), n_threads, worker, |index, subtomogram| {
                let (voxels, particles, snr) = subtomogram;
                let start = index * voxels.len();
                all.voxels[start..start + voxels.len()].copy_from_slice(&voxels);
                all.particles.push(particles);
                all.snr.push(snr);
                if (index + 1) % PER_REPORT == 0 || index + 1 == labels.len() {
                    let step = (index + 1).div_ceil(PER_REPORT);
                    return monitor.report(Progress::batch(Stage::Simulate, step, n_steps));
                }
                monitor.check()
            })
        })?;
        Ok(all)
    })
}

/// Voxels, particles and SNR of one subtomogram.
fn one(
    densities: &Densities,
    microscope: &Microscope<'_>,
    simulation: &Simulation,
    labels: &[i32],
    index: usize,
) -> Result<(Vec<f32>, Vec<Particle>, f64)> {
    let options = simulation.options();
    let mut generator = ChaCha8Rng::seed_from_u64(options.seed);
    generator.set_stream(index as u64);
    let particles = crowd(densities, simulation, labels[index], &mut generator)?;
    let scene = densities
        .draw(&particles, options.box_size)?
        .ok_or_else(|| Error::invalid("nothing of the density lies inside the box"))?;
    let image = microscope.image(&scene, variance, &mut generator)?;
    Ok((allocation::values(&image.voxels)?, particles, image.snr))
}

/// The target of a subtomogram and its neighbours.
fn crowd(
    densities: &Densities,
    simulation: &Simulation,
    label: i32,
    generator: &mut impl Rng,
) -> Result<Vec<Particle>> {
    let options = simulation.options();
    let target = Pose::random(generator, options.max_shift);
    let mut labels = vec![label];
    let others = (0..options.n_neighbours).map(|_| generator.random_range(0..densities.len()));
    labels.extend(others);
    let radii =
        labels.iter().map(|&label| densities.radius(label, 0)).collect::<Result<Vec<f64>>>()?;
    let centres = if radii.len() == 1 { vec![[0.0; 3]] } else { pack(&radii, generator) };
    let middle = (options.box_size / 2) as f64;
    let mut particles = Vec::with_capacity(labels.len());
    for (index, (&label, &radius)) in labels.iter().zip(&radii).enumerate() {
        let rotation = if index == 0 { target.rotation } else { rotation::random(generator) };
        let position = [0, 1, 2]
            .map(|axis| middle + target.shift[axis] + centres[index][axis] - centres[0][axis]);
        particles.push(Particle { label, position, rotation, radius });
    }
    Ok(particles)
}

/// Threads for work on a device: libtorch's number for this thread, or one that feeds a GPU.
pub(super) fn n_threads(device: Device) -> usize {
    match device {
        Device::Cpu => usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1),
        _ => 1,
    }
}

/// Does work whose threads each use one libtorch thread. Transforms of a single small box gain little from more, and
/// where cores are busy they lose tenfold, waiting for each other.
pub(super) fn on_one_thread_each<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
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

#[cfg(test)]
#[path = "simulate_test.rs"]
mod tests;
