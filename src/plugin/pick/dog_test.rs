use super::*;
use crate::{
    error::ErrorKind,
    monitor::log_nothing,
    pick::{PickOptions, ThresholdRule, noise, numbers, reference, tomogram_of},
};

fn run(voxels: &[f32], shape: [i64; 3], bright: bool, options: PickOptions) -> Result<Vec<Peak>> {
    let contrast = if bright { Contrast::Bright } else { Contrast::Dark };
    let picking = Picking::new(options, 10.0)?;
    let mut tomogram = tomogram_of(voxels, shape, contrast);
    pick(&mut tomogram, &picking, Device::Cpu, 2, &mut Monitor::silent())
}

#[test]
fn picks_are_those_of_scipy_in_blocks_of_any_size() {
    for case in reference()["picked"].as_array().unwrap() {
        let number = |key: &str| case[key].as_f64().unwrap();
        let shape: [f64; 3] = numbers(&case["shape"]).try_into().unwrap();
        let shape = shape.map(|extent| extent as i64);
        let voxels = noise(shape, case["seed"].as_u64().unwrap());
        let bright = case["bright"].as_bool().unwrap();
        let rules = [ThresholdRule::PeakRange, ThresholdRule::Deviations, ThresholdRule::Score];
        let options = PickOptions {
            sigma: number("sigma"),
            sigma_ratio: number("sigma_ratio"),
            min_distance: number("min_distance"),
            threshold: number("threshold"),
            threshold_rule: rules[number("threshold_rule") as usize],
            n_max: number("n_max") as i64,
            border: number("border") as i64,
            ..PickOptions::default()
        };
        let whole = run(&voxels, shape, bright, options.clone()).unwrap();
        let theirs = numbers(&case["particles"]);
        assert_eq!(whole.len(), theirs.len() / 4);
        for (ours, theirs) in whole.iter().zip(theirs.chunks(4)) {
            for (along, position) in ours.position().iter().zip(theirs) {
                assert!((f64::from(*along) - position).abs() < 2e-3, "{ours:?}, not {theirs:?}");
            }
            assert!((f64::from(ours.score) / theirs[3] - 1.0).abs() < 1e-4, "{ours:?}, {theirs:?}");
        }
        // A megabyte is the least that options can say; blocks are divided by less here, to be many.
        let picking = Picking::new(options, 10.0).unwrap();
        let reach = Gaussian::new(picking.sigmas()[1]).reach() as i64;
        let contrast = if bright { Contrast::Bright } else { Contrast::Dark };
        let by = |filters: Difference, edge: i64| {
            let needed = shape.map(|extent| (edge + 2 * (reach + 1)).min(extent) as u64);
            let max_memory = 4 * filters.n_buffers() * needed.iter().product::<u64>();
            let blocks = divide(shape, reach, max_memory, filters.n_buffers()).unwrap();
            assert_eq!(blocks.len() > 1, edge < 100, "edge {edge}: {blocks:?}");
            let mut tomogram = tomogram_of(&voxels, shape, contrast);
            let monitor = &mut Monitor::silent();
            select(
                in_blocks(&mut tomogram, &picking, filters, &blocks, 3, monitor).unwrap(),
                &picking,
            )
            .unwrap()
        };
        for edge in [5, 11] {
            let filters = Difference::on(Device::Cpu, shape, 3);
            assert_eq!(by(filters, edge), whole, "blocks of {edge} voxels");
        }
        // What a GPU does, here on the CPU.
        for edge in [5, 11, 1000] {
            let tensors = Difference::Tensors(Device::Cpu, shape);
            assert_eq!(by(tensors, edge), whole, "tensors, blocks of {edge} voxels");
        }
    }
}

