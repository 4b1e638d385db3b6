use tch::Kind;

use super::*;
use crate::{
    error::ErrorKind,
    monitor::log_nothing,
    synthetic::{Axis, Contrast, SimulationOptions, is_seen, numbers, phantoms, reference},
};

fn all(densities: &Tensor, labels: &[i32], options: SimulationOptions) -> Result<Subtomograms> {
    simulate(densities, labels, &Simulation::new(options)?, &mut Monitor::silent())
}

fn run(densities: &Tensor, labels: &[i32], options: SimulationOptions) -> Result<Tensor> {
    let edge = options.box_size;
    let voxels = all(densities, labels, options)?.voxels;
    Ok(Tensor::from_slice(&voxels).view([labels.len() as i64, edge, edge, edge]))
}

fn small() -> SimulationOptions {
    SimulationOptions { box_size: 20, voxel_size: 12.0, ..SimulationOptions::default() }
}

fn phantoms_12() -> Tensor {
    phantoms::densities(20, 12.0).unwrap()
}

/// Whether two tensors agree in every bit.
fn same(a: &Tensor, b: &Tensor) -> bool {
    a.size() == b.size() && (a - b).abs().max().double_value(&[]) == 0.0
}

fn variance_of(volume: &Tensor) -> f64 {
    volume.to_kind(Kind::Double).var(false).double_value(&[])
}

/// Power `[z, y, x]` of each frequency of a box, zero frequency first.
fn power(volume: &Tensor) -> Vec<f64> {
    let volume = volume.to_kind(Kind::Double);
    let spectrum = volume.fft_fftn(None::<&[i64]>, None::<&[i64]>, "backward").abs();
    Vec::try_from((&spectrum * &spectrum).flatten(0, -1)).unwrap()
}

#[test]
fn a_gaussian_comes_through_the_microscope_as_numpy_says() {
    let reference = reference();
    let gaussian = &reference["gaussian"];
    let number = |key: &str| gaussian[key].as_f64().unwrap();
    let (edge, sigma) = (gaussian["box_size"].as_i64().unwrap(), number("sigma"));
    let options = SimulationOptions {
        box_size: edge,
        voxel_size: number("voxel_size"),
        tilt_range: number("tilt_range"),
        voltage: number("voltage"),
        defocus: number("defocus"),
        spherical_aberration: number("spherical_aberration"),
        snr: f64::INFINITY,
        max_shift: 0.0,
        ..SimulationOptions::default()
    };
    let voxels: Vec<f32> = (0..edge.pow(3))
        .map(|index| {
            let at = [index / edge / edge, index / edge % edge, index % edge];
            let square: f64 = at.iter().map(|&i| ((i - edge / 2) as f64).powi(2)).sum();
            (-square / (2.0 * sigma * sigma)).exp() as f32
        })
        .collect();
    // A ball: no rotation changes it.
    let density = Tensor::from_slice(&voxels).view([1, 1, edge, edge, edge]);
    for (contrast, sign) in [(Contrast::Bright, 1.0), (Contrast::Dark, -1.0)] {
        let image = run(&density, &[0], SimulationOptions { contrast, ..options.clone() }).unwrap();
        let centre = edge / 2;
        for (axis, key) in ["along_z", "along_y", "along_x"].iter().enumerate() {
            for (step, theirs) in numbers(&gaussian[*key]).into_iter().enumerate() {
                let mut at = [0, centre, centre, centre];
                at[axis + 1] = step as i64;
                let ours = sign * image.double_value(&at);
                assert!((ours - theirs).abs() < 0.006, "{key} {step}: {ours}, not {theirs}");
            }
        }
    }
}

#[test]
fn snr_is_the_one_asked_for() {
    let densities = phantoms_12();
    let labels = [0, 1, 2, 3, 4, 5, 6];
    let clean =
        run(&densities, &labels, SimulationOptions { snr: f64::INFINITY, ..small() }).unwrap();
    for snr in [0.03, 0.1, 2.0] {
        let noisy = run(&densities, &labels, SimulationOptions { snr, ..small() }).unwrap();
        for index in 0..7 {
            let signal = clean.get(index);
            let noise = noisy.get(index) - &signal;
            let measured = variance_of(&signal) / variance_of(&noise);
            assert!((measured / snr - 1.0).abs() < 0.02, "density {index}: {measured}, not {snr}");
        }
    }
}

