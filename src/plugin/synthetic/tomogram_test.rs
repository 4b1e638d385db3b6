use super::*;
use crate::synthetic::{
    SimulationOptions, phantoms,
    rotation::{apply, inverse},
};

fn run(labels: &[i32], shape: [i64; 3], options: SimulationOptions) -> Result<Tomogram> {
    let densities = phantoms::densities(20, options.voxel_size)?;
    let simulation = Simulation::new(options)?;
    simulate_tomogram(&densities, labels, shape, &simulation, &mut Monitor::silent())
}

fn options() -> SimulationOptions {
    SimulationOptions { voxel_size: 14.0, ..SimulationOptions::default() }
}

#[test]
fn the_density_is_highest_where_the_list_says() {
    // Bright, in focus, everything seen, no noise.
    let options = SimulationOptions {
        snr: f64::INFINITY,
        defocus: 0.0,
        tilt_range: 90.0,
        contrast: crate::synthetic::Contrast::Bright,
        ..options()
    };
    let shape = [40, 72, 57];
    let labels = [0, 1, 2, 3, 4, 5, 6, 3, 3];
    let tomogram = run(&labels, shape, options).unwrap();
    assert_eq!(tomogram.particles.iter().map(|p| p.label).collect::<Vec<_>>(), labels);
    // All protein is there, in the right places: a blob of a subunit is drawn where its centre comes to lie.
    let drawn: f64 = tomogram.voxels.iter().map(|&v| f64::from(v)).sum();
    let mass = labels.iter().map(|&label| phantoms::PHANTOMS[label as usize].volume()).sum::<f64>();
    assert!((drawn * 14f64.powi(3) / mass - 1.0).abs() < 0.01);
    for particle in &tomogram.particles {
        let blob = &phantoms::PHANTOMS[particle.label as usize].subunit[0];
        let offset = apply(&particle.rotation, blob.centre.map(|angstrom| angstrom / 14.0));
        let at = [0, 1, 2].map(|axis| (particle.position[axis] + offset[axis]).round() as i64);
        let value = tomogram.voxels[((at[0] * shape[1] + at[1]) * shape[2] + at[2]) as usize];
        let wrong = apply(&inverse(&particle.rotation), blob.centre.map(|a| a / 14.0));
        assert!(value > 0.35, "{particle:?}: {value}, the inverse would be {wrong:?}");
    }
}

#[test]
fn particles_lie_inside_and_apart() {
    let labels: Vec<i32> = (0..60).map(|index| index % 7).collect();
    let tomogram = run(&labels, [50, 120, 110], options()).unwrap();
    for (index, a) in tomogram.particles.iter().enumerate() {
        for (along, extent) in a.position.iter().zip([50.0, 120.0, 110.0]) {
            assert!((a.radius..=extent - 1.0 - a.radius).contains(along));
        }
        for b in &tomogram.particles[..index] {
            let square: f64 = (0..3).map(|i| (a.position[i] - b.position[i]).powi(2)).sum();
            assert!(square.sqrt() >= a.radius + b.radius);
        }
    }
    assert_eq!(tomogram.voxels.len(), 50 * 120 * 110);
}

#[test]
fn the_snr_is_that_of_the_signal_within_the_spheres() {
    let (labels, shape) = ([2, 6, 0, 5], [40, 64, 64]);
    let noisy = run(&labels, shape, SimulationOptions { noise_before: 0.3, ..options() }).unwrap();
    let clean = SimulationOptions { snr: f64::INFINITY, ..options() };
    let clean = run(&labels, shape, clean).unwrap();
    assert_eq!(noisy.particles, clean.particles);
    let n = clean.voxels.len() as f64;
    let mean = clean.voxels.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let (mut signal, mut n_inside, mut noise) = (0.0, 0.0, 0.0);
    for (index, (&with, &without)) in noisy.voxels.iter().zip(&clean.voxels).enumerate() {
        noise += f64::from(with - without).powi(2) / n;
        let at = [index / 4096, index / 64 % 64, index % 64].map(|i| i as f64);
        let inside = |p: &Particle| {
            (0..3).map(|i| (at[i] - p.position[i]).powi(2)).sum::<f64>() <= p.radius.powi(2)
        };
        if clean.particles.iter().any(inside) {
            signal += (f64::from(without) - mean).powi(2);
            n_inside += 1.0;
        }
    }
    let expected = signal / n_inside / noise;
    assert!((noisy.snr / expected - 1.0).abs() < 1e-3, "{}, not {expected}", noisy.snr);
    assert!((noisy.snr / 0.1 - 1.0).abs() < 1e-3);
}

#[test]
fn threads_change_nothing_and_seeds_everything() {
    let before = tch::get_num_threads();
    let by_threads = [1, 3].map(|n| {
        tch::set_num_threads(n);
        run(&[1, 2, 3, 4], [30, 50, 50], options()).unwrap()
    });
    tch::set_num_threads(before);
    // The transform of the whole tomogram is libtorch's, on as many threads as it is given.
    let largest = by_threads[0].voxels.iter().fold(0.0f32, |a, b| a.max(b.abs()));
    for (a, b) in by_threads[0].voxels.iter().zip(&by_threads[1].voxels) {
        assert!((a - b).abs() < 1e-5 * largest);
    }
    assert_eq!(by_threads[0].particles, by_threads[1].particles);
    let other = run(&[1, 2, 3, 4], [30, 50, 50], SimulationOptions { seed: 1, ..options() });
    assert_ne!(by_threads[0].particles, other.unwrap().particles);
}

#[test]
fn what_cannot_be_simulated_is_refused() {
    for (labels, shape, message) in [
        (&[0][..], [7, 50, 50], "shape is [7, 50, 50] voxels; it must be at least 8"),
        (&[0], [i64::MAX, 50, 50], "shape is"),
        (&[0], [1024, 1024, 1024], "at most 134217728 voxels"),
        (&[0, 7], [50; 3], "label 1 is 7; there are 7 densities"),
        (&[], [50; 3], "there are no labels"),
        (&[0], [8, 50, 50], "particle 0 is"),
    ] {
        let error = run(labels, shape, options()).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}