/// A Gaussian blob of standard deviation `width` at each of the places.
fn blobs(shape: [i64; 3], places: &[[f64; 3]], width: f64) -> Vec<f32> {
    let mut voxels = Vec::new();
    for index in 0..shape.iter().product::<i64>() {
        let at = [index / shape[1] / shape[2], index / shape[2] % shape[1], index % shape[2]];
        let value = |place: &[f64; 3]| {
            let square: f64 = (0..3).map(|axis| (at[axis] as f64 - place[axis]).powi(2)).sum();
            (-square / (2.0 * width * width)).exp()
        };
        voxels.push(places.iter().map(value).sum::<f64>() as f32);
    }
    voxels
}

#[test]
fn blobs_are_found_where_they_are() {
    let shape = [40, 50, 45];
    // One between two voxels along every axis: equal neighbours must not hide a peak.
    let places = [[10.0, 12.0, 11.0], [28.5, 14.5, 30.5], [20.3, 38.7, 22.1]];
    for bright in [true, false] {
        let sign = if bright { 1.0 } else { -1.0 };
        // On a level that takes most of the digits.
        let voxels: Vec<f32> =
            blobs(shape, &places, 2.5).iter().map(|v| 5000.0 + sign * 80.0 * v).collect();
        let options = PickOptions { sigma: 3.0, threshold: 10.0, ..PickOptions::default() };
        let peaks = run(&voxels, shape, bright, options).unwrap();
        assert_eq!(peaks.len(), 3, "{peaks:?}");
        for place in places {
            let nearest = peaks
                .iter()
                .map(|peak| {
                    let offset = |i: usize| f64::from(peak.position()[i]) - place[i];
                    (0..3).map(|i| offset(i).powi(2)).sum::<f64>().sqrt()
                })
                .fold(f64::INFINITY, f64::min);
            assert!(nearest < 0.1, "{place:?}: {nearest}");
        }
        // A Gaussian of variance w + s has the height (w / (w + s))^(3/2).
        let height = |sigma: f64| 80.0 * (6.25 / (6.25 + sigma * sigma)).powf(1.5);
        let expected = height(3.0) - height(3.3);
        assert!((f64::from(peaks[0].score) / expected - 1.0).abs() < 0.02, "{peaks:?}");
    }
}

#[test]
fn a_constant_part_has_no_peaks_of_its_own() {
    let shape = [30, 30, 30];
    let mut voxels = blobs(shape, &[[15.0, 15.0, 15.0]], 2.0);
    for (index, voxel) in voxels.iter_mut().enumerate() {
        if index % 30 < 6 {
            *voxel = 0.0;
        }
    }
    let options =
        PickOptions { sigma: 1.0, threshold: f64::MIN_POSITIVE, ..PickOptions::default() };
    let options = PickOptions { threshold_rule: ThresholdRule::Score, ..options };
    let peaks = run(&voxels, shape, true, options).unwrap();
    assert_eq!(peaks[0].voxel, [15, 15, 15]);
    assert!(peaks.len() < 60, "{} peaks", peaks.len());
    // All voxels alike: one plateau at the most.
    let flat = run(&vec![7.0; 8000], [20, 20, 20], true, PickOptions::default()).unwrap();
    assert!(flat.len() <= 1, "{flat:?}");
}

#[test]
fn what_cannot_be_picked_is_said() {
    let voxels = noise([12, 12, 12], 1);
    let picking = Picking::new(PickOptions::default(), 10.0).unwrap();
    let mut tomogram = tomogram_of(&voxels, [12, 12, 12], Contrast::Unknown);
    let error = pick(&mut tomogram, &picking, Device::Cpu, 1, &mut Monitor::silent()).unwrap_err();
    assert!(error.to_string().contains("contrast is unknown"), "{error}");

    let mut spoilt = voxels.clone();
    spoilt[12 * 12 * 3 + 12 * 4 + 5] = f32::NAN;
    let error = run(&spoilt, [12, 12, 12], true, PickOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NonFinite);
    assert!(error.to_string().contains("z=3, y=4, x=5"), "{error}");

    let mut stop = Monitor::new(|_| false, || false, log_nothing());
    let mut tomogram = tomogram_of(&voxels, [12, 12, 12], Contrast::Dark);
    let error = pick(&mut tomogram, &picking, Device::Cpu, 1, &mut stop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}