#[test]
fn the_wedge_is_empty_and_the_noise_outside_it_white() {
    for (box_size, tilt_range) in [(20, 60.0), (21, 40.0), (20, 90.0)] {
        let options = SimulationOptions { box_size, tilt_range, snr: 0.001, ..small() };
        let densities = phantoms::densities(box_size, 12.0).unwrap();
        let boxes = run(&densities, &[2; 8], options.clone()).unwrap();
        let signed = |i: i64| (if 2 * i < box_size { i } else { i - box_size }) as f64;
        let (mut inside, mut seen) = (0.0, [Vec::new(), Vec::new()]);
        for index in 0..8 {
            for (i, power) in power(&boxes.get(index)).into_iter().enumerate() {
                let i = i as i64;
                let k =
                    [i / box_size / box_size, i / box_size % box_size, i % box_size].map(signed);
                if is_seen(&options, k) {
                    let far =
                        k.iter().map(|k| k * k).sum::<f64>() > (box_size as f64 / 2.0).powi(2);
                    seen[usize::from(far)].push(power);
                } else {
                    inside += power;
                }
            }
        }
        let total: f64 = seen.iter().flatten().sum();
        assert!(inside < 1e-10 * total, "{inside} of {total}");
        let [near, far] = seen.map(|powers| powers.iter().sum::<f64>() / powers.len() as f64);
        assert!((near / far - 1.0).abs() < 0.05, "{box_size}, {tilt_range}: {near} and {far}");
    }
}

#[test]
fn a_subtomogram_depends_on_its_index_alone() {
    let densities = phantoms::densities(32, 10.0).unwrap();
    // 70 of one class are two batches; 10 are one; with other labels before it, number 69 stands in another.
    let of_class_3 = run(&densities, &[3; 70], SimulationOptions::default()).unwrap();
    let first = run(&densities, &[3; 10], SimulationOptions::default()).unwrap();
    assert!(same(&first, &of_class_3.narrow(0, 0, 10)));
    let mut labels = [5; 70];
    labels[69] = 3;
    let last = run(&densities, &labels, SimulationOptions::default()).unwrap();
    assert!(same(&last.get(69), &of_class_3.get(69)));
    assert!(!same(&last.get(0), &of_class_3.get(0)));
    assert!(!same(&of_class_3.get(0), &of_class_3.get(1)));
    let reseeded = SimulationOptions { seed: 1, ..SimulationOptions::default() };
    assert!(!same(&run(&densities, &[3], reseeded).unwrap().get(0), &of_class_3.get(0)));
}

#[test]
fn the_number_of_threads_changes_nothing_and_is_left_alone() {
    let densities = phantoms::densities(32, 10.0).unwrap();
    let before = tch::get_num_threads();
    let by_threads = [1, 2].map(|n_threads| {
        tch::set_num_threads(n_threads);
        let boxes = run(&densities, &[0, 6, 2, 2], SimulationOptions::default()).unwrap();
        assert_eq!(tch::get_num_threads(), n_threads);
        boxes
    });
    tch::set_num_threads(before);
    assert!(same(&by_threads[0], &by_threads[1]));
}

