//! A whole tomogram of particles whose places are known.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor};

use super::{
    microscope::Microscope,
    options::Simulation,
    packing::scatter,
    rotation,
    scene::{Densities, Particle},
    simulate::{n_threads, on_one_thread_each},
};
use crate::{
    allocation,
    error::{Error, Result},
    monitor::{Monitor, Progress, Stage},
    parallel::in_order,
};

/// Stream of a tomogram: far from those of subtomograms.
const STREAM: u64 = u64::MAX;

/// Most voxels of a simulated tomogram: 512^3, some 3 GB of memory at work.
const MOST_VOXELS: i64 = 1 << 27;

/// Particles between two reports of progress.
const PER_REPORT: usize = 16;

/// A simulated tomogram and what is in it.
#[derive(Debug)]
pub struct Tomogram {
    /// `[z, y, x]`, x fastest.
    pub voxels: Vec<f32>,
    /// One particle for each label, in that order.
    pub particles: Vec<Particle>,
    /// Signal-to-noise ratio, measured.
    pub snr: f64,
}

/// Simulates a tomogram of `shape` `[z, y, x]` voxels that holds one particle for each label.
///
/// `densities` are as for `simulate`, and so are the options, of which `box_size`, `max_shift` and `n_neighbours` mean
/// nothing here: particles lie at uniform random places, their bounding spheres within the tomogram and apart from
/// each other. About a third of a tomogram can be filled; it is an error if one finds no place. The result depends on
/// seed, labels, shape, densities and options alone.
///
/// Memory: 24 bytes a voxel. Fails as `simulate`, and if the tomogram has fewer than 8 voxels along an axis or more
/// than 2^27 in all.
pub fn simulate_tomogram(
    densities: &Tensor,
    labels: &[i32],
    shape: [i64; 3],
    simulation: &Simulation,
    monitor: &mut Monitor<'_>,
) -> Result<Tomogram> {
    check_shape(shape)?;
    tch::no_grad(|| {
        let densities = Densities::new(densities, |label| labels.contains(&label))?;
        let radii = labels
            .iter()
            .enumerate()
            .map(|(index, &label)| densities.radius(label, index))
            .collect::<Result<Vec<f64>>>()?;
        if labels.is_empty() {
            return Err(Error::invalid(
                "there are no labels; a tomogram needs at least one particle",
            ));
        }
        let mut generator = ChaCha8Rng::seed_from_u64(simulation.options().seed);
        generator.set_stream(STREAM);
        let centres = scatter(&radii, shape, &mut generator)?;
        let particles: Vec<Particle> = (labels.iter().zip(&radii))
            .zip(centres)
            .map(|((&label, &radius), position)| Particle {
                label,
                position,
                rotation: rotation::random(&mut generator),
                radius,
            })
            .collect();
        let scene = draw(&densities, &particles, shape, monitor)?;
        monitor.check()?;
        let microscope = Microscope::new(simulation, shape, Device::Cpu)?;
        let image = microscope.image(
            &Tensor::f_from_slice(&scene)?.f_view(shape)?,
            |signal| power_in_spheres(signal, &particles, shape),
            &mut generator,
        )?;
        let mut voxels = scene;
        image.voxels.f_copy_data(&mut voxels, image.voxels.numel())?;
        monitor.report(Progress::batch(
            Stage::Simulate,
            n_steps(&particles),
            n_steps(&particles),
        ))?;
        Ok(Tomogram { voxels, particles, snr: image.snr })
    })
}

/// Checks the shape of a tomogram to be simulated.
pub(crate) fn check_shape(shape: [i64; 3]) -> Result<()> {
    let n_voxels = shape.iter().try_fold(1i64, |n, &extent| n.checked_mul(extent));
    if shape.iter().any(|&extent| extent < 8) || n_voxels.is_none_or(|n| n > MOST_VOXELS) {
        return Err(Error::invalid(format!(
            "shape is {shape:?} voxels; it must be at least 8 along each axis and at most {MOST_VOXELS} voxels in all"
        )));
    }
    Ok(())
}

