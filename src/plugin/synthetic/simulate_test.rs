use super::*;
use crate::{
    monitor::log_nothing,
    synthetic::{is_seen, numbers, phantoms, reference},
};

fn run(densities: &Tensor, labels: &[i32], options: SimulationOptions) -> Result<Tensor> {
    simulate(densities, labels, &Simulation::new(options)?, &mut Monitor::silent())
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
        let boxes = run(&densities, &[2; 8], options).unwrap();
        let signed = |i: i64| (if 2 * i < box_size { i } else { i - box_size }) as f64;
        let (mut inside, mut seen) = (0.0, [Vec::new(), Vec::new()]);
        for index in 0..8 {
            for (i, power) in power(&boxes.get(index)).into_iter().enumerate() {
                let i = i as i64;
                let k =
                    [i / box_size / box_size, i / box_size % box_size, i % box_size].map(signed);
                if is_seen(tilt_range, k) {
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
    assert_eq!(seen, [(1, 3, 1.0 / 3.0), (2, 3, 2.0 / 3.0), (3, 3, 1.0)]);

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