#[test]
fn options_out_of_range_are_named_with_their_value() {
    let defaults = SimulationOptions::default;
    let cases = [
        (
            SimulationOptions { box_size: 4, ..defaults() },
            "box_size is 4; it must be 8 to 256 voxels",
        ),
        (
            SimulationOptions { voxel_size: -1.0, ..defaults() },
            "voxel_size is -1; it must be 0.1 to 100",
        ),
        (
            SimulationOptions { snr: 0.0, ..defaults() },
            "snr is 0; it must be above 0 and at most inf",
        ),
        (
            SimulationOptions { snr: f64::NAN, ..defaults() },
            "snr is NaN; it must be above 0 and at most inf",
        ),
        (
            SimulationOptions { tilt_range: 91.0, ..defaults() },
            "tilt_range is 91; it must be above 0 and at most 90",
        ),
        (
            SimulationOptions { max_shift: 17.0, ..defaults() },
            "max_shift is 17; it must be 0 to 16",
        ),
        (SimulationOptions { defocus: -5.0, ..defaults() }, "defocus is -5; it must be 0 to 100"),
        (SimulationOptions { voltage: 0.0, ..defaults() }, "voltage is 0; it must be 1 to 3000"),
        (
            SimulationOptions { spherical_aberration: f64::INFINITY, ..defaults() },
            "spherical_aberration is inf; it must be 0 to 100",
        ),
        (
            SimulationOptions { envelope: -0.1, ..defaults() },
            "envelope is -0.1; it must be 0 to 100",
        ),
        (
            SimulationOptions { band_limit: 2.5, ..defaults() },
            "band_limit is 2.5; it must be 0 to 2",
        ),
        (
            SimulationOptions { band_edge: f64::NAN, ..defaults() },
            "band_edge is NaN; it must be 0 to 1",
        ),
        (
            SimulationOptions { noise_before: 1.5, ..defaults() },
            "noise_before is 1.5; it must be 0 to 1",
        ),
        (
            SimulationOptions { mtf: 0.0, ..defaults() },
            "mtf is 0; it must be above 0 and at most 1",
        ),
        (
            SimulationOptions { n_neighbours: 33, ..defaults() },
            "n_neighbours is 33; it must be 0 to 32",
        ),
        (
            SimulationOptions { tilt_axis: Axis::X, beam_axis: Axis::X, ..defaults() },
            "tilt_axis and beam_axis are both X; the specimen is tilted about an axis across the beam",
        ),
        (
            SimulationOptions { contrast: Contrast::Unknown, ..defaults() },
            "contrast is unknown; it must be dark or bright",
        ),
    ];
    for (options, message) in cases {
        let error = Simulation::new(options).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
}

#[test]
fn unfit_densities_and_labels_are_refused() {
    let good = phantoms_12();
    let spoilt = |value: f64| {
        let copy = good.copy();
        let _ = copy.get(4).get(0).get(1).get(2).get(3).fill_(value);
        copy
    };
    let cases = [
        (good.copy(), 7, "label 1 is 7; there are 7 densities, counted from 0"),
        (good.copy(), -1, "label 1 is -1; there are 7 densities, counted from 0"),
        (
            good.squeeze_dim(1),
            0,
            "densities have shape [7, 20, 20, 20]; expected [classes, 1, d, d, d]",
        ),
        (good.narrow(4, 0, 19), 0, "densities have shape [7, 1, 20, 20, 19]; expected"),
        (spoilt(f64::NAN), 0, "density 4 has a voxel that is not finite"),
        (spoilt(f64::INFINITY), 0, "density 4 has a voxel that is not finite"),
        (good.zeros_like() + 0.5, 0, "density 0 is constant"),
    ];
    for (densities, label, message) in cases {
        let error = run(&densities, &[0, label], small()).unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}, not {message}");
    }
    assert_eq!(run(&good, &[], small()).unwrap().size(), [0, 20, 20, 20]);
}