/// All particles in a volume `[z, y, x]`; what of a density reaches beyond it is cut off.
fn draw(
    densities: &Densities,
    particles: &[Particle],
    shape: [i64; 3],
    monitor: &mut Monitor<'_>,
) -> Result<Vec<f32>> {
    let n_voxels = shape.iter().product::<i64>() as usize;
    let mut volume = allocation::filled(n_voxels, 0.0f32)?;
    let box_size = densities.reach();
    let worker = || {
        let densities = densities.share();
        Ok(move |index: usize| {
            tch::set_num_threads(1);
            // In a box of its own, and then moved by whole voxels.
            let particle = &particles[index];
            let corner = particle.position.map(|along| along.round() as i64 - box_size / 2);
            let position = [0, 1, 2].map(|axis| particle.position[axis] - corner[axis] as f64);
            let own = Particle { position, ..particle.clone() };
            let drawn = tch::no_grad(|| densities.draw(&[own], box_size))?;
            let mut voxels = allocation::filled(box_size.pow(3) as usize, 0.0f32)?;
            if let Some(drawn) = drawn {
                drawn.f_copy_data(&mut voxels, drawn.numel())?;
            }
            Ok((corner, voxels))
        })
    };
    on_one_thread_each(|| {
        in_order(particles.len(), n_threads(Device::Cpu), worker, |index, (corner, voxels)| {
            add(&mut volume, shape, &voxels, box_size, corner);
            if (index + 1) % PER_REPORT == 0 {
                let step = (index + 1) / PER_REPORT;
                let progress = Progress::batch(Stage::Simulate, step, n_steps(particles));
                return monitor.report(progress);
            }
            monitor.check()
        })
    })?;
    Ok(volume)
}

/// Steps of progress: the particles', and the microscope's.
fn n_steps(particles: &[Particle]) -> usize {
    particles.len() / PER_REPORT + 1
}

/// Adds a cube to a volume, its voxel 0 at `corner`.
fn add(volume: &mut [f32], shape: [i64; 3], cube: &[f32], edge: i64, corner: [i64; 3]) {
    let [zs, ys, xs] = [0, 1, 2].map(|axis| {
        let first = (-corner[axis]).clamp(0, edge);
        first..(shape[axis] - corner[axis]).clamp(first, edge)
    });
    for z in zs {
        for y in ys.clone() {
            let from = ((z * edge + y) * edge) as usize;
            let row = ((corner[0] + z) * shape[1] + corner[1] + y) * shape[2] + corner[2];
            let from = &cube[from + xs.start as usize..from + xs.end as usize];
            let to = (row + xs.start) as usize;
            for (sum, value) in volume[to..to + from.len()].iter_mut().zip(from) {
                *sum += value;
            }
        }
    }
}

/// Mean squared difference of the signal from its mean, over the voxels within bounding spheres.
fn power_in_spheres(signal: &Tensor, particles: &[Particle], shape: [i64; 3]) -> Result<f64> {
    let voxels = allocation::values::<f32>(signal)?;
    let mean = voxels.iter().map(|&v| f64::from(v)).sum::<f64>() / voxels.len() as f64;
    let (mut sum, mut n) = (0.0, 0usize);
    for particle in particles {
        let [zs, ys, xs] = [0, 1, 2].map(|axis| {
            // Spheres lie within the tomogram.
            let first = (particle.position[axis] - particle.radius).ceil() as i64;
            first..=(particle.position[axis] + particle.radius).floor() as i64
        });
        for z in zs {
            for y in ys.clone() {
                for x in xs.clone() {
                    let square: f64 = ([z, y, x].iter().zip(particle.position))
                        .map(|(&at, centre)| (at as f64 - centre).powi(2))
                        .sum();
                    if square <= particle.radius * particle.radius {
                        let value = voxels[((z * shape[1] + y) * shape[2] + x) as usize];
                        sum += (f64::from(value) - mean).powi(2);
                        n += 1;
                    }
                }
            }
        }
    }
    Ok(sum / n.max(1) as f64)
}

#[cfg(test)]
#[path = "tomogram_test.rs"]
mod tests;
