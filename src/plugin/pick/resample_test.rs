use super::*;

/// A box along one axis from values of a function.
fn sampled(axis: &Axis, function: impl Fn(f64) -> f64, box_size: usize) -> Vec<f64> {
    let values: Vec<f64> =
        (axis.first..axis.first + axis.extent).map(|i| function(i as f64)).collect();
    (0..box_size)
        .map(|index| axis.row(index).iter().zip(&values).map(|(w, v)| f64::from(*w) * v).sum())
        .collect()
}

#[test]
fn waves_below_both_nyquist_frequencies_pass_and_others_do_not() {
    let (box_size, centre) = (12, 31.375);
    for scale in [1.0, 0.7, 1.9] {
        let axis = Axis::new(centre, box_size, scale, Resampling::Fourier);
        let n = axis.extent as f64;
        for wave in 0..=axis.extent / 2 {
            let frequency = wave as f64 / n;
            let function = |at: f64| (2.0 * PI * frequency * (at - axis.first as f64) + 0.4).cos();
            let passes = frequency < 0.5 / scale.max(1.0);
            for (index, ours) in sampled(&axis, function, 12).into_iter().enumerate() {
                let at = centre + (index as f64 - 6.0) * scale;
                let expected = if passes { function(at) } else { 0.0 };
                assert!((ours - expected).abs() < 1e-4, "{scale} {wave} {index}: {ours}");
            }
        }
    }
}

#[test]
fn whole_voxels_are_copied_by_every_kind() {
    for resampling in [Resampling::Fourier, Resampling::Linear, Resampling::Nearest] {
        let axis = Axis::new(20.0, 8, 1.0, resampling);
        let function = |at: f64| (at * at) % 7.0;
        for (index, value) in sampled(&axis, function, 8).into_iter().enumerate() {
            let expected = function(16.0 + index as f64);
            assert!((value - expected).abs() < 1e-5, "{resampling:?} {index}: {value}");
        }
    }
}

#[test]
fn nearest_rounds_and_linear_goes_between() {
    let axis = Axis::new(20.5, 4, 1.0, Resampling::Nearest);
    assert_eq!(sampled(&axis, |at| at, 4), [19.0, 20.0, 21.0, 22.0]);
    let axis = Axis::new(20.25, 4, 2.0, Resampling::Linear);
    assert_eq!(sampled(&axis, |at| at, 4), [16.25, 18.25, 20.25, 22.25]);
    assert_eq!([-0.5, 0.49, 0.5, 1.5].map(nearest), [0.0, 0.0, 1.0, 2.0]);
}