#[test]
fn the_host_sees_progress_and_can_stop() {
    let densities = phantoms::densities(32, 10.0).unwrap();
    let simulation = Simulation::new(SimulationOptions::default()).unwrap();
    let mut seen = Vec::new();
    let mut labels = vec![0; 65];
    labels.push(4);
    let mut follow = Monitor::new(
        |progress| {
            assert_eq!(progress.stage, Stage::Simulate);
            seen.push((progress.step, progress.n_steps, progress.fraction));
            true
        },
        || false,
        log_nothing(),
    );
    let _ = simulate(&densities, &labels, &simulation, &mut follow).unwrap();
    drop(follow);
    assert_eq!(seen, [(1, 2, 0.5), (2, 2, 1.0)]);

    let mut steps = 0;
    let mut stop = Monitor::new(
        |_| {
            steps += 1;
            false
        },
        || false,
        log_nothing(),
    );
    let error = simulate(&densities, &labels, &simulation, &mut stop).unwrap_err();
    drop(stop);
    assert_eq!((error.kind(), steps), (ErrorKind::Cancelled, 1));
    let mut raised = Monitor::new(|_| true, || true, log_nothing());
    let error = simulate(&densities, &labels, &simulation, &mut raised).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[test]
fn densities_may_be_larger_or_smaller_than_the_box() {
    // Noise-free, in focus, all seen: what is drawn in a larger cube has the same mass in the box.
    let options = SimulationOptions {
        snr: f64::INFINITY,
        defocus: 0.0,
        tilt_range: 90.0,
        contrast: Contrast::Bright,
        ..small()
    };
    let mass = |edge: i64| {
        let densities = phantoms::densities(edge, 12.0).unwrap();
        run(&densities, &[6], options.clone()).unwrap().sum(Kind::Double).double_value(&[])
    };
    let expected = phantoms::PHANTOMS[6].volume() / 1728.0;
    for edge in [14, 20, 31] {
        assert!(
            (mass(edge) / expected - 1.0).abs() < 0.01,
            "{edge}: {}, not {expected}",
            mass(edge)
        );
    }
}

#[test]
fn particles_are_where_the_list_says() {
    // No noise, in focus, everything seen: a box is the sum of its particles' densities, drawn anew from the list.
    let options = SimulationOptions {
        snr: f64::INFINITY,
        defocus: 0.0,
        tilt_range: 90.0,
        contrast: Contrast::Bright,
        n_neighbours: 4,
        max_shift: 6.0,
        ..SimulationOptions::default()
    };
    let edge = options.box_size;
    let densities = phantoms::densities(28, 10.0).unwrap();
    let all = all(&densities, &[1, 3, 5], options).unwrap();
    let mut n_cut = 0;
    for (index, particles) in all.particles.iter().enumerate() {
        assert_eq!(particles.len(), 5);
        assert_eq!(particles[0].label, [1, 3, 5][index]);
        let mut expected = vec![0.0; edge.pow(3) as usize];
        for particle in particles {
            let [z, y, x] = particle.position;
            // From the definition: voxel v shows the density at R^T (v - position) + its centre.
            let density: Vec<f32> =
                Vec::try_from(densities.get(i64::from(particle.label)).flatten(0, -1)).unwrap();
            for (voxel, value) in expected.iter_mut().enumerate() {
                let at = [voxel / 1024, voxel / 32 % 32, voxel % 32].map(|i| i as f64);
                let offset = [at[0] - z, at[1] - y, at[2] - x];
                let own = rotation::apply(&rotation::inverse(&particle.rotation), offset);
                *value += linear(&density, 28, own.map(|along| along + 14.0));
            }
            n_cut += usize::from(particle.position.iter().any(|&p| !(0.0..32.0).contains(&p)));
        }
        // Linear interpolation of the density itself is coarser than ours: in every voxel a little, together less.
        let ours = &all.voxels[index * expected.len()..][..expected.len()];
        let correlation = correlation(ours, &expected);
        assert!(correlation > 0.99, "subtomogram {index}: {correlation}");
    }
    assert!(n_cut > 0, "no neighbour reaches beyond its box");
}

/// A cube of `edge`^3 voxels between its voxels.
fn linear(cube: &[f32], edge: i64, at: [f64; 3]) -> f64 {
    let base = at.map(|along| along.floor() as i64);
    let mut sum = 0.0;
    for corner in 0..8 {
        let bits = [corner >> 2 & 1, corner >> 1 & 1, corner & 1];
        let voxel = [0, 1, 2].map(|axis| base[axis] + bits[axis]);
        if voxel.iter().any(|v| !(0..edge).contains(v)) {
            continue;
        }
        let weight: f64 = (0..3).map(|axis| 1.0 - (at[axis] - voxel[axis] as f64).abs()).product();
        let index = (voxel[0] * edge + voxel[1]) * edge + voxel[2];
        sum += weight * f64::from(cube[index as usize]);
    }
    sum
}

fn correlation(a: &[f32], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let mean_a = a.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let mean_b = b.iter().sum::<f64>() / n;
    let [mut ab, mut aa, mut bb] = [0.0; 3];
    for (&a, &b) in a.iter().zip(b) {
        let (a, b) = (f64::from(a) - mean_a, b - mean_b);
        (ab, aa, bb) = (ab + a * b, aa + a * a, bb + b * b);
    }
    ab / (aa * bb).sqrt()
}

#[test]
fn neighbours_of_all_kinds_touch_and_never_overlap() {
    let densities = phantoms::densities(32, 10.0).unwrap();
    let options = SimulationOptions { snr: f64::INFINITY, ..SimulationOptions::liu_2020() };
    let all = all(&densities, &[2; 60], options).unwrap();
    let mut counts = [0; 7];
    for particles in &all.particles {
        let mut gap = f64::INFINITY;
        for a in 0..5 {
            for b in 0..a {
                let (a, b) = (&particles[a], &particles[b]);
                let square: f64 =
                    (0..3).map(|axis| (a.position[axis] - b.position[axis]).powi(2)).sum();
                gap = gap.min(square.sqrt() - a.radius - b.radius);
            }
        }
        assert!((-1e-9..0.5).contains(&gap), "{gap}");
        let target = particles[0].position.map(|along| along - 16.0);
        assert!(target.iter().all(|along| along.abs() <= 8.0), "{target:?}");
        particles[1..].iter().for_each(|particle| counts[particle.label as usize] += 1);
    }
    // 240 neighbours of 7 kinds: 34.3 each, five standard deviations.
    assert!(counts.iter().all(|&n| (8..=61).contains(&n)), "{counts:?}");
}

#[test]
fn noise_has_its_shares_and_the_snr_is_measured() {
    let densities = phantoms_12();
    let labels = [0, 1, 2, 3, 4, 5, 6];
    for (noise_before, mtf, band_limit) in [(0.0, 1.0, 0.0), (0.5, 0.4, 0.6), (1.0, 1.0, 0.5)] {
        let options = SimulationOptions {
            noise_before,
            mtf,
            band_limit,
            band_edge: 0.1,
            envelope: 0.7,
            n_neighbours: 2,
            ..small()
        };
        let clean = SimulationOptions { snr: f64::INFINITY, ..options.clone() };
        let clean = run(&densities, &labels, clean).unwrap();
        let noisy = all(&densities, &labels, options).unwrap();
        for (index, &measured) in noisy.snr.iter().enumerate() {
            let voxels = &noisy.voxels[index * 8000..][..8000];
            let noise = Tensor::from_slice(voxels).view([20, 20, 20]) - clean.get(index as i64);
            let theirs = variance_of(&clean.get(index as i64)) / variance_of(&noise);
            assert!((measured / theirs - 1.0).abs() < 1e-3, "{measured}, not {theirs}");
            assert!((measured / 0.1 - 1.0).abs() < 1e-4, "{measured}, not 0.1");
        }
    }
}

#[test]
fn noise_spectra_are_those_of_numpy() {
    let reference = reference();
    for case in reference["noise"].as_array().unwrap() {
        let number = |key: &str| case[key].as_f64().unwrap();
        let axis = |key: &str| [Axis::Z, Axis::Y, Axis::X][number(key) as usize];
        let options = SimulationOptions {
            box_size: 24,
            voxel_size: number("voxel_size"),
            // So much noise that nothing else is left.
            snr: 1e-9,
            tilt_range: number("tilt_range"),
            tilt_axis: axis("tilt_axis"),
            beam_axis: axis("beam_axis"),
            defocus: number("defocus"),
            voltage: number("voltage"),
            spherical_aberration: number("spherical_aberration"),
            envelope: number("envelope"),
            band_limit: number("band_limit"),
            band_edge: number("band_edge"),
            noise_before: number("noise_before"),
            mtf: number("mtf"),
            ..SimulationOptions::default()
        };
        let densities = phantoms::densities(24, number("voxel_size")).unwrap();
        let boxes = run(&densities, &[2; 60], options).unwrap();
        // Mean power in shells of a Fourier voxel, of noise with variance 1, as a fraction of all of it.
        let mut shells = vec![(0.0, 0); 13];
        let mut total = 0.0;
        for index in 0..60 {
            for (i, power) in power(&boxes.get(index)).into_iter().enumerate() {
                let square: f64 = [i / 576, i / 24 % 24, i % 24]
                    .map(|k| if k < 12 { k as f64 } else { k as f64 - 24.0 })
                    .iter()
                    .map(|k| k * k)
                    .sum();
                if i > 0 {
                    total += power;
                }
                if let Some((sum, n)) = shells.get_mut(square.sqrt().round() as usize) {
                    *sum += power;
                    *n += 1;
                }
            }
        }
        for (shell, theirs) in numbers(&case["shells"]).into_iter().enumerate().skip(1) {
            let (sum, n) = shells[shell];
            let ours = sum / total / f64::from(n) * 60.0;
            // A shell of n independent powers (half of them, the box being real) has a relative error of (2 / n)^(1/2).
            let error = 5.0 * (2.0 / f64::from(n)).sqrt() * theirs + 1e-9;
            assert!((ours - theirs).abs() < error, "{case}: shell {shell}: {ours}, not {theirs}");
        }
    }
}

#[test]
fn crowded_subtomograms_too_depend_on_their_index_alone() {
    let densities = phantoms_12();
    let options = SimulationOptions { n_neighbours: 3, noise_before: 0.5, ..small() };
    let before = tch::get_num_threads();
    tch::set_num_threads(3);
    let many = all(&densities, &[4; 10], options.clone()).unwrap();
    tch::set_num_threads(1);
    let few = all(&densities, &[4; 3], options).unwrap();
    tch::set_num_threads(before);
    assert_eq!(many.voxels[..3 * 8000], few.voxels[..]);
    assert_eq!(many.particles[..3], few.particles[..]);
}
